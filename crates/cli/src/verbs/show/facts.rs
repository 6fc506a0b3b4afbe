//! Facts, and what was found while looking for them.

use certadm_rules::finding::{Finding, Severity};
use certadm_rules::printable::printable;
use certadm_rules::words::counted;
use certadm_set::scratch::Content;
use serde_json::{Value, json};

use crate::failure::Exit;
use crate::findings;
use crate::output::{Done, Output};
use crate::terminal::Tone;

/// Prints what was found while looking and makes it part of the result. Anything worse than a note is a problem and makes
/// the exit code 1.
pub(super) fn finish(findings: &[Finding], good: &str, mut result: Value, output: Output) -> Done {
    let (notes, problems): (Vec<_>, Vec<_>) =
        findings.iter().partition(|finding| finding.severity == Severity::Note);
    let verdict = match problems.len() {
        0 => good.to_owned(),
        count => counted(count as u64, "problem"),
    };
    // What was not checked as a whole is not called good by a colour.
    let tone = match (problems.len(), result["last_check"].is_object()) {
        (0, true) => Some(Tone::Good),
        (0, false) => None,
        _ => Some(Tone::Bad),
    };
    output.toned(&format!("{:14} ", "Health"), &printable(&verdict), tone, "");
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

/// How many requests there are, and what became of them: the sum, then its parts. The CA's own certificates are none.
pub(super) fn requests_text([issued, revoked, others]: [u64; 3]) -> String {
    let sum = issued + revoked + others;
    let others = if others == 0 { String::new() } else { format!(", {others} pending, denied or failed") };
    format!("{sum}: {issued} issued, {revoked} revoked{others}")
}

/// What a CA database of another engine or of a set holds.
pub(super) fn content_facts(content: &Content, output: Output) {
    match &content.identity {
        Some(identity) => {
            fact(output, "CA", identity.common_name.as_deref().unwrap_or(&identity.name));
            fact(output, "CA certificate", &identity.name);
            let (from, until) = (identity.not_before.to_rfc3339(), identity.not_after.to_rfc3339());
            fact(output, "Valid", &format!("from {from} until {until}"));
            fact(output, "Key", &identity.key_identifier);
        }
        None => fact(output, "CA certificate", "none in the database"),
    }
    fact(output, "Requests", &requests_text([content.issued(), content.revoked, content.others()]));
    fact(output, "CRLs", &content.crls.to_string());
}

/// The same as JSON; the names of a CA whose certificate is not there are null.
pub(super) fn content_json(content: &Content) -> Value {
    let identity = content.identity.as_ref();
    json!({
        "name": identity.and_then(|identity| identity.common_name.as_deref()),
        "certificate": identity.map(|identity| json!({
            "subject": identity.name,
            "key_identifier": identity.key_identifier,
            "not_before": identity.not_before.to_rfc3339(),
            "not_after": identity.not_after.to_rfc3339(),
        })),
        "requests": {
            "all": content.requests,
            "issued": content.issued(),
            "revoked": content.revoked,
            "others": content.others(),
            "own": content.own,
        },
        "crls": content.crls,
    })
}

/// One line: a name and what there is to say about it.
pub(super) fn fact(output: Output, name: &str, value: &str) {
    output.result(format!("{name:14} {}", printable(value)));
}
