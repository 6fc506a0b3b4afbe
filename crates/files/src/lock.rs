//! Locks of whole files and folders, which the system releases when whoever holds them ends, however it ends. That somebody else
//! has a lock is an answer; that the system gives none, such as on a file system without locks, is an error.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::durable;
use crate::error::{IoContext, Result};

/// Takes the lock of the file at `path`, which is created where there is none; `None` while somebody else holds or shares it.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) when the file cannot be opened, or the system cannot lock it.
pub fn try_lock(path: &Path) -> Result<Option<File>> {
    let file = durable::open_or_create(path)?;
    Ok(try_exclusive(&file, path)?.then_some(file))
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

    #[test]
    fn a_system_that_cannot_lock_is_an_error_and_nobody_else() {
        let path = Path::new("/share/lock");
        let refused = answer(Err(TryLockError::Error(io::ErrorKind::Unsupported.into())), path);
        assert!(matches!(refused, Err(Error::Io { action: "lock", path: named, .. }) if named == path));
        assert!(try_lock(Path::new("/dev/null/lock")).is_err(), "no file can be there");
    }
}
