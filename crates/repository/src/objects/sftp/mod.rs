//! Objects on another machine, by SFTP through the system's `ssh`: written aside, put onto their disk, given their name.
//!
//! The name is given by the rename of SFTP, which no server carries out where something has that name; OpenSSH makes a link
//! for it, so that of two that try, one alone succeeds. A folder cannot be flushed by SFTP: the last file of each step
//! (index, snapshot) is put onto its disk once more under its name, which takes the names before it along on file systems
//! with a journal (repository.md 4.3).

mod session;
mod wire;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use certadm_rules::hex;
use certadm_rules::words::human_bytes;

use self::session::{Session, is_done, is_end, refused};
use self::wire::{Answer, Attributes, Request};
use super::{MAX_OBJECT, ObjectError, Objects, STALE};
use crate::generation;
use crate::place::Host;

/// What is made on the other side is its owner's alone.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// Connections that are kept for the next call.
const KEPT: usize = 2;
/// A call whose connection ended is made again after so long, for as many times.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// What is being written has a name that begins so, and ends so.
const ASIDE: (&str, &str) = (".", ".part");
/// Folders are no deeper: `data/ab/`.
const DEPTH: usize = 4;

/// What is in a folder.
type Entries = Vec<(String, Attributes)>;

/// A folder of a server of SFTP.
pub struct SftpObjects {
    command: Vec<OsString>,
    root: String,
    place: String,
    allow_no_fsync: bool,
    idle: Mutex<Vec<Session>>,
}

impl fmt::Debug for SftpObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SftpObjects").field("place", &self.place).finish_non_exhaustive()
    }
}

impl SftpObjects {
    /// The repository of a CA on a host; the vault itself where there is none. Nothing is asked yet.
    pub(crate) fn new(host: &Host, ca: Option<&str>) -> Self {
        let root = match ca {
            Some(ca) => format!("{}/{ca}", host.path.trim_end_matches('/')),
            None => host.path.clone(),
        };
        Self::over(host.command(), root, host.place(ca), host.allow_no_fsync)
    }

    /// Objects in the folder `root` of a server that a command speaks to on its standard input and output. `place` is its
    /// name for messages. Without `allow_no_fsync` nothing is written to a server that cannot put files onto its disk.
    #[must_use]
    pub fn over(command: Vec<OsString>, root: String, place: String, allow_no_fsync: bool) -> Self {
        Self { command, root, place, allow_no_fsync, idle: Mutex::default() }
    }

