//! What became of the steps of a job: the report of a run, and a small file a CA beside it. That file only says how long to
//! wait after a failure, what to tell people, which sets were found damaged, and what was proven where a vault keeps no note of it. Without it, more is done than
//! needed, and nothing less.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use certadm_files::durable;
use certadm_rules::Hresult;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::{Ca, Config, Job};
use crate::json_file::{read_json, write_json};
use crate::step::Step;
pub use crate::trouble::{OfSet, Trouble};

/// No file of attempts is longer than this, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// The first wait after a failure, in seconds; each further one is twice as long.
const FIRST_WAIT: i64 = 300;
/// The longest wait after a failure, in seconds.
const LONGEST_WAIT: i64 = 6 * 3_600;

/// A step that was stopped so often before it ended has failed: something stops it.
const MOST_STOPS: u32 = 3;

/// The fact that says what `complete` could not tell.
const UNTOLD: &str = "untold";

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Well.
    Good,
    /// Done, with something to look into.
    Finding,
    /// It failed.
    Failed,
    /// It was stopped by a signal.
    Interrupted,
}

/// A step that was carried out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepRecord {
    /// Which one.
    pub step: Step,
    /// The place of the job that it worked on, as the job names it.
    pub place: String,
    /// Why it was due.
    pub why: String,
    /// The command that did it, and that a person can repeat.
    pub command: String,
    /// When it began, in seconds since 1970.
    pub began: i64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How often it was tried.
    pub tries: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// The command's exit code.
    pub exit_code: i32,
    /// What is wrong: why it failed, or what it found.
    pub trouble: Vec<Trouble>,
    /// What the command said, as docs/json.md has it.
    pub result: Value,
}

impl StepRecord {
    /// What was done, for a person: the step, with its place where that matters.
    #[must_use]
    pub fn what(&self) -> String {
        self.step.at(&self.place)
    }

    /// Whether it is a backup of logs that failed for want of a full backup which the CA knows of, or of a log since that: only a full
    /// backup helps. The CA has deleted that log when a full backup broke off between the deletion and its end.
    #[must_use]
    pub fn lacks_full(&self) -> bool {
        let codes = [Hresult::MISSING_FULL_BACKUP, Hresult::MISSING_FILE_TO_BACKUP];
        let is_it = |trouble: &Trouble| codes.iter().any(|code| trouble.has_code(*code));
        self.step == Step::Logs && self.outcome == Outcome::Failed && self.trouble.iter().any(is_it)
    }

    /// Whether it is a full backup whose set is whole, and whose end the CA has not confirmed: log sets may not be able to follow. Where
    /// the CA has refused to delete its logs, the next one would end the same way.
    fn is_unconfirmed(&self) -> bool {
        self.step == Step::Full
            && self.result["kind"] == "full"
            && self.result["is_base"] == false
            && self.result["end_error"].is_string()
    }
}

/// What is remembered of the attempts at a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attempt {
    /// When it was tried last, in seconds since 1970.
    pub tried: Option<i64>,
    /// When it succeeded last.
    pub succeeded: Option<i64>,
    /// How often it has failed since.
    pub failures: u32,
    /// How it ended last.
    pub outcome: Option<Outcome>,
    /// What was wrong last.
    pub trouble: Vec<Trouble>,
    /// The command that was run last.
    pub command: String,
    /// The place that it was of last, as the job names it; empty where a program of before has noted it.
    pub place: String,
    /// A person has asked for it, whatever the job does.
    pub asked: bool,
    /// It is to be done, and was not done yet: what it follows has begun. A full backup is owed again when the CA has not confirmed the
    /// end of the last one.
    pub owed: bool,
    /// How often it was stopped since it ended last.
    pub stopped: u32,
    /// What is worth keeping of its result: a verdict, sizes, dates.
    pub facts: BTreeMap<String, Value>,
}

