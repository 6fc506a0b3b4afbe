//! What is built aside, under a name that says so, and goes away unless it gets its own name.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::durable::{self, Access};
use crate::error::{Error, IoContext, Result};
use crate::lock;
pub(crate) use crate::own_names::OwnNames;
pub use crate::own_names::{ending, hold, is_named_so, remove_abandoned};

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
    /// Locked while it is under construction, so that others can tell it from what a killed process has left.
    _held: Option<File>,
}

impl Unfinished {
    /// Begins a folder that will stand at `target`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Exists`].
    pub fn folder(target: &Path) -> Result<Self> {
        let building = name_beside(target);
        let mut own = OwnNames::lock();
        own.remove_leftover(&building)?;
        durable::create_new_dir(&building)?;
        own.add(&building);
        let held = hold(&building);
        Ok(Self { building, target: target.to_owned(), placed: false, _held: held })
    }

    /// Begins a file that will stand at `target`, open for reading and writing.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Exists`].
    pub fn file(target: &Path) -> Result<(Self, File)> {
        let building = name_beside(target);
        let mut own = OwnNames::lock();
        own.remove_leftover(&building)?;
        let file = durable::open_new(&building, Access::Public)?;
        own.add(&building);
        // On Windows the lock of one handle would keep the other from writing; nothing is removed there either.
        let held = if cfg!(unix) { hold(&building) } else { None };
        Ok((Self { building, target: target.to_owned(), placed: false, _held: held }, file))
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
        if !self.placed {
            // Best effort: what stays is named as unfinished, and no command takes it for the finished thing.
            if self.building.is_dir() {
                fs::remove_dir_all(&self.building).ok();
            } else {
                fs::remove_file(&self.building).ok();
            }
        }
        OwnNames::lock().forget(&self.building);
    }
}

/// Removes a folder and everything in it so that half of it never stands under its name: it gets the name of something
/// unfinished first. What a kill leaves is removed by [`remove_abandoned`].
///
/// # Errors
/// [`Error::Io`], [`Error::Exists`].
pub fn discard(folder: &Path) -> Result<()> {
    let going = name_beside(folder);
    let mut own = OwnNames::lock();
    own.remove_leftover(&going)?;
    refuse_occupied(&going)?;
    durable::rename(folder, &going)?;
    own.add(&going);
    let _held = hold(&going);
    drop(own);
    let removed =
        durable::sync_parent(folder).and_then(|()| fs::remove_dir_all(&going).during("remove", &going));
    OwnNames::lock().forget(&going);
    removed
}

/// Has a folder alone for as long as the file lives, among those who ask for it this way; `None` while somebody else has it.
/// Where the system cannot lock folders, everybody gets it.
///
/// # Errors
/// [`Error::Io`].
pub fn take_turn(folder: &Path) -> Result<Option<Turn>> {
    if cfg!(not(unix)) {
        return Ok(Some(Turn(None)));
    }
    let file = File::open(folder).during("open", folder)?;
    Ok(match lock::try_exclusive(&file, folder) {
        Ok(true) => Some(Turn(Some(file))),
        Ok(false) => None,
        Err(_) => Some(Turn(None)),
    })
}

/// The right to change what lies in a folder, among those who ask for it.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "its lock goes with it")] Option<File>);

