//! The record of a run: a heading and the time for each step, and the sum of what was counted.
//!
//! Beside the time stands what the processors worked for the step. It says what a step costs also where the machine is
//! busy: a step of 100 s with 20 s of work waited for other programs, or for its own clock.

use std::fmt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::failure::Result;
use crate::tally::Tally;

/// What a step counted, and how it ended.
pub(crate) type Outcome = (Tally, Result<()>);

/// The steps so far.
#[derive(Default)]
pub(crate) struct Journal {
    steps: Vec<(&'static str, Spent, Tally)>,
    failed: bool,
}

impl Journal {
    /// Runs a step that counts its own tests, also after one that failed: no step hides what the next would say.
    pub(crate) fn step(&mut self, name: &'static str, run: impl FnOnce() -> Result<Outcome>) {
        println!("\n==== {name}");
        let start = Start::now();
        let (tally, ended) = run().unwrap_or_else(|failure| (Tally::ONE_FAILED, Err(failure)));
        let spent = start.spent();
        self.steps.push((name, spent, tally));
        match ended {
            Ok(()) => println!("---- {name}: {tally}, {}", seconds(spent.time)),
            Err(failure) => {
                self.failed = true;
                println!("---- {name} FAILED after {}: {failure}", seconds(spent.time));
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

    /// Prints how long each step took and what the processors worked for it, then `proven`, and as the last line the sum of what was counted.
    ///
    /// `ran_later` of the tests that an earlier step had skipped were run by a later one and are not called skipped.
    pub(crate) fn close(self, ran_later: u64, proven: &[String]) -> ExitCode {
        println!("\n==== summary");
        let mut total = Tally::default();
        let mut all = Spent::default();
        println!("{:<24} {:>9} {:>9}", "", "time", "work");
        for (name, spent, tally) in self.steps {
            println!("{name:<24} {spent}  {tally}");
            total += tally;
            all.time += spent.time;
            all.work += spent.work;
        }
        println!("{:<24} {all}", "all");
        for line in proven {
            println!("{line}");
        }
        total.skipped = total.skipped.saturating_sub(ran_later);
        println!("{total}");
        if self.failed || 0 < total.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

/// What a step took.
#[derive(Clone, Copy, Default)]
struct Spent {
    /// By the clock.
    time: Duration,
    /// By all processors, in the programs that the step started and waited for. Zero where the system does not say.
    work: Duration,
}

impl fmt::Display for Spent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:>9} {:>9}", seconds(self.time), seconds(self.work))
    }
}

/// The beginning of a step.
struct Start {
    time: Instant,
    work: Duration,
}

impl Start {
    fn now() -> Self {
        Self { time: Instant::now(), work: work_of_children() }
    }

    fn spent(&self) -> Spent {
        Spent { time: self.time.elapsed(), work: work_of_children().saturating_sub(self.work) }
    }
}

/// What the processors worked so far for programs that this one started and that have ended.
fn work_of_children() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    ticks_of_children(&stat)
        .map_or(Duration::ZERO, |ticks| Duration::from_millis(ticks * MILLISECONDS_A_TICK))
}

/// Linux tells programs of hundredths of a second, whatever its own clock does.
const MILLISECONDS_A_TICK: u64 = 10;

/// The fields `cutime` and `cstime`, the 16th and 17th of `/proc/PID/stat` (proc(5)). The second field is the name in
/// brackets, which may hold spaces and brackets itself, so that fields are counted from its last bracket.
fn ticks_of_children(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(13);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    user.checked_add(system)
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
    fn reads_the_work_of_children_also_behind_a_strange_name() {
        let stat = "7 (a (b) 9 c) S 1 7 7 0 -1 4194304 10 20 0 0 11 12 130 17 20 0 1 0 5 6 7";
        assert_eq!(ticks_of_children(stat), Some(147));
        assert_eq!(ticks_of_children("7 (cut) S 1 7"), None);
        assert_eq!(ticks_of_children(""), None);
    }

    #[test]
    fn what_needs_a_failed_set_up_is_not_begun() {
        let mut journal = Journal::default();
        assert!(journal.prepare("set-up", || Err::<(), _>(Failure::new("it fails"))).is_none());
        assert!(journal.failed);
    }
}
