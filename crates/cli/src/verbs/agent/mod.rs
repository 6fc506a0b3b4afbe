//! `certadm agent`: the jobs by their own schedule, as a service. Each CA is worked on in a process of its own, so that the
//! agent outlives whatever happens there.

#[cfg(windows)]
mod install;
mod judging;
mod manager;
#[cfg(not(feature = "object-store"))]
#[path = "no_page.rs"]
mod page;
#[cfg(feature = "object-store")]
mod page;
#[cfg(windows)]
mod service;
mod trouble;

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use certadm_files::cancel;
use certadm_jobs::agent::{Agenda, Pair, attempts_of};
use certadm_jobs::place::moment;
use certadm_jobs::run::system_clock;
use certadm_jobs::{Config, children, config, local_zone, lock};
use certadm_rules::Hresult;
use certadm_rules::diagnosis::chain_of;
use clap::Args;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::interrupt;
use crate::output::{Done, Output};
use manager::{State, notify};
use page::Page;
use trouble::{RETRY, warn};

/// How often the agent looks whether something is due or has ended.
const GLANCE: Duration = Duration::from_millis(250);
/// How long a run that takes too long has to stop in order.
const TO_STOP: Duration = Duration::from_secs(300);
/// The page and the figures, in the folder of records.
const PAGE: &str = "status.html";
const FIGURES: &str = "metrics.prom";

/// `certadm agent`
#[derive(Debug, Args)]
#[cfg_attr(
    unix,
    command(after_help = "Example: certadm agent\n\
    As a service: systemctl enable --now certadm-agent")
)]
#[cfg_attr(
    windows,
    command(
        args_conflicts_with_subcommands = true,
        after_help = "Example: certadm agent\n\
    As a service: certadm agent install"
    )
)]
pub(crate) struct AgentArgs {
    #[cfg(windows)]
    #[command(subcommand)]
    command: Option<install::AgentCommand>,
    /// Work as a service: the service manager has started this process. `certadm agent install` says so
    #[cfg(windows)]
    #[arg(long)]
    service: bool,
    /// The configuration, in the place of the file that is found
    #[cfg(windows)]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Show a page (/), figures for Prometheus (/metrics) and whether the agent lives (/healthz) at this address, such as
    /// 127.0.0.1:9464, in the place of that of certadm.toml. Others than this machine can be answered only by TLS and with
    /// a token, which the section agent of certadm.toml names
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

/// A run that is at work.
struct Running {
    pair: Pair,
    at_work: AtWork,
}

/// A process that is at work.
struct AtWork {
    child: Child,
    began: Instant,
    /// When it was asked to stop because it took too long.
    stopped: Option<Instant>,
}

impl AtWork {
    fn new(child: Child) -> Self {
        Self { child, began: Instant::now(), stopped: None }
    }

    /// Stops it when it takes longer than `limit`: first in order. Whether it is asked to now.
    fn limit(&mut self, limit: Duration) -> bool {
        match self.stopped {
            None if limit < self.began.elapsed() => {
                self.stopped = Some(Instant::now());
                children::ask_to_stop(&mut self.child);
                return true;
            }
            Some(stopped) if TO_STOP < stopped.elapsed() => children::kill(&mut self.child),
            _ => {}
        }
        false
    }

    /// Whether not even a kill has ended it.
    fn is_stuck(&self) -> bool {
        self.stopped.is_some_and(|stopped| 2 * TO_STOP < stopped.elapsed())
    }
}

impl AgentArgs {
    /// Its name, as JSON has it.
    pub(crate) const fn name(&self) -> &'static str {
        #[cfg(windows)]
        if let Some(command) = &self.command {
            return command.name();
        }
        "agent"
    }

    fn config(&self) -> Result<Config, Failure> {
        #[cfg(windows)]
        if let Some(path) = &self.config {
            return Ok(Config::from_file(path)?);
        }
        Ok(Config::load()?)
    }
}

