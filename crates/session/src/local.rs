//! A CA whose folder is on this machine, as a [`Source`]: the sequence machine in front of the store.

use std::path::Path;
use std::sync::Arc;

use certadm_files::IoContext;
use certadm_rules::flags::BackupType;
use certadm_rules::sequence::{EndOutcome, FileRef, LogsRequest, TruncateRequest};
use certadm_rules::unc::UncRoot;
use certadm_rules::{Diagnosis, Entry, Generation, Hresult, PlainList, Sequence, Tag, TaggedList};
use certadm_store::backup::{Backup, ImageReader, LogReader};
use certadm_store::{Error, Folder, Store};

use crate::events::{Caller, Events, Loss};
use crate::source::{CallError, CallResult, OtherBackup, Source};

/// The server object of a local CA: one backup at a time, the calls in the order of certbcli.md 7.1. It tells the log what
/// becomes of each backup (certbcli.md 15).
#[derive(Debug)]
pub struct LocalSource {
    store: Arc<Store>,
    names: UncRoot,
    events: Events,
    sequence: Sequence,
    backup: Option<Backup>,
    open: Option<Reader>,
    /// What the listed logs stand for, in the order of the list.
    logs: Vec<Generation>,
    /// The dynamic files that the last list could not hold.
    unlisted: Vec<String>,
}

#[derive(Debug)]
enum Reader {
    Image(Box<ImageReader>),
    Log(LogReader),
}

impl LocalSource {
    /// An object on `store`, whose paths carry the host's name as `names` gives it (certbcli.md D29). This process is the
    /// caller, and its backups are audited.
    pub fn new(store: Arc<Store>, names: UncRoot) -> Self {
        Self {
            store,
            names,
            events: Events { caller: Caller::this_process(), audits: true },
            sequence: Sequence::new(),
            backup: None,
            open: None,
            logs: Vec::new(),
            unlisted: Vec::new(),
        }
    }

    /// The same, writing audit records (4876, 4877) only if `audits`: bit 0x2 of the CA's audit filter.
    #[must_use]
    pub fn with_audits(mut self, audits: bool) -> Self {
        self.events.audits = audits;
        self
    }

    /// Whom the log names from now on: a service says it before each [`Source::prepare`].
    pub fn called_by(&mut self, caller: Caller) {
        self.events.caller = caller;
    }

    /// Cancels the backup from this side (certbcli.md D14, D30); without one nothing happens.
    pub fn give_up(&mut self, loss: Loss) {
        if self.sequence.backup_type().is_some() {
            self.events.backup_given_up(loss);
            self.fail();
        }
    }

    fn fail(&mut self) {
        self.sequence.fail();
        self.open = None;
        self.backup = None;
    }

    /// Reads up to `len` bytes of an open database before they are asked for, so that the next [`Source::read`] only
    /// copies them; for a service that waits for its client's next request. Nothing counts as delivered by it, and a
    /// failure is left to that read.
    pub fn read_ahead(&mut self, len: usize) {
        if let (Some(Reader::Image(image)), Ok(_)) = (&mut self.open, self.sequence.check_read()) {
            image.read_ahead(len);
        }
    }

    fn folder(&self) -> &Folder {
        self.store.folder()
    }

    /// Why a backup cannot begin: of another one that runs, whose it is.
    fn refused_prepare(&self, call: &'static str, error: Error) -> CallError {
        match (error.hresult(), self.store.running_backup()) {
            (Hresult::BACKUP_IN_PROGRESS, Some(running)) => {
                self.events.backup_refused(&running);
                CallError::because(call, OtherBackup(running.to_string()))
            }
            _ => failed(call)(error),
        }
    }

    fn unc(&self, call: &'static str, path: &Path) -> CallResult<String> {
        let absolute = certadm_files::absolute(path).unwrap_or_else(|_| path.to_owned());
        absolute
            .to_str()
            .and_then(|path| self.names.to_unc(path).ok())
            .ok_or_else(|| CallError::new(call, Hresult::INVALID_PATH))
    }

    fn entry(&self, call: &'static str, tag: Tag, path: &Path) -> CallResult<Entry> {
        let unc = self.unc(call, path)?;
        Entry::new(tag, unc).map_err(|_| CallError::new(call, Hresult::INVALID_PATH))
    }

    fn list(&self, call: &'static str, names: &[String], tag: Tag) -> CallResult<TaggedList> {
        let entries: Result<Vec<_>, _> = names.iter().map(|name| Entry::new(tag, name.clone())).collect();
        entries.map(TaggedList::new).map_err(|_| CallError::new(call, Hresult::INVALID_PATH))
    }

