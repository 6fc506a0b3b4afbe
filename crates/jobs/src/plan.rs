//! Which steps are due for a CA: a pure function of what the target holds, what was tried before, and the time.

use jiff::tz::TimeZone;

use crate::config::Job;
use crate::held::{Held, NoBase, is_past};
use crate::record::Attempts;
use crate::schedule::Schedule;
use crate::step::Step;

/// When a CA of the network is asked.
pub(crate) const ASK: Schedule = Schedule::Every(6 * 3_600);

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
    /// Whether the CA has to be asked for the ends of its CRL and its certificate: no folder of this machine tells them.
    pub has_to_ask: bool,
}

/// The steps that are due, in their order. What follows from a backup ([`after_backup`]) is not among them.
#[must_use]
pub fn due(job: &Job, known: &Known<'_>) -> Vec<Due> {
    let mut due = Vec::new();
    due.extend(backup(job, known));
    let newest = known.held.newest_state().last().map(|set| (set.id.clone(), set.time));
    if newest.is_some() {
        due.extend(again(job, Step::Copy, known));
        // What is known to be damaged may be all that the rules keep: it waits for the full backup.
        let holds = known.held.has_doubtful_base() || known.attempts.holds_prune();
        due.extend(again(job, Step::Prune, known).filter(|_| !holds));
    }
    if known.has_to_ask {
        due.extend(scheduled(Step::Ask, Some(ASK), known.attempts.of(Step::Ask).succeeded, known));
    }
    let has_state = newest.is_some() || !due.is_empty();
    // Somebody may have put a file back.
    if has_state || !known.held.stored_state().is_empty() {
        due.extend(scheduled(Step::Verify, job.verify, verified(known), known));
    }
    if has_state {
        let completed = known.attempts.of(Step::Complete).succeeded;
        due.extend(scheduled(Step::Complete, job.complete, completed, known));
        due.extend(scheduled(Step::Rehearse, job.rehearse, known.rehearsed, known));
    }
    due
}

/// A step that has failed at some of its places, or was not reached there, is done again there, and nowhere else. A place that was added
/// to a job gets its first copy.
fn again(job: &Job, step: Step, known: &Known<'_>) -> impl Iterator<Item = Due> {
    job.places_of(step).filter_map(move |at| {
        let place = job.to.get(at).map(ToString::to_string);
        let attempt = known.attempts.at(step, &place.unwrap_or_default());
        let why = match (attempt.failures, attempt.owed) {
            (0, false) if step == Step::Copy && attempt.succeeded.is_none() => {
                "no copy was made there yet".to_owned()
            }
            (0, false) => return None,
            (0, true) => format!("the last {step} was not made there"),
            _ => format!("the last {step} has failed there"),
        };
        (!attempt.waits(known.now)).then_some(Due { step, at, why })
    })
}

/// The backup that is due: a full one, or one of logs.
fn backup(job: &Job, known: &Known<'_>) -> Option<Due> {
    let past = |time: i64| Some(time).filter(|time| is_past(*time, known.now));
    let full = known
        .held
        .sets()
        .iter()
        .rev()
        .find(|set| set.kind == certadm_set::manifest::SetKind::Full && past(set.time).is_some());
    // What was taken and does not count, since a key is wrong, is not taken at each run for that.
    let last_full = full.map(|set| set.time).max(known.attempts.stored_unsigned(Step::Full));
    if let Err(why) = known.held.base()
        && (job.full.is_some() || job.logs.is_some())
    {
        let due = full_for(&why, known.attempts, known.now);
        // Behind a damaged set, or one that nobody has signed, backups go on at their times, and logs stay at the CA as well: without them
        // nothing of what it issues is elsewhere.
        if due.is_some() || !why.is_doubt() {
            return due;
        }
        // Each of them holds all logs since the last one that let the CA delete some.
        let newest = known.held.sets().last().map(|set| set.time).max(unsigned_at(known.attempts));
        if newest.is_some_and(|newest| (newest..newest.saturating_add(BEHIND_DAMAGE)).contains(&known.now)) {
            return scheduled(Step::Full, job.full, last_full, known);
        }
    }
    let full = scheduled(Step::Full, job.full, last_full, known);
    if let Some(due) = full.or_else(|| unconfirmed(job, known)) {
        return Some(due);
    }
    let newest = known.held.sets().iter().rev().find_map(|set| past(set.time));
    scheduled(Step::Logs, job.logs, newest.max(unsigned_at(known.attempts)), known)
}

