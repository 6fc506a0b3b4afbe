//! Finding the files of a Windows set, by what they contain and by the names that the engine gives them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use certadm_ese::log::chain::generation_of_name;
use certadm_files::{Found, IoContext};
use certadm_rules::TaggedList;

use crate::error::{Error, Result};
use crate::layout::{LOCATIONS_FILE, database_dir};
use crate::reader::{Set, read_locations};

/// What a file is, by its first block (ese.md 1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// A Windows database.
    Database,
    /// A log of the Windows engine.
    Log,
    /// A checkpoint.
    Checkpoint,
    /// A flush map.
    FlushMap,
    /// A temporary database, which the running engine has beside its own.
    Temporary,
    /// Anything else, a file of our own store among them.
    Other,
}

/// Offset of the file type in every kind of file (ese.md 1).
const FILE_TYPE: usize = 667;
const DATABASE_MAGIC: [u8; 4] = 0x89AB_CDEF_u32.to_le_bytes();
/// Blocks behind which the second copy of a damaged header may lie: the page sizes (ese.md 3.2).
const SHADOWS: [usize; 5] = [2048, 4096, 8192, 16_384, 32_768];

/// Up to the end of the last of them.
const BLOCKS: u64 = 32_768 + 4096;
/// So many bytes tell a file of our own store.
const OWN_NAME: u64 = 16;

impl FileKind {
    /// Looks at the first blocks of a file. A damaged first header does not hide a database: its second copy tells.
    ///
    /// # Errors
    /// [`Error::Store`] when the file cannot be read.
    pub fn of(found: &Found) -> Result<Self> {
        Ok(Self::of_bytes(&start_of(found)?))
    }

    fn of_bytes(start: &[u8]) -> Self {
        let is_database = |offset: usize| start.get(offset + 4..offset + 8) == Some(&DATABASE_MAGIC);
        let number = start.get(FILE_TYPE..FILE_TYPE + 4).and_then(|bytes| bytes.try_into().ok());
        match number.map(u32::from_le_bytes) {
            _ if is_own(start) => Self::Other,
            Some(5) if is_database(0) => Self::Temporary,
            _ if is_database(0) => Self::Database,
            Some(3) => Self::Log,
            Some(4) => Self::Checkpoint,
            Some(7) => Self::FlushMap,
            _ if SHADOWS.into_iter().any(is_database) => Self::Database,
            _ => Self::Other,
        }
    }
}

/// A set of a Windows CA as it lies on disk.
#[derive(Clone, Debug)]
pub struct WindowsSet {
    /// What was named: a folder or a single file.
    pub path: PathBuf,
    /// The set with its manifest, where it is complete.
    pub complete: Option<Set>,
    /// The database.
    pub database: Option<Found>,
    /// The logs, by the generations in their names; the current log, whose name has none, behind them.
    pub logs: Vec<Found>,
    /// The checkpoint, which no backup set has.
    pub checkpoint: Option<Found>,
    /// The restore map.
    pub locations: Option<Found>,
}