impl Attempt {
    /// Whether it has failed and is not to be tried again yet.
    #[must_use]
    pub fn waits(&self, now: i64) -> bool {
        // Whoever sets the clock back waits no longer.
        self.wait().is_some_and(|(tried, end)| (tried..end).contains(&now))
    }

    /// What `complete` could not tell of what the CA needs, and what to do about the first of it.
    pub(crate) fn untold(&self) -> (Vec<String>, Option<String>) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let untold: &[Value] = self.facts.get(UNTOLD).and_then(Value::as_array).map_or(&[], Vec::as_slice);
        let remedy = untold.iter().find_map(|component| text(&component["remedy"]));
        (untold.iter().filter_map(|component| text(&component["id"])).collect(), remedy)
    }

    /// It was stopped too often. It does not wait: nothing is wrong with the step itself.
    fn fail_for_stops(&mut self, record: &StepRecord) {
        self.place.clone_from(&record.place);
        self.command.clone_from(&record.command);
        self.outcome = Some(Outcome::Failed);
        self.trouble = vec![Trouble {
            id: "stopped".to_owned(),
            code: Hresult::E_ABORT.hex(),
            kind: "stopped".to_owned(),
            message: format!("it was stopped {MOST_STOPS} times before it ended"),
            remedy: Some(
                "see what stops it, such as `time-limit`, or a service that is stopped while it runs"
                    .to_owned(),
            ),
            set: OfSet::NoSet,
        }];
    }

    /// Since when and until when it waits after a failure.
    fn wait(&self) -> Option<(i64, i64)> {
        let tried = self.tried.filter(|_| 0 < self.failures)?;
        let wait = FIRST_WAIT.saturating_mul(1_i64 << (self.failures - 1).min(10));
        Some((tried, tried.saturating_add(wait.clamp(FIRST_WAIT, LONGEST_WAIT))))
    }
}

/// A state that was proven to come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The place that holds it, as the job names it.
    pub place: String,
    /// Its last set, by its id or its folder's name.
    pub set: String,
    /// When, in seconds since 1970.
    pub when: i64,
}

/// A set that was found damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// The place that holds it, as the job names it.
    pub place: String,
    /// The set, by its id or its folder's name.
    pub set: String,
    /// When that was found, in seconds since 1970.
    pub when: i64,
}

/// What is remembered of the steps of a job for a CA.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attempts {
    steps: BTreeMap<Step, Attempt>,
    /// Those that a job does at several places, by the place: a copy that has failed is not made good by one into another place.
    places: BTreeMap<String, BTreeMap<Step, Attempt>>,
    /// What was proven last. It counts where a place has no note of it: a server of restic's protocol keeps none.
    pub proven: Option<Proof>,
    /// Sets that were found damaged, until a verification finds them sound or they are gone.
    pub damaged: Vec<Damage>,
    /// The damage behind which a full backup was taken last, until a verification finds a newest state sound. If that finds damage again,
    /// it is nothing that a full backup cures, such as a database that is unsound at the CA.
    pub renewed: Option<Damage>,
    /// Why the file of all this could not be read. It is not written over: it may know of damage that nothing else tells.
    #[serde(skip)]
    unread: Option<Box<Trouble>>,
}

impl Attempts {
    /// Those of a CA. A file that is not there is empty. So are those of one that cannot be read, and [`Self::unread`] says so.
    #[must_use]
    pub fn read(config: &Config, job: &Job, ca: &Ca) -> Self {
        let path = file_of(config, job, ca);
        let mut attempts = match read_json::<Self>(&path, MAX_FILE) {
            Ok(attempts) => attempts.unwrap_or_default(),
            Err(error) => {
                let what = "what is known of the steps, and of sets that were found damaged, cannot be read";
                let remedy = format!(
                    "find out what is wrong with {}; if nobody can read it, move it away, and have everything read back: \
                     certadm run {} --ca {} --now verify",
                    path.display(),
                    job.name,
                    ca.name
                );
                let unread = Trouble::of_unread("records", what, &error, remedy);
                Self { unread: Some(Box::new(unread)), ..Self::default() }
            }
        };
        attempts.find_places(job);
        attempts.keep_what_is_done(config, job, ca);
        attempts
    }

