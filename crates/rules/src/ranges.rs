//! Which logs a backup lists and which it may delete (certbcli.md 8.3).

use std::fmt;
use std::ops::RangeInclusive;

use crate::{BackupType, Generation, Hresult};

/// A run of generations, both ends included; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GenerationRange {
    low: Generation,
    high: Generation,
}

impl GenerationRange {
    /// The range from `low` to `high`, or nothing when `low` is the higher one.
    #[must_use]
    pub fn new(low: Generation, high: Generation) -> Option<Self> {
        if low <= high { Some(Self { low, high }) } else { None }
    }

    /// The lowest generation, which belongs to the range.
    #[must_use]
    pub const fn low(self) -> Generation {
        self.low
    }

    /// The highest generation, which belongs to the range.
    #[must_use]
    pub const fn high(self) -> Generation {
        self.high
    }

    /// How many generations it has: 1 or more.
    #[must_use]
    pub const fn count(self) -> u32 {
        // No overflow: the numbers start at 1, so the widest range has u32::MAX of them.
        self.high.number() - self.low.number() + 1
    }

    /// Whether the generation lies in it.
    #[must_use]
    pub fn contains(self, generation: Generation) -> bool {
        self.low <= generation && generation <= self.high
    }

    /// Its generations, lowest first.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Generation> {
        self.numbers().filter_map(Generation::new)
    }

    const fn numbers(self) -> RangeInclusive<u32> {
        self.low.number()..=self.high.number()
    }
}

impl fmt::Display for GenerationRange {
    /// `0x5 to 0xa`, or `0x5` for one generation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.low == self.high {
            write!(f, "{}", self.low)
        } else {
            write!(f, "{} to {}", self.low, self.high)
        }
    }
}

/// Where a database's logs stand when a backup lists them: at the first `GetBackupLogs`, after its roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPosition {
    /// The generation the checkpoint was in when `BackupPrepare` ran; pinned since then.
    pub checkpoint_at_prepare: Generation,
    /// The generation the checkpoint is in now.
    pub checkpoint: Generation,
    /// The lowest archived generation on disk.
    pub first_archived: Generation,
    /// The generation of the current log, which the roll has just begun.
    pub current: Generation,
}

impl LogPosition {
    /// The logs that the backup lists, and that have to be copied: from the pinned checkpoint on for a full backup, all
    /// that are archived for a logs-only one. Whether each of them exists is for the caller to see.
    ///
    /// Nothing only for a position that cannot be: the roll has just closed one generation, so `current` is above the
    /// others.
    #[must_use]
    pub fn listed(&self, backup_type: BackupType) -> Option<GenerationRange> {
        let low = match backup_type {
            BackupType::Full => self.checkpoint_at_prepare,
            BackupType::LogsOnly => self.first_archived,
        };
        GenerationRange::new(low, self.current.previous()?)
    }

    /// The logs that `TruncateLogs` will delete, lowest first; nothing when none can go, which is a success too. It is
    /// fixed here, not at `TruncateLogs`.
    ///
    /// `keep_from` holds the deletion back further: the lowest generation that some attached database still needs, when
    /// that database was not copied in this backup.
    #[must_use]
    pub fn deletable(&self, keep_from: Option<Generation>) -> Option<GenerationRange> {
        let needed = self.checkpoint.min(self.current);
        let needed = keep_from.map_or(needed, |keep_from| needed.min(keep_from));
        GenerationRange::new(self.first_archived, needed.previous()?)
    }
}