impl WindowsSet {
    /// Looks at a path where no complete set lies; `None` when what lies there is not of a Windows CA.
    ///
    /// # Errors
    /// [`Error::NotASet`] (0x8007010B) when a folder holds more than one database, [`Error::Store`].
    pub(crate) fn find(path: &Path) -> Result<Option<Self>> {
        // A pipe or device that was named is refused where it would be opened.
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_dir()) {
            return Self::of_file(path);
        }
        if path.is_dir() { Self::of_folder(path, &database_dir(path)?) } else { Ok(None) }
    }

    /// What the restore map says, `None` where there is no such file.
    ///
    /// # Errors
    /// As [`Set::locations`].
    pub fn read_locations(&self) -> Result<Option<TaggedList>> {
        match (&self.complete, &self.locations) {
            (Some(set), _) => set.locations(),
            // Without a manifest a damaged map is as good as none; `verify` says so.
            (None, Some(path)) => Ok(read_locations(path).ok()),
            (None, None) => Ok(None),
        }
    }

    /// True for a single file, whose neighbours were not looked at.
    pub fn is_single_file(&self) -> bool {
        self.complete.is_none() && self.path.is_file()
    }

    /// Whether it is a set as certutil wrote it, without a manifest, and says whose it is.
    pub(crate) fn is_to_be_sealed(&self) -> bool {
        let says_whose_it_is = self.database.is_some() || self.locations.is_some();
        let is_backup = self.checkpoint.is_none() && !self.logs.is_empty();
        self.complete.is_none() && !self.is_single_file() && is_backup && says_whose_it_is
    }

    fn empty(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            complete: None,
            database: None,
            logs: Vec::new(),
            checkpoint: None,
            locations: None,
        }
    }

    fn of_file(path: &Path) -> Result<Option<Self>> {
        let mut set = Self::empty(path);
        let file = Found::named(path);
        match FileKind::of(&file)? {
            FileKind::Database => set.database = Some(file),
            FileKind::Log => set.logs.push(file),
            FileKind::Checkpoint => set.checkpoint = Some(file),
            FileKind::Other if is_named_database(path) => set.database = Some(file),
            FileKind::FlushMap | FileKind::Temporary | FileKind::Other => return Ok(None),
        }
        Ok(Some(set))
    }

    /// Whether a complete set is of a Windows CA. What the manifest says decides before the files, which may be lost or damaged:
    /// whoever took a set of our own put the signature of its database there, and the engine of Windows has none of ours.
    ///
    /// # Errors
    /// [`Error::Store`] when the file that would tell cannot be read.
    pub(crate) fn is(set: &Set) -> Result<bool> {
        if set.image.as_deref().is_some_and(is_named_database) {
            return Ok(true);
        }
        if set.manifest.as_ref().is_some_and(|manifest| !manifest.ca.database_signature.is_empty()) {
            return Ok(false);
        }
        // A set of our own has no signature where the first log could not be read when it was taken.
        for file in set.image.iter().chain(set.logs.iter().map(|(_, log)| log)) {
            if let Some(is_windows) = is_of_windows(file)? {
                return Ok(is_windows);
            }
        }
        Ok(set.image.is_none() && !set.logs.is_empty())
    }

    /// A complete set of a Windows CA.
    pub(crate) fn of_complete(set: Set) -> Self {
        let locations = set.locations_file();
        let there = Found::is_there;
        Self {
            path: set.path.clone(),
            database: set.image.clone().filter(there),
            logs: set.logs.iter().map(|(_, log)| log.clone()).filter(there).collect(),
            checkpoint: None,
            locations: Some(locations).filter(there),
            complete: Some(set),
        }
    }

    fn of_folder(path: &Path, database_dir: &Path) -> Result<Option<Self>> {
        let dir = &path.join(database_dir);
        let mut set = Self::empty(path);
        let mut is_windows = false;
        let mut files = Vec::new();
        for entry in fs::read_dir(dir).during("list", dir)? {
            files.push(Found::below(path, database_dir.join(entry.during("list", dir)?.file_name())));
        }
        files.sort();
        let mut parts = Vec::new();
        for file in files {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            match file.symlink_metadata() {
                Ok(metadata) if metadata.is_file() => {}
                // What has the name of a part is one, and must be a file; what else lies there is nobody's concern.
                Ok(metadata) if !metadata.is_dir() && is_part(&name) => {
                    file.size()?;
                }
                _ => continue,
            }
            if name.eq_ignore_ascii_case(LOCATIONS_FILE) {
                set.locations = Some(file);
                continue;
            }
            let kind = FileKind::of(&file)?;
            parts.push((file, name, kind));
        }
        let bases = Bases::of(&parts);
        for (file, name, kind) in parts {
            let name = name.as_str();
            let is_log = bases.is_log_name(name);
            is_windows |= matches!(kind, FileKind::Database | FileKind::Log | FileKind::Temporary);
            match kind {
                FileKind::Database if is_temporary_name(name) => {}
                FileKind::Database => set.add_database(file)?,
                FileKind::Checkpoint => set.checkpoint = Some(file),
                // What has the name of a log or of a database is one, even if its header is damaged: the octets that say what a file is
                // are believed without a checksum.
                _ if is_log => set.logs.push(file),
                FileKind::Other | FileKind::Temporary | FileKind::FlushMap
                    if is_named_database(&file) && !is_temporary_name(name) =>
                {
                    is_windows = true;
                    set.add_database(file)?;
                }
                FileKind::Log | FileKind::FlushMap | FileKind::Temporary | FileKind::Other => {}
            }
        }
        // By their names alone, 0x100000 comes before 0xfffff, and capital letters before small ones.
        set.logs.sort_by_cached_key(|log| {
            let generation = generation_in_name(log);
            (generation.is_none(), generation, log.clone())
        });
        Ok(is_windows.then_some(set))
    }

    /// The log with the highest generation; the current one where no other is there.
    pub(crate) fn last_log(&self) -> Option<&Found> {
        let numbered = |log: &&Found| generation_in_name(log).is_some();
        self.logs.iter().rfind(numbered).or(self.logs.last())
    }

    fn add_database(&mut self, file: Found) -> Result<()> {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(first) = &self.database {
            return Err(Error::NotASet {
                path: self.path.clone(),
                detail: format!(
                    "it holds more than one database, {} and {}; name one of these files",
                    name(first),
                    name(&file)
                ),
            });
        }
        self.database = Some(file);
        Ok(())
    }
}

/// The generation that the name of a log tells; the current one tells none.
fn generation_in_name(log: &Found) -> Option<u32> {
    generation_of_name(log.file_name()?.to_str()?)
}

