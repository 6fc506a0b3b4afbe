//! One run of the benchmarks: what it was asked for, and the rows that it has found.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::table::Row;

/// What to run.
pub(crate) struct Options {
    pub(crate) size: u64,
    pub(crate) rounds: usize,
    pub(crate) within: PathBuf,
    pub(crate) only: Vec<String>,
}

/// A run.
pub(crate) struct Bench {
    pub(crate) options: Options,
    pub(crate) certadm: PathBuf,
    pub(crate) root: PathBuf,
    pub(crate) rows: Vec<Row>,
}

impl Bench {
    /// Whether the rows of this name are wanted.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.options.only.is_empty() || self.options.only.iter().any(|only| only == name)
    }
}

/// Removes a folder, if there is one.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
