//! `certadm.toml`: what is accepted refers to something that is there, shows nothing to strangers, and has times that go on; a
//! mistake is told with its place, and without the addresses that may hold a token.

use std::path::Path;

use certadm_jobs::{Config, Schedule, Target, TimeZone};

use crate::toml_files::{SECRET, unknown_keys_are_refused};

/// A moment, in seconds since 1970.
const NOW: i64 = 1_800_000_000;
/// Headers of tables that every key is known of.
const HEADERS: [&str; 6] =
    ["[ca.a]", "[job.a]", "[notify.a]", "[agent]", "[defaults.job]", "[repository.vault]"];

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parse(text) {
        Ok(config) => {
            holds_together(&config);
            unknown_keys_are_refused(text, &HEADERS, |text| parse(text).map(drop));
        }
        Err(error) => assert!(!tells_address(text, &error), "an address in {error:?}"),
    }
}

fn parse(text: &str) -> Result<Config, String> {
    // The folder is not there: what a CA's folder tells of it does not count here.
    Config::parse(text, Path::new("/nowhere/certadm.toml"))
}

fn holds_together(config: &Config) {
    assert!(config.exposure.check().is_ok(), "strangers may look: {:?}", config.exposure);
    assert!(0 < config.at_once && 0 <= config.time_limit);
    for (name, ca) in &config.cas {
        assert_eq!(*name, ca.name);
    }
    for job in config.jobs.values() {
        assert!(!job.cas.is_empty() && job.cas.iter().all(|ca| config.cas.contains_key(ca)), "{job:?}");
        assert!(job.cas.windows(2).all(|pair| pair[0] < pair[1]), "a CA twice: {job:?}");
        assert!(job.notify.iter().all(|who| config.notify.contains_key(who)), "{job:?}");
        assert!(!job.to.is_empty() && (job.full.is_some() || job.logs.is_some()), "{job:?}");
        let earlier = |at: usize| job.to.get(..at).unwrap_or_default();
        let is_once = |(at, target): (usize, &Target)| !earlier(at).contains(target);
        assert!(job.to.iter().enumerate().all(is_once), "a place twice: {job:?}");
        assert!(job.bandwidth.is_none_or(|speed| 16 << 10 <= speed));
        assert!(0 <= job.limits.rpo && 0 <= job.limits.crl && 0 <= job.limits.certificate);
        let schedules = [job.full, job.logs, job.verify, job.rehearse, job.complete];
        schedules.into_iter().flatten().for_each(goes_on);
    }
}

/// A schedule is written as it is read, and its slots stand around each moment.
fn goes_on(schedule: Schedule) {
    let written = schedule.to_string();
    assert_eq!(written.parse(), Ok(schedule), "{written}");
    let zone = TimeZone::UTC;
    let (last, next) = (schedule.last_slot(NOW, &zone), schedule.next_slot(NOW, &zone));
    let (Some(last), Some(next)) = (last, next) else { panic!("{written} has no slots") };
    assert!(last <= NOW && NOW < next && next - last <= 31 * 86_400 + 3_600, "{written}: {last}, {next}");
    assert_eq!(schedule.next_slot(last, &zone), Some(next), "{written}");
}

/// Whether an error holds an address of `webhook` or `ping`: all that may be secret in this file.
fn tells_address(text: &str, error: &str) -> bool {
    let mut lines = text.lines().filter(|line| line.contains(SECRET)).peekable();
    let is_address = |line: &str| {
        line.split_once('=').is_some_and(|(key, value)| {
            matches!(key.trim(), "webhook" | "ping") && value.trim_start().starts_with(['"', '\''])
        })
    };
    lines.peek().is_some() && lines.all(is_address) && error.contains(SECRET)
}
