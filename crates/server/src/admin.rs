//! `ICertAdminD` and `ICertAdminD2`: the CA's own methods (wire.md 5.1 to 5.7).

use std::sync::Arc;
use std::time::Instant;

use certadm_rules::flags::{Control, Origin, Roles};
use certadm_rules::{BackupType, Hresult};
use certadm_session::{CallError, Source};
use certadm_wire::csra::{Interface, Method, Request, RequestError, Response};
use certadm_wire::dcom::{Iid, Ipid};
use certadm_wire::rpc::{Call, FaultStatus};

use crate::access::{self, Caller, Refusal, Rules};
use crate::audit;
use crate::call::{Answer, Circumstances, check_trailer, enter, reader};
use crate::identity::Identity;
use crate::limits::TICK;
use crate::object::{AdminObject, Session, State};
use crate::properties;
use crate::read;

/// Answers a call on the CA's object.
///
/// # Errors
/// The fault to answer by: for what is wrong with the call itself, never for the method's own failure (wire.md 4.14).
pub(crate) fn answer(
    circumstances: &Circumstances<'_>,
    call: &Call<'_>,
    interface: Iid,
) -> Result<Answer, Answer> {
    let mut reader = reader(call);
    let caller = enter(circumstances, interface, &mut reader)?;
    let now = Instant::now();
    let shared = circumstances.shared;
    let found = call.object.and_then(|ipid| shared.objects.find(Ipid(ipid), now));
    // The IPID's interface must be the one that was bound, or derive from it.
    let object = found
        .filter(|(_, held)| *held == interface || *held == Iid::CERT_ADMIN_2 && interface == Iid::CERT_ADMIN)
        .and_then(|(thing, _)| thing.object())
        .ok_or(FaultStatus::DISCONNECTED)?;
    let table = if interface == Iid::CERT_ADMIN_2 { Interface::CertAdmin2 } else { Interface::CertAdmin };
    let method = Method::from_opnum(table, call.opnum).ok_or(FaultStatus::OPNUM_OUT_OF_RANGE)?;
    let (request, refused) = match Request::read(table, call.opnum, &mut reader) {
        Ok(request) => (Some(request), None),
        Err(RequestError::NotBackup { .. }) => (None, None),
        Err(error) => (None, Some(error.code().ok_or_else(|| properties::fault(error))?)),
    };
    if request.is_some() {
        check_trailer(circumstances, call, &reader)?;
    }
    let rules = Rules { flags: shared.settings.interface_flags, allowed: shared.settings.allowed };
    if let Err(refusal) = access::check(caller, rules, method) {
        audit::refused(shared, caller, method, refusal);
        return refuse(method, request.as_ref(), refusal);
    }
    #[cfg(feature = "fuzzing")]
    crate::reached::has_run();
    if let Some(code) = refused {
        return Ok(properties::failure(method, code));
    }
    match request {
        None => properties::answer(circumstances, caller, call, (table, method), &mut reader),
        Some(request) => {
            let calling = Calling { circumstances, caller, method, object: &object, now };
            calling.answer(&request)
        }
    }
}

/// One allowed call.
struct Calling<'c> {
    circumstances: &'c Circumstances<'c>,
    caller: &'c Caller,
    method: Method,
    object: &'c Arc<AdminObject>,
    now: Instant,
}

