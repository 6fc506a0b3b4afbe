//! The backup marks in the database: which backups count as a base (certbcli.md 8.4).

use certadm_proto::csra::Generation;

use crate::time::FileTime;

/// The slot of a mark: what truncation made of the backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkKind {
    /// Full, logs truncated: the base of logs-only backups.
    Full,
    /// Full, logs kept: no base.
    Copy,
    /// Logs only, logs truncated.
    Incremental,
    /// Logs only, logs kept.
    Differential,
}

impl MarkKind {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Full, Self::Copy, Self::Incremental, Self::Differential];

    /// The word that stands for it in the database and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Copy => "copy",
            Self::Incremental => "incremental",
            Self::Differential => "differential",
        }
    }
}

/// A backup the database remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Lowest generation of the backup.
    pub low: Generation,
    /// Highest generation of the backup.
    pub high: Generation,
    /// When it ended.
    pub taken: FileTime,
}
