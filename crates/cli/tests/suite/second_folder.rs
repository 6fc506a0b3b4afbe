//! Sets in a second folder: `certadm copy`, and jobs that have folders behind their first place.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::jobs::{next_second, result, run, steps, world};
use crate::support::Work;
use crate::windows_files::{log_set, sealed_full_set};

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

/// Every file below a folder, with its content.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let inside = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                    files.insert(inside, fs::read(&path).unwrap());
                }
            }
        }
    }
    files
}

fn with_chain() -> Work {
    let work = Work::with_ca();
    fs::create_dir(work.path("sets")).unwrap();
    work.result("backup --dir {ca} --to {sets/full}");
    for name in ["logs1", "logs2"] {
        work.issue("ca", name);
        work.result(&format!("backup --dir {{ca}} --to {{sets/{name}}} --type logs --truncate"));
    }
    work
}

fn told<'a>(copied: &'a Value, key: &str) -> Vec<&'a Value> {
    copied["sets"].as_array().unwrap().iter().map(|set| &set[key]).collect()
}

/// With a log set come the sets that it needs; all are what they were, byte for byte, and once.
#[test]
fn a_copy_has_the_chain_and_every_byte_and_is_made_once() {
    let work = with_chain();
    let copied = work.result("copy {sets/logs2} --to {second}");
    assert_eq!(told(&copied, "stored"), [true, true, true], "{copied:#}");
    assert_eq!(names(&work.path("second")), ["full", "logs1", "logs2"]);
    assert!(files(&work.path("second")) == files(&work.path("sets")));
    work.result("verify {second/full} {second/logs1} {second/logs2}");
    // What is there is known by what it is, and not by its name.
    fs::rename(work.path("second/full"), work.path("second/monday")).unwrap();
    let again = work.result("copy {sets/full} {sets/logs1} --to {second}");
    assert_eq!(told(&again, "stored"), [false, false], "{again:#}");
    assert!(again["sets"][0]["copy"].as_str().unwrap().ends_with("/second/monday"), "{again:#}");
    // One that lacks a file is not there, and is not written over.
    fs::remove_file(work.path("second/monday/DataBase/certbkxp.dat")).unwrap();
    let whole = work.result("copy {sets/full} --to {second}");
    assert_eq!(told(&whole, "stored"), [true], "{whole:#}");
    assert_eq!(names(&work.path("second")), ["full", "logs1", "logs2", "monday"]);
}

/// What is damaged is not copied as if it were good, and keeps no other set from being copied.
#[test]
fn a_damaged_set_is_not_copied_and_the_others_are() {
    let work = with_chain();
    work.flip("sets/full/DataBase/Test-CA.db");
    let failed = work.run("--json copy {sets/full} {sets/logs1} --to {second}");
    let json = failed.json();
    assert_eq!(failed.code, 5, "{json:#}");
    assert_eq!(names(&work.path("second")), ["logs1"], "{json:#}");
    assert!(json["result"]["sets"][0]["error"].is_object(), "{json:#}");
    // That nothing can be restored from it there is told.
    assert_eq!(json["result"]["findings"][0]["kind"], "combination", "{json:#}");
}

#[test]
fn nothing_is_written_over_and_no_folder_is_made_where_a_disk_may_be_missing() {
    let work = with_chain();
    let missing = work.run("copy {sets/full} --to {disk/second}");
    assert_eq!(missing.code, 3, "{missing:?}");
    assert!(missing.stderr.contains("make it or mount it") && !work.path("disk").exists(), "{missing:?}");
    fs::create_dir_all(work.path("second/full/other")).unwrap();
    let occupied = work.run("copy {sets/full} --to {second}");
    assert_eq!(
        (occupied.code, names(&work.path("second/full"))),
        (3, vec!["other".to_owned()]),
        "{occupied:?}"
    );
    let unfinished = fs::read_dir(work.path("second")).unwrap().count();
    assert_eq!(unfinished, 1);
}

