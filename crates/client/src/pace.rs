//! How long an answer may take in all: a peer that sends a little now and then is not waited for without end.

use std::time::{Duration, Instant};

/// An answer that comes more slowly than this many bytes a second uses up the patience.
const SLOWEST: u64 = 4096;

/// The waiting for one answer.
#[derive(Debug)]
pub(crate) struct Pace {
    begun: Instant,
    patience: Duration,
    delivered: u64,
}

impl Pace {
    /// Begins to wait. `patience` is for the peer to begin, and for every silence of it.
    pub(crate) fn new(patience: Duration) -> Self {
        Self { begun: Instant::now(), patience, delivered: 0 }
    }

    /// Notes bytes of the answer. What is around them does not count: fragments without content are no progress.
    pub(crate) const fn delivered(&mut self, bytes: usize) {
        self.delivered = self.delivered.saturating_add(bytes as u64);
    }

    /// How long the next bytes may take; nothing when the answer has taken too long.
    pub(crate) fn left(&self) -> Duration {
        let paid = Duration::from_millis(self.delivered.saturating_mul(1000) / SLOWEST);
        let granted = self.patience.saturating_add(paid);
        granted.saturating_sub(self.begun.elapsed()).min(self.patience)
    }

    /// How long the answer has been waited for, in whole seconds.
    pub(crate) fn seconds(&self) -> u64 {
        self.begun.elapsed().as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_alone_prolongs_the_waiting() {
        let patience = Duration::from_secs(10);
        let waited = |seconds: u64, delivered: usize| {
            let begun = Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
            let mut pace = Pace { begun, patience, delivered: 0 };
            pace.delivered(delivered);
            pace
        };
        assert!(waited(9, 0).left() > Duration::ZERO);
        assert_eq!(waited(11, 0).left(), Duration::ZERO);
        assert_eq!(waited(11, 4000).left(), Duration::ZERO);
        assert!(waited(11, 8192).left() > Duration::ZERO);
        assert_eq!(waited(0, usize::MAX).left(), patience);
        assert_eq!(waited(11, 0).seconds(), 11);
    }
}
