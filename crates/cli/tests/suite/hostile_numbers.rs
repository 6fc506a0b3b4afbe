//! Numbers and dates that no CA and no rehearsal writes, in databases, evidence and lists of strangers: no command panics,
//! and each ends soon.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::hostile_databases::rewrite;
use crate::support::{Run, Work};

/// Runs a command that may say whatever it wants, but ends by itself and not by a panic.
fn ends(work: &Work, line: &str, what: &str) -> Run {
    let begun = Instant::now();
    let run = work.run(line);
    let is_panic = run.code == 101 || run.stderr.contains("panicked");
    assert!(!is_panic, "{what}: {line}: {}", run.stderr);
    assert!(begun.elapsed() < Duration::from_secs(120), "{what}: {line}: {:?}", begun.elapsed());
    run
}

/// Every column of these tables that holds a number, but for the keys of the rows.
const NUMBERS: [(&str, &[&str]); 3] = [
    (
        "Requests",
        &[
            "RequestType",
            "RequestFlags",
            "StatusCode",
            "SubmittedWhen",
            "ResolvedWhen",
            "RevokedWhen",
            "RevokedEffectiveWhen",
            "RevokedReason",
        ],
    ),
    (
        "Certificates",
        &[
            "EnrollmentFlags",
            "GeneralFlags",
            "PrivateKeyFlags",
            "IssuerNameID",
            "NotBefore",
            "NotAfter",
            "PublicKeyLength",
            "PublishExpiredCertInCRL",
        ],
    ),
    (
        "CRLs",
        &[
            "Number",
            "MinBase",
            "NameId",
            "Count",
            "ThisUpdate",
            "NextUpdate",
            "ThisPublish",
            "NextPublish",
            "Effective",
            "PropgationComplete",
            "CRLLastPublished",
            "CRLPublishAttempts",
            "CRLPublishFlags",
            "CRLPublishStatusCode",
        ],
    ),
];

fn is_date_column(name: &str) -> bool {
    ["When", "Before", "After", "Update", "Publish", "Effective"].iter().any(|end| name.ends_with(end))
}

/// Changes of a database, by name.
fn changes() -> Vec<(String, String)> {
    let mut changes = Vec::new();
    for extreme in [i64::MAX, i64::MIN, -1] {
        let literal =
            if extreme == i64::MIN { "-9223372036854775807 - 1".to_owned() } else { extreme.to_string() };
        changes.push((
            format!("revoked {extreme}"),
            format!(
                "UPDATE Requests SET Disposition = 21, RevokedWhen = {literal}, RevokedEffectiveWhen = {literal}, \
                 RevokedReason = {literal} WHERE RequestID = 2;"
            ),
        ));
        if extreme == -1 {
            continue;
        }
        let renumbered = ["Certificates", "RequestAttributes", "CertificateExtensions", "Requests"]
            .map(|table| format!("UPDATE {table} SET RequestID = {literal} WHERE RequestID = 2;"))
            .concat();
        changes.push((
            format!("numbers of rows {extreme}"),
            format!("PRAGMA foreign_keys = off; {renumbered} UPDATE CRLs SET RowId = {literal};"),
        ));
        for is_date in [true, false] {
            let set = NUMBERS.map(|(table, columns)| {
                let wanted = columns.iter().filter(|column| is_date_column(column) == is_date);
                let set: Vec<_> = wanted.map(|column| format!("{column} = {literal}")).collect();
                format!("UPDATE {table} SET {};", set.join(", "))
            });
            changes.push((format!("dates ({is_date}) or other numbers {extreme}"), set.concat()));
        }
        changes.push((
            format!("disposition {extreme}"),
            format!("UPDATE Requests SET Disposition = {literal} WHERE RequestID = 2;"),
        ));
    }
    changes
}

#[test]
fn numbers_of_a_strangers_database_end_no_command() {
    let work = Work::with_ca();
    let serial = work.issue("ca", "one");
    work.request("two");
    work.result("backup --dir {ca} --to {good}");
    fs::create_dir(work.path("scratch")).unwrap();
    fs::write(work.path("events.xml"), crate::gap::after_the_backup()).unwrap();
    let revoke = format!("ca revoke --dir {{new}} --serial {serial} --reason superseded");
    let lines = [
        "show {set}",
        "show {set} --html {page.html}",
        "verify {set}",
        "list {set} requests",
        "--json list {set} certificates",
        "list {set} crls",
        "gap {set} --events {events.xml} --to {gap}",
        "diff {good} {set}",
        "diff {set} {good}",
        "complete {set}",
        "emergency-crl {set} --no-published --key {ca/ca.key} --passphrase-file {pass} --to {crl}",
        "rehearse {set} --within {scratch} --key {ca/ca.key} --passphrase-file {pass} --html {rehearsal.html}",
        "restore --from {set} --dir {new}",
    ];
    let restored = [
        "show --dir {new}",
        "ca list --dir {new}",
        &revoke,
        "ca issue --dir {new} --passphrase-file {pass} --out {issued-again} {two.csr}",
        "ca crl --dir {new} --passphrase-file {pass}",
        "backup --dir {new} --to {again}",
    ];
    for (what, change) in changes() {
        work.copy("good", "set");
        rewrite(&work, "set", |connection| {
            connection.execute_batch(&change).unwrap_or_else(|error| panic!("{what}: {error}"));
        });
        for line in lines {
            let run = ends(&work, line, &what);
            let is_needed = line.starts_with("emergency-crl") && what.starts_with("revoked");
            assert!(!is_needed || run.code <= 1, "{what}: {}", run.stderr);
        }
        if work.path("new").is_dir() {
            fs::copy(work.path("ca/ca.key"), work.path("new/ca.key")).unwrap();
            fs::copy(work.path("ca/ca.crt"), work.path("new/ca.crt")).unwrap();
            fs::copy(work.path("ca/ca.toml"), work.path("new/ca.toml")).unwrap();
            for line in restored {
                ends(&work, line, &what);
            }
        }
        for left in ["set", "gap", "crl", "new", "issued-again", "again", "page.html", "rehearsal.html"] {
            let path = work.path(left);
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap_or_default();
            }
        }
    }
}

