//! Where everything of one CA lies: the service's folder (docs/store-format.md, "The embedded database on disk").

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use certadm_files::{Found, IoContext, durable};
use certadm_rules::Generation;

use crate::error::{Error, Result};
use crate::led::led_to;

/// How many names that lie between others are looked for: more logs than a CA keeps, and no more than takes a moment where two
/// names are billions of generations apart.
const MOST_LOOKED_FOR: usize = 1 << 16;

/// The folder of one CA and the names of what lies in it. Creating one touches no disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    dir: PathBuf,
}

impl Folder {
    /// The folder at `dir`; nothing is opened or created.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// A file of the folder by its `path`, as it may be taken into a set: no link below the folder is followed. The folder may belong
    /// to the account of the service, and whoever copies out of it may be root, who reads everything that a link leads to. `crl`,
    /// `ca.toml` and `ca.crt` may be links that an administrator has made (led.rs).
    pub fn own(&self, path: &Path) -> Found {
        let inside = path.strip_prefix(&self.dir).unwrap_or(path);
        let mut parts = inside.components();
        let first = parts.next().map(|part| self.dir.join(part)).unwrap_or_default();
        let rest = parts.as_path();
        let is_folder = first == self.crl_dir() && !rest.as_os_str().is_empty();
        let is_file = [self.config_path(), self.certificate_path()].contains(&first) && rest == Path::new("");
        match led_to(&first).filter(|_| is_folder || is_file) {
            Some(real) if is_folder => Found::below(&real, rest),
            Some(real) => match (real.parent(), real.file_name()) {
                (Some(parent), Some(name)) => Found::below(parent, name),
                _ => Found::below(&self.dir, inside),
            },
            None => Found::below(&self.dir, inside),
        }
    }

    /// Whether `crl` is a link that somebody else than an administrator may have made.
    pub fn crl_is_strange_link(&self) -> bool {
        self.crl_dir().is_symlink() && led_to(&self.crl_dir()).is_none()
    }

    /// `ca.toml`: the CA's configuration.
    pub fn config_path(&self) -> PathBuf {
        self.dir.join("ca.toml")
    }

    /// `ca.crt`: the CA's certificate, PEM.
    pub fn certificate_path(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// `ca.key`: the CA's private key, encrypted PKCS #8, mode 0600.
    pub fn key_path(&self) -> PathBuf {
        self.dir.join("ca.key")
    }

    /// `crl`: the dynamic files (certbcli.md 6.11).
    pub fn crl_dir(&self) -> PathBuf {
        self.dir.join("crl")
    }

    /// `database`: the folder of the database file.
    pub fn database_dir(&self) -> PathBuf {
        self.dir.join("database")
    }

    /// `log`: log files and the checkpoint file.
    pub fn log_dir(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// `log/edb.chk`: the checkpoint file.
    pub fn checkpoint_path(&self) -> PathBuf {
        self.log_dir().join("edb.chk")
    }

    /// `log/edbXXXXX.log`: the archived log of one generation.
    pub fn log_path(&self, generation: Generation) -> PathBuf {
        self.log_dir().join(generation.log_file_name())
    }

    /// `restore.json`: the registration record (certbcli.md D20).
    pub fn restore_record_path(&self) -> PathBuf {
        self.dir.join("restore.json")
    }

    /// `restore-swap.json`: how far the exchange of files by a restore is.
    pub fn restore_swap_path(&self) -> PathBuf {
        self.dir.join("restore-swap.json")
    }

    /// `restore.d`: requests of RegisterThroughFile (certbcli.md D17) and the saved trailer of a running recovery.
    pub fn restore_requests_dir(&self) -> PathBuf {
        self.dir.join("restore.d")
    }

    /// `restore.d/request.json`: a registration of RegisterThroughFile that waits to become the record.
    pub fn restore_request_path(&self) -> PathBuf {
        self.restore_requests_dir().join("request.json")
    }

    /// The folder and those in it, each with the mode it gets where it is made anew: the CA's is its owner's alone, the
    /// published one is for everyone who may come there, and the others take that of the CA's.
    pub fn parts(&self) -> [(PathBuf, Option<u32>); 4] {
        [
            (self.dir.clone(), Some(0o700)),
            (self.database_dir(), None),
            (self.log_dir(), None),
            (self.crl_dir(), Some(0o755)),
        ]
    }

    /// Makes what is missing of [`Folder::parts`].
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn create_parts(&self) -> Result<()> {
        self.parts().iter().try_for_each(|(dir, mode)| Self::create_part(dir, *mode))
    }

    /// Makes one of [`Folder::parts`], if it is not there.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn create_part(dir: &Path, mode: Option<u32>) -> Result<()> {
        match mode {
            Some(mode) => durable::create_dir_as(dir, mode)?,
            None => durable::create_dir(dir)?,
        }
        Ok(())
    }

    /// `lock`: held by the owner.
    pub fn owner_lock_path(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// `in-use.lock`: shared by everyone who has the database open, exclusive for who replaces it.
    pub fn use_lock_path(&self) -> PathBuf {
        self.dir.join("in-use.lock")
    }

    /// `commit.lock`: held for the length of one commit or one roll.
    pub fn commit_lock_path(&self) -> PathBuf {
        self.dir.join("commit.lock")
    }

    /// `service.sock`: the service's Unix socket where it cannot have the usual one.
    pub fn socket_path(&self) -> PathBuf {
        self.dir.join("service.sock")
    }

    /// The database file for a CA of the given sanitized name: `database/<name>.db`.
    pub fn database_path_for(&self, sanitized_name: &str) -> PathBuf {
        self.database_dir().join(format!("{sanitized_name}.db"))
    }

    /// Refuses the folder of no CA: it has neither a `database` folder nor a restore that is registered.
    ///
    /// # Errors
    /// [`Error::NotACaFolder`] (0x80070424), [`Error::File`] when the system does not let it be looked at.
    pub fn check(&self) -> Result<()> {
        if self.has_database_dir()?
            || found_at(&self.restore_record_path())?.is_some()
            || found_at(&self.restore_request_path())?.is_some()
        {
            return Ok(());
        }
        Err(Error::NotACaFolder { folder: self.dir.clone() })
    }

    fn has_database_dir(&self) -> Result<bool> {
        Ok(found_at(&self.database_dir())?.is_some_and(|found| found.is_dir()))
    }

    /// Finds the one database file, `database/*.db`.
    ///
    /// # Errors
    /// [`Error::NotACaFolder`] when the folder has no `database` folder, [`Error::DatabaseMissing`]
    /// (0xC8000713) when it is there and holds none, [`Error::SeveralDatabases`] when it holds more than one; [`Error::File`].
    pub fn database_path(&self) -> Result<PathBuf> {
        let dir = self.database_dir();
        if !self.has_database_dir()? {
            return Err(Error::NotACaFolder { folder: self.dir.clone() });
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(&dir).during("list", &dir)? {
            let path = entry.during("list", &dir)?.path();
            if Self::is_database(&path) {
                found.push(path);
            }
        }
        match found.len() {
            0 => Err(Error::DatabaseMissing { folder: self.dir.clone() }),
            1 => Ok(found.remove(0)),
            _ => Err(Error::SeveralDatabases { folder: dir }),
        }
    }

    /// Whether a file of this name is found as a CA's database: `*.db`.
    pub fn is_database(path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension == "db")
    }

    /// The generations that have an archived log in `dir`, ascending. Names in other forms are passed over.
    ///
    /// # Errors
    /// [`Error::File`] when the folder cannot be listed; [`Error::LogTwice`] (0xC800022C) when two names,
    /// differing in case, stand for one generation.
    pub fn logs_in(dir: &Path) -> Result<Vec<(Generation, PathBuf)>> {
        let mut logs = Vec::new();
        for entry in fs::read_dir(dir).during("list", dir)? {
            let entry = entry.during("list", dir)?;
            let name: OsString = entry.file_name();
            if let Some(generation) = name.to_str().and_then(Generation::from_log_file_name) {
                logs.push((generation, entry.path()));
            }
        }
        logs.sort();
        // A name that gets another file while the folder is read may come twice.
        logs.dedup();
        if let Some(pair) = logs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::LogTwice { path: pair[1].1.clone() });
        }
        Ok(logs)
    }

