//! A database and a key of two CAs never work together: restore, dry run, start, issue, revoke and CRL refuse.

use std::fs;

use serde_json::Value;

use crate::support::Work;

/// Two CAs with sets: `a` and `b`, `set-a` and `set-b`.
fn two_cas() -> Work {
    let work = Work::new();
    for (name, dir) in [("CA-A", "a"), ("CA-B", "b")] {
        work.run(&format!("ca init --dir {{{dir}}} --name {name} --passphrase-file {{pass}}")).good();
        work.issue(dir, &format!("host-{dir}"));
        work.result(&format!("backup --dir {{{dir}}} --to {{set-{dir}}}"));
    }
    work
}

/// Runs a command that must be refused because the database is of another CA, and gives what it said.
fn refused(work: &Work, line: &str) -> String {
    let json = work.run(&format!("--json {line}")).json();
    assert_eq!(json["error"]["code"], "0xc800022b", "{line}: {json}");
    let message = json["error"]["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("CN=CA-A (key ") && message.contains("CN=CA-B (key "),
        "both are named: {message}"
    );
    message
}

/// Runs a command that succeeds, and counts the keys without CRL that it tells of.
fn keys_without_crl(work: &Work, line: &str, count: usize) -> Value {
    let run = work.run(&format!("--json {line}"));
    let result = run.json()["result"].clone();
    let found = result.get("health").unwrap_or(&result)["findings"].clone();
    let findings = found.as_array().unwrap();
    assert_eq!(findings.iter().filter(|found| found["kind"] == "crl-key").count(), count, "{line}: {run:?}");
    assert!(run.code == 0 || (run.code == 1 && !findings.is_empty()), "{line}: {run:?}");
    result
}

#[test]
fn a_set_of_another_ca_is_not_restored_into_a_folder() {
    let work = two_cas();
    work.copy_key_and_configuration("a", "new");
    let before = work.tables("--dir {a}");
    for line in [
        "restore --from {set-b} --dir {new} --dry-run",
        "restore --from {set-b} --dir {new}",
        "restore --from {set-b} --dir {a} --force --dry-run",
        "restore --from {set-b} --dir {a} --force",
        // Another name is no renewed key.
        "restore --from {set-b} --dir {a} --force --renewed-key",
    ] {
        refused(&work, line);
    }
    assert_eq!(work.tables("--dir {a}"), before);
    let left: Vec<_> =
        fs::read_dir(work.path("new")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name != "database" && name != "restore.json"), "{left:?}");
    work.issue("a", "after");
    // Without a certificate in the folder, the command says which CA the set is of.
    let said = work.run("restore --from {set-b} --dir {empty}").good();
    assert!(said.contains("The set is of CN=CA-B (key "), "{said}");
}

#[test]
fn a_database_of_another_ca_is_not_worked_in() {
    let work = two_cas();
    // As an earlier version of this command, or a person, may have left it.
    let serial = work.issue("b", "victim");
    for name in ["ca.crt", "ca.key"] {
        fs::copy(work.path("a").join(name), work.path("b").join(name)).unwrap();
    }
    work.request("more");
    for line in [
        "ca crl --dir {b} --passphrase-file {pass}".to_owned(),
        "ca issue --dir {b} --passphrase-file {pass} {more.csr}".to_owned(),
        format!("ca revoke --dir {{b}} --serial {serial}"),
        "backup --dir {b} --to {set}".to_owned(),
        "serve --dir {b} --listen 127.0.0.1:0".to_owned(),
    ] {
        refused(&work, &line);
    }
    assert!(!work.path("set").exists());
}

#[test]
fn a_renewed_key_of_the_same_name_needs_the_option() {
    let work = two_cas();
    // The same name, another key: as after a renewal, where the set knows only the key before it.
    work.run("ca init --dir {renewed} --name CA-A --passphrase-file {pass}").good();
    work.copy_key_and_configuration("renewed", "new");
    let json = work.run("--json restore --from {set-a} --dir {new}").json();
    assert_eq!(json["error"]["code"], "0xc800022b", "{json}");
    assert!(json["error"]["remedy"].as_str().unwrap().contains("--renewed-key"), "{json}");
    let dry = "restore --from {set-a} --dir {new} --renewed-key --dry-run";
    assert_eq!(keys_without_crl(&work, dry, 1)["dry_run"], true);
    let restored = keys_without_crl(&work, "restore --from {set-a} --dir {new} --renewed-key", 1);
    assert!(restored["recovered"]["low"].is_number(), "{restored}");
    // From then on the database knows both keys. The CRL is of the new one, and what the old one signed is in force.
    let after = work.issue("new", "after");
    keys_without_crl(&work, "ca crl --dir {new} --passphrase-file {pass}", 1);
    keys_without_crl(&work, "show {new}", 1);
    keys_without_crl(&work, &format!("ca revoke --dir {{new}} --serial {after}"), 0);
    let rows = work.result("list --dir {a} certificates");
    let old = rows["rows"].as_array().unwrap().iter().find(|row| row["disposition"] == "issued").unwrap();
    let line = format!("ca revoke --dir {{new}} --serial {}", old["serial_number"].as_str().unwrap());
    keys_without_crl(&work, &line, 1);
    keys_without_crl(&work, "show {a}", 0);
    work.result("backup --dir {new} --to {set-new}");
    work.copy_key_and_configuration("renewed", "again");
    work.result("restore --from {set-new} --dir {again}");
}

/// A database that waits for its parent's answer holds no certificate of its CA, and would fit any folder.
#[test]
fn a_database_that_names_no_ca_takes_the_place_of_none_that_has_issued() {
    let work = two_cas();
    work.run("ca init --dir {sub} --name Sub --subordinate --passphrase-file {pass}").good();
    // It warns of what a CA without a certificate cannot tell.
    assert_eq!(work.run("backup --dir {sub} --to {set-sub}").code, 1);
    let before = work.tables("--dir {a}");
    for line in
        ["restore --from {set-sub} --dir {a} --force --dry-run", "restore --from {set-sub} --dir {a} --force"]
    {
        let json = work.run(&format!("--json {line}")).json();
        assert_eq!(json["error"]["code"], "0xc800022b", "{line}: {json}");
    }
    assert_eq!(work.tables("--dir {a}"), before);
    // An earlier state of the same database passes.
    let again = work.run("--json restore --from {set-sub} --dir {sub} --force").json();
    assert_eq!(again["ok"], true, "{again}");
}

#[test]
fn the_database_that_is_replaced_tells_whose_folder_it_is_where_the_certificate_is_gone() {
    let work = two_cas();
    let before = work.tables("--dir {a}");
    fs::remove_file(work.path("a").join("ca.crt")).unwrap();
    for line in
        ["restore --from {set-b} --dir {a} --force --dry-run", "restore --from {set-b} --dir {a} --force"]
    {
        refused(&work, line);
    }
    assert_eq!(work.tables("--dir {a}"), before);
    work.result("restore --from {set-a} --dir {a} --force");
}

#[test]
fn a_check_of_the_database_that_was_replaced_vouches_for_no_other() {
    let work = two_cas();
    let shown = |dir: &str| work.run(&format!("--json show {{{dir}}}")).json()["result"].clone();
    assert!(shown("a")["last_check"]["when"].is_string());
    let file = work.path("a").join("last-check.json");
    let told = fs::read_to_string(&file).unwrap();
    // As versions before this one have left it.
    let check: Value = serde_json::from_str(&told).unwrap();
    fs::write(&file, format!("{{\"when\":{},\"by\":\"a full backup\"}}", check["when"])).unwrap();
    assert!(shown("a")["last_check"]["when"].is_string());
    let other = shown("b")["database_signature"].as_str().unwrap().to_owned();
    fs::write(&file, told.replace(check["database"].as_str().unwrap(), &other)).unwrap();
    assert!(shown("a")["last_check"].is_null());
}

#[test]
fn settings_of_another_ca_publish_nothing_under_its_name() {
    let work = two_cas();
    let (own, other) = (work.path("a").join("ca.toml"), work.path("b").join("ca.toml"));
    let kept = fs::read(&own).unwrap();
    fs::copy(other, &own).unwrap();
    let json = work.run("--json ca crl --dir {a} --passphrase-file {pass}").json();
    let message = json["error"]["message"].as_str().unwrap();
    assert!(message.contains("\"CA-B\"") && message.contains("\"CA-A\""), "{json}");
    assert!(!work.path("a").join("crl/CA-B.crl").exists());
    let shown = work.run("--json show {a}").json();
    assert!(shown.to_string().contains("\"kind\":\"configuration\""), "{shown}");
    fs::write(&own, kept).unwrap();
    work.run("ca crl --dir {a} --passphrase-file {pass}").good();
}

/// Two restores of one set leave the same gap; what was issued between them has numbers that do not come again.
#[test]
fn numbers_do_not_come_again_at_a_second_restore_of_a_set() {
    let work = two_cas();
    let numbers = |dir: &str| -> Vec<i64> {
        let rows = work.result(&format!("list --dir {{{dir}}} certificates"));
        let rows = rows["rows"].as_array().unwrap().clone();
        rows.iter().map(|row| row["request_id"].as_i64().unwrap()).collect()
    };
    let mut last = *numbers("a").iter().max().unwrap();
    for round in 0..3 {
        work.result("restore --from {set-a} --dir {a} --force");
        work.issue("a", &format!("round-{round}"));
        let next = *numbers("a").iter().max().unwrap();
        assert!(last < next, "{last} and {next}");
        last = next;
    }
}
