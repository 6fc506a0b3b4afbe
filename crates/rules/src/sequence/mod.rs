//! The order of calls in a backup: the table of certbcli.md 7.1 as a state machine.
//!
//! One [`Sequence`] stands for one server object, which is the session (certbcli.md 2.1). Its owner asks first, does the
//! work, then confirms:
//!
//! ```
//! use certadm_rules::{BackupType, Hresult};
//! use certadm_rules::sequence::{LogsRequest, Sequence};
//!
//! let mut sequence = Sequence::new();
//! sequence.check_prepare()?;
//! // ... the engine starts its backup ...
//! sequence.prepared(BackupType::Full, vec![r"\\ca\root$\db\CA.db".to_owned()])?;
//!
//! let file = sequence.check_open(Some(r"\\CA\root$\db\ca.db"))?;
//! // ... the file is opened ...
//! sequence.opened(file, 8192)?;
//! assert_eq!(sequence.check_read()?.remaining(), 8192);
//! // ... it is read ...
//! sequence.delivered(8192)?;
//! sequence.close()?;
//!
//! assert_eq!(sequence.check_backup_logs()?, LogsRequest::Roll);
//! # Ok::<(), Hresult>(())
//! ```
//!
//! A call refused with a code changes nothing. A confirmation checks again, since the session may have failed while the
//! work was done (the service stops, the client is lost): it then gives the code to answer with, and the owner undoes
//! the work. So no order of calls, asked or unasked, leaves the table.
//!
//! What the machine does not know, its owner checks: rights and transport, which come before anything here (certbcli.md
//! 12, 14.3); whether *another* object runs a backup (0xC80001F9, D25); whether a listed file still exists (0xC8000239).
//! `GetDynamicFileList` and `RestoreGetDatabaseLocations` are allowed in every state and are not asked about.

mod files;

pub use files::{FileRef, OpenFile};

use self::files::FileList;
use crate::{BackupKind, BackupType, Hresult, names};

/// A column of the table of certbcli.md 7.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// No session: before `BackupPrepare` and after `BackupEnd`.
    NoSession,
    /// Databases may be opened.
    Database,
    /// A database is open.
    DatabaseOpen,
    /// Logs may be opened, once they are listed.
    Log,
    /// A log is open.
    LogOpen,
    /// The logs are truncated; they may be opened as far as they still exist.
    Truncated,
    /// The server has cancelled the backup.
    Failed,
}

/// What `GetBackupLogs` has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogsRequest<'a> {
    /// Roll the current log, list the archived ones, and confirm with [`Sequence::logs_listed`].
    Roll,
    /// Answer these names again; nothing changes.
    Repeat(&'a [String]),
}

/// What `TruncateLogs` has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TruncateRequest {
    /// Delete the range fixed at `GetBackupLogs`, and confirm with [`Sequence::truncated`].
    Delete,
    /// Succeed; it is done already.
    Nothing,
}

/// What a session that has just ended amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct EndOutcome {
    /// The result of `BackupEnd`: success only for a backup that is complete.
    pub result: Hresult,
    /// The kind whose mark goes into the database header, if one does.
    pub mark: Option<BackupKind>,
    /// The file that was still open; it is to be closed.
    pub open_file: Option<OpenFile>,
    /// No file was ever opened in it: nothing was backed up, whatever the result.
    pub is_empty: bool,
}

/// The session of one server object, or its absence.
#[derive(Debug, Default)]
pub struct Sequence {
    session: Option<Session>,
}

#[derive(Debug)]
struct Session {
    backup_type: BackupType,
    databases: FileList,
    /// Nothing until `GetBackupLogs` has listed them.
    logs: Option<FileList>,
    open_file: Option<OpenFile>,
    truncated: bool,
    failed: bool,
    /// Whether any file was opened.
    has_opened: bool,
}

