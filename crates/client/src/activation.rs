//! Making the CA's administration object: at once, or through the factory of its class where a server makes objects in no other
//! way (wire.md 4.6).

use certadm_rules::Hresult;
use certadm_wire::dcom::activation::{
    ActivationProperties, ActivatorRequest, ActivatorResponse, Exporter, FactoryRequest, FactoryResponse,
};
use certadm_wire::dcom::{Clsid, ComVersion, OrpcThat, OrpcThis, StdObjRef};
use certadm_wire::ndr::{ByteOrder, Reader};

use crate::connection::{Connection, Interface};
use crate::denial::ACTIVATION;
use crate::error::Error;
use crate::orpc::{object_of, orpc_stub, random_guid, release, stub_with};
use crate::outlet::Ready;

/// What an activation is to give out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// An object, by this interface.
    Object(Interface),
    /// The factory of its class.
    Factory,
}

impl Wanted {
    pub(crate) const fn interface(self) -> Interface {
        match self {
            Self::Object(interface) => interface,
            Self::Factory => Interface::CLASS_FACTORY,
        }
    }
}

/// One call of the activator: what it gave out and its exporter, or the server's HRESULT. `server` is the name that was
/// dialled, which Windows clients send.
///
/// # Errors
/// [`Error::BadAnswer`], and those of a connection.
pub(crate) fn activate(
    resolver: &mut Connection,
    wanted: Wanted,
    version: ComVersion,
    server: Option<&str>,
) -> Result<Result<(StdObjRef, Exporter), Hresult>, Error> {
    let interface = wanted.interface();
    let server = server.map(str::to_owned);
    let properties =
        ActivationProperties::of(Clsid::CERT_ADMIN, vec![interface.iid()], random_guid()?, server);
    let request = match wanted {
        Wanted::Object(_) => ActivatorRequest::CreateInstance(properties),
        Wanted::Factory => ActivatorRequest::GetClassObject(properties),
    };
    let mut writer = stub_with(version, OrpcThis::ACTIVATION)?;
    request.write(&mut writer);
    let ready = Ready {
        interface: Interface::ACTIVATOR.syntax(),
        opnum: request.opnum(),
        object: None,
        stub: writer.into_bytes(),
    };
    let stub = resolver.call(&ready, ACTIVATION)?;
    let mut reader = Reader::new(&stub, ByteOrder::Little);
    let response = OrpcThat::read(&mut reader)
        .map_err(Into::into)
        .and_then(|_| ActivatorResponse::read(&mut reader))
        .map_err(|source| Error::answer(ACTIVATION, source))?;
    if response.code.is_failure() {
        return Ok(Err(response.code));
    }
    let wrong = |detail: &str| Error::BadAnswer { call: ACTIVATION, detail: detail.to_owned() };
    let reply = response.reply.ok_or_else(|| wrong("it succeeds without an object"))?;
    let [result] = reply.interfaces.as_slice() else {
        return Err(wrong("it does not have one interface, as was asked for"));
    };
    if result.code.is_failure() {
        return Ok(Err(result.code));
    }
    match &result.reference {
        Some(reference) if result.iid == interface.iid() && reference.iid == interface.iid() => {
            Ok(Ok((reference.reference, reply.exporter)))
        }
        Some(_) => Err(wrong("it is for another interface than was asked for")),
        None => Err(wrong("it succeeds without a reference")),
    }
}

/// Makes an object through its factory, over a connection that has bound [`Interface::CLASS_FACTORY`], and gives the factory
/// back. The connection has then bound the interface of the object, too.
///
/// # Errors
/// [`Error::Activation`], [`Error::BadAnswer`], and those of a connection.
pub(crate) fn make_by_factory(
    connection: &mut Connection,
    factory: &StdObjRef,
    exporter: &Exporter,
) -> Result<(Interface, StdObjRef), Error> {
    let version = exporter.version.common();
    let mut refused = Hresult::E_NOINTERFACE;
    let mut made = None;
    for interface in [Interface::CERT_ADMIN_2, Interface::CERT_ADMIN] {
        match create_instance(connection, factory, interface, version)? {
            Ok(object) => {
                made = Some((interface, object));
                break;
            }
            Err(code) => refused = code,
        }
        if refused != Hresult::E_NOINTERFACE {
            break;
        }
    }
    connection.add_interface(Interface::REM_UNKNOWN, ACTIVATION)?;
    release(connection, (exporter.rem_unknown, version), factory)?;
    let (interface, object) = made.ok_or(Error::Activation { code: refused })?;
    connection.add_interface(interface, ACTIVATION)?;
    Ok((interface, object))
}

/// One `IClassFactory::RemoteCreateInstance`: the object, or the server's HRESULT.
fn create_instance(
    connection: &mut Connection,
    factory: &StdObjRef,
    interface: Interface,
    version: ComVersion,
) -> Result<Result<StdObjRef, Hresult>, Error> {
    let request = FactoryRequest::CreateInstance { iid: interface.iid() };
    let mut writer = orpc_stub(version)?;
    request.write(&mut writer);
    let ready = Ready {
        interface: Interface::CLASS_FACTORY.syntax(),
        opnum: request.opnum(),
        object: object_of(factory.ipid),
        stub: writer.into_bytes(),
    };
    let stub = connection.call(&ready, ACTIVATION)?;
    let mut reader = Reader::new(&stub, ByteOrder::Little);
    let response = OrpcThat::read(&mut reader)
        .map_err(Into::into)
        .and_then(|_| FactoryResponse::read(&request, &mut reader))
        .map_err(|source| Error::answer(ACTIVATION, source))?;
    let wrong = |detail: &str| Error::BadAnswer { call: ACTIVATION, detail: detail.to_owned() };
    match response {
        FactoryResponse::Created { code, .. } if code.is_failure() => Ok(Err(code)),
        FactoryResponse::Created { reference: Some(reference), .. } if reference.iid == interface.iid() => {
            Ok(Ok(reference.reference))
        }
        _ => Err(wrong("the factory does not give what was asked for")),
    }
}
