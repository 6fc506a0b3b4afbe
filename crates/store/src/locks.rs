//! The three lock files of a CA's folder. The system releases them when a process ends, however it ends.
//!
//! `lock` is held by the owner; `in-use.lock` is shared by whoever has the database open and exclusive for who puts
//! another file in its place; `commit.lock` is held for one commit or one roll, so that committers of several
//! processes queue instead of polling, and none of them commits in the middle of a roll.

use std::fs::{File, Metadata};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::folder::{Folder, shm_path};
use crate::holder::{self, Holder, Serving};
use certadm_files::{IoContext, durable, lock};
#[cfg(target_os = "linux")]
use certadm_rules::printable::printable;

/// A lock held until it is dropped.
#[derive(Debug)]
pub struct Held {
    file: File,
}

impl Held {
    /// Leaves word where others reach the CA through its owner.
    pub(crate) fn say(&self, serving: &Serving) {
        holder::leave_word(&self.file, serving);
    }
}

impl Drop for Held {
    /// Unlocks explicitly: closing alone does not while a child of this process, between fork and exec, has the
    /// descriptor too.
    fn drop(&mut self) {
        unlock(&self.file).ok(); // closing follows and releases it as well
    }
}

/// Takes the owner's lock.
///
/// # Errors
/// [`Error::Owned`] (0x80070420) when another process or store holds it.
pub fn own(folder: &Folder) -> Result<Held> {
    let held = try_exclusive(&folder.owner_lock_path(), || owned(folder))?;
    holder::leave_word(&held.file, &Serving::default());
    Ok(held)
}

/// Whether somebody holds the owner's lock, `None` when that cannot be told. Asking shares the lock for a moment and
/// creates no file.
pub fn is_owned(folder: &Folder) -> Option<bool> {
    match File::open(folder.owner_lock_path()) {
        Ok(file) => lock::try_shared(&file, &folder.owner_lock_path()).ok().map(|got| !got),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(false),
        Err(_) => None,
    }
}

/// Refuses while somebody holds the owner's lock, and does not take it.
///
/// # Errors
/// [`Error::Owned`] (0x80070420).
pub fn refuse_owned(folder: &Folder) -> Result<()> {
    if is_owned(folder) == Some(true) { Err(owned(folder)) } else { Ok(()) }
}

fn owned(folder: &Folder) -> Error {
    Error::Owned {
        folder: folder.path().to_owned(),
        holder: Holder::read(&folder.owner_lock_path()).map(Box::new),
    }
}

/// Whoever holds the owner's lock, as far as he has left word; `None` when nobody does, or when that cannot be told.
pub fn holder(folder: &Folder) -> Option<Holder> {
    if is_owned(folder) == Some(true) { Holder::read(&folder.owner_lock_path()) } else { None }
}

/// Says "I have the database open", unless somebody is replacing it.
pub(crate) fn use_database(folder: &Folder) -> Result<Held> {
    let path = folder.use_lock_path();
    let file = open(&path)?;
    match lock::try_shared(&file, &path)? {
        true => Ok(Held { file }),
        false => Err(Error::InUse { folder: folder.path().to_owned() }),
    }
}

/// Makes sure nobody has the database open, for as long as the lock is held.
///
/// # Errors
/// [`Error::InUse`] while somebody has it open.
pub fn replace_database(folder: &Folder) -> Result<Held> {
    try_exclusive(&folder.use_lock_path(), || Error::InUse { folder: folder.path().to_owned() })
}

/// The commit lock of one connection; each has its own open file, so threads queue like processes.
#[derive(Debug)]
pub(crate) struct CommitLock {
    file: File,
    path: std::path::PathBuf,
}

impl CommitLock {
    pub(crate) fn open(folder: &Folder) -> Result<Self> {
        let path = folder.commit_lock_path();
        Ok(Self { file: open(&path)?, path })
    }

    fn lock(&self, longest: Duration) -> Result<Option<File>> {
        lock_within(&self.file, &self.path, longest, || open(&self.path))
    }

    /// Runs `work` while holding the lock; waits for whoever holds it, but not for ever.
    pub(crate) fn hold<T, E: From<Error>>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let waited = self.lock(LONGEST_WAIT)?;
        let result = work();
        unlock(waited.as_ref().unwrap_or(&self.file)).during("unlock", &self.path).map_err(Error::from)?;
        result
    }
}

