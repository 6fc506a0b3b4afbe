//! What is built aside, under a name that says so, and goes away unless it gets its own name.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::durable::{self, Access};
use crate::error::{Error, Result};

/// A file or folder under construction beside its target. Dropped before [`Unfinished::place`], it removes what was built.
///
/// ```
/// # use certadm_files::Unfinished;
/// # fn main() -> certadm_files::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// let target = folder.path().join("set");
/// let building = Unfinished::folder(&target)?;
/// std::fs::write(building.path().join("file"), b"content").unwrap();
/// assert!(!target.exists());
/// building.place()?;
/// assert!(target.join("file").exists());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Unfinished {
    building: PathBuf,
    target: PathBuf,
    placed: bool,
}

impl Unfinished {
    /// Begins a folder that will stand at `target`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Exists`].
    pub fn folder(target: &Path) -> Result<Self> {
        let building = name_beside(target);
        durable::create_new_dir(&building)?;
        Ok(Self { building, target: target.to_owned(), placed: false })
    }

    /// Begins a file that will stand at `target`, open for reading and writing.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Exists`].
    pub fn file(target: &Path) -> Result<(Self, File)> {
        let building = name_beside(target);
        let file = durable::open_new(&building, Access::Public)?;
        Ok((Self { building, target: target.to_owned(), placed: false }, file))
    }

    /// Where the content is until it gets its name.
    pub fn path(&self) -> &Path {
        &self.building
    }

    /// Where it will stand.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Gives the target its name and flushes the folder that holds it. The content must be flushed already. As with
    /// any rename, an existing file of that name, or an empty folder, is replaced: refuse what is occupied first.
    ///
    /// # Errors
    /// [`Error::Io`]; when the rename failed, the target is as it was and what was built is gone.
    pub fn place(mut self) -> Result<()> {
        durable::rename(&self.building, &self.target)?;
        self.placed = true;
        durable::sync_parent(&self.target)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.placed {
            return;
        }
        // Best effort: what stays is named as unfinished, and no command takes it for the finished thing.
        if self.building.is_dir() {
            fs::remove_dir_all(&self.building).ok();
        } else {
            fs::remove_file(&self.building).ok();
        }
    }
}

/// `set` becomes `.set.unfinished-4711`, 4711 being this process.
fn name_beside(target: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(format!(".unfinished-{}", std::process::id()));
    target.with_file_name(name)
}

/// Refuses a name that anything has, a link that leads nowhere included.
///
/// # Errors
/// [`Error::Exists`].
pub fn refuse_occupied(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_ok() {
        return Err(Error::Exists { path: path.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_placed_goes_away() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        drop(Unfinished::file(&target).unwrap());
        let folder = Unfinished::folder(&target).unwrap();
        fs::write(folder.path().join("x"), "x").unwrap();
        drop(folder);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        Unfinished::file(&target).unwrap().0.place().unwrap();
        assert!(matches!(refuse_occupied(&target), Err(Error::Exists { .. })));
        refuse_occupied(&dir.path().join("other")).unwrap();
    }
}
