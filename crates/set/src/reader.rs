//! Opening a set that somebody wrote: complete with a manifest, or the bare folder of a Windows tool.

use std::fs;
use std::path::{Path, PathBuf};

use certadm_rules::{Generation, GenerationRange, Hresult, TaggedList};
use certadm_store::Folder;

use crate::error::{Error, Result};
use crate::layout::{LOCATIONS_FILE, database_dir, file_of, in_any_case};
use crate::manifest::{self, Manifest, Role, SetKind};
use certadm_files::IoContext;

/// A set as it lies on disk. Opening it reads names and the manifest, not the files.
#[derive(Clone, Debug)]
pub struct Set {
    /// The set's folder.
    pub path: PathBuf,
    /// The manifest, checked against its own checksum; `None` for an incomplete set.
    pub manifest: Option<Manifest>,
    /// The database image, in a full set.
    pub image: Option<PathBuf>,
    /// The logs, ascending.
    pub logs: Vec<(Generation, PathBuf)>,
}

impl Set {
    /// Opens the set at `path`: the set's own folder, or the `DataBase` folder in it.
    ///
    /// # Errors
    /// [`Error::NotASet`] (0x8007010B), [`Error::BadManifest`], [`Error::Damaged`] when a file that the manifest names
    /// is missing, [`Error::File`] when the system refuses, [`Error::Store`].
    pub fn open(path: &Path) -> Result<Self> {
        let not_a_set = |detail: &str| Error::NotASet { path: path.to_owned(), detail: detail.to_owned() };
        match fs::metadata(path).during("look at", path) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(not_a_set("it is a file that this command does not read")),
            Err(error) if error.is_not_found() => return Err(not_a_set("there is no such folder")),
            Err(error) => return Err(error.into()),
        }
        let manifest_path = in_any_case(path, manifest::FILE_NAME);
        if manifest_path.exists() {
            return Self::open_complete(path, &manifest_path);
        }
        Self::open_incomplete(path, &database_dir(path))
    }

    fn open_complete(path: &Path, manifest_path: &Path) -> Result<Self> {
        let bad = |detail: String| Error::BadManifest { path: manifest_path.to_owned(), detail };
        if fs::metadata(manifest_path).during("look at", manifest_path)?.len() > manifest::MAX_LEN {
            return Err(bad("it is too large".to_owned()));
        }
        let bytes = fs::read(manifest_path).during("read", manifest_path)?;
        let manifest = Manifest::parse(&bytes).map_err(bad)?;
        let mut logs = Vec::new();
        for entry in manifest.logs() {
            let log = file_of(path, &entry.path);
            let named =
                log.file_name().and_then(|name| name.to_str()).and_then(Generation::from_log_file_name);
            let generation = named.ok_or_else(|| bad(format!("it lists {:?} as a log", entry.path)))?;
            logs.push((generation, log));
        }
        logs.sort();
        let image = manifest.database().map(|entry| file_of(path, &entry.path));
        if image.is_none() && manifest.kind == SetKind::Full {
            return Err(bad("it is of a full set and lists no database".to_owned()));
        }
        Ok(Self { path: path.to_owned(), manifest: Some(manifest), image, logs })
    }

    fn open_incomplete(path: &Path, dir: &Path) -> Result<Self> {
        let logs = Folder::logs_in(dir)?;
        let mut image = None;
        for entry in fs::read_dir(dir).during("list", dir)? {
            let file = entry.during("list", dir)?.path();
            match file.extension().and_then(|extension| extension.to_str()) {
                Some(edb) if edb.eq_ignore_ascii_case("edb") => {
                    return Err(Error::OfWindows { path: path.to_owned() });
                }
                Some(db) if db.eq_ignore_ascii_case("db") && image.replace(file.clone()).is_some() => {
                    return Err(Error::NotASet {
                        path: path.to_owned(),
                        detail: "it holds more than one database".to_owned(),
                    });
                }
                _ => {}
            }
        }
        if image.is_none() && logs.is_empty() {
            let detail = "it holds neither a manifest nor a database nor logs".to_owned();
            return Err(Error::NotASet { path: path.to_owned(), detail });
        }
        Ok(Self { path: path.to_owned(), manifest: None, image, logs })
    }

    /// Full or logs only.
    pub fn kind(&self) -> SetKind {
        if self.image.is_some() { SetKind::Full } else { SetKind::Logs }
    }

    /// Lowest and highest generation of its logs, as their names tell.
    pub fn range(&self) -> Option<GenerationRange> {
        GenerationRange::new(self.logs.first()?.0, self.logs.last()?.0)
    }

    /// The folder that holds database and logs.
    pub fn database_dir(&self) -> PathBuf {
        database_dir(&self.path)
    }

    /// The restore map stored with the set, `None` where there is no such file.
    ///
    /// # Errors
    /// [`Error::Damaged`] (0x8007000D) when it is not what the manifest says or no such list (certbcli.md D23), [`Error::Store`].
    pub fn locations(&self) -> Result<Option<TaggedList>> {
        let path = in_any_case(&self.database_dir(), LOCATIONS_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = location_bytes(&path)?;
        let expected = self
            .manifest
            .iter()
            .flat_map(|manifest| &manifest.files)
            .find(|entry| entry.role == Role::Locations);
        if expected.is_some_and(|entry| entry.blake3 != blake3::hash(&bytes).to_hex().as_str()) {
            return Err(damaged_locations(&path, "its bytes differ from what was backed up".to_owned()));
        }
        parse_locations(&path, &bytes).map(Some)
    }
}

/// Reads a restore map, whoever wrote it.
///
/// # Errors
/// [`Error::Damaged`] (0x8007000D) when it is no such list or longer than one can be, [`Error::Store`].
pub fn read_locations(path: &Path) -> Result<TaggedList> {
    parse_locations(path, &location_bytes(path)?)
}

/// A restore map holds a few paths (certbcli.md 10.2); this is room for sixteen of the longest.
const MOST_LOCATION_BYTES: u64 = 1 << 20;

fn location_bytes(path: &Path) -> Result<Vec<u8>> {
    match certadm_files::read::bounded(path, MOST_LOCATION_BYTES) {
        Err(certadm_files::Error::TooLong { limit, .. }) => {
            Err(damaged_locations(path, format!("it is longer than {limit} bytes")))
        }
        other => Ok(other?),
    }
}

fn parse_locations(path: &Path, bytes: &[u8]) -> Result<TaggedList> {
    TaggedList::decode_file(bytes).map_err(|error| damaged_locations(path, error.to_string()))
}

fn damaged_locations(path: &Path, detail: String) -> Error {
    Error::Damaged { path: path.to_owned(), detail, code: Hresult::ERROR_INVALID_DATA }
}

#[cfg(test)]
mod tests {
    use certadm_rules::Diagnosis;

    use super::*;

    #[test]
    fn a_restore_map_of_any_length_is_not_read_into_memory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LOCATIONS_FILE);
        let file = fs::File::create(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        let error = read_locations(&path).unwrap_err();
        assert!(error.to_string().contains("longer than 1048576 bytes"), "{error}");
        assert_eq!(error.hresult(), Hresult::ERROR_INVALID_DATA);
    }
}
