//! `certadm drill --fleet N`: CAs, a vault and an agent live through two weeks in seconds. One CA is lost and comes back, one
//! set of logs is damaged, the vault cannot be reached for some hours. The page, the alarms and the restores have to be right.

mod hear;
mod inside;
mod report;
mod timeline;
mod world;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use certadm_files::{cancel, durable};
use certadm_jobs::agent::{Agenda, Pair, attempts_of};
use certadm_jobs::alarm::Turn;
use certadm_jobs::metrics::metrics;
use certadm_jobs::notify::Teller;
use certadm_jobs::page::status_page;
use certadm_jobs::place::moment;
use certadm_jobs::record::Outcome;
use certadm_jobs::run::system_clock;
use certadm_jobs::status::CaStatus;
use certadm_jobs::{CaRun, Runner, Step, TimeZone, Wish, stand};

use crate::failure::Failure;
use crate::output::Output;
use hear::Listener;
use inside::Inside;
use report::{Check, Report, Told};
use timeline::{HOUR, Happening, begin_of, timeline};
use world::{JOB, World};

/// Room that a CA of the fleet needs, with its repository and a restored copy, in bytes.
pub(super) const ROOM: u64 = 96 << 20;

/// The page and the figures, in the folder of the drill.
const PAGE: &str = "status.html";
const FIGURES: &str = "metrics.prom";

/// Lives through the two weeks with so many CAs in a folder.
pub(super) fn drill(root: &Path, count: u16, output: Output) -> Result<Report, Failure> {
    let clock = Instant::now();
    let begun = real_clock();
    let begin = begin_of(begun);
    certadm_store::set_clock_ahead(begin - begun);
    let listener = cfg!(feature = "object-store").then(Listener::start).transpose()?;
    let address = listener.as_ref().map(|listener| format!("http://{}/", listener.address));
    let world = World::make(root, count, address.as_deref())?;
    output.line(format!("Made {count} CAs and a vault in {}; it is {}.", root.display(), moment(begin)));
    let mut fleet = Fleet {
        output,
        root: root.to_owned(),
        begun,
        begin,
        lost: 0,
        damaged: usize::from(count > 1),
        agenda: Agenda::default(),
        report: Report::new(count, begin),
        packs: BTreeSet::new(),
        shown: Vec::new(),
        world,
    };
    fleet.live()?;
    fleet.restore_all()?;
    let mut report = fleet.report;
    if let Some(listener) = listener {
        report.compare_heard(&listener.heard());
    }
    report.seconds = clock.elapsed().as_secs_f64();
    Ok(report)
}

struct Fleet {
    output: Output,
    root: PathBuf,
    /// When the drill began, by the system's clock.
    begun: i64,
    /// When the two weeks begin.
    begin: i64,
    /// The CA that is lost, and the one whose logs are damaged.
    lost: usize,
    damaged: usize,
    agenda: Agenda,
    report: Report,
    /// What the repository of the damaged CA held before the set that is damaged.
    packs: BTreeSet<PathBuf>,
    /// How the CAs stood when all were judged last.
    shown: Vec<CaStatus>,
    world: World,
}

impl Fleet {
    /// From moment to moment at which something happens, a run is due, or all CAs are judged.
    fn live(&mut self) -> Result<(), Failure> {
        let mut coming = timeline(self.begin).into_iter().peekable();
        let mut judge_at = self.begin + HOUR;
        self.world.issue(true)?;
        self.agenda.update(&self.world.config, system_clock());
        while coming.peek().is_some() {
            cancel::check()?;
            let moments = [coming.peek().map(|(when, _)| *when), self.agenda.next(), Some(judge_at)];
            set_clock(moments.into_iter().flatten().min().unwrap_or(judge_at));
            let now = system_clock();
            while let Some((_, happening)) = coming.next_if(|(when, _)| *when <= now) {
                self.happen(happening)?;
            }
            let due = self.agenda.due(now);
            self.run(&due)?;
            if judge_at <= now {
                judge_at += HOUR;
                self.judge(None)?;
            }
        }
        Ok(())
    }

