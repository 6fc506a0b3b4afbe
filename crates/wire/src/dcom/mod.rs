//! DCOM: objects over RPC (wire.md 4).
//!
//! * [`OrpcThis`] and [`OrpcThat`]: what every call on an object and every answer begin with.
//! * [`Oxid`], [`Oid`], [`Ipid`], [`SetId`], [`Iid`], [`Clsid`]: the identifiers, and the values of those in use.
//! * [`DualStringArray`]: where something is reached, and how to authenticate there.
//! * [`ObjRef`] and [`CustomObjRef`]: references to objects, and data that poses as one.
//! * [`activation`]: creating an object.
//! * [`ResolverRequest`] and [`ResolverResponse`]: `IObjectExporter`, the resolver and its pings.
//! * [`RemUnknownRequest`] and [`RemUnknownResponse`]: `IRemUnknown` and `IRemUnknown2`.

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
