//! What every call on an object begins with, and the calls on Remote Unknown (wire.md 4.1, 4.15).

use certadm_wire::dcom::{
    ComVersion, InterfaceReferences, Ipid, OrpcThat, OrpcThis, RemUnknownRequest, RemUnknownResponse,
    StdObjRef,
};
use certadm_wire::ndr::{ByteOrder, Guid, Reader, Writer};

use crate::connection::{Connection, Interface};
use crate::error::Error;
use crate::outlet::Ready;

/// The beginning of the stub of a call: ORPCTHIS with a causality id of its own (wire.md 4.1).
///
/// # Errors
/// [`Error::Random`].
pub(crate) fn orpc_stub(version: ComVersion) -> Result<Writer, Error> {
    stub_with(version, 0)
}

/// As [`orpc_stub`], with these flags.
///
/// # Errors
/// [`Error::Random`].
pub(crate) fn stub_with(version: ComVersion, flags: u32) -> Result<Writer, Error> {
    let mut writer = Writer::new();
    OrpcThis { version, flags, causality: random_guid()? }.write(&mut writer);
    Ok(writer)
}

/// An identifier that no other call has.
///
/// # Errors
/// [`Error::Random`].
pub(crate) fn random_guid() -> Result<Guid, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(Guid::from_le_bytes(bytes))
}

/// The object UUID of a call on an interface.
pub(crate) const fn object_of(ipid: Ipid) -> Option<Guid> {
    Some(ipid.0)
}

/// Gives an object's references back (wire.md 4.15). Whether the exporter has taken them.
///
/// # Errors
/// Those of a connection.
pub(crate) fn release(
    connection: &mut Connection,
    unknown: (Ipid, ComVersion),
    object: &StdObjRef,
) -> Result<bool, Error> {
    let references = InterfaceReferences { ipid: object.ipid, public: object.references, private: 0 };
    let request = RemUnknownRequest::Release(vec![references]);
    let stub = remote_unknown(connection, unknown, &request, "RemRelease")?;
    let mut reader = Reader::new(&stub, ByteOrder::Little);
    let answer = OrpcThat::read(&mut reader)
        .map_err(Into::into)
        .and_then(|_| RemUnknownResponse::read(&request, &mut reader));
    Ok(answer.is_ok_and(|answer| answer.code().is_success()))
}

/// One call on an exporter's Remote Unknown, over a connection that has bound it.
///
/// # Errors
/// Those of a connection.
pub(crate) fn remote_unknown(
    connection: &mut Connection,
    (ipid, version): (Ipid, ComVersion),
    request: &RemUnknownRequest,
    call: &'static str,
) -> Result<Vec<u8>, Error> {
    let mut writer = orpc_stub(version)?;
    request.write(&mut writer);
    let ready = Ready {
        interface: Interface::REM_UNKNOWN.syntax(),
        opnum: request.opnum(),
        object: object_of(ipid),
        stub: writer.into_bytes(),
    };
    connection.call(&ready, call)
}