    /// Forgets what the job does no more: nobody would do it again, and its failure would be told for ever.
    /// So is what it has done at a first place that it had before: a verdict, or a failure.
    fn keep_what_is_done(&mut self, config: &Config, job: &Job, ca: &Ca) {
        let places: Vec<String> = job.to.iter().map(ToString::to_string).collect();
        self.damaged.retain(|damage| places.contains(&damage.place));
        let first = places.first().cloned().unwrap_or_default();
        self.renewed = self.renewed.take().filter(|damage| damage.place == first);
        let is_here = |attempt: &Attempt| attempt.place.is_empty() || attempt.place == first;
        // The place does not matter to a CA that is asked.
        self.steps.retain(|step, attempt| *step == Step::Ask || is_here(attempt));
        self.steps.retain(|step, attempt| match step {
            Step::Logs | Step::Verify | Step::Complete | Step::Rehearse => {
                attempt.asked || job.schedule_of(*step).is_some()
            }
            Step::Ask => ca.has_to_be_asked(),
            Step::Look | Step::Full | Step::Copy | Step::Prune => true,
        });
        for (place, steps) in &mut self.places {
            let is_this = |at: &usize| job.to.get(*at).is_some_and(|target| target.to_string() == *place);
            steps.retain(|step, _| config.places_of(job, *step).iter().any(is_this));
        }
        self.places.retain(|_, steps| !steps.is_empty());
    }

    /// Programs of before knew no places: what they noted may be of any.
    fn find_places(&mut self, job: &Job) {
        for step in Step::ALL.into_iter().filter(|step| step.is_of_a_place()) {
            let Some(attempt) = self.steps.remove(&step) else { continue };
            for place in job.places_of(step).filter_map(|at| job.to.get(at)) {
                let here = self.places.entry(place.to_string()).or_default();
                here.entry(step).or_insert_with(|| attempt.clone());
            }
        }
    }

    /// Why their file could not be read, so that they are not all that is known. They are not to be written then.
    #[must_use]
    pub fn unread(&self) -> Option<&Trouble> {
        self.unread.as_deref()
    }

    /// Writes them.
    ///
    /// # Errors
    /// Those of the system.
    pub fn write(&self, config: &Config, job: &Job, ca: &Ca) -> certadm_files::Result<()> {
        let path = file_of(config, job, ca);
        durable::create_dir(path.parent().unwrap_or(Path::new(".")))?;
        write_json(&path, self)
    }

    /// The attempts at a step that a job does once.
    #[must_use]
    pub fn of(&self, step: Step) -> Attempt {
        debug_assert!(!step.is_of_a_place(), "{step} is asked for by its place");
        self.steps.get(&step).cloned().unwrap_or_default()
    }

    /// The attempts at a step at a place.
    #[must_use]
    pub fn at(&self, step: Step, place: &str) -> Attempt {
        match step.is_of_a_place() {
            true => self.places.get(place).and_then(|steps| steps.get(&step)).cloned().unwrap_or_default(),
            false => self.of(step),
        }
    }

    /// All steps that were tried, with their place where that matters.
    pub fn all(&self) -> impl Iterator<Item = (Step, &str, &Attempt)> {
        let places = self.places.iter().flat_map(|(place, steps)| {
            steps.iter().map(move |(step, attempt)| (*step, place.as_str(), attempt))
        });
        let mut all: Vec<_> =
            self.steps.iter().map(|(step, attempt)| (*step, "", attempt)).chain(places).collect();
        all.sort_by_key(|(step, ..)| *step);
        all.into_iter()
    }

