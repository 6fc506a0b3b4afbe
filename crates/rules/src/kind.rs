//! What kind of backup it was, decided by whether its logs were truncated (certbcli.md 8.4, D25).

use std::fmt;

use crate::BackupType;

/// The kind of a finished backup, and with it the slot of the database header that its mark goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackupKind {
    /// Database and logs, logs truncated: the base of later logs-only backups.
    Full,
    /// Database and logs, logs kept: complete by itself, no base for later logs-only backups.
    Copy,
    /// Logs only, truncated: the next logs-only backup goes on where this one ends.
    Incremental,
    /// Logs only, kept: the next logs-only backup has the same logs again.
    Differential,
}

impl BackupKind {
    /// The kind of a backup of this type whose logs were truncated or not.
    #[must_use]
    pub const fn of(backup_type: BackupType, truncated: bool) -> Self {
        match (backup_type, truncated) {
            (BackupType::Full, true) => Self::Full,
            (BackupType::Full, false) => Self::Copy,
            (BackupType::LogsOnly, true) => Self::Incremental,
            (BackupType::LogsOnly, false) => Self::Differential,
        }
    }

    /// Whether later logs-only backups may build on it.
    #[must_use]
    pub const fn is_base(self) -> bool {
        matches!(self, Self::Full)
    }
}

impl fmt::Display for BackupKind {
    /// The engine's word for it: `full`, `copy`, `incremental`, `differential`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Copy => "copy",
            Self::Incremental => "incremental",
            Self::Differential => "differential",
        })
    }
}

/// The four slots of a database header that tell its last backups. `M` is what one slot holds: range, position, time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupMarks<M> {
    /// The last full backup.
    pub full: Option<M>,
    /// The last copy backup.
    pub copy: Option<M>,
    /// The last incremental backup since the full one.
    pub incremental: Option<M>,
    /// The last differential backup since the full one.
    pub differential: Option<M>,
}

impl<M> BackupMarks<M> {
    /// No backup so far.
    pub const NONE: Self = Self { full: None, copy: None, incremental: None, differential: None };

    /// Writes the mark of a backup into the slot of its kind; a full one clears incremental and differential. This
    /// belongs to `BackupEnd` and to no earlier call (certbcli.md 6.9).
    pub fn record(&mut self, kind: BackupKind, mark: M) {
        match kind {
            BackupKind::Full => {
                self.full = Some(mark);
                self.incremental = None;
                self.differential = None;
            }
            BackupKind::Copy => self.copy = Some(mark),
            BackupKind::Incremental => self.incremental = Some(mark),
            BackupKind::Differential => self.differential = Some(mark),
        }
    }
}

impl<M> BackupMarks<M> {
    /// The backups on record, each with its kind.
    pub fn iter(&self) -> impl Iterator<Item = (BackupKind, &M)> {
        let slots = [
            (BackupKind::Full, &self.full),
            (BackupKind::Copy, &self.copy),
            (BackupKind::Incremental, &self.incremental),
            (BackupKind::Differential, &self.differential),
        ];
        slots.into_iter().filter_map(|(kind, slot)| Some((kind, slot.as_ref()?)))
    }

    /// The four slots, each with its kind.
    pub fn slots_mut(&mut self) -> [(BackupKind, &mut Option<M>); 4] {
        [
            (BackupKind::Full, &mut self.full),
            (BackupKind::Copy, &mut self.copy),
            (BackupKind::Incremental, &mut self.incremental),
            (BackupKind::Differential, &mut self.differential),
        ]
    }
}

impl<M> Default for BackupMarks<M> {
    fn default() -> Self {
        Self { full: None, copy: None, incremental: None, differential: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncation_decides_the_kind() {
        assert_eq!(BackupKind::of(BackupType::Full, true), BackupKind::Full);
        assert_eq!(BackupKind::of(BackupType::Full, false), BackupKind::Copy);
        assert_eq!(BackupKind::of(BackupType::LogsOnly, true), BackupKind::Incremental);
        assert_eq!(BackupKind::of(BackupType::LogsOnly, false), BackupKind::Differential);
        assert!(BackupKind::Full.is_base() && !BackupKind::Copy.is_base());
    }

    #[test]
    fn each_kind_writes_its_slot_and_full_clears_two() {
        let mut marks = BackupMarks::default();
        marks.record(BackupKind::Copy, 1);
        assert_eq!(marks, BackupMarks { copy: Some(1), ..BackupMarks::NONE });
        marks.record(BackupKind::Full, 2);
        marks.record(BackupKind::Incremental, 3);
        marks.record(BackupKind::Differential, 4);
        marks.record(BackupKind::Copy, 5);
        let all = BackupMarks { full: Some(2), copy: Some(5), incremental: Some(3), differential: Some(4) };
        assert_eq!(marks, all);
        marks.record(BackupKind::Full, 6);
        assert_eq!(marks, BackupMarks { full: Some(6), copy: Some(5), ..BackupMarks::NONE });
    }
}
