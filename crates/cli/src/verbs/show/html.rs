//! The summary page: one file that needs nothing else. No script, no fetch; every text from elsewhere is escaped. It reads
//! on a phone, on a desk, on paper, and aloud.

use std::collections::BTreeMap;
use std::fmt::Write;

use certadm_rules::FileTime;
use certadm_rules::markup::{escaped, head, with_code};
use certadm_rules::words::counted;
use serde_json::Value;

use super::charts::{Meaning, bars, columns};
use super::months::{columns_of, place_of};
use super::statistics::{DUE_DAYS, Month, Statistics};
use super::taken::backups;
use crate::output::human_bytes;

/// The facts of a result that the page shows, in this order: where they stand, and what they are called.
const FACTS: [(&str, &str); 36] = [
    ("/path", "Path"),
    ("/what", "What it is"),
    ("/type", "Kind"),
    ("/sealed", "Complete"),
    ("/tool", "Written by"),
    ("/name", "CA"),
    ("/ca/name", "CA"),
    ("/ca/host", "Host"),
    ("/ca/certificate/subject", "CA certificate"),
    ("/ca/certificate/not_before", "CA certificate valid from"),
    ("/ca/certificate/not_after", "CA certificate valid until"),
    ("/ca/certificate/key_identifier", "Key of the CA"),
    ("/files/key", "Private key is there"),
    ("/files/certificate", "Certificate is there"),
    ("/files/configuration", "Configuration is there"),
    ("/image/finished", "Image read"),
    ("/database", "Database"),
    ("/database/path", "Database"),
    ("/ca/database_signature", "Database signature"),
    ("/header/database_signature", "Database signature"),
    ("/database_signature", "Database signature"),
    ("/ca/stream_signature", "Log stream"),
    ("/header/log_signature", "Log sequence"),
    ("/stream_signature", "Log stream"),
    ("/header/state", "State"),
    ("/header/windows", "Windows version"),
    ("/header/page_size", "Bytes of a page"),
    ("/signature/state", "Signature"),
    ("/signature/signer", "Signed by"),
    ("/signature/key", "Signed with the key"),
    ("/started", "Started"),
    ("/finished", "Finished"),
    ("/header/attached/time", "Last attached"),
    ("/header/backups/full/taken", "Last full backup"),
    ("/certificate_not_after", "CA certificate valid until"),
    ("/crl/next_update", "CRL valid until"),
];

/// The page for what `show` found, with charts where the database could be read; else with what kept it from that.
/// Several results are those of a full set and the log sets that continue it. `completeness` is a section of its own.
pub(super) fn page(
    results: &[Value],
    statistics: &Result<Statistics, String>,
    completeness: &str,
    now: FileTime,
) -> String {
    let title = title_of(results);
    let mut page = String::with_capacity(32 * 1024);
    page.push_str(&head(&title, &now.to_rfc3339(), env!("CARGO_PKG_VERSION")));
    // Where there are several sets, headings say which one they are about.
    let of_what = |result: &Value| match result["path"].as_str() {
        Some(path) if 1 < results.len() => format!(" <span class=\"soft\">{}</span>", escaped(path)),
        _ => String::new(),
    };
    for result in results {
        health(&mut page, result, &of_what(result));
    }
    page.push_str(completeness);
    page.push_str(&backups(results, now));
    for result in results {
        facts(&mut page, result, &of_what(result));
    }
    match statistics {
        Ok(statistics) => {
            due(&mut page, statistics);
            charts(&mut page, statistics);
        }
        Err(problem) => {
            let problem = with_code(problem);
            write!(
                page,
                "<section><h2>Certificates</h2><p>The database was not counted: {problem}.</p></section>"
            )
            .ok();
        }
    }
    page.push_str("</main></body></html>\n");
    page
}

