//! What can go wrong with a file, and the HRESULT that stands for it.

use std::io;
use std::path::{Path, PathBuf};

use certadm_rules::Hresult;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation on a file or folder failed. [`Error::hresult`] gives the code, [`Error::remedy`] what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused or failed.
    #[error("cannot {action} {path}")]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// The file or folder concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A new file was to be created where something is.
    #[error("{path} already exists")]
    Exists {
        /// The name that is taken.
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

impl Error {
    /// The HRESULT of certbcli.md section 14, or of winerror.h, that stands for this error.
    pub fn hresult(&self) -> Hresult {
        match self {
            Self::Io { source, .. } => io_hresult(source),
            Self::Exists { .. } => Hresult::ERROR_ALREADY_EXISTS,
            Self::TooLong { .. } => Hresult::from_win32(223), // ERROR_FILE_TOO_LARGE
        }
    }

    /// What to do next, in one sentence.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "free some space and try again; nothing was lost"
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "use an account that may write there, or another folder"
                }
                io::ErrorKind::NotFound => "check the path",
                _ => "check the disk and the file's permissions",
            },
            Self::Exists { .. } => "name another place; nothing is ever overwritten",
            Self::TooLong { .. } => "name the right file; this one is too long to be what was asked for",
        }
    }

    /// Whether there is no such file or folder.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// The HRESULT for an error of the operating system.
pub fn io_hresult(error: &io::Error) -> Hresult {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Hresult::ERROR_DISK_FULL,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Hresult::E_ACCESSDENIED,
        io::ErrorKind::NotFound => Hresult::ERROR_FILE_NOT_FOUND,
        io::ErrorKind::DirectoryNotEmpty => Hresult::ERROR_DIR_NOT_EMPTY,
        _ => Hresult::DISK_IO,
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
