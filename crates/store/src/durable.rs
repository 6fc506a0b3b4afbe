//! File operations that survive a crash: write, flush the file, rename, flush the folder.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::error::{IoContext, Result};

/// Flushes a folder, so that names created, renamed or removed in it are durable. Windows flushes no folders: there the
/// file system's own journal keeps names in order, and this only makes sure that the folder is there.
///
/// # Errors
/// [`crate::Error::Io`] with the folder's path.
pub fn sync_dir(dir: &Path) -> Result<()> {
    #[cfg(unix)]
    let flushed = fs::File::open(dir).and_then(|file| file.sync_all());
    #[cfg(not(unix))]
    let flushed = fs::read_dir(dir).map(drop);
    flushed.during("flush", dir)
}

/// Puts `bytes` at `path` so that a reader sees the old file or the whole new one, whatever happens in between.
///
/// # Errors
/// [`crate::Error::Io`]; the old file is then untouched.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = temporary_beside(path);
    let written = write_new(&temporary, bytes);
    if written.is_err() {
        fs::remove_file(&temporary).ok(); // best effort: the write's own error is the one to report
        return written;
    }
    fs::rename(&temporary, path).during("rename into place", path)?;
    sync_parent(path)
}

/// Flushes the folder that holds `path`.
///
/// # Errors
/// As [`sync_dir`].
pub fn sync_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => sync_dir(dir),
        _ => sync_dir(Path::new(".")),
    }
}

/// Removes a file if it is there and flushes its folder.
///
/// # Errors
/// [`crate::Error::Io`] unless the file was absent.
pub fn remove_if_present(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).during("remove", path),
    }
}

/// Creates a folder, with its parents, and flushes the folder that now names it.
///
/// # Errors
/// [`crate::Error::Io`] unless it exists afterwards.
pub fn create_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).during("create", dir)?;
    sync_parent(dir)
}

/// The name under which a file is written before it is renamed to `path`.
pub(crate) fn temporary_beside(path: &Path) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).open(path).during("create", path)?;
    file.write_all(bytes).during("write", path)?;
    file.sync_all().during("flush", path)
}
