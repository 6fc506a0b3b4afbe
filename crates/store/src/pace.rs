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

/// How fast one backup may go on.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Bytes a second while the CA issues; 0 for as fast as it goes.
    rate: u64,
    /// Not before this may the next bytes be delivered.
    next: Instant,
}

impl Pace {
    pub(crate) fn new(rate: u64) -> Self {
        Self { rate, next: Instant::now() }
    }

    /// Waits its turn before `len` bytes are delivered.
    pub(crate) fn wait(&mut self, len: usize, commits: &Commits) {
        let now = Instant::now();
        if self.rate == 0 || !commits.are_coming_in() {
            self.next = now;
            return;
        }
        if let Some(rest) = self.next.checked_duration_since(now) {
            std::thread::sleep(rest);
        }
        let nanos = u128::from(len as u64) * 1_000_000_000 / u128::from(self.rate);
        let turn = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.next = self.next.max(now) + turn;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long it takes to deliver 100 KiB in ten pieces.
    fn delivered_in(rate: u64, commits: &Commits) -> Duration {
        let mut pace = Pace::new(rate);
        let begun = Instant::now();
        for _ in 0..10 {
            pace.wait(10 * 1024, commits);
        }
        begun.elapsed()
    }

    #[test]
    fn only_a_backup_beside_commits_is_held_back() {
        let commits = Commits::default();
        // At this rate nine turns would take 90 seconds.
        assert!(delivered_in(1024, &commits) < Duration::from_secs(60), "nobody commits");
        commits.happened();
        assert!(delivered_in(0, &commits) < Duration::from_secs(60), "no rate is set");
        // A busy machine makes it longer, never shorter; the last piece waits for nine turns of 5 ms.
        assert!(delivered_in(2 << 20, &commits) >= Duration::from_millis(40));
    }
}
