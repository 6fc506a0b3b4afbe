//! Sets and databases of the Windows engine, from the command line.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::Work;
use crate::windows_files::{backup, ca_database, fixture};

fn with_database() -> Work {
    let work = Work::new();
    fs::write(work.path("CertLog.edb"), ca_database()).unwrap();
    work
}

#[test]
fn the_tables_of_a_real_ca_are_listed_under_the_keys_of_our_own() {
    let work = with_database();
    let rows = |table: &str| work.result(&format!("list {{CertLog.edb}} {table}"))["rows"].clone();
    let counts = [("requests", 11), ("certificates", 8), ("revoked", 0), ("crls", 2)];
    for (table, count) in counts {
        assert_eq!(rows(table).as_array().unwrap().len(), count, "{table}");
    }
    // Whatever our own sets have, these have too.
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/json.md")).unwrap();
    for table in ["requests", "certificates", "extensions", "attributes", "crls"] {
        let section = text.split(&format!("\n## `list: {table}`")).nth(1).unwrap();
        let block = section.split_once("```json\n").unwrap().1.split_once("```").unwrap().0;
        let example: Value = serde_json::from_str(block).unwrap();
        let found = &rows(table)[0];
        for key in example["result"]["rows"][0].as_object().unwrap().keys() {
            assert!(found.get(key).is_some(), "{table} lacks {key}: {found}");
        }
    }
    let requests = rows("requests");
    assert_eq!(requests[0]["disposition"], "CA certificate");
    assert_eq!(requests[4]["disposition"], "denied");
    assert_eq!(requests[3]["serial_number"], "6500000004dfd5d66db7c478b5000000000004");
    assert_eq!(rows("certificates")[0]["not_after"], "2030-09-30T09:00:45Z");
    // For a person, and for a spreadsheet.
    let table = work.run("list {CertLog.edb} requests").good();
    assert_eq!(table.lines().count(), 13);
    let csv = work.run("list {CertLog.edb} requests --csv").good();
    assert!(csv.starts_with("request_id,") && csv.contains(",disposition_code,"), "{csv}");
    let cut = work.result("list {CertLog.edb} requests --limit 3");
    assert_eq!((&cut["count"], &cut["truncated"]), (&3.into(), &true.into()));
}

#[test]
fn any_table_of_the_file_is_listed_whole() {
    let work = with_database();
    let listed = work.result("list {CertLog.edb} --table certificates");
    assert_eq!((listed["count"].as_u64(), listed["unreadable"].as_u64()), (Some(11), Some(0)));
    let row = &listed["rows"][1];
    assert!(row["RawCertificate"].as_str().unwrap().starts_with("3082"), "{row}");
    assert_eq!(row["$SerialNumber"], "650000000259eefa38562a8363000000000002");
    let run = work.run("--json list {CertLog.edb} --table Nothing");
    assert_eq!(run.json()["error"]["code"], "0xc8000519", "{run:?}");
    assert_eq!(work.run("list {CertLog.edb} --table Requests --export-certs {certs}").code, 2);
}

#[test]
fn a_listing_that_fails_on_its_way_is_still_one_object() {
    let work = Work::new();
    let mut bytes = ca_database();
    let pages: Vec<u32> = {
        let database = certadm_ese::Database::open(bytes.as_slice()).unwrap();
        let table = database.table("CertificateExtensions").unwrap();
        table.rows().map(|row| row.unwrap().position().0).collect()
    };
    let (first, last) = (pages[0], *pages.last().unwrap());
    assert_ne!(first, last, "the table has several pages");
    let start = (last as usize + 1) * 4096;
    bytes[start..start + 4096].fill(0x77);
    fs::write(work.path("broken.edb"), bytes).unwrap();
    let run = work.run("--json list {broken.edb} --table CertificateExtensions");
    let object = run.json();
    assert_eq!((run.code, &object["ok"], &object["exit_code"]), (5, &false.into(), &5.into()));
    assert_eq!(object["error"]["code"], "0xc80003fa");
    let rows = object["result"]["rows"].as_array().unwrap().len();
    assert!(0 < rows && rows < pages.len());
    assert_eq!((&object["result"]["count"], &object["result"]["truncated"]), (&rows.into(), &true.into()));
    // A failure before the first row has the object for itself.
    let run = work.run("--json list {broken.edb} --table Nothing");
    assert!(run.json()["result"].is_null());
    let one = work.result("list {broken.edb} requests --limit 1");
    assert_eq!(one["count"], 1);
}

