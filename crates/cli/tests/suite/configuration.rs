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