    /// When the first wait after a failure ends that has not ended at `since`.
    #[must_use]
    pub fn wait_ends(&self, since: i64) -> Option<i64> {
        let waits = self.all().filter_map(|(.., attempt)| attempt.wait());
        waits.filter(|(tried, end)| (*tried..*end).contains(&since)).map(|(_, end)| end).min()
    }

    /// Forgets a step that is told only when it fails.
    pub fn forget(&mut self, step: Step) {
        self.steps.remove(&step);
    }

    /// Notes that a person has asked for what was done there.
    pub fn note_asked(&mut self, record: &StepRecord) {
        if let Some(attempt) = self.steps.get_mut(&record.step) {
            attempt.asked = true;
        }
    }

    /// Notes whether a step at a place is still to be done, so that a run that is stopped leaves it to the next one.
    pub fn owe(&mut self, step: Step, place: &str, owed: bool) {
        self.places.entry(place.to_owned()).or_default().entry(step).or_default().owed = owed;
    }

    /// Adds what became of a step.
    pub fn note(&mut self, record: &StepRecord) {
        let steps = match record.step.is_of_a_place() {
            true => self.places.entry(record.place.clone()).or_default(),
            false => &mut self.steps,
        };
        let attempt = steps.entry(record.step).or_default();
        if record.outcome == Outcome::Interrupted {
            attempt.stopped = attempt.stopped.saturating_add(1);
            if attempt.stopped == MOST_STOPS {
                attempt.fail_for_stops(record);
                return;
            }
            // What was stopped tells nothing: what was known before stays, and the alarm about it.
            if attempt.outcome.is_some() {
                return;
            }
        } else {
            attempt.stopped = 0;
        }
        attempt.asked = false;
        attempt.place.clone_from(&record.place);
        attempt.tried = Some(record.began);
        attempt.outcome = Some(record.outcome);
        attempt.trouble.clone_from(&record.trouble);
        attempt.command.clone_from(&record.command);
        match record.outcome {
            Outcome::Good | Outcome::Finding => {
                attempt.succeeded = Some(record.began);
                // It is done again as what has failed is, so that a CA that never confirms gets no backup each time.
                let is_again = attempt.owed && record.is_unconfirmed();
                attempt.owed = record.is_unconfirmed();
                attempt.failures = match (attempt.owed, is_again) {
                    (false, _) => 0,
                    (true, false) => 1,
                    (true, true) => attempt.failures.saturating_add(1),
                };
            }
            Outcome::Failed => attempt.failures = attempt.failures.saturating_add(1),
            Outcome::Interrupted => {}
        }
        // Who failed has nothing new to say of a CRL's end or of what is missing; a verdict that was reached is one.
        let is_done = matches!(record.outcome, Outcome::Good | Outcome::Finding);
        if is_done || record.result["verdict"].is_string() {
            let facts = ["verdict", "missing", "bytes", "seconds", "set", "ca"];
            let facts = facts.into_iter();
            let facts = facts.filter_map(|key| Some((key.to_owned(), record.result.get(key)?.clone())));
            let before = std::mem::replace(&mut attempt.facts, facts.collect());
            if record.step == Step::Ask {
                keep_said(&before, &mut attempt.facts);
            }
            let untold = untold(&record.result);
            if !untold.is_empty() {
                attempt.facts.insert(UNTOLD.to_owned(), untold.into());
            }
        }
        // The other backup has done what this one could not. Who tears the chain of logs may do so again.
        let is_torn = |logs: &Attempt| logs.trouble.iter().any(Trouble::is_torn);
        if record.step == Step::Full
            && attempt.failures == 0
            && !self.steps.get(&Step::Logs).is_some_and(is_torn)
        {
            self.steps.remove(&Step::Logs);
        }
    }
}