#[test]
fn certificates_are_exported_and_none_is_overwritten() {
    let work = with_database();
    let result = work.result("list {CertLog.edb} certificates --export-certs {certs}");
    assert_eq!(result["exported"]["certificates"], 8);
    let files: Vec<_> = fs::read_dir(work.path("certs")).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 8);
    let own = work.path("certs/1169f0517d9b598e4ba7af46e4674066.pem");
    let subject = crate::support::openssl(&["x509", "-noout", "-subject", "-in", own.to_str().unwrap()]);
    assert!(subject.contains("SEVENKINGDOMS-CA"), "{subject}");
    let before = fs::read(&own).unwrap();
    let run = work.run("--json list {CertLog.edb} certificates --export-certs {certs}");
    assert_eq!(run.json()["error"]["name"], "ERROR_ALREADY_EXISTS", "{run:?}");
    assert_eq!(fs::read(own).unwrap(), before);
}

#[test]
fn what_is_not_on_a_damaged_page_is_listed_with_salvage() {
    let work = Work::new();
    let mut bytes = ca_database();
    // The root of the table of certificates was never written, a leaf of the requests is destroyed.
    let database = certadm_ese::Database::open(bytes.clone()).unwrap();
    let root = |name: &str| database.table(name).unwrap().definition().root;
    let leaf = *database.tree(root("Requests")).pages().unwrap().last().unwrap();
    let place = |page: u32| (page as usize + 1) * 4096..(page as usize + 2) * 4096;
    bytes[place(root("Certificates"))].fill(0);
    bytes[place(leaf)][100..200].fill(0x5A);
    fs::write(work.path("CertLog.edb"), bytes).unwrap();
    let verified = work.run("verify {CertLog.edb}");
    assert_eq!(verified.code, 5, "{verified:?}");
    let failed = work.run("--json list {CertLog.edb}");
    assert_eq!(failed.code, 5, "{failed:?}");
    let remedy = failed.json()["error"]["remedy"].as_str().unwrap().to_owned();
    assert!(remedy.contains("--salvage"), "{remedy}");
    let run = work.run("--json list {CertLog.edb} --salvage --export-certs {certs}");
    assert_eq!(run.code, 1, "{run:?}");
    let result = &run.json()["result"];
    assert_eq!((&result["count"], &result["skipped_pages"]), (&8.into(), &2.into()), "{result}");
    assert_eq!(result["exported"]["certificates"], 8);
    let text = work.run("list {CertLog.edb} requests --salvage");
    assert_eq!(text.code, 1);
    assert!(format!("{text:?}").contains("2 pages in use cannot be read"), "{text:?}");
}

/// A database in which one certificate is revoked, and the pages on which its request and its row among the certificates are.
fn with_a_revocation() -> (Vec<u8>, usize, usize) {
    const REQUEST: i32 = 6;
    let mut bytes = ca_database();
    let database = certadm_ese::Database::open(bytes.clone()).unwrap();
    let page_of = |table: &str| {
        let table = database.table(table).unwrap();
        let (page, _) = table.row_by_number(REQUEST).unwrap().unwrap().position();
        page
    };
    let (request, certificate) = (page_of("Requests"), page_of("Certificates"));
    let start = (request as usize + 1) * 4096;
    let page = &mut bytes[start..start + 4096];
    // The number of the request, and its disposition (ese.md 12), which was "issued".
    let numbers = REQUEST.to_le_bytes();
    let place = (0..4000).find(|at| page[*at..at + 4] == numbers && page[at + 16..at + 20] == [20, 0, 0, 0]);
    page[place.unwrap() + 16] = 21;
    certadm_ese::checksum::checksum_page(page, request);
    (bytes, request as usize, certificate as usize)
}