/// Puts `value` in the place of each leaf in turn that `is_wanted`, and hands the whole to `visit` with the leaf's place.
fn each_leaf(
    whole: &Value,
    is_wanted: fn(&Value) -> bool,
    value: &Value,
    visit: &mut dyn FnMut(&Value, &str),
) {
    fn places(value: &Value, place: &str, is_wanted: fn(&Value) -> bool, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    places(value, &format!("{place}/{name}"), is_wanted, found);
                }
            }
            Value::Array(values) => {
                for (number, value) in values.iter().enumerate() {
                    places(value, &format!("{place}/{number}"), is_wanted, found);
                }
            }
            leaf if is_wanted(leaf) => found.push(place.to_owned()),
            _ => {}
        }
    }
    let mut found = Vec::new();
    places(whole, "", is_wanted, &mut found);
    for place in found {
        let mut changed = whole.clone();
        *changed.pointer_mut(&place).unwrap() = value.clone();
        visit(&changed, &place);
    }
}

#[test]
fn evidence_of_a_stranger_ends_no_command_and_steers_no_page() {
    const EVIL: &str = "<script>alert(1)</script>\"'\u{1b}[31m\u{202e}\r\nFAKE";
    let work = Work::with_ca();
    work.issue("ca", "one");
    work.result("backup --dir {ca} --to {set}");
    fs::create_dir(work.path("scratch")).unwrap();
    let rehearse = "rehearse {set} --within {scratch} --evidence {evidence} --rpo 1h --rto 1h --by-hand 1min";
    work.run(rehearse);
    let name = |ending: &str| {
        let files = fs::read_dir(work.path("evidence")).unwrap().map(|entry| entry.unwrap().path());
        files.into_iter().find(|path| path.extension().is_some_and(|found| found == ending)).unwrap()
    };
    let file = name("json");
    let good: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let history = "rehearse history {evidence} --every 1s --html {history.html} --prometheus {figures.prom}";
    let extremes = [json!(0), json!(u64::MAX), json!(i64::MIN), json!(i64::MAX), json!(1e308), json!(-1e308)];
    for extreme in extremes {
        each_leaf(&good, Value::is_number, &extreme, &mut |changed, place| {
            fs::write(&file, changed.to_string()).unwrap();
            let what = format!("{place} is {extreme}");
            ends(&work, history, &what);
            fs::remove_file(work.path("history.html")).ok();
            let is_used_again = ["run", "counts", "seconds"].iter().any(|name| place.contains(name));
            if is_used_again && *changed.pointer(place).unwrap() == json!(u64::MAX) {
                ends(&work, rehearse, &what);
                for entry in fs::read_dir(work.path("evidence")).unwrap() {
                    let path = entry.unwrap().path();
                    if path != file {
                        fs::remove_file(path).unwrap();
                    }
                }
            }
        });
    }
    for moment in ["0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "-1", ""] {
        each_leaf(&good, Value::is_string, &json!(moment), &mut |changed, place| {
            fs::write(&file, changed.to_string()).unwrap();
            ends(&work, history, &format!("{place} is {moment}"));
            fs::remove_file(work.path("history.html")).ok();
        });
    }
    each_leaf(&good, Value::is_string, &json!(EVIL), &mut |changed, place| {
        fs::write(&file, changed.to_string()).unwrap();
        let run = ends(&work, history, place);
        let page = fs::read_to_string(work.path("history.html")).unwrap_or_default();
        fs::remove_file(work.path("history.html")).ok();
        assert!(!page.contains("<script>alert"), "{place}");
        for text in [&page, &run.stdout, &run.stderr] {
            assert!(!text.contains(['\u{1b}', '\u{202e}', '\r']), "{place}: {text}");
            assert!(!text.contains("\nFAKE"), "{place}: {text}");
        }
        // For programs, which get the text as it is: but no line of its own.
        let figures = fs::read_to_string(work.path("figures.prom")).unwrap_or_default();
        assert!(!figures.contains("\nFAKE"), "{place}: {figures}");
    });
}