/// How long a commit or roll waits for the one before it. A roll takes as long as it takes to write a log.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Takes a lock for itself alone, and waits for whoever holds it, but not for longer than this. `open` opens what is locked, at
/// `path`: a file, or a folder.
///
/// # Errors
/// [`Error::LockHeld`], [`Error::File`].
pub fn hold_alone(path: &Path, longest: Duration, open: impl Fn() -> Result<File>) -> Result<Held> {
    let file = open()?;
    let waited = lock_within(&file, path, longest, open)?;
    Ok(Held { file: waited.unwrap_or(file) })
}

/// How far a thread is that waits for a lock.
enum Waiting {
    Still,
    Locked(std::io::Result<File>),
    GivenUp,
}

/// Waits for the lock of an open file. The system queues those who wait, but knows no limit; so where it is taken, a thread waits in
/// the stead of this one. Answers the file that has the lock, if that is not this one: `open` opens another one at the same path.
fn lock_within(
    file: &File,
    path: &Path,
    longest: Duration,
    open: impl FnOnce() -> Result<File>,
) -> Result<Option<File>> {
    if lock::try_exclusive(file, path)? {
        return Ok(None);
    }
    // Another open file. A thread that had waited in vain, and then unlocks, would else take the lock from whoever got it
    // meanwhile by this one: the lock belongs to the open file, whichever thread asks.
    let other = open()?;
    let state = Arc::new((Mutex::new(Waiting::Still), Condvar::new()));
    let told = Arc::clone(&state);
    std::thread::spawn(move || {
        let locked = other.lock();
        let mut state = told.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            // Nobody is there any more who would unlock it.
            Waiting::GivenUp => drop(unlock(&other)),
            _ => *state = Waiting::Locked(locked.map(|()| other)),
        }
        told.1.notify_all();
    });
    let waiting = state.0.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut waiting, _) = state
        .1
        .wait_timeout_while(waiting, longest, |state| matches!(state, Waiting::Still))
        .unwrap_or_else(PoisonError::into_inner);
    match std::mem::replace(&mut *waiting, Waiting::GivenUp) {
        Waiting::Locked(locked) => Ok(Some(locked.during("lock", path)?)),
        Waiting::Still | Waiting::GivenUp => Err(Error::LockHeld {
            path: path.to_owned(),
            holder: file.metadata().ok().and_then(|found| holder_of(&found, Kind::Flock)),
            seconds: longest.as_secs(),
        }),
    }
}

/// Which lock is looked for in the system's list.
#[derive(Clone, Copy)]
enum Kind {
    /// That of a whole open file.
    Flock,
    /// That of the one who writes to a database in WAL mode: a byte of the file with its shared memory (SQLite, `WAL_WRITE_LOCK`).
    Writing,
}

/// The byte of that lock.
#[cfg(target_os = "linux")]
const WRITING: u64 = 120;

/// That somebody else has held the right to write to a database for so long, and who, as far as the system tells.
pub(crate) fn write_lock_held(database: &Path, waited: Duration) -> Error {
    let shared = std::fs::metadata(shm_path(database)).ok();
    Error::LockHeld {
        path: database.to_owned(),
        holder: shared.and_then(|found| holder_of(&found, Kind::Writing)),
        seconds: waited.as_secs(),
    }
}

/// Who holds a lock on a file, as far as the system tells: `backup (process 4711)`.
#[cfg(target_os = "linux")]
fn holder_of(file: &Metadata, kind: Kind) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let inode = file.ino().to_string();
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let process = locks.lines().find_map(|line| held_by(line, &inode, kind))?;
    let name = std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    let name = printable(name.trim_end()).into_owned();
    Some(if name.is_empty() { format!("process {process}") } else { format!("{name} (process {process})") })
}

/// The process of a line of the list, if the line is of such a lock: `1: FLOCK  ADVISORY  WRITE 4711 08:02:131090 0 EOF`, or
/// `2: POSIX  ADVISORY  WRITE 4711 08:02:131091 120 120`. Who waits has `->` after the number.
#[cfg(target_os = "linux")]
fn held_by<'a>(line: &'a str, inode: &str, kind: Kind) -> Option<&'a str> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, word, _, access, process, place, first, last, ..] = fields[..] else { return None };
    let is_it = match kind {
        Kind::Flock => word == "FLOCK",
        Kind::Writing => {
            let begins = first.parse().is_ok_and(|first: u64| first <= WRITING);
            let ends = last == "EOF" || last.parse().is_ok_and(|last: u64| WRITING <= last);
            word == "POSIX" && access == "WRITE" && begins && ends
        }
    };
    (is_it && place.rsplit(':').next() == Some(inode)).then_some(process)
}

