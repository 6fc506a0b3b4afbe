//! What all interfaces need to answer a call: what it comes with, how it is answered, and the checks that all calls on
//! objects share (wire.md 4.14).

use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;

use certadm_files::AlignedBuffer;
use certadm_wire::dcom::{DcomError, Iid, OrpcThat, OrpcThis};
use certadm_wire::ndr::{ByteOrder, NdrError, Reader, Writer};
use certadm_wire::rpc::{
    AuthLevel, Call, FaultStatus, SyntaxId, TrailerContext, TrailerError, VerificationTrailer,
};

use crate::access::Caller;
use crate::object::ConnectionId;
use crate::read::ReadAnswer;
use crate::shared::Shared;

/// What a call comes with.
pub(crate) struct Circumstances<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) connection: ConnectionId,
    /// Who calls; nobody without authentication.
    pub(crate) caller: Option<Caller>,
    /// Our own address on the connection; none over the Unix socket.
    pub(crate) local_address: Option<IpAddr>,
    pub(crate) header_signing: bool,
    /// The buffer that a read was answered from before, for the next one.
    pub(crate) spare: Cell<Option<AlignedBuffer>>,
}

/// How a call is answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// By a response with this stub.
    Stub(Vec<u8>),
    /// By a response with what was read.
    Read(ReadAnswer),
    /// By a fault.
    Fault(FaultStatus),
    /// By a response, after which the service stops.
    StopAfter(Vec<u8>),
}

impl Answer {
    /// A stub that `write` writes after ORPCTHAT.
    pub(crate) fn orpc(write: impl FnOnce(&mut Writer)) -> Self {
        Self::after(OrpcThat::CALL, write)
    }

    /// A stub that `write` writes after this ORPCTHAT.
    pub(crate) fn after(that: OrpcThat, write: impl FnOnce(&mut Writer)) -> Self {
        let mut writer = Writer::new();
        that.write(&mut writer);
        write(&mut writer);
        Self::Stub(writer.into_bytes())
    }
}

impl From<FaultStatus> for Answer {
    fn from(status: FaultStatus) -> Self {
        Self::Fault(status)
    }
}

impl From<NdrError> for Answer {
    fn from(_: NdrError) -> Self {
        Self::Fault(FaultStatus::BAD_STUB_DATA)
    }
}

impl From<TrailerError> for Answer {
    fn from(error: TrailerError) -> Self {
        Self::Fault(error.fault())
    }
}

impl From<DcomError> for Answer {
    fn from(error: DcomError) -> Self {
        Self::Fault(error.fault().unwrap_or(FaultStatus::BAD_STUB_DATA))
    }
}

/// What every call on an object or the activator must pass before its parameters count, in the order of wire.md 4.14:
/// version, level, caller, flags.
///
/// # Errors
/// The fault to answer by.
pub(crate) fn enter<'c>(
    circumstances: &'c Circumstances<'_>,
    interface: Iid,
    reader: &mut Reader<'_>,
) -> Result<&'c Caller, Answer> {
    let this = OrpcThis::read(reader)?;
    if !this.version.is_accepted() {
        return Err(FaultStatus::VERSION_MISMATCH.into());
    }
    let is_unknown = matches!(interface, Iid::REM_UNKNOWN | Iid::REM_UNKNOWN_2);
    let denied = if is_unknown { FaultStatus::OBJECT_ACCESS_DENIED } else { FaultStatus::ACCESS_DENIED };
    let caller = proven(circumstances).ok_or(denied)?;
    // An activation carries any value (wire.md 4.3).
    if this.flags != 0 && !matches!(interface, Iid::REMOTE_SCM_ACTIVATOR | Iid::ACTIVATION) {
        return Err(FaultStatus::INVALID_HEADER.into());
    }
    Ok(caller)
}

/// The caller at packet integrity or better (wire.md 4.18).
pub(crate) fn proven<'c>(circumstances: &'c Circumstances<'_>) -> Option<&'c Caller> {
    circumstances.caller.as_ref().filter(|caller| AuthLevel::Integrity <= caller.level)
}

/// A reader of the call's stub.
pub(crate) fn reader<'c>(call: &'c Call<'_>) -> Reader<'c> {
    Reader::new(&call.stub, ByteOrder::Little)
}

/// Checks the verification trailer, if there is one behind the parameters that `reader` has read (wire.md 2.15).
///
/// # Errors
/// The fault to answer by.
pub(crate) fn check_trailer(
    circumstances: &Circumstances<'_>,
    call: &Call<'_>,
    reader: &Reader<'_>,
) -> Result<(), Answer> {
    if let Some(trailer) = VerificationTrailer::find(&call.stub, reader.position(), ByteOrder::Little)? {
        trailer.check(&TrailerContext {
            interface: call.interface,
            transfer: SyntaxId::NDR,
            call_id: call.call_id,
            context_id: call.context_id,
            opnum: call.opnum,
            header_signing: circumstances.header_signing,
        })?;
    }
    Ok(())
}