/// What was revoked is in the list, or the list says that it is not whole.
#[test]
fn a_damaged_page_hides_neither_a_revocation_nor_a_serial_number() {
    let work = Work::new();
    let (bytes, request, certificate) = with_a_revocation();
    let root =
        certadm_ese::Database::open(bytes.clone()).unwrap().table("Requests").unwrap().definition().root;
    let damage = |name: &str, page: usize| {
        let mut bytes = bytes.clone();
        bytes[(page + 1) * 4096..][100..200].fill(0x5A);
        fs::write(work.path(name), bytes).unwrap();
    };
    fs::write(work.path("whole.edb"), &bytes).unwrap();
    damage("leaf.edb", request);
    damage("root.edb", root as usize);
    damage("certificates.edb", certificate);
    assert_eq!(work.result("list {whole.edb} revoked")["count"], 1);
    for line in
        ["{leaf.edb} revoked", "{root.edb} revoked", "{leaf.edb} certificates", "{certificates.edb} requests"]
    {
        let run = work.run(&format!("--json list {line}"));
        assert_eq!(run.code, 5, "{line}: {run:?}");
        let object = run.json();
        assert_eq!(object["error"]["code"], "0xc80003fa", "{line}: {object}");
        assert!(object["error"]["remedy"].as_str().unwrap().contains("--salvage"), "{line}: {object}");
    }
    // Read around the damage, what may be revoked is listed, and what is unreadable is counted.
    let found = |line: &str| {
        let run = work.run(&format!("--json list {line} --salvage"));
        assert_eq!(run.code, 1, "{line}: {run:?}");
        let result = run.json()["result"].clone();
        assert_ne!(result["unreadable"], 0, "{line}: {result}");
        result["rows"].as_array().unwrap().iter().map(|row| row["request_id"].clone()).collect::<Vec<_>>()
    };
    assert!(found("{leaf.edb} revoked").contains(&6.into()));
    assert!(found("{certificates.edb} requests").contains(&6.into()));
}

#[test]
fn a_backup_is_verified_shown_and_recovered() {
    let work = Work::new();
    if backup(&work.path("")).is_none() {
        return;
    }
    let text = work.run("verify {full} {logs}").good();
    let sentence = "restorable: replay reached 0x2:9:644, 0 mismatches, 0 transactions rolled back";
    assert!(text.contains(sentence), "{text}");
    // Where there is no terminal for a bar, a line for each stage.
    for stage in ["Verifying", "Checking logs", "Replaying logs"] {
        assert!(text.contains(&format!("{stage}: 100%")), "{stage}: {text}");
    }
    let text = work.run("recover {full} {logs} --to {told}").good();
    for stage in ["Copying", "Replaying logs", "Reading back"] {
        assert!(text.contains(&format!("{stage}: 100%")), "{stage}: {text}");
    }
    let result = work.result("verify {full} {logs}");
    assert_eq!(result["verdict"], sentence);
    assert_eq!(result["restorable"], true);
    assert_eq!(result["windows"]["replay"]["reached"], "0x2:9:644");
    let shown = work.result("show {full}");
    assert_eq!((&shown["what"], &shown["type"]), (&"windows set".into(), &"full".into()));
    assert_eq!(shown["locations"][0], r"\\ca1.example\admin$\system32\CertLog\Store.edb");

    let recovered = work.result("recover {full} {logs} --to {out}");
    assert_eq!(recovered["replay"]["records"], 544);
    assert_eq!(work.result("verify {out/Store.edb}")["restorable"], true);
    assert_eq!(work.result("show {out/Store.edb}")["header"]["state"], "clean shutdown");
    let run = work.run("--json recover {full} {logs} --to {out}");
    assert_eq!((run.code, run.json()["error"]["name"].as_str()), (3, Some("ERROR_ALREADY_EXISTS")));

    // A log that is missing: the finding, its code, the exit code, and no file.
    fs::remove_file(work.path("full/DataBase/edb00001.log")).unwrap();
    let run = work.run("verify {full} {logs}");
    assert_eq!(run.code, 5);
    assert!(run.stdout.contains("0xc800022a (ESE: -554"), "{run:?}");
    assert!(run.stdout.contains("NOT restorable: log generation 0x1: missing"), "{run:?}");
    let run = work.run("--json recover {full} {logs} --to {none}");
    assert_eq!((run.code, run.json()["error"]["code"].as_str()), (5, Some("0xc800022a")));
    assert_eq!(fs::read_dir(work.path("none")).unwrap().count(), 0);
    assert_eq!(work.run("show {full}").code, 1, "a problem is a finding");
}

