//! ONLINE: issuing beside a full backup, on one machine.

use std::fmt::{Display, Formatter};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use certadm_ca::{Authority, Passphrase, Request, Terms};
use certadm_client::own_host_name;
use certadm_rehearsal::request::for_host;
use certadm_rules::BackupType;
use certadm_rules::unc::UncRoot;
use certadm_session::LocalSource;
use certadm_set::{Silent, TakeOptions, take};
use certadm_store::{Folder, GroupCommit, Options, Store};

use crate::data::CaFolder;
use crate::error::Result;
use crate::process::wait_until_idle;
use crate::run::{Bench, remove};
use crate::table::{self, Row};

/// Threads that issue. A CA behind a web server has as many requests at a time.
const WORKERS: usize = 8;
/// Requests that are used in turn.
const REQUESTS: usize = 64;
/// Issuing before anything is counted, and before and after each backup.
const WARM_UP: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(4);

/// What happens while a certificate is asked for.
#[derive(Clone, Copy)]
enum Phase {
    Uncounted,
    Idle,
    Backup,
    Over,
}

/// Issues all the while: some seconds alone, beside a full backup that deletes the logs, some seconds alone.
pub(crate) fn run(bench: &mut Bench) -> Result<()> {
    let root = bench.root.join("online");
    fs::create_dir_all(&root)?;
    let pass = root.join("pass");
    fs::write(&pass, "a passphrase of the benchmarks\n")?;
    let folder = Folder::new(root.join("ca"));
    CaFolder::of_a_ca(&bench.certadm, "Bench", folder.path(), &pass, bench.options.size)?;
    let authority = Authority::open(&folder, &Passphrase::from_file(&pass)?)?;
    let store = Arc::new(Store::open(&folder, Options::default())?);
    let requests: Vec<Request> = (0..REQUESTS)
        .map(|number| for_host(&format!("host{number}.bench.example")))
        .collect::<std::result::Result<_, _>>()?;
    let mut rounds = Vec::new();
    for _ in 0..bench.options.rounds {
        wait_until_idle();
        let round = round(&store, &authority, &requests, &root.join("set"))?;
        println!("{round}");
        rounds.push(round);
    }
    let each = |figure: fn(&Round) -> f64| rounds.iter().map(figure).collect::<Vec<_>>();
    let (rates, tails) = (each(Round::rate), each(Round::tail));
    let mut row = |name: &str, value: f64, goal| bench.rows.push(Row::plain(name, value).goal(goal));
    row("ONLINE rate during backup / idle", table::median(&rates), "");
    row("ONLINE rate, worst round", rates.iter().copied().fold(f64::INFINITY, f64::min), ">= 0.9");
    row("ONLINE p99 during backup / idle", table::median(&tails), "");
    row("ONLINE p99, worst round", tails.iter().copied().fold(0.0, f64::max), "<= 1.5");
    row("ONLINE backup, MiB a second", table::median(&each(Round::backup_rate)), ">= 56");
    row("ISSUE P-256 durable, a second", table::median(&each(|round| round.idle.rate())), ">= 2000");
    // Its packer would put logs into a folder that is being removed.
    Arc::into_inner(store).ok_or("a backup has the store yet")?.close()?;
    Ok(fs::remove_dir_all(&root)?)
}

struct Round {
    idle: Issued,
    beside: Issued,
    /// MiB of the set.
    size: f64,
}

impl Display for Round {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let one = |name, issued: &Issued| {
            format!("{name} {:.0} a second, p99 {:.2} ms", issued.rate(), issued.p99() * 1000.0)
        };
        let (idle, beside) = (one("idle", &self.idle), one("beside", &self.beside));
        write!(out, "{idle}; {beside}; {:.0} MiB in {:.1} s", self.size, self.beside.time.as_secs_f64())
    }
}

impl Round {
    /// MiB a second of the set.
    fn backup_rate(&self) -> f64 {
        self.size / self.beside.time.as_secs_f64()
    }

