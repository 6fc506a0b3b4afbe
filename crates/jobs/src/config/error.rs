//! What is wrong with `certadm.toml`.

use std::borrow::Cow;
use std::path::PathBuf;

use certadm_rules::{Diagnosis, Hresult};

/// Result of reading the configuration.
pub type Result<T> = std::result::Result<T, Error>;

/// What is wrong with `certadm.toml`, or with what is asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no file at any of the usual places.
    #[error("there is no configuration: no file {}", places(.paths))]
    NotThere {
        /// Where it was looked for.
        paths: Vec<PathBuf>,
    },
    /// It cannot be understood.
    #[error("{}: {detail}", .path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        detail: String,
    },
    /// A job names a vault that nobody knows.
    #[error("{}: {detail}", .path.display())]
    UnknownVault {
        /// The file.
        path: PathBuf,
        /// Which, with line and column.
        detail: String,
    },
    /// It has no job or CA of that name.
    #[error("there is no {what} {name}: {known}")]
    NoSuch {
        /// `job` or `CA`.
        what: &'static str,
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The system refuses.
    #[error(transparent)]
    File(#[from] certadm_files::Error),
}

fn places(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", and no file ")
}

impl Diagnosis for Error {
    fn hresult(&self) -> Hresult {
        match self {
            Self::NotThere { .. } | Self::Wrong { .. } | Self::UnknownVault { .. } | Self::NoSuch { .. } => {
                Hresult::E_INVALIDARG
            }
            Self::File(error) => error.hresult(),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        match self {
            Self::NotThere { .. } => "make one: certadm config init; or name it by CERTADM_JOBS".into(),
            Self::Wrong { .. } => {
                "correct the file; certadm config check reads it again, and certadm.toml(5) tells \
                                   what it may hold"
                    .into()
            }
            Self::UnknownVault { .. } => {
                "write the vault into this file as [repository.NAME], or into repositories.toml; docs/repository.md shows how"
                    .into()
            }
            Self::NoSuch { .. } => "name one that is there: certadm config show".into(),
            Self::File(error) => error.remedy(),
        }
    }
}