impl Sequence {
    /// An object without a session.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The column of the table that the session is in.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.session.as_ref().map_or(Phase::NoSession, Session::phase)
    }

    /// What the running session backs up.
    #[must_use]
    pub fn backup_type(&self) -> Option<BackupType> {
        self.session.as_ref().map(|session| session.backup_type)
    }

    /// The file that is open, in a failed session too.
    #[must_use]
    pub fn open_file(&self) -> Option<OpenFile> {
        self.session.as_ref().and_then(|session| session.open_file)
    }

    /// Asks for `BackupPrepare`.
    ///
    /// # Errors
    ///
    /// `E_UNEXPECTED` while this object has a session.
    pub fn check_prepare(&self) -> Result<(), Hresult> {
        match self.phase() {
            Phase::NoSession => Ok(()),
            _ => Err(Hresult::E_UNEXPECTED),
        }
    }

    /// Begins a session. `database_names` are fixed from here on, in a logs-only session too, where they can be neither
    /// listed nor opened and need not be read.
    ///
    /// # Errors
    ///
    /// Those of [`Sequence::check_prepare`].
    pub fn prepared(&mut self, backup_type: BackupType, database_names: Vec<String>) -> Result<(), Hresult> {
        self.check_prepare()?;
        self.session = Some(Session {
            backup_type,
            databases: FileList::new(database_names),
            logs: None,
            open_file: None,
            truncated: false,
            failed: false,
            has_opened: false,
        });
        Ok(())
    }

    /// Asks for `GetDatabaseNames`; these are the names. Nothing changes.
    ///
    /// # Errors
    ///
    /// 0xC8000209 without a session or in a logs-only one, 0xC8000321 in a failed full one.
    pub fn database_names(&self) -> Result<&[String], Hresult> {
        match &self.session {
            Some(Session { backup_type: BackupType::Full, failed: true, .. }) => {
                Err(Hresult::BACKUP_ABORT_BY_SERVER)
            }
            Some(session) if session.backup_type == BackupType::Full => Ok(session.databases.names()),
            _ => Err(Hresult::INVALID_BACKUP_SEQUENCE),
        }
    }

    /// Asks for `OpenFile`: which file the name means, by the checks of certbcli.md D9 in their order. Whether a listed
    /// file still exists (else 0xC8000239) is for the caller to see, most of all after a truncation.
    ///
    /// # Errors
    ///
    /// `E_INVALIDARG` for no name, an empty one, or one that was not listed; `E_UNEXPECTED` without a session or while a
    /// file is open; 0xC8000321 in a failed session; 0xC8000209 for a database outside the database phase, and for
    /// anything named like a log before the logs are listed.
    pub fn check_open(&self, name: Option<&str>) -> Result<FileRef, Hresult> {
        let name = name.filter(|name| !name.is_empty()).ok_or(Hresult::E_INVALIDARG)?;
        let session = self.session_without_open_file()?;
        let file = session.find(name)?;
        session.check_phase_of(file)?;
        Ok(file)
    }

    /// Confirms that a file is open and freezes its size in bytes.
    ///
    /// # Errors
    ///
    /// Those of [`Sequence::check_open`] for a listed name; the caller closes the file again. `E_INVALIDARG` for a file
    /// outside the lists.
    pub fn opened(&mut self, file: FileRef, size: u64) -> Result<(), Hresult> {
        let session = self.session_without_open_file()?;
        let listed = match file {
            FileRef::Database(place) => place < session.databases.names().len(),
            FileRef::Log(place) => session.logs.as_ref().is_some_and(|logs| place < logs.names().len()),
        };
        if !listed {
            return Err(Hresult::E_INVALIDARG);
        }
        session.check_phase_of(file)?;
        let session = self.running()?;
        session.open_file = Some(OpenFile::new(file, size));
        session.has_opened = true;
        session.note_if_read();
        Ok(())
    }

    /// Asks for `ReadFile`: what is open and how much of it is still to come. At the end of the file that is nothing,
    /// and the read succeeds with no bytes (certbcli.md 6.5).
    ///
    /// # Errors
    ///
    /// `E_UNEXPECTED` when no file is open, 0xC8000321 in a failed session.
    pub fn check_read(&self) -> Result<OpenFile, Hresult> {
        match &self.session {
            Some(Session { failed: true, .. }) => Err(Hresult::BACKUP_ABORT_BY_SERVER),
            Some(Session { open_file: Some(open_file), .. }) => Ok(*open_file),
            _ => Err(Hresult::E_UNEXPECTED),
        }
    }

    /// Confirms that a read delivered so many bytes. With the last one the file counts as read, for good; bytes beyond
    /// its size do not count.
    ///
    /// # Errors
    ///
    /// Those of [`Sequence::check_read`].
    pub fn delivered(&mut self, bytes: u64) -> Result<(), Hresult> {
        self.check_read()?;
        let session = self.running()?;
        if let Some(open_file) = &mut session.open_file {
            open_file.deliver(bytes);
        }
        session.note_if_read();
        Ok(())
    }

    /// Notes that a read of the open file failed or was refused, whatever the reason: [`OpenFile::read_failed`] tells it
    /// until the file is closed. Without an open file nothing happens.
    pub fn note_failed_read(&mut self) {
        if let Some(open_file) = self.session.as_mut().and_then(|session| session.open_file.as_mut()) {
            open_file.note_failed_read();
        }
    }

    /// Tells that a read failed. A database is closed by it and stays unread, and its session goes on; a log takes the
    /// whole backup down (certbcli.md 6.5), its file staying open until it is closed.
    ///
    /// # Errors
    ///
    /// Those of [`Sequence::check_read`]: nothing was being read.
    pub fn read_failed(&mut self) -> Result<OpenFile, Hresult> {
        let open_file = self.check_read()?;
        let session = self.running()?;
        match open_file.file() {
            FileRef::Database(_) => session.open_file = None,
            FileRef::Log(_) => session.failed = true,
        }
        Ok(open_file)
    }

    /// `CloseFile`: the file that was open and how far it was read. Also closes the one of a failed session.
    ///
    /// # Errors
    ///
    /// `E_UNEXPECTED` when no file is open.
    pub fn close(&mut self) -> Result<OpenFile, Hresult> {
        self.session.as_mut().and_then(|session| session.open_file.take()).ok_or(Hresult::E_UNEXPECTED)
    }

    /// Asks for `GetBackupLogs`: the first call rolls, every other repeats the list.
    ///
    /// # Errors
    ///
    /// `E_UNEXPECTED` without a session, 0xC8000209 while a file is open, 0xC8000321 in a failed session.
    pub fn check_backup_logs(&self) -> Result<LogsRequest<'_>, Hresult> {
        let session = self.session_between_files()?;
        Ok(session.logs.as_ref().map_or(LogsRequest::Roll, |logs| LogsRequest::Repeat(logs.names())))
    }

    /// Confirms the roll with the names of the logs. The database phase is over. A list fixed before stays as it was.
    ///
    /// # Errors
    ///
    /// Those of [`Sequence::check_backup_logs`].
    pub fn logs_listed(&mut self, log_names: Vec<String>) -> Result<(), Hresult> {
        self.session_between_files()?;
        self.running()?.logs.get_or_insert_with(|| FileList::new(log_names));
        Ok(())
    }

    /// Asks for `TruncateLogs`.
    ///
    /// # Errors
    ///
    /// `E_UNEXPECTED` without a session; 0xC8000209 while a file is open and before the logs are listed; 0xC8000268 when
    /// anything listed is unread, the databases of a full session among it; 0xC8000321 in a failed session.
    pub fn check_truncate(&self) -> Result<TruncateRequest, Hresult> {
        let session = self.session_between_files()?;
        let logs = session.logs.as_ref().ok_or(Hresult::INVALID_BACKUP_SEQUENCE)?;
        if session.truncated {
            Ok(TruncateRequest::Nothing)
        } else if session.databases_done() && logs.all_read() {
            Ok(TruncateRequest::Delete)
        } else {
            Err(Hresult::LOG_FILE_NOT_COPIED)
        }
    }

    /// Confirms the truncation. Where the deletion failed, do not confirm: the session then stays in the log phase.
    ///
    /// # Errors
    ///
    /// Those of [`Sequence::check_truncate`].
    pub fn truncated(&mut self) -> Result<(), Hresult> {
        self.check_truncate()?;
        self.running()?.truncated = true;
        Ok(())
    }

    /// Cancels the backup from the server's side: the service stops, the client is lost or idle for too long (certbcli.md
    /// D14, D30). Without a session nothing happens.
    pub fn fail(&mut self) {
        if let Some(session) = &mut self.session {
            session.failed = true;
        }
    }

    /// `BackupEnd`: the session is over whatever its result (certbcli.md D12), and the object may prepare again.
    ///
    /// The result is success for a backup that is complete, 0xC8000320 before the log phase and for a full backup with an
    /// unread database, 0xC8000321 for a failed session. A mark goes with a success whose every listed log was read.
    ///
    /// # Errors
    ///
    /// `E_UNEXPECTED` without a session: there is nothing to end.
    pub fn end(&mut self) -> Result<EndOutcome, Hresult> {
        let session = self.session.take().ok_or(Hresult::E_UNEXPECTED)?;
        let log_phase = session.logs.is_some() || session.backup_type == BackupType::LogsOnly;
        let result = if session.failed {
            Hresult::BACKUP_ABORT_BY_SERVER
        } else if log_phase && session.databases_done() {
            Hresult::S_OK
        } else {
            Hresult::BACKUP_ABORT_BY_CALLER
        };
        let complete = result.is_success() && session.logs.as_ref().is_some_and(FileList::all_read);
        let mark = complete.then(|| BackupKind::of(session.backup_type, session.truncated));
        Ok(EndOutcome { result, mark, open_file: session.open_file, is_empty: !session.has_opened })
    }

    /// The caller gives the backup up: as [`Sequence::end`], but it is not complete however much of it was read, because what was read
    /// became no set. Only where the logs are deleted the set stands, and the session ends as it is.
    ///
    /// # Errors
    ///
    /// `E_UNEXPECTED` without a session.
    pub fn abort(&mut self) -> Result<EndOutcome, Hresult> {
        let is_truncated = self.session.as_ref().is_some_and(|session| session.truncated);
        let ended = self.end()?;
        Ok(match is_truncated || ended.result.is_failure() {
            true => ended,
            false => EndOutcome { result: Hresult::BACKUP_ABORT_BY_CALLER, mark: None, ..ended },
        })
    }

    /// The session, to change it once its state is checked.
    fn running(&mut self) -> Result<&mut Session, Hresult> {
        self.session.as_mut().ok_or(Hresult::E_UNEXPECTED)
    }

    /// The session that may open a file: not failed, none open.
    fn session_without_open_file(&self) -> Result<&Session, Hresult> {
        match &self.session {
            Some(Session { failed: true, .. }) => Err(Hresult::BACKUP_ABORT_BY_SERVER),
            Some(session) if session.open_file.is_none() => Ok(session),
            _ => Err(Hresult::E_UNEXPECTED),
        }
    }

    /// The session that may list or truncate logs: as above, with another code for an open file.
    fn session_between_files(&self) -> Result<&Session, Hresult> {
        match &self.session {
            Some(Session { failed: false, open_file: Some(_), .. }) => Err(Hresult::INVALID_BACKUP_SEQUENCE),
            _ => self.session_without_open_file(),
        }
    }
}

