//! Scratch folders for copies of sets: their owner's alone, and gone when they are dropped.

use std::path::{Path, PathBuf};

use certadm_files::scratch::{self, ScratchFolder};
use certadm_files::{IoContext, durable, space, unfinished};

use crate::error::{Error, Result};

/// A scratch folder with one folder for a set in it.
#[derive(Debug)]
pub(crate) struct Scratch {
    dir: ScratchFolder,
    name: String,
}

impl Scratch {
    /// Makes a scratch folder in `parent`, which must have `needed` bytes of free space.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::File`].
    pub(crate) fn create(parent: &Path, needed: u64, name: &str) -> Result<Self> {
        let dir = folder(parent, needed)?;
        durable::create_new_dir(&dir.path().join(name))?;
        Ok(Self { dir, name: name.to_owned() })
    }

    /// The set's folder.
    pub(crate) fn set(&self) -> PathBuf {
        self.dir.path().join(&self.name)
    }

    /// The scratch folder by itself, which still goes away when it is dropped.
    pub(crate) fn into_folder(self) -> ScratchFolder {
        self.dir
    }
}

/// A folder of mode 0700 in `parent`. What killed processes have left there is removed.
///
/// # Errors
/// As [`Scratch::create`].
pub(crate) fn folder(parent: &Path, needed: u64) -> Result<ScratchFolder> {
    unfinished::remove_abandoned(parent).unwrap_or_default();
    if let Some(available) = space::available(parent)?.filter(|available| *available < needed) {
        return Err(Error::NoSpace { path: parent.to_owned(), needed, available });
    }
    Ok(scratch::folder_in(parent).during("create a scratch folder in", parent)?)
}
