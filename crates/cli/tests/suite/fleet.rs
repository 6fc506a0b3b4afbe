//! Two weeks of a fleet: the drill of jobs, agent, alarms and restores.

use std::fs;

use crate::json_contract;
use crate::support::Work;

#[test]
fn a_fleet_lives_through_two_weeks_and_page_alarms_and_restores_are_right() {
    let work = Work::new();
    fs::create_dir(work.path("scratch")).unwrap();
    let run = work.run("--json drill --fleet 2 --within {scratch}");
    let json = run.json();
    assert_eq!(run.code, 0, "{json:#}");
    json_contract::as_documented(json_contract::FLEET, &json);
    let drill = &json["result"];
    assert_eq!(drill["passed"], true, "{drill:#}");
    // Each alarm begins and ends once: the vault is away (2), a CA is lost (2), logs are damaged (1).
    assert_eq!(drill["alarms"].as_array().map(Vec::len), Some(10), "{drill:#}");
    // The lost CA when it comes back, and both at the end.
    assert_eq!(drill["restores"].as_array().map(Vec::len), Some(3), "{drill:#}");
    assert_eq!(fs::read_dir(work.path("scratch")).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn a_fleet_has_a_size_of_its_own() {
    let work = Work::new();
    for line in
        ["drill --fleet 0", "drill --fleet 101", "drill --fleet 2 --local", "drill --fleet 2 --size 1MiB"]
    {
        assert_eq!(work.run(line).code, 2, "{line}");
    }
}