    /// Reads on in the open file; the sequence has allowed it.
    fn read_open_file(&mut self, call: &'static str, buffer: &mut [u8]) -> CallResult<usize> {
        let read = match &mut self.open {
            Some(Reader::Image(image)) => image.read(buffer),
            Some(Reader::Log(log)) => log.read(buffer),
            None => Err(Error::Backup(Hresult::E_UNEXPECTED)),
        };
        match read {
            Ok(len) => {
                self.sequence.delivered(len as u64).map_err(refused(call))?;
                Ok(len)
            }
            Err(error) => {
                if let Some(Reader::Image(_)) = self.open.take() {
                    self.events.database_failed(&error);
                }
                self.sequence.read_failed().map_err(refused(call))?;
                Err(failed(call)(error))
            }
        }
    }

    /// Ends the store's backup as the sequence has judged it.
    fn end_backup(&mut self, call: &'static str, outcome: &EndOutcome) -> CallResult<()> {
        let backup = self.backup.take();
        if outcome.result.is_failure() {
            self.events.backup_stopped(outcome.result);
            return Err(CallError::new(call, outcome.result));
        }
        let backup = backup.ok_or_else(|| CallError::new(call, Hresult::BACKUP_ABORT_BY_SERVER))?;
        backup
            .end(outcome.mark)
            .map_err(failed(call))
            .inspect_err(|error| self.events.mark_failed(error, error.code))
    }

    /// Ends the session, in the way that `judge` says, and tells what became of the backup.
    fn end_by(&mut self, judge: impl FnOnce(&mut Sequence) -> Result<EndOutcome, Hresult>) -> CallResult<()> {
        const CALL: &str = "BackupEnd";
        let kind = self.sequence.backup_type();
        let outcome = judge(&mut self.sequence).map_err(refused(CALL))?;
        self.open = None;
        let ended = self.end_backup(CALL, &outcome);
        match (&ended, kind) {
            (Err(error), _) => self.events.backup_failed(error.code),
            (Ok(()), Some(kind)) => self.events.backup_completed(kind, outcome.is_empty),
            (Ok(()), None) => {}
        }
        ended
    }

    fn backup(&mut self, call: &'static str) -> CallResult<&mut Backup> {
        self.backup.as_mut().ok_or_else(|| CallError::new(call, Hresult::BACKUP_ABORT_BY_SERVER))
    }
}

impl Source for LocalSource {
    fn is_online(&mut self) -> CallResult<bool> {
        Ok(true)
    }

    fn prepare(&mut self, kind: BackupType) -> CallResult<()> {
        const CALL: &str = "BackupPrepare";
        self.sequence.check_prepare().map_err(refused(CALL))?;
        let database = self.unc(CALL, self.store.database())?;
        let begun = self.store.begin_backup_by(kind, &self.events.caller.to_string());
        self.backup = Some(begun.map_err(|error| self.refused_prepare(CALL, error))?);
        self.logs.clear();
        // A logs-only session knows the names too: opening one is out of sequence there, not unknown.
        self.sequence.prepared(kind, vec![database]).map_err(refused(CALL))?;
        self.events.backup_started(kind);
        Ok(())
    }

    fn database_locations(&mut self) -> CallResult<TaggedList> {
        const CALL: &str = "RestoreGetDatabaseLocations";
        let logs = self.folder().log_dir();
        Ok(TaggedList::new(vec![
            self.entry(CALL, Tag::Database, self.store.database())?,
            self.entry(CALL, Tag::LogDirectory, &logs)?,
            self.entry(CALL, Tag::CheckpointDirectory, &logs)?,
        ]))
    }

    fn database_names(&mut self) -> CallResult<TaggedList> {
        const CALL: &str = "BackupGetDatabaseNames";
        let names = self.sequence.database_names().map_err(refused(CALL))?;
        self.list(CALL, names, Tag::Database)
    }

    fn open_file(&mut self, name: &str, _read_hint: u32) -> CallResult<u64> {
        const CALL: &str = "BackupOpenFile";
        let file = self.sequence.check_open(Some(name)).map_err(refused(CALL))?;
        let log = match file {
            FileRef::Database(_) => None,
            FileRef::Log(place) => self.logs.get(place).copied(),
        };
        let backup = self.backup(CALL)?;
        let reader = match (file, log) {
            (FileRef::Database(_), _) => {
                backup.open_image().map(|image| (image.size(), Reader::Image(Box::new(image))))
            }
            (FileRef::Log(_), Some(generation)) => {
                backup.open_log(generation).map(|log| (log.size(), Reader::Log(log)))
            }
            (FileRef::Log(_), None) => Err(Error::Backup(Hresult::MISSING_FILE_TO_BACKUP)),
        };
        let (size, reader) = match reader {
            Ok(opened) => opened,
            Err(error) => {
                if log.is_none() {
                    self.events.database_failed(&error);
                }
                // A damaged log ends the whole backup (certbcli.md 6.5); a missing one is only refused.
                if error.hresult() == Hresult::LOG_READ_VERIFY_FAILURE {
                    self.fail();
                }
                return Err(failed(CALL)(error));
            }
        };
        self.sequence.opened(file, size).map_err(refused(CALL))?;
        self.events.file_opened(name, size);
        self.open = Some(reader);
        Ok(size)
    }

