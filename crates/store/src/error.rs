//! What can go wrong in the store, whose fault it is, and the HRESULT that stands for it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use certadm_rules::diagnosis::Class;
use certadm_rules::{Diagnosis, Generation, Hresult};

use crate::holder::Holder;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the store. [`Diagnosis`] has its code, whose fault it is, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] certadm_files::Error),
    /// SQLite refused or failed.
    #[error("the database engine failed")]
    Sqlite(#[source] rusqlite::Error),
    /// The folder holds no CA.
    #[error("{folder} is not the folder of a CA: {}", lacks(folder))]
    NotACaFolder {
        /// The folder looked at.
        folder: PathBuf,
    },
    /// The CA's folder holds no database file.
    #[error("the database of the CA in {folder} is missing")]
    DatabaseMissing {
        /// The CA's folder.
        folder: PathBuf,
    },
    /// More than one database file lies in the database folder.
    #[error("{folder} holds more than one database file")]
    SeveralDatabases {
        /// The database folder.
        folder: PathBuf,
    },
    /// A CA is to be created where one is.
    #[error("{folder} already holds a CA")]
    AlreadyExists {
        /// The CA's folder.
        folder: PathBuf,
    },
    /// Another process owns the store.
    #[error("the CA in {folder} is in use: {} owns its database", named(holder.as_deref()))]
    Owned {
        /// The CA's folder.
        folder: PathBuf,
        /// Who it is, as far as its lock file tells.
        holder: Option<Box<Holder>>,
    },
    /// Somebody has the database open while it has to be replaced.
    #[error("the database in {folder} is open in another process")]
    InUse {
        /// The CA's folder.
        folder: PathBuf,
    },
    /// A lock that is held for one commit or one roll is held for longer.
    #[error("the lock {path} is held by {} for more than {seconds} seconds", holder.as_deref().unwrap_or("another process"))]
    LockHeld {
        /// The lock file.
        path: PathBuf,
        /// Which program and process, where the system tells.
        holder: Option<String>,
        /// How long it was waited for.
        seconds: u64,
    },
    /// A registered restore has not been carried out yet.
    #[error("a restore is registered for the CA in {folder} and not finished")]
    RestorePending {
        /// The CA's folder.
        folder: PathBuf,
        /// The state of the registration: pending, failed, or complete and waiting for the owner's start.
        state: Hresult,
    },
    /// The registration record cannot be read.
    #[error("the restore record {path} is malformed: {detail}")]
    BadRecord {
        /// The record's path.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A registration was refused.
    #[error("the restore registration was refused")]
    Registration(#[source] Hresult),
    /// Two names in one folder stand for one generation.
    #[error("{path} is a second log of one generation")]
    LogTwice {
        /// The second file.
        path: PathBuf,
    },
    /// A log file is damaged.
    #[error("log {path} is damaged: {detail}")]
    LogDamaged {
        /// The log.
        path: PathBuf,
        /// What was found.
        detail: String,
        /// True when its end is missing, false when bytes differ.
        torn: bool,
    },
    /// A log file was written by another version of the format.
    #[error("log {path} has format version {version}, this program knows {}", crate::log_file::VERSIONS)]
    LogVersion {
        /// The log.
        path: PathBuf,
        /// The version it names.
        version: u32,
    },
    /// A file's name and the generation in its header disagree.
    #[error("log {path} holds generation {found}")]
    LogMisnamed {
        /// The log.
        path: PathBuf,
        /// The generation in its header.
        found: Generation,
    },
    /// The chain of logs does not fit; the code says how.
    #[error("{detail}")]
    Chain {
        /// What does not fit, in words.
        detail: String,
        /// The engine's code (certbcli.md 9.2).
        code: Hresult,
    },
    /// The database image is damaged or not what it should be; the code says how.
    #[error("{detail}")]
    Image {
        /// What is wrong, in words.
        detail: String,
        /// The engine's code (certbcli.md 9.2).
        code: Hresult,
    },
    /// The schema of a database is not that of a CA: it would run what somebody else wrote. Or what it says of itself is
    /// nothing that a CA starts on.
    #[error("{path} is not the database of a CA as certadm makes it: {detail}")]
    Foreign {
        /// The database.
        path: PathBuf,
        /// Which object is foreign, differs or is missing, or what is wrong with the row.
        detail: String,
    },
    /// A backup call was refused or failed by the rules of the sequence or the ranges.
    #[error("the backup call was refused")]
    Backup(#[source] Hresult),
    /// The committing thread has ended.
    #[error("the store was closed")]
    Closed,
    /// A commit shared by several callers failed.
    #[error("{detail}")]
    SharedCommit {
        /// The error of the shared commit, in words.
        detail: String,
        /// Its code.
        code: Hresult,
    },
    /// A name cannot be used.
    #[error("{name:?} cannot be the name of a database file")]
    BadName {
        /// The name given.
        name: String,
    },
}

/// What a folder lacks to be that of a CA.
fn lacks(folder: &Path) -> &'static str {
    if folder.is_dir() { "it has no database folder" } else { "there is no such folder" }
}

/// Who holds the database, and that it is a service, if it is one.
fn named(holder: Option<&Holder>) -> String {
    match holder {
        None => "another process".to_owned(),
        Some(holder) if holder.is_service() => format!("its service ({holder})"),
        Some(holder) => holder.to_string(),
    }
}

impl Diagnosis for Error {
    fn hresult(&self) -> Hresult {
        match self {
            Self::File(error) => error.hresult(),
            Self::Sqlite(error) => sqlite_hresult(error),
            Self::NotACaFolder { .. } => Hresult::ERROR_SERVICE_DOES_NOT_EXIST,
            Self::DatabaseMissing { .. } => Hresult::FILE_NOT_FOUND,
            Self::SeveralDatabases { .. } | Self::BadName { .. } => Hresult::E_INVALIDARG,
            Self::AlreadyExists { .. } => Hresult::ERROR_DIR_NOT_EMPTY,
            Self::Owned { .. } => Hresult::ERROR_SERVICE_ALREADY_RUNNING,
            Self::InUse { .. } | Self::LockHeld { .. } => Hresult::ERROR_SHARING_VIOLATION,
            Self::RestorePending { .. } => Hresult::RESTORE_IN_PROGRESS,
            Self::BadRecord { .. } => Hresult::ERROR_INVALID_DATA,
            Self::LogTwice { .. } => Hresult::GIVEN_LOG_FILE_IS_NOT_CONTIGUOUS,
            Self::LogDamaged { torn: true, .. } => Hresult::LOG_TORN_WRITE_DURING_HARD_RESTORE,
            Self::LogDamaged { torn: false, .. } => Hresult::LOG_CORRUPT_DURING_HARD_RESTORE,
            Self::LogVersion { .. } => Hresult::BAD_LOG_VERSION,
            Self::LogMisnamed { .. } => Hresult::LOG_GENERATION_MISMATCH,
            Self::Chain { code, .. } | Self::Image { code, .. } | Self::SharedCommit { code, .. } => *code,
            Self::Foreign { .. } => Hresult::DATABASE_CORRUPTED,
            Self::Backup(code) | Self::Registration(code) => *code,
            Self::Closed => Hresult::TERM_IN_PROGRESS,
        }
    }

    fn class(&self) -> Class {
        match self {
            // The state of the folder, not an argument.
            Self::SeveralDatabases { .. } => Class::Refused,
            _ => self.hresult().class(),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::File(error) => return error.remedy(),
            Self::Backup(code) => return code.remedy(),
            Self::LockHeld { .. } => {
                "end that process if it is none of this CA's, and take others their right to the CA's folder (chmod -R go= DIR)"
            }
            Self::Sqlite(error) => sqlite_remedy(error),
            Self::NotACaFolder { .. } => {
                "name the folder that `certadm ca init` created, or restore a set into this one"
            }
            Self::DatabaseMissing { .. } => "restore the latest verified set with `certadm restore`",
            Self::SeveralDatabases { .. } => "move all but the CA's own database file away",
            Self::AlreadyExists { .. } => "choose an empty folder; an existing CA is never overwritten",
            Self::Owned { holder: Some(holder), .. } if holder.is_service() => {
                "stop the service, and start it again afterwards (with the unit: systemctl stop certadm@NAME)"
            }
            Self::Owned { holder: Some(_), .. } => "wait for it to end",
            Self::Owned { .. } => "stop the service or the command that uses this CA, or wait for it to end",
            Self::InUse { .. } => "wait until the other certadm commands on this CA have ended",
            Self::RestorePending { state, .. } if state.is_success() => {
                "start the CA's owner once; it carries the restore out first"
            }
            Self::RestorePending { .. } => "finish or repeat `certadm restore`; the CA does not start before",
            Self::BadRecord { .. } => "repeat the restore, or remove the record after looking at it",
            Self::Registration(_) => "restore the full set first, then the logs that continue it",
            Self::LogTwice { .. } => "remove the copy that does not belong there",
            Self::LogDamaged { .. } => "take this log from another copy of the set, or restore an older set",
            Self::LogVersion { .. } => "use the version of certadm that wrote it, or a newer one",
            Self::LogMisnamed { .. } => {
                "give the file its own name back, or take it from another copy of the set"
            }
            Self::Chain {
                code:
                    Hresult::MISSING_CURRENT_LOG_FILES
                    | Hresult::EXISTING_LOG_FILE_HAS_BAD_SIGNATURE
                    | Hresult::EXISTING_LOG_FILE_IS_NOT_CONTIGUOUS,
                ..
            } => {
                "restore the log sets in between as well; or, for the state of the backup alone, move that log and those above it out of \
                 its folder"
            }
            Self::Chain { code: Hresult::MISSING_LOG_FILE, .. } => {
                "put the write-ahead log (*.db-wal) back, or restore the latest verified set with `certadm restore`, which applies the \
                 logs that are left; what was committed after them is lost: `certadm gap` finds what was issued"
            }
            Self::Chain { .. } => "bring the logs of one unbroken sequence, starting with the full set's own",
            Self::Image { .. } => "take the image from another copy of the set, or restore an older set",
            Self::SharedCommit { code: Hresult::DISK_FULL, .. } => {
                "free some space on the disk of the CA's folder, then submit the request again; it was not issued"
            }
            Self::Foreign { .. } => {
                "do not use this database: take the latest verified set, and find out who changed it"
            }
            Self::SharedCommit { .. } => {
                "look at the cause, then submit the request again; it was not issued"
            }
            Self::Closed => "open the store again",
            Self::BadName { .. } => "choose a name without path separators or control characters",
        })
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn sqlite_hresult(error: &rusqlite::Error) -> Hresult {
    use rusqlite::ErrorCode;
    // SQLite lengthens its shared memory by writing: no room is what keeps it from that.
    let no_room = rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
    if error.sqlite_error().is_some_and(|cause| cause.extended_code == no_room) {
        return Hresult::DISK_FULL;
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Hresult::DISK_FULL,
        Some(
            ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::CannotOpen
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked,
        ) => Hresult::FILE_ACCESS_DENIED,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Hresult::DATABASE_CORRUPTED,
        Some(ErrorCode::OutOfMemory) => Hresult::OUT_OF_MEMORY,
        _ => Hresult::DISK_IO,
    }
}

/// What to do about an error of SQLite. Only where it finds damage, a set has to be restored.
fn sqlite_remedy(error: &rusqlite::Error) -> &'static str {
    match sqlite_hresult(error) {
        Hresult::DISK_FULL => {
            "free some space on the disk of the CA's folder (a backup frees that of its logs), and try again; nothing was lost"
        }
        Hresult::FILE_ACCESS_DENIED => {
            "use the account of the CA's service, or root; if another program has the database open, end that first"
        }
        Hresult::DATABASE_CORRUPTED => {
            "restore the latest verified set with `certadm restore`; the logs since then continue it"
        }
        Hresult::OUT_OF_MEMORY => "free some memory and try again",
        _ => "check the disk and the system's log, then try again",
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    /// Only what SQLite finds wrong in the file, and a failing disk, is damage.
    #[test]
    fn errors_of_sqlite_have_the_class_that_is_meant() {
        for (number, class) in [
            (ffi::SQLITE_BUSY, Class::Refused),
            (ffi::SQLITE_LOCKED, Class::Refused),
            (ffi::SQLITE_READONLY, Class::Refused),
            (ffi::SQLITE_CANTOPEN, Class::Refused),
            (ffi::SQLITE_FULL, Class::Refused),
            (ffi::SQLITE_IOERR_SHMSIZE, Class::Refused),
            (ffi::SQLITE_NOMEM, Class::Refused),
            (ffi::SQLITE_CORRUPT, Class::Damaged),
            (ffi::SQLITE_NOTADB, Class::Damaged),
            (ffi::SQLITE_IOERR, Class::Damaged),
        ] {
            let error = Error::from(rusqlite::Error::SqliteFailure(ffi::Error::new(number), None));
            assert_eq!(error.class(), class, "{number}: {}", error.hresult());
            let speaks_of_damage = error.remedy().contains("restore");
            assert_eq!(speaks_of_damage, error.hresult() == Hresult::DATABASE_CORRUPTED, "{number}");
        }
    }
}
