//! What a check found: one type for every check, so that whatever asks can sort, count, print and hand on all of them
//! alike.
//!
//! ```
//! use certadm_rules::Hresult;
//! use certadm_rules::finding::{Finding, Kind, Spot, sum_up};
//!
//! let damaged = |page| {
//!     Finding::error(Kind::PageChecksum, Hresult::READ_VERIFY_FAILURE, "the checksum is wrong")
//!         .in_file("/backup/CertLog.edb")
//!         .at(Spot::Page(page))
//!         .remedy("take this file from another copy of the set")
//! };
//! let found = [damaged(60), damaged(61), damaged(70)];
//! let summary = sum_up(&found);
//! assert_eq!(
//!     summary[0].to_string(),
//!     "/backup/CertLog.edb: pages 60, 61 and 70: the checksum is wrong \
//!      [0xc80003fa (ESE: -1018 JET_errReadVerifyFailure)]"
//! );
//! ```

mod kind;
mod place;
mod summary;

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

pub use kind::Kind;
pub use place::{Place, Spot};
pub use summary::{Summary, sum_up};

use crate::Hresult;

/// How grave a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// Worth knowing, no fault.
    Note,
    /// Worth looking into; nothing is lost.
    Warning,
    /// Something is lost, missing, cannot be trusted or cannot work.
    Error,
}

impl Severity {
    /// Its name in JSON.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that a check found.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub struct Finding {
    /// How grave it is.
    pub severity: Severity,
    /// What kind it is; [`Kind::key`] is stable, for programs.
    pub kind: Kind,
    /// The code for it; [`Hresult::S_OK`] where there is none.
    pub code: Hresult,
    /// Where it is, as far as it has a place.
    pub place: Place,
    /// What was found and what it means, in words that do not repeat the place.
    pub detail: String,
    /// What to do next; nothing where there is nothing to do.
    pub remedy: Option<Cow<'static, str>>,
}

impl Finding {
    /// Something worth knowing, and nothing to do about it.
    pub fn note(kind: Kind, detail: impl Into<String>) -> Self {
        Self::new(Severity::Note, kind, Hresult::S_OK, detail.into())
    }

    /// Something worth looking into, for which there is no code.
    pub fn warning(kind: Kind, detail: impl Into<String>) -> Self {
        Self::new(Severity::Warning, kind, Hresult::S_OK, detail.into())
    }

    /// Something that is wrong.
    pub fn error(kind: Kind, code: impl Into<Hresult>, detail: impl Into<String>) -> Self {
        Self::new(Severity::Error, kind, code.into(), detail.into())
    }

    fn new(severity: Severity, kind: Kind, code: Hresult, detail: String) -> Self {
        Self { severity, kind, code, place: Place::default(), detail, remedy: None }
    }

    /// The same with a code.
    pub fn code(mut self, code: impl Into<Hresult>) -> Self {
        self.code = code.into();
        self
    }

    /// The same in a file or folder.
    pub fn in_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.place.file = Some(file.into());
        self
    }

    /// The same at a spot of its file.
    pub fn at(mut self, spot: Spot) -> Self {
        self.place.spot = Some(spot);
        self
    }

    /// The same with what to do next.
    pub fn remedy(mut self, remedy: impl Into<Cow<'static, str>>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for Finding {
    /// Place, detail and code in one line; the remedy is left to whatever prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_none() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.detail)?;
        if self.code.is_failure() { write!(f, " [{}]", self.code) } else { Ok(()) }
    }
}

/// Puts findings in the order in which they are told: grave ones first, and among equally grave ones the cause before
/// its consequences ([`Kind`] says which is which). Findings of one kind keep the order in which they were found.
pub fn sort(findings: &mut [Finding]) {
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.kind));
}

/// The gravest of them; nothing when there is none.
#[must_use]
pub fn worst(findings: &[Finding]) -> Option<Severity> {
    findings.iter().map(|finding| finding.severity).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_prints_its_place_once() {
        let bare = Finding::note(Kind::NoFullBackup, "no full backup is on record");
        assert_eq!(bare.to_string(), "no full backup is on record");
        let placed = Finding::error(Kind::LogDamaged, Hresult::LOG_FILE_CORRUPT, "bytes are missing")
            .in_file("edb0001a.log")
            .at(Spot::Log(0x1a));
        assert_eq!(
            placed.to_string(),
            "edb0001a.log: bytes are missing [0xc80001f5 (ESE: -501 JET_errLogFileCorrupt)]"
        );
    }

    #[test]
    fn causes_come_before_their_consequences() {
        let error = |kind, detail: &str| Finding::error(kind, Hresult::E_FAIL, detail);
        let mut found = vec![
            Finding::note(Kind::Incomplete, "no manifest"),
            error(Kind::Replay, "replay stopped"),
            error(Kind::Catalog, "the catalog cannot be read"),
            Finding::warning(Kind::HeaderCopies, "the two copies differ"),
            error(Kind::PageChecksum, "second"),
            error(Kind::PageChecksum, "first"),
            error(Kind::FileSize, "cut short"),
        ];
        sort(&mut found);
        let told: Vec<_> = found.iter().map(|finding| finding.detail.as_str()).collect();
        assert_eq!(
            told,
            [
                "cut short",
                "second",
                "first",
                "the catalog cannot be read",
                "replay stopped",
                "the two copies differ",
                "no manifest"
            ]
        );
        assert_eq!(worst(&found), Some(Severity::Error));
        assert_eq!(worst(&[]), None);
    }
}