    /// Runs as the agent begins them: so many at once.
    fn run(&mut self, due: &[Pair]) -> Result<(), Failure> {
        for some in due.chunks(self.world.config.at_once.max(1)) {
            for pair in some {
                self.agenda.begins(pair, system_clock());
            }
            let world = &self.world;
            let runs: Vec<CaRun> = thread::scope(|scope| {
                let runs: Vec<_> =
                    some.iter().map(|pair| scope.spawn(|| run(world, pair, Wish::Due))).collect();
                runs.into_iter().map(|run| run.join().ok().flatten()).collect::<Option<_>>()
            })
            .ok_or_else(|| Failure::internal("a run of the drill broke down"))?;
            for (pair, run) in some.iter().zip(runs) {
                let is_well = matches!(run.outcome(), Outcome::Good | Outcome::Finding);
                self.took_place(&run)?;
                let now = system_clock();
                let attempts = attempts_of(&self.world.config, pair);
                self.agenda.ended(&self.world.config, pair, (is_well, &attempts), now, &TimeZone::UTC);
                // As `certadm run` judges the CA that it has worked on.
                self.judge(Some(pair))?;
            }
        }
        Ok(())
    }

    fn took_place(&mut self, run: &CaRun) -> Result<(), Failure> {
        for step in &run.steps {
            self.report.step(&run.ca, step);
        }
        let backups = run.steps.iter().filter(|step| matches!(step.step, Step::Full | Step::Logs));
        let is_backed_up = backups.clone().any(|step| step.outcome == Outcome::Good);
        let at = self.world.members.iter().position(|member| member.name == run.ca);
        let Some(at) = at else { return Ok(()) };
        if is_backed_up {
            self.world.members[at].backed_up();
        }
        self.world.date_notes(at, self.begun, system_clock())
    }

