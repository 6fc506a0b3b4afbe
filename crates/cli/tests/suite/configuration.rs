//! `config check` and `config show`: mistakes that the file alone does not show, and what it means.

use std::fs;

use serde_json::Value;

use crate::jobs::{result, run, world};
use crate::support::Work;

/// What `config check` finds.
fn found(work: &Work) -> Vec<String> {
    let checked = run(work, "--json config check").json()["result"].clone();
    let found = checked["findings"].as_array().unwrap_or_else(|| panic!("{checked:#}")).clone();
    found.iter().map(|finding| finding["detail"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn of_two_cas_of_one_name_in_a_vault_the_second_is_refused_and_the_check_tells() {
    let work = world("to = 'vault:'\nfull = 'monthly 1 00:00'");
    result(&work, "repository init vault: --ca Test-CA --recovery-file {code}");
    work.copy("ca", "twin");
    let text = fs::read_to_string(work.path("certadm.toml")).unwrap();
    fs::write(work.path("certadm.toml"), format!("{text}\n[ca.twin]\ndir = 'twin'\n")).unwrap();
    let about =
        |found: Vec<String>| found.iter().filter(|text| text.contains("Test-CA of their own")).count();
    assert_eq!(about(found(&work)), 1);
    result(&work, "run nightly --ca web");
    let refused = run(&work, "--json run nightly --ca twin");
    assert_eq!(refused.code, 2, "{refused:?}");
    let step = refused.json()["result"]["runs"][0]["steps"][0].clone();
    let said = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    assert_eq!(said(&step["step"]), "look", "{step:#}");
    assert!(said(&step["trouble"][0]["message"]).contains("ca.web and ca.twin both have"), "{step:#}");
    // The first one goes on, and with another name both do.
    result(&work, "run nightly --ca web --now full");
    let text = fs::read_to_string(work.path("certadm.toml")).unwrap();
    fs::write(work.path("certadm.toml"), format!("{text}name = 'Twin'\n")).unwrap();
    assert_eq!(about(found(&work)), 0);
    let shown = result(&work, "config show");
    let names: Vec<&Value> = shown["cas"].as_array().unwrap().iter().map(|ca| &ca["own_name"]).collect();
    assert_eq!(names, ["Twin", "Test-CA"]);
}

/// Puts a line before the sections of the configuration, and in the job.
fn with(work: &Work, line: &str, of_job: &str) {
    crate::jobs::configure(work, &format!("to = 'backups'\nfull = 'daily 02:00'\n{of_job}"));
    let text = fs::read_to_string(work.path("certadm.toml")).unwrap();
    fs::write(work.path("certadm.toml"), format!("{line}\n{text}")).unwrap();
}

#[test]
fn the_check_tells_of_numbers_that_nobody_can_mean_and_of_a_folder_that_is_no_ca() {
    let work = world("to = 'backups'\nfull = 'daily 02:00'");
    assert_eq!(found(&work), Vec::<String>::new());
    for (line, of_job, expected) in [
        ("time-limit = '0s'", "", "line 1, column 14: time-limit: every run is stopped after 0s"),
        ("at-once = 0", "", "line 1, column 11: at-once: 0 counts as 1"),
        ("", "rpo = '1h'", "rpo: the backups come every 1d"),
        (
            "",
            "[ca.other]\ndir = 'backups'\n[job.more]\nca = 'other'\nto = 'backups'\nfull = 'hourly'",
            "[ca.other]: ",
        ),
        (
            "",
            "[ca.other]\ndir = 'pass'\n[job.more]\nca = 'other'\nto = 'backups'\nfull = 'hourly'",
            "is no folder",
        ),
    ] {
        with(&work, line, &of_job.replace("ca = 'other'", "ca = ['other']"));
        let found = found(&work);
        assert_eq!(found.len(), 1, "{expected}: {found:#?}");
        assert!(found[0].contains(expected), "{expected}: {found:#?}");
        assert_eq!(run(&work, "config check").code, 1, "{expected}");
    }
}

#[test]
fn a_vault_that_nobody_knows_is_told_with_its_place_and_both_files() {
    let work = world("to = ['backups', 'elsewhere:']\nfull = 'daily 02:00'");
    let refused = run(&work, "config check");
    assert_eq!(refused.code, 2, "{refused:?}");
    let said = format!("{}{}", refused.stdout, refused.stderr);
    for part in
        ["line 12, column 6", "to: [job.nightly]: no vault is called \"elsewhere\"", "there are vault"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.contains("[repository.NAME]") && said.contains("repositories.toml"), "{said}");
}

#[test]
fn what_the_file_leaves_to_defaults_is_shown() {
    let work =
        world("to = 'backups'\nfull = 'daily 02:00'\nkeep = { last = 2, within = '48h', monthly = 12 }");
    let hook = "[notify.ops]\nwebhook = 'https://chat.example/secret-token'";
    let text = fs::read_to_string(work.path("certadm.toml")).unwrap();
    fs::write(work.path("certadm.toml"), format!("{text}{hook}\n")).unwrap();
    let said = run(&work, "config show").good();
    for line in [
        "Runs:          2 at once, 1d at most, tried again not",
        "  full            daily 02:00",
        "  logs            never",
        "  keep            last 2, within 2d, monthly 12; after a full backup other sets are deleted",
        "  rto             no limit",
        "  crl             alarm 1d before it ends",
        "  certificate     alarm 90d before it ends",
        "  notify          ops",
        "Notify ops: a webhook",
    ] {
        assert!(said.lines().any(|told| told == line), "{line}: {said}");
    }
    assert!(!said.contains("secret-token"), "{said}");
    let shown = result(&work, "config show");
    let keep = &shown["jobs"][0]["keep"];
    let rules =
        ["last", "within", "daily", "weekly", "monthly", "yearly"].map(|rule| keep[rule].as_i64().unwrap());
    assert_eq!(rules, [2, 172_800, 0, 0, 12, 0]);
    assert_eq!(shown["time_limit"], 86_400);
    with(&work, "", "");
    assert!(result(&work, "config show")["jobs"][0]["keep"].is_null());
    assert!(run(&work, "config show").good().contains("  keep            everything: no set is deleted\n"));
}