fn title_of(results: &[Value]) -> String {
    let named = |result: &Value| {
        let name = ["/ca/name", "/name"].iter().find_map(|place| result.pointer(place)?.as_str());
        name.filter(|name| !name.is_empty()).map(str::to_owned)
    };
    let path = results.first().and_then(|result| result["path"].as_str()).unwrap_or("database");
    let last = path.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or(path);
    let more = match results.len() {
        0 | 1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    results.iter().find_map(named).map_or_else(|| last.to_owned(), |name| format!("{name}: {last}{more}"))
}

/// What was found. It is green only where the database was checked as a whole, by what the record of that says.
fn health(page: &mut String, result: &Value, of_what: &str) {
    let health = &result["health"];
    let problems = texts(&health["problems"]);
    let checked = result.pointer("/last_check/when").and_then(Value::as_str);
    let class = match (problems.is_empty(), checked) {
        (false, _) => " class=\"bad\"",
        (true, Some(_)) => " class=\"good\"",
        (true, None) => "",
    };
    let verdict = with_code(health["verdict"].as_str().unwrap_or_default());
    write!(page, "<section><h2>Health{of_what}</h2><p{class}>{verdict}</p>").ok();
    match checked {
        Some(when) => {
            let by = result.pointer("/last_check/by").and_then(Value::as_str).unwrap_or_default();
            write!(page, "<p>Verified on {} by {}.</p>", escaped(when), escaped(by)).ok();
        }
        None => page.push_str(
            "<p><strong>Not verified.</strong> Names, sizes and headers were looked at, not every byte.</p>",
        ),
    }
    let notes = texts(&health["notes"]);
    if !problems.is_empty() || !notes.is_empty() {
        page.push_str("<ul>");
        for problem in problems {
            write!(page, "<li class=\"bad\">{}</li>", with_code(problem)).ok();
        }
        for note in notes {
            write!(page, "<li>{}</li>", with_code(note)).ok();
        }
        page.push_str("</ul>");
    }
    page.push_str("</section>\n");
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn facts(page: &mut String, result: &Value, of_what: &str) {
    write!(page, "<section><h2>Identity and range{of_what}</h2><table class=\"facts\">").ok();
    let mut row = |name: &str, value: &str| {
        write!(page, "<tr><th scope=\"row\">{name}</th><td>{}</td></tr>", escaped(value)).ok();
    };
    for (place, name) in FACTS {
        match result.pointer(place) {
            Some(Value::String(text)) if !text.is_empty() => row(name, text),
            Some(Value::Bool(flag)) => row(name, if *flag { "yes" } else { "no" }),
            Some(Value::Number(number)) => row(name, &number.to_string()),
            _ => {}
        }
    }
    for (place, name) in [
        ("/generations", "Log generations"),
        ("/required", "Needs log generations"),
        ("/header/required", "Needs log generations"),
        ("/image", "Image needs generations"),
    ] {
        let bound = |end: &str| result.pointer(place)?.get(end)?.as_u64();
        if let (Some(low), Some(high)) = (bound("low"), bound("high"))
            && high != 0
        {
            row(name, &format!("{low:#x} to {high:#x}"));
        }
    }
    if let Some(bytes) = result["bytes"].as_u64() {
        row("Size", &human_bytes(bytes));
    }
    for (list, name) in
        [("locations", "At the CA"), ("dynamic_files", "Dynamic files"), ("not_included", "Not included")]
    {
        let several = texts(&result[list]);
        if !several.is_empty() {
            row(name, &several.join("\n"));
        }
    }
    page.push_str("</table>");
    files(page, result);
    page.push_str("</section>\n");
}

/// The files of a set, or the logs of a Windows set.
fn files(page: &mut String, result: &Value) {
    let files = result["files"].as_array().or_else(|| result["logs"].as_array());
    let Some(files) = files.filter(|files| !files.is_empty()) else { return };
    let count = counted(files.len() as u64, "file");
    write!(
        page,
        "<details><summary>{count}</summary><table class=\"numbers\"><tr><th scope=\"col\">File</th>\
         <th scope=\"col\">Size</th></tr>"
    )
    .ok();
    for file in files {
        let name = escaped(file["path"].as_str().unwrap_or_default());
        let size = file["bytes"].as_u64().map_or_else(|| "missing".to_owned(), human_bytes);
        write!(page, "<tr><th scope=\"row\">{name}</th><td>{size}</td></tr>").ok();
    }
    page.push_str("</table></details>");
}

/// The certificates that end next.
fn due(page: &mut String, statistics: &Statistics) {
    let all = statistics.due_in_all;
    let count = counted(all, "certificate");
    write!(page, "<section><h2>Ending within {DUE_DAYS} days <span class=\"soft\">{count}</span></h2>").ok();
    if all == 0 {
        page.push_str("<p class=\"soft\">None.</p></section>\n");
        return;
    }
    page.push_str(
        "<table class=\"list\"><tr><th scope=\"col\">Ends</th><th scope=\"col\">Subject</th>\
         <th scope=\"col\">Template</th><th scope=\"col\">Serial number</th></tr>",
    );
    for certificate in &statistics.due {
        let [day, name, template, serial] =
            [&certificate.day, &certificate.name, &certificate.template, &certificate.serial]
                .map(|text| escaped(text));
        write!(
            page,
            "<tr><th scope=\"row\">{day}</th><td>{name}</td><td>{template}</td><td><code>{serial}</code></td></tr>"
        )
        .ok();
    }
    page.push_str("</table>");
    if let Some(left) = all.checked_sub(statistics.due.len() as u64).filter(|left| *left != 0) {
        write!(page, "<p class=\"soft\">{left} more.</p>").ok();
    }
    page.push_str("</section>\n");
}

fn charts(page: &mut String, statistics: &Statistics) {
    let mut chart = |heading: &str, all: u64, keys: &str, chart: String| {
        writeln!(
            page,
            "<section><h2>{heading} <span class=\"soft\">{all} in all{keys}</span></h2>{chart}</section>"
        )
        .ok();
    };
    let over_time = |label, count, marked, counts: &BTreeMap<String, Month>, day: Option<&str>| {
        let months = columns_of(counts, day);
        let today = day.and_then(|day| place_of(&months, day));
        columns(&Meaning { label, count, marked, today }, &months)
    };
    let sum = |counts: &BTreeMap<String, Month>| counts.values().map(|month| month.all).sum::<u64>();
    chart(
        "Certificates issued, by month",
        sum(&statistics.issued),
        " <span class=\"key\"></span>issued <span class=\"key marked\"></span>revoked since",
        over_time("Certificates issued by month", "Issued", Some("Revoked since"), &statistics.issued, None),
    );
    chart(
        "Certificates expiring, by month",
        sum(&statistics.expiring),
        " <span class=\"key past\"></span>expired <span class=\"key\"></span>to come",
        over_time(
            "Certificates expiring by month",
            "Expiring",
            None,
            &statistics.expiring,
            Some(&statistics.today),
        ),
    );
    for (heading, label, counts) in [
        ("Requests, by disposition", "Requests by disposition", &statistics.dispositions.0),
        ("Requests, by template", "Requests by template", &statistics.templates.0),
    ] {
        chart(heading, counts.values().sum(), "", bars(label, &largest(counts)));
    }
}

/// The largest counts first; the rest together.
fn largest(counts: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
    const MOST_BARS: usize = 20;
    let mut sorted: Vec<_> = counts.iter().map(|(name, count)| (name.clone(), *count)).collect();
    sorted.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    let rest: u64 = sorted.iter().skip(MOST_BARS).map(|(_, count)| count).sum();
    if MOST_BARS < sorted.len() {
        let further = sorted.len() - MOST_BARS;
        sorted.truncate(MOST_BARS);
        sorted.push((format!("{further} further"), rest));
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::super::statistics::Due;
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_from_elsewhere_becomes_markup() {
        let evil = "<script>alert('1')</script>\"&\u{1b}";
        let mut statistics = Statistics::default();
        for counts in [&mut statistics.templates, &mut statistics.dispositions] {
            counts.0.insert(evil.to_owned(), 3);
        }
        statistics.issued.insert(evil.to_owned(), Month { all: 2, revoked: 1 });
        statistics.due_in_all = 1;
        statistics.due.insert(Due {
            day: evil.to_owned(),
            name: evil.to_owned(),
            serial: evil.to_owned(),
            template: evil.to_owned(),
        });
        let result = json!({
            "path": evil, "what": evil, "type": evil, "finished": evil,
            "ca": { "name": evil, "certificate": { "subject": evil } },
            "health": { "verdict": evil, "problems": [evil], "notes": [evil] },
            "last_check": { "when": evil, "by": evil },
            "marks": [{ "kind": evil, "low": 1, "high": 2, "taken": evil }],
            "header": { "backups": { evil: { "taken": evil, "low": 1, "high": 2 } } },
            "locations": [evil], "not_included": [evil], "files": [{ "path": evil, "bytes": 3 }],
        });
        for statistics in [Ok(statistics), Err(evil.to_owned())] {
            let page = page(&[result.clone(), result.clone()], &statistics, "", FileTime(0));
            assert!(!page.contains("<script") && !page.contains('\u{1b}'), "{page}");
            assert!(page.contains("&lt;script&gt;"));
            assert!(!page.contains("http://") && !page.contains("https://"), "nothing is fetched");
        }
    }

    #[test]
    fn of_many_names_the_largest_are_shown() {
        let counts: BTreeMap<String, u64> = (0..30).map(|number| (format!("t{number:02}"), number)).collect();
        let shown = largest(&counts);
        assert_eq!(shown.len(), 21);
        assert_eq!(shown[0], ("t29".to_owned(), 29));
        assert_eq!(shown[20], ("10 further".to_owned(), (0..10).sum()));
    }

    #[test]
    fn green_is_only_what_was_verified() {
        let result = |problems: &[&str], check: Value| {
            json!({
                "path": "/srv/ca",
                "health": { "verdict": "in order", "problems": problems, "notes": [] },
                "last_check": check,
            })
        };
        let check = json!({ "when": "2026-11-27T12:00:00Z", "by": "backup" });
        let page_of = |result: Value| page(&[result], &Err("x".to_owned()), "", FileTime(0));
        let verified = page_of(result(&[], check.clone()));
        assert!(
            verified.contains("class=\"good\"") && verified.contains("Verified on 2026-11-27"),
            "{verified}"
        );
        let unknown = page_of(result(&[], Value::Null));
        assert!(!unknown.contains("class=\"good\"") && unknown.contains("Not verified"), "{unknown}");
        let bad = page_of(result(&["a problem"], check));
        assert!(!bad.contains("class=\"good\"") && bad.contains("<p class=\"bad\">"), "{bad}");
    }
}