    /// Judges one CA or all, and tells what is new; of all, page and figures are written as well.
    fn judge(&mut self, only: Option<&Pair>) -> Result<(), Failure> {
        let now = system_clock();
        let config = &self.world.config;
        let job = config.job(JOB)?;
        let cas = job.cas.iter().filter(|name| only.is_none_or(|(_, ca)| ca == *name));
        let cas = cas.filter_map(|name| config.cas.get(name));
        let stood: Vec<CaStatus> =
            cas.map(|ca| stand::of(config, (job, ca), None, now, &TimeZone::UTC)).collect();
        let told = Teller::of_judgement(config).tell(&stood, now);
        if let Some(error) = told.unwritten {
            return Err(error.into());
        }
        for one in told.not_told {
            self.report.check(Check::failed(format!("{} could be told", one.who), one.why));
        }
        for news in told.news {
            let turn = if news.event == Turn::Begins { "begins" } else { "ends" };
            let (ca, about) = (&news.alarm.ca, news.alarm.about);
            self.output.line(format!("{}  alarm {turn}: {ca}: {about}", moment(now)));
            self.report.told.push(Told { time: now, event: news.event, ca: ca.clone(), about });
        }
        if only.is_none() {
            durable::replace(&self.root.join(PAGE), status_page(&stood, &[], now).as_bytes())?;
            durable::replace(&self.root.join(FIGURES), metrics(&stood, &[], now).as_bytes())?;
            self.shown = stood;
        }
        Ok(())
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Failure> {
        let now = system_clock();
        let [lost, damaged] = [self.lost, self.damaged].map(|at| self.world.members[at].name.clone());
        if let Some(text) = happening.text(&lost, &damaged) {
            self.output.line(format!("{}  {text}", moment(now)));
        }
        match happening {
            Happening::Issue { publish } => self.world.issue(publish)?,
            Happening::Unplug => {
                self.world.unplug(true)?;
                for member in &self.world.members {
                    self.report.expect(&member.name, "failed", "the vault cannot be reached", now, 5 * HOUR);
                }
            }
            Happening::Plug => {
                self.world.unplug(false)?;
                self.report.expect_end("the vault cannot be reached", now, HOUR);
                self.report.plugged = Some(now);
            }
            Happening::Lose => {
                self.world.lose(self.lost)?;
                self.report.expect(&lost, "failed", "the CA is lost", now, 2 * HOUR);
                self.report.expect(&lost, "late", "the CA is lost", now, 20 * HOUR);
            }
            Happening::BringBack => {
                let restored = self.world.bring_back(self.lost)?;
                self.report.restores.push((lost, restored));
                self.report.expect_end("the CA is lost", now, 3 * HOUR);
            }
            Happening::Note => self.packs = self.world.packs(self.damaged)?,
            Happening::Damage => {
                let new = self.world.packs(self.damaged)?;
                let is_damaged = self.world.damage(new.difference(&self.packs))?;
                let check = "the repository has stored the logs that are damaged";
                self.report.check(Check::new(check, is_damaged, "a byte in it was turned"));
                self.report.expect(&damaged, "failed", "a set of logs is damaged", now, 18 * HOUR);
            }
            Happening::Prove => {
                self.state_before_is_good()?;
                self.world.date_notes(self.damaged, self.begun, system_clock())?;
                self.report.expect_end("a set of logs is damaged", now, HOUR);
            }
            Happening::Look { when, failed, late } => {
                let mut expected = BTreeSet::new();
                for (at, member) in self.world.members.iter().enumerate() {
                    if failed.includes(at, self.lost, self.damaged) {
                        expected.insert((member.name.clone(), "failed".to_owned()));
                    }
                }
                if late {
                    expected.insert((lost, "late".to_owned()));
                }
                self.judge(None)?;
                self.look(when, &expected)?;
            }
        }
        Ok(())
    }

    /// The agent has taken a new base by itself. The state before the damaged set can be restored: what is behind it is damaged, and
    /// nothing else.
    fn state_before_is_good(&mut self) -> Result<(), Failure> {
        let points = self.world.points(self.damaged)?;
        let outcome = |point: &String| self.world.verify(self.damaged, point).outcome;
        let mut newest_first = points.iter().rev();
        let [base, behind] = [newest_first.next(), newest_first.next()].map(|point| point.map(outcome));
        let whole = newest_first.take(4).position(|point| outcome(point) == Outcome::Good);
        let is_right = (base, behind) == (Some(Outcome::Good), Some(Outcome::Failed)) && whole.is_some();
        let detail =
            format!("the new base: {base:?}; the state before it: {behind:?}; whole: {whole:?} before that");
        let name = "the agent takes a new base, and what lies before the damaged set can be restored";
        self.report.check(Check::new(name, is_right, detail));
        Ok(())
    }

    /// Whether page and figures show these alarms and no others.
    fn look(&mut self, when: &str, expected: &BTreeSet<(String, String)>) -> Result<(), Failure> {
        let page = std::fs::read_to_string(self.root.join(PAGE)).unwrap_or_default();
        let figures = std::fs::read_to_string(self.root.join(FIGURES)).unwrap_or_default();
        for (what, found) in
            [("page", report::alarms_of_page(&page)), ("figures", report::alarms_of_figures(&figures))]
        {
            let found: BTreeSet<_> = found.into_iter().collect();
            let detail = match &found == expected {
                true => listed(&found),
                false => format!("{}; expected: {}", listed(&found), listed(expected)),
            };
            self.report.check(Check::new(format!("the {what} {when}"), &found == expected, detail));
        }
        Ok(())
    }

    /// At the end every CA comes back from the vault.
    fn restore_all(&mut self) -> Result<(), Failure> {
        for at in 0..self.world.members.len() {
            cancel::check()?;
            let name = self.world.members[at].name.clone();
            let restored = self.world.restore(at, &self.root.join(format!("{name}-back")))?;
            self.report.restores.push((name, restored));
        }
        self.report.ended = system_clock();
        self.report.issued = self.world.members.iter().map(world::Member::count).sum();
        self.report.settle(&self.shown);
        Ok(())
    }
}

/// Alarms for a person.
fn listed(alarms: &BTreeSet<(String, String)>) -> String {
    let alarms: Vec<String> = alarms.iter().map(|(ca, about)| format!("{ca} {about}")).collect();
    if alarms.is_empty() { "no alarm".to_owned() } else { alarms.join(", ") }
}

/// A run for one CA.
fn run(world: &World, pair: &Pair, wish: Wish) -> Option<CaRun> {
    let config = &world.config;
    let (job, ca) = (config.jobs.get(&pair.0)?, config.cas.get(&pair.1)?);
    let runner = Runner {
        config,
        perform: &Inside,
        clock: &system_clock,
        zone: TimeZone::UTC,
        patience: 0,
        watch: &|_| {},
    };
    Some(runner.run(job, ca, wish))
}

/// The time by the system's clock.
fn real_clock() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// It is now `time`, unless it is later.
fn set_clock(time: i64) {
    if system_clock() < time {
        certadm_store::set_clock_ahead(time - real_clock());
    }
}
