//! What the fleet's drill has shown.

use std::collections::{BTreeMap, BTreeSet};

use certadm_jobs::Step;
use certadm_jobs::alarm::{About, Turn};
use certadm_jobs::place::moment;
use certadm_jobs::record::{Outcome, StepRecord};
use certadm_jobs::status::CaStatus;
use certadm_rehearsal::Proof;
use certadm_rules::words::counted;
use serde_json::{Value, json};

use super::timeline::HOUR;
use super::world::Restored;
use crate::output::Output;
use crate::terminal::Tone;

/// Something that has to be so.
#[derive(Clone, Debug)]
pub(super) struct Check {
    name: String,
    passed: bool,
    detail: String,
}

impl Check {
    pub(super) fn new(name: impl Into<String>, passed: bool, detail: impl Into<String>) -> Self {
        Self { name: name.into(), passed, detail: detail.into() }
    }

    pub(super) fn failed(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(name, false, detail)
    }
}

/// An alarm that was told.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) time: i64,
    pub(super) event: Turn,
    pub(super) ca: String,
    pub(super) about: About,
}

/// An alarm that has to begin and to end once, each within some time.
#[derive(Clone, Debug)]
struct Expected {
    ca: String,
    about: &'static str,
    why: &'static str,
    begins: (i64, i64),
    ends: Option<(i64, i64)>,
}

/// How often each step was carried out.
type Counts = BTreeMap<String, usize>;

/// What the drill has shown.
#[derive(Debug)]
pub(in crate::verbs::drill) struct Report {
    count: u16,
    begin: i64,
    pub(super) ended: i64,
    pub(super) seconds: f64,
    pub(super) issued: usize,
    pub(super) plugged: Option<i64>,
    pub(super) told: Vec<Told>,
    pub(super) restores: Vec<(String, Restored)>,
    expected: Vec<Expected>,
    checks: Vec<Check>,
    steps: Counts,
    /// Backups that were taken: when, and of which CA.
    backups: Vec<(i64, String)>,
}

impl Report {
    pub(super) fn new(count: u16, begin: i64) -> Self {
        Self {
            count,
            begin,
            ended: begin,
            seconds: 0.0,
            issued: 0,
            plugged: None,
            told: Vec::new(),
            restores: Vec::new(),
            expected: Vec::new(),
            checks: Vec::new(),
            steps: Counts::new(),
            backups: Vec::new(),
        }
    }

