//! RPO and RTO: what would be lost, and how long it takes (recovery.md 8.2, step 11).

use certadm_rules::span::rounded;
use certadm_rules::{CLOCK_TOLERANCE, FileTime, Hresult};

use crate::step::{Notes, Trouble};
use crate::wishes::Wishes;

/// What was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// When the last set was taken, as far as it says.
    pub taken: Option<FileTime>,
    /// The newest moment in the database.
    pub newest: Option<FileTime>,
    /// Seconds between the newer of the two and the rehearsal: what a loss would take now. Less than 0 when the clock is
    /// wrong; nothing where neither is known.
    pub rpo_seconds: Option<i64>,
    /// Seconds of the steps 1 to 7.
    pub machine_seconds: f64,
    /// With what people need.
    pub rto_seconds: f64,
}

impl Times {
    pub(crate) fn of(
        taken: Option<FileTime>,
        newest: Option<FileTime>,
        machine_seconds: f64,
        wishes: &Wishes,
    ) -> Self {
        // A row that was written while the clock was ahead stays in the database for good. The date of the set tells whether the clock
        // is wrong still.
        let is_believed = |newest: &FileTime| taken.is_none() || !newest.is_ahead_of(wishes.now);
        let until = taken.max(newest.filter(is_believed));
        Self {
            taken,
            newest,
            rpo_seconds: until.map(|until| wishes.now.unix_seconds().saturating_sub(until.unix_seconds())),
            machine_seconds,
            rto_seconds: machine_seconds + wishes.limits.by_hand.as_secs_f64(),
        }
    }
}

/// Compares with the limits, and the clock with itself.
pub(crate) fn late(times: &Times, wishes: &Wishes, notes: &mut Notes) -> Result<(), Trouble> {
    let rpo = times.rpo_seconds.map_or_else(|| "not known".to_owned(), rounded);
    let by_hand = wishes.limits.by_hand.as_secs();
    let with_hands = match by_hand {
        0 => ", without what people do".to_owned(),
        seconds => {
            format!(", with {} for what people do", rounded(i64::try_from(seconds).unwrap_or(i64::MAX)))
        }
    };
    notes.detail = format!("RPO {rpo}; RTO {:.1} s{with_hands}", times.rto_seconds);
    let clock = |text: String| {
        Err(Trouble::fail(
            Hresult::ERROR_TIME_SKEW,
            text,
            "set the clocks of this machine and of the CA, then rehearse again",
        ))
    };
    if let Some(ahead) = times.rpo_seconds.filter(|seconds| *seconds < -CLOCK_TOLERANCE) {
        return clock(format!("the backup is dated {} after now: a clock is or was wrong", rounded(-ahead)));
    }
    if let Some(last) = &wishes.previous
        && last.ended.is_ahead_of(wishes.now)
    {
        let ended = last.ended.to_rfc3339();
        return clock(format!("the last rehearsal ended at {ended}, after now: a clock is or was wrong"));
    }
    let mut over = Vec::new();
    if let Some(limit) = wishes.limits.rpo {
        match times.rpo_seconds {
            Some(seconds) if u64::try_from(seconds).unwrap_or(0) <= limit.as_secs() => {}
            _ => over.push(format!("RPO is {rpo}, the limit {}", span_of(limit))),
        }
    }
    if let Some(limit) = wishes.limits.rto
        && limit.as_secs_f64() < times.rto_seconds
    {
        over.push(format!("RTO is {:.1} s, the limit {}", times.rto_seconds, span_of(limit)));
    }
    if over.is_empty() {
        return Ok(());
    }
    let remedy =
        "back up more often for the RPO; take full backups more often, or use a faster disk, for the RTO";
    Err(Trouble::fail(Hresult::E_FAIL, over.join("; "), remedy))
}

fn span_of(limit: std::time::Duration) -> String {
    rounded(i64::try_from(limit.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_a_wrong_clock_tells_nothing_of_a_set_that_is_dated_right() {
        let at = FileTime::from_unix_seconds;
        let wishes = Wishes::new(Vec::new(), at(10_000));
        let rpo =
            |taken: Option<i64>, newest| Times::of(taken.map(at), Some(at(newest)), 0.0, &wishes).rpo_seconds;
        assert_eq!(rpo(Some(9_000), 8_000), Some(1_000));
        assert_eq!(rpo(Some(9_000), 9_500), Some(500));
        assert_eq!(rpo(Some(9_000), 90_000), Some(1_000));
        assert_eq!(rpo(Some(90_000), 8_000), Some(-80_000));
        assert_eq!(rpo(None, 90_000), Some(-80_000), "nothing else tells when it was taken");
    }
}
