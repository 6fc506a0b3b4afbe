//! Files that are written aside and then get their name, each under a temporary name of its own.

use std::collections::hash_map::RandomState;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};

use crate::error::{IoContext, Result};
use crate::own_names::{self, OwnNames};

/// A file of this process alone beside the one that it becomes: `.name.1a2b3c4d.unfinished-4711`. It goes away when it is dropped; what
/// a killed process has left goes with the next try for the same name, or as whatever else is unfinished.
pub(crate) struct Temporary {
    path: PathBuf,
    /// Locked while it is there, so that others can tell it from what a killed process has left.
    _held: Option<File>,
}

impl Temporary {
    /// Opens a new one for this target by `open`.
    pub(crate) fn open(target: &Path, open: impl FnOnce(&Path) -> Result<File>) -> Result<(Self, File)> {
        let mut begin = OsString::from(".");
        begin.push(target.file_name().unwrap_or_default());
        begin.push(".");
        let dir = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Best effort: a folder that cannot be listed can be written to.
        own_names::remove_abandoned_of(dir, |name| is_temporary_of(&begin, name)).unwrap_or_default();
        let mut name = begin;
        name.push(format!("{:08x}{}", RandomState::new().build_hasher().finish() >> 32, own_names::ending()));
        let path = target.with_file_name(name);
        let mut own = OwnNames::lock();
        let file = open(&path)?;
        own.add(&path);
        // On Windows the lock of one handle would keep the other from writing; nothing is removed there either.
        let held = if cfg!(unix) { own_names::hold(&path) } else { None };
        Ok((Self { path, _held: held }, file))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it the name of its target.
    pub(crate) fn place(self, target: &Path) -> Result<()> {
        fs::rename(&self.path, target).during("rename into place", target)
    }

    /// Removes it.
    pub(crate) fn remove(self) -> Result<()> {
        fs::remove_file(&self.path).during("remove", &self.path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Best effort: it has another name by now, is gone, or its first error is the one to report.
        fs::remove_file(&self.path).ok();
        OwnNames::lock().forget(&self.path);
    }
}

/// Whether a name is that of a [`Temporary`] of a target: what `begin` says, eight digits, and who made it.
fn is_temporary_of(begin: &OsStr, name: &OsStr) -> bool {
    let rest = name.as_encoded_bytes().strip_prefix(begin.as_encoded_bytes()).unwrap_or_default();
    rest.get(8..).is_some_and(|rest| rest.starts_with(b".unfinished-"))
}
