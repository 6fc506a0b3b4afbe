//! The account that a new file or folder belongs to, and who may read it: as the folder that it goes into.
//!
//! Root often works in a folder of another account: it restores a CA whose service runs as `certadm`, or archives a log
//! there. What it creates must belong to that account, or the service cannot open its own files afterwards. Example: root
//! restores into `/var/lib/certadm/example`, which belongs to `certadm` and has mode 0700; the restored database then
//! belongs to `certadm` and has mode 0600.
//!
//! Windows gives new files the rights of their folder by itself.

use std::fs::File;
use std::path::Path;

use crate::error::Result;

/// The mode for a new file in the folder of `path`: what the folder allows, without the right to execute. The umask takes
/// its part off afterwards.
#[cfg(unix)]
pub(crate) fn file_mode(path: &Path) -> u32 {
    folder_mode(path) & 0o666
}

/// The mode for a new file in the folder of `path` that only those may open who may write to the folder.
#[cfg(unix)]
pub(crate) fn writers_mode(path: &Path) -> u32 {
    let may_write = folder_mode(path) & 0o022;
    0o600 | may_write | (may_write << 1)
}

/// The mode for a file in the folder of `path` that others fetch: those may read it who may read the folder.
#[cfg(unix)]
pub(crate) fn published_mode(path: &Path) -> u32 {
    file_mode(path) & 0o644
}

/// Without modes the folder decides by itself.
#[cfg(not(unix))]
pub(crate) fn published_mode(_path: &Path) -> u32 {
    0o644
}

/// Gives an open file a mode, whatever the umask. On Windows the rights of the folder decide, and nothing is done.
///
/// # Errors
/// [`crate::Error::Io`].
pub(crate) fn set_mode(file: &File, mode: u32, path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use crate::error::IoContext;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        file.set_permissions(mode).during("set the mode of", path)
    }
    #[cfg(not(unix))]
    {
        let _ = (file, mode, path);
        Ok(())
    }
}

/// The mode for a new folder in the folder of `path`.
#[cfg(unix)]
pub(crate) fn folder_mode(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    // A folder that cannot be looked at is the creation's own failure to tell.
    std::fs::metadata(folder_of(path)).map_or(0o777, |metadata| metadata.mode() & 0o777)
}

/// Whether others than its owner can read a regular file or write to it. On Windows the rights of the folder decide, and the
/// answer is no; so it is for what is not there.
#[must_use]
pub fn is_exposed(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(path)
            .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o077 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// Whether this account may make files in a folder, by its mode and by what its file system allows. Nothing is written. On Windows
/// nothing is checked: the making itself tells.
///
/// # Errors
/// [`crate::Error::Io`] with what the system says, such as that the file system is read-only.
pub fn check_writable(dir: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use rustix::fs::{Access, AtFlags, CWD, accessat};
        use rustix::io::Errno;

        use crate::error::IoContext;
        let asked = accessat(CWD, dir, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
        match asked {
            // A system that cannot be asked about the account that this process acts as.
            Err(Errno::NOSYS | Errno::INVAL) => Ok(()),
            other => other.map_err(std::io::Error::from).during("write to", dir),
        }
    }
    #[cfg(not(unix))]
    {
        let _ = dir;
        Ok(())
    }
}

/// Refuses a file that nobody may move or change, root included, because it has the attribute "immutable". Its mode does not count.
///
/// # Errors
/// [`crate::Error::Io`].
pub fn refuse_immutable(file: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use rustix::fs::{Access, AtFlags, CWD, accessat};
        use rustix::io::Errno;

        use crate::error::IoContext;
        // A mode that forbids it says EACCES, and a file may be moved all the same.
        if accessat(CWD, file, Access::WRITE_OK, AtFlags::EACCESS) == Err(Errno::PERM) {
            return Err(std::io::Error::from(Errno::PERM)).during("move", file);
        }
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

/// Whether everyone can change what is open as `file`. On Windows the rights of the folder decide, and the answer is no.
pub(crate) fn is_open_to_all(file: &File) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o002 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        false
    }
}

