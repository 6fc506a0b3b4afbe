//! Which steps are due for a CA: a pure function of what the target holds, what was tried before, and the time.

use std::fmt;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::config::Job;
use crate::held::Held;
use crate::record::Attempts;
use crate::schedule::Schedule;

/// A clock may differ from another one by this much, in seconds.
const SKEW: i64 = 300;

/// A step of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Find out what the first place holds. It is told only when it fails.
    Look,
    /// A full backup.
    Full,
    /// A backup of logs.
    Logs,
    /// Copies into the further places.
    Copy,
    /// Delete what no rule keeps.
    Prune,
    /// Read everything back.
    Verify,
    /// Judge whether everything is there.
    Complete,
    /// Restore into a scratch folder.
    Rehearse,
}

impl Step {
    /// Those that can be asked for, in the order in which they are carried out.
    pub const ALL: [Self; 7] =
        [Self::Full, Self::Logs, Self::Copy, Self::Prune, Self::Verify, Self::Complete, Self::Rehearse];

    /// Its name for programs.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Full => "full",
            Self::Logs => "logs",
            Self::Copy => "copy",
            Self::Prune => "prune",
            Self::Verify => "verify",
            Self::Complete => "complete",
            Self::Rehearse => "rehearse",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// A step that is due, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The step.
    pub step: Step,
    /// The place of the job that it works on, counted from 0.
    pub at: usize,
    /// Why it is due, for a person.
    pub why: String,
}

impl Due {
    /// A step at the first place.
    #[must_use]
    pub const fn first(step: Step, why: String) -> Self {
        Self { step, at: 0, why }
    }
}

/// What is known when a plan is made.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// What the first place of the job holds of the CA.
    pub held: &'a Held,
    /// The newest rehearsal that there is evidence of, in seconds since 1970.
    pub rehearsed: Option<i64>,
    /// What was tried before. Without it, what has failed is tried again at once, and that is all.
    pub attempts: &'a Attempts,
    /// The time, in seconds since 1970.
    pub now: i64,
    /// The zone of the schedules.
    pub zone: &'a TimeZone,
}

/// The steps that are due, in their order. What follows from a backup ([`after_backup`]) is not among them.
#[must_use]
pub fn due(job: &Job, known: &Known<'_>) -> Vec<Due> {
    let mut due = Vec::new();
    due.extend(backup(job, known));
    let newest = known.held.newest_state().last().map(|set| (set.id.clone(), set.time));
    let copy = known.attempts.of(Step::Copy);
    if due.is_empty() && 0 < copy.failures && !copy.waits(known.now) {
        let again = |at| Due { step: Step::Copy, at, why: "the last copy failed".to_owned() };
        due.extend((1..job.to.len()).map(again));
    }
    if newest.is_some() || !due.is_empty() {
        due.extend(scheduled(Step::Verify, job.verify, verified(known), known));
        let completed = known.attempts.of(Step::Complete).succeeded;
        due.extend(scheduled(Step::Complete, job.complete, completed, known));
        due.extend(scheduled(Step::Rehearse, job.rehearse, known.rehearsed, known));
    }
    due
}

/// The backup that is due: a full one, or one of logs.
fn backup(job: &Job, known: &Known<'_>) -> Option<Due> {
    let past = |time: i64| Some(time).filter(|time| *time <= known.now + SKEW);
    let full = known
        .held
        .sets()
        .iter()
        .rev()
        .find(|set| set.kind == certadm_set::manifest::SetKind::Full && past(set.time).is_some());
    let last_full = full.map(|set| set.time);
    if let Err(why) = known.held.base()
        && (job.full.is_some() || job.logs.is_some())
    {
        return (!known.attempts.of(Step::Full).waits(known.now))
            .then(|| Due::first(Step::Full, format!("there is no base for log sets: {why}")));
    }
    if let Some(due) = scheduled(Step::Full, job.full, last_full, known) {
        return Some(due);
    }
    let newest = known.held.sets().iter().rev().find_map(|set| past(set.time));
    scheduled(Step::Logs, job.logs, newest, known)
}

/// When the newest state was proven, or any state before.
fn verified(known: &Known<'_>) -> Option<i64> {
    known.held.proven.as_ref().map(|(_, when)| *when)
}

fn scheduled(step: Step, schedule: Option<Schedule>, last: Option<i64>, known: &Known<'_>) -> Option<Due> {
    let schedule = schedule?;
    // What lies ahead was dated by a wrong clock.
    let last = last.filter(|last| *last <= known.now + SKEW);
    if !schedule.is_due(last, known.now, known.zone) {
        return None;
    }
    let attempt = known.attempts.of(step);
    // A slot that began after a failure is a new chance.
    let is_new_slot = schedule.is_due(attempt.tried, known.now, known.zone);
    if attempt.waits(known.now) && !is_new_slot {
        return None;
    }
    let why = match last {
        None => format!("{schedule}: it was never done"),
        Some(_) => format!("{schedule}: its time has come"),
    };
    Some(Due::first(step, why))
}

/// The steps that follow a backup which has succeeded.
#[must_use]
pub fn after_backup(job: &Job, step: Step) -> Vec<Due> {
    let mut due = Vec::new();
    for at in 1..job.to.len() {
        due.push(Due { step: Step::Copy, at, why: format!("a {step} backup was taken") });
    }
    for at in 0..job.to.len() {
        if step == Step::Full && job.keep.is_some() {
            due.push(Due { step: Step::Prune, at, why: "a full backup was taken".to_owned() });
        }
    }
    due
}

/// When a step is due next, in seconds since 1970; `None` where it has no schedule.
#[must_use]
pub fn next(job: &Job, step: Step, now: i64, zone: &TimeZone) -> Option<i64> {
    let schedule = match step {
        Step::Full => job.full,
        Step::Logs => job.logs,
        Step::Verify => job.verify,
        Step::Complete => job.complete,
        Step::Rehearse => job.rehearse,
        Step::Look | Step::Copy | Step::Prune => None,
    };
    schedule?.next_slot(now, zone)
}
