//! Objects as files below a folder: written aside, flushed, renamed, the folder flushed.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use certadm_files::{Access, Found, OffsetIo, Unfinished, durable, space, unfinished};
use time::OffsetDateTime;

use super::{MAX_OBJECT, ObjectError, Objects, STALE};
use crate::generation;

/// The folder of a repository and what is in it is its owner's alone.
const MODE: u32 = 0o700;

/// A folder of this machine, or one that is mounted.
#[derive(Clone, Debug)]
pub struct FileObjects {
    root: PathBuf,
}

impl FileObjects {
    /// Objects below `root`, which need not exist before the first one is stored.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn found(&self, name: &str) -> Found {
        Found::below(&self.root, name)
    }

    fn write(&self, name: &str, parts: &[Bytes]) -> io::Result<()> {
        let path = self.root.join(name);
        let len: u64 = parts.iter().map(|part| part.len() as u64).sum();
        match self.length(name)? {
            None => {}
            // Objects are named after their content: it is there already.
            Some(there) if there == len && name != "config" => return Ok(()),
            Some(there) => {
                let text = format!("one of {there} bytes is there already");
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
            }
        }
        self.make_folder_of(&path)?;
        let (building, mut file) = Unfinished::file(&path).map_err(io_of)?;
        for part in parts {
            file.write_all(part)?;
        }
        durable::flush(&file, building.path()).map_err(io_of)?;
        building.place().map_err(io_of)
    }

    fn make_folder_of(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(&self.root);
        if !folder.is_dir() {
            durable::create_dir_as(&self.root, MODE).map_err(io_of)?;
            durable::create_dir(folder).map_err(io_of)?;
        }
        Ok(())
    }

    fn write_exclusively(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let path = self.root.join(name);
        self.make_folder_of(&path)?;
        // Not through a temporary file of a fixed name: another process may do the same at this moment.
        let mut file = durable::open_new(&path, Access::Owner).map_err(io_of)?;
        let written = file.write_all(content).and_then(|()| durable::flush(&file, &path).map_err(io_of));
        if written.is_err() {
            // On a full disk it would be a turn that nobody has, and keep others from theirs.
            drop(file);
            fs::remove_file(&path).ok();
        }
        written?;
        durable::sync_parent(&path).map_err(io_of)
    }

    fn modified(&self, name: &str) -> io::Result<i64> {
        let modified = self.found(name).open().map_err(io_of)?.metadata()?.modified()?;
        Ok(OffsetDateTime::from(modified).unix_timestamp())
    }

    fn read(&self, name: &str) -> io::Result<Bytes> {
        self.found(name).read(MAX_OBJECT).map(Bytes::from).map_err(io_of)
    }

    fn read_range(&self, name: &str, offset: u64, len: u64) -> io::Result<Bytes> {
        let file = self.found(name).open().map_err(io_of)?;
        let there = file.metadata()?.len().saturating_sub(offset).min(len).min(MAX_OBJECT);
        let mut buffer = vec![0; usize::try_from(there).map_err(io::Error::other)?];
        file.read_exact_at(&mut buffer, offset)?;
        Ok(buffer.into())
    }

    fn length(&self, name: &str) -> io::Result<Option<u64>> {
        match self.found(name).size() {
            Ok(len) => Ok(Some(len)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(io_of(error)),
        }
    }

    fn walk(&self, folder: &Path, name: &str, out: &mut Vec<(String, u64)>) -> io::Result<()> {
        for entry in entries_of(folder)? {
            let entry = entry?;
            let own = entry.file_name();
            // What is being written, and what a killed process has left of that, begins with a dot.
            let Some(own) = own.to_str().filter(|own| !own.starts_with('.')) else { continue };
            let full = format!("{name}/{own}");
            let Some(metadata) = metadata_of(&entry)? else { continue };
            if metadata.is_dir() {
                self.walk(&entry.path(), &full, out)?;
            } else if metadata.is_file() {
                out.push((full, metadata.len()));
            }
        }
        Ok(())
    }

    fn remove_left_over(folder: &Path, now: i64) -> io::Result<()> {
        for entry in entries_of(folder)? {
            let entry = entry?;
            let path = entry.path();
            let Some(metadata) = metadata_of(&entry)? else { continue };
            if metadata.is_dir() {
                Self::remove_left_over(&path, now)?;
                continue;
            }
            // Its process may be one of another machine, so its age alone tells.
            let began = OffsetDateTime::from(metadata.modified()?).unix_timestamp();
            if unfinished::is_named_so(&path) && began.saturating_add(STALE) < now {
                durable::remove_if_present(&path).map_err(io_of)?;
            }
        }
        Ok(())
    }
}

