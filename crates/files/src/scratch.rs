//! Folders for what is needed only while a command runs.

use std::io;
use std::path::Path;

use tempfile::TempDir;

use crate::unfinished;

/// A new folder of mode 0700 in `parent` that goes away when it is dropped. By its name, `.certadm-scratch-1a2B3c.unfinished-4711`,
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
pub fn folder_in(parent: &Path) -> io::Result<TempDir> {
    named(".certadm-scratch-", parent)
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
    tempfile::Builder::new().prefix(prefix).suffix(&ending).tempdir_in(parent)
}
