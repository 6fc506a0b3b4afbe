//! The folder of a drill: made, kept, or removed, and what drills that were killed have left.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use certadm_files::{IoContext, durable, space};
use tempfile::TempDir;

use crate::failure::{Exit, Failure};
use crate::output::human_bytes;

const PREFIX: &str = "certadm-drill-";
/// Locked while the drill runs. A folder whose lock is free is that of a drill that was killed; one without, of a drill
/// that was to be kept.
const LOCK: &str = "drill.lock";

/// What a second of issuing may write, in bytes, for each worker.
const A_SECOND: u64 = 32 << 20;
/// How often the size of the database is there at the same time: the database, its logs, the set, the copy that a restore
/// makes.
const COPIES: u64 = 4;

/// The folder of a drill, which goes away with it unless it is kept.
pub(super) struct Place {
    // Closed before the folder goes away: Windows removes no open file.
    lock: File,
    dir: TempDir,
    /// What drills that were killed had left beside it, and what is gone now.
    pub(super) removed: Vec<PathBuf>,
}

impl Place {
    /// Makes it, after removing what killed drills have left in `within`.
    ///
    /// # Errors
    /// [`certadm_files::Error`].
    pub(super) fn make(within: &Path) -> Result<Self, Failure> {
        let removed = remove_abandoned(within);
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(within);
        let dir = dir.during("create a folder in", within)?;
        let path = dir.path().join(LOCK);
        let mut lock = durable::open_or_create(&path)?;
        lock.try_lock().map_err(std::io::Error::from).during("lock", &path)?;
        // A lock file without content is not locked yet.
        writeln!(lock, "{}", std::process::id()).during("write", &path)?;
        Ok(Self { lock, dir, removed })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Leaves the folder behind, also for the drills to come.
    pub(super) fn keep(self) -> PathBuf {
        drop(self.lock);
        let path = self.dir.keep();
        fs::remove_file(path.join(LOCK)).ok(); // then the next drill removes the folder, no more
        path
    }
}

/// Removes the folders of drills that were killed. What another account left stays.
fn remove_abandoned(within: &Path) -> Vec<PathBuf> {
    let mut removed = Vec::new();
    for entry in fs::read_dir(within).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_a_drills = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_a_drills && is_folder && is_abandoned(&path) && fs::remove_dir_all(&path).is_ok() {
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

/// Refuses a drill for which there is no room. How much is issued depends on the machine, so that this is an estimate; a
/// disk that fills up all the same ends the drill later.
///
/// # Errors
/// 0x80070070.
pub(super) fn check_space(within: &Path, size: u64, seconds: u16, workers: u16) -> Result<(), Failure> {
    let issued = A_SECOND * u64::from(seconds + 1) * u64::from(workers);
    let needed = COPIES * size + issued;
    match space::available(within)? {
        Some(free) if free < needed => {
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            let error = certadm_files::Error::Io {
                action: "make room for the drill in",
                path: within.to_owned(),
                source,
            };
            let failure = Failure::from(error);
            Err(Failure {
                message: format!(
                    "the drill needs about {} in {}, where {} are free",
                    human_bytes(needed),
                    within.display(),
                    human_bytes(free)
                ),
                remedy: MORE_ROOM.to_owned(),
                exit: Exit::Refused,
                ..failure
            })
        }
        _ => Ok(()),
    }
}

/// What to do about a disk that is too small for a drill.
pub(super) const MORE_ROOM: &str =
    "name a folder on a larger disk by --within DIR, or give a smaller --size, --seconds or --workers";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_killed_drills_left_is_removed_and_what_runs_or_was_kept_stays() {
        let within = tempfile::tempdir().unwrap();
        let dead = within.path().join("certadm-drill-dead");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK), "1\n").unwrap();
        let kept = Place::make(within.path()).unwrap();
        assert_eq!(kept.removed, [dead]);
        let kept = kept.keep();
        fs::create_dir(within.path().join("certadm-drill-just-begun")).unwrap();
        let running = Place::make(within.path()).unwrap();
        let other = Place::make(within.path()).unwrap();
        assert_eq!((running.removed.len(), other.removed.len()), (0, 0));
        assert!(kept.is_dir() && running.path().is_dir());
        drop((running, other));
        assert_eq!(fs::read_dir(within.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_drill_that_does_not_fit_is_refused() {
        let within = tempfile::tempdir().unwrap();
        let refused = check_space(within.path(), 1 << 40, 1, 1).unwrap_err();
        assert!(refused.message.contains("4.00 TiB") && refused.remedy.contains("--within"), "{refused}");
    }
}
