//! What checks found, for a person or as JSON: the one place that prints findings, whatever the command.

use std::path::PathBuf;

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
        "code": finding.code.hex(),
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

/// All of them, one by one, each with the set that it is about: that in which its file lies.
pub(crate) fn list_of_sets(findings: &[Finding], sets: &[PathBuf]) -> Value {
    let with_set = |finding: &Finding| {
        let mut value = to_json(finding);
        let file = finding.place.file.as_deref();
        let around = sets.iter().filter(|set| file.is_some_and(|file| file.starts_with(set)));
        // A set may lie in the folder of another one.
        let set = around.max_by_key(|set| set.components().count());
        value["set"] = json!(set.map(|set| path_text(set)));
        value
    };
    findings.iter().map(with_set).collect()
}

/// All of them, one by one.
pub(crate) fn list(findings: &[Finding]) -> Value {
    findings.iter().map(to_json).collect()
}

#[cfg(test)]
mod tests {
    use certadm_rules::finding::Kind;

    use super::*;

    #[test]
    fn a_finding_says_the_set_in_which_its_file_lies() {
        let sets = ["/b/full", "/b/full/inner", "/b/fu", "one.edb"].map(PathBuf::from);
        let found = |file: &str| {
            let finding = Finding::warning(Kind::FileChanged, "full").in_file(file);
            list_of_sets(&[finding], &sets)[0]["set"].clone()
        };
        assert_eq!(found("/b/full/DataBase/x"), "/b/full");
        assert_eq!(found("/b/full/inner/x"), "/b/full/inner");
        assert_eq!(found("/b/fu"), "/b/fu");
        assert_eq!(found("one.edb"), "one.edb");
        assert_eq!(found("/b/full-2/x"), Value::Null);
        assert_eq!(list_of_sets(&[Finding::note(Kind::More, "/b/full")], &sets)[0]["set"], Value::Null);
    }
}
