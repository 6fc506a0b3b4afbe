//! Scratch folders for copies of sets: their owner's alone, and gone when they are dropped.

use std::fs::File;
use std::path::{Path, PathBuf};

use certadm_files::{IoContext, durable, scratch, space, unfinished};
use tempfile::TempDir;

use crate::error::{Error, Result};

/// A scratch folder with one folder for a set in it.
#[derive(Debug)]
pub(crate) struct Scratch {
    dir: TempDir,
    name: String,
    /// The lock that tells others that it is in use.
    _held: Option<File>,
}

impl Scratch {
    /// Makes a scratch folder in `parent`, which must have `needed` bytes of free space.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::File`].
    pub(crate) fn create(parent: &Path, needed: u64, name: &str) -> Result<Self> {
        let dir = folder(parent, needed)?;
        durable::create_new_dir(&dir.path().join(name))?;
        Ok(Self { _held: unfinished::hold(dir.path()), dir, name: name.to_owned() })
    }

    /// The set's folder.
    pub(crate) fn set(&self) -> PathBuf {
        self.dir.path().join(&self.name)
    }

    /// The scratch folder by itself, which still goes away when it is dropped.
    pub(crate) fn into_folder(self) -> TempDir {
        self.dir
    }
}

/// A folder of mode 0700 in `parent`. What killed processes have left there is removed.
///
/// # Errors
/// As [`Scratch::create`].
pub(crate) fn folder(parent: &Path, needed: u64) -> Result<TempDir> {
    unfinished::remove_abandoned(parent).unwrap_or_default();
    if let Some(available) = space::available(parent)?.filter(|available| *available < needed) {
        return Err(Error::NoSpace { path: parent.to_owned(), needed, available });
    }
    Ok(scratch::folder_in(parent).during("create a scratch folder in", parent)?)
}