impl Calling<'_> {
    fn answer(&self, request: &Request) -> Result<Answer, Answer> {
        if let Err(code) = self.check_authority(request) {
            return Ok(Answer::orpc(|writer| Response::failure(request, code).write(writer)));
        }
        let response = match request {
            Request::Ping { .. } | Request::Ping2 { .. } => Ok(Response::Code(Hresult::S_OK)),
            Request::GetServerState { .. } => Ok(self.server_state()),
            Request::ServerControl { flags, .. } => match Control::from_flags(*flags) {
                Ok(control) => return Ok(self.control(control)),
                Err(code) => Err(code),
            },
            request => return self.backup(request),
        };
        let response = response.unwrap_or_else(|code| Response::failure(request, code));
        Ok(Answer::orpc(|writer| response.write(writer)))
    }

    /// The CA's common name, its sanitized name, or the short one; NULL and empty mean the only CA (wire.md 5.1).
    fn check_authority(&self, request: &Request) -> Result<(), Hresult> {
        let (Request::ServerControl { authority, .. }
        | Request::Ping { authority }
        | Request::Ping2 { authority }
        | Request::GetServerState { authority }
        | Request::BackupPrepare { authority, .. }) = request
        else {
            return Ok(());
        };
        self.circumstances.shared.check_authority(authority.as_deref())
    }

    /// 1 when the CA answers this caller (certbcli.md D7).
    fn server_state(&self) -> Response<'static> {
        let shared = self.circumstances.shared;
        let may_read = self.caller.roles.has_any(Roles::READ);
        Response::State { state: u32::from(may_read && !shared.is_stopping()), code: Hresult::S_OK }
    }

    fn control(&self, control: Control) -> Answer {
        let shared = self.circumstances.shared;
        audit::control(shared, self.caller, control);
        let response = Response::Control { blob: &[], code: Hresult::S_OK };
        let answer = Answer::orpc(|writer| response.write(writer));
        match (control, answer) {
            (Control::Shutdown, Answer::Stub(stub)) => {
                // Running backups are aborted first (wire.md 5.7).
                shared.begin_stop();
                Answer::StopAfter(stub)
            }
            (_, answer) => answer,
        }
    }

    /// The methods that work on the object's backup, one at a time.
    fn backup(&self, request: &Request) -> Result<Answer, Answer> {
        if writes(request) {
            self.wait_for_turn();
        }
        let mut state = self.object.lock();
        if let Some(session) = &state.session
            && access::is_backup(self.method)
            && session.owner != self.caller.identity
        {
            audit::refused(self.circumstances.shared, self.caller, self.method, Refusal::OtherCaller);
            return refuse(self.method, Some(request), Refusal::OtherCaller);
        }
        self.object.called(&mut state, self.circumstances.connection, self.now);
        if let Request::BackupReadFile { size } = request {
            let storage = self.circumstances.spare.take().unwrap_or_default();
            return Ok(Answer::Read(read::answer(self.object, &mut state, *size, storage)));
        }
        let response = self.run(&mut state, request).unwrap_or_else(|error| {
            let (code, caller) = (error.code, &self.caller.identity);
            tracing::debug!(%caller, opnum = self.method.opnum(), %error, %code, "a backup call failed");
            Response::failure(request, error.code)
        });
        Ok(Answer::orpc(|writer| response.write(writer)))
    }

    /// Lets a caller who has written much lately wait. He may have many connections, but each of them waits for one call.
    fn wait_for_turn(&self) {
        let shared = self.circumstances.shared;
        let until = self.now + shared.writes.book(self.caller.identity.clone(), self.now);
        while !shared.is_stopping() {
            match until.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => std::thread::sleep(left.min(TICK)),
                _ => return,
            }
        }
    }

    fn run(&self, state: &mut State, request: &Request) -> Result<Response<'static>, CallError> {
        let source = &mut state.source;
        let list = |units| Response::List { units, code: Hresult::S_OK };
        Ok(match request {
            Request::BackupPrepare { grbit_jet, .. } => {
                self.prepare(state, *grbit_jet)?;
                Response::Code(Hresult::S_OK)
            }
            Request::BackupEnd => {
                let ended = source.end();
                state.session = None;
                ended?;
                Response::Code(Hresult::S_OK)
            }
            Request::BackupGetAttachmentInformation => list(units_of(&source.database_names()?.to_units())),
            Request::BackupGetBackupLogs => list(units_of(&source.backup_logs()?.to_units())),
            Request::BackupOpenFile { path } => {
                let length = source.open_file(path.as_deref().unwrap_or_default(), 0)?;
                Response::Length { length, code: Hresult::S_OK }
            }
            Request::BackupCloseFile => {
                source.close_file()?;
                Response::Code(Hresult::S_OK)
            }
            Request::BackupTruncateLogs => {
                source.truncate_logs()?;
                Response::Code(Hresult::S_OK)
            }
            Request::BackupGetDynamicFiles => {
                let files = source.dynamic_files()?;
                list(if files.is_empty() { Vec::new() } else { files.to_units() })
            }
            Request::RestoreGetDatabaseLocations => list(units_of(&source.database_locations()?.to_units())),
            other => Response::failure(other, Hresult::E_NOTIMPL),
        })
    }

    fn prepare(&self, state: &mut State, grbit_jet: u32) -> Result<(), CallError> {
        let refused = |code| CallError::new("BackupPrepare", code);
        let kind = BackupType::from_wire(grbit_jet).map_err(refused)?;
        let shared = self.circumstances.shared;
        if shared.is_stopping() {
            return Err(refused(Hresult::BACKUP_ABORT_BY_SERVER));
        }
        let owner = self.caller.identity.clone();
        state.source.called_by(match &owner {
            Identity::Account { .. } | Identity::Principal(_) => {
                certadm_session::Caller::remote(owner.to_string(), self.caller.address)
            }
            Identity::Local { .. } => certadm_session::Caller::local(owner.to_string()),
        });
        state.source.prepare(kind)?;
        let local = self.caller.origin == Origin::Local;
        state.session = Some(Session { owner, last_call: self.now, aborted: false, local });
        Ok(())
    }
}

/// Whether a call makes or deletes files at the CA: it rolls the log, or truncates. BackupEnd notes a backup only after
/// BackupGetBackupLogs, whose pace then is its own; BackupPrepare changes nothing.
fn writes(request: &Request) -> bool {
    matches!(request, Request::BackupGetBackupLogs | Request::BackupTruncateLogs)
}

/// A list without entries travels as NULL (wire.md 5.5).
fn units_of(units: &[u16]) -> Vec<u16> {
    if units.iter().all(|unit| *unit == 0) { Vec::new() } else { units.to_vec() }
}

/// E_ACCESSDENIED as the method's own answer. A refused read is answered by a fault instead: its answer would have to
/// carry as many bytes as the caller cares to ask for (wire.md 7, item 9).
fn refuse(method: Method, request: Option<&Request>, refusal: Refusal) -> Result<Answer, Answer> {
    let code = refusal.hresult();
    match request {
        Some(Request::BackupReadFile { .. }) => Err(FaultStatus::ACCESS_DENIED.into()),
        Some(request) => Ok(Answer::orpc(|writer| Response::failure(request, code).write(writer))),
        None => Ok(properties::failure(method, code)),
    }
}