/// When a set was stored last that does not count.
fn unsigned_at(attempts: &Attempts) -> Option<i64> {
    attempts.stored_unsigned(Step::Full).max(attempts.stored_unsigned(Step::Logs))
}

/// The full backup that is due again because the CA has not confirmed the end of the last one: log sets may not be able to follow. A CA
/// that confirms none, gets one a day at most, because each of them may be large.
fn unconfirmed(job: &Job, known: &Known<'_>) -> Option<Due> {
    let full = known.attempts.of(Step::Full);
    let is_scheduled = job.full.is_some() || job.logs.is_some();
    let is_lately =
        full.succeeded.is_some_and(|when| (when..when.saturating_add(RENEWED)).contains(&known.now));
    let waits = full.waits(known.now) || 1 < full.failures && is_lately;
    let why = "the CA has not confirmed the end of the last full backup";
    (full.owed && is_scheduled && !waits).then(|| Due::first(Step::Full, why.to_owned()))
}

/// Seconds from one log set behind a damaged set to the next.
const BEHIND_DAMAGE: i64 = 6 * 3_600;
/// Seconds from one full backup to the next, behind damage or where the CA confirms none.
const RENEWED: i64 = 24 * 3_600;

/// The full backup that is due at once because no log set can follow, unless one has failed and waits, or one was taken behind damage
/// within a day and no verification has found it sound: a further one may be damaged as well, at each verification. Nor does a further
/// one count within a day when the last one did not, because its signature does not.
pub(crate) fn full_for(why: &NoBase, attempts: &Attempts, now: i64) -> Option<Due> {
    let in_vain = match why {
        NoBase::Damaged { .. } => attempts.renewed.as_ref().map(|renewed| renewed.when),
        NoBase::Unsigned { .. } => attempts.stored_unsigned(Step::Full),
        _ => None,
    };
    let waits_longer = in_vain.is_some_and(|when| (when..when.saturating_add(RENEWED)).contains(&now));
    (!waits_longer && !attempts.of(Step::Full).waits(now))
        .then(|| Due::first(Step::Full, format!("there is no base for log sets: {why}")))
}

/// When the newest state was proven, or any state before. A verification that has failed is to be done again, whatever proof there is.
fn verified(known: &Known<'_>) -> Option<i64> {
    let has_failed = 0 < known.attempts.of(Step::Verify).failures;
    known.held.proven.as_ref().map(|(_, when)| *when).filter(|_| !has_failed)
}

fn scheduled(step: Step, schedule: Option<Schedule>, last: Option<i64>, known: &Known<'_>) -> Option<Due> {
    let schedule = schedule?;
    // What lies ahead was dated by a wrong clock.
    let last = last.filter(|last| is_past(*last, known.now));
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
        None if 0 < attempt.failures => format!("the last {step} has failed"),
        None => format!("{schedule}: it was never done"),
        Some(_) => format!("{schedule}: its time has come"),
    };
    Some(Due::first(step, why))
}

/// The steps that follow a backup which has succeeded.
#[must_use]
pub fn after_backup(job: &Job, step: Step) -> Vec<Due> {
    let follows = |next| {
        let why = format!("a {step} backup was taken");
        job.places_of(next).map(move |at| Due { step: next, at, why: why.clone() })
    };
    let prunes = (step == Step::Full).then(|| follows(Step::Prune));
    follows(Step::Copy).chain(prunes.into_iter().flatten()).collect()
}

