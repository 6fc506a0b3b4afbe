//! Sets that go from a folder into a repository and back, and what JSON says where a part of the work fails.

use std::fs;

use serde_json::Value;

use crate::repository::{run, world};
use crate::support::Work;
use crate::windows_files::{backup as backup_of_windows, log_set, sealed_full_set};

fn good(work: &Work, line: &str) -> Value {
    let ran = run(work, &format!("--json {line}"));
    assert!(ran.code <= 1, "{line}: {ran:?}");
    ran.json()["result"].clone()
}

fn with_repository(ca: &str) -> Work {
    let work = world();
    good(&work, &format!("repository init vault: --ca {ca} --recovery-file {{code}}"));
    work
}

/// A log set is of no use without what it continues: that comes with it, or it does not come at all.
#[test]
fn a_log_set_comes_with_its_chain_or_not_at_all() {
    let work = with_repository("Test-CA");
    fs::create_dir(work.path("sets")).unwrap();
    good(&work, "backup --dir {ca} --to {sets/full}");
    work.issue("ca", "one");
    good(&work, "backup --dir {ca} --to {sets/logs1} --type logs --truncate");
    work.issue("ca", "two");
    good(&work, "backup --dir {ca} --to {sets/logs2} --type logs --truncate");
    fs::create_dir(work.path("alone")).unwrap();
    let copied = std::process::Command::new("cp")
        .args(["-a"])
        .args([work.path("sets/logs2"), work.path("alone")])
        .status()
        .unwrap();
    assert!(copied.success());
    let refused = run(&work, "--json repository import --to vault: {alone/logs2}");
    assert_eq!(refused.code, 3, "{refused:?}");
    let error = refused.json()["error"].to_string();
    assert!(error.contains("continue no full set"), "{error}");
    // One that has to stay keeps no other from its place.
    let both = run(&work, "--json repository import --to vault: {alone/logs2} {sets/logs1}").json();
    let told: Vec<bool> =
        both["result"]["sets"].as_array().unwrap().iter().map(|set| set["error"].is_object()).collect();
    assert_eq!(told, [true, false, false], "{both:#}");
    let imported = good(&work, "repository import --to vault: {sets/logs2}");
    let names: Vec<&str> =
        imported["sets"].as_array().unwrap().iter().filter_map(|set| set["set"].as_str()).collect();
    let ends = ["/full", "/logs1", "/logs2"];
    assert!(names.len() == 3 && names.iter().zip(ends).all(|(name, end)| name.ends_with(end)), "{names:?}");
    assert_eq!(run(&work, "verify vault:").code, 0);
}

/// What certutil wrote has no manifest. It gets one on the way, and its folder stays as it was.
#[test]
fn what_certutil_wrote_is_sealed_on_the_way() {
    let windows = Work::new();
    if backup_of_windows(&windows.path("windows")).is_none() {
        return;
    }
    let sealed = windows.run("--json seal {windows/full}").json();
    let name = sealed["result"]["ca"].as_str().expect("its manifest says whose it is").to_owned();
    fs::remove_file(windows.path("windows/full/manifest.json")).unwrap();
    let work = world();
    fs::rename(windows.path("windows"), work.path("windows")).unwrap();
    let made = run(&work, &format!("repository init vault: --ca {name} --recovery-file {{code}}"));
    assert_eq!(made.code, 0, "{made:?}");
    let first = good(&work, "repository import --to vault: {windows/full}");
    assert_eq!(first["sets"][0]["stored"], true, "{first:#}");
    assert!(!work.path("windows/full/manifest.json").exists(), "the folder stays as it is");
    let again = good(&work, "repository import --to vault: {windows/full}");
    assert_eq!(again["sets"][0]["stored"], false, "{again:#}");
    let verified = run(&work, "verify vault:");
    assert!(verified.code <= 1, "{verified:?}");
}