#[test]
fn rows_of_a_recovered_backup_equal_those_of_the_engines_own_file() {
    let work = Work::new();
    let Some(live) = fixture("winmail-v7-sec4096/WindowsMail.MSMessageStore") else { return };
    backup(&work.path("")).unwrap();
    fs::write(work.path("live.edb"), live).unwrap();
    let run = work.run("list {live.edb} requests");
    assert!(run.code == 3 && run.stderr.contains("it is not that of a CA"), "{run:?}");
    for table in ["MSysObjects", "Streams", "MSysUnicodeFixupVer2"] {
        let rows = |source: &str| work.result(&format!("list {source} --table {table}"))["rows"].clone();
        assert_eq!(rows("{full} {logs}"), rows("{live.edb}"), "{table}");
    }
}

#[test]
fn the_summary_page_stands_alone() {
    let work = with_database();
    work.result("show {CertLog.edb} --html {page.html}");
    let page = fs::read_to_string(work.path("page.html")).unwrap();
    for part in [
        "<!doctype html>",
        "clean shutdown",
        "by disposition",
        "<th scope=\"row\">denied</th><td>3</td>",
        "<th scope=\"row\">Basic EFS</th><td>1</td>",
        "<th scope=\"row\">2025-09</th><td>7</td>",
        "<svg ",
        "Not verified",
    ] {
        assert!(page.contains(part), "{part}");
    }
    for foreign in ["<script", "http://", "https://", "src="] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    let run = work.run("--json show {CertLog.edb} --html {page.html}");
    assert_eq!(run.json()["error"]["name"], "ERROR_ALREADY_EXISTS");

    // Our own sets and folders have one too.
    let work = Work::with_ca();
    work.issue("ca", "web");
    work.result("backup --dir {ca} --to {set}");
    work.result("show {set} --html {set.html}");
    work.result("show --dir {ca} --html {ca.html}");
    for page in ["set.html", "ca.html"] {
        let page = fs::read_to_string(work.path(page)).unwrap();
        assert!(page.contains("<th scope=\"row\">issued</th><td>1</td>"), "{page}");
        assert!(!page.contains("<th scope=\"row\">CA certificate</th><td>"), "nobody requested it: {page}");
    }
}

#[test]
fn what_is_not_of_windows_is_not_recovered() {
    let work = Work::with_ca();
    work.result("backup --dir {ca} --to {set}");
    let run = work.run("--json recover {set} --to {out}");
    let error = run.json()["error"].clone();
    assert_eq!(run.code, 3);
    assert!(error["remedy"].as_str().unwrap().contains("certadm restore"), "{error}");
    assert_eq!(work.run("list {set} --table Requests").code, 2);
}

/// Every cell as the command lists it equals what an independent reader prints. Ignored by default: the reader must be
/// installed first (crates/ese/tests/suite/dissect.rs says how).
#[test]
#[ignore = "needs the Python peer; see crates/ese/tests/suite/dissect.rs"]
fn every_listed_cell_equals_dissect() {
    let work = with_database();
    let mut peer: BTreeMap<(String, u64, String), Value> = BTreeMap::new();
    for line in dissect(&work.path("CertLog.edb")).lines() {
        let cell: (String, u64, String, Value) = serde_json::from_str(line).unwrap();
        peer.insert((cell.0, cell.1, cell.2), cell.3);
    }
    let mut compared = 0;
    for table in ["Requests", "Certificates", "RequestAttributes", "CertificateExtensions", "CRLs"] {
        let rows = work.result(&format!("list {{CertLog.edb}} --table {table}"))["rows"].clone();
        for (number, row) in (0u64..).zip(rows.as_array().unwrap()) {
            for (column, cell) in row.as_object().unwrap() {
                let theirs = peer.remove(&(table.to_owned(), number, column.clone()));
                let theirs = theirs.unwrap_or_else(|| panic!("{table} {number} {column}: only ours, {cell}"));
                assert!(same(cell, &theirs), "{table} {number} {column}: ours {cell}, theirs {theirs}");
                compared += 1;
            }
        }
    }
    println!("{compared} cells compared");
    let tables = ["Requests", "Certificates", "RequestAttributes", "CertificateExtensions", "CRLs"];
    assert!(!peer.keys().any(|(table, _, _)| tables.contains(&table.as_str())), "cells only they have");
}

