//! A run: the steps that are due for a CA, one after the other, each with what became of it.

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use certadm_files::cancel;
use certadm_rules::Hresult;
use certadm_rules::diagnosis::Class;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::command;
use crate::config::{Ca, Config, Job, Target};
use crate::damage;
use crate::evidence::rehearsed_at;
use crate::held::Held;
use crate::lock::CaLock;
use crate::names::{self, refuse_alike};
use crate::perform::{Perform, Performed};
use crate::place::{self, trouble};
use crate::plan::{Due, Known, after_backup, due, full_for};
use crate::points;
use crate::record::{Attempts, Outcome, Proof, StepRecord, Trouble};
use crate::step::Step;
use crate::stored::add_doubts;

/// No run has more steps than this: each kind a few times.
const MOST_STEPS: usize = 40;
/// How often a wait looks whether it is to end.
const GLANCE: Duration = Duration::from_millis(50);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// What is due.
    Due,
    /// One step, whether it is due or not, and what follows from it.
    Now(Step),
}

/// What happens during a run, for whoever watches.
#[derive(Debug)]
pub enum Event<'a> {
    /// A step begins.
    Begins {
        /// The job.
        job: &'a Job,
        /// The CA.
        ca: &'a Ca,
        /// The step, and why it is due.
        due: &'a Due,
    },
    /// A step has ended.
    Ended {
        /// The job.
        job: &'a Job,
        /// The CA.
        ca: &'a Ca,
        /// What became of it.
        record: &'a StepRecord,
    },
}

/// What became of a run for one CA.
#[derive(Clone, Debug, Serialize)]
pub struct CaRun {
    /// The job.
    pub job: String,
    /// The CA.
    pub ca: String,
    /// When it began, in seconds since 1970.
    pub began: i64,
    /// When it ended.
    pub ended: i64,
    /// The steps that were carried out; none where nothing was due.
    pub steps: Vec<StepRecord>,
    /// Another run works on this CA, and this one has left it alone.
    pub left_alone: bool,
    /// What went wrong beside the steps.
    pub trouble: Vec<Trouble>,
    /// What has to be remembered of the steps, and could not be written.
    #[serde(skip)]
    pub unwritten: Option<Attempts>,
}

impl CaRun {
    /// The steps that say how it ended: all but a backup of logs that lacked a full one, when that was taken then.
    pub fn counting(&self) -> impl Iterator<Item = &StepRecord> {
        let is_done = |step: &StepRecord| matches!(step.outcome, Outcome::Good | Outcome::Finding);
        let full = self.steps.iter().rposition(|step| step.step == Step::Full && is_done(step));
        let is_replaced =
            move |(at, step): (usize, &StepRecord)| step.lacks_full() && full.is_some_and(|full| at < full);
        self.steps.iter().enumerate().filter(move |pair| !is_replaced(*pair)).map(|(_, step)| step)
    }

    /// How it ended: as the worst of the steps that count.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let steps = self.counting().map(|step| step.outcome);
        let beside = self.trouble.iter().map(|_| Outcome::Finding);
        let rank = |outcome: &Outcome| match outcome {
            Outcome::Good => 0,
            Outcome::Finding => 1,
            Outcome::Failed => 2,
            Outcome::Interrupted => 3,
        };
        steps.chain(beside).max_by_key(rank).unwrap_or(Outcome::Good)
    }
}

/// The circumstances of runs.
pub struct Runner<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Who carries the steps out.
    pub perform: &'a dyn Perform,
    /// The clock: seconds since 1970.
    pub clock: &'a (dyn Fn() -> i64 + Sync),
    /// The zone of the schedules.
    pub zone: TimeZone,
    /// How many seconds to wait for another run that works on a CA.
    pub patience: u64,
    /// Hears of each step.
    pub watch: &'a (dyn Fn(&Event<'_>) + Sync),
}

/// The time by the clock that sets are dated by, in seconds since 1970.
#[must_use]
pub fn system_clock() -> i64 {
    certadm_store::now().unix_seconds()
}

