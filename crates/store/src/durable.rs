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
    replace_with(path, bytes, OpenOptions::new().write(true).create(true).truncate(true))
}

/// As [`replace`], for what nobody but the owner may read: the new file has mode 0600 from its first byte on, and is never
/// one that somebody else has put there before. On Windows the rights of the folder decide.
///
/// # Errors
/// [`crate::Error::Io`]; the old file is then untouched.
pub fn replace_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = temporary_beside(path);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).during("remove", &temporary);
        }
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    replace_with(path, bytes, &options)
}

/// Writes the file that `options` open beside `path`, and renames it.
fn replace_with(path: &Path, bytes: &[u8], options: &OpenOptions) -> Result<()> {
    let temporary = temporary_beside(path);
    let placed = write_new(&temporary, bytes, options)
        .and_then(|()| fs::rename(&temporary, path).during("rename into place", path));
    if placed.is_err() {
        fs::remove_file(&temporary).ok(); // best effort: the first error is the one to report
        return placed;
    }
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

fn write_new(path: &Path, bytes: &[u8], options: &OpenOptions) -> Result<()> {
    let mut file = options.open(path).during("create", path)?;
    file.write_all(bytes).during("write", path)?;
    file.sync_all().during("flush", path)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_file_is_its_owners_alone_whatever_lay_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        for content in ["old", "new"] {
            // What somebody put in the way, and what is replaced, are readable by all.
            for name in ["secret", "secret.new"] {
                fs::write(dir.path().join(name), "x").unwrap();
                fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(0o644)).unwrap();
            }
            replace_private(&path, content.as_bytes()).unwrap();
            assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode()), (content, 0o600));
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn what_cannot_be_put_into_place_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a-folder");
        fs::create_dir(&path).unwrap();
        for replace in [replace, replace_private] {
            assert!(replace(&path, b"x").is_err());
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        }
    }
}