#[cfg(unix)]
pub(crate) fn run(args: AgentArgs, output: Output) -> Result<Done, Failure> {
    work(&args, output)
}

#[cfg(windows)]
pub(crate) fn run(args: AgentArgs, output: Output) -> Result<Done, Failure> {
    match &args.command {
        Some(command) => install::run(command, output),
        None if args.service => service::run(Box::new(move || work(&args, output))),
        None => work(&args, output),
    }
}

fn work(args: &AgentArgs, output: Output) -> Result<Done, Failure> {
    let config = args.config()?;
    let lock = match lock::of_agent(&config.state, lock::PROBES) {
        Ok(None) => return Err(another(&config)),
        Ok(lock) => lock,
        // Who is told of alarms has to hear of it, and it may pass.
        Err(error) => {
            warn(
                output,
                &format!("no run begins, because the records cannot be written: {}", chain_of(&error)),
            );
            None
        }
    };
    interrupt::watch();
    let mut agent = Agent::new(config, lock, output)?;
    let mut page = page(args, &agent)?;
    notify(State::Ready);
    output.line(format!("The agent works by {}.", agent.config.path.display()));
    let mut is_another = false;
    while cancel::requested().is_none() && !is_another {
        agent.alive.store(system_clock(), Ordering::Relaxed);
        is_another = !agent.step(&mut page);
        notify(State::Watchdog);
        thread::sleep(GLANCE);
    }
    notify(State::Stopping);
    agent.stop();
    if is_another {
        return Err(another(&agent.config));
    }
    // What stays is read by nobody, and written over at the next start.
    agent.config.let_go().ok();
    output.line("The agent has stopped.");
    // It was asked to stop, and did.
    Ok(Done { exit: Exit::Good, result: json!({ "runs": agent.runs, "failed": agent.failed }) })
}

fn another(config: &Config) -> Failure {
    Failure {
        message: format!("another agent works with {}", config.state.display()),
        code: Hresult::ERROR_SERVICE_ALREADY_RUNNING,
        remedy: "stop that one, or leave it: one agent does all jobs".to_owned(),
        exit: Exit::Refused,
        done: None,
        set: None,
    }
}

/// The page of an agent, where one is wished.
#[cfg(feature = "object-store")]
fn page(args: &AgentArgs, agent: &Agent) -> Result<Page, Failure> {
    let shown = certadm_jobs::serve::Shown {
        page: agent.config.state.join(PAGE),
        figures: agent.config.state.join(FIGURES),
        alive: Arc::clone(&agent.alive),
        is_unjudged: Arc::clone(&agent.is_unjudged),
        clock: system_clock,
    };
    Page::new(args.listen, &agent.config.exposure, shown, agent.output)
}

#[cfg(not(feature = "object-store"))]
fn page(args: &AgentArgs, agent: &Agent) -> Result<Page, Failure> {
    Page::new(args.listen, &agent.config.exposure, (), agent.output)
}

struct Agent {
    config: Config,
    changed: Option<Changed>,
    program: PathBuf,
    agenda: Agenda,
    running: Vec<Running>,
    judging: Option<AtWork>,
    judged: Option<Instant>,
    alive: Arc<AtomicI64>,
    /// The last judgement of all CAs has failed.
    is_unjudged: Arc<AtomicBool>,
    output: Output,
    /// A run has ended since all CAs were judged.
    has_news: bool,
    runs: u64,
    failed: u64,
    said: Option<Value>,
    /// What shows other agents that this one works with the records; nothing while these cannot be written.
    lock: Option<File>,
    tried: Instant,
    /// Since when somebody else has that lock, while it is not known whether he is an agent.
    taken: Option<Instant>,
    /// Why the page is not shown.
    page_trouble: String,
}

