//! What a check found, in a form both people and programs can use.

use core::fmt;

use crate::code::Code;
use crate::error::Error;
use crate::lgpos::Lgpos;

/// How much a finding matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// Worth knowing, no fault.
    Note,
    /// A fault that loses nothing: the content is still whole.
    Warning,
    /// Something is lost, missing or cannot be trusted.
    Damage,
}

/// What kind of finding it is; stable, for programs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// One copy of the header is damaged, or the two differ.
    HeaderCopies,
    /// The database was not closed cleanly.
    DirtyShutdown,
    /// The header says the file is in the middle of a rare operation.
    UnusualState,
    /// The size of the file does not fit the pages it should have.
    FileSize,
    /// A page's checksum is wrong.
    PageChecksum,
    /// One flipped bit in a page; corrected when read.
    FlippedBit,
    /// A page was written to the wrong place.
    MisplacedPage,
    /// A page contradicts itself although its checksum is right.
    PageStructure,
    /// A page belongs to an object the catalog does not know.
    UnknownObject,
    /// The catalog cannot be read.
    Catalog,
    /// The space of a tree cannot be read.
    Space,
    /// The patch page of a backup copy is missing or does not fit.
    PatchPage,
    /// The engine noted checksum errors or repairs in the header.
    EngineHistory,
    /// A log is missing.
    LogMissing,
    /// A log of a foreign sequence.
    LogForeign,
    /// A log that does not continue its predecessor.
    LogChain,
    /// A log whose name and header disagree.
    LogName,
    /// A log whose size is not what its header says.
    LogSize,
    /// A log of another version.
    LogVersion,
    /// A log with damage inside.
    LogDamaged,
    /// A log with a torn end.
    LogTorn,
    /// Replay does not fit the database.
    Replay,
    /// Further findings of one kind were left out.
    More,
}

/// Where it was found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// The file as a whole.
    File,
    /// A page, numbered from 1.
    Page(u32),
    /// A log generation as a whole.
    Log(u32),
    /// A position in the log sequence.
    Position(Lgpos),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("file"),
            Self::Page(page) => write!(f, "page {page}"),
            Self::Log(generation) => write!(f, "log generation {generation:#x}"),
            Self::Position(position) => write!(f, "log position {position}"),
        }
    }
}

/// One thing a check found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What kind it is.
    pub kind: Kind,
    /// The engine's code, where it has one; its HRESULT is [`Code::hresult`].
    pub code: Option<Code>,
    /// Where it is.
    pub place: Place,
    /// What was found, in words.
    pub text: String,
    /// What to do next.
    pub advice: &'static str,
}

impl Finding {
    pub(crate) fn note(kind: Kind, place: Place, text: String) -> Self {
        Self { severity: Severity::Note, kind, code: None, place, text, advice: "nothing to do" }
    }

    pub(crate) fn damage(kind: Kind, code: Code, place: Place, text: String, advice: &'static str) -> Self {
        Self { severity: Severity::Damage, kind, code: Some(code), place, text, advice }
    }

    pub(crate) fn from_error(kind: Kind, place: Place, error: &Error, advice: &'static str) -> Self {
        Self::damage(kind, error.code(), place, error.to_string(), advice)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)?;
        if let Some(code) = self.code {
            write!(f, " [{code}]")?;
        }
        write!(f, "; {}", self.advice)
    }
}
