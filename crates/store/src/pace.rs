//! A backup makes way for issuing: while commits come in, it reads no faster than a set rate.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So long after a commit the CA counts as issuing.
const ISSUING: Duration = Duration::from_millis(100);

/// When this process committed last, if ever.
#[derive(Debug, Default)]
pub(crate) struct Commits(Mutex<Option<Instant>>);

impl Commits {
    pub(crate) fn happened(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn are_coming_in(&self) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() < ISSUING)
    }
}

/// How much of the time that a backup needed for something else it may catch up with: its rate is one of the long run then, and
/// what it reads at once stays short.
const CREDIT: Duration = Duration::from_millis(100);

/// How fast one backup may go on.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Bytes a second while the CA issues; 0 for as fast as it goes.
    rate: u64,
    /// Not before this may the next bytes be read.
    next: Instant,
}

impl Pace {
    pub(crate) fn new(rate: u64) -> Self {
        Self { rate, next: Instant::now() }
    }

    /// Waits its turn before bytes are read.
    pub(crate) fn wait(&mut self, commits: &Commits) {
        let now = Instant::now();
        if self.rate == 0 || !commits.are_coming_in() {
            self.next = now;
        } else if let Some(rest) = self.next.checked_duration_since(now) {
            std::thread::sleep(rest);
        }
    }

    /// Counts what was read, which may be less than there was room for, or nothing: the end of a file costs no turn.
    pub(crate) fn has_read(&mut self, len: usize) {
        if self.rate == 0 {
            return;
        }
        let nanos = u128::from(len as u64) * 1_000_000_000 / u128::from(self.rate);
        let turn = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let now = Instant::now();
        self.next = self.next.max(now.checked_sub(CREDIT).unwrap_or(now)) + turn;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long it takes to read ten pieces of 10 KiB, while certificates are issued or while none is.
    fn read_in(rate: u64, is_issuing: bool) -> Duration {
        let (mut pace, commits) = (Pace::new(rate), Commits::default());
        let begun = Instant::now();
        for _ in 0..10 {
            if is_issuing {
                commits.happened();
            }
            pace.wait(&commits);
            pace.has_read(10 * 1024);
        }
        begun.elapsed()
    }

    #[test]
    fn only_a_backup_beside_commits_is_held_back() {
        // At this rate nine turns would take 90 seconds.
        assert!(read_in(1024, false) < Duration::from_secs(60), "nobody commits");
        assert!(read_in(0, true) < Duration::from_secs(60), "no rate is set");
        // A busy machine makes it longer, never shorter; the last piece waits for nine turns of 50 ms, but for what may be made up for.
        assert!(read_in(200 << 10, true) >= Duration::from_millis(450) - CREDIT);
    }

    #[test]
    fn what_was_not_read_is_not_counted() {
        let commits = Commits::default();
        let mut pace = Pace::new(1);
        let begun = pace.next;
        pace.wait(&commits);
        pace.has_read(0);
        assert!(pace.next <= Instant::now(), "a turn for nothing");
        pace.has_read(1000);
        assert!(pace.next >= begun + Duration::from_secs(1000) - CREDIT, "no turn for what was read");
    }

    #[test]
    fn time_that_was_lost_is_made_up_for_within_the_credit() {
        let mut pace = Pace::new(1 << 20);
        let Some(long_ago) = Instant::now().checked_sub(Duration::from_secs(10)) else { return };
        pace.next = long_ago;
        pace.has_read(1 << 20);
        let ahead = pace.next.saturating_duration_since(Instant::now());
        assert!(ahead <= Duration::from_secs(1) - CREDIT, "{ahead:?}");
        // Not all of the ten seconds: a long rest would be followed by a long burst.
        pace.next = long_ago;
        let before = Instant::now();
        pace.has_read(0);
        assert!(pace.next >= before.checked_sub(CREDIT).unwrap_or(before));
    }
}