/// What a CA has said of itself before counts where it says nothing now.
fn keep_said(before: &BTreeMap<String, Value>, now: &mut BTreeMap<String, Value>) {
    let (Some(Value::Object(before)), Some(Value::Object(now))) = (before.get("ca"), now.get_mut("ca"))
    else {
        return;
    };
    for (key, said) in before {
        let unsaid = now.entry(key.clone()).or_insert(Value::Null);
        if unsaid.is_null() {
            unsaid.clone_from(said);
        }
    }
}

/// What a verdict of `complete` cannot tell of what the CA needs: each component with what to do about it.
fn untold(result: &Value) -> Vec<Value> {
    let components = result["components"].as_array().into_iter().flatten();
    let untold = components
        .filter(|component| component["needed"] == true && component["state"] == "cannot-tell")
        .map(|component| {
            let checks = component["checks"].as_array().into_iter().flatten();
            let open = checks.filter(|check| check["ok"].is_null()).find(|check| check["remedy"].is_string());
            json!({ "id": component["id"], "remedy": open.map(|check| &check["remedy"]) })
        });
    untold.collect()
}

fn file_of(config: &Config, job: &Job, ca: &Ca) -> PathBuf {
    config.state.join("attempts").join(job.name.as_str()).join(format!("{}.json", ca.name))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What became of a step that began then.
    pub(crate) fn record(step: Step, outcome: Outcome, began: i64) -> StepRecord {
        StepRecord {
            step,
            place: String::new(),
            why: String::new(),
            command: String::new(),
            began,
            seconds: 0.0,
            tries: 1,
            outcome,
            exit_code: 0,
            trouble: Vec::new(),
            result: Value::Null,
        }
    }

    /// A full backup whose end the CA has not confirmed.
    pub(crate) fn unconfirmed(began: i64) -> StepRecord {
        let result = json!({ "kind": "full", "is_base": false, "end_error": "the connection broke" });
        StepRecord { result, ..record(Step::Full, Outcome::Finding, began) }
    }

    #[test]
    fn what_a_program_of_before_has_noted_is_of_each_place() {
        let text = "[ca]\nweb = { dir = '/a' }\n[job.j]\nca = 'web'\nto = ['/b', 'v2:', 'v3:']\nfull = 'hourly'\nkeep = { last = 1 }";
        let config = Config::parse(text, "/etc/certadm/certadm.toml".as_ref()).unwrap();
        let before = r#"{"steps":{"copy":{"tried":9,"succeeded":null,"failures":2,"outcome":"failed","trouble":[],"command":"x","facts":{}},
            "full":{"tried":5,"succeeded":5,"failures":0,"outcome":"good","trouble":[],"command":"x","facts":{}}}}"#;
        let mut attempts: Attempts = serde_json::from_str(before).unwrap();
        attempts.find_places(config.job("j").unwrap());
        let failures = ["/b", "v2:", "v3:"].map(|place| attempts.at(Step::Copy, place).failures);
        assert_eq!((failures, attempts.of(Step::Full).succeeded), ([0, 2, 2], Some(5)));
        let copied = StepRecord { place: "v3:".to_owned(), ..record(Step::Copy, Outcome::Good, 10) };
        attempts.note(&copied);
        attempts.find_places(config.job("j").unwrap());
        let failures = ["v2:", "v3:"].map(|place| attempts.at(Step::Copy, place).failures);
        assert_eq!(failures, [2, 0]);
        let told: Vec<String> = attempts.all().map(|(step, place, _)| step.at(place)).collect();
        assert_eq!(told, ["full", "copy into v2:", "copy into v3:"]);
        let written = serde_json::to_vec(&attempts).unwrap();
        assert_eq!(serde_json::from_slice::<Attempts>(&written).unwrap(), attempts);
    }

    #[test]
    fn what_a_job_does_no_more_is_forgotten_unless_somebody_has_asked_for_it() {
        let of = |job: &str| {
            let text = format!(
                "[ca]\nweb = {{ server = 'a' }}\nhere = {{ dir = '/a' }}\n[job.j]\nca = 'all'\nfull = 'hourly'\n{job}"
            );
            Config::parse(&text, "/etc/certadm/certadm.toml".as_ref()).unwrap()
        };
        let all = "to = ['/b', 'v2:']\nkeep = { last = 1 }\nlogs = 'hourly'\nverify = 'hourly'\ncomplete = 'hourly'\nrehearse = 'hourly'";
        let mut attempts = Attempts::default();
        for step in Step::ALL.into_iter().chain([Step::Look]) {
            for place in ["/b", "v2:"] {
                // Of what is done once, the place is not known here.
                let place = if step.is_of_a_place() { place.to_owned() } else { String::new() };
                attempts.note(&StepRecord { place, ..record(step, Outcome::Failed, 1) });
            }
        }
        let kept = |attempts: &Attempts, job: &str, ca: &str| {
            let (config, mut attempts) = (of(job), attempts.clone());
            attempts.keep_what_is_done(&config, config.job("j").unwrap(), config.ca(ca).unwrap());
            let kept: Vec<String> = attempts.all().map(|(step, place, _)| step.at(place)).collect();
            kept.join(", ")
        };
        let told = "look, full, logs, prune of /b, prune of v2:, verify, complete, ask, rehearse";
        // The first place gets no copy. A vault that nobody knows is no reason to forget what has failed there.
        assert_eq!(kept(&attempts, all, "web"), told.replace("prune of /b", "copy into v2:, prune of /b"));
        let copied = "to = ['/b', 'v2:']";
        assert_eq!(kept(&attempts, copied, "web"), "look, full, copy into v2:, ask");
        assert_eq!(kept(&attempts, "to = ['/c']", "here"), "look, full");
        attempts.note_asked(&record(Step::Verify, Outcome::Failed, 1));
        assert_eq!(kept(&attempts, "to = ['/c']", "here"), "look, full, verify");
    }

    #[test]
    fn what_was_done_at_a_first_place_of_before_counts_no_more() {
        let mut attempts = Attempts::default();
        for (step, place) in
            [(Step::Full, "/b"), (Step::Complete, "/b"), (Step::Verify, "/c"), (Step::Ask, "/b")]
        {
            let place = place.to_owned();
            attempts.note(&StepRecord { place, ..record(step, Outcome::Finding, 1) });
        }
        let text = "[ca]\nweb = { server = 'a' }\n[job.j]\nca = 'web'\nto = ['/c', 'v2:']\nfull = 'hourly'\nverify = 'hourly'\ncomplete = 'hourly'";
        let config = Config::parse(text, "/etc/certadm/certadm.toml".as_ref()).unwrap();
        attempts.keep_what_is_done(&config, config.job("j").unwrap(), config.ca("web").unwrap());
        let kept: Vec<Step> = attempts.all().map(|(step, ..)| step).collect();
        assert_eq!(kept, [Step::Verify, Step::Ask]);
    }

    #[test]
    fn what_is_known_outlives_a_step_that_failed_or_was_stopped() {
        let mut attempts = Attempts::default();
        let known = serde_json::json!({ "verdict": "incomplete", "missing": ["key"], "ca": { "crl_next_update": "x" } });
        attempts.note(&StepRecord { result: known, ..record(Step::Complete, Outcome::Finding, 1) });
        let facts = attempts.of(Step::Complete).facts;
        assert_eq!(facts.len(), 3);
        let unreached = serde_json::json!({ "ca": { "crl_next_update": null } });
        for outcome in [Outcome::Failed, Outcome::Interrupted] {
            attempts.note(&StepRecord { result: unreached.clone(), ..record(Step::Complete, outcome, 2) });
            assert_eq!(attempts.of(Step::Complete).facts, facts, "{outcome:?}");
        }
        // The failure itself outlives what was stopped after it, too.
        let failed = attempts.of(Step::Complete);
        assert_eq!((failed.outcome, failed.failures, failed.tried), (Some(Outcome::Failed), 1, Some(2)));
        // Something is of another CA: that is a verdict.
        let verdict = serde_json::json!({ "verdict": "cannot-tell", "missing": [] });
        attempts.note(&StepRecord { result: verdict, ..record(Step::Complete, Outcome::Failed, 3) });
        assert_eq!(attempts.of(Step::Complete).facts["verdict"], "cannot-tell");
        attempts.note(&record(Step::Ask, Outcome::Interrupted, 4));
        assert_eq!(attempts.of(Step::Ask).outcome, Some(Outcome::Interrupted), "nothing else is known");
    }

    #[test]
    fn what_a_ca_has_said_of_itself_counts_until_it_says_something_else() {
        let mut attempts = Attempts::default();
        let mut said = |crl: Value, certificate: Value| {
            let result = json!({ "ca": { "crl_next_update": crl, "certificate_not_after": certificate } });
            attempts.note(&StepRecord { result, ..record(Step::Ask, Outcome::Good, 1) });
            let ca = attempts.of(Step::Ask).facts["ca"].clone();
            [ca["crl_next_update"].clone(), ca["certificate_not_after"].clone()]
        };
        assert_eq!(said("a".into(), Value::Null), ["a".into(), Value::Null]);
        assert_eq!(said(Value::Null, "b".into()), ["a", "b"]);
        assert_eq!(said("c".into(), Value::Null), ["c", "b"]);
    }

    #[test]
    fn a_step_that_is_stopped_again_and_again_has_failed() {
        let mut attempts = Attempts::default();
        let mut note = |outcome| {
            attempts.note(&record(Step::Full, outcome, 1));
            attempts.of(Step::Full).outcome
        };
        note(Outcome::Good);
        let (good, failed) = (Some(Outcome::Good), Some(Outcome::Failed));
        let stopped = [Outcome::Interrupted; 4].map(&mut note);
        assert_eq!(stopped, [good, good, failed, failed]);
        note(Outcome::Good);
        assert_eq!(note(Outcome::Interrupted), good);
        attempts.owe(Step::Copy, "v2:", true);
        let copied = |outcome| StepRecord { place: "v2:".to_owned(), ..record(Step::Copy, outcome, 1) };
        for (outcome, owed) in [(Outcome::Interrupted, true), (Outcome::Failed, true), (Outcome::Good, false)]
        {
            attempts.note(&copied(outcome));
            assert_eq!(attempts.at(Step::Copy, "v2:").owed, owed, "{outcome:?}");
        }
    }

    /// After a full backup that broke off between the deletion of logs and its end, no log backup went well until the next slot of a full
    /// one.
    #[test]
    fn a_log_that_the_ca_has_deleted_asks_for_a_full_backup_as_one_that_it_does_not_know_does() {
        let failed = |step, code: Hresult| {
            let trouble = vec![Trouble::of_code(code, "m".to_owned(), "r")];
            StepRecord { trouble, ..record(step, Outcome::Failed, 1) }.lacks_full()
        };
        for code in [Hresult::MISSING_FULL_BACKUP, Hresult::MISSING_FILE_TO_BACKUP] {
            assert!(failed(Step::Logs, code) && !failed(Step::Full, code), "{code}");
        }
        assert!(!failed(Step::Logs, Hresult::BACKUP_IN_PROGRESS));
    }

    #[test]
    fn after_each_failure_the_wait_is_longer_up_to_a_bound() {
        let failed = |failures| Attempt { tried: Some(1_000_000), failures, ..Attempt::default() };
        for (failures, wait) in
            [(1, 300), (2, 600), (5, 4_800), (8, 21_600), (70, 21_600), (u32::MAX, 21_600)]
        {
            assert!(failed(failures).waits(1_000_000 + wait - 1), "{failures}");
            assert!(!failed(failures).waits(1_000_000 + wait), "{failures}");
        }
        assert!(!failed(0).waits(1_000_000));
        assert!(!failed(3).waits(999_999), "a clock that was set back");
    }
}
