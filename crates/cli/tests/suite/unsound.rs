//! Sets that must not be trusted: of an unsound database, of another CA, with a gap.

use std::fs;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use serde_json::Value;

use crate::support::Work;

/// The live database, opened by somebody who knows nothing of certadm and leaves the write-ahead log as it is.
fn live(work: &Work) -> Connection {
    let connection = Connection::open(work.path("ca/database/Test-CA.db")).unwrap();
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    connection
}

/// Makes an index miss an entry of its table: the index is hidden while a row changes.
pub(crate) fn spoil(work: &Work) {
    let index = "CertificateCommonNameIndex";
    let connection = live(work);
    connection.pragma_update(None, "writable_schema", true).unwrap();
    connection.execute("CREATE TABLE kept AS SELECT * FROM sqlite_schema WHERE name = ?1", [index]).unwrap();
    connection.execute("DELETE FROM sqlite_schema WHERE name = ?1", [index]).unwrap();
    drop(connection);
    let connection = live(work);
    connection
        .execute("UPDATE Certificates SET CommonName = 'other' WHERE CommonName IS NOT NULL", [])
        .unwrap();
    connection.pragma_update(None, "writable_schema", true).unwrap();
    connection.execute_batch("INSERT INTO sqlite_schema SELECT * FROM kept; DROP TABLE kept;").unwrap();
}

fn logs(work: &Work) -> usize {
    fs::read_dir(work.path("ca/log"))
        .unwrap()
        .filter(|entry| {
            entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "log")
        })
        .count()
}

#[test]
fn no_log_of_an_unsound_database_is_deleted() {
    let work = Work::with_ca();
    work.issue("ca", "one");
    work.result("backup --dir {ca} --to {good}");
    work.issue("ca", "two");
    spoil(&work);
    let before = logs(&work);
    let run = work.run("--json backup --dir {ca} --to {bad}");
    let result = run.json()["result"].clone();
    assert_eq!(run.code, 1, "{result}");
    assert_eq!((&result["kind"], &result["checked"]), (&"copy".into(), &true.into()), "{result}");
    assert_eq!(result["findings"][0]["kind"], "database-unsound", "{result}");
    assert_eq!(result["truncated"]["generations"], Value::Array(Vec::new()), "{result}");
    assert!(logs(&work) > before, "the logs that were there stay, and the one that was rolled");
    assert!(work.path("bad/manifest.json").is_file(), "the set is kept");
    let said = work.run("backup --dir {ca} --to {again}").stdout;
    assert!(said.contains("No log was deleted"), "{said}");
    // It is not restored either, in a dry run or in earnest.
    for line in ["restore --from {bad} --dir {new} --dry-run", "restore --from {bad} --dir {new}"] {
        let json = work.run(&format!("--json {line}")).json();
        assert_eq!(json["error"]["code"], "0xc80003fa", "{line}: {json}");
        assert!(!work.path("new").exists());
    }
}

#[test]
fn a_set_that_is_checked_later_leaves_the_logs() {
    let work = Work::with_ca();
    work.issue("ca", "one");
    let result = work.result("backup --dir {ca} --to {set} --verify later");
    assert_eq!((&result["kind"], &result["checked"]), (&"copy".into(), &false.into()), "{result}");
    assert!(logs(&work) > 0);
    work.result("verify {set}");
}

/// A CA with a full set and three log sets, which delete what they hold.
fn with_log_sets() -> Work {
    let work = Work::with_ca();
    work.result("backup --dir {ca} --to {full}");
    for number in 1..=3 {
        work.issue("ca", &format!("host{number}"));
        work.result(&format!("backup --dir {{ca}} --to {{logs{number}}} --type logs --truncate"));
    }
    work
}

/// The first finding of a verification that fails.
fn found(work: &Work, sets: &str) -> Value {
    let run = work.run(&format!("--json verify {sets}"));
    assert_eq!(run.code, 5, "{run:?}");
    run.json()["result"]["findings"][0].clone()
}

#[test]
fn log_sets_alone_have_no_gap_and_are_of_one_ca() {
    let work = with_log_sets();
    work.result("verify {logs1} {logs2} {logs3}");
    work.result("verify {logs3} {logs1} {logs2}");
    let gap = found(&work, "{logs1} {logs3}");
    assert_eq!((&gap["kind"], &gap["code"]), (&"log-missing".into(), &"0xc800022d".into()), "{gap}");
    let other = with_log_sets();
    other.copy("logs2", "stranger");
    fs::rename(other.path("stranger"), work.path("stranger")).unwrap();
    let stranger = found(&work, "{logs1} {stranger}");
    assert_eq!(
        (&stranger["kind"], &stranger["code"]),
        (&"log-foreign".into(), &"0xc800022b".into()),
        "{stranger}"
    );
}

#[test]
fn logs_of_another_ca_are_no_gap() {
    let work = with_log_sets();
    let other = with_log_sets();
    // Its generations leave a gap after the full set: what counts is whose they are.
    other.copy("logs3", "stranger");
    fs::rename(other.path("stranger"), work.path("stranger")).unwrap();
    let stranger = found(&work, "{full} {stranger}");
    assert_eq!(stranger["code"], "0xc800022b", "{stranger}");
    let detail = stranger["detail"].as_str().unwrap();
    assert_eq!(detail.matches("the CA \"Test-CA\" on ").count(), 2, "both are named: {detail}");
    // Another era of the same CA, after a restore.
    work.copy_key_and_configuration("ca", "era");
    work.result("restore --from {full} --dir {era}");
    for number in 4..=6 {
        work.issue("era", &format!("host{number}"));
    }
    work.result("backup --dir {era} --to {era-full}");
    work.issue("era", "host7");
    work.result("backup --dir {era} --to {era-logs} --type logs");
    assert_eq!(found(&work, "{full} {era-logs}")["code"], "0xc800022b");
}