#[cfg(not(target_os = "linux"))]
fn holder_of(_file: &Metadata, _kind: Kind) -> Option<String> {
    None
}

fn try_exclusive(path: &Path, refused: impl FnOnce() -> Error) -> Result<Held> {
    lock::try_lock(path)?.map(|file| Held { file }).ok_or_else(refused)
}

fn unlock(file: &File) -> std::io::Result<()> {
    let unlocked = file.unlock();
    // The standard library unlocks twice on Windows, and knows only Windows' own word for "not locked any more"; that of
    // Wine is ERROR_LOCK_VIOLATION.
    #[cfg(windows)]
    let unlocked =
        unlocked.or_else(|error| if error.raw_os_error() == Some(33) { Ok(()) } else { Err(error) });
    unlocked
}

fn open(path: &Path) -> Result<File> {
    Ok(durable::open_or_create(path)?)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_held_is_told_and_not_waited_for_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let (held, waiting) = (CommitLock::open(&folder).unwrap(), CommitLock::open(&folder).unwrap());
        held.file.lock().unwrap();
        let error = waiting.lock(Duration::from_millis(20)).unwrap_err();
        let Error::LockHeld { holder, .. } = &error else { panic!("{error}") };
        let own = format!("(process {})", std::process::id());
        assert!(holder.as_ref().is_none_or(|holder| holder.ends_with(&own)), "{holder:?}");
        held.file.unlock().unwrap();
        // The thread that had waited in vain does not keep it.
        let waited = waiting.lock(LONGEST_WAIT).unwrap();
        unlock(waited.as_ref().unwrap_or(&waiting.file)).unwrap();
        held.lock(LONGEST_WAIT).unwrap();
    }

    #[test]
    fn the_list_of_locks_tells_who_writes() {
        let holder = |line: &str| held_by(line, "131091", Kind::Writing).map(str::to_owned);
        let line = "2: POSIX  ADVISORY  WRITE 4711 08:02:131091 120 120";
        assert_eq!(holder(line).as_deref(), Some("4711"));
        assert_eq!(holder("2: POSIX  ADVISORY  WRITE 4711 08:02:131091 0 EOF").as_deref(), Some("4711"));
        for other in [
            "2: -> POSIX  ADVISORY  WRITE 4711 08:02:131091 120 120",
            "2: POSIX  ADVISORY  READ 4711 08:02:131091 120 120",
            "2: POSIX  ADVISORY  WRITE 4711 08:02:131091 123 123",
            "2: POSIX  ADVISORY  WRITE 4711 08:02:131092 120 120",
            "2: FLOCK  ADVISORY  WRITE 4711 08:02:131091 0 EOF",
            "2:",
        ] {
            assert_eq!(holder(other), None, "{other}");
        }
    }

    #[test]
    fn who_waited_in_vain_takes_the_lock_from_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let open = || CommitLock::open(&folder).unwrap();
        let (held, waiting, other) = (open(), open(), open());
        for round in 0..200 {
            held.file.lock().unwrap();
            assert!(waiting.lock(Duration::from_micros(200)).is_err());
            held.file.unlock().unwrap();
            let waited = waiting.lock(LONGEST_WAIT).unwrap();
            // Long enough for the thread that gave up to have its turn.
            for _ in 0..50 {
                std::thread::yield_now();
                assert!(other.file.try_lock().is_err(), "round {round}");
            }
            unlock(waited.as_ref().unwrap_or(&waiting.file)).unwrap();
        }
    }

    #[test]
    fn who_may_only_read_the_folder_cannot_open_its_locks() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        drop(CommitLock::open(&folder).unwrap());
        let mode = std::fs::metadata(folder.commit_lock_path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_link_is_no_lock_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("victim"), "x").unwrap();
        let folder = Folder::new(dir.path());
        std::os::unix::fs::symlink("victim", folder.owner_lock_path()).unwrap();
        assert!(own(&folder).is_err());
        assert_eq!(std::fs::read(dir.path().join("victim")).unwrap(), b"x");
    }
}
