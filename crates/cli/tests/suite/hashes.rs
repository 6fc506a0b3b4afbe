//! The hashes of a manifest: BLAKE3 always, SHA-256 where it was asked for; what is there is compared.

use std::fs;

use certadm_rules::hex;
use certadm_set::Manifest;
use sha2::{Digest, Sha256};

use crate::support::Work;
use crate::windows_files::backup as backup_of_windows;

fn manifest(work: &Work, set: &str) -> Manifest {
    Manifest::parse(&fs::read(work.path(set).join("manifest.json")).unwrap()).unwrap()
}

/// Every file has the SHA-256 that another program would find, or none has any.
fn check(work: &Work, set: &str, with_sha256: bool) {
    let manifest = manifest(work, set);
    assert!(!manifest.files.is_empty());
    for entry in &manifest.files {
        let bytes = fs::read(work.path(set).join(&entry.path)).unwrap();
        assert_eq!(entry.blake3, blake3::hash(&bytes).to_hex().as_str(), "{}", entry.path);
        let expected = with_sha256.then(|| hex::encode(&Sha256::digest(&bytes)));
        assert_eq!(entry.sha256, expected, "{}", entry.path);
    }
    assert_eq!(
        fs::read_to_string(work.path(set).join("manifest.json")).unwrap().contains("sha256"),
        with_sha256
    );
}

#[test]
fn a_manifest_has_sha256_where_it_was_asked_for() {
    let work = Work::with_ca();
    work.issue("ca", "www");
    work.run("backup --dir {ca} --to {full} --sha256").good();
    work.issue("ca", "mail");
    work.run("backup --dir {ca} --to {logs} --type logs").good();
    check(&work, "full", true);
    check(&work, "logs", false);
    work.run("verify {full} {logs}").good();
    work.run("restore --from {full} --from {logs} --dir {back}").good();
    assert_eq!(work.tables("back"), work.tables("ca"));
}

#[test]
fn a_wrong_sha256_is_damage_to_every_reader() {
    let work = Work::with_ca();
    work.run("backup --dir {ca} --to {full} --sha256").good();
    let mut changed = manifest(&work, "full");
    for entry in &mut changed.files {
        entry.sha256 = Some(hex::encode(&Sha256::digest(b"something else")));
    }
    fs::write(work.path("full").join("manifest.json"), changed.complete().unwrap()).unwrap();
    for line in [
        "verify {full}",
        "restore --from {full} --dir {back}",
        "restore --from {full} --dir {back} --dry-run",
    ] {
        let run = work.run(line);
        assert_eq!(run.code, 5, "{line}: {}", run.stderr);
    }
    assert!(!work.path("back").exists());
}

#[test]
fn what_certutil_wrote_is_sealed_with_the_hashes_that_are_asked_for() {
    for (line, with_sha256) in [("seal {windows/full}", false), ("seal {windows/full} --sha256", true)] {
        let work = Work::new();
        if backup_of_windows(&work.path("windows")).is_none() {
            return;
        }
        assert!([0, 1].contains(&work.run(line).code), "{line}");
        check(&work, "windows/full", with_sha256);
    }
}

#[cfg(feature = "repository")]
#[test]
fn a_set_keeps_its_hashes_in_a_repository_and_out_of_it() {
    use crate::repository::{run, world};
    let work = world();
    let run = |line: &str| run(&work, &format!("--json {line}")).json()["result"].clone();
    let export_and_check = |out: &str, with_sha256: bool| {
        let exported = run(&format!("repository export vault:latest --to {{{out}}}"));
        check(&work, exported["sets"][0]["folder"].as_str().unwrap(), with_sha256);
    };
    run("repository init vault: --ca Test-CA --recovery-file {code}");
    // A set that is brought in keeps what it has.
    run("backup --dir {ca} --to {plain} --sha256");
    run("repository import --to vault: {plain}");
    export_and_check("again", true);
    for (option, with_sha256, out) in [("--sha256", true, "with"), ("", false, "without")] {
        crate::jobs::next_second();
        run(&format!("backup --dir {{ca}} --to vault: {option}"));
        assert_eq!(run("verify vault:latest")["findings"].as_array().unwrap().len(), 0);
        export_and_check(out, with_sha256);
    }
}
