//! How often something may happen: at once a few times, then at a steady pace, counted per key.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::brake::network;
use crate::identity::Identity;
use crate::limits::{ALL_LINES_AT_ONCE, ALL_LINES_EVERY, LINE_EVERY, LINES_AT_ONCE, RATED_KEYS};

/// A pace for each key. Keys that have used nothing up are forgotten.
#[derive(Debug)]
pub(crate) struct Rates<K> {
    at_once: u32,
    every: Duration,
    table: Mutex<HashMap<K, Use>>,
}

#[derive(Debug, Clone, Copy)]
struct Use {
    /// When all that was used will have been given back.
    until: Instant,
    /// What was refused since the last that was not.
    refused: u64,
}

impl<K: Clone + Eq + Hash> Rates<K> {
    /// `at_once` of a key, and one more for each `every` that passes.
    pub(crate) fn new(at_once: u32, every: Duration) -> Self {
        Self { at_once, every, table: Mutex::default() }
    }

    /// Takes one, also where it is not due yet; answers how long to wait for it.
    pub(crate) fn book(&self, key: K, now: Instant) -> Duration {
        self.with(key, now, |used, at_once, every| {
            used.until += every;
            used.until.saturating_duration_since(now + every * at_once)
        })
    }

    /// Takes one if it is due; answers how many were refused since the last one, or none when this one is refused.
    pub(crate) fn take(&self, key: K, now: Instant) -> Option<u64> {
        self.with(key, now, |used, at_once, every| {
            if now + every * at_once < used.until + every {
                used.refused = used.refused.saturating_add(1);
                return None;
            }
            used.until += every;
            Some(std::mem::take(&mut used.refused))
        })
    }

    fn with<T>(&self, key: K, now: Instant, change: impl FnOnce(&mut Use, u32, Duration) -> T) -> T {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if RATED_KEYS <= table.len() && !table.contains_key(&key) {
            table.retain(|_, used| now < used.until);
            if RATED_KEYS <= table.len() {
                // All are in use: the one that has used the least loses nothing but what it is owed.
                let least = table.iter().min_by_key(|(_, used)| used.until).map(|(key, _)| key.clone());
                least.map(|least| table.remove(&least));
            }
        }
        let used = table.entry(key).or_insert(Use { until: now, refused: 0 });
        used.until = used.until.max(now);
        change(used, self.at_once, self.every)
    }
}

/// Whom a line of the log is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum About {
    Address(IpAddr),
    Caller(Identity),
    Nobody,
}

/// How many lines others can make the log have.
#[derive(Debug)]
pub(crate) struct Lines {
    each: Rates<About>,
    /// About all peers together that have proven nothing: they may come from many addresses.
    peers: Rates<()>,
}

impl Lines {
    pub(crate) fn new() -> Self {
        Self {
            each: Rates::new(LINES_AT_ONCE, LINE_EVERY),
            peers: Rates::new(ALL_LINES_AT_ONCE, ALL_LINES_EVERY),
        }
    }

    /// Whether a line about a peer that has proven nothing may be written: how many were left out before it.
    pub(crate) fn about_peer(&self, address: Option<IpAddr>, now: Instant) -> Option<u64> {
        let about = address.map_or(About::Nobody, |address| About::Address(network(address)));
        let before = self.each.take(about, now)?;
        Some(before + self.peers.take((), now)?)
    }

    /// The same for a caller.
    pub(crate) fn about_caller(&self, caller: &Identity, now: Instant) -> Option<u64> {
        self.each.take(About::Caller(caller.clone()), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_at_once_then_one_at_a_time() {
        let every = Duration::from_secs(2);
        let rates = Rates::new(3, every);
        let now = Instant::now();
        assert_eq!([0; 5].map(|_| rates.take("a", now)), [Some(0), Some(0), Some(0), None, None]);
        assert_eq!(rates.take("b", now), Some(0));
        assert_eq!(rates.take("a", now + every), Some(2));
        assert_eq!(rates.take("a", now + every), None);
        let waits = [0; 5].map(|_| rates.book("c", now).as_secs());
        assert_eq!(waits, [0, 0, 0, 2, 4]);
        assert_eq!(rates.book("c", now + every * 10), Duration::ZERO);
    }

    /// A client writes the name of its account as it likes.
    #[test]
    fn another_spelling_of_the_same_account_is_no_other_caller() {
        let caller = |name: &str, number| Identity::Account {
            name: name.to_owned(),
            incarnation: crate::identity::Incarnation(number),
        };
        let rates = Rates::new(2, Duration::from_secs(1));
        let now = Instant::now();
        let spelled = ["backup", "Backup", "BACKUP"].map(|name| rates.take(caller(name, 1), now));
        assert_eq!(spelled, [Some(0), Some(0), None]);
        assert_eq!(rates.take(caller("backup", 2), now), Some(0), "an account that was added again");
        let local = [0, 1, 2].map(|gid| rates.take(Identity::Local { uid: 7, gid }, now));
        assert_eq!(local, [Some(0), Some(0), None]);
    }

    #[test]
    fn keys_are_bounded() {
        let rates = Rates::new(1, Duration::from_secs(1));
        let now = Instant::now();
        for key in 0..2 * RATED_KEYS {
            rates.take(key, now);
        }
        assert_eq!(rates.table.lock().unwrap().len(), RATED_KEYS);
        rates.take(usize::MAX, now + Duration::from_secs(2));
        assert_eq!(rates.table.lock().unwrap().len(), 1);
    }
}