    fn read(&mut self, buffer: &mut [u8]) -> CallResult<usize> {
        const CALL: &str = "BackupRead";
        if buffer.is_empty() {
            return Err(CallError::new(CALL, Hresult::E_INVALIDARG));
        }
        let is_unharmed = self.sequence.open_file().is_some_and(|file| !file.read_failed());
        let read = match self.sequence.check_read() {
            Ok(_) => self.read_open_file(CALL, buffer),
            Err(code) => Err(CallError::new(CALL, code)),
        };
        read.inspect_err(|error| {
            if is_unharmed {
                self.sequence.note_failed_read();
                self.events.read_failed(error, error.code);
            }
        })
    }

    fn close_file(&mut self) -> CallResult<()> {
        let closed = self.sequence.close().map_err(refused("BackupClose"))?;
        self.open = None;
        self.events.file_closed(closed);
        Ok(())
    }

    fn backup_logs(&mut self) -> CallResult<TaggedList> {
        const CALL: &str = "BackupGetBackupLogs";
        if let LogsRequest::Repeat(names) = self.sequence.check_backup_logs().map_err(refused(CALL))? {
            return self.list(CALL, names, Tag::Log);
        }
        let logs = self.backup(CALL)?.logs().map_err(failed(CALL))?;
        let names: Vec<String> =
            logs.iter().map(|(_, path)| self.unc(CALL, path)).collect::<CallResult<_>>()?;
        self.logs = logs.into_iter().map(|(generation, _)| generation).collect();
        let list = self.list(CALL, &names, Tag::Log)?;
        self.sequence.logs_listed(names).map_err(refused(CALL))?;
        self.events.logs_listed(&list);
        Ok(list)
    }

    fn truncate_logs(&mut self) -> CallResult<()> {
        const CALL: &str = "BackupTruncateLogs";
        if self.sequence.check_truncate().map_err(refused(CALL))? == TruncateRequest::Nothing {
            return Ok(());
        }
        let deleted = self.backup(CALL)?.truncate().map_err(failed(CALL))?;
        let deleted: Vec<Generation> = deleted.into_iter().map(|(generation, _)| generation).collect();
        self.events.logs_deleted(&deleted);
        self.sequence.truncated().map_err(refused(CALL))
    }

    fn may_ask_again(&self) -> bool {
        true
    }

    fn dynamic_files(&mut self) -> CallResult<PlainList> {
        const CALL: &str = "BackupGetDynamicFileList";
        let dir = self.folder().crl_dir();
        let (mut paths, mut unlisted) = (Vec::new(), Vec::new());
        match std::fs::read_dir(&dir) {
            Ok(_) if self.folder().crl_is_strange_link() => unlisted.push(format!("{dir:?}")),
            Ok(entries) => {
                for entry in entries {
                    let entry =
                        entry.during("list", &dir).map_err(|error| CallError::because(CALL, error))?;
                    let path = entry.path();
                    let Ok(kind) = path.symlink_metadata().map(|found| found.file_type()) else { continue };
                    // What a link leads to is nothing that this CA publishes, and may be a file of somebody else. Who has put the
                    // link there may read less than who takes the backup.
                    if kind.is_symlink() {
                        unlisted.push(format!("{path:?}"));
                        continue;
                    }
                    // A file that is being replaced is written under this ending first.
                    if !kind.is_file() || path.extension().is_some_and(|extension| extension == "new") {
                        continue;
                    }
                    // A file that no list can name must not cost the backup: nothing opens it by this name.
                    match self.unc(CALL, &path) {
                        Ok(unc) => paths.push(unc),
                        Err(_) => {
                            self.events.file_not_listed(&path);
                            unlisted.push(format!("{path:?}"));
                        }
                    }
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => {
                let error = certadm_files::Error::Io { action: "list", path: dir, source };
                return Err(CallError::because(CALL, error));
            }
        }
        paths.sort();
        unlisted.sort();
        self.unlisted = unlisted;
        PlainList::new(paths).map_err(|_| CallError::new(CALL, Hresult::INVALID_PATH))
    }

    fn unlisted_files(&self) -> &[String] {
        &self.unlisted
    }

    fn end(&mut self) -> CallResult<()> {
        self.end_by(Sequence::end)
    }

    fn abort(&mut self) -> CallResult<()> {
        self.end_by(Sequence::abort)
    }
}

fn refused(call: &'static str) -> impl Fn(Hresult) -> CallError {
    move |code| CallError::new(call, code)
}

fn failed(call: &'static str) -> impl Fn(Error) -> CallError {
    move |error| match error {
        // Nothing but a code: what it means for this call is in the table.
        Error::Backup(code) => CallError::new(call, code),
        other => CallError::because(call, other),
    }
}