/// Whether a logs-only backup would continue the ones before it: `first_archived` is the lowest archived generation on
/// disk, the others are the highest generations of the last full and of the last incremental backup.
///
/// # Errors
///
/// 0xC8000230 when no full backup is on record; 0xC8000239 when logs are missing between the last backup and the oldest
/// log on disk.
pub fn check_logs_only(
    first_archived: Generation,
    last_full: Option<Generation>,
    last_incremental: Option<Generation>,
) -> Result<(), Hresult> {
    let last_full = last_full.ok_or(Hresult::MISSING_FULL_BACKUP)?;
    let backed_up = last_incremental.map_or(last_full, |last_incremental| last_full.max(last_incremental));
    match backed_up.next() {
        Some(following) if following < first_archived => Err(Hresult::MISSING_FILE_TO_BACKUP),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn generation(number: u32) -> Generation {
        Generation::new(number).unwrap()
    }

    fn range(low: u32, high: u32) -> Option<GenerationRange> {
        GenerationRange::new(generation(low), generation(high))
    }

    fn position(
        checkpoint_at_prepare: u32,
        checkpoint: u32,
        first_archived: u32,
        current: u32,
    ) -> LogPosition {
        LogPosition {
            checkpoint_at_prepare: generation(checkpoint_at_prepare),
            checkpoint: generation(checkpoint),
            first_archived: generation(first_archived),
            current: generation(current),
        }
    }

    /// certbcli.md 18, "Log-range vectors": checkpoint 5, archived 3 to 9, current 10, so 11 after the roll.
    #[test]
    fn lists_and_deletes_the_vectors() {
        let position = position(5, 5, 3, 11);
        assert_eq!(position.listed(BackupType::Full), range(5, 10));
        assert_eq!(position.deletable(None), range(3, 4));
        assert_eq!(position.listed(BackupType::LogsOnly), range(3, 10));
        assert_eq!(check_logs_only(generation(3), Some(generation(6)), None), Ok(()));
        let gap = check_logs_only(generation(3), Some(generation(1)), None);
        assert_eq!(gap, Err(Hresult::MISSING_FILE_TO_BACKUP));
    }

    #[test]
    fn a_checkpoint_at_the_current_log_frees_all_archived_ones() {
        // D33: our store reads the checkpoint after the roll, where it normally equals the current generation.
        assert_eq!(position(5, 11, 3, 11).deletable(None), range(3, 10));
        assert_eq!(position(5, 12, 3, 11).deletable(None), range(3, 10));
    }

    #[test]
    fn deletes_nothing_where_nothing_can_go() {
        assert_eq!(position(3, 3, 3, 4).deletable(None), None);
        assert_eq!(position(1, 1, 1, 2).deletable(None), None);
        assert_eq!(position(5, 11, 3, 11).deletable(Some(generation(3))), None);
        assert_eq!(position(5, 11, 3, 11).deletable(Some(generation(1))), None);
    }

    #[test]
    fn holds_back_for_a_database_that_was_not_copied() {
        assert_eq!(position(5, 11, 3, 11).deletable(Some(generation(6))), range(3, 5));
        assert_eq!(position(5, 5, 3, 11).deletable(Some(generation(8))), range(3, 4));
    }

    #[test]
    fn logs_only_needs_a_full_backup_and_no_gap() {
        let check = |first, full: Option<u32>, incremental: Option<u32>| {
            check_logs_only(
                generation(first),
                full.and_then(Generation::new),
                incremental.and_then(Generation::new),
            )
        };
        assert_eq!(check(1, None, None), Err(Hresult::MISSING_FULL_BACKUP));
        assert_eq!(check(1, None, Some(9)), Err(Hresult::MISSING_FULL_BACKUP));
        assert_eq!(check(7, Some(6), None), Ok(()));
        assert_eq!(check(8, Some(6), None), Err(Hresult::MISSING_FILE_TO_BACKUP));
        assert_eq!(check(8, Some(6), Some(7)), Ok(()));
        assert_eq!(check(8, Some(7), Some(2)), Ok(()));
        assert_eq!(check(u32::MAX, Some(u32::MAX), None), Ok(()));
    }

    #[test]
    fn a_range_counts_both_ends() {
        let range = range(5, 10).unwrap();
        assert_eq!((range.low().number(), range.high().number(), range.count()), (5, 10, 6));
        assert_eq!(range.iter().map(Generation::number).collect::<Vec<_>>(), [5, 6, 7, 8, 9, 10]);
        assert!(
            range.contains(generation(5))
                && range.contains(generation(10))
                && !range.contains(generation(11))
        );
        assert_eq!(range.to_string(), "0x5 to 0xa");
        assert_eq!(GenerationRange::new(generation(7), generation(7)).unwrap().to_string(), "0x7");
        assert_eq!(GenerationRange::new(generation(2), generation(1)), None);
        let widest = GenerationRange::new(Generation::FIRST, generation(u32::MAX)).unwrap();
        assert_eq!(widest.count(), u32::MAX);
        assert_eq!(widest.iter().next_back(), Generation::new(u32::MAX));
    }

    #[test]
    fn an_impossible_position_lists_nothing() {
        assert_eq!(position(5, 5, 3, 5).listed(BackupType::Full), None);
        assert_eq!(position(1, 1, 1, 1).listed(BackupType::LogsOnly), None);
    }

    proptest! {
        /// What may be deleted lies below what a recovery from the checkpoint needs, and was listed or backed up before.
        #[test]
        fn never_deletes_at_or_above_the_checkpoint(first in 1u32..50, checkpoint in 1u32..60, closed in 0u32..20, keep in 0u32..60) {
            let current = first.max(checkpoint) + closed + 1;
            let position = position(checkpoint, checkpoint, first, current);
            let listed = position.listed(BackupType::LogsOnly).unwrap();
            prop_assert_eq!(listed.high().number(), current - 1);
            if let Some(deleted) = position.deletable(Generation::new(keep)) {
                prop_assert_eq!(deleted.low(), listed.low());
                prop_assert!(deleted.high().number() < checkpoint);
                prop_assert!(deleted.high() <= listed.high());
                prop_assert!(keep == 0 || deleted.high().number() < keep);
            }
        }
    }
}