/// Every cell of a file as the peer prints it, a line each.
fn dissect(path: &Path) -> String {
    let python = std::env::var("CERTADM_PYTHON").expect("CERTADM_PYTHON names the interpreter");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ese/tests/interop/ese_dissect.py");
    let output = Command::new(python).arg(script).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs the Python peer; see crates/ese/tests/suite/dissect.rs"]
fn dissect_reads_a_recovered_backup_as_the_engines_own_file() {
    let work = Work::new();
    let Some(live) = fixture("winmail-v7-sec4096/WindowsMail.MSMessageStore") else { return };
    backup(&work.path("")).unwrap();
    fs::write(work.path("live.edb"), live).unwrap();
    work.result("recover {full} {logs} --to {out}");
    let recovered = dissect(&work.path("out/Store.edb"));
    assert!(0 < recovered.lines().count());
    assert_eq!(recovered, dissect(&work.path("live.edb")));
}

/// libesedb (Debian package libesedb-utils) opens what the command recovered and finds the same tables.
#[test]
#[ignore = "needs esedbinfo"]
fn libesedb_reads_a_recovered_backup_as_the_engines_own_file() {
    let work = Work::new();
    let Some(live) = fixture("winmail-v7-sec4096/WindowsMail.MSMessageStore") else { return };
    backup(&work.path("")).unwrap();
    fs::write(work.path("live.edb"), live).unwrap();
    work.result("recover {full} {logs} --to {out}");
    let info = |path: &Path| {
        let output = Command::new("esedbinfo").arg(path).output().expect("esedbinfo");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_once("Table: 1").expect("tables").1.to_owned()
    };
    assert_eq!(info(&work.path("out/Store.edb")), info(&work.path("live.edb")));
}

/// The command shows dates as text and bytes as hexadecimal digits; the peer's dates are numbers.
fn same(ours: &Value, theirs: &Value) -> bool {
    let Some(theirs) = theirs.as_str() else {
        return ours.is_null() && theirs.is_null();
    };
    let (kind, value) = theirs.split_once(':').unwrap();
    match (kind, ours) {
        ("i", Value::Number(number)) => number.to_string() == value,
        ("i", Value::String(date)) => filetime_of(date) == value.parse().ok(),
        ("b", Value::Bool(flag)) => value == if *flag { "1" } else { "0" },
        ("t" | "x", Value::String(text)) => text.trim_end_matches('\0') == value,
        _ => false,
    }
}

/// 100-nanosecond ticks since 1601 of a moment in UTC.
fn filetime_of(text: &str) -> Option<i64> {
    let (seconds, fraction) = match text.strip_suffix('Z')?.split_once('.') {
        Some((seconds, fraction)) => (seconds.to_owned(), format!("{fraction:0<7}")),
        None => (text.strip_suffix('Z')?.to_owned(), "0000000".to_owned()),
    };
    let part = |range: std::ops::Range<usize>| seconds.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (part(0..4)?, part(5..7)?, part(8..10)?);
    let days_before = |year: i64| year * 365 + year / 4 - year / 100 + year / 400;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let in_year: i64 = lengths.iter().take(usize::try_from(month - 1).ok()?).sum::<i64>() + day - 1;
    let days = days_before(year - 1) - days_before(1600) + in_year;
    let time = part(11..13)? * 3600 + part(14..16)? * 60 + part(17..19)?;
    Some((days * 86_400 + time) * 10_000_000 + fraction.get(..7)?.parse::<i64>().ok()?)
}
