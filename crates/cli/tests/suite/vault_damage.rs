//! What is damaged or gone in a vault and shows only when the CA's machine is lost, unless somebody looks for it.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::repository::{run, with_repository, world};
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
