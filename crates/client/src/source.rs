//! A CA over the network as a [`Source`]: every call under its name in the C API, every error with its code.

use certadm_rules::flags::{BackupType, Origin};
use certadm_rules::{Hresult, PlainList, TaggedList};
use certadm_session::{CallError, CallResult, Source};
use certadm_wire::csra::Request;

use crate::ca::RemoteCa;
use crate::delivered::Verdict;
use crate::error::Error;

impl Source for RemoteCa {
    fn is_online(&mut self) -> CallResult<bool> {
        self.server_state().map_err(|error| self.explain_name(error)).map_err(failed("IsServerOnline"))
    }

    fn prepare(&mut self, kind: BackupType) -> CallResult<()> {
        const CALL: &str = "BackupPrepare";
        self.backup_prepare(kind).map_err(|error| failed(CALL)(self.explain(CALL, error)))
    }

    fn database_locations(&mut self) -> CallResult<TaggedList> {
        const CALL: &str = "RestoreGetDatabaseLocations";
        self.tagged_list(&Request::RestoreGetDatabaseLocations, CALL)
            .map_err(|error| failed(CALL)(self.explain(CALL, error)))
    }

    fn database_names(&mut self) -> CallResult<TaggedList> {
        const CALL: &str = "BackupGetDatabaseNames";
        self.tagged_list(&Request::BackupGetAttachmentInformation, CALL).map_err(failed(CALL))
    }

    fn open_file(&mut self, name: &str, read_hint: u32) -> CallResult<u64> {
        let length = self.backup_open(name).map_err(failed("BackupOpenFile"))?;
        self.reading.open(name, length, read_hint);
        self.delivered.opened(name);
        Ok(length)
    }

    fn read(&mut self, buffer: &mut [u8]) -> CallResult<usize> {
        const CALL: &str = "BackupRead";
        if buffer.is_empty() {
            return Err(CallError::new(CALL, Hresult::E_INVALIDARG));
        }
        self.read_file(buffer).map_err(failed(CALL))
    }

    fn close_file(&mut self) -> CallResult<()> {
        let (all, sent) = (self.reading.all_taken(), self.reading.all_sent());
        self.reading.close();
        self.invoke_plain(&Request::BackupCloseFile, "BackupCloseFile").map_err(failed("BackupClose"))?;
        self.delivered.closed(all, sent);
        Ok(())
    }

    fn backup_logs(&mut self) -> CallResult<TaggedList> {
        const CALL: &str = "BackupGetBackupLogs";
        let logs = self.tagged_list(&Request::BackupGetBackupLogs, CALL).map_err(failed(CALL))?;
        self.delivered.logs_listed();
        Ok(logs)
    }

    fn truncate_logs(&mut self) -> CallResult<()> {
        const CALL: &str = "BackupTruncateLogs";
        if self.delivered.refuses_truncation() {
            return Err(CallError::new(CALL, Hresult::LOG_FILE_NOT_COPIED));
        }
        self.invoke_plain(&Request::BackupTruncateLogs, CALL).map_err(failed(CALL))?;
        self.delivered.truncated();
        Ok(())
    }

    /// A socket of this machine is our own service's. Nothing that comes over the network tells such a CA from Windows for certain.
    fn may_ask_again(&self) -> bool {
        self.origin() == Origin::Local
    }

    fn dynamic_files(&mut self) -> CallResult<PlainList> {
        const CALL: &str = "BackupGetDynamicFileList";
        self.plain_list(&Request::BackupGetDynamicFiles, CALL).map_err(failed(CALL))
    }

    fn end(&mut self) -> CallResult<()> {
        const CALL: &str = "BackupEnd";
        // A file that is still open is closed by the end.
        self.delivered.closed(self.reading.all_taken(), self.reading.all_sent());
        self.reading.close();
        let can_abandon = self.in_backup && !self.connection.is_broken();
        if let (true, Verdict::NoMark(code)) = (can_abandon, self.delivered.verdict()) {
            self.abandon();
            self.in_backup = false;
            return if code.is_success() { Ok(()) } else { Err(CallError::new(CALL, code)) };
        }
        let ended = self.invoke_plain(&Request::BackupEnd, CALL).map_err(failed(CALL));
        // Whatever the CA answers, the backup is over (certbcli.md D12).
        self.in_backup = false;
        ended
    }

    /// BackupEnd has no word for it: a CA that has sent everything would write its mark (certbcli.md 8.4), and our service would record a
    /// backup as completed. Whoever lets go of the object has the backup aborted (certbcli.md 6.9, D30). Only where the CA does
    /// not take it back does BackupEnd follow.
    fn abort(&mut self) -> CallResult<()> {
        if !self.in_backup || self.connection.is_broken() || self.delivered.ends_without_abort() {
            return self.end();
        }
        self.reading.close();
        self.abandon_or_end();
        self.in_backup = false;
        Err(CallError::new("BackupEnd", Hresult::BACKUP_ABORT_BY_CALLER))
    }
}

/// The error under the C API's name of the call, with everything this side knows behind it.
fn failed(call: &'static str) -> impl Fn(Error) -> CallError {
    move |error| CallError::because(call, error)
}
