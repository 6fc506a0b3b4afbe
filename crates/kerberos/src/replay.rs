//! Authenticators that came before (RFC 4120 3.2.3).

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::moment::KerberosTime;

/// Remembers authenticators for as long as their time could still be accepted. One for all connections of a server, in
/// memory alone.
///
/// When it is full, the oldest is forgotten. That, and a restart, open nothing: the third message of a handshake proves
/// that the client read an answer that was made for this connection, and no context exists before it (kerberos.md 4.1).
pub struct ReplayCache {
    capacity: usize,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    ids: HashSet<[u8; 32]>,
    /// The same, the oldest first, each with the time from which it may be forgotten.
    queue: VecDeque<([u8; 32], KerberosTime)>,
}

impl ReplayCache {
    /// Remembers at most so many.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, seen: Mutex::default() }
    }

    /// Whether this authenticator, as it travels, comes for the first time. It is remembered for `seconds`.
    pub fn is_new(&self, authenticator: &[u8], now: KerberosTime, seconds: i64) -> bool {
        let id = Sha256::digest(authenticator).into();
        // A thread that panicked left the cache as good as it was.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((oldest, until)) = seen.queue.front().copied()
            && (until < now || self.capacity <= seen.queue.len())
        {
            seen.queue.pop_front();
            seen.ids.remove(&oldest);
        }
        let is_new = seen.ids.insert(id);
        if is_new {
            seen.queue.push_back((id, now.plus(seconds)));
        }
        is_new
    }
}

impl Default for ReplayCache {
    /// For 100,000 authenticators, some 10 MB.
    fn default() -> Self {
        Self::new(100_000)
    }
}

impl fmt::Debug for ReplayCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayCache").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_once_until_its_time_is_over() {
        let cache = ReplayCache::new(10);
        let at = KerberosTime::from_unix_seconds;
        assert!(cache.is_new(b"a", at(0), 600));
        assert!(!cache.is_new(b"a", at(600), 600));
        assert!(cache.is_new(b"b", at(600), 600));
        assert!(cache.is_new(b"a", at(601), 600));
        assert!(!cache.is_new(b"b", at(700), 600));
    }

    #[test]
    fn a_full_cache_forgets_the_oldest() {
        let cache = ReplayCache::new(3);
        let at = KerberosTime::from_unix_seconds(0);
        for byte in 0..4_u8 {
            assert!(cache.is_new(&[byte], at, 600));
        }
        assert!(!cache.is_new(&[3], at, 600));
        assert!(cache.is_new(&[0], at, 600));
        assert!(cache.seen.lock().unwrap().queue.len() <= 3);
    }
}
