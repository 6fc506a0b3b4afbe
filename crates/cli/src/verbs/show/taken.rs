//! The backups that a page knows of, and their ages.

use std::fmt::Write;

use certadm_rules::FileTime;
use certadm_rules::span::brief;
use serde_json::Value;

use certadm_rules::markup::escaped;

/// A table of backups: those that a CA has on record, those in the header of a database, the sets themselves.
pub(super) fn backups(results: &[Value], now: FileTime) -> String {
    let mut rows: Vec<(String, String, String)> = Vec::new();
    let mut add = |kind: &str, taken: &str, range: &Value| {
        let end = |end: &str| range[end].as_u64().filter(|generation| *generation != 0);
        let range = match (end("low"), end("high")) {
            (Some(low), Some(high)) => format!("{low:#x} to {high:#x}"),
            (Some(low), None) => format!("{low:#x} on"),
            _ => String::new(),
        };
        rows.push((taken.to_owned(), kind.to_owned(), range));
    };
    for result in results {
        for mark in result["marks"].as_array().into_iter().flatten() {
            add(mark["kind"].as_str().unwrap_or_default(), mark["taken"].as_str().unwrap_or_default(), mark);
        }
        let header = result.pointer("/header/backups").and_then(Value::as_object);
        for (kind, backup) in header.into_iter().flatten() {
            if let Some(taken) = backup["taken"].as_str() {
                add(&kind.replace('_', " "), taken, backup);
            }
        }
        if let Some(finished) = result["finished"].as_str() {
            let kind = result["type"].as_str().unwrap_or("set");
            add(&format!("this set ({kind})"), finished, &result["generations"]);
        }
    }
    if rows.is_empty() {
        return "<section><h2>Backups</h2><p>No backup is on record here.</p></section>\n".to_owned();
    }
    rows.sort();
    let mut page = "<section><h2>Backups</h2><table class=\"list\"><tr><th scope=\"col\">Taken</th>\
                    <th scope=\"col\">Age</th><th scope=\"col\">Kind</th><th scope=\"col\">Log generations</th></tr>"
        .to_owned();
    // The newest one first.
    for (taken, kind, range) in rows.iter().rev() {
        let age = age_of(taken, now);
        let [taken, kind, age, range] = [taken, kind, &age, range].map(|text| escaped(text));
        // Writing to a string cannot fail.
        write!(page, "<tr><th scope=\"row\">{taken}</th><td>{age}</td><td>{kind}</td><td>{range}</td></tr>")
            .ok();
    }
    page.push_str("</table></section>\n");
    page
}

/// How long ago a moment was, in the largest unit that says something; nothing of what is no moment.
fn age_of(taken: &str, now: FileTime) -> String {
    let text = taken.replace(' ', "T");
    let text = if text.ends_with('Z') { text } else { format!("{text}Z") };
    let Some(moment) = FileTime::from_rfc3339(&text) else { return String::new() };
    let seconds = now.unix_seconds() - moment.unix_seconds();
    if seconds < 0 {
        return "in the future".to_owned();
    }
    brief(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ages_are_in_the_unit_that_says_something() {
        let now = FileTime::from_unix_seconds(1_800_000_000); // 2027-01-15T08:00:00Z
        for (taken, age) in [
            ("2027-01-15T07:59:00Z", "60 s"),
            ("2027-01-15T07:00:00Z", "60 min"),
            ("2027-01-13T10:00:00.5Z", "46 h"),
            ("2026-01-15 08:00:00", "365 d"),
            ("2027-01-15T09:00:00Z", "in the future"),
            ("never", ""),
        ] {
            assert_eq!(age_of(taken, now), age, "{taken}");
        }
    }

    #[test]
    fn backups_are_found_wherever_they_are_told() {
        let now = FileTime::from_unix_seconds(1_800_000_000);
        let mark = json!({ "kind": "full", "low": 1, "high": 0x1a, "taken": "2027-01-15T07:00:00Z" });
        let page = backups(&[json!({ "marks": [mark] })], now);
        assert!(page.contains("<td>60 min</td><td>full</td><td>0x1 to 0x1a</td>"), "{page}");
        let range = json!({ "low": 2, "high": 2 });
        let set = json!({ "finished": "2027-01-15T07:00:00Z", "type": "log set", "generations": range });
        assert!(backups(&[set], now).contains("<td>this set (log set)</td>"));
        assert!(backups(&[json!({})], now).contains("No backup is on record"));
    }
}
