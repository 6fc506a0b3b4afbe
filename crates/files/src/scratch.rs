//! Folders for what is needed only while a command runs.

use std::fs::File;
use std::io;
use std::path::Path;

use tempfile::TempDir;

use crate::unfinished::{self, OwnNames};

/// A folder that goes away when it is dropped.
#[derive(Debug)]
pub struct ScratchFolder {
    /// The lock that tells others that it is in use. It goes first: what is locked cannot be removed everywhere.
    _held: Option<File>,
    dir: TempDir,
}

impl ScratchFolder {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        // It is removed at once. A process that lives for months makes many of them.
        OwnNames::lock().forget(self.dir.path());
    }
}

/// A folder where nobody looks for what killed processes have left.
impl From<TempDir> for ScratchFolder {
    fn from(dir: TempDir) -> Self {
        Self { dir, _held: None }
    }
}

/// A new folder of mode 0700 in `parent`. By its name, `.certadm-scratch-1a2B3c.unfinished-4711`,
/// [`unfinished::remove_abandoned`] knows what a killed process has left.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # let parent = tempfile::tempdir()?;
/// let folder = certadm_files::scratch::folder_in(parent.path())?;
/// assert!(certadm_files::unfinished::is_named_so(folder.path()));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When the folder cannot be created.
pub fn folder_in(parent: &Path) -> io::Result<ScratchFolder> {
    let dir = named(".certadm-scratch-", parent)?;
    Ok(ScratchFolder { _held: unfinished::hold(dir.path()), dir })
}

/// A new folder for a test, in memory where the system has a place for that: thousands of small files should not wait for a
/// disk, and what fails or kills in between sees the same calls. What a killed test has left is removed.
///
/// # Panics
/// When no folder can be created: the machine is full, or its folder for temporary files cannot be written.
#[must_use]
pub fn for_test() -> TempDir {
    let memory = Path::new("/dev/shm");
    unfinished::remove_abandoned(memory).unwrap_or_default();
    let made = named(".certadm-test-", memory).or_else(|_| tempfile::tempdir());
    made.expect("a folder for temporary files can be created")
}

fn named(prefix: &str, parent: &Path) -> io::Result<TempDir> {
    let ending = unfinished::ending();
    let mut own = OwnNames::lock();
    let dir = tempfile::Builder::new().prefix(prefix).suffix(&ending).tempdir_in(parent)?;
    own.add(dir.path());
    Ok(dir)
}