/// What is attached to a set later comes to its copy; what is attached to the copy stays.
#[test]
fn what_is_attached_later_is_brought() {
    let work = with_chain();
    work.result("copy {sets/full} --to {second}");
    fs::write(work.path("note.txt"), "from the first place").unwrap();
    let attach = |set: &str| work.result(&format!("attach {{{set}}} --file {{note.txt}}"));
    attach("sets/full");
    let brought = work.result("copy {sets/full} --to {second}");
    let brought = brought["sets"][0]["brought"].as_array().unwrap();
    assert_eq!(brought.last().unwrap(), "Identity/identity.json");
    assert!(files(&work.path("second/full")) == files(&work.path("sets/full")));
    let none = work.result("copy {sets/full} --to {second}");
    assert_eq!(none["sets"][0]["brought"].as_array().unwrap().len(), 0, "{none:#}");
    // A copy that was cut off before the list of it was written gets the list.
    fs::write(work.path("second/full/Identity/identity.json"), "{}").unwrap();
    let rest = work.result("copy {sets/full} --to {second}");
    assert_eq!(rest["sets"][0]["brought"], serde_json::json!(["Identity/identity.json"]), "{rest:#}");
    assert!(files(&work.path("second/full")) == files(&work.path("sets/full")));
    // Another content under the same name.
    let inside = brought[0].as_str().unwrap();
    let copy = work.path("second/full").join(inside);
    fs::write(&copy, "of the copy").unwrap();
    let refused = work.run("copy {sets/full} --to {second}");
    assert_eq!((refused.code, fs::read(&copy).unwrap()), (3, b"of the copy".to_vec()), "{refused:?}");
}

/// A log of a set is a link now: that set is not copied, and the next one is.
#[test]
fn a_set_with_a_link_in_it_keeps_no_other_from_being_copied() {
    let work = with_chain();
    work.result("backup --dir {ca} --to {sets/next}");
    let mut logs = fs::read_dir(work.path("sets/full/DataBase")).unwrap().map(|entry| entry.unwrap().path());
    let log = logs.find(|path| path.extension().is_some_and(|end| end == "log")).unwrap();
    fs::remove_file(&log).unwrap();
    std::os::unix::fs::symlink("/dev/null", &log).unwrap();
    let failed = work.run("--json copy {sets/full} {sets/next} --to {second}");
    assert_eq!(failed.code, 5, "{failed:?}");
    assert_eq!(names(&work.path("second")), ["next"], "{failed:?}");
}

/// The folder would hide the vault from then on, and hold the sets unencrypted.
#[test]
fn the_address_of_a_vault_is_no_folder_for_something_new() {
    let work = world("to = 'vault:'\nfull = 'monthly 1 00:00'");
    result(&work, "repository init vault: --ca Test-CA --recovery-file {code}");
    result(&work, "backup --dir {ca} --to {one}");
    for line in [
        "copy {one} --to vault:",
        "copy {one} --to vault:Test-CA",
        "copy {one} --to other:",
        "repository export vault: --to vault:out",
        "identity --dir {ca} --to vault:Test-CA",
        "restore --from {one} --dir vault:",
        "emergency-crl {one} --tbs-only --to other:",
        "rehearse {one} --evidence vault:",
    ] {
        let refused = run(&work, line);
        assert_eq!(refused.code, 2, "{line}: {refused:?}");
        assert!(names(&work.path("")).iter().all(|name| !name.contains(':')), "{line}");
    }
    // One that is there by whatever way is not taken for the vault, nor the vault for it.
    fs::create_dir(work.path("vault:")).unwrap();
    for line in ["backup --dir {ca} --to vault:", "sets vault:", "restore --latest-in vault: --dir {back}"] {
        let refused = run(&work, line);
        assert!(refused.code == 2 && refused.stderr.contains("./vault:"), "{line}: {refused:?}");
    }
    assert_eq!(fs::read_dir(work.path("vault:")).unwrap().count(), 0);
}

/// An address without a point is all sets of the CA, as for `repository copy`.
#[test]
fn all_sets_of_a_repository_are_copied_and_one_that_nobody_knows_keeps_none_back() {
    let work = world("to = 'vault:'\nfull = 'monthly 1 00:00'");
    result(&work, "repository init vault: --ca Test-CA --recovery-file {code}");
    for _ in 0..2 {
        result(&work, "backup --dir {ca} --to vault:");
        next_second();
    }
    fs::write(work.path("note.txt"), "later").unwrap();
    result(&work, "attach vault: --file {note.txt}");
    let newest = result(&work, "copy vault:latest --to {newest}");
    assert_eq!(told(&newest, "stored"), [true], "{newest:#}");
    let failed = run(&work, "--json copy nowhere:Test-CA vault: --to {second}");
    assert_eq!((failed.code, names(&work.path("second")).len()), (2, 2), "{failed:?}");
    let stored = failed.json();
    // The later version of the second set brings what was attached.
    assert_eq!(told(&stored["result"], "stored"), [&Value::Null, &true.into(), &true.into(), &false.into()]);
    let first = &names(&work.path("second"))[1];
    assert!(work.path(&format!("second/{first}/Identity/Attachments/note.txt")).is_file());
    let copied = run(&work, "copy vault: --to {third}").good();
    assert!(copied.lines().last().unwrap().starts_with("2 of 3 sets copied; the others are in "), "{copied}");
}

