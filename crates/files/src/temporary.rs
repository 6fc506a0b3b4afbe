//! Files that are written aside and then get their name, each under a temporary name of its own.

use std::collections::hash_map::RandomState;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};

use crate::error::{IoContext, Result};
use crate::own_names::{self, OwnNames};

/// So many bytes of its target's name are in a temporary name at most: a name of 255 bytes, the most that systems take, has room for the
/// rest.
const MOST_OF_NAME: usize = 200;
/// So many entries of a folder are looked at for what a killed process has left: a write costs no more in a folder of any size.
const MOST_LOOKED_AT: usize = 256;

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
        let begin = beginning(target);
        let dir = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Best effort: a folder that cannot be listed can be written to.
        own_names::remove_abandoned_of(dir, MOST_LOOKED_AT, |name| is_temporary_of(&begin, name))
            .unwrap_or_default();
        let random = RandomState::new().build_hasher().finish() >> 32;
        let path = target.with_file_name(format!("{begin}{random:08x}{}", own_names::ending()));
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

/// How the temporary names of a target begin: `.name.`. A long name is cut, and what is no text in it has a sign of its own.
fn beginning(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let end = name.floor_char_boundary(MOST_OF_NAME);
    format!(".{}.", &name[..end])
}

/// Whether a name is that of a [`Temporary`] of a target: what `begin` says, eight digits, and who made it.
fn is_temporary_of(begin: &str, name: &OsStr) -> bool {
    let rest = name.as_encoded_bytes().strip_prefix(begin.as_bytes()).unwrap_or_default();
    rest.get(8..).is_some_and(|rest| rest.starts_with(b".unfinished-"))
}
