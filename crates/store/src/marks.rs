//! The backup marks in the database: which backups count as a base (certbcli.md 8.4).

use certadm_rules::GenerationRange;

use certadm_rules::FileTime;

/// A backup the database remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The generations of the backup.
    pub range: GenerationRange,
    /// When it ended.
    pub taken: FileTime,
}
