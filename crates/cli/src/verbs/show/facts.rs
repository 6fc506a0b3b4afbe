//! Facts, and what was found while looking for them.

use certadm_rules::finding::{Finding, Severity};
use serde_json::{Value, json};

use crate::failure::Exit;
use crate::findings;
use crate::output::{Done, Output};
use crate::table::printable;

/// Prints what was found while looking and makes it part of the result. Anything worse than a note is a problem and makes
/// the exit code 1.
pub(super) fn finish(findings: &[Finding], good: &str, mut result: Value, output: Output) -> Done {
    let (notes, problems): (Vec<_>, Vec<_>) =
        findings.iter().partition(|finding| finding.severity == Severity::Note);
    let verdict = match problems.len() {
        0 => good.to_owned(),
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    fact(output, "Health", &verdict);
    findings::print(findings, output);
    let lines = |findings: &[&Finding]| findings.iter().map(|finding| line(finding)).collect::<Vec<_>>();
    result["health"] = json!({
        "verdict": verdict,
        "problems": lines(&problems),
        "notes": lines(&notes),
        "findings": findings::list(findings),
    });
    let exit = if problems.is_empty() { Exit::Good } else { Exit::Finding };
    Done { exit, result }
}

/// A finding with what to do about it, in one line.
fn line(finding: &Finding) -> String {
    match &finding.remedy {
        Some(remedy) => format!("{finding}; {remedy}"),
        None => finding.to_string(),
    }
}

/// One line: a name and what there is to say about it.
pub(super) fn fact(output: Output, name: &str, value: &str) {
    output.result(format!("{name:14} {}", printable(value)));
}
