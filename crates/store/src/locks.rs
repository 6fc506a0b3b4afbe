//! The three lock files of a CA's folder. The system releases them when a process ends, however it ends.
//!
//! `lock` is held by the owner; `in-use.lock` is shared by whoever has the database open and exclusive for who puts
//! another file in its place; `commit.lock` is held for one commit or one roll, so that committers of several
//! processes queue instead of polling, and none of them commits in the middle of a roll.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::error::{Error, Result};
use crate::folder::Folder;
use certadm_files::{IoContext, durable};

/// A lock held until it is dropped.
#[derive(Debug)]
pub struct Held {
    file: File,
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
    leave_word(&held.file);
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
    Error::Owned { folder: folder.path().to_owned(), holder: holder_in(&folder.owner_lock_path()) }
}

/// Writes into the lock file who holds it. Best effort: only a message needs it.
fn leave_word(file: &File) {
    #[cfg(unix)]
    {
        use certadm_files::OffsetIo;
        let program = std::env::current_exe().ok();
        let program = program.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
        let since = crate::time::now().to_rfc3339();
        let text =
            format!("{}, process {}, since {since}\n", program.unwrap_or("a program"), std::process::id());
        file.set_len(0).and_then(|()| file.write_all_at(text.as_bytes(), 0)).ok();
    }
    // A locked file cannot be read on Windows.
    #[cfg(not(unix))]
    let _ = file;
}

/// What the holder of a lock has left in it.
fn holder_in(path: &Path) -> Option<String> {
    const LONGEST: u64 = 200;
    let bytes = certadm_files::read::bounded(path, LONGEST).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let text = text.trim_end();
    (!text.is_empty() && text.chars().all(|letter| letter.is_ascii_graphic() || letter == ' '))
        .then(|| text.to_owned())
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
