//! Files that are there completely or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use certadm_store::durable;

use crate::error::{Error, Result};

/// Who may read a new file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// The owner alone (mode 0600); on Windows whom the folder allows.
    Owner,
    /// Everybody, within the umask (mode 0644).
    Public,
}

/// Writes a new file: temporary file, fsync, name, fsync of the folder. An existing file is never
/// replaced.
///
/// # Errors
/// [`Error::WouldOverwrite`] when the file exists, [`Error::Io`] otherwise.
pub(crate) fn create(path: &Path, content: &[u8], access: Access) -> Result<()> {
    let temporary = temporary_name(path);
    write_synced(&temporary, content, access)?;
    // A hard link, unlike a rename, fails when the name is taken.
    let linked = fs::hard_link(&temporary, path);
    let removed = fs::remove_file(&temporary);
    match linked {
        Ok(()) => {}
        Err(source) if source.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Error::WouldOverwrite { path: path.into() });
        }
        Err(source) => return Err(Error::io("create", path)(source)),
    }
    removed.map_err(Error::io("remove", &temporary))?;
    Ok(durable::sync_parent(path)?)
}

/// Reads a file that is known to be small.
///
/// # Errors
/// [`Error::Io`], also when the file is larger than `limit` bytes.
pub(crate) fn read_small(path: &Path, limit: usize) -> Result<Vec<u8>> {
    use std::io::Read;
    let file = File::open(path).map_err(Error::io("open", path))?;
    let mut content = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(bound).read_to_end(&mut content).map_err(Error::io("read", path))?;
    if limit < content.len() {
        let too_large = std::io::Error::other(format!("larger than {limit} bytes"));
        return Err(Error::io("read", path)(too_large));
    }
    Ok(content)
}

/// The fixed name means that what an interrupted run left behind is used up by the next one.
fn temporary_name(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

fn write_synced(path: &Path, content: &[u8], access: Access) -> Result<()> {
    // Not truncated but removed first: the mode of an old file would stay.
    match fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io("remove", path)(source));
        }
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(
        &mut options,
        match access {
            Access::Owner => 0o600,
            Access::Public => 0o644,
        },
    );
    // Windows gives a new file the rights of its folder.
    #[cfg(not(unix))]
    let _ = access;
    let mut file = options.open(path).map_err(Error::io("create", path))?;
    file.write_all(content).map_err(Error::io("write", path))?;
    file.sync_all().map_err(Error::io("sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn create_never_overwrites() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        create(&path, b"one", Access::Owner).unwrap();
        assert!(matches!(create(&path, b"two", Access::Owner), Err(Error::WouldOverwrite { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(read_small(&path, 2).is_err());
        assert_eq!(read_small(&path, 3).unwrap(), b"one");
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_is_for_its_owner_alone_even_over_an_old_leftover() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(folder.path().join(".key.new"), b"left over, readable").unwrap();
        create(&path, b"secret", Access::Owner).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
