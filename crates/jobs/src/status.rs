//! How each CA of a job stands, from what the places hold, from evidence, and from the CA's folder.

use std::path::Path;

use certadm_ca::health::{self, Thresholds};
use certadm_files::space;
use certadm_rehearsal::Proof;
use certadm_rehearsal::evidence::Folder;
use certadm_rules::FileTime;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::alarm::{Alarm, judge};
use crate::command::evidence_of;
use crate::config::{Ca, Config, Job, Place, Target};
use crate::held::Held;
use crate::place;
use crate::plan::{Step, next};
use crate::record::{Attempts, Trouble};

/// How a CA of a job stands. Times are in seconds since 1970.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CaStatus {
    /// The job.
    pub job: String,
    /// The CA.
    pub ca: String,
    /// The first place of the job.
    pub place: String,
    /// Whether it could be looked at.
    pub place_seen: bool,
    /// How many sets it holds.
    pub sets: usize,
    /// Bytes of their files; a repository stores less.
    pub bytes: u64,
    /// Sets in it that cannot be read.
    pub unreadable: usize,
    /// The first set.
    pub first: Option<i64>,
    /// The newest full set.
    pub last_full: Option<i64>,
    /// The newest log set.
    pub last_logs: Option<i64>,
    /// The newest state that can be restored.
    pub newest_state: Option<i64>,
    /// How much would be lost now: the time since that state, in seconds.
    pub rpo: Option<i64>,
    /// When a state was proven last.
    pub verified: Option<i64>,
    /// The newest rehearsal.
    pub rehearsed: Option<i64>,
    /// What it has shown: `proven`, `proven-except` or `not-proven`.
    pub rehearsal: Option<String>,
    /// Whether everything is there that the CA needs, when that was judged last: `complete`, `incomplete`, `cannot-tell`.
    pub complete: Option<String>,
    /// What is missing then.
    pub missing: Vec<String>,
    /// Bytes of logs that wait at the CA; of a CA on this machine alone.
    pub logs_waiting: Option<u64>,
    /// Bytes that are free where the first place is; of a folder alone.
    pub free: Option<u64>,
    /// The end of the last CRL.
    pub crl_ends: Option<i64>,
    /// The end of the CA's own certificate.
    pub certificate_ends: Option<i64>,
    /// The next slot of each step that has a schedule.
    pub next: Vec<(Step, i64)>,
    /// What went wrong while this was found out.
    pub trouble: Vec<Trouble>,
    /// What there is an alarm about.
    pub alarms: Vec<Alarm>,
}

/// Finds out how a CA of a job stands. What cannot be found out is in its `trouble`.
#[must_use]
pub fn of(config: &Config, job: &Job, ca: &Ca, now: i64, zone: &TimeZone) -> CaStatus {
    let attempts = Attempts::read(config, job, ca);
    let mut status = CaStatus {
        job: job.name.to_string(),
        ca: ca.name.to_string(),
        place: job.to.first().map(ToString::to_string).unwrap_or_default(),
        ..CaStatus::default()
    };
    let held = match job.to.first().map(|first| place::look(config, first, ca)) {
        Some(Ok(held)) => {
            status.place_seen = true;
            held
        }
        Some(Err(unseen)) => {
            status.trouble.push(unseen.trouble);
            Held::default()
        }
        None => Held::default(),
    };
    status.add_held(&held, now);
    status.add_rehearsal(job, ca);
    let completed = attempts.of(Step::Complete);
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    status.complete = completed.facts.get("verdict").and_then(text);
    let missing = completed.facts.get("missing").and_then(|missing| missing.as_array());
    status.missing = missing.into_iter().flatten().filter_map(text).collect();
    status.free = match job.to.first() {
        Some(Target::Folder(folder)) => space::available(folder).ok().flatten(),
        Some(Target::Vault(vault)) => {
            let vault = config.vault(vault).ok();
            vault
                .as_ref()
                .and_then(|vault| vault.folder())
                .and_then(|folder| space::available(folder).ok().flatten())
        }
        None => None,
    };
    if let Place::Folder(dir, _) = &ca.place {
        status.add_health(dir);
    }
    status.next =
        Step::ALL.into_iter().filter_map(|step| Some((step, next(job, step, now, zone)?))).collect();
    status.alarms = judge(job, &status, &held, &attempts, now);
    status
}

impl CaStatus {
    fn add_held(&mut self, held: &Held, now: i64) {
        self.sets = held.sets().len();
        self.bytes = held.sets().iter().map(|set| set.bytes).fold(0, u64::saturating_add);
        self.unreadable = held.unreadable.len();
        self.first = held.sets().first().map(|set| set.time);
        self.last_full = held.last_full().map(|set| set.time);
        self.last_logs = held.last_logs().map(|set| set.time);
        self.newest_state = held.newest_state().last().map(|set| set.time);
        self.rpo = self.newest_state.map(|time| (now - time).max(0));
        self.verified = held.proven.as_ref().map(|(_, when)| *when);
    }

    fn add_rehearsal(&mut self, job: &Job, ca: &Ca) {
        let evidence = evidence_of(job, ca);
        if !evidence.is_dir() {
            return;
        }
        match Folder::at(&evidence).all() {
            Ok(all) => {
                if let Some(newest) = all.last().map(|kept| &kept.evidence) {
                    self.rehearsed = place::seconds_of(&newest.ended);
                    self.rehearsal = Some(newest.verdict.proof.key().to_owned());
                }
            }
            Err(error) => self.trouble.push(place::Unseen::from(error).trouble),
        }
    }

    fn add_health(&mut self, dir: &Path) {
        let seconds = |time: FileTime| place::seconds_of(&time.to_rfc3339());
        match health::examine(dir, &Thresholds::default()) {
            Ok(health) => {
                self.logs_waiting = Some(health.logs.bytes);
                let content = health.database.as_ref().map(|database| &database.content);
                self.crl_ends =
                    content.and_then(|content| content.crl).and_then(|crl| seconds(crl.next_update));
                self.certificate_ends = content.and_then(|content| content.valid_until).and_then(seconds);
            }
            Err(error) => self.trouble.push(place::Unseen::from(error).trouble),
        }
    }

    /// Whether the newest rehearsal has shown nothing.
    #[must_use]
    pub fn is_not_proven(&self) -> bool {
        self.rehearsal.as_deref() == Some(Proof::NotProven.key())
    }
}
