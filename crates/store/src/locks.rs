//! The three lock files of a CA's folder. The system releases them when a process ends, however it ends.
//!
//! `lock` is held by the owner; `in-use.lock` is shared by whoever has the database open and exclusive for who puts
//! another file in its place; `commit.lock` is held for one commit or one roll, so that committers of several
//! processes queue instead of polling, and none of them commits in the middle of a roll.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::holder::{self, Holder, Serving};
use certadm_files::{IoContext, durable};

/// A lock held until it is dropped.
#[derive(Debug)]
pub struct Held {
    file: File,
}

impl Held {
    /// Leaves word where others reach the CA through its owner.
    pub(crate) fn say(&self, serving: &Serving) {
        holder::leave_word(&self.file, serving);
    }
}

impl Drop for Held {
    /// Unlocks explicitly: closing alone does not while a child of this process, between fork and exec, has the
    /// descriptor too.
    fn drop(&mut self) {
        unlock(&self.file).ok(); // closing follows and releases it as well
    }
}

/// Takes the owner's lock.
///
/// # Errors
/// [`Error::Owned`] (0x80070420) when another process or store holds it.
pub fn own(folder: &Folder) -> Result<Held> {
    let held = try_exclusive(&folder.owner_lock_path(), || owned(folder))?;
    holder::leave_word(&held.file, &Serving::default());
    Ok(held)
}

/// Whether somebody holds the owner's lock, `None` when that cannot be told. Asking shares the lock for a moment and
/// creates no file.
pub fn is_owned(folder: &Folder) -> Option<bool> {
    match File::open(folder.owner_lock_path()) {
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => Some(false),
            Err(TryLockError::WouldBlock) => Some(true),
            Err(TryLockError::Error(_)) => None,
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(false),
        Err(_) => None,
    }
}

/// Refuses while somebody holds the owner's lock, and does not take it.
///
/// # Errors
/// [`Error::Owned`] (0x80070420).
pub fn refuse_owned(folder: &Folder) -> Result<()> {
    if is_owned(folder) == Some(true) { Err(owned(folder)) } else { Ok(()) }
}

fn owned(folder: &Folder) -> Error {
    Error::Owned {
        folder: folder.path().to_owned(),
        holder: Holder::read(&folder.owner_lock_path()).map(Box::new),
    }
}

/// Whoever holds the owner's lock, as far as he has left word; `None` when nobody does, or when that cannot be told.
pub fn holder(folder: &Folder) -> Option<Holder> {
    if is_owned(folder) == Some(true) { Holder::read(&folder.owner_lock_path()) } else { None }
}

/// Says "I have the database open", unless somebody is replacing it.
pub(crate) fn use_database(folder: &Folder) -> Result<Held> {
    let path = folder.use_lock_path();
    let file = open(&path)?;
    match file.try_lock_shared() {
        Ok(()) => Ok(Held { file }),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { folder: folder.path().to_owned() }),
        Err(TryLockError::Error(error)) => Ok(Err(error).during("lock", &path)?),
    }
}

/// Makes sure nobody has the database open, for as long as the lock is held.
///
/// # Errors
/// [`Error::InUse`] while somebody has it open.
pub fn replace_database(folder: &Folder) -> Result<Held> {
    try_exclusive(&folder.use_lock_path(), || Error::InUse { folder: folder.path().to_owned() })
}

/// The commit lock of one connection; each has its own open file, so threads queue like processes.
#[derive(Debug)]
pub(crate) struct CommitLock {
    file: File,
    path: std::path::PathBuf,
}

impl CommitLock {
    pub(crate) fn open(folder: &Folder) -> Result<Self> {
        let path = folder.commit_lock_path();
        Ok(Self { file: open(&path)?, path })
    }

    /// Runs `work` while holding the lock; waits for whoever holds it.
    pub(crate) fn hold<T, E: From<Error>>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.file.lock().during("lock", &self.path).map_err(Error::from)?;
        let result = work();
        unlock(&self.file).during("unlock", &self.path).map_err(Error::from)?;
        result
    }
}

fn try_exclusive(path: &Path, refused: impl FnOnce() -> Error) -> Result<Held> {
    let file = open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Held { file }),
        Err(TryLockError::WouldBlock) => Err(refused()),
        Err(TryLockError::Error(error)) => Ok(Err(error).during("lock", path)?),
    }
}

fn unlock(file: &File) -> std::io::Result<()> {
    let unlocked = file.unlock();
    // The standard library unlocks twice on Windows, and knows only Windows' own word for "not locked any more"; that of
    // Wine is ERROR_LOCK_VIOLATION.
    #[cfg(windows)]
    let unlocked =
        unlocked.or_else(|error| if error.raw_os_error() == Some(33) { Ok(()) } else { Err(error) });
    unlocked
}

fn open(path: &Path) -> Result<File> {
    Ok(durable::open_or_create(path)?)
}
