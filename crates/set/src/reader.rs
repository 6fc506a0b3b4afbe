//! Opening a set that somebody wrote: complete with a manifest, or the bare folder of a Windows tool.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use certadm_rules::names::{is_safe_component, last_component};
use certadm_rules::{Generation, GenerationRange, Hresult, TaggedList};
use certadm_store::Folder;

use crate::error::{Error, Result};
use crate::layout::{IDENTITY_DIR, LOCATIONS_FILE, MAX_LOCATIONS, Places, database_dir, file_in, file_of};
use crate::manifest::{self, FileEntry, Manifest, Role, SetKind};
use crate::signing;
use certadm_files::{Found, IoContext, unfinished};

/// A set as it lies on disk. Opening it reads names and the manifest, not the files.
#[derive(Clone, Debug)]
pub struct Set {
    /// The set's folder.
    pub path: PathBuf,
    /// The manifest, checked against its own checksum; `None` for an incomplete set.
    pub manifest: Option<Manifest>,
    /// The database image, in a full set.
    pub image: Option<Found>,
    /// The logs, ascending.
    pub logs: Vec<(Generation, Found)>,
    /// The folder of both, below the set's.
    database_dir: PathBuf,
    /// Where each file of the manifest lies, in its order.
    places: Vec<Found>,
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
        let manifest_file = file_of(path, manifest::FILE_NAME);
        if manifest_file.is_there() {
            return Self::open_complete(path, &manifest_file);
        }
        Self::open_incomplete(path, &database_dir(path)?)
    }

    fn open_complete(path: &Path, manifest_file: &Found) -> Result<Self> {
        let bad = |detail: String| Error::BadManifest { path: manifest_file.path().to_owned(), detail };
        let bytes = match manifest_file.read(manifest::MAX_LEN) {
            Err(certadm_files::Error::TooLong { limit, .. }) => {
                return Err(bad(format!("it is longer than {limit} bytes")));
            }
            other => other?,
        };
        let manifest = Manifest::parse(&bytes).map_err(bad)?;
        let mut finder = Places::of(path, manifest.files.iter().map(|entry| entry.path.as_str()));
        let places: Vec<Found> = manifest.files.iter().map(|entry| finder.file(&entry.path)).collect();
        let mut logs = Vec::new();
        let mut image = None;
        for (entry, place) in manifest.files.iter().zip(&places) {
            match entry.role {
                Role::Database => image = Some(place.clone()),
                Role::Locations | Role::Dynamic => {}
                Role::Log => {
                    let generation = generation_of(place)
                        .ok_or_else(|| bad(format!("it lists {:?} as a log", entry.path)))?;
                    logs.push((generation, place.clone()));
                }
            }
        }
        logs.sort();
        if image.is_none() && manifest.kind == SetKind::Full {
            return Err(bad("it is of a full set and lists no database".to_owned()));
        }
        let database_dir = database_dir(path)?;
        Ok(Self { path: path.to_owned(), manifest: Some(manifest), image, logs, database_dir, places })
    }

    fn open_incomplete(path: &Path, database_dir: &Path) -> Result<Self> {
        let dir = &path.join(database_dir);
        let below = |file: &Path| Found::below(path, database_dir.join(file.file_name().unwrap_or_default()));
        let logs: Vec<(Generation, Found)> =
            Folder::logs_in(dir)?.into_iter().map(|(generation, log)| (generation, below(&log))).collect();
        let mut image = None;
        for entry in fs::read_dir(dir).during("list", dir)? {
            let file = entry.during("list", dir)?.path();
            match file.extension().and_then(|extension| extension.to_str()) {
                Some(edb) if edb.eq_ignore_ascii_case("edb") => {
                    return Err(Error::OfWindows { path: path.to_owned() });
                }
                Some(db) if db.eq_ignore_ascii_case("db") && image.replace(below(&file)).is_some() => {
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
        Ok(Self {
            path: path.to_owned(),
            manifest: None,
            image,
            logs,
            database_dir: database_dir.to_owned(),
            places: Vec::new(),
        })
    }

    /// The manifest's entries, each with the place of its file; none in an incomplete set. Logs that an earlier state leaves
    /// out are none of them.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&FileEntry, &Found)> {
        let is_used = |(entry, place): &(&FileEntry, &Found)| {
            entry.role != Role::Log
                || generation_of(place).is_none_or(|generation| {
                    self.logs.binary_search_by_key(&generation, |(generation, _)| *generation).is_ok()
                })
        };
        self.manifest.iter().flat_map(|manifest| &manifest.files).zip(&self.places).filter(is_used)
    }

    /// What lies in the folders of a complete set and is neither named by its manifest nor known otherwise. What is in the
    /// folder `Identity` has a list of its own.
    pub fn strangers(&self) -> Vec<PathBuf> {
        let mut strangers = Vec::new();
        // What the manifest names, and the folders on the way to it.
        let mut known: BTreeSet<PathBuf> = BTreeSet::new();
        let mut folders: BTreeSet<PathBuf> = BTreeSet::from([self.path.clone(), self.database_dir()]);
        for place in &self.places {
            let above = place.path().ancestors().skip(1);
            folders.extend(above.take_while(|dir| *dir != self.path).map(Path::to_owned));
            known.insert(place.path().to_owned());
        }
        for name in [manifest::FILE_NAME, signing::FILE_NAME] {
            known.insert(file_of(&self.path, name).path().to_owned());
        }
        for folder in &folders {
            // What is missing is found by its hash.
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let is_identity =
                    *folder == self.path && entry.file_name().eq_ignore_ascii_case(IDENTITY_DIR);
                // Another command looks at the set just now, or was killed while it did: who makes a scratch copy removes that.
                let is_scratch =
                    unfinished::is_named_so(&path) && entry.file_type().is_ok_and(|kind| kind.is_dir());
                if !known.contains(&path) && !folders.contains(&path) && !is_identity && !is_scratch {
                    strangers.push(path);
                }
            }
        }
        strangers
    }

    /// Full or logs only.
    pub fn kind(&self) -> SetKind {
        if self.image.is_some() { SetKind::Full } else { SetKind::Logs }
    }

    /// Refuses a complete set whose image is gone: the manifest is there, and so this is damage and no wrong path.
    ///
    /// # Errors
    /// [`Error::Missing`] (0xC80004C0).
    pub fn check_image_is_there(&self) -> Result<()> {
        match &self.image {
            Some(image) if !image.is_there() => {
                Err(Error::Missing { path: image.path().to_owned(), code: Role::Database.code_of_absence() })
            }
            _ => Ok(()),
        }
    }

    /// Lowest and highest generation of its logs, as their names tell.
    pub fn range(&self) -> Option<GenerationRange> {
        GenerationRange::new(self.logs.first()?.0, self.logs.last()?.0)
    }

    /// The folder that holds database and logs.
    pub fn database_dir(&self) -> PathBuf {
        self.path.join(&self.database_dir)
    }

    /// The restore map's file, whether it is there or not.
    pub fn locations_file(&self) -> Found {
        file_in(&self.path, &self.database_dir, LOCATIONS_FILE)
    }

    /// The restore map stored with the set, `None` where there is no such file, or where the manifest does not know it.
    ///
    /// # Errors
    /// [`Error::Damaged`] (0x8007000D) when it is not what the manifest says or no such list (certbcli.md D23), [`Error::Store`].
    pub fn locations(&self) -> Result<Option<TaggedList>> {
        let path = self.locations_file();
        if !path.is_there() {
            return Ok(None);
        }
        let expected = match &self.manifest {
            Some(manifest) => match manifest.files.iter().find(|entry| entry.role == Role::Locations) {
                Some(entry) => Some(entry),
                None => return Ok(None),
            },
            None => None,
        };
        let bytes = location_bytes(&path)?;
        if expected.is_some_and(|entry| entry.blake3 != blake3::hash(&bytes).to_hex().as_str()) {
            return Err(damaged_locations(&path, "its bytes differ from what was backed up".to_owned()));
        }
        parse_locations(&path, &bytes).map(Some)
    }

    /// Where the database lay, as the restore map of a full set says. Its last component is a name that a CA finds its database by.
    ///
    /// # Errors
    /// As [`Set::locations`]; [`Error::Damaged`] (0x8007000D) when there is no map, or it names no such database.
    pub(crate) fn original_database(&self) -> Result<String> {
        let damaged = |detail: &str| damaged_locations(self.locations_file().path(), detail.to_owned());
        let locations =
            self.locations()?.ok_or_else(|| damaged("the restore map of the full set is missing"))?;
        let database = locations.database().ok_or_else(|| damaged("it names no database"))?;
        let name = last_component(database);
        if is_safe_component(name) && Folder::is_database(Path::new(name)) {
            return Ok(database.to_owned());
        }
        Err(damaged(&format!(
            "it names the database {name:?}, and no CA starts on a file of that name: it would have to be *.db"
        )))
    }
}

/// The generation of a log, by the name that its file has.
fn generation_of(file: &Found) -> Option<Generation> {
    file.file_name().and_then(|name| name.to_str()).and_then(Generation::from_log_file_name)
}

/// Reads a restore map, whoever wrote it.
///
/// # Errors
/// [`Error::Damaged`] (0x8007000D) when it is no such list or longer than one can be, [`Error::Store`].
pub fn read_locations(file: &Found) -> Result<TaggedList> {
    parse_locations(file, &location_bytes(file)?)
}

fn location_bytes(file: &Found) -> Result<Vec<u8>> {
    match file.read(MAX_LOCATIONS) {
        Err(certadm_files::Error::TooLong { limit, .. }) => {
            Err(damaged_locations(file, format!("it is longer than {limit} bytes")))
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
        let error = read_locations(&path.into()).unwrap_err();
        assert!(error.to_string().contains("longer than 1048576 bytes"), "{error}");
        assert_eq!(error.hresult(), Hresult::ERROR_INVALID_DATA);
    }
}
