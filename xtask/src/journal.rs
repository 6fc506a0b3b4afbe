//! The record of a run: a heading and the time for each step, and the sum of what was counted.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::failure::Result;
use crate::tally::Tally;

/// What a step counted, and how it ended.
pub(crate) type Outcome = (Tally, Result<()>);

/// The steps so far.
#[derive(Default)]
pub(crate) struct Journal {
    steps: Vec<(&'static str, Duration, Tally)>,
    failed: bool,
}

impl Journal {
    /// Runs a step that counts its own tests, also after one that failed: no step hides what the next would say.
    pub(crate) fn step(&mut self, name: &'static str, run: impl FnOnce() -> Result<Outcome>) {
        println!("\n==== {name}");
        let start = Instant::now();
        let (tally, ended) = run().unwrap_or_else(|failure| (Tally::ONE_FAILED, Err(failure)));
        let time = start.elapsed();
        self.steps.push((name, time, tally));
        match ended {
            Ok(()) => println!("---- {name}: {tally}, {}", seconds(time)),
            Err(failure) => {
                self.failed = true;
                println!("---- {name} FAILED after {}: {failure}", seconds(time));
            }
        }
    }

    /// Runs a step that is one check: it passes or it fails.
    pub(crate) fn check(&mut self, name: &'static str, run: impl FnOnce() -> Result<()>) {
        self.step(name, || run().map(|()| (Tally::ONE_PASSED, Ok(()))));
    }

    /// Runs a step that prepares others: it counts only when it fails.
    pub(crate) fn prepare<T>(&mut self, name: &'static str, run: impl FnOnce() -> Result<T>) -> Option<T> {
        let mut prepared = None;
        self.step(name, || {
            prepared = Some(run()?);
            Ok((Tally::default(), Ok(())))
        });
        prepared
    }

    /// Prints how long each step took, then `proven`, and as the last line the sum of what was counted.
    ///
    /// `ran_later` of the tests that an earlier step had skipped were run by a later one and are not called skipped.
    pub(crate) fn close(self, ran_later: u64, proven: &[String]) -> ExitCode {
        println!("\n==== summary");
        let mut total = Tally::default();
        let mut time = Duration::ZERO;
        for (name, step_time, tally) in self.steps {
            println!("{name:<24} {:>8}  {tally}", seconds(step_time));
            total += tally;
            time += step_time;
        }
        println!("{:<24} {:>8}", "all", seconds(time));
        for line in proven {
            println!("{line}");
        }
        total.skipped = total.skipped.saturating_sub(ran_later);
        println!("{total}");
        if self.failed || 0 < total.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    #[test]
    fn a_failed_step_hides_no_later_one() {
        let mut journal = Journal::default();
        journal.check("first", || Err(Failure::new("it fails")));
        let mut ran = false;
        journal.check("second", || {
            ran = true;
            Ok(())
        });
        assert!(ran);
        let sum = journal.steps.iter().fold(Tally::default(), |mut sum, (_, _, tally)| {
            sum += *tally;
            sum
        });
        assert_eq!(sum, Tally { passed: 1, failed: 1, skipped: 0 });
        assert!(format!("{:?}", journal.close(0, &[])) == format!("{:?}", ExitCode::FAILURE));
    }

    #[test]
    fn what_needs_a_failed_set_up_is_not_begun() {
        let mut journal = Journal::default();
        assert!(journal.prepare("set-up", || Err::<(), _>(Failure::new("it fails"))).is_none());
        assert!(journal.failed);
    }
}
