//! A second name for a file: its content is then in two places and on the disk once.

use std::fs::{self, File};
use std::path::Path;

use crate::durable::{self, Access};
use crate::error::{Error, IoContext, Result};
use crate::found::Found;

/// Gives a regular file a second name, and opens it. `None` where that cannot be had: the file system has no second names, or
/// `to` is on another one.
///
/// ```
/// # fn main() -> certadm_files::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # std::fs::write(folder.path().join("image"), b"content").unwrap();
/// use certadm_files::{Found, second_name};
///
/// let image = Found::below(folder.path(), "image");
/// second_name::give(&image, &folder.path().join("second"))?.expect("this file system has second names");
/// assert_eq!(std::fs::read(folder.path().join("second")).unwrap(), b"content");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::NotAFile`] when it is none, or something else got its name meanwhile: `to` is then not there. [`Error::Io`].
pub fn give(from: &Found, to: &Path) -> Result<Option<File>> {
    let file = from.open()?;
    if fs::hard_link(from, to).is_err() {
        return Ok(None);
    }
    // Something else may have got the name since: only what was opened as a regular file is meant.
    match is_same_file(&file, to) {
        Ok(true) => Ok(Some(file)),
        other => {
            fs::remove_file(to).ok(); // best effort: the caller's folder goes away as a whole
            other.during("look at", to)?;
            let what = "not the file that was opened, because it was exchanged meanwhile";
            Err(Error::NotAFile { path: from.path().to_owned(), what, by_name: false })
        }
    }
}

/// As [`give`], for a file that is from then on what its new folder holds: it gets the mode and the owner that a new file would
/// have there. `to` must be free, in a folder that nobody else changes. The file that is returned can be flushed, for which Windows
/// wants it open for writing.
///
/// # Errors
/// As [`give`]; [`Error::Exists`].
pub fn take_over(from: &Found, to: &Path) -> Result<Option<File>> {
    // What a new file gets here, by the mode of the folder and the umask of the process.
    let new = durable::open_new(to, Access::Public)?.metadata().during("look at", to)?;
    fs::remove_file(to).during("remove", to)?;
    let Some(file) = give(from, to)? else { return Ok(None) };
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let own = file.metadata().during("look at", to)?;
        if (own.uid(), own.gid()) != (new.uid(), new.gid()) {
            fchown(&file, Some(new.uid()), Some(new.gid())).during("give to the owner of its folder", to)?;
        }
        file.set_permissions(new.permissions()).during("set the mode of", to)?;
    }
    // Windows decides by the rights of the folder that the file was made in.
    #[cfg(not(unix))]
    let _ = new;
    drop(file);
    fs::OpenOptions::new().read(true).write(true).open(to).during("open", to).map(Some)
}

/// Whether the file at `path`, which may not be a link, is the open one.
#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (one, other) = (file.metadata()?, path.symlink_metadata()?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

/// Windows links a link itself, and not what it leads to.
#[cfg(not(unix))]
fn is_same_file(_file: &File, path: &Path) -> std::io::Result<bool> {
    Ok(path.symlink_metadata()?.is_file())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn what_is_taken_over_is_as_a_new_file_would_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for (name, mode) in [("private", 0o700), ("shared", 0o750)] {
            fs::create_dir(path(name)).unwrap();
            fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
            let from = path(&format!("from {name}"));
            fs::write(&from, b"content").unwrap();
            fs::set_permissions(&from, fs::Permissions::from_mode(0o444)).unwrap();
            let to = path(name).join("file");
            take_over(&Found::named(from.as_path()), &to).unwrap().unwrap();
            drop(durable::open_new(&path(name).join("new"), Access::Public).unwrap());
            let modes = ["file", "new"].map(|file| path(name).join(file).metadata().unwrap().mode());
            assert_eq!(modes[0], modes[1], "{name}");
            assert_eq!(from.metadata().unwrap().ino(), to.metadata().unwrap().ino());
            assert!(matches!(take_over(&Found::named(from), &to), Err(Error::Exists { .. })));
        }
    }

    #[test]
    fn only_a_regular_file_gets_a_second_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("file"), b"").unwrap();
        symlink(path("file"), path("link")).unwrap();
        fs::create_dir(path("folder")).unwrap();
        for name in ["link", "folder", "nothing"] {
            assert!(give(&Found::below(dir.path(), name), &path("second")).is_err(), "{name}");
            assert!(path("second").symlink_metadata().is_err());
        }
        // A person's own link leads to a file, but the name itself is a link: what is opened is not what is named.
        assert!(give(&Found::named(path("link")), &path("second")).is_err());
        assert!(path("second").symlink_metadata().is_err());
        // Where the name is taken there is no second one.
        fs::write(path("second"), b"").unwrap();
        assert!(give(&Found::named(path("file")), &path("second")).unwrap().is_none());
    }
}
