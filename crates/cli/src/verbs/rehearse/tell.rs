//! What a rehearsal says to a person: a line for each step, what is open, the verdict.

use std::path::Path;

use certadm_rehearsal::evidence::Evidence;
use certadm_rehearsal::{Outcome, Proof, Step, StepRecord, Watch};
use certadm_rules::printable::printable;

use crate::output::{Output, human_bytes};
use crate::terminal::Tone;

/// Tells each step when it has ended.
pub(crate) struct Steps {
    /// Where it is told.
    pub(crate) output: Output,
}

impl Watch for Steps {
    fn needs_room(&mut self, bytes: u64, within: &Path) {
        let bytes = human_bytes(bytes);
        self.output
            .line(format!("The scratch folder goes into {} and takes up to {bytes}.", within.display()));
    }

    fn ended(&mut self, record: &StepRecord) {
        let (word, tone) = match record.outcome {
            Outcome::Pass => ("pass", Some(Tone::Good)),
            Outcome::Fail => ("FAIL", Some(Tone::Bad)),
            Outcome::Skipped => ("skipped", Some(Tone::Warn)),
            Outcome::External => ("external", Some(Tone::Warn)),
            Outcome::NotApplicable => ("-", None),
        };
        if self.output.quiet && record.outcome != Outcome::Fail {
            return;
        }
        let before = format!("{:2}. {:29} ", record.number, record.title);
        let behind = format!("{:>width$.2} s  {}", record.seconds, record.detail, width = 16 - word.len());
        self.output.toned(&before, word, tone, &behind);
        if let Some(remedy) = &record.remedy {
            self.output.result(format!("    what to do: {}", printable(remedy)));
        }
    }

    fn begins(&mut self, _: Step) {}
}

/// What is open beside the steps.
pub(crate) fn findings(evidence: &Evidence, output: Output) {
    for finding in evidence.findings.iter().filter(|finding| finding.kind != "step") {
        let tone = match finding.severity.as_str() {
            "error" => Some(Tone::Bad),
            "warning" => Some(Tone::Warn),
            _ => None,
        };
        let place = finding.path.as_deref().map(|path| format!("{path}: ")).unwrap_or_default();
        let since = match finding.open_since == evidence.started {
            true => String::new(),
            false => format!(" (open since {})", finding.open_since),
        };
        output.toned("", &finding.severity, tone, &format!(": {place}{}{since}", finding.detail));
        if let Some(remedy) = &finding.remedy {
            output.result(format!("  what to do: {}", printable(remedy)));
        }
    }
    for finding in &evidence.closed {
        output.line(format!("closed: {} (open since {})", finding.detail, finding.open_since));
    }
}

pub(crate) fn verdict(evidence: &Evidence, file: Option<&Path>, output: Output) {
    if let Some(file) = file {
        output.line(format!("Evidence {} is {}.", evidence.run, file.display()));
    }
    let tone = match evidence.verdict.proof {
        Proof::Proven => Tone::Good,
        Proof::ProvenExcept => Tone::Warn,
        Proof::NotProven => Tone::Bad,
    };
    output.verdict(&evidence.verdict.sentence(), tone);
}
