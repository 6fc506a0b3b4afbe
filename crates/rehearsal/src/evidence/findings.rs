//! What is open, and since when: a finding that comes back in each rehearsal is one finding.

use std::path::Path;

use certadm_rules::FileTime;
use certadm_rules::finding::{Finding, Spot};

use super::folder::Kept;
use super::record::{Evidence, OpenFinding, sha256};
use crate::rehearse::Rehearsal;
use crate::step::{Outcome, Step, StepRecord};

impl OpenFinding {
    fn of(step: Step, finding: &Finding, now: &str) -> Self {
        let code = finding.code.is_failure().then(|| finding.code.hex());
        Self {
            id: format!("{}:{}", finding.kind.key(), place_hash(finding)),
            step,
            severity: finding.severity.key().to_owned(),
            kind: finding.kind.key().to_owned(),
            code,
            path: finding.place.file.as_deref().map(|path| path.to_string_lossy().into_owned()),
            detail: finding.detail.clone(),
            remedy: finding.remedy.as_deref().map(str::to_owned),
            open_since: now.to_owned(),
        }
    }

    /// A step that did not pass is open until it does.
    fn of_step(record: &StepRecord, now: &str) -> Option<Self> {
        let severity = match record.outcome {
            Outcome::Fail => "error",
            Outcome::Skipped if record.remedy.is_some() => "warning",
            Outcome::External => "note",
            // What an earlier step kept from being done is no finding of its own.
            Outcome::Pass | Outcome::NotApplicable | Outcome::Skipped => return None,
        };
        Some(Self {
            id: format!("step:{}:{}", record.step.key(), record.outcome.key()),
            step: record.step,
            severity: severity.to_owned(),
            kind: "step".to_owned(),
            code: record.code.clone(),
            path: None,
            detail: record.detail.clone(),
            remedy: record.remedy.clone(),
            open_since: now.to_owned(),
        })
    }
}

/// Which finding of its kind it is. The folder is left out, since each backup has another, and so is the detail, whose
/// numbers change.
fn place_hash(finding: &Finding) -> String {
    let file = finding.place.file.as_deref().and_then(Path::file_name);
    let spot = match finding.place.spot {
        Some(Spot::Page(page)) => format!("page {page}"),
        Some(Spot::Pages(page, through)) => format!("pages {page} to {through}"),
        // The logs of the next backup have other numbers.
        _ => String::new(),
    };
    let code = finding.code.to_bits();
    let text = format!("{code:08x}\n{}\n{spot}", file.unwrap_or_default().to_string_lossy());
    sha256(text.as_bytes())[..12].to_owned()
}

/// What is open now; what was open and is not any more; what was open and was not looked at.
pub(super) fn compare(
    rehearsal: &Rehearsal,
    earlier: &[Kept],
) -> (Vec<OpenFinding>, Vec<OpenFinding>, Vec<OpenFinding>) {
    let now = FileTime::to_rfc3339(rehearsal.span.0);
    let mut open: Vec<OpenFinding> = Vec::new();
    let steps = rehearsal.steps.iter().filter_map(|record| OpenFinding::of_step(record, &now));
    let found = rehearsal.findings.iter().map(|(step, finding)| OpenFinding::of(*step, finding, &now));
    for finding in steps.chain(found) {
        if !open.iter().any(|known| known.id == finding.id) {
            open.push(finding);
        }
    }
    let own = &rehearsal.ca.key_identifier;
    let is_own = |evidence: &&Evidence| {
        let key = &evidence.ca.key_identifier;
        key == own || key.is_empty() || own.is_empty()
    };
    let before = earlier.iter().rev().map(|kept| &kept.evidence).find(is_own);
    let earlier: Vec<&OpenFinding> =
        before.into_iter().flat_map(|before| before.findings.iter().chain(&before.unchecked)).collect();
    for finding in &mut open {
        if let Some(known) = earlier.iter().find(|known| known.id == finding.id) {
            finding.open_since.clone_from(&known.open_since);
        }
    }
    let was_done = |step: Step| {
        let done = |record: &StepRecord| matches!(record.outcome, Outcome::Pass | Outcome::NotApplicable);
        rehearsal
            .steps
            .iter()
            .any(|record| record.step == step && (done(record) || record.outcome == Outcome::Fail))
    };
    let gone = earlier.into_iter().filter(|known| open.iter().all(|finding| finding.id != known.id));
    // A step that failed may have ended before it found the rest.
    let passed = |step: Step| {
        rehearsal.steps.iter().any(|record| record.step == step && record.outcome == Outcome::Pass)
    };
    let (closed, unchecked) =
        gone.cloned().partition(|known| passed(known.step) || known.kind == "step" && was_done(known.step));
    (open, closed, unchecked)
}