impl Objects for FileObjects {
    fn put(&self, name: &str, parts: &[Bytes]) -> Result<(), ObjectError> {
        self.write(name, parts).map_err(|error| ObjectError::new("write", name, error))
    }

    fn create(&self, name: &str, content: &[u8]) -> Result<(), ObjectError> {
        self.write_exclusively(name, content).map_err(|error| ObjectError::new("write", name, error))
    }

    fn stored_at(&self, name: &str) -> Result<i64, ObjectError> {
        self.modified(name).map_err(|error| ObjectError::new("look at", name, error))
    }

    fn get(&self, name: &str) -> Result<Bytes, ObjectError> {
        self.read(name).map_err(|error| ObjectError::new("read", name, error))
    }

    fn range(&self, name: &str, offset: u64, len: u64) -> Result<Bytes, ObjectError> {
        self.read_range(name, offset, len).map_err(|error| ObjectError::new("read", name, error))
    }

    fn len(&self, name: &str) -> Result<Option<u64>, ObjectError> {
        self.length(name).map_err(|error| ObjectError::new("look at", name, error))
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, ObjectError> {
        let mut out = Vec::new();
        self.walk(&self.root.join(folder), folder, &mut out)
            .map_err(|error| ObjectError::new("list", folder, error))?;
        Ok(out)
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        durable::remove_if_present(&self.root.join(name))
            .map_err(|error| ObjectError::new("delete", name, io_of(error)))
    }

    fn forget(&self, name: &str) {
        #[cfg(unix)]
        if let Ok(file) = self.found(name).open() {
            // Where the hint is not taken, the system's copy is compared.
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).ok();
        }
        #[cfg(not(unix))]
        let _ = name;
    }

    fn tidy(&self, folder: &str, now: i64) -> Result<(), ObjectError> {
        Self::remove_left_over(&self.root.join(folder), now)
            .map_err(|error| ObjectError::new("tidy", folder, error))
    }

    fn free(&self) -> Result<Option<u64>, ObjectError> {
        let root = if self.root.is_dir() { Some(self.root.as_path()) } else { self.root.parent() };
        let free = space::available(root.unwrap_or(&self.root));
        free.map_err(|error| ObjectError::new("look at", &self.place(), io_of(error)))
    }

    fn vault_is_there(&self) -> Result<bool, ObjectError> {
        let Some(vault) = self.root.parent() else { return Ok(true) };
        match fs::metadata(vault) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(ObjectError::new("look at", &vault.display().to_string(), error)),
            Ok(_) => Ok(true),
        }
    }

    fn place(&self) -> String {
        self.root.display().to_string()
    }
}

/// What lies in a folder; nothing where it is not there.
fn entries_of(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        entries => Some(entries?),
    };
    Ok(entries.into_iter().flatten())
}

