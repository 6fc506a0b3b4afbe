//! `certadm run`: what is due for the CAs of a job, or one step of it (docs/jobs.md).

use std::collections::BTreeMap;
use std::slice;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use certadm_files::cancel;
use certadm_jobs::notify::Teller;
use certadm_jobs::perform::Program;
use certadm_jobs::place::moment;
use certadm_jobs::record::{Outcome, StepRecord, Trouble};
use certadm_jobs::run::system_clock;
use certadm_jobs::{Ca, CaRun, Config, Event, Job, Name, Runner, Step, Wish, span};
use certadm_rules::printable::printable;
use certadm_rules::words::counted;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::interrupt;
use crate::output::{Done, Output};
use crate::terminal::Tone;
use crate::verbs::protected::{self, pairs};

/// `certadm run`
#[derive(Debug, Args)]
#[command(after_help = "Example: certadm run nightly\n\
    Example: certadm run --all\n\
    Example: certadm run nightly --ca web --now full\n\
    What is due follows from what the job's first place holds; docs/jobs.md tells more.")]
pub(crate) struct RunArgs {
    /// The job of certadm.toml
    #[arg(value_name = "JOB", required_unless_present = "all")]
    job: Option<String>,
    /// All jobs
    #[arg(long, conflicts_with = "job")]
    all: bool,
    /// Only this CA
    #[arg(long, value_name = "NAME")]
    ca: Option<String>,
    /// Do this step whether it is due or not, and nothing else that is due; after a backup copies are made, and after a full one sets
    /// that no rule keeps are deleted
    #[arg(long, value_enum, value_name = "STEP")]
    now: Option<StepArg>,
    /// How long to wait for another run that works on a CA, such as 10m [default: leave that CA alone]
    #[arg(long, value_name = "TIME", value_parser = span)]
    wait: Option<i64>,
    /// End as refused where another run works on a CA: the agent says so, and comes again soon
    #[arg(long, hide = true)]
    busy_fails: bool,
}

/// A step that can be asked for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum StepArg {
    /// A full backup
    Full,
    /// A backup of logs
    Logs,
    /// Copies into the further places
    Copy,
    /// Delete the sets that no rule keeps
    Prune,
    /// Read the newest state back, and check its database
    Verify,
    /// Judge whether everything is there that the CA needs
    Complete,
    /// Ask a CA that is not in a folder of this machine for the ends of its CRL and its certificate
    Ask,
    /// Restore into a scratch folder
    Rehearse,
}

impl From<StepArg> for Step {
    fn from(step: StepArg) -> Self {
        match step {
            StepArg::Full => Self::Full,
            StepArg::Logs => Self::Logs,
            StepArg::Copy => Self::Copy,
            StepArg::Prune => Self::Prune,
            StepArg::Verify => Self::Verify,
            StepArg::Complete => Self::Complete,
            StepArg::Ask => Self::Ask,
            StepArg::Rehearse => Self::Rehearse,
        }
    }
}

