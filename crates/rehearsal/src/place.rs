//! The scratch folder of a rehearsal or a drill: made, kept, or removed, and what those that were killed have left.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use certadm_files::{IoContext, durable, space};
use tempfile::TempDir;

use crate::error::{Error, Result};

/// Locked while the folder is in use. A folder whose lock is free is that of a process that was killed; one without, one that
/// was to be kept.
const LOCK: &str = "scratch.lock";

/// What the folder is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A rehearsal of a set.
    Rehearsal,
    /// A drill.
    Drill,
}

impl Purpose {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Rehearsal => "certadm-rehearsal-",
            Self::Drill => "certadm-drill-",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Rehearsal => "rehearsal",
            Self::Drill => "drill",
        }
    }
}

/// A scratch folder, which goes away with this unless it is kept.
#[derive(Debug)]
pub struct Place {
    // Closed before the folder goes away: Windows removes no open file.
    lock: File,
    dir: TempDir,
    /// What processes that were killed had left beside it, and what is gone now.
    pub removed: Vec<PathBuf>,
}

impl Place {
    /// Makes it, after removing what killed processes have left in `within`.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn make(within: &Path, purpose: Purpose) -> Result<Self> {
        let removed = remove_abandoned(within, purpose);
        let dir = tempfile::Builder::new().prefix(purpose.prefix()).tempdir_in(within);
        let dir = dir.during("create a folder in", within)?;
        let path = dir.path().join(LOCK);
        let mut lock = durable::open_or_create(&path)?;
        lock.try_lock().map_err(std::io::Error::from).during("lock", &path)?;
        // A lock file without content is not locked yet.
        writeln!(lock, "{}", std::process::id()).during("write", &path)?;
        Ok(Self { lock, dir, removed })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Leaves the folder behind, also for those to come.
    #[must_use]
    pub fn keep(self) -> PathBuf {
        drop(self.lock);
        let path = self.dir.keep();
        fs::remove_file(path.join(LOCK)).ok(); // then the next one removes the folder, no more
        path
    }

    /// Removes the folder now.
    ///
    /// # Errors
    /// [`Error::File`] when something in it cannot be removed.
    pub fn remove(self) -> Result<()> {
        drop(self.lock);
        let path = self.dir.path().to_owned();
        Ok(self.dir.close().during("remove", &path)?)
    }
}

/// Removes the folders of processes that were killed. What another account left stays.
fn remove_abandoned(within: &Path, purpose: Purpose) -> Vec<PathBuf> {
    let mut removed = Vec::new();
    for entry in fs::read_dir(within).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_one = entry.file_name().to_str().is_some_and(|name| name.starts_with(purpose.prefix()));
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_one && is_folder && is_abandoned(&path) && fs::remove_dir_all(&path).is_ok() {
            removed.push(path);
        }
    }
    removed
}

fn is_abandoned(folder: &Path) -> bool {
    let path = folder.join(LOCK);
    let is_written = path.symlink_metadata().is_ok_and(|lock| lock.is_file() && 0 < lock.len());
    is_written && File::open(path).is_ok_and(|lock| lock.try_lock().is_ok())
}

/// Refuses work for which there is no room.
///
/// # Errors
/// [`Error::NoRoom`], [`Error::File`].
pub fn check_space(within: &Path, needed: u64, purpose: Purpose) -> Result<()> {
    match space::available(within)? {
        Some(free) if free < needed => {
            Err(Error::NoRoom { what: purpose.word(), path: within.to_owned(), needed, free })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_killed_processes_left_is_removed_and_what_runs_or_was_kept_stays() {
        let within = tempfile::tempdir().unwrap();
        let make = || Place::make(within.path(), Purpose::Drill).unwrap();
        let dead = within.path().join("certadm-drill-dead");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK), "1\n").unwrap();
        let kept = make();
        assert_eq!(kept.removed, [dead]);
        let kept = kept.keep();
        fs::create_dir(within.path().join("certadm-drill-just-begun")).unwrap();
        let running = make();
        let other = make();
        assert_eq!((running.removed.len(), other.removed.len()), (0, 0));
        // A rehearsal has folders of its own.
        let rehearsal = Place::make(within.path(), Purpose::Rehearsal).unwrap();
        assert!(kept.is_dir() && running.path().is_dir());
        rehearsal.remove().unwrap();
        drop((running, other));
        assert_eq!(fs::read_dir(within.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let within = tempfile::tempdir().unwrap();
        let refused = check_space(within.path(), 4 << 40, Purpose::Drill).unwrap_err();
        assert!(matches!(refused, Error::NoRoom { needed, .. } if needed == 4 << 40), "{refused}");
    }
}