/// Files of our own store begin with a name of their format.
fn is_own(start: &[u8]) -> bool {
    start.starts_with(b"CADM") || start.starts_with(b"SQLite format 3")
}

/// As much of a file as tells what it is.
fn start_of(found: &Found) -> Result<Vec<u8>> {
    let mut file = found.open()?;
    let mut start = Vec::new();
    (&mut file).take(OWN_NAME).read_to_end(&mut start).during("read", found)?;
    if !is_own(&start) {
        file.take(BLOCKS - OWN_NAME).read_to_end(&mut start).during("read", found)?;
    }
    Ok(start)
}

/// Whether an image or a log is of Windows or of our own store; `None` where it does not tell, or is not there.
fn is_of_windows(file: &Found) -> Result<Option<bool>> {
    // What is no file is told of by whoever reads the set next.
    if file.size().is_err() {
        return Ok(None);
    }
    let start = start_of(file)?;
    Ok(match FileKind::of_bytes(&start) {
        FileKind::Database | FileKind::Log => Some(true),
        _ if is_own(&start) => Some(false),
        _ => None,
    })
}

/// Whether a file of this name is a part of a set of a Windows CA.
fn is_part(name: &str) -> bool {
    is_log_name(name) || is_named_database(Path::new(name)) || name.eq_ignore_ascii_case(LOCATIONS_FILE)
}

fn is_named_database(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("edb"))
}

/// The temporary database of the running engine. It is no part of a backup, whatever it holds: it may be empty, or cut off.
fn is_temporary_name(name: &str) -> bool {
    name.eq_ignore_ascii_case("tmp.edb")
}

/// The base name of a Windows CA's logs.
const BASE: &str = "edb";

/// The base names of the logs in a folder: that of a CA, and those of the files that are logs by their content. Programs write texts
/// that they call logs, too, and names such as `out.log` and `log20261130.log` have the form of a log's.
struct Bases(BTreeSet<String>);

impl Bases {
    fn of(files: &[(Found, String, FileKind)]) -> Self {
        let logs = files.iter().filter(|(_, _, kind)| *kind == FileKind::Log);
        let known = logs.filter_map(|(_, name, _)| base_of(name));
        Self(known.chain([BASE]).map(str::to_ascii_lowercase).collect())
    }

    /// Whether a file of this name is a log of a generation, or the current one (`edb.log`).
    fn is_log_name(&self, name: &str) -> bool {
        base_of(name).is_some_and(|base| self.0.contains(&base.to_ascii_lowercase()))
    }
}

/// Whether it has the name of a CA's log.
fn is_log_name(name: &str) -> bool {
    base_of(name).is_some_and(|base| base.eq_ignore_ascii_case(BASE))
}

/// The base name, three characters, in a name of the form that the name of a log has. The next log being prepared (`edbtmp.log`) has
/// another one: its contents mean nothing (ese.md 1).
fn base_of(name: &str) -> Option<&str> {
    let (stem, extension) = name.rsplit_once('.')?;
    let known = ["log", "jtx"].iter().any(|known| extension.eq_ignore_ascii_case(known));
    let is_current = known && stem.len() == 3;
    let base = stem.get(..3)?;
    (is_current || generation_of_name(name).is_some()).then_some(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_logs() {
        for name in ["edb.log", "EDB00001.LOG", "edb00100000.log", "edb0000a.jtx"] {
            assert!(is_log_name(name), "{name}");
        }
        let strangers = ["edbtmp.log", "edbres00001.jrs", "res1.log", "edb.chk", "certbkxp.dat", "é.log"];
        for name in strangers.into_iter().chain(["V01.log", "out.log", "log20261130.log", "bak00001.log"]) {
            assert!(!is_log_name(name), "{name}");
        }
        // Another engine's base name counts where a file that has it is a log.
        let file = |name: &str, kind| (Found::named(Path::new(name)), name.to_owned(), kind);
        let bases = Bases::of(&[file("V0100001.log", FileKind::Log), file("out.log", FileKind::Other)]);
        for name in ["v01.log", "V0100002.LOG", "edb.log"] {
            assert!(bases.is_log_name(name), "{name}");
        }
        assert!(!bases.is_log_name("out.log"));
    }

    #[test]
    fn kinds_by_their_first_block() {
        let mut block = vec![0; 8192];
        assert_eq!(FileKind::of_bytes(&block), FileKind::Other);
        block[FILE_TYPE] = 3;
        assert_eq!(FileKind::of_bytes(&block), FileKind::Log);
        block[4096 + 4..4096 + 8].copy_from_slice(&DATABASE_MAGIC);
        block[FILE_TYPE] = 0;
        assert_eq!(FileKind::of_bytes(&block), FileKind::Database, "its second header tells");
        block[..4].copy_from_slice(b"CADM");
        assert_eq!(FileKind::of_bytes(&block), FileKind::Other);
        assert_eq!(FileKind::of_bytes(b"short"), FileKind::Other);
    }
}
