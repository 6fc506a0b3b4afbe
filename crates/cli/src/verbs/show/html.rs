//! The summary page: one file that needs nothing else. No script, no fetch; every text from elsewhere is escaped.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::charts::{bars, columns};
use super::markup::escaped;
use super::statistics::Statistics;
use crate::output::human_bytes;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1d2733;--soft:#5d6b7a;--paper:#fff;--line:#d9dfe6;--bar:#2f6fb2;--good:#227a4b;--bad:#b3261e}\
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf0;--soft:#9aa7b4;--paper:#14191f;--line:#333c46;--bar:#6aa5e0;--good:#5cc08a;--bad:#f2857c}}\
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}h2 .soft{font-weight:400;font-size:.9rem;margin-left:.5rem}\
.soft,caption{color:var(--soft)}table{border-collapse:collapse;width:100%}\
th{text-align:left;font-weight:500;color:var(--soft);width:14rem;vertical-align:top}\
th,td{padding:.25rem .5rem;border-bottom:1px solid var(--line);overflow-wrap:anywhere}\
.good{color:var(--good)}.bad{color:var(--bad)}\
svg{width:100%;height:auto}svg text{fill:var(--ink);font:12px system-ui,sans-serif}\
svg .soft{fill:var(--soft)}svg rect{fill:var(--bar)}svg line{stroke:var(--line)}";

/// The facts of a result that the page shows, in this order: where they stand, and what they are called.
const FACTS: [(&str, &str); 25] = [
    ("/path", "Path"),
    ("/what", "What it is"),
    ("/type", "Kind"),
    ("/sealed", "Complete"),
    ("/tool", "Written by"),
    ("/name", "CA"),
    ("/ca/name", "CA"),
    ("/ca/host", "Host"),
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
    ("/started", "Started"),
    ("/finished", "Finished"),
    ("/header/attached/time", "Last attached"),
    ("/header/backups/full/taken", "Last full backup"),
    ("/certificate_not_after", "CA certificate valid until"),
    ("/crl/next_update", "CRL valid until"),
];

/// The page for a result of `show`, with charts where the database could be read; else with what kept it from that.
pub(super) fn page(result: &Value, statistics: &Result<Statistics, String>) -> String {
    let title = title_of(result);
    let mut page = String::with_capacity(32 * 1024);
    // Writing to a string cannot fail.
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{0}</title><style>{STYLE}</style></head>\n\
         <body><h1>{0}</h1><p class=\"soft\">Written by certadm {1}.</p>\n",
        escaped(&title),
        env!("CARGO_PKG_VERSION")
    )
    .ok();
    health(&mut page, &result["health"]);
    facts(&mut page, result);
    match statistics {
        Ok(statistics) => charts(&mut page, statistics),
        Err(problem) => {
            let problem = escaped(problem);
            writeln!(page, "<h2>Certificates</h2><p>The database was not counted: {problem}.</p>").ok();
        }
    }
    page.push_str("</body></html>\n");
    page
}

fn title_of(result: &Value) -> String {
    let name = ["/ca/name", "/name"].iter().find_map(|place| result.pointer(place)?.as_str());
    let path = result["path"].as_str().unwrap_or("database");
    let last = path.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or(path);
    name.map_or_else(|| last.to_owned(), |name| format!("{name}: {last}"))
}

