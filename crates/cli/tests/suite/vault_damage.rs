//! What is damaged or gone in a vault and shows only when the CA's machine is lost, unless somebody looks for it.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::repository::{run, with_repository};
use crate::support::{Run, Work};

fn entries(work: &Work, folder: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(work.path(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn good(work: &Work, line: &str) -> Value {
    let run = run(work, &format!("--json {line}"));
    assert_eq!(run.code, 0, "{line}: {run:?}");
    run.json()["result"].clone()
}

fn assert_told(work: &Work, line: &str, code: i32, says: &[&str]) -> Run {
    let run = run(work, line);
    let told = format!("{}{}", run.stdout, run.stderr);
    assert_eq!(run.code, code, "{line}: {run:?}");
    assert!(says.iter().all(|says| told.contains(says)), "{line} does not say {says:?}: {run:?}");
    run
}

/// The key file opens everything, so nobody notices that the recovery code opens nothing any more, until it is needed.
#[test]
fn a_recovery_code_that_opens_nothing_any_more_is_found_by_check_and_doctor() {
    let work = with_repository();
    good(&work, "backup --dir {ca} --to vault:");
    let ways = ["repository check vault: --read all", "repository key list vault:", "doctor vault:"];
    for line in ways {
        assert_eq!(run(&work, line).code, 0, "{line}");
    }
    let code = entries(&work, "vault/Test-CA/keys").remove(0);
    let name = code.file_name().unwrap().to_str().unwrap().to_owned();
    let mut bytes = fs::read(&code).unwrap();
    let place = bytes.len() - 30;
    bytes[place] ^= 1;
    fs::write(&code, bytes).unwrap();
    for line in ways.into_iter().chain(["repository repair vault:"]) {
        assert_told(&work, line, 5, &["no password opens", "certadm repository key add"]);
    }
    assert_told(&work, ways[0], 5, &[&name, "DAMAGED"]);
    assert!(!run(&work, "doctor vault:").stdout.contains("A backup can go"));
    // A second one makes the first no better, and is the one that stays.
    let second = good(&work, "repository key add vault: --recovery-file {code2}")["added"].clone();
    assert_told(&work, ways[0], 5, &[&name, "key rotate"]);
    let remove = format!("repository key remove vault: {}", second.as_str().unwrap());
    assert_told(&work, &remove, 3, &["the last one that is sound"]);
    good(&work, &format!("repository key remove vault: {name}"));
    for line in ways {
        assert_eq!(run(&work, line).code, 0, "{line}");
    }
    // All of them deleted.
    for key in entries(&work, "vault/Test-CA/keys") {
        fs::remove_file(key).unwrap();
    }
    for line in ways {
        assert_told(&work, line, 5, &["no password opens", "certadm repository key add"]);
    }
}

/// A disk that is not mounted, or whose mount point is empty: nobody is told to make the vault, no log goes, and nothing is stored on
/// the disk below.
#[test]
fn a_vault_that_is_not_mounted_is_named_and_nothing_is_made_in_its_place() {
    let work = with_repository();
    good(&work, "backup --dir {ca} --to vault: --type full");
    work.issue("ca", "one");
    let logs = entries(&work, "ca/log");
    fs::rename(work.path("vault"), work.path("unmounted")).unwrap();
    for is_empty in [false, true] {
        if is_empty {
            fs::create_dir(work.path("vault")).unwrap();
        }
        for line in [
            "backup --dir {ca} --to vault: --type logs --truncate",
            "verify vault:Test-CA/",
            "repository check vault:Test-CA/",
            "repository info vault:Test-CA/",
            "repository key list vault:Test-CA/",
            "restore --from vault:Test-CA/latest --dir {new} --dry-run",
        ] {
            let gone = assert_told(&work, line, 4, &["Test-CA.vaultkey", "mount", "undelete"]);
            assert!(!gone.stderr.contains("--ca NAME"), "{line}: {gone:?}");
        }
        for line in ["repository info vault:", "verify vault:", "doctor vault:"] {
            assert_told(&work, line, 4, &["mount"]);
        }
        let init = "repository init vault: --ca Test-CA --recovery-file {code2}";
        assert_told(&work, init, 3, &["Test-CA.vaultkey", "--reuse-key", "mount"]);
        assert!(!work.path("code2").exists(), "a code that opens nothing does not stay");
        assert_eq!(work.path("vault").is_dir(), is_empty);
        assert!(!work.path("vault/Test-CA").exists());
        let still = entries(&work, "ca/log");
        assert!(logs.iter().all(|log| still.contains(log)), "a log is gone");
    }
    // A vault that is new: the folder is not there, and neither is a key.
    fs::rename(work.path("Test-CA.vaultkey"), work.path("key")).unwrap();
    assert_told(&work, "verify vault:Test-CA/", 3, &["has no repository", "certadm repository init"]);
    fs::remove_dir(work.path("vault")).unwrap();
    assert_told(&work, "verify vault:Test-CA/", 4, &["mount", "certadm repository init"]);
    fs::rename(work.path("key"), work.path("Test-CA.vaultkey")).unwrap();
    // The vault is lost for good.
    good(&work, "repository init vault: --ca Test-CA --recovery-file {code2} --reuse-key");
    good(&work, "backup --dir {ca} --to vault:");
    good(&work, "verify vault:");
}

/// Ransomware writes over every object. The key is right, and whoever looks for another one loses the time in which versions are kept.
#[test]
fn a_vault_that_was_written_over_is_damaged_and_its_key_not_wrong() {
    let work = with_repository();
    good(&work, "backup --dir {ca} --to vault:");
    let mut folders = vec![work.path("vault/Test-CA")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => folders.push(path),
                false => fs::write(
                    &path,
                    fs::read(&path).unwrap().iter().map(|byte| byte ^ 0x5a).collect::<Vec<u8>>(),
                )
                .unwrap(),
            }
        }
    }
    for line in [
        "verify vault:",
        "repository check vault:",
        "doctor vault:",
        "backup --dir {ca} --to vault: --truncate",
    ] {
        let told = assert_told(&work, line, 5, &["has other bytes than were stored", "undelete"]);
        assert!(!told.stderr.contains("no key fits"), "{line}: {told:?}");
    }
}
