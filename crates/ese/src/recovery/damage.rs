//! A finding that stops a recovery, as an error.

use certadm_rules::finding::{Finding, Kind, Severity, Spot};

use crate::code::Code;
use crate::error::Error;

/// A bit that reading corrects is none.
pub(super) fn is_damage(finding: &Finding) -> bool {
    Severity::Warning <= finding.severity && finding.kind != Kind::FlippedBit
}

pub(super) fn fatal(generation: u32, finding: &Finding) -> Error {
    Error::Log {
        generation,
        code: Code::from_hresult(finding.code).unwrap_or(Code::LOG_CORRUPT_IN_RESTORE),
        problem: problem_of(finding, finding.place.spot != Some(Spot::Log(generation))),
    }
}

/// A finding as the text of an error, with its place where the error does not name it.
pub(super) fn problem_of(finding: &Finding, with_place: bool) -> String {
    let mut text = String::new();
    if with_place && !finding.place.is_none() {
        text = format!("{}: ", finding.place);
    }
    text.push_str(&finding.detail);
    if let Some(remedy) = &finding.remedy {
        text.push_str(&format!("; {remedy}"));
    }
    text
}
