//! How far a long operation is.

/// What is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Database bytes are read from the CA and stored, or copied into place.
    Database,
    /// Log bytes likewise.
    Logs,
    /// What was stored is read back and compared.
    ReadBack,
    /// Files are read and compared with their hashes.
    Verify,
    /// The database is checked with its logs applied.
    Integrity,
    /// The database of a Windows CA is copied, to be recovered.
    Copy,
    /// Logs of a Windows CA are read to their end.
    CheckLogs,
    /// Logs of a Windows CA are replayed.
    Replay,
    /// Rows are listed or counted. Rows, not bytes, and how many there will be is not known.
    Rows,
    /// Logs are deleted at the CA.
    Truncate,
}

impl Stage {
    /// A word for a progress bar.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Database => "Database files",
            Self::Logs => "Log files",
            Self::ReadBack => "Reading back",
            Self::Verify => "Verifying",
            Self::Integrity => "Integrity check",
            Self::Copy => "Copying",
            Self::CheckLogs => "Checking logs",
            Self::Replay => "Replaying logs",
            Self::Rows => "Rows",
            Self::Truncate => "Truncating logs",
        }
    }
}

/// Is told how far a stage is. `total` is 0 where it is not known; both are bytes, but for [`Stage::Rows`].
pub trait Progress {
    /// `done` of `total` of `stage` are through.
    fn at(&mut self, stage: Stage, done: u64, total: u64);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn at(&mut self, _stage: Stage, _done: u64, _total: u64) {}
}