    pub(super) fn check(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// An alarm about `ca` has to begin, at most so many seconds from now on.
    pub(super) fn expect(&mut self, ca: &str, about: &'static str, why: &'static str, now: i64, within: i64) {
        let begins = (now, now + within);
        self.expected.push(Expected { ca: ca.to_owned(), about, why, begins, ends: None });
    }

    /// The alarms for this reason have to end.
    pub(super) fn expect_end(&mut self, why: &str, now: i64, within: i64) {
        for expected in self.expected.iter_mut().filter(|expected| expected.why == why) {
            expected.ends = Some((now, now + within));
        }
    }

    pub(super) fn step(&mut self, ca: &str, record: &StepRecord) {
        let word = match record.outcome {
            Outcome::Good => "good",
            Outcome::Finding => "finding",
            Outcome::Failed => "failed",
            Outcome::Interrupted => "interrupted",
        };
        *self.steps.entry(format!("{} {word}", record.step)).or_default() += 1;
        if record.outcome == Outcome::Good && matches!(record.step, Step::Full | Step::Logs) {
            self.backups.push((record.began, ca.to_owned()));
        }
    }

    /// Whoever is told by the webhook has heard what the log has, in the same order.
    pub(super) fn compare_heard(&mut self, heard: &[Value]) {
        let key = |event: &str, ca: &str, about: &str| format!("{event} {ca} {about}");
        let heard: Vec<String> = heard
            .iter()
            .map(|one| {
                let text = |key: &str| one[key].as_str().unwrap_or_default();
                key(text("event"), text("ca"), text("about"))
            })
            .collect();
        let told: Vec<String> =
            self.told.iter().map(|told| key(turn(told.event), &told.ca, told.about.key())).collect();
        let detail = format!("{} messages", heard.len());
        self.check(Check::new("the webhook has heard each alarm begin and end once", heard == told, detail));
    }

    /// Judges what is judged at the end.
    pub(super) fn settle(&mut self, shown: &[CaStatus]) {
        let mut taken = BTreeSet::new();
        for expected in self.expected.clone() {
            let find = |event, (from, until): (i64, i64)| {
                self.told.iter().position(|told| {
                    told.event == event
                        && told.ca == expected.ca
                        && told.about.key() == expected.about
                        && (from..=until).contains(&told.time)
                })
            };
            let begins = find(Turn::Begins, expected.begins);
            let ends = expected.ends.and_then(|span| find(Turn::Ends, span));
            let name =
                format!("{}: the alarm `{}` begins and ends: {}", expected.ca, expected.about, expected.why);
            let time =
                |at: Option<usize>| at.map_or_else(|| "never".to_owned(), |at| moment(self.told[at].time));
            let detail = format!("{} to {}", time(begins), time(ends));
            taken.extend([begins, ends].into_iter().flatten());
            self.checks.push(Check::new(name, begins.is_some() && ends.is_some(), detail));
        }
        let beside = self.told.iter().enumerate().filter(|(at, _)| !taken.contains(at));
        let beside: Vec<String> = beside
            .map(|(_, told)| format!("{} {} {} {}", moment(told.time), turn(told.event), told.ca, told.about))
            .collect();
        self.check(Check::new("nothing else was told", beside.is_empty(), beside.join("; ")));
        self.caught_up();
        for (ca, restored) in &self.restores {
            let is_right = 0 < restored.expected && restored.equal == restored.expected;
            let detail = format!(
                "{} acknowledged before the last backup, {} there byte for byte, {} issued after it",
                restored.expected, restored.equal, restored.lost
            );
            self.checks.push(Check::new(format!("{ca} comes back"), is_right, detail));
        }
        for status in shown {
            let is_proven = status.rehearsal == Some(Proof::Proven);
            let detail = status.rehearsal.map_or("no rehearsal", Proof::key).to_owned();
            self.checks.push(Check::new(format!("{} is rehearsed", status.ca), is_proven, detail));
        }
    }

    /// What was missed while the vault could not be reached is done once.
    fn caught_up(&mut self) {
        let Some(plugged) = self.plugged else { return };
        let span = plugged..plugged + 4 * HOUR;
        let caught: Vec<&str> =
            self.backups.iter().filter(|(when, _)| span.contains(when)).map(|(_, ca)| ca.as_str()).collect();
        let cas: BTreeSet<&str> = caught.iter().copied().collect();
        let is_right = caught.len() == usize::from(self.count) && cas.len() == caught.len();
        let detail =
            format!("{} for {}", counted(caught.len() as u64, "backup"), counted(cas.len() as u64, "CA"));
        self.check(Check::new("what was missed is caught up once", is_right, detail));
    }

    /// Whether everything was right.
    pub(in crate::verbs::drill) fn is_proven(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.passed)
    }

    pub(in crate::verbs::drill) fn print(&self, output: Output) {
        output.line("");
        for check in &self.checks {
            let (word, tone) = if check.passed { ("right", Tone::Good) } else { ("WRONG", Tone::Bad) };
            if check.passed && output.quiet {
                continue;
            }
            output.toned("", word, Some(tone), &format!("  {} ({})", check.name, check.detail));
        }
        let steps: Vec<String> = self.steps.iter().map(|(step, count)| format!("{count} {step}")).collect();
        output.line(format!(
            "Two weeks of {} in {:.1} s: {}; {} issued.",
            counted(u64::from(self.count), "CA"),
            self.seconds,
            steps.join(", "),
            counted(self.issued as u64, "certificate"),
        ));
        match self.is_proven() {
            true => output.verdict("Drill PASSED: page, alarms and restores were right.", Tone::Good),
            false => output.verdict("Drill FAILED: see the lines above.", Tone::Bad),
        }
    }

