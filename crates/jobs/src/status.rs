//! How a CA of a job stands.

use std::collections::BTreeSet;
use std::path::Path;

use certadm_ca::health::{self, Thresholds};
use certadm_rehearsal::Proof;
use certadm_rules::FileTime;
use serde::Serialize;

use crate::alarm::{About, Alarm, Ledger};
use crate::config::{Ca, Job};
use crate::evidence;
use crate::held::{Held, is_past};
use crate::place;
use crate::record::Trouble;
use crate::step::Step;
use crate::story::Story;

/// What `certadm complete` has judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Completeness {
    /// Everything that the CA needs is there.
    Complete,
    /// Something is missing.
    Incomplete,
    /// Nothing tells whether all is there.
    CannotTell,
}

impl Completeness {
    const ALL: [Self; 3] = [Self::Complete, Self::Incomplete, Self::CannotTell];

    /// What a verdict says (docs/json.md). A word that is none of them tells nothing.
    #[must_use]
    pub fn of(word: &str) -> Self {
        Self::ALL.into_iter().find(|verdict| verdict.key() == word).unwrap_or(Self::CannotTell)
    }

    /// The word of the verdict.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::CannotTell => "cannot-tell",
        }
    }
}

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
    /// Sets in it that were found damaged, by their ids.
    pub damaged: Vec<String>,
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
    /// What it has shown.
    pub rehearsal: Option<Proof>,
    /// The newest rehearsal that has shown that the CA comes back.
    pub rehearsal_proven: Option<i64>,
    /// Whether everything is there that the CA needs, when that was judged last.
    pub complete: Option<Completeness>,
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
    /// What there is an alarm about. The last of them are those that could not be judged now ([`Self::judged`]).
    pub alarms: Vec<Alarm>,
    /// So many of the alarms could not be judged now, and are in force as far as the records know.
    #[serde(skip)]
    pub recalled: usize,
    /// What could not be judged, because something could not be looked at: an alarm about it does not end by that.
    #[serde(skip)]
    pub unjudged: BTreeSet<About>,
    /// What lies behind all this, for the page.
    #[serde(skip)]
    pub story: Story,
}

impl CaStatus {
    pub(crate) fn add_held(&mut self, held: &Held, now: i64) {
        self.sets = held.sets().len();
        self.bytes = held.sets().iter().map(|set| set.bytes).fold(0, u64::saturating_add);
        self.unreadable = held.unreadable.len();
        self.damaged = held.damaged.iter().cloned().collect();
        self.first = held.sets().iter().map(|set| set.time).find(|time| is_past(*time, now));
        self.last_full = held.last_full().map(|set| set.time);
        self.last_logs = held.last_logs().map(|set| set.time);
        let newest: Vec<i64> = held.newest_state().into_iter().map(|set| set.time).collect();
        self.newest_state = newest.last().copied();
        // How old a set from the future is, nobody knows: at most as old as the one before it.
        let believed = newest.iter().rev().copied().find(|time| is_past(*time, now));
        self.rpo = believed.or(self.newest_state).map(|time| (now - time).max(0));
        self.verified = held.proven.as_ref().map(|(_, when)| *when);
    }

    pub(crate) fn add_rehearsal(&mut self, job: &Job, ca: &Ca, now: i64) {
        match evidence::all(job, ca, now) {
            Ok(all) => {
                self.story.add_rehearsals(&all);
                if let Some(newest) = evidence::newest(&all, now).map(|kept| &kept.evidence) {
                    self.rehearsed = place::seconds_of(&newest.ended);
                    self.rehearsal = Some(newest.verdict.proof);
                }
                let proven = evidence::newest_proven(&all, now).map(|kept| kept.evidence.ended.as_str());
                self.rehearsal_proven = proven.and_then(place::seconds_of);
            }
            Err(error) => {
                self.unjudged.insert(About::NotProven);
                self.trouble.push(place::Unseen::from(error).trouble.met_at("evidence"));
            }
        }
        // Since when there should have been one, the sets tell.
        if !self.place_seen && self.rehearsed.is_none() {
            self.unjudged.insert(About::NotProven);
        }
    }

    pub(crate) fn add_health(&mut self, dir: &Path, now: i64) {
        match health::examine(dir, &Thresholds::default()) {
            Ok(health) => {
                self.logs_waiting = Some(health.logs.bytes);
                let content = health.database.as_ref().map(|database| &database.content);
                if content.is_none() {
                    self.unjudged.extend([About::Crl, About::Certificate]);
                }
                let crl = content.and_then(|content| content.crl);
                // Nobody takes a CRL of the future: there is none from now on.
                self.crl_ends = crl.map(|crl| match is_past(crl.this_update.unix_seconds(), now) {
                    true => crl.next_update.unix_seconds(),
                    false => now,
                });
                self.certificate_ends =
                    content.and_then(|content| content.valid_until).map(FileTime::unix_seconds);
            }
            Err(error) => {
                self.unjudged.extend([About::Crl, About::Certificate]);
                self.trouble.push(place::Unseen::from(error).trouble.met_at("ca"));
            }
        }
    }

    /// Adds the alarms that are in force and about what could not be judged now.
    pub(crate) fn recall(&mut self, known: &Ledger) {
        let mut recalled = known.in_force((&self.job, &self.ca), &self.alarms, &self.unjudged);
        for alarm in &mut recalled {
            // How long something lasts or is left may have changed since.
            alarm.message = format!("as it was seen last: {}", alarm.message);
        }
        self.recalled = recalled.len();
        self.alarms.extend(recalled);
    }

    /// The alarms that were judged now.
    #[must_use]
    pub fn judged(&self) -> &[Alarm] {
        self.alarms.get(..self.alarms.len().saturating_sub(self.recalled)).unwrap_or_default()
    }

    /// Whether the newest rehearsal has shown nothing.
    #[must_use]
    pub fn is_not_proven(&self) -> bool {
        self.rehearsal == Some(Proof::NotProven)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A word that nobody knew raised no alarm.
    #[test]
    fn a_verdict_is_told_by_its_word_and_an_unknown_word_tells_nothing() {
        for verdict in Completeness::ALL {
            assert_eq!(Completeness::of(verdict.key()), verdict);
            assert_eq!(json!(verdict), verdict.key());
        }
        assert_eq!(Completeness::of("in-complete"), Completeness::CannotTell);
        let proofs = [Proof::Proven, Proof::ProvenExcept, Proof::NotProven];
        assert!(proofs.iter().all(|proof| json!(proof) == proof.key()));
    }
}