impl Session {
    fn phase(&self) -> Phase {
        if self.failed {
            return Phase::Failed;
        }
        match self.open_file.map(OpenFile::file) {
            Some(FileRef::Database(_)) => Phase::DatabaseOpen,
            Some(FileRef::Log(_)) => Phase::LogOpen,
            None if self.truncated => Phase::Truncated,
            None if self.logs.is_some() || self.backup_type == BackupType::LogsOnly => Phase::Log,
            None => Phase::Database,
        }
    }

    /// The file that a name means (certbcli.md D9).
    fn find(&self, name: &str) -> Result<FileRef, Hresult> {
        if let Some(place) = self.databases.find(name) {
            return Ok(FileRef::Database(place));
        }
        match &self.logs {
            Some(logs) => logs.find(name).map(FileRef::Log).ok_or(Hresult::E_INVALIDARG),
            None if names::names_a_log(name) => Err(Hresult::INVALID_BACKUP_SEQUENCE),
            None => Err(Hresult::E_INVALIDARG),
        }
    }

    /// Databases belong to the database phase. Logs need no check: none is listed before theirs.
    fn check_phase_of(&self, file: FileRef) -> Result<(), Hresult> {
        match (file, self.phase()) {
            (FileRef::Database(_), Phase::Database) | (FileRef::Log(_), _) => Ok(()),
            (FileRef::Database(_), _) => Err(Hresult::INVALID_BACKUP_SEQUENCE),
        }
    }

    /// A file is read once one opening delivered every byte of its size.
    fn note_if_read(&mut self) {
        let Some(open_file) = self.open_file.filter(|open_file| open_file.remaining() == 0) else {
            return;
        };
        match (open_file.file(), &mut self.logs) {
            (FileRef::Database(place), _) => self.databases.mark_read(place),
            (FileRef::Log(place), Some(logs)) => logs.mark_read(place),
            (FileRef::Log(_), None) => {}
        }
    }

    /// Whether every database that has to be read was.
    fn databases_done(&self) -> bool {
        self.backup_type == BackupType::LogsOnly || self.databases.all_read()
    }
}
