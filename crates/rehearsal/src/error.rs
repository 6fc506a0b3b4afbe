//! Why a rehearsal did not take place, or its evidence cannot be used. What a rehearsal shows is no error: it stands in its
//! steps.

use std::borrow::Cow;
use std::path::PathBuf;

use certadm_rules::diagnosis::Class;
use certadm_rules::words::human_bytes;
use certadm_rules::{Diagnosis, Hresult};

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no rehearsal, or no evidence of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no room for the scratch folder.
    #[error("the {what} needs about {} in {}, where {} are free", human_bytes(*needed), path.display(), human_bytes(*free))]
    NoRoom {
        /// What needs it.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// A folder holds no backup set.
    #[error("{path} holds no full set", path = path.display())]
    NoSet {
        /// The folder.
        path: PathBuf,
    },
    /// A folder holds so many sets that the newest one cannot be looked for.
    #[error("{path} holds more than {most} folders, so that the newest set cannot be looked for", path = path.display())]
    TooManySets {
        /// The folder.
        path: PathBuf,
        /// So many are looked at.
        most: usize,
    },
    /// A CA that runs is no backup.
    #[error("{path} is the folder of a CA that is here, and no backup", path = path.display())]
    ALiveCa {
        /// The folder.
        path: PathBuf,
    },
    /// A file of evidence cannot be used.
    #[error("{path} is no evidence of a rehearsal: {reason}", path = path.display())]
    Evidence {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A folder has no evidence in it, or is not there.
    #[error("there is no evidence of a rehearsal in {path}", path = path.display())]
    NoEvidence {
        /// The folder.
        path: PathBuf,
        /// A folder in it that has some.
        below: Option<PathBuf>,
    },
    /// Another rehearsal writes its evidence there.
    #[error("another rehearsal writes to {path}", path = path.display())]
    Busy {
        /// The folder of evidence.
        path: PathBuf,
    },
    /// A set cannot be used.
    #[error(transparent)]
    Set(#[from] certadm_set::Error),
    /// The CA's own library refuses.
    #[error(transparent)]
    Ca(#[from] certadm_ca::Error),
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] certadm_store::Error),
    /// The CRL library refuses.
    #[error(transparent)]
    Recovery(#[from] certadm_recovery::Error),
    /// The service did not start.
    #[error(transparent)]
    Service(#[from] certadm_server::StartError),
    /// The account of the service.
    #[error(transparent)]
    Account(#[from] certadm_server::UsersError),
    /// The service did not answer.
    #[error(transparent)]
    Client(#[from] certadm_client::Error),
    /// The Windows database cannot be read.
    #[error(transparent)]
    Windows(#[from] certadm_ese::Error),
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] certadm_files::Error),
    /// A mistake in this program.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    fn inner(&self) -> Option<&dyn Diagnosis> {
        Some(match self {
            Self::Set(error) => error,
            Self::Ca(error) => error,
            Self::Store(error) => error,
            Self::Recovery(error) => error,
            Self::Service(error) => error,
            Self::Account(error) => error,
            Self::Client(error) => error,
            Self::Windows(error) => error,
            Self::File(error) => error,
            _ => return None,
        })
    }
}

impl Diagnosis for Error {
    fn hresult(&self) -> Hresult {
        match self {
            Self::NoRoom { .. } => Hresult::ERROR_DISK_FULL,
            Self::NoSet { .. }
            | Self::ALiveCa { .. }
            | Self::TooManySets { .. }
            | Self::NoEvidence { .. } => Hresult::ERROR_DIRECTORY,
            Self::Evidence { .. } => Hresult::ERROR_INVALID_DATA,
            Self::Busy { .. } => Hresult::ERROR_SHARING_VIOLATION,
            Self::Internal(_) => Hresult::ERROR_INTERNAL_ERROR,
            _ => self.inner().map_or(Hresult::E_FAIL, Diagnosis::hresult),
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::ALiveCa { .. } => Class::Usage,
            Self::NoRoom { .. }
            | Self::NoSet { .. }
            | Self::TooManySets { .. }
            | Self::NoEvidence { .. }
            | Self::Busy { .. } => Class::Refused,
            Self::Evidence { .. } => Class::Damaged,
            Self::Internal(_) => Class::Internal,
            _ => self.inner().map_or(Class::Internal, Diagnosis::class),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NoRoom { .. } => "name a folder on a larger disk by --within DIR",
            Self::NoSet { .. } => "name the folder that holds the backup sets, or a set",
            Self::TooManySets { .. } => {
                "name the sets themselves, or remove old ones: `certadm prune` says which may go"
            }
            Self::ALiveCa { .. } => "name a backup set; a rehearsal never touches the CA itself",
            Self::NoEvidence { below: Some(below), .. } => {
                return Cow::Owned(format!("name the folder that has some, such as {}", below.display()));
            }
            Self::NoEvidence { .. } => {
                "name the folder that --evidence of the rehearsals named, or that of a job's CA, such as evidence/CA in its folder of records"
            }
            Self::Evidence { .. } => "restore the file from where copies of the evidence are kept",
            Self::Busy { .. } => "wait until it has ended",
            Self::Internal(_) => "report this, with the command that led to it",
            _ => return self.inner().map_or(Cow::Borrowed(""), Diagnosis::remedy),
        })
    }
}