pub(crate) fn run(args: &RunArgs, output: Output) -> Result<Done, Failure> {
    let config = Config::load()?;
    let jobs: Vec<&Job> = match &args.job {
        Some(name) => vec![config.job(name)?],
        None => config.jobs.values().collect(),
    };
    let wanted = args.ca.as_deref().map(|name| config.ca(name)).transpose()?;
    let jobs = match args.now.map(Step::from) {
        Some(step) => that_do(&config, jobs, step)?,
        None => jobs,
    };
    let work: Vec<(&Job, &Ca)> = pairs(&config, &jobs)
        .into_iter()
        .filter(|(_, ca)| wanted.is_none_or(|wanted| wanted.name == ca.name))
        .collect();
    if work.is_empty() {
        return Err(protected::none_meant());
    }
    let work = match args.now {
        Some(StepArg::Ask) => to_be_asked(work)?,
        _ => work,
    };
    interrupt::watch();
    let wish = args.now.map_or(Wish::Due, |step| Wish::Now(step.into()));
    let patience = u64::try_from(args.wait.unwrap_or_default()).unwrap_or_default();
    let runs = carry_out(&config, &work, (wish, patience), output)?;
    for run in runs.iter().filter(|run| run.left_alone) {
        let text = format!("{}: another run works on it, and this one has left it alone.", run.ca);
        if args.busy_fails { output.result(text) } else { output.line(text) }
    }
    cancel::check()?;
    let now = system_clock();
    let mut teller = Teller::of_run(&config);
    let mut is_remembered = true;
    let stand = protected::stand(&config, &work, &runs, now, |status| {
        is_remembered &= protected::tell(&mut teller, slice::from_ref(status), now, output);
    })?;
    let done = runs.iter().filter(|run| !run.steps.is_empty()).count();
    // Of one that was left alone, or could not be begun, nobody knows.
    let idle =
        runs.iter().filter(|run| run.steps.is_empty() && !run.left_alone && run.trouble.is_empty()).count();
    if done == 0 {
        if 0 < idle {
            output.line(format!("Nothing is due for {}.", counted(idle as u64, "CA")));
        }
    } else {
        protected::say_not_told(&teller.ping(&stand), output);
    }
    let busy = runs.iter().any(|run| run.left_alone && args.busy_fails).then_some(Exit::Refused);
    let beside = (!is_remembered).then_some(Exit::Finding);
    let exit = runs.iter().map(exit_of).chain(busy).chain(beside);
    let exit = exit.max_by_key(|exit| *exit as u8).unwrap_or(Exit::Good);
    Ok(Done { exit, result: json!({ "runs": runs.iter().map(to_json).collect::<Vec<_>>() }) })
}

/// Those of the jobs that do a step: one that has nowhere to do it cannot be asked for it.
fn that_do<'a>(config: &Config, jobs: Vec<&'a Job>, step: Step) -> Result<Vec<&'a Job>, Failure> {
    let Some(job) = jobs.first().copied() else { return Ok(jobs) };
    let able: Vec<&Job> = jobs.into_iter().filter(|job| !config.places_of(job, step).is_empty()).collect();
    if !able.is_empty() {
        return Ok(able);
    }
    let name = &job.name;
    Err(match step {
        Step::Prune if job.keep.is_none() => Failure::usage(
            format!("the job {name} prunes nothing: it has no `keep`"),
            "say in `keep` of the job which sets stay (certadm.toml(5))",
        ),
        Step::Prune => Failure::usage(
            format!("this machine may delete from no place of the job {name}"),
            "prune on a machine whose vaults do not say maintenance = false (certadm config check)",
        ),
        _ => Failure::usage(
            format!("the job {name} makes no copies: it has one place"),
            "name further places in `to` of the job, vaults or folders (certadm.toml(5))",
        ),
    })
}

/// Those of the CAs that have to be asked. What a CA in a folder says of itself is read there at each look.
fn to_be_asked<'a>(work: Vec<(&'a Job, &'a Ca)>) -> Result<Vec<(&'a Job, &'a Ca)>, Failure> {
    let asked: Vec<_> = work.into_iter().filter(|(_, ca)| ca.has_to_be_asked()).collect();
    if asked.is_empty() {
        return Err(Failure::usage(
            "no CA has to be asked: a folder of this machine tells the ends of CRL and certificate",
            "read them by certadm status",
        ));
    }
    Ok(asked)
}