    fn rate(&self) -> f64 {
        self.beside.rate() / self.idle.rate()
    }

    fn tail(&self) -> f64 {
        self.beside.p99() / self.idle.p99()
    }
}

/// What was issued in some time.
struct Issued {
    /// Seconds from the request to the certificate, in order of their length.
    latencies: Vec<f64>,
    time: Duration,
}

impl Issued {
    fn new(mut latencies: Vec<f64>, time: Duration) -> Self {
        latencies.sort_unstable_by(f64::total_cmp);
        Self { latencies, time }
    }

    fn rate(&self) -> f64 {
        f64::from(u32::try_from(self.latencies.len()).unwrap_or(u32::MAX)) / self.time.as_secs_f64()
    }

    fn p99(&self) -> f64 {
        self.latencies.get(self.latencies.len() * 99 / 100).copied().unwrap_or(f64::NAN)
    }
}

/// The load of one round, and what was issued in each phase.
fn round(store: &Arc<Store>, authority: &Authority, requests: &[Request], set: &Path) -> Result<Round> {
    let group = GroupCommit::new(store.writer()?);
    let phase = AtomicUsize::new(Phase::Uncounted as usize);
    let enter = |next: Phase| phase.store(next as usize, Ordering::SeqCst);
    let (taken, issued) = std::thread::scope(|scope| {
        let load = |number| {
            let (group, phase) = (group.clone(), &phase);
            move || issue(&group, authority, requests.iter().cycle().skip(number), phase)
        };
        let workers: Vec<_> = (0..WORKERS).map(|number| scope.spawn(load(number))).collect();
        let rest = |time: Duration| std::thread::sleep(time);
        rest(WARM_UP);
        enter(Phase::Idle);
        rest(IDLE);
        enter(Phase::Backup);
        let begun = Instant::now();
        let taken = back_up(store, set).map(|bytes| (bytes, begun.elapsed()));
        enter(Phase::Idle);
        rest(IDLE);
        enter(Phase::Over);
        let issued: Vec<_> =
            workers.into_iter().map(|worker| worker.join().map_err(|_| "a worker failed")).collect();
        (taken, issued)
    });
    let (bytes, time) = taken?;
    let (mut idle, mut beside) = (Vec::new(), Vec::new());
    for worker in issued {
        for (phase, latency) in worker?? {
            if phase == Phase::Idle as usize { &mut idle } else { &mut beside }.push(latency);
        }
    }
    remove(set)?;
    #[expect(clippy::cast_precision_loss, reason = "a figure for a person")]
    let size = bytes as f64 / f64::from(1 << 20);
    Ok(Round { idle: Issued::new(idle, IDLE * 2), beside: Issued::new(beside, time), size })
}

/// A full backup the local way, checked, with truncation. Returns the bytes of the set.
fn back_up(store: &Arc<Store>, set: &Path) -> Result<u64> {
    let mut source = LocalSource::new(Arc::clone(store), UncRoot::of_this_system(own_host_name())?);
    let taken = take(&mut source, set, &TakeOptions::new(BackupType::Full), &mut Silent)?;
    Ok(taken.manifest.total_size())
}

/// Issues until the load is over. Each certificate counts for the phase in which it was asked for.
fn issue<'r>(
    group: &GroupCommit,
    authority: &Authority,
    requests: impl Iterator<Item = &'r Request>,
    phase: &AtomicUsize,
) -> std::result::Result<Vec<(usize, f64)>, String> {
    let terms = Terms::new("bench");
    let mut latencies = Vec::new();
    for request in requests {
        let asked_in = phase.load(Ordering::SeqCst);
        if asked_in == Phase::Over as usize {
            break;
        }
        let begun = Instant::now();
        authority
            .issue_grouped(group, request, &terms, certadm_store::now())
            .map_err(|error| error.to_string())?;
        if asked_in != Phase::Uncounted as usize {
            latencies.push((asked_in, begun.elapsed().as_secs_f64()));
        }
    }
    Ok(latencies)
}
