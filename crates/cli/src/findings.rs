//! What checks found, for a person or as JSON: the one place that prints findings, whatever the command.

use certadm_rules::finding::{Finding, Severity, Spot, sum_up};
use certadm_rules::printable::printable;
use serde_json::{Value, json};

use crate::output::{Output, path_text};
use crate::terminal::Tone;

/// Prints findings, those of one kind summed up, with what to do about them.
pub(crate) fn print(findings: &[Finding], output: Output) {
    for summary in sum_up(findings) {
        let (word, tone) = match summary.severity() {
            Severity::Note => ("note", None),
            Severity::Warning => ("warning", Some(Tone::Warn)),
            Severity::Error => ("ERROR", Some(Tone::Bad)),
        };
        output.toned("", word, tone, &format!(": {}", printable(&summary.to_string())));
        if let Some(remedy) = summary.remedy() {
            output.result(format!("  what to do: {}", printable(remedy)));
        }
    }
}

/// A finding as the JSON contract has it (docs/json.md, "A finding").
pub(crate) fn to_json(finding: &Finding) -> Value {
    let (page, generation, through, position) = match finding.place.spot {
        Some(Spot::Page(page)) => (Some(page), None, None, None),
        Some(Spot::Pages(page, through)) => (Some(page), None, Some(through), None),
        Some(Spot::Log(generation)) => (None, Some(generation), None, None),
        Some(Spot::Logs(generation, through)) => (None, Some(generation), Some(through), None),
        Some(Spot::Position { generation, segment, offset }) => {
            (None, Some(generation), None, Some(format!("{generation:#x}:{segment:x}:{offset:x}")))
        }
        None => (None, None, None, None),
    };
    json!({
        "severity": finding.severity.key(),
        "kind": finding.kind.key(),
        "code": format!("0x{:08x}", finding.code.to_bits()),
        "name": finding.code.name(),
        "path": finding.place.file.as_deref().map(path_text),
        "page": page,
        "generation": generation,
        "through": through,
        "position": position,
        "detail": finding.detail,
        "remedy": finding.remedy,
    })
}

/// All of them, one by one.
pub(crate) fn list(findings: &[Finding]) -> Value {
    findings.iter().map(to_json).collect()
}
