//! Whether a record fits its page (ese.md 9.1).

use super::pages::Slot;
use crate::code::Code;
use crate::error::Error;
use crate::lgpos::Lgpos;

/// What to do with one page of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Apply,
    AlreadyThere,
}

/// Why a page does not fit the record.
pub(super) struct Misfit {
    code: Code,
    problem: String,
}

impl Misfit {
    pub(super) fn contradiction(problem: &str) -> Self {
        let problem = format!("{problem}: database and log were not written together");
        Self { code: Code::LOG_CORRUPT, problem }
    }

    /// The error, which names the record and its page.
    pub(super) fn at(self, position: Lgpos, page: u32) -> Error {
        let problem = format!("page {page}: {}", self.problem);
        Error::Replay { position, page: Some(page), code: self.code, problem }
    }
}

/// Judges a page by what a record says of it: that it has the database time `dbtime` after the change and had `before`
/// before it.
pub(super) fn fits(slot: &Slot, dbtime: u64, before: u64) -> Result<Verdict, Misfit> {
    let current = match slot {
        Slot::Present(image) => image.dbtime,
        Slot::Blank => 0,
        Slot::Unreadable => {
            let problem = "damaged in the database, and the logs do not make it anew: take another backup";
            return Err(Misfit { code: Code::PAGE_CHECKSUM, problem: problem.to_owned() });
        }
    };
    if dbtime <= current {
        return Ok(Verdict::AlreadyThere);
    }
    if current == before {
        return Ok(Verdict::Apply);
    }
    let (code, why) = if current < before {
        (Code::DBTIME_TOO_OLD, "an earlier log is missing, or a write to the database was lost")
    } else {
        (Code::DBTIME_TOO_NEW, "the database is not the one this log was written for")
    };
    Err(Misfit { code, problem: format!("has database time {current}, the record expects {before}: {why}") })
}