/// When a log set of certutil was taken, what lies beside it tells, so it is known by its files.
#[test]
fn a_log_set_of_certutil_is_stored_once_whatever_its_date() {
    let work = with_repository("CA");
    let (first, second) = (work.path("first"), work.path("second"));
    sealed_full_set(&first, "2025-11-30T02:00:00Z");
    let logs = log_set(&first, "logs", 7);
    let stored = |line: &str| {
        let imported = good(&work, &format!("repository import --to vault:CA {line}"));
        let sets = imported["sets"].as_array().unwrap().iter();
        sets.map(|set| (set["set"].to_string().contains("logs"), set["stored"] == true)).collect::<Vec<_>>()
    };
    assert_eq!(stored("{first/logs}"), [(false, true), (true, true)]);
    // The full set that it follows here is a later one.
    sealed_full_set(&second, "2025-12-01T02:00:00Z");
    fs::rename(logs, second.join("logs")).unwrap();
    assert_eq!(stored("{second/logs}"), [(false, true), (true, false)]);
    // Logs with other bytes are another set.
    let other = second.join("logs/DataBase/edb00007.log");
    let mut bytes = fs::read(&other).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&other, bytes).unwrap();
    assert_eq!(stored("{second/logs}"), [(false, false), (true, true)]);
}

/// Whoever reads JSON learns what was done, also where a part of it failed.
#[test]
fn what_was_done_is_told_beside_the_error() {
    let work = with_repository("Test-CA");
    for _ in 0..2 {
        good(&work, "backup --dir {ca} --to vault:");
        crate::jobs::next_second();
    }
    good(&work, "repository init vault: --ca Another-CA --recovery-file {code2}");
    fs::remove_file(work.path("Another-CA.vaultkey")).unwrap();
    for line in
        ["repository info vault:", "repository extend-locks vault:", "repository expire vault: --keep-last 1"]
    {
        let json = run(&work, &format!("--json {line}")).json();
        let all = json["result"]["repositories"].as_array().unwrap_or_else(|| panic!("{line}: {json}"));
        let of = |ca: &str| all.iter().find(|one| one["repository"].to_string().contains(ca)).unwrap();
        assert!(json["error"]["message"].is_string() && json["ok"] == false, "{line}: {json}");
        assert!(of("Another-CA")["error"]["message"].is_string(), "{line}: {json}");
        // A folder has no locks, so that one fails for both.
        assert_eq!(of("Test-CA")["error"].is_null(), !line.contains("locks"), "{line}: {json}");
        if line.contains("expire") {
            let gone = of("Test-CA")["points"].as_array().unwrap();
            assert_eq!(gone.iter().filter(|point| point["deleted"] == true).count(), 1, "{json}");
        }
    }
}

/// Windows drops a dot at the end of a folder's name, and many a company's name ends with one.
#[test]
fn a_ca_whose_name_ends_with_a_dot_has_a_repository_and_a_job() {
    let work = crate::jobs::world("to = 'vault:'\nfull = 'monthly 1 00:00'\nverify = 'monthly 1 00:00'");
    work.run("ca init --dir {dotted} --name Example-Inc. --passphrase-file {pass}").good();
    let configuration = fs::read_to_string(work.path("certadm.toml")).unwrap();
    fs::write(work.path("certadm.toml"), configuration.replace("dir = 'ca'", "dir = 'dotted'")).unwrap();
    crate::jobs::result(&work, "repository init vault: --ca Example-Inc. --recovery-file {code}");
    assert!(work.path("vault/Example-Inc!002e/config").exists());
    crate::jobs::result(&work, "backup --dir {dotted} --to vault:");
    crate::jobs::next_second();
    let ran = crate::jobs::result(&work, "run nightly --now full");
    assert_eq!(crate::jobs::steps(&ran)[0], "full good", "{ran:#}");
    for address in ["vault:Example-Inc.", "vault:Example-Inc.!002e", "vault:Example-Inc!002e/latest"] {
        let ran = crate::jobs::run(&work, &format!("verify {address}"));
        let expected = if address.contains(".!") { 3 } else { 0 };
        assert_eq!(ran.code, expected, "{address}: {ran:?}");
    }
    let checked = crate::jobs::run(&work, "config check");
    assert_eq!(checked.code, 0, "{checked:?}");
}

/// A recovery code is made when the repository can be made, and not before.
#[test]
fn what_is_refused_leaves_no_recovery_code() {
    let work = world();
    for line in ["repository init vault: --ca .hidden", "repository init other: --ca Test-CA"] {
        let refused = run(&work, &format!("{line} --recovery-file {{code}}"));
        assert!(refused.code != 0 && !work.path("code").exists(), "{line}: {refused:?}");
    }
}
