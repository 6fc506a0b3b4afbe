//! Locks of whole files and folders, which the system releases when whoever holds them ends, however it ends. That somebody else
//! has a lock is an answer; that the system gives none, such as on a file system without locks, is an error.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{IoContext, Result};
use crate::{cancel, durable};

/// How often a lock is tried again.
const GLANCE: Duration = Duration::from_millis(50);

/// Takes the lock of the file at `path`, which is created where there is none; `None` while somebody else holds or shares it.
///
/// Whoever holds it may remove the file. One that was removed between opening and locking is no lock of anything: the next one would
/// create another file and lock that.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) when the file cannot be opened, or the system cannot lock it.
pub fn try_lock(path: &Path) -> Result<Option<File>> {
    loop {
        let file = durable::open_or_create(path)?;
        if !try_exclusive(&file, path)? {
            return Ok(None);
        }
        if is_at(&file, path)? {
            return Ok(Some(file));
        }
    }
}

/// Whether an open file is the one that is at `path`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let opened = file.metadata().during("look at", path)?;
    // One that cannot be looked at is opened again, which tells why.
    Ok(path.symlink_metadata().is_ok_and(|there| (there.dev(), there.ino()) == (opened.dev(), opened.ino())))
}

/// A name of Windows goes when the last one has closed the file.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as on other systems")]
fn is_at(_file: &File, _path: &Path) -> Result<bool> {
    Ok(true)
}

/// Takes the lock of an open file or folder, which errors call `path`. False while somebody else holds or shares it.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) when the system cannot lock it.
pub fn try_exclusive(file: &File, path: &Path) -> Result<bool> {
    answer(file.try_lock(), path)
}

/// Shares the lock of an open file or folder, which errors call `path`. False while somebody else holds it alone.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) when the system cannot lock it.
pub fn try_shared(file: &File, path: &Path) -> Result<bool> {
    answer(file.try_lock_shared(), path)
}

/// Tries to take a lock for so long; `None` when somebody else had it all the time.
///
/// # Errors
/// What `take` returns, and [`Error::Cancelled`](crate::Error::Cancelled).
pub fn within<T, E: From<crate::Error>>(
    patience: Duration,
    mut take: impl FnMut() -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    let end = Instant::now() + patience;
    loop {
        match take()? {
            None if Instant::now() < end => {
                cancel::check()?;
                thread::sleep(GLANCE);
            }
            other => return Ok(other),
        }
    }
}

fn answer(tried: Result<(), TryLockError>, path: &Path) -> Result<bool> {
    match tried {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(source)) => Err(source).during("lock", path),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::{Error, scratch};

    #[test]
    fn a_lock_that_somebody_else_has_is_an_answer() {
        let dir = scratch::for_test();
        let path = dir.path().join("lock");
        let held = try_lock(&path).unwrap().unwrap();
        assert!(try_lock(&path).unwrap().is_none());
        let other = File::open(&path).unwrap();
        assert!(!try_shared(&other, &path).unwrap());
        drop(held);
        assert!(try_shared(&other, &path).unwrap());
        assert!(try_lock(&path).unwrap().is_none(), "it is shared");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_was_removed_is_no_lock() {
        let dir = scratch::for_test();
        let path = dir.path().join("lock");
        let removed = durable::open_or_create(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(!is_at(&removed, &path).unwrap());
        let held = try_lock(&path).unwrap().unwrap();
        assert!(is_at(&held, &path).unwrap() && !is_at(&removed, &path).unwrap());
    }

    #[test]
    fn a_system_that_cannot_lock_is_an_error_and_nobody_else() {
        let path = Path::new("/share/lock");
        let refused = answer(Err(TryLockError::Error(io::ErrorKind::Unsupported.into())), path);
        assert!(matches!(refused, Err(Error::Io { action: "lock", path: named, .. }) if named == path));
        assert!(try_lock(Path::new("/dev/null/lock")).is_err(), "no file can be there");
    }
}