/// `set` becomes `.set.unfinished-4711`, 4711 being this process.
fn name_beside(target: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(ending());
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

    #[cfg(unix)]
    #[test]
    fn what_a_dead_process_left_is_removed_and_what_lives_stays() {
        let dir = tempfile::tempdir().unwrap();
        // No process has a number so high.
        let dead = dir.path().join(".set.unfinished-4194999");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join("file"), "x").unwrap();
        let held = dir.path().join(".set.unfinished-4194998");
        fs::create_dir(&held).unwrap();
        let holder = hold(&held);
        for name in ["set.unfinished-1", ".set.unfinished-x", ".set"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let dead_file = dir.path().join(".db.unfinished-4194999");
        fs::write(&dead_file, "x").unwrap();
        let own = Unfinished::folder(&dir.path().join("mine")).unwrap();
        let scratch = crate::scratch::folder_in(dir.path()).unwrap();
        assert!(is_named_so(&dead_file) && is_named_so(own.path()) && !is_named_so(own.target()));
        std::os::unix::fs::symlink(dir.path(), dir.path().join(".a.unfinished-4194997")).unwrap();
        let mut removed = remove_abandoned(dir.path()).unwrap();
        removed.sort();
        assert_eq!(removed, [dead_file, dead]);
        assert!(held.is_dir() && own.path().is_dir() && scratch.path().is_dir());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 7);
        drop(holder);
    }

    /// In a container the command has the same number each time.
    #[cfg(unix)]
    #[test]
    fn what_an_earlier_process_of_the_same_number_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let left = |target: &str| {
            let left = name_beside(&dir.path().join(target));
            fs::create_dir(&left).unwrap();
            fs::write(left.join("file"), "x").unwrap();
            left
        };
        let (earlier, locked) = (left("earlier"), left("locked"));
        let holder = hold(&locked);
        assert_eq!(remove_abandoned(dir.path()).unwrap(), [earlier]);
        assert!(locked.is_dir(), "it is built in another container");
        assert!(matches!(Unfinished::folder(&dir.path().join("locked")), Err(Error::Exists { .. })));
        drop(holder);
        // Its name is in the way of nobody.
        let again = Unfinished::folder(&dir.path().join("locked")).unwrap();
        assert!(fs::read_dir(again.path()).unwrap().next().is_none());
        left("file");
        Unfinished::file(&dir.path().join("file")).unwrap().0.place().unwrap();
        left("set");
        fs::create_dir(dir.path().join("set")).unwrap();
        discard(&dir.path().join("set")).unwrap();
        assert!(remove_abandoned(dir.path()).unwrap().is_empty());
    }

    /// An agent lives for months, and each run makes names of its own.
    #[test]
    fn names_are_forgotten_when_what_they_name_is_gone_in_each_folder() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let is_known = |path: &Path| OwnNames::lock().has(path);
        let one = Unfinished::folder(&dir.path().join("forgotten")).unwrap();
        let two = Unfinished::folder(&other.path().join("forgotten")).unwrap();
        let name = one.path().to_owned();
        one.place().unwrap();
        assert!(is_known(two.path()), "it is still at work in the other folder");
        drop(two);
        assert!(!is_known(&name));
        discard(&dir.path().join("forgotten")).unwrap();
        assert!(!is_known(&name));
        let scratch = crate::scratch::folder_in(dir.path()).unwrap();
        let name = scratch.path().to_owned();
        assert!(is_known(&name));
        drop(scratch);
        assert!(!is_known(&name) && !name.exists());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_nobody_has_asked_for_its_end_is_dead_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let left = dir.path().join(format!(".set.unfinished-{}", child.id()));
        fs::create_dir(&left).unwrap();
        assert!(remove_abandoned(dir.path()).unwrap().is_empty(), "it is alive");
        child.kill().unwrap();
        let bound = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while remove_abandoned(dir.path()).unwrap().is_empty() {
            assert!(std::time::Instant::now() < bound, "what a dead process has left stays");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert!(!left.exists());
        child.wait().unwrap();
    }

    #[test]
    fn what_is_discarded_is_gone_and_a_folder_has_one_turn() {
        let dir = tempfile::tempdir().unwrap();
        let set = dir.path().join("set");
        fs::create_dir_all(set.join("DataBase")).unwrap();
        fs::write(set.join("DataBase/log"), "x").unwrap();
        discard(&set).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(discard(&set).unwrap_err().is_not_found());
        if cfg!(unix) {
            let turn = take_turn(dir.path()).unwrap().expect("nobody has it");
            assert!(take_turn(dir.path()).unwrap().is_none());
            drop(turn);
            assert!(take_turn(dir.path()).unwrap().is_some());
        }
    }

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
