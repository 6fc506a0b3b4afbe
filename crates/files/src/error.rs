//! What can go wrong with a file.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use certadm_rules::{Diagnosis, Hresult};

use crate::system::{io_hresult, io_remedy};

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation on a file or folder failed. [`Diagnosis`] has its code and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused or failed. Its text leaves the reason to its source, which messages name by
    /// [`chain_of`](certadm_rules::diagnosis::chain_of).
    #[error("cannot {action} {path}")]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// The file or folder concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The process was asked to stop.
    #[error("interrupted before the end")]
    Cancelled,
    /// A new file was to be created where something is.
    #[error("{path} already exists")]
    Exists {
        /// The name that is taken.
        path: PathBuf,
    },
    /// What should be a regular file is something else, or a link stands on the way to it ([`crate::found`]).
    #[error("{path} is {what}, and a regular file is expected")]
    NotAFile {
        /// What was looked at.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
        /// Whether a person named it: then it is the wrong name, and no damage.
        by_name: bool,
    },
    /// Settings that everyone can change.
    #[error("everyone can change {path}, and it says what is run and where backups go")]
    OpenToAll {
        /// The file.
        path: PathBuf,
    },
    /// A file that must be small is not.
    #[error("{path} is longer than {limit} bytes")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most bytes that were accepted.
        limit: u64,
    },
}

/// What a folder is called in [`Error::NotAFile`].
pub(crate) const FOLDER: &str = "a folder";

impl Diagnosis for Error {
    fn hresult(&self) -> Hresult {
        match self {
            Self::Io { source, .. } => io_hresult(source),
            Self::Cancelled => Hresult::ERROR_OPERATION_ABORTED,
            Self::Exists { .. } => Hresult::ERROR_ALREADY_EXISTS,
            Self::NotAFile { by_name: false, .. } => Hresult::ERROR_INVALID_DATA,
            Self::NotAFile { what: FOLDER, .. } => Hresult::ERROR_DIRECTORY_NOT_SUPPORTED,
            Self::NotAFile { .. } => Hresult::ERROR_NOT_SUPPORTED,
            Self::OpenToAll { .. } => Hresult::E_ACCESSDENIED,
            Self::TooLong { .. } => Hresult::ERROR_FILE_TOO_LARGE,
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Io { source, .. } => io_remedy(source),
            Self::Cancelled => "start again; what had been begun was taken back",
            Self::Exists { .. } => "name another place; nothing is ever overwritten",
            Self::NotAFile { by_name: true, .. } => "name a regular file",
            Self::NotAFile { .. } => {
                "find out who put it there; put the file itself in its place, that of a set from another copy of the set"
            }
            Self::OpenToAll { .. } => {
                "read what it says now, then take that right from everyone: chmod o-w FILE"
            }
            Self::TooLong { .. } => "name the right file; this one is too long to be what was asked for",
        })
    }
}

impl Error {
    /// Whether there is no such file or folder.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Says what was being done to which file when an operation failed.
pub trait IoContext<T> {
    /// Turns an [`io::Error`] into [`Error::Io`]; `action` is a verb such as `"read"`.
    ///
    /// # Errors
    /// [`Error::Io`] when `self` is an error.
    fn during(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Io { action, path: path.to_owned(), source })
    }
}
