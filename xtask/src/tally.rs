//! Counting: what the runners' own summary lines say, added up.

use std::fmt;
use std::ops::AddAssign;

/// How many tests passed, failed and were skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Tally {
    /// One check that passed.
    pub(crate) const ONE_PASSED: Self = Self { passed: 1, failed: 0, skipped: 0 };
    /// One check that failed.
    pub(crate) const ONE_FAILED: Self = Self { passed: 0, failed: 1, skipped: 0 };

    /// How many tests ran.
    pub(crate) const fn run(self) -> u64 {
        self.passed + self.failed
    }

    /// What one line of a runner's output counts, nothing for any other line.
    pub(crate) fn from_line(line: &str) -> Option<Self> {
        from_libtest(line).or_else(|| from_nextest(line))
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if 0 < self.skipped { write!(f, ", {} skipped", self.skipped) } else { Ok(()) }
    }
}

/// `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.03s`
fn from_libtest(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    sum(counts.split("; "))
}

/// `Summary [   0.3s] 12 tests run: 11 passed (1 slow), 1 failed, 1 skipped`
fn from_nextest(line: &str) -> Option<Tally> {
    let (_, rest) = line.trim_start().strip_prefix("Summary [")?.split_once("] ")?;
    let (head, counts) = rest.split_once(" run: ")?;
    if !head.ends_with("test") && !head.ends_with("tests") {
        return None;
    }
    sum(counts.split(", "))
}

/// Adds up parts such as `3 passed`, `2 passed (1 slow)`, `1 timed out`. A part that is no count of tests adds nothing.
fn sum<'a>(parts: impl Iterator<Item = &'a str>) -> Option<Tally> {
    let mut tally = Tally::default();
    for part in parts {
        let Some((number, kind)) = part.trim().split_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse::<u64>() else {
            continue;
        };
        if kind.starts_with("passed") {
            tally.passed += number;
        } else if kind.starts_with("ignored") || kind.starts_with("skipped") {
            tally.skipped += number;
        } else if ["failed", "timed out", "exec failed"].iter().any(|bad| kind.starts_with(bad)) {
            tally.failed += number;
        }
    }
    Some(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: u64, failed: u64, skipped: u64) -> Option<Tally> {
        Some(Tally { passed, failed, skipped })
    }

    #[test]
    fn reads_libtest() {
        let good =
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.03s";
        assert_eq!(Tally::from_line(good), tally(12, 0, 1));
        let bad =
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s";
        assert_eq!(Tally::from_line(bad), tally(4, 2, 0));
    }

    #[test]
    fn reads_nextest() {
        let good = "     Summary [   0.318s] 12 tests run: 12 passed (1 slow), 2 skipped";
        assert_eq!(Tally::from_line(good), tally(12, 0, 2));
        let bad =
            "     Summary [   1.0s] 5/9 tests run: 2 passed, 1 failed, 1 timed out, 1 exec failed, 0 skipped";
        assert_eq!(Tally::from_line(bad), tally(2, 3, 0));
        assert_eq!(
            Tally::from_line("     Summary [   0.0s] 1 test run: 1 passed, 0 skipped"),
            tally(1, 0, 0)
        );
    }

    #[test]
    fn other_lines_count_nothing() {
        for line in ["", "running 12 tests", "test a ... ok", "12 passed; 0 failed", "Summary of 3 passed"] {
            assert_eq!(Tally::from_line(line), None, "{line}");
        }
    }

    #[test]
    fn the_closing_line_names_skipped_tests_only_when_there_are_some() {
        let mut total = Tally { passed: 3, failed: 0, skipped: 0 };
        assert_eq!(total.to_string(), "3 passed, 0 failed");
        total += Tally { passed: 1, failed: 1, skipped: 2 };
        assert_eq!(total.to_string(), "4 passed, 1 failed, 2 skipped");
    }
}
