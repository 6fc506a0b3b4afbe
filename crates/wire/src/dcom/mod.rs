//! DCOM: objects over RPC (wire.md 4).
//!
//! * [`OrpcThis`] and [`OrpcThat`]: what every call on an object and every answer begin with.
//! * [`Oxid`], [`Oid`], [`Ipid`], [`SetId`], [`Iid`], [`Clsid`]: the identifiers, and the values of those in use.
//! * [`DualStringArray`]: where something is reached, and how to authenticate there.
//! * [`ObjRef`] and [`CustomObjRef`]: references to objects, and data that poses as one.
//! * [`activation`]: creating an object.
//! * [`ResolverRequest`] and [`ResolverResponse`]: `IObjectExporter`, the resolver and its pings.
//! * [`RemUnknownRequest`] and [`RemUnknownResponse`]: `IRemUnknown` and `IRemUnknown2`.
//!
//! A client creates an object, and calls a method on it. Each stub would travel in a call of [`crate::rpc`]:
//!
//! ```
//! use certadm_rules::Hresult;
//! use certadm_wire::csra::{Interface, Request, Response};
//! use certadm_wire::dcom::activation::{
//!     ActivationProperties, ActivationReply, ActivatorRequest, ActivatorResponse, Exporter, InterfaceResult,
//! };
//! use certadm_wire::dcom::{
//!     Clsid, ComVersion, DualStringArray, Iid, Ipid, ObjRef, Oid, OrpcThat, OrpcThis, Oxid, SecurityBinding, StdObjRef,
//!     StringBinding,
//! };
//! use certadm_wire::ndr::{ByteOrder, Guid, Reader, Writer};
//! use certadm_wire::rpc::AuthType;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let random = Guid::from_le_bytes([7; 16]); // a fresh one in earnest
//! let this = OrpcThis { version: ComVersion::OURS, flags: 0, causality: random };
//!
//! // The client asks the activator for the administration object of a CA.
//! let wanted = ActivationProperties::of(Clsid::CERT_ADMIN, vec![Iid::CERT_ADMIN_2], random, None);
//! let request = ActivatorRequest::CreateInstance(wanted);
//! let mut stub = Writer::new();
//! this.write(&mut stub);
//! request.write(&mut stub);
//! let stub = stub.into_bytes();
//!
//! // The server makes one, and says where it is: which exporter, which object, which interface.
//! let mut reader = Reader::new(&stub, ByteOrder::Little);
//! assert!(OrpcThis::read(&mut reader)?.version.is_accepted());
//! let ActivatorRequest::CreateInstance(wanted) = ActivatorRequest::read(request.opnum(), &mut reader)? else {
//!     panic!("another method");
//! };
//! assert_eq!(wanted.class, Clsid::CERT_ADMIN);
//! let (oxid, oid, ipid) = (Oxid(1), Oid(2), Ipid(Guid::from_le_bytes([3; 16])));
//! let names = |name| DualStringArray::new(vec![name], vec![SecurityBinding::of(AuthType::NTLM)]);
//! let reference = ObjRef {
//!     iid: Iid::CERT_ADMIN_2,
//!     reference: StdObjRef { flags: 0, references: 5, oxid, oid, ipid },
//!     resolver: names(StringBinding::resolver("ca1.example"))?,
//! };
//! let reply = ActivationReply {
//!     interfaces: vec![InterfaceResult { iid: Iid::CERT_ADMIN_2, code: Hresult::S_OK, reference: Some(reference) }],
//!     exporter: Exporter {
//!         oxid,
//!         bindings: names(StringBinding::exporter("ca1.example", 49_152))?,
//!         rem_unknown: Ipid(Guid::from_le_bytes([4; 16])),
//!         authentication_hint: 6,
//!         version: ComVersion::OURS,
//!     },
//! };
//! let mut stub = Writer::new();
//! OrpcThat::CALL.write(&mut stub);
//! ActivatorResponse { reply: Some(reply), code: Hresult::S_OK }.write(&mut stub);
//! let stub = stub.into_bytes();
//!
//! // The client now knows the port of the exporter, and the IPID that every call on the object carries.
//! let mut reader = Reader::new(&stub, ByteOrder::Little);
//! OrpcThat::read(&mut reader)?;
//! let reply = ActivatorResponse::read(&mut reader)?.reply.expect("an object");
//! assert_eq!(reply.exporter.bindings.tcp().next().and_then(|name| name.host_and_port().1), Some(49_152));
//! let object = reply.interfaces[0].reference.as_ref().expect("a reference").reference;
//! assert_eq!(object.ipid, ipid);
//!
//! // A method of MS-CSRA: does the CA serve requests?
//! let request = Request::GetServerState { authority: Some("Example CA".to_owned()) };
//! let mut stub = Writer::new();
//! this.write(&mut stub);
//! request.write(&mut stub);
//! let stub = stub.into_bytes();
//! let mut reader = Reader::new(&stub, ByteOrder::Little);
//! OrpcThis::read(&mut reader)?;
//! let asked = Request::read(Interface::CertAdmin2, request.opnum(), &mut reader)?;
//! assert_eq!(asked, request);
//! let mut stub = Writer::new();
//! OrpcThat::CALL.write(&mut stub);
//! Response::State { state: 1, code: Hresult::S_OK }.write(&mut stub);
//! let stub = stub.into_bytes();
//! let mut reader = Reader::new(&stub, ByteOrder::Little);
//! OrpcThat::read(&mut reader)?;
//! assert_eq!(Response::read(&request, &mut reader)?, Response::State { state: 1, code: Hresult::S_OK });
//! # Ok(())
//! # }
//! ```

pub mod activation;
mod bindings;
mod error;
mod ids;
mod levels;
mod objref;
mod orpc;
mod rem_unknown;
mod resolver;

pub use bindings::{DualStringArray, SecurityBinding, StringBinding, TOWER_TCP};
pub use error::{BindingsError, DcomError, ObjRefError};
pub use ids::{Clsid, Iid, Ipid, Oid, Oxid, SetId};
pub use levels::{call_level, level_rule};
pub use objref::{CustomObjRef, ObjRef, StdObjRef};
pub use orpc::{ComVersion, OrpcThat, OrpcThis};
pub use rem_unknown::{
    InterfaceReferences, QueryResult, RemUnknownInterface, RemUnknownRequest, RemUnknownResponse, query_code,
};
pub use resolver::{Resolution, ResolverRequest, ResolverResponse, ResolverStatus};
