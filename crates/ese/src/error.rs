//! What can go wrong, whose fault it is and what to do next.

use std::borrow::Cow;
use std::io;

use certadm_rules::finding::{Finding, Kind, Spot};
use certadm_rules::{Diagnosis, Hresult};

use crate::code::Code;
use crate::lgpos::Lgpos;

/// An error of this crate. Every variant has the engine's code for it ([`Error::code`]); [`Diagnosis`] has the rest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read or written.
    #[error("the file could not be read or written")]
    Io(#[from] io::Error),
    /// Neither header copy is that of a database.
    #[error("not a database of this kind, or both copies of its header are damaged: {problem}")]
    NotADatabase {
        /// What was wrong with the better of the two copies.
        problem: &'static str,
    },
    /// A page's checksum is wrong and no single bit explains it.
    #[error("page {page} is damaged ({problem}): take it from another backup")]
    PageDamaged {
        /// The page number, from 1.
        page: u32,
        /// What the checksum said.
        problem: &'static str,
    },
    /// A structure contradicts itself although its checksum, if it has one, is right.
    #[error("{what} is malformed: {problem}")]
    Malformed {
        /// The structure.
        what: &'static str,
        /// What was wrong.
        problem: &'static str,
    },
    /// The same, with the page it was found on.
    #[error("page {page}: {what} is malformed: {problem}")]
    MalformedPage {
        /// The page number, from 1.
        page: u32,
        /// The structure.
        what: &'static str,
        /// What was wrong.
        problem: &'static str,
    },
    /// A value in a compression scheme this reader does not open.
    #[error("unsupported compression scheme {scheme}: read this value on Windows")]
    UnsupportedCompression {
        /// The scheme number (ese.md 6.3).
        scheme: u8,
    },
    /// An encrypted value.
    #[error("the value is encrypted by the engine and its key is not in the file")]
    Encrypted,
    /// No table of that name.
    #[error("the database has no table {name:?}")]
    NoSuchTable {
        /// The name asked for.
        name: String,
    },
    /// No column of that name.
    #[error("table {table:?} has no column {column:?}")]
    NoSuchColumn {
        /// The table.
        table: String,
        /// The column asked for.
        column: String,
    },
    /// A log file does not fit its place.
    #[error("log generation {generation:#x}: {problem}")]
    Log {
        /// The generation, as far as known.
        generation: u32,
        /// The engine's code for it.
        code: Code,
        /// What was wrong and what to do.
        problem: String,
    },
    /// A log record of a type this version does not know; the log beyond it cannot be read.
    #[error("unknown log record type {kind} at {position}: written by a newer engine, replay it on Windows")]
    UnknownRecord {
        /// The type byte.
        kind: u8,
        /// Where the record starts.
        position: Lgpos,
    },
    /// Replay met a page that does not fit the record.
    #[error("replay stopped at {position}: {problem}")]
    Replay {
        /// Where the record starts.
        position: Lgpos,
        /// The page, where one is concerned.
        page: Option<u32>,
        /// The engine's code for it.
        code: Code,
        /// What was wrong and what to do.
        problem: String,
    },
    /// The set cannot be recovered as it is.
    #[error("{problem}")]
    Refused {
        /// The engine's code for it.
        code: Code,
        /// What was wrong and what to do.
        problem: String,
    },
}

impl Error {
    /// The engine's code for this error; its HRESULT is [`Code::hresult`].
    pub fn code(&self) -> Code {
        match self {
            Self::Io(_) => Code::DISK_IO,
            Self::PageDamaged { .. } => Code::PAGE_CHECKSUM,
            Self::NotADatabase { .. } | Self::Malformed { .. } | Self::MalformedPage { .. } => {
                Code::DATABASE_CORRUPTED
            }
            Self::UnsupportedCompression { .. } | Self::Encrypted => Code::NOT_SUPPORTED,
            Self::NoSuchTable { .. } => Code::OBJECT_NOT_FOUND,
            Self::NoSuchColumn { .. } => Code::COLUMN_NOT_FOUND,
            Self::UnknownRecord { .. } => Code::BAD_LOG_VERSION,
            Self::Log { code, .. } | Self::Replay { code, .. } | Self::Refused { code, .. } => *code,
        }
    }

    /// Where in the database or its logs it happened, as far as the error tells.
    pub fn spot(&self) -> Option<Spot> {
        match self {
            Self::PageDamaged { page, .. } | Self::MalformedPage { page, .. } => Some(Spot::Page(*page)),
            Self::Log { generation, .. } => (*generation != 0).then_some(Spot::Log(*generation)),
            Self::UnknownRecord { position, .. } | Self::Replay { position, .. } => Some((*position).into()),
            _ => None,
        }
    }

    /// What happened, in words that do not repeat [`Error::spot`].
    pub fn detail(&self) -> String {
        match self {
            Self::PageDamaged { problem, .. } => (*problem).to_owned(),
            Self::MalformedPage { what, problem, .. } => format!("{what} is malformed: {problem}"),
            Self::Log { problem, .. } => problem.clone(),
            Self::UnknownRecord { kind, .. } => {
                format!("unknown log record type {kind}: written by a newer engine, replay it on Windows")
            }
            Self::Replay { problem, .. } => format!("replay stopped: {problem}"),
            other => other.to_string(),
        }
    }

    /// The error as a finding at `spot`, or where the error itself says.
    pub(crate) fn to_finding(&self, kind: Kind, spot: Option<Spot>) -> Finding {
        let (spot, detail) = match (self.spot(), spot) {
            (Some(own), Some(spot)) if own != spot => (Some(spot), self.to_string()),
            (own, spot) => (spot.or(own), self.detail()),
        };
        let mut finding = Finding::error(kind, self.hresult(), detail);
        finding.place.spot = spot;
        finding
    }

    /// Names the page a malformed structure was found on.
    pub(crate) fn on_page(self, page: u32) -> Self {
        match self {
            Self::Malformed { what, problem } => Self::MalformedPage { page, what, problem },
            other => other,
        }
    }
}

impl Diagnosis for Error {
    /// That of the engine's code; an error of the system has one that says more.
    fn hresult(&self) -> Hresult {
        match self {
            Self::Io(error) => certadm_files::io_hresult(error),
            _ => self.code().hresult(),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Io(error) => certadm_files::io_remedy(error),
            Self::NoSuchTable { .. } | Self::NoSuchColumn { .. } => {
                "name a table that is there; `certadm show` lists them"
            }
            Self::UnknownRecord { .. } | Self::UnsupportedCompression { .. } | Self::Encrypted => {
                "restore or read it on the Windows that wrote it"
            }
            Self::Refused { .. } => {
                "run `certadm verify` on the same sets: it names everything that stands in the way"
            }
            Self::Replay { code: Code::DBTIME_TOO_OLD, .. } => {
                "add the logs from the backup's first generation on, or use an older set"
            }
            Self::Replay { code: Code::DBTIME_TOO_NEW, .. } => {
                "take the database and its logs from one CA and one backup"
            }
            Self::Replay {
                code: Code::CONSISTENT_TIME_MISMATCH | Code::ATTACHED_DATABASE_MISMATCH, ..
            } => {
                "take the backup that these logs continue, with all its logs at once; the clean database alone needs none"
            }
            Self::Replay { code: Code::BAD_LOG_VERSION, .. } => "recover it with the Windows that wrote it",
            _ => "take this file from another copy of the set, or use an older set",
        })
    }
}