/// What certutil wrote has no copy with a manifest: the remedy is to seal it, and its whole chain is told at once.
#[test]
fn what_certutil_wrote_is_to_be_sealed_first() {
    let work = Work::new();
    let sets = work.path("sets");
    sealed_full_set(&sets, "2025-12-01T00:00:00Z");
    log_set(&sets, "logs1", 7);
    log_set(&sets, "logs2", 8);
    let failed = work.run("--json copy {sets/logs2} --to {second}").json();
    assert_eq!(told(&failed["result"], "stored"), [&Value::from(true), &Value::Null, &Value::Null]);
    for (set, name) in
        failed["result"]["sets"].as_array().unwrap().iter().zip(["full", "logs1", "logs2"]).skip(1)
    {
        let remedy = set["error"]["remedy"].as_str().unwrap();
        let line = format!("`certadm seal {}`", sets.join(name).display());
        assert!(remedy.contains(&line) && !remedy.contains("--incomplete"), "{remedy}");
    }
    let text = work.run("copy {sets/logs2} --to {second}").stdout;
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("Not copied")).collect();
    assert!(matches!(lines[..], [line] if line.contains("logs1") && line.contains("logs2")), "{text}");
    work.result("seal {sets/logs1}");
    work.result("seal {sets/logs2}");
    let copied = work.result("copy {sets/logs2} --to {second}");
    assert_eq!(told(&copied, "stored"), [false, true, true], "{copied:#}");
}

/// A job may have folders at any place: the first one holds what is due, the others get copies, and each is pruned.
#[test]
fn a_job_copies_into_further_folders_and_prunes_each() {
    let work = world("to = ['backups', 'second']\nfull = 'monthly 1 00:00'\nkeep = { last = 1 }");
    fs::create_dir(work.path("second")).unwrap();
    let first = result(&work, "run nightly");
    assert_eq!(steps(&first), ["full good", "copy good", "prune good", "prune good"], "{first:#}");
    work.issue("ca", "one");
    next_second();
    let logs = result(&work, "run nightly --now logs");
    assert_eq!(steps(&logs), ["logs good", "copy good"], "{logs:#}");
    assert!(files(&work.path("second/web")) == files(&work.path("backups/web")));
    next_second();
    let full = result(&work, "run nightly --now full");
    assert_eq!(steps(&full), ["full good", "copy good", "prune good", "prune good"], "{full:#}");
    assert_eq!(names(&work.path("second/web")).len(), 1);
    assert_eq!(names(&work.path("second/web")), names(&work.path("backups/web")));
    // A disk that is not mounted gets no copies below it, and a run says so until it is there.
    fs::rename(work.path("second/web"), work.path("away")).unwrap();
    next_second();
    let gone = run(&work, "--json run nightly --now full").json();
    let runs = &gone["result"];
    assert_eq!(steps(runs)[..2], ["full good", "copy failed"], "{gone:#}");
    assert!(gone.to_string().contains("which is gone") && !work.path("second/web").exists(), "{gone:#}");
    fs::rename(work.path("away"), work.path("second/web")).unwrap();
    let back = result(&work, "run nightly --now copy");
    assert_eq!(steps(&back), ["copy good"], "{back:#}");
    assert_eq!(names(&work.path("second/web")).len(), 2);
}

/// A vault first, and a disk that is carried away behind it.
#[test]
fn a_job_copies_from_a_vault_into_a_folder() {
    let work = world("to = ['vault:', 'second']\nfull = 'monthly 1 00:00'");
    result(&work, "repository init vault: --ca Test-CA --recovery-file {code}");
    fs::create_dir(work.path("second")).unwrap();
    let first = result(&work, "run nightly");
    assert_eq!(steps(&first), ["full good", "copy good"], "{first:#}");
    work.issue("ca", "one");
    next_second();
    assert_eq!(steps(&result(&work, "run nightly --now logs")), ["logs good", "copy good"]);
    assert_eq!(steps(&result(&work, "run nightly --now copy")), ["copy good"]);
    let there = names(&work.path("second/web"));
    let [full, logs] = there.as_slice() else { panic!("{there:?}") };
    assert!(full.ends_with("Z-full") && logs.ends_with("Z-logs"), "{there:?}");
    let verified = result(&work, &format!("verify {{second/web/{full}}} {{second/web/{logs}}}"));
    assert_eq!(verified["content"]["certificates"], 1, "{verified:#}");
    // What is attached in the repository since comes, too, and no second copy of the set.
    fs::write(work.path("note.txt"), "for the copy").unwrap();
    result(&work, "attach vault: --file {note.txt}");
    assert_eq!(steps(&result(&work, "run nightly --now copy")), ["copy good"]);
    assert_eq!(names(&work.path("second/web")), there);
    let inside = work.path(&format!("second/web/{full}/Identity/Attachments/note.txt"));
    assert_eq!(fs::read_to_string(inside).unwrap(), "for the copy");
}
