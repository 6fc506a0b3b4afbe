//! Timers of systemd, as systemd understands them.

use std::fs;
use std::process::Command;

use crate::jobs::{configure, result, world};

#[test]
fn timers_are_units_that_systemd_takes() {
    let work =
        world("to = 'backups'\nfull = 'daily 02:00'\nlogs = 'every 15m'\nrehearse = 'monthly 30 04:00'");
    let written = result(&work, "timers --to {units}");
    assert_eq!(written["units"].as_array().unwrap().len(), 2);
    let timer = fs::read_to_string(work.path("units/certadm-run-nightly.timer")).unwrap();
    for line in ["OnCalendar=*-*-* 02:00:00", "OnCalendar=*-*-* *:00/15:00 UTC", "OnCalendar=*-*~01 04:00:00"]
    {
        assert!(timer.lines().any(|here| here == line), "{line}: {timer}");
    }
    // Each schedule that is written in a way of its own.
    let schedules = [
        "every 1m",
        "every 90s",
        "every 15m",
        "every 48m",
        "every 60m",
        "every 90m",
        "every 6h",
        "every 7h",
        "every 12h",
        "every 24h",
        "every 1d",
        "every 36h",
        "every 2d",
        "every 1w",
        "every 31d",
        "hourly",
        "daily 00:00",
        "weekly sun 03:05",
        "monthly 1 04:00",
        "monthly 29 23:59",
    ];
    let jobs = schedules.iter().enumerate().map(|(number, schedule)| {
        format!("[job.of{number}]\nca = 'web'\nto = 'backups'\nfull = '{schedule}'\n")
    });
    configure(&work, &format!("to = 'backups'\nfull = 'daily 02:00'\n{}", jobs.collect::<String>()));
    let written = result(&work, "timers --to {all}");
    let units: Vec<&str> =
        written["units"].as_array().unwrap().iter().map(|unit| unit.as_str().unwrap()).collect();
    assert_eq!(units.len(), 2 + 2 * schedules.len());
    let mut verify = Command::new("systemd-analyze");
    verify.args(["--man=no", "verify"]).args(units);
    verify.arg(work.path("units/certadm-run-nightly.timer"));
    let Ok(judged) = verify.env("SYSTEMD_LOG_LEVEL", "warning").output() else {
        eprintln!("SKIPPED: no systemd-analyze");
        return;
    };
    let said = String::from_utf8_lossy(&judged.stderr).into_owned();
    assert!(!said.contains("certadm-run-"), "{said}");
}

/// On 2027-03-28 in Berlin it is 03:00 after 01:59: the slot of 02:30 is at 03:30, and systemd knows no 02:30 on that day.
#[test]
fn a_slot_that_the_clock_passes_over_is_caught_up_on_the_same_day() {
    let work = world("to = 'backups'\nfull = 'daily 02:30'");
    result(&work, "timers --to {units}");
    let timer = fs::read_to_string(work.path("units/certadm-run-nightly.timer")).unwrap();
    let lines = timer.lines().filter_map(|line| line.strip_prefix("OnCalendar="));
    let mut calendar = Command::new("systemd-analyze");
    calendar.args(["calendar", "--base-time", "2027-03-28 01:29:59 UTC"]).args(lines);
    let said = match calendar.env("TZ", "Europe/Berlin").env("LC_ALL", "C").output() {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).unwrap(),
        other => {
            eprintln!("SKIPPED: a systemd-analyze that cannot judge a calendar: {other:?}");
            return;
        }
    };
    let next: Vec<&str> =
        said.lines().filter_map(|line| line.split_once("(in UTC): Sun ")).map(|(_, time)| time).collect();
    assert_eq!(next, ["2027-03-28 02:05:00 UTC"], "{said}");
}
