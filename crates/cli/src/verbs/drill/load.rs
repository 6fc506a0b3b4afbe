//! Issuing under load, and the ledger of what was acknowledged, kept apart from the database.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use certadm_ca::{Authority, Request, Terms};
use certadm_store::{GroupCommit, Store};

use crate::failure::Failure;

/// What a drill does at the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Idle = 0,
    FullBackup = 1,
    LogsBackup = 2,
    AfterLast = 3,
    Restored = 4,
}

impl Phase {
    pub(crate) const ALL: [Self; 5] =
        [Self::Idle, Self::FullBackup, Self::LogsBackup, Self::AfterLast, Self::Restored];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Idle => "no backup running",
            Self::FullBackup => "during the full backup",
            Self::LogsBackup => "during a log backup",
            Self::AfterLast => "after the last backup",
            Self::Restored => "on the restored CA",
        }
    }
}

/// What was acknowledged in one phase.
#[derive(Clone, Debug, Default)]
pub(crate) struct PhaseStats {
    /// Time from request to acknowledgement of each certificate, in microseconds.
    latencies: Vec<u32>,
    /// How long the phase lasted in all.
    pub(crate) duration: Duration,
}

impl PhaseStats {
    pub(crate) fn count(&self) -> usize {
        self.latencies.len()
    }

    /// Certificates a second.
    pub(crate) fn rate(&self) -> f64 {
        let seconds = self.duration.as_secs_f64();
        if seconds > 0.0 { f64::from(u32::try_from(self.count()).unwrap_or(u32::MAX)) / seconds } else { 0.0 }
    }

    /// The latency that `percent` of the certificates stayed within, in milliseconds.
    pub(crate) fn percentile(&mut self, percent: usize) -> f64 {
        self.latencies.sort_unstable();
        let place = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(place).map_or(0.0, |&micros| f64::from(micros) / 1000.0)
    }
}

/// Everything acknowledged: serial number to the hash of the certificate.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) certificates: HashMap<String, blake3::Hash>,
    /// A serial that was handed out twice.
    pub(crate) repeated: Option<String>,
    stats: [PhaseStats; 5],
    failure: Option<Failure>,
}

/// Shared by workers and drill.
#[derive(Debug, Default)]
pub(crate) struct Record {
    ledger: Mutex<Ledger>,
    phase: AtomicUsize,
    stop: AtomicBool,
}

impl Record {
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` as one phase: what is acknowledged meanwhile counts for it.
    pub(crate) fn during<T>(&self, phase: Phase, work: impl FnOnce() -> T) -> T {
        let before = self.phase.swap(phase as usize, Ordering::SeqCst);
        let begun = Instant::now();
        let value = work();
        self.ledger().stats[phase as usize].duration += begun.elapsed();
        self.phase.store(before, Ordering::SeqCst);
        value
    }

    pub(crate) fn stats(&self, phase: Phase) -> PhaseStats {
        self.ledger().stats[phase as usize].clone()
    }
}

/// Workers that issue until they are stopped.
#[derive(Debug)]
pub(crate) struct Load {
    record: Arc<Record>,
    workers: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts `workers` threads on a CA.
    pub(crate) fn start(
        store: &Store,
        authority: &Arc<Authority>,
        requests: &Arc<Vec<Request>>,
        record: &Arc<Record>,
        workers: usize,
    ) -> Result<Self, Failure> {
        record.stop.store(false, Ordering::SeqCst);
        let group = GroupCommit::new(store.writer()?);
        let workers = (0..workers)
            .map(|number| {
                let (group, authority) = (group.clone(), Arc::clone(authority));
                let (requests, record) = (Arc::clone(requests), Arc::clone(record));
                std::thread::spawn(move || {
                    issue_until_stopped(&group, &authority, &requests, &record, number);
                })
            })
            .collect();
        Ok(Self { record: Arc::clone(record), workers })
    }

    /// Stops the workers; everything they were told is in the ledger afterwards.
    ///
    /// # Errors
    /// The first failure a worker met.
    pub(crate) fn stop(self) -> Result<(), Failure> {
        self.record.stop.store(true, Ordering::SeqCst);
        for worker in self.workers {
            worker.join().map_err(|_| Failure::internal("a worker of the drill failed"))?;
        }
        self.record.ledger().failure.take().map_or(Ok(()), Err)
    }
}

fn issue_until_stopped(
    group: &GroupCommit,
    authority: &Authority,
    requests: &[Request],
    record: &Record,
    first: usize,
) {
    let terms = Terms::new("drill");
    for request in requests.iter().cycle().skip(first) {
        if record.stop.load(Ordering::SeqCst) {
            return;
        }
        let phase = record.phase.load(Ordering::SeqCst);
        let begun = Instant::now();
        let issued = authority.issue_grouped(group, request, &terms, certadm_store::now());
        let micros = u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX);
        let mut ledger = record.ledger();
        match issued {
            Ok(issued) => {
                let serial = issued.serial.as_str().to_owned();
                let hash = blake3::hash(&issued.der);
                if ledger.certificates.insert(serial.clone(), hash).is_some() {
                    ledger.repeated = Some(serial);
                }
                // Counts for the phase in which it was asked for.
                if let Some(stats) = ledger.stats.get_mut(phase) {
                    stats.latencies.push(micros);
                }
            }
            Err(error) => {
                ledger.failure.get_or_insert(error.into());
                return;
            }
        }
    }
}
