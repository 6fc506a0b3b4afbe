//! Free space of a file system.

use std::path::Path;

use crate::error::Result;

/// How many bytes an account may still write to the file system of `path`; `None` where the system does not tell.
///
/// # Errors
/// [`crate::Error::Io`].
#[cfg(unix)]
pub fn available(path: &Path) -> Result<Option<u64>> {
    use crate::error::IoContext;
    let found =
        rustix::fs::statvfs(path).map_err(std::io::Error::from).during("look at the file system of", path)?;
    Ok(Some(found.f_bavail.saturating_mul(found.f_frsize)))
}

/// How many bytes an account may still write to the file system of `path`; `None` where the system does not tell.
///
/// # Errors
/// None on this system: free space is not looked at, and a disk that fills up is found while writing.
#[cfg(not(unix))]
pub fn available(_path: &Path) -> Result<Option<u64>> {
    Ok(None)
}

/// Whether both are on one file system, so that a rename from one to the other works.
///
/// # Errors
/// [`crate::Error::Io`].
#[cfg(unix)]
pub fn same_file_system(one: &Path, other: &Path) -> Result<bool> {
    use std::os::unix::fs::MetadataExt;

    use crate::error::IoContext;
    let device = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.dev()).during("look at", path);
    Ok(device(one)? == device(other)?)
}

/// Whether both are on one file system. This system is not asked; a rename that does not work says so.
///
/// # Errors
/// None on this system.
#[cfg(not(unix))]
pub fn same_file_system(_one: &Path, _other: &Path) -> Result<bool> {
    Ok(true)
}

#[cfg(all(test, unix))]
mod tests {
    #[test]
    fn a_folder_tells_its_space_and_a_missing_one_fails() {
        let dir = tempfile::tempdir().unwrap();
        assert!(super::available(dir.path()).unwrap().is_some_and(|bytes| bytes > 0));
        assert!(super::available(&dir.path().join("missing")).is_err());
        assert!(super::same_file_system(dir.path(), dir.path()).unwrap());
    }
}
