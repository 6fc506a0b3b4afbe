//! When the agent looks at which CA next. It remembers only times, so that at rest it opens nothing: what is due is decided
//! by the run that it starts.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use crate::config::{Config, Name};
use crate::plan::next;
use crate::step::Step;

/// After a run that failed, or found another one at work, the next one comes after so many seconds. How long a step waits
/// after a failure is the run's own business.
const AGAIN: i64 = 300;
/// A CA is looked at at least this often, in seconds: a schedule may have changed, or a clock.
const AT_LEAST: i64 = 86_400;
/// A clock that goes back by more than this was set, in seconds.
const SKEW: i64 = 120;

/// A job and one of its CAs.
pub type Pair = (Name, Name);

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
}

impl Agenda {
    /// Takes over the CAs of a configuration. Those that are new are looked at now.
    pub fn update(&mut self, config: &Config, now: i64) {
        let mut at = BTreeMap::new();
        for job in config.jobs.values() {
            for ca in &job.cas {
                let pair = (job.name.clone(), ca.clone());
                let entry = self.at.remove(&pair);
                // What changed may be a schedule. A run that is at work goes on.
                let next = entry.and_then(|entry| if entry.next.is_none() { None } else { Some(now) });
                let next = if entry.is_none() { Some(now) } else { next };
                at.insert(pair, Entry { decided: now, next });
            }
        }
        self.at = at;
    }

    /// The CAs to be looked at now, those that wait longest first.
    #[must_use]
    pub fn due(&self, now: i64) -> Vec<Pair> {
        let is_due = |entry: &Entry| match entry.next {
            None => false,
            // A clock that was set back: what was decided counts no more.
            Some(next) => next <= now || now < entry.decided - SKEW,
        };
        let mut due: Vec<_> = self.at.iter().filter(|(_, entry)| is_due(entry)).collect();
        due.sort_by_key(|(_, entry)| entry.next);
        due.into_iter().map(|(pair, _)| pair.clone()).collect()
    }

    /// A run has begun.
    pub fn begins(&mut self, pair: &Pair, now: i64) {
        if let Some(entry) = self.at.get_mut(pair) {
            *entry = Entry { decided: now, next: None };
        }
    }

    /// A run has ended, well or not. The next one comes with the next slot of any step.
    pub fn ended(&mut self, config: &Config, pair: &Pair, is_well: bool, now: i64, zone: &TimeZone) {
        let Some(entry) = self.at.get_mut(pair) else { return };
        let job = config.jobs.get(&pair.0);
        let slots = job
            .into_iter()
            .flat_map(|job| Step::ALL.into_iter().filter_map(move |step| next(job, step, now, zone)));
        let soon = (!is_well).then_some(now + AGAIN);
        let at = slots.chain(soon).chain([now + AT_LEAST]).min();
        *entry = Entry { decided: now, next: at };
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
        agenda.ended(&config, &due[0], true, now + 5, &zone);
        agenda.ended(&config, &due[1], false, now + 5, &zone);
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
        agenda.ended(&old, &due[1], true, 1_000_000, &TimeZone::UTC);
        assert_eq!(agenda.due(1_000_100).len(), 0);
        agenda.update(&new, 1_000_100);
        assert_eq!(agenda.due(1_000_100), [due[1].clone()]);
    }
}
