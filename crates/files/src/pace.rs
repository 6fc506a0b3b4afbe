//! How fast bytes may go: for a line, or a CA, that others need, too.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::cancel;
use crate::error::Result;

/// How often it is looked whether the wait is to be broken off.
const GLANCE: Duration = Duration::from_millis(100);

/// A line that takes so many bytes a second.
#[derive(Debug)]
pub struct Pace {
    bytes_a_second: u64,
    line: Mutex<Line>,
}

#[derive(Debug)]
struct Line {
    /// When it is free again.
    free: Instant,
    /// What it has taken, in bytes.
    taken: u64,
}

impl Pace {
    /// The slowest speed that is of use for a backup, in bytes a second: the CA hears from a slower one too seldom.
    pub const SLOWEST: u64 = 16 << 10;

    /// A line that is free. It takes one byte a second at least.
    #[must_use]
    pub fn new(bytes_a_second: u64) -> Self {
        let line = Line { free: Instant::now(), taken: 0 };
        Self { bytes_a_second: bytes_a_second.max(1), line: Mutex::new(line) }
    }

    /// How many bytes it takes a second.
    #[must_use]
    pub const fn bytes_a_second(&self) -> u64 {
        self.bytes_a_second
    }

    /// How many bytes it has taken.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).taken
    }

    /// Takes the line for so many bytes from a moment on, and says when they may go. A line that was not used saves nothing
    /// up.
    #[must_use]
    pub fn take(&self, now: Instant, bytes: u64) -> Instant {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = line.free.max(now);
        let micros = u128::from(bytes) * 1_000_000 / u128::from(self.bytes_a_second);
        line.free = begin + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        line.taken = line.taken.saturating_add(bytes);
        begin
    }

    /// Takes the line for so many bytes, and waits until they may go.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`].
    pub fn wait(&self, bytes: u64) -> Result<()> {
        let begin = self.take(Instant::now(), bytes);
        loop {
            let left = begin.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            cancel::check()?;
            std::thread::sleep(left.min(GLANCE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_one_behind_the_other() {
        let now = Instant::now() + Duration::from_secs(1);
        let pace = Pace::new(1000);
        assert_eq!(pace.take(now, 500), now);
        assert_eq!(pace.take(now, 2000), now + Duration::from_millis(500));
        assert_eq!(pace.take(now, 0), now + Duration::from_millis(2500));
        let later = now + Duration::from_secs(60);
        assert_eq!(pace.take(later, 1), later, "a line that was not used saves nothing up");
        assert_eq!(pace.taken(), 2501);
    }

    /// Whoever asks when and for how much, the line never takes more than its speed, and a part that has begun.
    #[test]
    fn no_second_has_more_than_its_bytes() {
        let start = Instant::now() + Duration::from_secs(1);
        let pace = Pace::new(10_000);
        let (mut random, mut asked, mut gone) = (88_172_645_463_325_252_u64, start, Vec::new());
        for _ in 0..2000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let bytes = random % 3000;
            // Sometimes the caller is late.
            asked += Duration::from_millis(random >> 32 & 255);
            let begin = pace.take(asked, bytes);
            gone.push((begin, bytes));
            asked = asked.max(begin);
        }
        for (at, (begin, _)) in gone.iter().enumerate() {
            let window = gone[at..].iter().take_while(|(other, _)| *other < *begin + Duration::from_secs(1));
            let (count, bytes) = window.fold((0, 0), |(count, sum), (_, bytes)| (count + 1, sum + bytes));
            let last = gone[at + count - 1].1;
            assert!(bytes - last <= 10_000, "{bytes} bytes in a second, the last part {last}");
        }
    }
}