/// When a step is due next, in seconds since 1970; `None` where it has no schedule.
#[must_use]
pub fn next(job: &Job, step: Step, now: i64, zone: &TimeZone) -> Option<i64> {
    job.schedule_of(step)?.next_slot(now, zone)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use certadm_set::manifest::SetKind;

    use super::*;
    use crate::config::Config;
    use crate::held::HeldSet;
    use crate::record::tests::{record, unconfirmed};
    use crate::record::{Damage, Outcome, StepRecord};

    const JOB: &str = "full = 'daily 02:30'\nlogs = 'every 15m'\nverify = 'weekly sun 03:00'\nrehearse = 'monthly 31 04:00'";

    fn job(text: &str) -> Job {
        let text = format!(
            "[ca]\nweb = {{ dir = '/a' }}\n[job.j]\nca = 'web'\nto = ['v1:', 'v2:']\nkeep = {{ last = 1 }}\n{text}"
        );
        Config::parse(&text, "/etc/certadm/certadm.toml".as_ref()).unwrap().job("j").unwrap().clone()
    }

    /// A CA with its places, as far as a plan sees them.
    #[derive(Default)]
    struct World {
        sets: Vec<HeldSet>,
        verified: Option<i64>,
        rehearsed: Option<i64>,
        attempts: Attempts,
        generation: u32,
        done: BTreeMap<Step, Vec<i64>>,
    }

    impl World {
        fn held(&self, now: i64) -> Held {
            let proven = self.verified.map(|when| ("x".to_owned(), when));
            Held { proven, ..Held::new(&self.sets, now) }
        }

        /// The further place has its copy.
        fn copied(self) -> Self {
            Self { attempts: copied(), ..self }
        }

        fn due(&self, job: &Job, now: i64, zone: &TimeZone) -> Vec<Due> {
            let (held, attempts) = (self.held(now), &self.attempts);
            due(
                job,
                &Known { held: &held, rehearsed: self.rehearsed, attempts, now, zone, has_to_ask: false },
            )
        }

        /// Does what is due, as a run does it.
        fn run(&mut self, job: &Job, now: i64, zone: &TimeZone) {
            for due in self.due(job, now, zone) {
                match due.step {
                    Step::Full | Step::Logs => {
                        let kind = if due.step == Step::Full { SetKind::Full } else { SetKind::Logs };
                        self.generation += 1;
                        self.sets.push(set(now, kind, self.generation));
                        // What is older than the last full set is of no use here.
                        if kind == SetKind::Full {
                            self.sets = self.sets.split_off(self.sets.len() - 1);
                        }
                    }
                    Step::Verify => self.verified = Some(now),
                    Step::Rehearse => self.rehearsed = Some(now),
                    _ => {}
                }
                self.done.entry(due.step).or_default().push(now);
            }
        }
    }

    fn copied() -> Attempts {
        let mut attempts = Attempts::default();
        attempts.note(&StepRecord { place: "v2:".to_owned(), ..record(Step::Copy, Outcome::Good, 1_000) });
        attempts
    }

    fn set(time: i64, kind: SetKind, generation: u32) -> HeldSet {
        HeldSet {
            id: time.to_string(),
            time,
            kind,
            stream: (String::new(), String::new()),
            generations: (generation, generation),
            bytes: 0,
            seconds: 0,
            links: None,
        }
    }

    /// A year, looked at every quarter of an hour, with times in which the machine is off: each slot is done once, at the first look
    /// after it, and of slots that were missed together only one.
    #[test]
    fn in_a_year_each_slot_is_done_once_and_what_was_missed_is_caught_up_once() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let job = job(JOB);
        // From 2028-01-01 on: a leap year.
        let (begin, look) = (1_830_294_060, 900);
        let off = [(40, 61), (100, 100), (180, 194), (300, 301)];
        let is_on = |now: i64| {
            let day = (now - begin) / 86_400;
            !off.iter().any(|(from, until)| (*from..*until).contains(&day))
        };
        let mut world = World::default().copied();
        let looks: Vec<i64> =
            (0..366 * 96).map(|number| begin + number * look).filter(|now| is_on(*now)).collect();
        for now in &looks {
            world.run(&job, *now, &zone);
        }
        for (step, schedule) in
            [(Step::Full, job.full), (Step::Verify, job.verify), (Step::Rehearse, job.rehearse)]
        {
            let schedule = schedule.unwrap();
            // The model: the first look at all, and each look that has a slot between itself and the look before.
            let mut expected = vec![looks[0]];
            for pair in looks.windows(2) {
                if schedule.next_slot(pair[0], &zone).is_some_and(|slot| slot <= pair[1]) {
                    expected.push(pair[1]);
                }
            }
            assert_eq!(world.done[&step], expected, "{step}");
        }
        // Logs are backed up at each look at which no full backup is taken: between two looks there is a slot.
        let both: Vec<i64> = {
            let all = world.done[&Step::Full].iter().chain(&world.done[&Step::Logs]);
            let mut all: Vec<i64> = all.copied().collect();
            all.sort_unstable();
            all
        };
        for pair in both.windows(2) {
            let missed = looks.iter().filter(|look| pair[0] < **look && **look < pair[1]);
            assert_eq!(missed.count(), 0, "between {} and {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn without_a_base_there_is_a_full_backup_and_the_reason_is_said() {
        let (zone, job) = (TimeZone::UTC, job(JOB));
        let mut world = World::default();
        let why = |world: &World, now| {
            let due = world.due(&job, now, &zone);
            due.first().map(|due| format!("{}: {}", due.step, due.why)).unwrap_or_default()
        };
        assert_eq!(why(&world, 0), "full: there is no base for log sets: no full set is there");
        world.sets = vec![set(1_000_000, SetKind::Full, 5), set(1_000_900, SetKind::Logs, 7)];
        let text = why(&world, 1_001_000);
        assert!(text.starts_with("full: ") && text.ends_with("generation 0x6 is missing"), "{text}");
        world.sets.pop();
        assert!(why(&world, 1_002_000).starts_with("logs: every 15m"));
    }

    /// What is damaged is no base, and what waits after a failure is not tried faster for that.
    #[test]
    fn behind_a_damaged_set_there_is_a_full_backup_and_while_it_waits_logs_go_on() {
        let (zone, job) =
            (TimeZone::UTC, job("full = 'monthly 1 02:30'\nlogs = 'every 15m'\nverify = 'monthly 31 03:00'"));
        let sets = [set(1_000_000, SetKind::Full, 5), set(1_000_900, SetKind::Logs, 6)];
        let mut attempts = copied();
        attempts.note(&StepRecord {
            place: "v1:".to_owned(),
            ..record(Step::Verify, Outcome::Failed, 1_001_000)
        });
        attempts.note(&StepRecord { place: "v1:".to_owned(), ..record(Step::Prune, Outcome::Failed, 1_000) });
        // Somebody has verified another state by hand since.
        let proven = Some((sets[1].id.clone(), 1_001_050));
        let steps = |attempts: &Attempts, damaged: &[&str], now| -> Vec<String> {
            let damaged = damaged.iter().map(|id| (*id).to_owned()).collect();
            let held = Held { proven: proven.clone(), damaged, ..Held::new(&sets, now) };
            let known = Known { held: &held, rehearsed: None, attempts, now, zone: &zone, has_to_ask: false };
            due(&job, &known).into_iter().map(|due| format!("{}: {}", due.step, due.why)).collect()
        };
        let why = "full: there is no base for log sets: the set 1000900 was found to be damaged";
        assert_eq!(steps(&attempts, &["1000900"], 1_001_100), [why], "verify waits");
        // It goes on failing, and waits. Somebody may have put the file back.
        attempts.note(&record(Step::Full, Outcome::Failed, 1_001_100));
        let again = "verify: the last verify has failed";
        assert_eq!(steps(&attempts, &["1000900"], 1_001_399), [again]);
        assert_eq!(steps(&attempts, &["1000000"], 1_001_399), [again], "nothing is left of it");
        assert_eq!(steps(&attempts, &["1000900"], 1_001_400), [why, again]);
        // While it waits longer, log sets go on, six hours after the newest set. What they hold lies outside of the CA then.
        let mut waits = attempts.clone();
        waits.note(&record(Step::Full, Outcome::Failed, 1_001_400));
        assert_eq!(steps(&waits, &["1000900"], 1_001_700), [again]);
        assert_eq!(steps(&waits, &["1000900"], 1_002_000), [why, again]);
        waits.note(&record(Step::Full, Outcome::Failed, 1_022_400));
        let logs = "logs: every 15m: its time has come";
        assert_eq!(steps(&waits, &["1000900"], 1_022_500), [logs, again]);
        // A full backup was taken for damage, and is damaged, too: a day passes before the next one.
        let mut renewed = attempts.clone();
        renewed.note(&record(Step::Full, Outcome::Finding, 1_001_400));
        renewed.renewed =
            Some(Damage { place: "v1:".to_owned(), set: "1000900".to_owned(), when: 1_001_400 });
        assert_eq!(steps(&renewed, &["1000900"], 1_001_401), [again]);
        assert_eq!(steps(&renewed, &["1000900"], 1_022_500)[0], logs);
        assert_eq!(steps(&renewed, &["1000900"], 1_001_400 + 86_399)[0], logs);
        assert_eq!(steps(&renewed, &["1000900"], 1_001_400 + 86_400)[0], why);
        // Sound again, or records that were lost: manifests alone count.
        let sound = steps(&attempts, &[], 1_001_850);
        assert_eq!(sound[1], "prune: the last prune has failed there");
        assert_eq!(steps(&copied(), &[], 1_001_850), ["logs: every 15m: its time has come"]);
    }

    #[test]
    fn a_full_backup_whose_end_is_not_confirmed_is_taken_again_soon_and_then_once_a_day() {
        let (zone, job) = (TimeZone::UTC, job("full = 'monthly 31 02:30'\nlogs = 'every 15m'"));
        let mut world = World { sets: vec![set(1_000_000, SetKind::Full, 5)], ..World::default() };
        let is_due = |world: &World, now| {
            let due = world.due(&job, now, &zone);
            due.iter().any(|due| due.step == Step::Full && due.why.contains("has not confirmed"))
        };
        world.attempts.note(&unconfirmed(1_000_000));
        assert_eq!([1_000_299, 1_000_300].map(|now| is_due(&world, now)), [false, true]);
        world.attempts.note(&unconfirmed(1_000_300));
        let day = 1_000_300 + 86_400;
        assert_eq!([1_000_900, day - 1, day].map(|now| is_due(&world, now)), [false, false, true]);
        // Backups of logs go on meanwhile: the CA may know of the full one.
        assert_eq!(world.due(&job, 1_001_000, &zone)[0].step, Step::Logs);
        world.attempts.note(&record(Step::Full, Outcome::Good, day));
        assert!(!is_due(&world, day + 1_000));
        // Where the CA refuses to delete logs, each one ends that way.
        let mut refused = unconfirmed(day + 1_000);
        refused.result["kind"] = "copy".into();
        world.attempts.note(&refused);
        assert!(!is_due(&world, day + 2_000));
    }

    #[test]
    fn a_clock_that_was_wrong_once_stops_nothing() {
        let (zone, job) = (TimeZone::UTC, job(JOB));
        let mut world = World { sets: vec![set(1_000_000, SetKind::Full, 1)], ..World::default() }.copied();
        // A set, a proof and a rehearsal from a year ahead.
        let ahead = 1_000_000 + 365 * 86_400;
        world.sets.push(set(ahead, SetKind::Logs, 2));
        (world.verified, world.rehearsed) = (Some(ahead), Some(ahead));
        let steps: Vec<Step> = world.due(&job, 1_001_000, &zone).iter().map(|due| due.step).collect();
        assert_eq!(steps, [Step::Logs, Step::Verify, Step::Rehearse]);
    }

    #[test]
    fn a_step_that_failed_waits_until_its_time_or_the_next_slot() {
        let (zone, job) = (TimeZone::UTC, job("full = 'daily 02:00'\nverify = 'hourly'"));
        let mut world = World { sets: vec![set(1_000_000, SetKind::Full, 1)], ..World::default() }.copied();
        let fail = |world: &mut World, began| {
            world.attempts.note(&record(Step::Verify, Outcome::Failed, began));
        };
        let now = 1_001_100;
        assert_eq!(world.due(&job, now, &zone).len(), 1);
        for _ in 0..5 {
            fail(&mut world, now);
        }
        assert_eq!(world.due(&job, now + 300, &zone).len(), 0, "it waits 80 minutes");
        assert_eq!(world.due(&job, 1_004_400, &zone).len(), 1, "the next hour is a new chance");
        // What is remembered can be lost: then it is tried again.
        world.attempts = copied();
        assert_eq!(world.due(&job, now + 300, &zone).len(), 1);
    }

    #[test]
    fn a_copy_or_prune_that_failed_is_done_again_where_it_failed_whatever_went_well_elsewhere() {
        let text = "[ca]\nweb = { dir = '/a' }\n[job.j]\nca = 'web'\nto = ['v1:', 'v2:', 'v3:']\nkeep = { last = 1 }\nfull = 'monthly 1 02:30'";
        let config = Config::parse(text, "/etc/certadm/certadm.toml".as_ref()).unwrap();
        let job = config.job("j").unwrap();
        let mut world = World { sets: vec![set(1_000_000, SetKind::Full, 1)], ..World::default() };
        for (step, place, outcome) in [
            (Step::Copy, "v2:", Outcome::Failed),
            (Step::Copy, "v3:", Outcome::Good),
            (Step::Prune, "v1:", Outcome::Failed),
            (Step::Prune, "v2:", Outcome::Good),
            (Step::Prune, "v3:", Outcome::Good),
        ] {
            let place = place.to_owned();
            world.attempts.note(&StepRecord { place, ..record(step, outcome, 1_000_000) });
        }
        let steps = |now| -> Vec<_> {
            world.due(job, now, &TimeZone::UTC).iter().map(|due| (due.step, due.at)).collect()
        };
        assert_eq!(steps(1_000_299), []);
        assert_eq!(steps(1_000_300), [(Step::Copy, 1), (Step::Prune, 0)]);
        // A CA that cannot be backed up keeps no copy from being made.
        assert_eq!(steps(5_000_000), [(Step::Full, 0), (Step::Copy, 1), (Step::Prune, 0)]);
        // So is one that a run has not reached.
        world.attempts.owe(Step::Copy, "v3:", true);
        let owed = world.due(job, 1_000_000, &TimeZone::UTC);
        assert_eq!((owed[0].at, owed[0].why.as_str()), (2, "the last copy was not made there"));
    }

    /// A place that was added to `to` had nothing until the next full backup, for a month, and nobody was told.
    #[test]
    fn a_place_that_was_added_gets_its_copy_at_once() {
        let job = job("full = 'monthly 1 02:30'");
        let mut world = World { sets: vec![set(1_000_000, SetKind::Full, 1)], ..World::default() };
        let due = |world: &World, now| -> Vec<_> {
            let due = world.due(&job, now, &TimeZone::UTC).into_iter();
            due.map(|due| (due.step, due.at, due.why)).collect()
        };
        let expected = [(Step::Copy, 1, "no copy was made there yet".to_owned())];
        assert_eq!(due(&world, 1_000_100), expected);
        // One that fails is told, and waits.
        let place = "v2:".to_owned();
        world.attempts.note(&StepRecord { place, ..record(Step::Copy, Outcome::Failed, 1_000_100) });
        assert_eq!(due(&world, 1_000_200), []);
        assert_eq!(due(&world.copied(), 1_000_100), []);
        // There is nothing to copy.
        assert_eq!(due(&World::default(), 1_000_100).len(), 1);
    }

    /// A key that is in no list: each full backup of it counts for nothing, and the next one would as well.
    #[test]
    fn what_was_stored_in_vain_for_its_signature_is_tried_again_after_a_day() {
        let (zone, job) = (TimeZone::UTC, job("full = 'every 6h'\nlogs = 'every 15m'"));
        let full = set(1_000_000, SetKind::Full, 5);
        let held = |signed: &[HeldSet], unsigned: HeldSet| Held {
            unsigned: vec![(unsigned, "nobody".to_owned())],
            ..Held::new(signed, 1_001_000)
        };
        let steps = |held: &Held, attempts: &Attempts, now| -> Vec<Step> {
            let known = Known { held, rehearsed: None, attempts, now, zone: &zone, has_to_ask: false };
            due(&job, &known).into_iter().map(|due| due.step).collect()
        };
        // What was there when signatures were asked for, and a log set that holds what comes next.
        let before = held(&[], full.clone());
        assert_eq!(steps(&before, &copied(), 1_000_100), [Step::Full]);
        let logs = held(std::slice::from_ref(&full), set(1_000_050, SetKind::Logs, 6));
        assert_eq!(steps(&logs, &copied(), 1_000_100), [Step::Full]);
        // The one that was taken for it does not count, either.
        let mut vain = copied();
        let mut stored = record(Step::Full, Outcome::Good, 1_000_000);
        crate::stored::add_doubts(&mut stored, &Held::default(), &before);
        assert_eq!(stored.outcome, Outcome::Finding);
        vain.note(&stored);
        assert!(vain.holds_prune());
        assert_eq!(steps(&before, &vain, 1_000_100), []);
        assert_eq!(steps(&before, &vain, 1_000_000 + 6 * 3_600), [Step::Full], "by the schedule");
        assert_eq!(steps(&before, &Attempts::default(), 1_000_100), [Step::Full], "records that were lost");
        vain.note(&record(Step::Full, Outcome::Good, 1_030_000));
        assert!(!vain.holds_prune());
    }

    #[test]
    fn copies_and_a_prune_follow_a_backup() {
        let job = job(JOB);
        let steps = |step| after_backup(&job, step).iter().map(|due| (due.step, due.at)).collect::<Vec<_>>();
        assert_eq!(steps(Step::Full), [(Step::Copy, 1), (Step::Prune, 0), (Step::Prune, 1)]);
        assert_eq!(steps(Step::Logs), [(Step::Copy, 1)]);
    }
}
