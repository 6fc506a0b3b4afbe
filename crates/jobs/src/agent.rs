//! When the agent looks at which CA next. It remembers only times, so that at rest it opens nothing: what is due is decided
//! by the run that it starts.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;

use crate::config::{Ca, Config, Name};
use crate::plan::{ASK, next};
use crate::record::Attempts;
use crate::step::Step;

/// After a run that failed, or found another one at work, the next one comes after so many seconds. A step that still waits then
/// is looked at again when its wait ends.
const AGAIN: i64 = 300;
/// A CA is looked at at least this often, in seconds: a schedule may have changed, or a clock.
const AT_LEAST: i64 = 86_400;
/// A clock that goes back by more than this was set, in seconds.
const SKEW: i64 = 120;

/// A job and one of its CAs.
pub type Pair = (Name, Name);

/// What the runs for a pair have noted of their attempts; nothing where the configuration does not have it any more.
#[must_use]
pub fn attempts_of(config: &Config, pair: &Pair) -> Attempts {
    let (job, ca) = (config.jobs.get(&pair.0), config.cas.get(&pair.1));
    job.zip(ca).map(|(job, ca)| Attempts::read(config, job, ca)).unwrap_or_default()
}

/// When each CA of each job is looked at next.
#[derive(Clone, Debug, Default)]
pub struct Agenda {
    at: BTreeMap<Pair, Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// When it was decided.
    decided: i64,
    /// When it is looked at next; `None` while a run is at work.
    next: Option<i64>,
    /// The configuration has changed since that run began.
    is_outdated: bool,
}

impl Agenda {
    /// Takes over the CAs of a configuration. Those that are new are looked at now.
    pub fn update(&mut self, config: &Config, now: i64) {
        let mut at = BTreeMap::new();
        for job in config.jobs.values() {
            for ca in &job.cas {
                let pair = (job.name.clone(), ca.clone());
                // What changed may be a schedule. A run that is at work goes on.
                let entry = match self.at.remove(&pair) {
                    Some(entry) if entry.next.is_none() => Entry { is_outdated: true, ..entry },
                    _ => Entry { decided: now, next: Some(now), is_outdated: false },
                };
                at.insert(pair, entry);
            }
        }
        self.at = at;
    }

    /// The CAs to be looked at now, those that wait longest first. Of two jobs of a CA one is at work at a time: the other run could
    /// only leave it alone.
    #[must_use]
    pub fn due(&self, now: i64) -> Vec<Pair> {
        let is_due = |entry: &Entry| match entry.next {
            None => false,
            // A clock that was set back: what was decided counts no more.
            Some(next) => next <= now || now < entry.decided - SKEW,
        };
        let at_work = self.at.iter().filter(|(_, entry)| entry.next.is_none());
        let mut taken: BTreeSet<&Name> = at_work.map(|((_, ca), _)| ca).collect();
        let mut due: Vec<_> = self.at.iter().filter(|(_, entry)| is_due(entry)).collect();
        due.sort_by_key(|(_, entry)| entry.next);
        due.retain(|((_, ca), _)| taken.insert(ca));
        due.into_iter().map(|(pair, _)| pair.clone()).collect()
    }

    /// A run has begun.
    pub fn begins(&mut self, pair: &Pair, now: i64) {
        if let Some(entry) = self.at.get_mut(pair) {
            *entry = Entry { decided: now, next: None, is_outdated: false };
        }
    }

    /// A run has ended, well or not, and left these attempts. The next one comes with the first slot of any step since this one began,
    /// or when a step that has failed need not wait any more.
    pub fn ended(
        &mut self,
        config: &Config,
        pair: &Pair,
        (is_well, attempts): (bool, &Attempts),
        now: i64,
        zone: &TimeZone,
    ) {
        let Some(entry) = self.at.get_mut(pair) else { return };
        // A clock that was set back meanwhile: its slots are those from now on.
        let since = entry.decided.min(now);
        let slots = config
            .jobs
            .get(&pair.0)
            .into_iter()
            .flat_map(|job| Step::ALL.into_iter().filter_map(move |step| next(job, step, since, zone)));
        let is_asked = config.cas.get(&pair.1).is_some_and(Ca::has_to_be_asked);
        let ask = if is_asked { ASK.next_slot(since, zone) } else { None };
        let soon = (!is_well).then_some(now + AGAIN);
        let changed = entry.is_outdated.then_some(now);
        let others = [ask, soon, changed, attempts.wait_ends(since), Some(now + AT_LEAST)];
        let at = slots.chain(others.into_iter().flatten()).min();
        *entry = Entry { decided: now, next: at, is_outdated: false };
    }