/// What is known of an entry; `None` when it has gone since its folder was listed: another process expires sets.
fn metadata_of(entry: &fs::DirEntry) -> io::Result<Option<fs::Metadata>> {
    match entry.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// What the system said. The file is named by whoever asked.
fn io_of(error: certadm_files::Error) -> io::Error {
    match error {
        certadm_files::Error::Io { source, .. } => source,
        certadm_files::Error::Exists { .. } => io::Error::new(io::ErrorKind::AlreadyExists, error),
        other => io::Error::other(other),
    }
}

/// The folders in a vault that hold a repository, of those that `fits` is true for.
///
/// # Errors
/// When the vault cannot be listed.
pub(crate) fn repositories(root: &Path, fits: &dyn Fn(&str) -> bool) -> Result<Vec<String>, ObjectError> {
    let failed = |error| ObjectError::new("list", &root.display().to_string(), error);
    let mut names = Vec::new();
    for entry in fs::read_dir(root).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') || !fits(&name) {
            continue;
        }
        let absent = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
        let config = match fs::metadata(entry.path().join("config")) {
            Err(error) if absent.contains(&error.kind()) => Ok(false),
            found => found.map(|found| found.is_file()),
        };
        if generation::counts(&name, config).map_err(failed)? {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_there_whole_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let objects = FileObjects::new(dir.path().join("vault/ca"));
        assert!(objects.get("data/aa/one").unwrap_err().is_not_found());
        assert_eq!(objects.len("data/aa/one").unwrap(), None);
        assert_eq!(objects.list("data").unwrap(), []);
        objects.put("data/aa/one", &[Bytes::from_static(b"he"), Bytes::from_static(b"llo")]).unwrap();
        assert_eq!(objects.get("data/aa/one").unwrap(), "hello");
        assert_eq!(objects.range("data/aa/one", 3, 9).unwrap(), "lo");
        assert_eq!(objects.range("data/aa/one", 9, 9).unwrap(), "");
        objects.forget("data/aa/one");
        assert_eq!(objects.list("data").unwrap(), [("data/aa/one".to_owned(), 5)]);
        objects.put("data/aa/one", &[Bytes::from_static(b"other")]).unwrap();
        assert_eq!(objects.get("data/aa/one").unwrap(), "hello", "it is named after its content");
        let error = objects.put("data/aa/one", &[Bytes::from_static(b"longer")]).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AlreadyExists);
        objects.put("config", &[Bytes::from_static(b"x")]).unwrap();
        assert!(objects.put("config", &[Bytes::from_static(b"x")]).is_err());
        assert_eq!(repositories(&dir.path().join("vault"), &|_| true).unwrap(), ["ca"]);
        let now = OffsetDateTime::now_utc().unix_timestamp();
        objects.create("certadm/turn/0", b"one").unwrap();
        assert!((now - 60..now + 60).contains(&objects.stored_at("certadm/turn/0").unwrap()));
        let taken = objects.create("certadm/turn/0", b"one").unwrap_err();
        assert_eq!(taken.source.kind(), io::ErrorKind::AlreadyExists);
        assert!(objects.stored_at("certadm/turn/1").unwrap_err().is_not_found());
        objects.delete("data/aa/one").unwrap();
        objects.delete("data/aa/one").unwrap();
        assert_eq!(objects.list("data").unwrap(), []);
    }

    /// Another process expires sets, or writes, while this one lists.
    #[test]
    fn what_goes_while_a_folder_is_listed_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let objects = FileObjects::new(dir.path().to_owned());
        let names: Vec<PathBuf> =
            (0..3_000).map(|number| dir.path().join(format!("data/aa/{number}"))).collect();
        fs::create_dir_all(dir.path().join("data/aa")).unwrap();
        for round in 0..4 {
            names.iter().for_each(|name| fs::write(name, b"x").unwrap());
            let going = names.clone();
            let other =
                std::thread::spawn(move || going.iter().for_each(|name| fs::remove_file(name).unwrap()));
            while !other.is_finished() {
                objects.list("data").unwrap();
                objects.tidy("data", round).unwrap();
            }
            other.join().unwrap();
            assert_eq!(objects.list("data").unwrap(), []);
        }
    }

    #[test]
    fn what_a_killed_write_has_left_goes_after_a_day() {
        let dir = tempfile::tempdir().unwrap();
        let objects = FileObjects::new(dir.path().to_owned());
        objects.put("data/aa/one", &[Bytes::from_static(b"x")]).unwrap();
        let left = dir.path().join("data/aa").join(".two.unfinished-4711");
        fs::write(&left, b"half").unwrap();
        let now = OffsetDateTime::now_utc().unix_timestamp();
        objects.tidy("data", now + STALE - 600).unwrap();
        assert!(left.exists(), "it may still be written");
        objects.tidy("data", now + STALE + 600).unwrap();
        objects.tidy("index", now).unwrap();
        assert!(!left.exists());
        assert_eq!(objects.get("data/aa/one").unwrap(), "x");
    }

    #[cfg(unix)]
    #[test]
    fn no_link_is_followed_and_the_folder_is_its_owners() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("ca");
        let objects = FileObjects::new(root.clone());
        objects.put("data/aa/one", &[Bytes::from_static(b"x")]).unwrap();
        assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(dir.path().join("secret"), b"secret").unwrap();
        std::os::unix::fs::symlink("../../../secret", root.join("data/aa/link")).unwrap();
        assert!(objects.get("data/aa/link").is_err());
        assert_eq!(objects.list("data").unwrap().len(), 1);
    }
}