/// Works on several CAs at once, as many as the configuration allows. The jobs of a CA follow each other: at the same time one would
/// leave it alone.
fn carry_out(
    config: &Config,
    work: &[(&Job, &Ca)],
    (wish, patience): (Wish, u64),
    output: Output,
) -> Result<Vec<CaRun>, Failure> {
    let program = crate::program::own()?;
    let perform = Program::new(program, config);
    let runner = Runner {
        config,
        perform: &perform,
        clock: &system_clock,
        zone: certadm_jobs::local_zone(),
        patience,
        watch: &|event| tell(event, output),
    };
    let mut cas: BTreeMap<&Name, Vec<usize>> = BTreeMap::new();
    for (at, (_, ca)) in work.iter().enumerate() {
        cas.entry(&ca.name).or_default().push(at);
    }
    let (waiting, runs) = (Mutex::new(cas.into_values()), Mutex::new(Vec::new()));
    // The lock is let go here, and not held while the CA is worked on.
    let next = || held(&waiting).next();
    thread::scope(|scope| {
        for _ in 0..config.at_once.min(work.len()) {
            scope.spawn(|| {
                while let Some(of_ca) = next() {
                    for at in of_ca.into_iter().take_while(|_| cancel::requested().is_none()) {
                        let run = work.get(at).map(|(job, ca)| runner.run(job, ca, wish));
                        held(&runs).extend(run.map(|run| (at, run)));
                    }
                }
            });
        }
    });
    let mut runs = runs.into_inner().unwrap_or_else(PoisonError::into_inner);
    runs.sort_by_key(|(at, _)| *at);
    for run in runs.iter().map(|(_, run)| run) {
        for trouble in &run.trouble {
            output.toned(
                "",
                "warning",
                Some(Tone::Warn),
                &format!(": {}: {}", run.ca, printable(&trouble.message)),
            );
        }
    }
    Ok(runs.into_iter().map(|(_, run)| run).collect())
}

/// What is behind a lock that no panic leaves half changed.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells a person what happens.
fn tell(event: &Event<'_>, output: Output) {
    match event {
        Event::Begins { job, ca, due } => {
            let place = job.to.get(due.at).map(ToString::to_string).unwrap_or_default();
            output.line(format!("{}: {} ({}).", ca.name, due.step.at(&place), due.why));
        }
        Event::Ended { ca, record, .. } => {
            let (word, tone) = word_of(record.outcome);
            let of_set = record.result["set"].as_str().map(|set| format!(", {set}")).unwrap_or_default();
            output.toned(
                &format!("{}: {} ", ca.name, record.what()),
                word,
                Some(tone),
                &format!(" in {:.1} s{of_set}", record.seconds),
            );
            for (at, trouble) in record.trouble.iter().enumerate() {
                let is_told =
                    |told: &Trouble| (&told.message, &told.remedy) == (&trouble.message, &trouble.remedy);
                if record.trouble[..at].iter().any(is_told) {
                    continue;
                }
                let code =
                    if trouble.code.is_empty() { String::new() } else { format!(" [{}]", trouble.code) };
                output.result(format!("  {}{code}", trouble.message));
                if let Some(remedy) = &trouble.remedy {
                    output.result(format!("  what to do: {remedy}"));
                }
            }
            if record.outcome == Outcome::Failed && !record.command.is_empty() {
                output.result(format!("  by hand: {}", record.command));
            }
        }
    }
}

/// How a step ended, for a person.
pub(crate) const fn word_of(outcome: Outcome) -> (&'static str, Tone) {
    match outcome {
        Outcome::Good => ("good", Tone::Good),
        Outcome::Finding => ("with findings", Tone::Warn),
        Outcome::Failed => ("FAILED", Tone::Bad),
        Outcome::Interrupted => ("interrupted", Tone::Warn),
    }
}

/// The exit code of a run: that of the worst step that counts.
fn exit_of(run: &CaRun) -> Exit {
    let of_step = |step: &StepRecord| match step.exit_code {
        0 => Exit::Good,
        1 => Exit::Finding,
        2 => Exit::Usage,
        3 => Exit::Refused,
        4 => Exit::Unreachable,
        5 => Exit::Damaged,
        130 => Exit::Interrupted,
        143 => Exit::Terminated,
        _ => Exit::Internal,
    };
    let beside = if run.trouble.is_empty() { Exit::Good } else { Exit::Finding };
    run.counting().map(of_step).chain([beside]).max_by_key(|exit| *exit as u8).unwrap_or(Exit::Good)
}

/// A run as docs/json.md has it.
pub(crate) fn to_json(run: &CaRun) -> Value {
    let mut value = json!(run);
    for key in ["began", "ended"] {
        value[key] = json!(value[key].as_i64().map(moment));
    }
    for step in value["steps"].as_array_mut().into_iter().flatten() {
        step["began"] = json!(step["began"].as_i64().map(moment));
    }
    value["outcome"] = json!(run.outcome());
    value
}