    /// When something is to be looked at next.
    #[must_use]
    pub fn next(&self) -> Option<i64> {
        self.at.values().filter_map(|entry| entry.next).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;
    use crate::record::{Outcome, StepRecord};

    const DAY: i64 = 86_400;

    fn well() -> (bool, &'static Attempts) {
        (true, Box::leak(Box::default()))
    }

    fn config(logs: &str) -> Config {
        let text = format!(
            "[ca]\na = {{ dir = '/a' }}\nb = {{ dir = '/b' }}\n[job.j]\nca = 'all'\nto = '/t'\nfull = 'daily 02:00'\n{logs}"
        );
        Config::parse(&text, "/etc/certadm/certadm.toml".as_ref()).unwrap()
    }

    #[test]
    fn each_ca_is_looked_at_once_a_slot_and_again_after_a_failure() {
        let (config, zone) = (config("logs = 'every 15m'"), TimeZone::UTC);
        let mut agenda = Agenda::default();
        let now = 900 * 1_000_000 + 10;
        agenda.update(&config, now);
        let due = agenda.due(now);
        assert_eq!(due.len(), 2);
        for pair in &due {
            agenda.begins(pair, now);
        }
        assert_eq!((agenda.due(now + 86_400).len(), agenda.next()), (0, None), "they are at work");
        agenda.ended(&config, &due[0], well(), now + 5, &zone);
        agenda.ended(&config, &due[1], (false, &Attempts::default()), now + 5, &zone);
        assert_eq!(agenda.next(), Some(now + 305));
        assert_eq!(agenda.due(now + 305), [due[1].clone()]);
        assert_eq!(agenda.due(now + 890).len(), 2);
        // A clock that is set back by days does not stop backups for days.
        assert_eq!(agenda.due(now - 5 * 86_400).len(), 2);
        assert_eq!(agenda.due(now - 60).len(), 0, "a little is no jump");
    }

    #[test]
    fn a_changed_configuration_counts_at_once_and_disturbs_no_run() {
        let (old, new) = (config(""), config("logs = 'every 1m'"));
        let mut agenda = Agenda::default();
        agenda.update(&old, 1_000_000);
        let due = agenda.due(1_000_000);
        agenda.begins(&due[0], 1_000_000);
        agenda.ended(&old, &due[1], well(), 1_000_000, &TimeZone::UTC);
        assert_eq!(agenda.due(1_000_100).len(), 0);
        agenda.update(&new, 1_000_100);
        assert_eq!(agenda.due(1_000_100), [due[1].clone()]);
    }

    /// A configuration of one CA, its only pair, and an agenda in which a run for it has begun.
    fn at_work(jobs: &str, now: i64) -> (Config, Pair, Agenda) {
        let text =
            format!("[ca]\na = {{ server = 'a' }}\n[defaults.job]\nca = 'a'\nto = ['v1:', 'v2:']\n{jobs}");
        let config = Config::parse(&text, "/etc/certadm/certadm.toml".as_ref()).unwrap();
        let mut agenda = Agenda::default();
        agenda.update(&config, now);
        let pair = agenda.due(now)[0].clone();
        agenda.begins(&pair, now);
        (config, pair, agenda)
    }

    #[test]
    fn a_step_that_waits_after_a_failure_is_looked_at_when_its_wait_ends() {
        let (now, zone) = (100 * DAY + 3_600, TimeZone::UTC);
        for (step, place) in [(Step::Full, "v1:"), (Step::Copy, "v2:"), (Step::Prune, "v1:")] {
            let (config, pair, mut agenda) = at_work("[job.j]\nfull = 'daily 23:59'", now);
            let mut attempts = Attempts::default();
            let fail = |attempts: &mut Attempts, began| {
                let place = place.to_owned();
                attempts.note(&StepRecord { place, ..record(step, Outcome::Failed, began) });
            };
            fail(&mut attempts, now);
            agenda.ended(&config, &pair, (false, &attempts), now + 1, &zone);
            assert_eq!(agenda.next(), Some(now + 300));
            agenda.begins(&pair, now + 300);
            fail(&mut attempts, now + 301);
            agenda.ended(&config, &pair, (false, &attempts), now + 302, &zone);
            // A run that came too early has nothing to do, and ends well.
            for looked in [now + 602, now + 603] {
                agenda.begins(&pair, looked);
                agenda.ended(&config, &pair, (true, &attempts), looked + 1, &zone);
                assert_eq!(agenda.next(), Some(now + 901), "{step}");
            }
            // A wait that had ended when the run began was the run's business.
            agenda.begins(&pair, now + 901);
            agenda.ended(&config, &pair, (true, &attempts), now + 902, &zone);
            assert_eq!(agenda.next(), Some(100 * DAY + 6 * 3_600), "the CA is asked");
        }
    }

    #[test]
    fn what_fell_into_a_long_run_is_looked_at_after_it() {
        let (now, zone) = (100 * DAY + 2 * 3_600, TimeZone::UTC);
        let text = "[job.j]\nfull = 'daily 02:00'\nverify = 'daily 03:00'";
        let (config, pair, mut agenda) = at_work(text, now);
        agenda.ended(&config, &pair, well(), now + 5_400, &zone);
        assert_eq!(agenda.due(now + 5_400), vec![pair.clone()]);
        agenda.begins(&pair, now + 5_400);
        agenda.ended(&config, &pair, well(), now + 5_500, &zone);
        assert_eq!(agenda.next(), Some(100 * DAY + 6 * 3_600), "once");
        // A wait can end in it, too.
        let mut attempts = Attempts::default();
        agenda.begins(&pair, now + 6_000);
        attempts.note(&record(Step::Ask, Outcome::Failed, now + 6_000));
        agenda.ended(&config, &pair, (false, &attempts), now + 7_000, &zone);
        assert_eq!(agenda.due(now + 7_000), vec![pair.clone()]);
        // So can a change of the configuration.
        agenda.begins(&pair, now + 7_000);
        agenda.update(&config, now + 7_001);
        assert!(agenda.due(now + 7_001).is_empty(), "it is at work");
        agenda.ended(&config, &pair, well(), now + 7_002, &zone);
        assert_eq!(agenda.due(now + 7_002), [pair]);
    }

    #[test]
    fn two_jobs_of_a_ca_take_turns() {
        let text = "[job.j]\nfull = 'daily 02:00'\n[job.k]\nfull = 'daily 02:00'";
        let now = 100 * DAY + 7_200;
        let (config, first, mut agenda) = at_work(text, now);
        assert!(agenda.due(now).is_empty(), "the other one could only leave it alone");
        agenda.ended(&config, &first, well(), now + 60, &TimeZone::UTC);
        let due = agenda.due(now + 60);
        assert!(due.len() == 1 && due[0].0 != first.0, "{due:?}");
    }
}
