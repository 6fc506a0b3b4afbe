//! What shells offer: verbs, options, and the names that this machine has.

use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use crate::jobs::{result, world};
use crate::support::{Run, Work, command};

/// Asks as the scripts do: what can stand in the place of the last of these words?
fn offered(work: &Work, words: &[&str]) -> Vec<String> {
    let run = Run::of(
        command(&work.path(""), "")
            .arg("--")
            .arg("certadm")
            .args(words)
            .env("CERTADM_COMPLETE", "bash")
            .env("_CLAP_IFS", "\n")
            .env("_CLAP_COMPLETE_INDEX", words.len().to_string())
            .env("CERTADM_JOBS", work.path("certadm.toml"))
            .env("CERTADM_REPOSITORIES", work.path("repositories.toml")),
    );
    run.good().lines().map(str::to_owned).collect()
}

/// A vault that a run has stored something in.
fn with_points() -> (Work, String) {
    let work = world("to = 'vault:'\nfull = 'monthly 1 00:00'");
    result(&work, "repository init vault: --ca Test-CA --recovery-file {code}");
    let first = result(&work, "run nightly");
    let set = first["runs"][0]["steps"][0]["result"]["set"].as_str().unwrap().to_owned();
    (work, set)
}

#[test]
fn jobs_cas_vaults_and_points_of_this_machine_are_offered() {
    let (work, set) = with_points();
    assert_eq!(offered(&work, &["run", ""])[0], "nightly");
    assert_eq!(offered(&work, &["run", "nightly", "--ca", ""]), ["web"]);
    assert_eq!(offered(&work, &["run", "nightly", "--now", "re"]), ["rehearse"]);
    assert_eq!(offered(&work, &["repository", "init", "v"]), ["vault:"]);
    assert_eq!(offered(&work, &["repository", "init", "vault:", "--ca", ""]), ["Test-CA"]);
    let points = offered(&work, &["verify", "vault:"]);
    assert_eq!(points, ["vault:latest", "vault:Test-CA", set.as_str()], "{set}");
    assert_eq!(offered(&work, &["restore", "--from", "vault:Test-CA/"]), [set.as_str()]);
    let places = offered(&work, &["backup", "--to", ""]);
    assert!(places.contains(&"vault:".to_owned()) && places.iter().any(|place| place == "ca/"), "{places:?}");
    assert!(offered(&work, &["ver"]).contains(&"verify".to_owned()));
    assert_eq!(offered(&work, &["backup", "--bandw"]), ["--bandwidth"]);
}

#[test]
fn a_vault_that_is_away_is_not_waited_for_and_a_mistake_offers_nothing() {
    let (work, set) = with_points();
    // The vault is gone: what a run has seen is offered all the same.
    let vault = std::fs::read_to_string(work.path("repositories.toml")).unwrap();
    let gone =
        vault.lines().map(|line| if line.starts_with("url") { "url = 'sftp://x@192.0.2.1/x'" } else { line });
    std::fs::write(work.path("repositories.toml"), gone.collect::<Vec<_>>().join("\n")).unwrap();
    assert!(offered(&work, &["verify", "vault:"]).contains(&set));
    std::fs::write(work.path("certadm.toml"), "no TOML").unwrap();
    assert_eq!(offered(&work, &["run", "nightly", "--ca", ""]), Vec::<String>::new());
    assert!(offered(&work, &["verify", "vault:"]).is_empty());
}

/// Has bash complete a line whose words it has split, and gives what it puts in the place of the last of them.
fn in_bash(work: &Work, line: &str, split: &[&str]) -> Option<Vec<String>> {
    let bin = work.path("bin");
    if !bin.exists() {
        std::fs::create_dir(&bin).unwrap();
        symlink(env!("CARGO_BIN_EXE_certadm"), bin.join("certadm")).unwrap();
    }
    let script = "source <(certadm completions bash)\nCOMP_LINE=$1; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1))\n\
        COMP_WORDBREAKS=$' \\t\\n\"\\'><=;|&(:'\n_certadm\nprintf '%s\\n' \"${COMPREPLY[@]}\"";
    let path = std::env::var("PATH").unwrap();
    let mut bash = Command::new("bash");
    bash.args(["-c", script, "bash", line])
        .args(split)
        .current_dir(work.path(""))
        .env("PATH", format!("{}:{path}", bin.display()))
        .env("CERTADM_JOBS", work.path("certadm.toml"))
        .env("CERTADM_REPOSITORIES", work.path("repositories.toml"))
        .stdin(Stdio::null());
    let Ok(output) = bash.output() else {
        eprintln!("SKIPPED: no bash");
        return None;
    };
    Some(Run::from(output).good().lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

#[test]
fn bash_gets_addresses_with_colons_and_blanks() {
    let (work, set) = with_points();
    let Some(jobs) = in_bash(&work, "certadm run ", &["certadm", "run", ""]) else { return };
    assert_eq!(jobs[0], "nightly");
    let behind = |word: &str| word.strip_prefix("vault:").unwrap().to_owned();
    let vault = in_bash(&work, "certadm verify va", &["certadm", "verify", "va"]).unwrap();
    assert_eq!(vault, ["vault:", "vault/"], "there is a folder of that name, too");
    // bash takes a colon for the end of a word.
    let all = ["latest".to_owned(), "Test-CA".to_owned(), behind(&set)];
    let colon = in_bash(&work, "certadm verify vault:", &["certadm", "verify", "vault", ":"]).unwrap();
    assert_eq!(colon, all);
    let colon = in_bash(&work, "certadm verify vault:", &["certadm", "verify", "vault", ":", ""]).unwrap();
    assert_eq!(colon, all);
    let point = in_bash(&work, "certadm verify vault:T", &["certadm", "verify", "vault", ":", "T"]).unwrap();
    assert_eq!(point, &all[1..]);
    let after = ["certadm", "verify", "vault", ":", "latest", "--allowed-s"];
    let option = in_bash(&work, "certadm verify vault:latest --allowed-s", &after).unwrap();
    assert_eq!(option, ["--allowed-signers"]);
    // It takes an equals sign for one, too.
    let value = ["certadm", "backup", "--type", "=", "l"];
    assert_eq!(in_bash(&work, "certadm backup --type=l", &value).unwrap(), ["logs"]);
    let address = ["certadm", "backup", "--to", "=", "vault", ":", "T"];
    assert_eq!(in_bash(&work, "certadm backup --to=vault:T", &address).unwrap()[0], "Test-CA");
    // A name with a blank.
    std::fs::create_dir(work.path("a place")).unwrap();
    let place = in_bash(&work, "certadm verify a\\ p", &["certadm", "verify", "a\\ p"]).unwrap();
    assert_eq!(place, ["a\\ place/"]);
}