    /// The folders below it that hold a repository, of those that `fits` is true for.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub(crate) fn repositories(&self, fits: &dyn Fn(&str) -> bool) -> Result<Vec<String>, ObjectError> {
        let failed = |error| ObjectError::new("list", &self.place, error);
        self.with(true, |session| {
            let mut names = Vec::new();
            for (name, attributes) in folder(session, &self.root)? {
                let config = format!("{}/{name}/config", self.root);
                if !attributes.is_folder() || name.starts_with('.') || !fits(&name) {
                    continue;
                }
                let config = stat(session, &config).map(|found| found.is_some());
                if generation::counts(&name, config)? {
                    names.push(name);
                }
            }
            names.sort();
            Ok(names)
        })
        .map_err(failed)
    }

    /// What the server can do, as a sentence.
    ///
    /// # Errors
    /// When it cannot be reached; without an allowance also when it cannot put files onto their disk.
    pub(crate) fn abilities(&self) -> Result<String, ObjectError> {
        let failed = |error| ObjectError::new("reach", &self.place, error);
        self.with(true, |session| match session.has_fsync {
            true => Ok("ssh connects; the server puts files onto their disk (fsync@openssh.com)".to_owned()),
            false if self.allow_no_fsync => {
                Ok("ssh connects; the server does NOT have fsync@openssh.com, which allow-no-fsync accepts"
                    .to_owned())
            }
            false => Err(no_fsync()),
        })
        .map_err(failed)
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.root)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Session>> {
        // What is in it stays right when a thread that held it has panicked: every change is a single step.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a call over a connection that is there, or over a new one. `again` makes it once more when the connection
    /// ends: it must not matter whether it was carried out before.
    fn with<T>(&self, again: bool, mut call: impl FnMut(&mut Session) -> io::Result<T>) -> io::Result<T> {
        let mut waits = AGAIN.iter();
        loop {
            let error = match self.once(&mut call) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => error,
                other => return other,
            };
            let Some(wait) = waits.next().filter(|_| again) else { return Err(error) };
            std::thread::sleep(*wait);
        }
    }

    fn once<T>(&self, call: &mut impl FnMut(&mut Session) -> io::Result<T>) -> io::Result<T> {
        let idle = self.lock().pop();
        let mut session = match idle {
            Some(session) => session,
            None => Session::start(&self.command)?,
        };
        let called = call(&mut session);
        if !session.can_go_on() {
            return called.map_err(|error| session.explained(error));
        }
        let mut idle = self.lock();
        if idle.len() < KEPT {
            idle.push(session);
        }
        called
    }

    fn write(&self, session: &mut Session, name: &str, parts: &[Bytes]) -> io::Result<()> {
        self.refuse_without_fsync(session)?;
        let len: u64 = parts.iter().map(|part| part.len() as u64).sum();
        let path = self.path(name);
        if is_there(stat(session, &path)?, len, name)? {
            // Perhaps by this call, when its connection ended behind the rename: nobody has flushed the name then.
            return self.flush(session, &path);
        }
        let (folder, own) = path.rsplit_once('/').unwrap_or(("", &path));
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        let aside = format!("{folder}/{}{own}.{}{}", ASIDE.0, hex::encode(&random), ASIDE.1);
        self.write_file(session, &aside, parts)?;
        if let Err(error) = session.done(&Request::Rename { from: &aside, to: &path }) {
            if Session::is_over(&error) {
                return Err(error);
            }
            session.done(&Request::Remove(&aside)).ok();
            return match is_there(stat(session, &path)?, len, name)? {
                true => self.flush(session, &path),
                false => Err(error),
            };
        }
        // A pack counts when an index names it, and that is written later.
        match name.starts_with("data/") {
            true => Ok(()),
            false => self.flush(session, &path),
        }
    }

    /// Makes a file that is not there, with the folders that it needs, and puts it onto its disk.
    fn write_file(&self, session: &mut Session, path: &str, parts: &[Bytes]) -> io::Result<()> {
        let open = Request::Open { path, flags: wire::WRITE_NEW, mode: Some(FILE_MODE) };
        let handle = match session.handle(&open) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_folders(session, path)?;
                session.handle(&open)?
            }
            other => other?,
        };
        let written = session.write(&handle, parts);
        let written = written.and_then(|()| match session.has_fsync {
            true => session.done(&Request::Fsync(&handle)),
            false => Ok(()),
        });
        let closed = session.done(&Request::Close(&handle));
        let Err(error) = written.and(closed) else { return Ok(()) };
        if Session::is_over(&error) {
            return Err(error);
        }
        session.done(&Request::Remove(path)).ok();
        let len: u64 = parts.iter().map(|part| part.len() as u64).sum();
        match room(session, &self.root) {
            Ok(Some(free)) if free < len => Err(io::Error::new(
                io::ErrorKind::StorageFull,
                format!("{} are free there", human_bytes(free)),
            )),
            _ => Err(error),
        }
    }

    fn make_folders(&self, session: &mut Session, path: &str) -> io::Result<()> {
        let ends: Vec<usize> = path.match_indices('/').map(|(at, _)| at).filter(|at| *at != 0).collect();
        for end in ends {
            let made = session.done(&Request::MakeFolder { path: &path[..end], mode: FOLDER_MODE });
            // One that is there already is an error without a name of its own. Whoever needs it will see.
            if let Err(error) = made
                && Session::is_over(&error)
            {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Puts a file that has its name onto its disk once more, and the names before it with it.
    fn flush(&self, session: &mut Session, path: &str) -> io::Result<()> {
        if !session.has_fsync {
            return Ok(());
        }
        let handle = session.handle(&Request::Open { path, flags: wire::READ, mode: None })?;
        let flushed = session.done(&Request::Fsync(&handle));
        session.done(&Request::Close(&handle))?;
        flushed
    }

    fn refuse_without_fsync(&self, session: &Session) -> io::Result<()> {
        match session.has_fsync || self.allow_no_fsync {
            true => Ok(()),
            false => Err(no_fsync()),
        }
    }

    fn read_part(&self, session: &mut Session, name: &str, part: Option<(u64, u64)>) -> io::Result<Bytes> {
        let path = self.path(name);
        let handle = session.handle(&Request::Open { path: &path, flags: wire::READ, mode: None })?;
        let read = match stat(session, &path) {
            Ok(found) => {
                let size = found.and_then(|found| found.size).unwrap_or_default();
                let (offset, len) = part.unwrap_or((0, MAX_OBJECT));
                let len = usize::try_from(size.saturating_sub(offset).min(len).min(MAX_OBJECT));
                session.read(&handle, offset, len.map_err(io::Error::other)?)
            }
            Err(error) => Err(error),
        };
        session.done(&Request::Close(&handle))?;
        read
    }

    /// All files below a folder, those that are being written among them. Many folders are read at a time.
    fn walk(&self, session: &mut Session, name: &str) -> io::Result<Entries> {
        let mut found = Vec::new();
        let mut folders = vec![name.to_owned()];
        for _ in 0..DEPTH {
            let mut below = Vec::new();
            for (folder, entries) in read_folders(session, &self.root, folders)? {
                for (own, attributes) in entries {
                    let full = format!("{folder}/{own}");
                    if attributes.is_folder() {
                        below.push(full);
                    } else if attributes.is_file() {
                        found.push((full, attributes));
                    }
                }
            }
            folders = below;
        }
        Ok(found)
    }
}

impl Objects for SftpObjects {
    fn put(&self, name: &str, parts: &[Bytes]) -> Result<(), ObjectError> {
        let put = self.with(true, |session| self.write(session, name, parts));
        put.map_err(|error| ObjectError::new("write", name, error))
    }

    fn create(&self, name: &str, content: &[u8]) -> Result<(), ObjectError> {
        let parts = [Bytes::copy_from_slice(content)];
        // Not a second time: whether the first one made it could not be told.
        let created = self.with(false, |session| {
            self.refuse_without_fsync(session)?;
            let path = self.path(name);
            match self.write_file(session, &path, &parts) {
                Err(error) if !Session::is_over(&error) && stat(session, &path)?.is_some() => {
                    Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is one already"))
                }
                other => other,
            }
        });
        created.map_err(|error| ObjectError::new("write", name, error))
    }

    fn stored_at(&self, name: &str) -> Result<i64, ObjectError> {
        let found = self.with(true, |session| {
            let found = stat(session, &self.path(name))?.ok_or(io::ErrorKind::NotFound)?;
            let untold = || io::Error::new(io::ErrorKind::Unsupported, "the server tells no times");
            found.modified.ok_or_else(untold)
        });
        found.map(i64::from).map_err(|error| ObjectError::new("look at", name, error))
    }

    fn get(&self, name: &str) -> Result<Bytes, ObjectError> {
        let read = self.with(true, |session| self.read_part(session, name, None));
        read.map_err(|error| ObjectError::new("read", name, error))
    }

    fn range(&self, name: &str, offset: u64, len: u64) -> Result<Bytes, ObjectError> {
        let read = self.with(true, |session| self.read_part(session, name, Some((offset, len))));
        read.map_err(|error| ObjectError::new("read", name, error))
    }

    fn len(&self, name: &str) -> Result<Option<u64>, ObjectError> {
        let found = self.with(true, |session| stat(session, &self.path(name)));
        let found = found.map_err(|error| ObjectError::new("look at", name, error))?;
        Ok(found.and_then(|found| found.size))
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, ObjectError> {
        let walked = self.with(true, |session| self.walk(session, folder));
        let walked = walked.map_err(|error| ObjectError::new("list", folder, error))?;
        Ok(walked
            .into_iter()
            .filter(|(name, _)| !is_aside(name))
            .map(|(name, attributes)| (name, attributes.size.unwrap_or_default()))
            .collect())
    }

    fn vault_is_there(&self) -> Result<bool, ObjectError> {
        let Some((vault, _)) = self.root.rsplit_once('/').filter(|(vault, _)| !vault.is_empty()) else {
            return Ok(true);
        };
        let found = self.with(true, |session| stat(session, vault));
        Ok(found.map_err(|error| ObjectError::new("look at", &self.place, error))?.is_some())
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        let path = self.path(name);
        let deleted = self.with(true, |session| match session.done(&Request::Remove(&path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        });
        deleted.map_err(|error| ObjectError::new("delete", name, error))
    }

    fn tidy(&self, folder: &str, now: i64) -> Result<(), ObjectError> {
        let tidied = self.with(true, |session| {
            for (name, attributes) in self.walk(session, folder)? {
                let began = i64::from(attributes.modified.unwrap_or(u32::MAX));
                if is_aside(&name) && began.saturating_add(STALE) < now {
                    session.done(&Request::Remove(&self.path(&name)))?;
                }
            }
            Ok(())
        });
        tidied.map_err(|error| ObjectError::new("tidy", folder, error))
    }

    fn free(&self) -> Result<Option<u64>, ObjectError> {
        let free = self.with(true, |session| room(session, &self.root));
        free.map_err(|error| ObjectError::new("look at", &self.place, error))
    }

    fn caveat(&self) -> Option<String> {
        let has_fsync = self.with(true, |session| Ok(session.has_fsync)).unwrap_or(true);
        (!has_fsync).then(|| {
            "the server cannot put files onto their disk: the set may be gone when its machine loses power now".to_owned()
        })
    }

    fn place(&self) -> String {
        self.place.clone()
    }
}

fn no_fsync() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "the server does not have fsync@openssh.com, so a set could be gone when its machine loses power; \
         allow-no-fsync = true in the vault's table accepts that",
    )
}

/// Whether an object is there already. Objects are named after their content.
///
/// # Errors
/// When there is another one of that name.
fn is_there(found: Option<Attributes>, len: u64, name: &str) -> io::Result<bool> {
    match found.map(|found| found.size.unwrap_or_default()) {
        None => Ok(false),
        Some(there) if there == len && name != "config" => Ok(true),
        Some(there) => {
            let text = format!("one of {there} bytes is there already");
            Err(io::Error::new(io::ErrorKind::AlreadyExists, text))
        }
    }
}

fn is_aside(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|own| own.starts_with(ASIDE.0))
}

fn stat(session: &mut Session, path: &str) -> io::Result<Option<Attributes>> {
    match session.ask(&Request::Stat(path))? {
        Answer::Attributes(found) => Ok(Some(found)),
        other => match refused(&other) {
            error if error.kind() == io::ErrorKind::NotFound => Ok(None),
            error => Err(error),
        },
    }
}

fn room(session: &mut Session, path: &str) -> io::Result<Option<u64>> {
    if !session.has_room {
        return Ok(None);
    }
    // The folder of a CA may not be there yet.
    for path in [path, path.rsplit_once('/').map_or(path, |(above, _)| above)] {
        if let Answer::Extended(answer) = session.ask(&Request::Room(path))? {
            return wire::free_bytes(&answer).map(Some);
        }
    }
    Ok(None)
}

/// What is in one folder.
fn folder(session: &mut Session, path: &str) -> io::Result<Entries> {
    let mut entries = Vec::new();
    let handle = session.handle(&Request::OpenFolder(path))?;
    loop {
        match session.ask(&Request::ReadFolder(&handle))? {
            Answer::Names(names) => entries.extend(names.into_iter().filter(|(name, _)| is_name(name))),
            answer if is_end(&answer) => break,
            other => return Err(refused(&other)),
        }
    }
    session.done(&Request::Close(&handle))?;
    Ok(entries)
}

/// What is in several folders below `root`, by their names. One that is not there is empty.
fn read_folders(
    session: &mut Session,
    root: &str,
    folders: Vec<String>,
) -> io::Result<Vec<(String, Entries)>> {
    let paths: Vec<String> = folders.iter().map(|folder| format!("{root}/{folder}")).collect();
    let mut read = Vec::new();
    // No more than the handles that a server has.
    let mut rest: VecDeque<(String, &str)> =
        folders.into_iter().zip(paths.iter().map(String::as_str)).collect();
    while !rest.is_empty() {
        let some: Vec<(String, &str)> = rest.drain(..rest.len().min(HANDLES)).collect();
        let mut handles = vec![None; some.len()];
        session.ask_all(some.iter().map(|(_, path)| Request::OpenFolder(path)), &mut |place, answer| {
            handles[place] = match answer {
                Answer::Handle(handle) => Some(handle),
                other => match refused(&other) {
                    error if error.kind() == io::ErrorKind::NotFound => None,
                    error => return Err(error),
                },
            };
            Ok(())
        })?;
        let mut entries: Vec<Entries> = vec![Vec::new(); some.len()];
        let mut open: Vec<usize> = (0..some.len()).filter(|place| handles[*place].is_some()).collect();
        while !open.is_empty() {
            let mut more = Vec::new();
            let asked: Vec<&[u8]> = open.iter().filter_map(|place| handles[*place].as_deref()).collect();
            session.ask_all(
                asked.iter().map(|handle| Request::ReadFolder(handle)),
                &mut |place, answer| {
                    match answer {
                        Answer::Names(names) => {
                            entries[open[place]].extend(names.into_iter().filter(|(name, _)| is_name(name)));
                            more.push(open[place]);
                        }
                        answer if is_end(&answer) => {}
                        other => return Err(refused(&other)),
                    }
                    Ok(())
                },
            )?;
            open = more;
        }
        let opened: Vec<&[u8]> = handles.iter().flatten().map(Vec::as_slice).collect();
        session
            .ask_all(opened.iter().map(|handle| Request::Close(handle)), &mut |_, answer| is_done(&answer))?;
        read.extend(some.into_iter().map(|(name, _)| name).zip(entries));
    }
    Ok(read)
}

/// Folders that are open at the same time.
const HANDLES: usize = 32;

/// Whether a name stands for something in a folder, and for no other folder.
fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains('/')
}

/// Reads bytes as what a server sends.
#[cfg(any(feature = "fuzzing", test))]
pub(crate) fn fuzz(bytes: &[u8]) {
    wire::fuzz(bytes);
}
