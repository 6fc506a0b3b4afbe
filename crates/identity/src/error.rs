//! What can go wrong with an identity part, whose fault it is and what to do next.

use std::borrow::Cow;
use std::path::PathBuf;

use certadm_rules::diagnosis::Class;
use certadm_rules::{Diagnosis, Hresult};

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an identity part cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no identity part where one was looked for.
    #[error("{path} holds no identity part", path = path.display())]
    NotThere {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The list of its files cannot be used.
    #[error("the list {path} cannot be used: {reason}", path = path.display())]
    Manifest {
        /// The list.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file is not what the list says.
    #[error("{path} is damaged: {reason}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody else has put something into it all the time that was waited.
    #[error("another command adds to {path}", path = path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// A file has the key of our own CA in a form that it does not read, such as PKCS#12.
    #[error("{path} has the CA's key, but not as PKCS#8 in PEM, which our CA needs", path = path.display())]
    KeyForm {
        /// The file.
        path: PathBuf,
    },
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] certadm_files::Error),
}

impl Diagnosis for Error {
    fn hresult(&self) -> Hresult {
        match self {
            Self::NotThere { .. } => Hresult::ERROR_FILE_NOT_FOUND,
            Self::Manifest { .. } | Self::Damaged { .. } => Hresult::ERROR_INVALID_DATA,
            Self::Busy { .. } => Hresult::ERROR_SHARING_VIOLATION,
            Self::KeyForm { .. } => Hresult::NTE_BAD_KEY,
            Self::File(error) => error.hresult(),
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::NotThere { .. } => Class::Usage,
            Self::Manifest { .. } | Self::Damaged { .. } => Class::Damaged,
            Self::Busy { .. } | Self::KeyForm { .. } => Class::Refused,
            Self::File(error) => error.class(),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NotThere { .. } => {
                "name a folder that `certadm identity` wrote, or a set whose backup took its identity part"
            }
            Self::Manifest { .. } | Self::Damaged { .. } => {
                "take the folder from another copy, or fetch it again with `certadm identity`"
            }
            Self::Busy { .. } => "wait until it has ended, and try again",
            Self::KeyForm { .. } => {
                "convert it: openssl pkcs12 -in FILE -nocerts -nodes | openssl pkcs8 -topk8 -v2 aes-256-cbc -out ca.key"
            }
            Self::File(error) => return error.remedy(),
        })
    }
}
