//! What `status` says in words of how a CA stands.

use std::fs;

use crate::jobs::{next_second, result, run, world};

#[test]
fn status_tells_what_fills_up_what_ends_and_what_comes_next_within_80_columns() {
    let work =
        world("to = 'backups'\nfull = 'monthly 1 00:00'\nlogs = 'every 31d'\nverify = 'monthly 1 00:00'");
    result(&work, "ca crl --dir {ca} --passphrase-file {pass}");
    result(&work, "run nightly");
    work.issue("ca", "one");
    let said = run(&work, "status").good();
    for part in [
        "  logs waiting ",
        "free ",
        "CRL ends in ",
        "certificate ends in ",
        "  next ",
        "full in ",
        "verify in ",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
    assert_eq!(said.lines().filter(|line| !line.starts_with("  ")).count(), 2, "a line a CA: {said}");
    let status = result(&work, "status --html {page.html}");
    let page = fs::read_to_string(work.path("page.html")).unwrap();
    assert!(status["cas"][0]["logs_waiting"].is_u64(), "{status:#}");
    for row in ["Logs waiting at the CA</th>", "Free at the place</th>"] {
        assert!(page.contains(row), "{row}: {page}");
    }
}

#[test]
fn the_last_rehearsal_that_was_proven_is_told_and_that_a_later_one_was_not() {
    let work = world("to = 'backups'\nfull = 'monthly 1 00:00'\nrehearse = 'monthly 1 00:00'");
    result(&work, "run nightly");
    let before = result(&work, "status")["cas"][0].clone();
    assert_eq!(before["rehearsal_proven"], before["rehearsed"], "{before:#}");
    assert!(before["rehearsed"].is_string(), "{before:#}");
    next_second();
    // A byte of the only database is turned.
    let mut folders = vec![work.path("backups/web")];
    let mut databases = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "db" => databases.push(path),
                _ => {}
            }
        }
    }
    assert_eq!(databases.len(), 1, "{databases:?}");
    work.flip(databases[0].strip_prefix(work.path("")).unwrap().to_str().unwrap());
    assert_ne!(run(&work, "run nightly --now rehearse").code, 0);
    let status = run(&work, "--json status").json()["result"]["cas"][0].clone();
    assert_eq!(status["rehearsal"], "not-proven", "{status:#}");
    assert_eq!(status["rehearsal_proven"], before["rehearsal_proven"], "{status:#}");
    assert_ne!(status["rehearsed"], before["rehearsed"], "{status:#}");
    let said = run(&work, "status").stdout;
    assert!(said.contains(" ago has not shown that the CA comes back"), "{said}");
}