    pub(in crate::verbs::drill) fn to_json(&self) -> Value {
        let checks: Vec<Value> = self
            .checks
            .iter()
            .map(|check| json!({ "name": check.name, "passed": check.passed, "detail": check.detail }))
            .collect();
        let alarms: Vec<Value> = self
            .told
            .iter()
            .map(|told| {
                json!({ "time": moment(told.time), "event": turn(told.event), "ca": told.ca, "about": told.about })
            })
            .collect();
        let restores: Vec<Value> = self
            .restores
            .iter()
            .map(|(ca, restored)| {
                json!({
                    "ca": ca,
                    "expected": restored.expected,
                    "equal": restored.equal,
                    "lost_after_last_backup": restored.lost,
                })
            })
            .collect();
        let steps: Vec<Value> =
            self.steps.iter().map(|(step, count)| json!({ "step": step, "count": count })).collect();
        json!({
            "passed": self.is_proven(),
            "cas": self.count,
            "began": moment(self.begin),
            "ended": moment(self.ended),
            "seconds": self.seconds,
            "issued": self.issued,
            "steps": steps,
            "alarms": alarms,
            "restores": restores,
            "checks": checks,
        })
    }
}

const fn turn(event: Turn) -> &'static str {
    match event {
        Turn::Begins => "begins",
        Turn::Ends => "ends",
    }
}

/// The alarms that a page shows, each with its CA.
pub(super) fn alarms_of_page(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for section in page.split("<section").skip(1) {
        let Some(title) = between(section, "<h2>", "</h2>") else { continue };
        let ca = title.split_whitespace().next().unwrap_or_default();
        for row in section.split("Alarm: ").skip(1) {
            let about: String =
                row.chars().take_while(|letter| letter.is_ascii_lowercase() || *letter == '-').collect();
            found.push((ca.to_owned(), about));
        }
    }
    found
}

/// The alarms that figures tell, each with its CA.
pub(super) fn alarms_of_figures(figures: &str) -> Vec<(String, String)> {
    let lines = figures.lines().filter(|line| line.starts_with("certadm_alarm{") && line.ends_with(" 1"));
    lines
        .filter_map(|line| {
            let label = |name: &str| between(line, &format!("{name}=\""), "\"").map(str::to_owned);
            Some((label("ca")?, label("about")?))
        })
        .collect()
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    Some(text.split_once(begin)?.1.split_once(end)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(time: i64, event: Turn) -> Told {
        Told { time, event, ca: "ca1".to_owned(), about: About::Failed }
    }

    fn judged(told: Vec<Told>) -> bool {
        let mut report = Report::new(1, 0);
        report.expect("ca1", "failed", "x", 100, 50);
        report.expect_end("x", 200, 50);
        report.told = told;
        report.settle(&[]);
        report.is_proven()
    }

    #[test]
    fn an_alarm_has_to_begin_and_end_in_its_time_once_and_nothing_else_may_be_told() {
        let (begins, ends) = (told(120, Turn::Begins), told(220, Turn::Ends));
        assert!(judged(vec![begins.clone(), ends.clone()]));
        assert!(!judged(vec![begins.clone()]));
        assert!(!judged(vec![begins.clone(), told(251, Turn::Ends)]), "too late");
        assert!(!judged(vec![told(99, Turn::Begins), ends.clone()]), "too early");
        assert!(!judged(vec![begins.clone(), begins.clone(), ends.clone()]), "twice");
        let other = Told { about: About::Late, ..begins.clone() };
        assert!(!judged(vec![begins, ends, other]));
        assert!(!Report::new(1, 0).is_proven(), "what was not looked at is not proven");
    }

    #[test]
    fn a_restore_that_lacks_a_certificate_is_wrong() {
        let mut report = Report::new(1, 0);
        report.restores.push(("ca1".to_owned(), Restored { expected: 3, equal: 2, lost: 0 }));
        report.settle(&[]);
        assert!(!report.is_proven());
    }

    #[test]
    fn alarms_are_read_from_page_and_figures() {
        let figures = "certadm_alarm{backup_job=\"j\",ca=\"a\",about=\"late\"} 1\n\
                       certadm_alarm{backup_job=\"j\",ca=\"a\",about=\"disk\"} 0\n";
        let late = [("a".to_owned(), "late".to_owned())];
        assert_eq!(alarms_of_figures(figures), late);
        let alarm = certadm_jobs::alarm::Alarm {
            about: About::Late,
            id: String::new(),
            job: "j".to_owned(),
            ca: "a".to_owned(),
            message: "m".to_owned(),
            remedy: "r".to_owned(),
        };
        let status = CaStatus { ca: "a".to_owned(), alarms: vec![alarm], ..CaStatus::default() };
        assert_eq!(alarms_of_page(&certadm_jobs::page::status_page(&[status], &[], 0)), late);
    }
}
