//! The names of what is under construction: who builds it, and whether he is still there.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{IoContext, Result};

/// The end of a name that says who builds: `.unfinished-4711`. A name that begins with a dot and ends so is removed by
/// [`remove_abandoned`] once that process is gone.
#[must_use]
pub fn ending() -> String {
    format!(".unfinished-{}", std::process::id())
}

/// Locks what is under construction, for as long as the file lives, so that others can tell it from what a killed process
/// has left. Systems that cannot lock folders go without.
#[must_use]
pub fn hold(building: &Path) -> Option<File> {
    File::open(building).ok().filter(|file| file.try_lock().is_ok())
}

/// The names with this process's number that it has given itself and that are at work, each with how many folders have it. In a
/// container every process may have the same number, so that number alone does not tell what an earlier one has left.
static OWN: Mutex<BTreeMap<OsString, usize>> = Mutex::new(BTreeMap::new());

/// [`OWN`], locked: between the making of something and the noting of its name, nobody of this process removes it.
pub(crate) struct OwnNames(MutexGuard<'static, BTreeMap<OsString, usize>>);

impl OwnNames {
    pub(crate) fn lock() -> Self {
        Self(OWN.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes what this process has made.
    pub(crate) fn add(&mut self, made: &Path) {
        if let Some(name) = made.file_name() {
            *self.0.entry(name.to_owned()).or_default() += 1;
        }
    }

    /// Notes that it is gone, or has another name: once for each [`OwnNames::add`].
    pub(crate) fn forget(&mut self, path: &Path) {
        let Some(name) = path.file_name() else { return };
        match self.0.get_mut(name) {
            Some(folders @ 2..) => *folders -= 1,
            _ => drop(self.0.remove(name)),
        }
    }

    pub(crate) fn has(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| self.0.contains_key(name))
    }

    /// Makes room for something of this name, if what has it was left by an earlier process of the same number.
    pub(crate) fn remove_leftover(&self, path: &Path) -> Result<()> {
        if !self.has(path)
            && let Ok(metadata) = path.symlink_metadata()
            && (metadata.is_dir() || metadata.is_file())
            && let Some(_held) = hold(path)
        {
            remove(path, &metadata)?;
        }
        Ok(())
    }
}

pub(crate) fn remove(path: &Path, metadata: &fs::Metadata) -> Result<()> {
    if metadata.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.during("remove", path)
}

/// Removes the files and folders under construction in `dir` whose processes are gone, and returns them. What a running process
/// of this machine builds stays, and so does what is locked: by another machine too, where the file system shares locks.
///
/// # Errors
/// [`crate::Error::Io`].
pub fn remove_abandoned(dir: &Path) -> Result<Vec<PathBuf>> {
    remove_abandoned_of(dir, usize::MAX, |_| true)
}

/// As [`remove_abandoned`], of those whose names `is_meant` tells, among the first `most` entries of the folder.
pub(crate) fn remove_abandoned_of(
    dir: &Path,
    most: usize,
    is_meant: impl Fn(&OsStr) -> bool,
) -> Result<Vec<PathBuf>> {
    let mut removed = Vec::new();
    for entry in fs::read_dir(dir).during("list", dir)?.take(most) {
        let entry = entry.during("list", dir)?;
        if !is_meant(&entry.file_name()) {
            continue;
        }
        let path = entry.path();
        let Ok(metadata) = path.symlink_metadata() else { continue };
        let Some(process) = builder_of(&path).filter(|_| metadata.is_dir() || metadata.is_file()) else {
            continue;
        };
        // Until it is removed, nobody of this process makes that name.
        let own = OwnNames::lock();
        // What is at work is not locked even for a moment: it could not lock what it has just made.
        let is_of_earlier = process == std::process::id() && cfg!(unix) && !own.has(&path);
        if !is_of_earlier && is_running(process) {
            continue;
        }
        // Another process of this number may be at work in another container.
        let Some(_held) = hold(&path) else { continue };
        remove(&path, &metadata)?;
        removed.push(path);
    }
    Ok(removed)
}

/// Whether a name is that of something under construction, or that a killed process has left.
#[must_use]
pub fn is_named_so(path: &Path) -> bool {
    builder_of(path).is_some()
}

/// The process that builds what has such a name.
fn builder_of(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_string_lossy();
    let (_, process) = name.strip_prefix('.')?.rsplit_once(".unfinished-")?;
    process.parse().ok()
}

#[cfg(unix)]
fn is_running(process: u32) -> bool {
    let process = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw);
    // A process of another account may not be signalled, and is there all the same.
    process.is_some_and(|process| {
        rustix::process::test_kill_process(process) != Err(rustix::io::Errno::SRCH) && !is_over(process)
    })
}

/// Whether a process has ended, and its parent has not asked for its end: in a container perhaps nobody ever does. Where the
/// system does not tell, it has not.
#[cfg(unix)]
fn is_over(process: rustix::process::Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap_or_default();
    // The program's name stands in brackets before the state, and may hold anything.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// Nothing is removed where processes cannot be asked for.
#[cfg(not(unix))]
fn is_running(_process: u32) -> bool {
    true
}