/// Gives a new file or folder, open as `file`, to the owner of the folder that it is in. Does nothing for accounts other
/// than root: they own what they create.
///
/// # Errors
/// [`crate::Error::Io`]. A system that does not let root do it, such as a network file system, is no error: there the
/// server decides who owns new files.
#[cfg(unix)]
pub(crate) fn give_to_owner_of_folder(file: &File, path: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;

    use crate::error::IoContext;

    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let folder = std::fs::metadata(folder_of(path)).during("look at the folder of", path)?;
    let own = file.metadata().during("look at", path)?;
    if (folder.uid(), folder.gid()) == (own.uid(), own.gid()) {
        return Ok(());
    }
    match std::os::unix::fs::fchown(file, Some(folder.uid()), Some(folder.gid())) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        other => other.during("give to the owner of its folder", path),
    }
}

#[cfg(not(unix))]
pub(crate) fn give_to_owner_of_folder(_file: &File, _path: &Path) -> Result<()> {
    Ok(())
}

#[cfg(unix)]
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use crate::{Access, Unfinished, durable};

    /// A folder of mode `mode`; of account 4711 where the tests run as root.
    fn folder(mode: u32) -> (tempfile::TempDir, (u32, u32)) {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
        // Accounts other than root may give nothing away: then everything stays theirs, and that is tested.
        std::os::unix::fs::chown(dir.path(), Some(4711), Some(4712)).ok();
        let metadata = fs::metadata(dir.path()).unwrap();
        (dir, (metadata.uid(), metadata.gid()))
    }

    #[test]
    fn what_is_created_belongs_to_the_owner_of_its_folder() {
        let (dir, owner) = folder(0o700);
        let at = |name: &str| dir.path().join(name);
        durable::open_new(&at("new"), Access::Public).unwrap();
        durable::open_new(&at("secret"), Access::Owner).unwrap();
        durable::open_or_create(&at("lock")).unwrap();
        durable::open_emptied(&at("emptied")).unwrap();
        durable::write_new(&at("written"), b"x").unwrap();
        durable::create(&at("created"), b"x", Access::Public).unwrap();
        durable::replace(&at("replaced"), b"x").unwrap();
        durable::replace_private(&at("private"), b"x").unwrap();
        Unfinished::file(&at("finished")).unwrap().0.place().unwrap();
        Unfinished::folder(&at("set")).unwrap().place().unwrap();
        durable::create_dir(&at("a/b/c")).unwrap();
        durable::write_new(&at("a/b/c/file"), b"x").unwrap();
        let mut seen = 0;
        let mut left = vec![dir.path().to_owned()];
        while let Some(folder) = left.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let metadata = fs::metadata(&path).unwrap();
                let mode = if metadata.is_dir() { 0o700 } else { 0o600 };
                assert_eq!((metadata.uid(), metadata.gid()), owner, "{}", path.display());
                assert_eq!(metadata.mode() & 0o777, mode, "{}", path.display());
                seen += 1;
                if metadata.is_dir() {
                    left.push(path);
                }
            }
        }
        assert_eq!(seen, 14);
    }

    #[test]
    fn a_folder_that_others_may_read_has_files_that_others_may_read() {
        let (dir, _) = folder(0o755);
        durable::write_new(&dir.path().join("file"), b"x").unwrap();
        durable::open_new(&dir.path().join("secret"), Access::Owner).unwrap();
        let mode = |name| fs::metadata(dir.path().join(name)).unwrap().mode() & 0o044;
        let umask = rustix::process::umask(rustix::fs::Mode::empty());
        rustix::process::umask(umask);
        assert_eq!(mode("file"), 0o044 & !umask.bits());
        assert_eq!(mode("secret"), 0);
    }
}