    /// The generations archived in this folder's `log`, ascending.
    ///
    /// A log that is being replaced by its packed form may be missing from a listing although it is there all the time:
    /// POSIX lets a listing leave out a name that gets another file meanwhile. So what a listing
    /// lacks between others, and beside the first and the last, is looked for by its name.
    ///
    /// # Errors
    /// As [`Folder::logs_in`].
    pub fn archived_logs(&self) -> Result<Vec<(Generation, PathBuf)>> {
        let mut logs = Self::logs_in(&self.log_dir())?;
        let (Some((first, _)), Some((last, _))) = (logs.first(), logs.last()) else { return Ok(logs) };
        let is_there = |generation: &Generation| self.log_path(*generation).is_file();
        let lower = core::iter::successors(first.previous(), |generation| generation.previous());
        let higher = core::iter::successors(last.next(), |generation| generation.next());
        let between = logs.windows(2).flat_map(|pair| pair[0].0.number() + 1..pair[1].0.number());
        let between = between.filter_map(Generation::new).take(MOST_LOOKED_FOR).filter(is_there);
        let found: Vec<_> =
            lower.take_while(is_there).chain(between).chain(higher.take_while(is_there)).collect();
        if !found.is_empty() {
            logs.extend(found.into_iter().map(|generation| (generation, self.log_path(generation))));
            logs.sort();
        }
        Ok(logs)
    }
}

/// What lies at a path; `None` where nothing does, which a system that does not let it be looked at does not say.
pub(crate) fn found_at(path: &Path) -> Result<Option<Metadata>> {
    match fs::metadata(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        other => Ok(Some(other.during("look at", path)?)),
    }
}

/// Bytes of the write-ahead log beside a database, 0 when there is none.
pub fn wal_len(database: &Path) -> u64 {
    fs::metadata(wal_path(database)).map_or(0, |metadata| metadata.len())
}

/// The `-wal` file that SQLite keeps beside a database.
pub(crate) fn wal_path(database: &Path) -> PathBuf {
    with_suffix(database, "-wal")
}

/// The `-shm` file that SQLite keeps beside a database.
pub(crate) fn shm_path(database: &Path) -> PathBuf {
    with_suffix(database, "-shm")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_looked_at_is_not_taken_for_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, b"").unwrap();
        for folder in [Folder::new(dir.path()), Folder::new(dir.path().join("no")), Folder::new(file)] {
            assert!(matches!(folder.database_path(), Err(Error::NotACaFolder { .. })));
            assert!(matches!(folder.check(), Err(Error::NotACaFolder { .. })));
        }
        // Whoever runs the tests, this is nothing that the system looks at.
        let folder = Folder::new(dir.path().join("x".repeat(300)));
        assert!(matches!(folder.database_path(), Err(Error::File(_))));
        assert!(matches!(folder.check(), Err(Error::File(_))));
    }
}