impl Runner<'_> {
    /// Does for a CA what is wished. Nothing that goes wrong is an error of this: it stands in the result.
    #[must_use]
    pub fn run(&self, job: &Job, ca: &Ca, wish: Wish) -> CaRun {
        let began = (self.clock)();
        let mut run = CaRun {
            job: job.name.to_string(),
            ca: ca.name.to_string(),
            began,
            ended: began,
            steps: Vec::new(),
            left_alone: false,
            trouble: Vec::new(),
            unwritten: None,
        };
        match CaLock::wait(self.config, ca, self.patience) {
            Ok(Some(lock)) => self.locked(&mut run, (job, ca), wish, &lock),
            Ok(None) => run.left_alone = true,
            Err(error) => run.trouble.push(*place::Unseen::from(error).trouble),
        }
        run.ended = (self.clock)();
        run
    }

    fn locked(&self, run: &mut CaRun, (job, ca): (&Job, &Ca), wish: Wish, lock: &CaLock) {
        let mut attempts = Attempts::read(self.config, job, ca);
        // A backup is worth more than what is known of those before.
        run.trouble.extend(attempts.unread().cloned().into_iter().chain(names::unread(self.config, job, ca)));
        let mut stored = attempts.clone();
        let Some(first) = job.to.first() else { return };
        let (mut held, looked) = self.look(first, (job, ca), &attempts);
        if let Some(record) = looked {
            (self.watch)(&Event::Ended { job, ca, record: &record });
            attempts.note(&record);
            run.steps.push(record);
            held = None;
        } else if 0 < attempts.of(Step::Look).failures {
            attempts.forget(Step::Look);
        }
        let mut queue: VecDeque<Due> = match (&held, wish) {
            (None, _) => VecDeque::new(),
            (Some(held), Wish::Due) => self.due(job, ca, held, &attempts).into(),
            (Some(_), Wish::Now(step)) => self.asked(job, step).into(),
        };
        while let (Some(due), Some(sets)) = (queue.pop_front(), &held) {
            if MOST_STEPS <= run.steps.len() || cancel::requested().is_some() {
                break;
            }
            (self.watch)(&Event::Begins { job, ca, due: &due });
            let owing = self.owe_copies((job, ca), &due, &mut attempts, &mut stored);
            let mut record = match refuse_gone_copies((job, ca), &due, &attempts) {
                Ok(()) => self.carry_out(job, ca, &due, sets, lock),
                Err(unseen) => self.not_begun(job, &due, unseen),
            };
            let damaged = damaged_by(sets, &mut record, matches!(first, Target::Vault(_)));
            if record.outcome == Outcome::Failed {
                // There is nothing new to copy.
                owing.iter().for_each(|place| attempts.owe(Step::Copy, place, false));
            }
            let mut after = None;
            if is_stored(&record) {
                // What is noted for good comes once, with what this look finds.
                let mut noted = attempts.clone();
                noted.note(&record);
                after = self.look(first, (job, ca), &noted).0;
                after.iter().for_each(|after| add_doubts(&mut record, sets, after));
            }
            attempts.note(&record);
            (self.watch)(&Event::Ended { job, ca, record: &record });
            if wish == Wish::Now(record.step) {
                attempts.note_asked(&record);
            }
            run.steps.push(record);
            let known = (wish, damaged.as_slice(), after);
            let next = self.follow(run, &mut attempts, &mut held, (job, ca, first), known);
            put_first(&mut queue, next);
        }
        if let Some(held) = &held {
            attempts.keep_damage_of(&first.to_string(), held);
        }
        if let (Target::Vault(_), Some(held)) = (first, &held)
            && let Err(error) = points::note(self.config, job, ca, held)
        {
            run.trouble.push(*place::Unseen::from(error).trouble);
        }
        if attempts == stored {
            return;
        }
        if attempts.unread().is_some() {
            run.unwritten = Some(attempts);
        } else if let Err(error) = attempts.write(self.config, job, ca) {
            run.trouble.push(*place::Unseen::from(error).trouble);
            run.unwritten = Some(attempts);
        }
    }

    /// What follows at once from the step that was carried out last: notes, what the first place holds now, and the steps that are
    /// returned. Of a verification it is known what it has found damaged, of a backup what the place holds `after` it.
    fn follow(
        &self,
        run: &mut CaRun,
        attempts: &mut Attempts,
        held: &mut Option<Held>,
        (job, ca, first): (&Job, &Ca, &Target),
        (wish, damaged, after): (Wish, &[String], Option<Held>),
    ) -> Vec<Due> {
        let CaRun { steps, trouble, .. } = run;
        let (Some(record), Some(sets)) = (steps.last(), &*held) else { return Vec::new() };
        let is_done = matches!(record.outcome, Outcome::Good | Outcome::Finding);
        if record.step == Step::Full && is_done {
            attempts.note_renewed(&first.to_string(), sets, record.began);
        }
        match record.step {
            Step::Full | Step::Logs if is_done => {
                let step = record.step;
                *held = after;
                // What was stored does not continue what is there: only a full backup mends it.
                let after_logs = held.as_ref().filter(|_| step == Step::Logs);
                let full = after_logs.and_then(|held| full_instead(held, attempts, (self.clock)()));
                let after = after_backup(job, step).into_iter().filter(|due| self.may(job, due));
                // Before a verification has found the new base sound, an older set may be the only one that is.
                let waits = |due: &Due| due.step == Step::Prune && attempts.holds_prune();
                let (waiting, after): (Vec<Due>, Vec<Due>) = after.partition(waits);
                for place in waiting.iter().filter_map(|due| job.to.get(due.at)) {
                    attempts.owe(Step::Prune, &place.to_string(), true);
                }
                full.into_iter().chain(after).collect()
            }
            // Behind damage the wait of a full backup that has failed counts, and so does that of one whose end is not confirmed.
            Step::Logs
                if record.lacks_full()
                    && !((sets.has_doubtful_base() || attempts.of(Step::Full).owed)
                        && attempts.of(Step::Full).waits((self.clock)())) =>
            {
                let why =
                    "the CA has no full backup on record that log sets may follow, or deleted logs since"
                        .to_owned();
                vec![Due::first(Step::Full, why)]
            }
            Step::Verify | Step::Rehearse if is_done => {
                let unwritten = self.note_proven(attempts, (first, ca), sets, record);
                trouble.extend(unwritten);
                Vec::new()
            }
            Step::Verify if !damaged.is_empty() => {
                let (place, now) = (first.to_string(), (self.clock)());
                let is_scheduled = job.full.is_some() || job.logs.is_some();
                attempts.note_damage(&place, &sets.stored_state(), damaged, now);
                attempts.withdraw_proven(&place, sets, damaged, now);
                let kept = place::withdraw_proven(self.config, first, ca, damaged, now).err();
                trouble.extend(kept.map(|unseen| *unseen.trouble));
                // The next look finds an older proof, where there is one.
                let mut known = Held { proven: None, ..sets.clone() };
                known.recall(&place, attempts, now);
                let full = full_instead(&known, attempts, now).filter(|_| wish == Wish::Due && is_scheduled);
                *held = Some(known);
                full.into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    /// Notes before a backup that its copies are still to be made, and returns the places where that is new: the run may be stopped in
    /// between. `stored` is what the records have.
    fn owe_copies(
        &self,
        (job, ca): (&Job, &Ca),
        due: &Due,
        attempts: &mut Attempts,
        stored: &mut Attempts,
    ) -> Vec<String> {
        if !matches!(due.step, Step::Full | Step::Logs) {
            return Vec::new();
        }
        let places = self.config.places_of(job, Step::Copy).into_iter().filter_map(|at| job.to.get(at));
        let places = places.map(ToString::to_string).filter(|place| !attempts.at(Step::Copy, place).owed);
        let places: Vec<String> = places.collect();
        places.iter().for_each(|place| attempts.owe(Step::Copy, place, true));
        // Where it cannot be written, that is told at the end of the run.
        let is_to_write = !places.is_empty() && attempts.unread().is_none();
        if is_to_write && attempts.write(self.config, job, ca).is_ok() {
            stored.clone_from(attempts);
        }
        places
    }

    /// What the first place holds; a record where that cannot be told.
    fn look(
        &self,
        first: &Target,
        (job, ca): (&Job, &Ca),
        attempts: &Attempts,
    ) -> (Option<Held>, Option<StepRecord>) {
        let began = (self.clock)();
        let seen = refuse_alike(self.config, job, ca)
            .and_then(|()| place::look_again(self.config, first, (job, ca, attempts), began));
        match seen {
            Ok(mut held) => {
                held.recall(&first.to_string(), attempts, began);
                (Some(held), None)
            }
            Err(unseen) => {
                let why = format!("what {first} holds decides what is due");
                let due = Due { step: Step::Look, at: 0, why };
                let record = StepRecord { began, ..self.not_begun(job, &due, unseen) };
                (None, Some(record))
            }
        }
    }

    /// The record of a step that failed before its command was run.
    fn not_begun(&self, job: &Job, due: &Due, unseen: place::Unseen) -> StepRecord {
        let performed = Performed::failed(*unseen.trouble, unseen.class);
        StepRecord {
            step: due.step,
            place: job.to.get(due.at).map(ToString::to_string).unwrap_or_default(),
            why: due.why.clone(),
            command: String::new(),
            began: (self.clock)(),
            seconds: 0.0,
            tries: 1,
            outcome: performed.outcome,
            exit_code: performed.exit_code,
            trouble: performed.trouble,
            result: performed.result,
        }
    }

    fn due(&self, job: &Job, ca: &Ca, held: &Held, attempts: &Attempts) -> Vec<Due> {
        let now = (self.clock)();
        let rehearsed = job.rehearse.and_then(|_| rehearsed_at(job, ca, now));
        let has_to_ask = ca.has_to_be_asked();
        let known = Known { held, rehearsed, attempts, now, zone: &self.zone, has_to_ask };
        let mut due = due(job, &known);
        due.retain(|due| self.may(job, due));
        due
    }

    fn may(&self, job: &Job, due: &Due) -> bool {
        self.config.places_of(job, due.step).contains(&due.at)
    }

    fn asked(&self, job: &Job, step: Step) -> Vec<Due> {
        let places = self.config.places_of(job, step).into_iter();
        places.map(|at| Due { step, at, why: "it was asked for".to_owned() }).collect()
    }

    /// One step, tried again while what hinders it may pass.
    fn carry_out(&self, job: &Job, ca: &Ca, due: &Due, held: &Held, lock: &CaLock) -> StepRecord {
        let began = (self.clock)();
        let clock = Instant::now();
        let mut tries = 0;
        let mut waits = self.config.retry_after.iter();
        let (words, performed) = loop {
            tries += 1;
            let words = command::of(job, ca, (due.step, due.at), held, (self.clock)());
            let Some(words) = words else {
                let text = format!("there is nothing to {} yet: no state can be restored", due.step);
                let nothing =
                    trouble(Hresult::E_INVALIDARG, text, "take a full backup: certadm run JOB --now full");
                break (String::new(), Performed::failed(nothing, Class::Refused));
            };
            let mut performed = self.perform.perform(&words, lock);
            if due.step == Step::Ask && performed.outcome == Outcome::Finding {
                // What is too old is judged by the limits of the job.
                (performed.outcome, performed.exit_code, performed.trouble) = (Outcome::Good, 0, Vec::new());
            }
            match waits.next().filter(|_| performed.is_passing()) {
                Some(wait) if self.wait(*wait) => {}
                _ => break (words.to_string(), performed),
            }
        };
        StepRecord {
            step: due.step,
            place: job.to.get(due.at).map(ToString::to_string).unwrap_or_default(),
            why: due.why.clone(),
            command: words,
            began,
            seconds: clock.elapsed().as_secs_f64(),
            tries,
            outcome: performed.outcome,
            exit_code: performed.exit_code,
            trouble: performed.trouble,
            result: performed.result,
        }
    }

    /// Whether it has waited to the end.
    fn wait(&self, seconds: i64) -> bool {
        let end = Instant::now() + Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        while Instant::now() < end {
            if cancel::requested().is_some() {
                return false;
            }
            thread::sleep(GLANCE);
        }
        cancel::requested().is_none()
    }

    /// Notes that the newest state was proven, and returns what keeps it from being noted. Beside the sets of a folder no command does
    /// it, and not every vault keeps the notes that commands make.
    fn note_proven(
        &self,
        attempts: &mut Attempts,
        (first, ca): (&Target, &Ca),
        held: &Held,
        record: &StepRecord,
    ) -> Option<Trouble> {
        let (is_proven, state) = match record.step {
            Step::Verify => (record.result["restorable"] == true, held.stored_state()),
            _ => (true, held.newest_state()),
        };
        let last = state.last().filter(|_| is_proven)?;
        let (place, set, when) = (first.to_string(), last.id.clone(), (self.clock)());
        if record.step == Step::Verify {
            attempts.note_damage(&place, &state, &[], when);
        }
        attempts.proven = Some(Proof { place, set, when });
        let Target::Folder(folder) = first else { return None };
        let unwritten = place::note_proven(folder, ca, &last.id, when).err()?;
        Some(*place::Unseen::from(unwritten).trouble)
    }
}

/// Whether it is of a backup that was taken.
const fn is_stored(record: &StepRecord) -> bool {
    matches!(record.step, Step::Full | Step::Logs)
        && matches!(record.outcome, Outcome::Good | Outcome::Finding)
}

/// Refuses a copy into a folder that had copies, and in which that of the CA is gone: a disk may not be mounted.
fn refuse_gone_copies((job, ca): (&Job, &Ca), due: &Due, attempts: &Attempts) -> Result<(), place::Unseen> {
    let target = job.to.get(due.at).filter(|target| {
        due.step == Step::Copy && attempts.at(Step::Copy, &target.to_string()).succeeded.is_some()
    });
    target.map_or(Ok(()), |target| place::refuse_gone(target, ca, "copies were made in"))
}

/// The full backup that is due at once because no log set can follow.
fn full_instead(held: &Held, attempts: &Attempts, now: i64) -> Option<Due> {
    full_for(&held.base().err()?, attempts, now)
}

/// What a verification has found damaged. An alarm about it is that about the first of these sets.
fn damaged_by(held: &Held, record: &mut StepRecord, are_copies: bool) -> Vec<String> {
    // While a set cannot be read, nobody knows which one is the newest, and the others were not looked at.
    if record.step != Step::Verify || !held.unreadable.is_empty() && record.result.is_null() {
        return Vec::new();
    }
    let damaged = damage::found(&held.stored_state(), record, are_copies);
    if let (Some(set), Some(trouble)) = (damaged.first(), record.trouble.first_mut())
        && record.result.is_null()
    {
        trouble.id = format!("{}:{set}", trouble.id);
    }
    damaged
}

/// Puts steps before those that wait. What waits already, because it has failed before, is not done twice.
fn put_first(queue: &mut VecDeque<Due>, next: Vec<Due>) {
    queue.retain(|due| next.iter().all(|first| (first.step, first.at) != (due.step, due.at)));
    next.into_iter().rev().for_each(|due| queue.push_front(due));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends each command so, and makes the folder of the CA's sets or does not.
    struct Ends(Outcome, Option<std::path::PathBuf>);

    impl Perform for Ends {
        fn perform(&self, _: &command::Words, _: &CaLock) -> Performed {
            self.1.iter().for_each(|folder| std::fs::create_dir_all(folder).unwrap());
            Performed { outcome: self.0, exit_code: 0, trouble: Vec::new(), result: serde_json::Value::Null }
        }
    }

    fn run(config: &Config, perform: &Ends) -> Vec<(Step, Outcome)> {
        let (zone, clock) = (TimeZone::UTC, || 1_000_000);
        let runner = Runner { config, perform, clock: &clock, zone, patience: 0, watch: &|_| {} };
        let run = runner.run(config.job("j").unwrap(), config.ca("web").unwrap(), Wish::Now(Step::Full));
        run.steps.iter().map(|step| (step.step, step.outcome)).collect()
    }

    const TEXT: &str = "state = 'state'\n[ca]\nweb = { dir = '/a' }\n[job.j]\nca = 'web'\nto = ['sets', 'v2:']\nfull = 'hourly'";

    fn config(folder: &std::path::Path) -> Config {
        std::fs::create_dir(folder.join("sets")).unwrap();
        Config::parse(TEXT, &folder.join("certadm.toml")).unwrap()
    }

    #[test]
    fn a_run_that_is_stopped_leaves_the_copy_to_the_next_one() {
        let dir = certadm_files::scratch::for_test();
        let config = config(dir.path());
        for (outcome, owed) in
            [(Outcome::Failed, false), (Outcome::Interrupted, true), (Outcome::Failed, true)]
        {
            assert_eq!(run(&config, &Ends(outcome, None)), [(Step::Full, outcome)]);
            let attempts = Attempts::read(&config, config.job("j").unwrap(), config.ca("web").unwrap());
            assert_eq!(attempts.at(Step::Copy, "v2:").owed, owed, "{outcome:?}");
        }
    }

    #[test]
    fn a_folder_of_sets_that_is_gone_is_no_empty_one() {
        let dir = certadm_files::scratch::for_test();
        let config = config(dir.path());
        let sets = dir.path().join("sets/web");
        let made = Ends(Outcome::Good, Some(sets.clone()));
        // There is nothing to copy.
        let good = [(Step::Full, Outcome::Good), (Step::Copy, Outcome::Failed)];
        assert_eq!(run(&config, &made), good);
        std::fs::remove_dir(&sets).unwrap();
        assert_eq!(run(&config, &made), [(Step::Look, Outcome::Failed)]);
        assert!(!sets.exists());
        let job = config.job("j").unwrap();
        let status =
            crate::stand::of(&config, (job, config.ca("web").unwrap()), None, 1_000_000, &TimeZone::UTC);
        assert!(status.trouble[0].remedy.as_ref().unwrap().contains("make the folder by hand"), "{status:?}");
        // Another place has had none.
        std::fs::create_dir(dir.path().join("new")).unwrap();
        let text = TEXT.replace("'sets'", "'new'");
        let moved = Config::parse(&text, &dir.path().join("certadm.toml")).unwrap();
        let made_there = Ends(Outcome::Good, Some(dir.path().join("new/web")));
        assert_eq!(run(&moved, &made_there), good);
        // By hand.
        std::fs::create_dir(&sets).unwrap();
        assert_eq!(run(&config, &made), good);
    }

    /// Ends a backup of logs with a code, and a full one so.
    struct Lacks(Hresult, StepRecord);

    impl Perform for Lacks {
        fn perform(&self, words: &command::Words, _: &CaLock) -> Performed {
            let (trouble, outcome) = match words.to_string().contains("--type logs") {
                true => (vec![trouble(self.0, "m".to_owned(), "r")], Outcome::Failed),
                false => (Vec::new(), self.1.outcome),
            };
            Performed { outcome, exit_code: 0, trouble, result: self.1.result.clone() }
        }
    }

    #[test]
    fn when_a_log_is_gone_at_the_ca_the_run_takes_a_full_backup_and_not_each_time_where_none_is_confirmed() {
        let dir = certadm_files::scratch::for_test();
        config(dir.path());
        std::fs::create_dir(dir.path().join("sets/web")).unwrap();
        let text = TEXT.replace("'sets', 'v2:'", "'sets'") + "\nlogs = 'hourly'";
        let config = Config::parse(&text, &dir.path().join("certadm.toml")).unwrap();
        let run = |perform: &Lacks, now: i64| -> Vec<Step> {
            let (zone, clock) = (TimeZone::UTC, || now);
            let runner =
                Runner { config: &config, perform, clock: &clock, zone, patience: 0, watch: &|_| {} };
            let run = runner.run(config.job("j").unwrap(), config.ca("web").unwrap(), Wish::Now(Step::Logs));
            run.steps.iter().map(|step| step.step).collect()
        };
        let (both, logs) = (vec![Step::Logs, Step::Full], vec![Step::Logs]);
        let good = crate::record::tests::record(Step::Full, Outcome::Good, 1_000_000);
        for code in [Hresult::MISSING_FULL_BACKUP, Hresult::MISSING_FILE_TO_BACKUP] {
            assert_eq!(run(&Lacks(code, good.clone()), 1_000_000), both, "{code}");
        }
        assert_eq!(run(&Lacks(Hresult::E_ACCESSDENIED, good), 1_000_000), logs);
        let never = Lacks(Hresult::MISSING_FILE_TO_BACKUP, crate::record::tests::unconfirmed(1_000_000));
        let steps = [1_000_000, 1_000_299, 1_000_300, 1_000_899].map(|now| run(&never, now));
        assert_eq!(steps, [both.clone(), logs.clone(), both, logs]);
    }

    /// Every record that could not be read was an empty one, which the run then wrote over it.
    #[test]
    fn records_that_cannot_be_read_are_told_and_not_written_over_and_the_backup_is_taken() {
        let dir = certadm_files::scratch::for_test();
        let config = config(dir.path());
        let (job, ca) = (config.job("j").unwrap(), config.ca("web").unwrap());
        let made = Ends(Outcome::Good, Some(dir.path().join("sets/web")));
        run(&config, &made);
        let file = dir.path().join("state/attempts/j/web.json");
        std::fs::write(&file, "{").unwrap();
        let (zone, clock) = (TimeZone::UTC, || 1_000_000);
        let runner =
            Runner { config: &config, perform: &made, clock: &clock, zone, patience: 0, watch: &|_| {} };
        let run = runner.run(job, ca, Wish::Now(Step::Full));
        assert_eq!((run.steps[0].step, run.steps[0].outcome), (Step::Full, Outcome::Good));
        assert_eq!(run.trouble.iter().map(|trouble| trouble.id.as_str()).collect::<Vec<_>>(), ["records"]);
        assert_eq!(std::fs::read(&file).unwrap(), b"{");
        // What the run knows counts for its judgement, and so does that it knows no more.
        let status = crate::stand::of(&config, (job, ca), run.unwritten.clone(), 1_000_000, &TimeZone::UTC);
        assert_eq!(status.alarms.iter().filter(|alarm| alarm.id == "records").count(), 1, "{status:?}");
        assert!(run.unwritten.is_some_and(|attempts| attempts.of(Step::Full).succeeded.is_some()));
    }

    #[test]
    fn a_copy_that_follows_a_backup_is_made_once_although_it_had_failed_before() {
        let due = |step, at| Due { step, at, why: String::new() };
        let mut queue = VecDeque::from([due(Step::Copy, 2), due(Step::Prune, 0), due(Step::Verify, 0)]);
        put_first(&mut queue, vec![due(Step::Copy, 1), due(Step::Copy, 2)]);
        let steps: Vec<_> = queue.iter().map(|due| (due.step, due.at)).collect();
        assert_eq!(steps, [(Step::Copy, 1), (Step::Copy, 2), (Step::Prune, 0), (Step::Verify, 0)]);
    }
}