impl Agent {
    fn new(mut config: Config, lock: Option<File>, output: Output) -> Result<Self, Failure> {
        let program = crate::program::own()?;
        let changed = changed(&config);
        // What runs and judgements read: a mistake in the file ends neither backups nor alarms.
        if let Err(error) = config.keep() {
            tell_not_kept(output, &error);
        }
        let mut agenda = Agenda::default();
        agenda.update(&config, system_clock());
        let (running, said) = (Vec::new(), None);
        Ok(Self {
            config,
            changed,
            program,
            agenda,
            running,
            judging: None,
            judged: None,
            alive: Arc::default(),
            is_unjudged: Arc::default(),
            output,
            has_news: true,
            runs: 0,
            failed: 0,
            said,
            lock,
            tried: Instant::now(),
            taken: None,
            page_trouble: String::new(),
        })
    }

    /// Collects what has ended, and begins what is due. Nothing in here waits. False when another agent works with the records.
    fn step(&mut self, page: &mut Page) -> bool {
        let now = system_clock();
        if self.reload(now) {
            page.reload(&self.config.exposure);
        }
        self.collect(now);
        if !self.take_lock() {
            return false;
        }
        for pair in self.agenda.due(now) {
            // Without records two agents could do the same, and no run remembers anything.
            if self.lock.is_none() || self.config.at_once <= self.running.len() {
                break;
            }
            self.begin(pair, now);
        }
        if let Some(trouble) = page.step() {
            if self.page_trouble != trouble {
                self.page_trouble = trouble;
                self.judged = None;
            }
            // Until it is known whether the page is shown, nobody is told that an alarm about it has ended.
            self.judge();
        }
        self.say(now);
        true
    }

    /// Tries again to get the lock that could not be had at the start. False when another agent has it.
    fn take_lock(&mut self) -> bool {
        if self.lock.is_some() || self.taken.is_none() && self.tried.elapsed() < RETRY {
            return true;
        }
        self.tried = Instant::now();
        let got = lock::of_agent(&self.config.state, Duration::ZERO);
        self.taken = matches!(got, Ok(None)).then(|| self.taken.unwrap_or(self.tried));
        match got {
            // Who only asks whether there is an agent has it for a moment.
            Ok(None) => return self.taken.is_some_and(|taken| taken.elapsed() < lock::PROBES),
            Ok(lock) => {
                self.lock = lock;
                self.judged = None;
                self.output.line("The records can be written, and runs begin.");
                if let Err(error) = self.config.keep() {
                    tell_not_kept(self.output, &error);
                }
            }
            Err(error) => tracing::debug!(error = %chain_of(&error), "the records still cannot be written"),
        }
        true
    }

    /// A configuration that cannot be read leaves the one before in force. Who is told of alarms hears of it at once.
    /// Whether another one counts from now on.
    fn reload(&mut self, now: i64) -> bool {
        let changed = changed(&self.config);
        if changed == self.changed {
            return false;
        }
        self.changed = changed;
        self.judged = None;
        match Config::from_file(&self.config.path) {
            Ok(mut config) => {
                if let Err(error) = config.keep() {
                    tell_not_kept(self.output, &error);
                }
                self.output.line("The configuration has changed, and counts from now on.");
                self.config = config;
                self.agenda.update(&self.config, now);
                true
            }
            Err(error) => {
                self.warn(&format!("the changed configuration is left out: {}", chain_of(&error)));
                false
            }
        }
    }

    fn collect(&mut self, now: i64) {
        let zone = local_zone();
        let mut still = Vec::new();
        for mut run in std::mem::take(&mut self.running) {
            let is_well = match run.at_work.child.try_wait() {
                Ok(None) => {
                    // What hangs would keep its place, and in the end no CA would be protected.
                    let limit = self.time_limit();
                    if run.at_work.limit(limit) {
                        let (ca, limit) = (&run.pair.1, limit.as_secs());
                        self.warn(&format!("the run for {ca} takes longer than {limit} s, and is stopped"));
                    }
                    still.push(run);
                    continue;
                }
                Ok(Some(status)) => matches!(status.code(), Some(0 | 1)),
                Err(_) => false,
            };
            self.runs += 1;
            self.has_news = true;
            self.failed += u64::from(!is_well);
            let attempts = attempts_of(&self.config, &run.pair);
            self.agenda.ended(&self.config, &run.pair, (is_well, &attempts), now, &zone);
        }
        self.running = still;
    }