fn health(page: &mut String, health: &Value) {
    let problems = texts(&health["problems"]);
    let class = if problems.is_empty() { "good" } else { "bad" };
    let verdict = escaped(health["verdict"].as_str().unwrap_or_default());
    write!(page, "<h2>Health</h2><p class=\"{class}\">{verdict}</p>").ok();
    let notes = texts(&health["notes"]);
    if !problems.is_empty() || !notes.is_empty() {
        page.push_str("<ul>");
        for problem in problems {
            write!(page, "<li class=\"bad\">{}</li>", escaped(problem)).ok();
        }
        for note in notes {
            write!(page, "<li>{}</li>", escaped(note)).ok();
        }
        page.push_str("</ul>");
    }
    page.push('\n');
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn facts(page: &mut String, result: &Value) {
    page.push_str("<h2>Identity and range</h2><table>");
    let mut row = |name: &str, value: &str| {
        write!(page, "<tr><th>{name}</th><td>{}</td></tr>", escaped(value)).ok();
    };
    for (place, name) in FACTS {
        match result.pointer(place) {
            Some(Value::String(text)) => row(name, text),
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
    page.push_str("</table>\n");
}

fn charts(page: &mut String, statistics: &Statistics) {
    let mut chart = |heading: &str, counts: &BTreeMap<String, u64>, svg: String| {
        let all: u64 = counts.values().sum();
        writeln!(page, "<h2>{heading} <span class=\"soft\">{all} in all</span></h2>{svg}").ok();
    };
    let Statistics { issued, expiring, dispositions, templates } = statistics;
    chart(
        "Certificates issued, by month",
        &issued.0,
        columns("Certificates issued by month", &months(&issued.0)),
    );
    chart(
        "Certificates expiring, by month",
        &expiring.0,
        columns("Certificates expiring by month", &months(&expiring.0)),
    );
    chart(
        "Requests, by disposition",
        &dispositions.0,
        bars("Requests by disposition", &largest(&dispositions.0)),
    );
    chart("Requests, by template", &templates.0, bars("Requests by template", &largest(&templates.0)));
}

/// More columns than this are years instead of months.
const MOST_COLUMNS: usize = 120;

/// Every month from the first to the last, also those without any; years where the months would be too many.
fn months(counts: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let number = |name: &str| -> Option<usize> {
        let (year, month) = name.split_once('-')?;
        Some(year.parse::<usize>().ok()? * 12 + month.parse::<usize>().ok()?.checked_sub(1)?)
    };
    let ends = counts.keys().next().zip(counts.keys().next_back());
    let Some((first, last)) = ends.and_then(|(first, last)| Some((number(first)?, number(last)?))) else {
        return Vec::new();
    };
    if last - first < MOST_COLUMNS {
        let name = |month: usize| format!("{:04}-{:02}", month / 12, month % 12 + 1);
        return (first..=last)
            .map(name)
            .map(|name| (name.clone(), counts.get(&name).copied().unwrap_or(0)))
            .collect();
    }
    let mut years: BTreeMap<usize, u64> = BTreeMap::new();
    for (name, count) in counts {
        *years.entry(number(name).unwrap_or(first) / 12).or_default() += count;
    }
    // Dates from nowhere make gaps; only years that have any are shown, and of too many the last.
    let skip = years.len().saturating_sub(MOST_COLUMNS);
    years.into_iter().skip(skip).map(|(year, count)| (year.to_string(), count)).collect()
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
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_from_elsewhere_becomes_markup() {
        let evil = "<script>alert('1')</script>\"&\u{1b}";
        let mut statistics = Statistics::default();
        for counts in [&mut statistics.templates, &mut statistics.dispositions] {
            counts.0.insert(evil.to_owned(), 3);
        }
        let result = json!({
            "path": evil, "ca": { "name": evil },
            "health": { "verdict": evil, "problems": [evil], "notes": [evil] },
        });
        for statistics in [Ok(statistics), Err(evil.to_owned())] {
            let page = page(&result, &statistics);
            assert!(!page.contains("<script") && !page.contains('\u{1b}'), "{page}");
            assert!(page.contains("&lt;script&gt;"));
            assert!(!page.contains("http://") && !page.contains("https://"), "nothing is fetched");
        }
    }

    #[test]
    fn months_without_any_are_shown_and_too_many_become_years() {
        let counts = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), 2)).collect();
        assert_eq!(
            months(&counts(&["2025-11", "2026-01"])),
            [("2025-11".to_owned(), 2), ("2025-12".to_owned(), 0), ("2026-01".to_owned(), 2)]
        );
        let years = months(&counts(&["1601-01", "2026-01", "9999-12"]));
        assert_eq!(years.len(), 3);
        assert_eq!(years[1], ("2026".to_owned(), 2));
        assert!(months(&BTreeMap::new()).is_empty());
    }

    #[test]
    fn of_many_names_the_largest_are_shown() {
        let counts: BTreeMap<String, u64> = (0..30).map(|number| (format!("t{number:02}"), number)).collect();
        let shown = largest(&counts);
        assert_eq!(shown.len(), 21);
        assert_eq!(shown[0], ("t29".to_owned(), 29));
        assert_eq!(shown[20], ("10 further".to_owned(), (0..10).sum()));
    }
}
