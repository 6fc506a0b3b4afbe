//! Several processes on one CA: an owner, committers beside it, and nobody.

use std::fs;
use std::process::Stdio;

use certadm_store::{Folder, Options, Store};
use serde_json::Value;

use crate::support::{Run, Work, command};

#[test]
fn issuing_works_while_another_process_owns_the_database() {
    let work = Work::with_ca();
    let folder = Folder::new(work.path("ca"));
    let owner = Store::open(&folder, Options::default()).unwrap();
    let serial = work.issue("ca", "web");
    work.result(&format!("ca revoke --dir {{ca}} --serial {serial}"));
    let show = work.result("show --dir {ca}");
    assert_eq!((&show["owned"], &show["requests"]["revoked"]), (&true.into(), &1.into()));
    work.result("list --dir {ca}");
    owner.close().unwrap();
    assert_eq!(work.result("show --dir {ca}")["owned"], false);
    assert_eq!(work.result("list --dir {ca} revoked")["count"], 1);
}

#[test]
fn showing_changes_nothing() {
    let work = Work::with_ca();
    work.issue("ca", "web");
    let before = snapshot(&work);
    work.run("show --dir {ca}").good();
    work.run("list --dir {ca}").good();
    assert_eq!(snapshot(&work), before);
}

/// Names, lengths and times of everything in the CA's folder. `-shm` is SQLite's shared memory, not data.
fn snapshot(work: &Work) -> Vec<(String, u64, std::time::SystemTime)> {
    let mut files = Vec::new();
    for dir in ["ca", "ca/database", "ca/log", "ca/crl"] {
        for entry in fs::read_dir(work.path(dir)).unwrap() {
            let (entry, name) = entry.map(|entry| (entry.metadata().unwrap(), entry.file_name())).unwrap();
            let name = format!("{dir}/{}", name.to_string_lossy());
            if entry.is_file() && !name.ends_with("-shm") {
                files.push((name, entry.len(), entry.modified().unwrap()));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn without_an_owner_commands_archive_the_log_they_filled() {
    let work = Work::with_ca();
    let settings = fs::read_to_string(work.path("ca/ca.toml")).unwrap();
    fs::write(work.path("ca/ca.toml"), settings.replace("log_size = 4194304", "log_size = 65536")).unwrap();
    for number in 0..6 {
        work.issue("ca", &format!("host{number}"));
    }
    let show = work.result("show --dir {ca}");
    assert!(show["logs"]["count"].as_u64() > Some(1), "{show}");
    assert!(show["database"]["wal_bytes"].as_u64() < Some(2 * 65536), "{show}");
    assert_eq!(show["current_generation"], show["checkpoint_generation"]);
}

#[test]
fn a_restore_that_waits_is_carried_out_by_the_first_command_that_commits() {
    let work = Work::with_ca();
    work.issue("ca", "one");
    work.result("backup --dir {ca} --to {set}");
    work.copy_key_and_configuration("ca", "new");
    let registered = work.result("restore --from {set} --dir {new} --no-recover");
    assert_eq!(registered["recovered"], Value::Null);
    let show = work.run("--json show --dir {new}");
    assert_eq!((show.code, &show.json()["result"]["restore_state"]), (1, &"complete".into()));
    let refused = work.run("--json list --dir {new}").json();
    assert_eq!(refused["error"]["code"], "0xc80001fa", "reading does not recover: {refused}");

    work.request("two");
    let issued = work.result("ca issue --dir {new} --passphrase-file {pass} --out {issued} {two.csr}");
    assert!(issued["recovered"]["pages"].as_u64() > Some(0), "{issued}");
    assert_eq!(work.result("list --dir {new}")["count"], 3);
    assert_eq!(work.result("show --dir {new}")["restore_state"], "none");
}

#[test]
fn a_reader_that_goes_away_is_no_error_and_a_full_disk_is_one() {
    let work = Work::with_ca();
    work.issue("ca", "web");
    let mut listing = command(&work.path(""), "list --dir {ca} --csv");
    let mut child = listing.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));

    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run = Run::from(command(&work.path(""), "list --dir {ca} --csv").stdout(full).output().unwrap());
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.stderr.contains("0x80070070"), "{run:?}");
}
