//! Free space of a file system.

use std::path::Path;

use crate::error::Result;

/// The space of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What an account may still write.
    pub available: u64,
    /// What there is in all.
    pub total: u64,
}

/// The space of the file system of `path`; `None` where the system does not tell, or says that there is none at all, as some
/// file systems over a network do.
///
/// # Errors
/// [`crate::Error::Io`].
#[cfg(unix)]
pub fn of(path: &Path) -> Result<Option<Space>> {
    use crate::error::IoContext;
    let found =
        rustix::fs::statvfs(path).map_err(std::io::Error::from).during("look at the file system of", path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    let space = Space { available: bytes(found.f_bavail), total: bytes(found.f_blocks) };
    Ok(Some(space).filter(|space| space.total > 0))
}

/// The space of the volume of `path`, a folder, as its quota leaves it to this account; `None` where the system says that there is
/// none at all.
///
/// # Errors
/// [`crate::Error::Io`].
#[cfg(windows)]
pub fn of(path: &Path) -> Result<Option<Space>> {
    use crate::error::IoContext;
    let (mut available, mut total) = (0, 0);
    // The call takes text, and a name that is none would be that of another folder. The share of another machine has to end in
    // a backslash.
    let name = path.join("").into_os_string().into_string();
    let asked = name.map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidInput)).and_then(|name| {
        winsafe::GetDiskFreeSpaceEx(Some(&name), Some(&mut available), Some(&mut total), None)
            .map_err(|code| std::io::Error::from_raw_os_error(code.raw().cast_signed()))
    });
    asked.during("look at the volume of", path)?;
    Ok(Some(Space { available, total }).filter(|space| space.total > 0))
}

/// How many bytes an account may still write to the file system of `path`; `None` where the system does not tell.
///
/// # Errors
/// As [`of`].
pub fn available(path: &Path) -> Result<Option<u64>> {
    Ok(of(path)?.map(|space| space.available))
}

/// Makes a file that takes `len` bytes of its file system, or as many as it takes already when it is there with that
/// length. What is in it does not matter, and it need not outlive a crash.
///
/// # Errors
/// [`crate::Error::Io`]; then there is no such file.
pub fn occupy(path: &Path, len: u64) -> Result<()> {
    use crate::error::IoContext;
    if std::fs::symlink_metadata(path).is_ok_and(|there| there.is_file() && there.len() == len) {
        return Ok(());
    }
    crate::durable::remove_if_present(path)?;
    let file = crate::durable::open_new(path, crate::durable::Access::Owner)?;
    let occupied = fill(&file, len).during("take space for", path);
    if occupied.is_err() {
        std::fs::remove_file(path).ok(); // best effort: the first error is the one to report
    }
    occupied
}

/// Lets the file system allocate; where it cannot, zeros are written. The call goes through the C library, as those of the
/// standard library do: the tests of failing file operations see no other.
#[cfg(target_os = "linux")]
fn fill(file: &std::fs::File, len: u64) -> std::io::Result<()> {
    use nix::errno::Errno;
    use nix::fcntl::{FallocateFlags, fallocate};
    let wanted = i64::try_from(len).map_err(|_| Errno::EFBIG)?;
    match fallocate(file, FallocateFlags::empty(), 0, wanted) {
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL) => {
            std::io::copy(&mut std::io::Read::take(std::io::repeat(0), len), &mut { file }).map(drop)
        }
        other => Ok(other?),
    }
}

/// Windows allocates what a file is long.
#[cfg(not(target_os = "linux"))]
fn fill(file: &std::fs::File, len: u64) -> std::io::Result<()> {
    file.set_len(len)
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

/// Whether another file system begins at a folder, or a part of one that is shown there: a rename does not replace it.
///
/// # Errors
/// [`crate::Error::Io`].
#[cfg(unix)]
pub fn is_mount_point(dir: &Path) -> Result<bool> {
    // The system tells since Linux 5.8, and of parts of the same file system it alone can.
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
        if let Ok(found) = statx(CWD, dir, AtFlags::empty(), StatxFlags::empty())
            && found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)
        {
            return Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT));
        }
    }
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => Ok(!same_file_system(dir, parent)?),
        _ => Ok(false),
    }
}

/// Whether another file system begins at a folder. This system is not asked; a rename that does not work says so.
///
/// # Errors
/// None on this system.
#[cfg(not(unix))]
pub fn is_mount_point(_dir: &Path) -> Result<bool> {
    Ok(false)
}

#[cfg(all(test, unix))]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn a_mount_point_is_known() {
        let dir = tempfile::tempdir().unwrap();
        assert!(super::is_mount_point("/proc".as_ref()).unwrap());
        assert!(!super::is_mount_point("/proc/self".as_ref()).unwrap());
        assert!(!super::is_mount_point(dir.path()).unwrap());
    }

    #[test]
    fn what_is_occupied_takes_space() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reserve");
        super::occupy(&path, 1 << 20).unwrap();
        let first = path.metadata().unwrap();
        assert!(first.len() == 1 << 20 && 1 << 20 <= first.blocks() * 512, "{first:?}");
        super::occupy(&path, 1 << 20).unwrap();
        assert_eq!(path.metadata().unwrap().ino(), first.ino(), "it is there already");
        super::occupy(&path, 4096).unwrap();
        assert_eq!(path.metadata().unwrap().len(), 4096);
        assert!(super::occupy(&path, 1 << 60).is_err() && !path.exists());
    }

    #[test]
    fn a_folder_tells_its_space_and_a_missing_one_fails() {
        let dir = tempfile::tempdir().unwrap();
        assert!(super::available(dir.path()).unwrap().is_some_and(|bytes| bytes > 0));
        assert!(super::available(&dir.path().join("missing")).is_err());
        assert!(super::same_file_system(dir.path(), dir.path()).unwrap());
    }
}