    /// How long a run may take.
    fn time_limit(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.config.time_limit).unwrap_or_default())
    }

    fn begin(&mut self, pair: Pair, now: i64) {
        let words = ["run", pair.0.as_str(), "--ca", pair.1.as_str(), "--busy-fails"].map(OsStr::new);
        self.agenda.begins(&pair, now);
        self.keep();
        match self.start(words) {
            Ok(child) => {
                self.running.push(Running { pair, at_work: AtWork::new(child) });
            }
            Err(error) => {
                self.warn(&format!("no run can be started: {error}"));
                let attempts = attempts_of(&self.config, &pair);
                self.agenda.ended(&self.config, &pair, (false, &attempts), now, &local_zone());
            }
        }
    }

    /// The copy that runs and judgements read may go with the folder of records. Without it, each of them would fail.
    fn keep(&mut self) {
        if self.config.is_kept() {
            return;
        }
        match self.config.keep() {
            Ok(()) => self.warn("the copy of the configuration that runs read was lost, and is there again"),
            Err(error) => tell_not_kept(self.output, &error),
        }
    }

    /// Starts this program. What a run prints for people goes where the agent's own lines go: into the journal.
    fn start<'a>(&self, words: impl IntoIterator<Item = &'a OsStr>) -> std::io::Result<Child> {
        let is_silent = self.output.json || self.output.quiet || manager::is_unheard();
        let out = if is_silent { Stdio::null() } else { Stdio::inherit() };
        let mut command = children::of_this_program(&self.program, None);
        command.args(words).env(config::VARIABLE, &self.config.source);
        // They have nothing to tell the service manager.
        command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
        command.stdout(out).spawn()
    }

    /// Tells the service manager what is going on, when that has changed.
    fn say(&mut self, now: i64) {
        let state = json!([self.running.len(), self.agenda.next()]);
        if self.said.as_ref() == Some(&state) {
            return;
        }
        let next = self.agenda.next().map(|next| moment(next.max(now))).unwrap_or_default();
        let text = format!("{} at work, next at {next}", self.running.len());
        notify(State::Status(&text));
        self.said = Some(state);
    }

    /// Stops what is at work: each run ends in order, and leaves nothing behind. What has not ended after a while hangs.
    fn stop(&mut self) {
        let began = Instant::now();
        let at_work = self.running.iter_mut().map(|run| &mut run.at_work).chain(&mut self.judging);
        let mut children: Vec<_> = at_work.map(|at_work| &mut at_work.child).collect();
        for child in &mut children {
            if matches!(child.try_wait(), Ok(None)) {
                children::ask_to_stop(child);
            }
        }
        loop {
            children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
            if children.is_empty() {
                return;
            }
            if TO_STOP < began.elapsed() {
                children.iter_mut().for_each(|child| children::kill(child));
            }
            notify(State::Stopping);
            thread::sleep(GLANCE);
        }
    }

    fn warn(&self, text: &str) {
        warn(self.output, text);
    }
}

fn tell_not_kept(output: Output, error: &dyn std::error::Error) {
    warn(
        output,
        &format!("runs read the configuration itself, because no copy can be kept: {}", chain_of(error)),
    );
}

/// By what it is seen that a file has changed: who may change it decides whether it can be read.
type Changed = (SystemTime, u64, Permissions);

fn changed(config: &Config) -> Option<Changed> {
    let metadata = std::fs::metadata(&config.path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.permissions()))
}
