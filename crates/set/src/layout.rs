//! Where the parts of a set lie (docs/set-format.md, "A backup set"; certbcli.md 10.1).

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use certadm_files::Found;
use certadm_rules::Generation;
use certadm_rules::names::{is_safe_component, last_component};

use crate::error::{Error, Result};

/// The folder of database and logs.
pub const DATABASE_DIR: &str = "DataBase";
/// The restore map, byte for byte as the CA gave it.
pub const LOCATIONS_FILE: &str = "certbkxp.dat";
/// A restore map holds a few paths (certbcli.md 10.2); this many bytes are room for sixteen of the longest.
pub(crate) const MAX_LOCATIONS: u64 = 1 << 20;
/// The folder of copied dynamic files.
pub const DYNAMIC_DIR: &str = "DynamicFiles";
/// The folder with what the CA said of itself. It has a list of its own: what is put there later must not change a set.
pub(crate) const IDENTITY_DIR: &str = "Identity";

/// The path inside a set for a database that the CA offers under `unc`.
///
/// The name came from elsewhere: only a last component that is a plain file name is taken, and never one that the set
/// uses for something else (invariant 6).
///
/// # Errors
/// [`Error::BadName`].
pub(crate) fn database_entry(unc: &str) -> Result<String> {
    let name = last_component(unc);
    let reserved =
        Generation::from_log_file_name(name).is_some() || name.eq_ignore_ascii_case(LOCATIONS_FILE);
    if is_safe_component(name) && !reserved {
        Ok(format!("{DATABASE_DIR}/{name}"))
    } else {
        Err(Error::BadName { name: unc.to_owned() })
    }
}

/// Generation of a log that the CA offers under `unc`.
///
/// # Errors
/// [`Error::BadName`] when its last component is no log name.
pub(crate) fn log_generation(unc: &str) -> Result<Generation> {
    Generation::from_log_file_name(last_component(unc)).ok_or_else(|| Error::BadName { name: unc.to_owned() })
}

/// The path inside a set for the log of a generation: a name of our own making.
pub(crate) fn log_entry(generation: Generation) -> String {
    format!("{DATABASE_DIR}/{}", generation.log_file_name())
}

/// The path inside a set for the restore map.
pub(crate) fn locations_entry() -> String {
    format!("{DATABASE_DIR}/{LOCATIONS_FILE}")
}

/// Whether a name is one of a CRL or a certificate. A CA publishes nothing else, so a backup takes nothing else of its published
/// folder, and a restore puts nothing else there.
pub(crate) fn is_published(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    is_safe_component(name) && matches!(extension.as_deref(), Some("crl" | "crt"))
}

/// The file of an entry. Entries are checked to stay inside when they are made or parsed.
pub(crate) fn file_of(set: &Path, entry: &str) -> Found {
    Places::of(set, [entry]).file(entry)
}

/// A file in a folder below a set's.
pub(crate) fn file_in(set: &Path, folder: &Path, name: &str) -> Found {
    Found::below(set, Places::of(set, [name]).step(folder, name))
}

/// Where the entries of a manifest lie. Names are compared with what is in a folder, and each folder is listed once at most: a
/// manifest may have thousands of entries without files, and a folder as many files without entries.
#[derive(Debug)]
pub(crate) struct Places<'a> {
    set: &'a Path,
    /// Every name that will be looked up, in small letters: what else lies in a folder is not kept.
    wanted: HashSet<OsString>,
    /// By a folder's way below the set: what it has under these names.
    folders: HashMap<PathBuf, HashMap<OsString, OsString>>,
    /// By the part of an entry before its last name: the way to that folder.
    ways: HashMap<String, PathBuf>,
}

impl<'a> Places<'a> {
    /// For these entries and no others.
    pub(crate) fn of<'e>(set: &'a Path, entries: impl IntoIterator<Item = &'e str>) -> Self {
        let names = entries.into_iter().flat_map(|entry| entry.split('/'));
        let wanted = names.map(|name| OsString::from(name.to_ascii_lowercase())).collect();
        Self { set, wanted, folders: HashMap::new(), ways: HashMap::new() }
    }

    /// The file of an entry, whether it is there or not.
    pub(crate) fn file(&mut self, entry: &str) -> Found {
        let Some((folder, name)) = entry.rsplit_once('/') else {
            return Found::below(self.set, self.step(Path::new(""), entry));
        };
        let way = match self.ways.get(folder) {
            Some(known) => known.clone(),
            None => {
                let way = folder.split('/').fold(PathBuf::new(), |way, name| self.step(&way, name));
                self.ways.entry(folder.to_owned()).or_insert(way).clone()
            }
        };
        Found::below(self.set, self.step(&way, name))
    }

    /// What the folder at `way` has under a name: exactly that name, or the same in other letters, as copies by way of Windows
    /// or an old medium have it. The exact name where there is neither.
    fn step(&mut self, way: &Path, name: &str) -> PathBuf {
        let exact = way.join(name);
        if self.set.join(&exact).symlink_metadata().is_ok() {
            return exact;
        }
        if !self.folders.contains_key(way) {
            let alike = self.list(way);
            self.folders.insert(way.to_owned(), alike);
        }
        let alike = self.folders.get(way).and_then(|alike| alike.get(OsStr::new(&name.to_ascii_lowercase())));
        alike.map_or(exact, |found| way.join(found))
    }

    /// The wanted names of a folder by their small letters; of several that differ in nothing else the first in order.
    fn list(&self, way: &Path) -> HashMap<OsString, OsString> {
        let mut alike: HashMap<OsString, OsString> = HashMap::new();
        for entry in fs::read_dir(self.set.join(way)).into_iter().flatten().flatten() {
            let (name, small) = (entry.file_name(), entry.file_name().to_ascii_lowercase());
            if self.wanted.contains(&small) {
                let first = alike.entry(small).or_insert_with(|| name.clone());
                *first = name.min(std::mem::take(first));
            }
        }
        alike
    }
}

/// The folder of database and logs, as a way below the set's folder: empty where it has no such folder.
///
/// # Errors
/// [`certadm_files::Error::NotAFile`] when `DataBase` is a link: what it leads to is no part of the set.
pub(crate) fn database_dir(set: &Path) -> Result<PathBuf> {
    let inner = set.join(Places::of(set, [DATABASE_DIR]).step(Path::new(""), DATABASE_DIR));
    match inner.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(inner.file_name().unwrap_or_default().into()),
        Ok(metadata) if metadata.is_symlink() => {
            Err(certadm_files::Error::NotAFile { path: inner, what: "a link", by_name: false }.into())
        }
        _ => Ok(PathBuf::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manifest may name thousands of files that are not there, beside as many that it does not name.
    #[test]
    fn a_folder_is_listed_once_and_what_is_not_wanted_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let set = dir.path();
        fs::create_dir(set.join("DataBase")).unwrap();
        for name in ["EDB00001.LOG", "edb00002.log", "Edb00001.Log", "stranger"] {
            fs::write(set.join("DataBase").join(name), b"").unwrap();
        }
        let entries: Vec<String> = (1..=5000).map(|number| format!("DataBase/edb{number:05x}.log")).collect();
        let mut places = Places::of(set, entries.iter().map(String::as_str));
        let found: Vec<Found> = entries.iter().map(|entry| places.file(entry)).collect();
        assert_eq!(found[0].path(), set.join("DataBase/EDB00001.LOG"), "the first in order");
        assert_eq!(found[1].path(), set.join("DataBase/edb00002.log"));
        assert_eq!(found[2].path(), set.join("DataBase/edb00003.log"));
        let [(way, kept)] = &places.folders.iter().collect::<Vec<_>>()[..] else { panic!("{places:?}") };
        assert_eq!((way.as_path(), kept.len()), (Path::new("DataBase"), 2));
        // What came later is not seen: the folder is not looked at again.
        fs::write(set.join("DataBase/EDB00009.LOG"), b"").unwrap();
        assert_eq!(places.file("DataBase/edb00009.log").path(), set.join("DataBase/edb00009.log"));
    }

    #[test]
    fn names_are_found_in_any_case_and_the_exact_one_first() {
        let dir = tempfile::tempdir().unwrap();
        let set = dir.path();
        assert_eq!(file_of(set, "DataBase/ca.edb").path(), set.join("DataBase/ca.edb"), "neither is there");
        fs::create_dir(set.join("DATABASE")).unwrap();
        fs::write(set.join("DATABASE/CA.EDB"), b"").unwrap();
        assert_eq!(file_of(set, "DataBase/ca.edb").path(), set.join("DATABASE/CA.EDB"));
        assert_eq!(database_dir(set).unwrap(), Path::new("DATABASE"));
        fs::write(set.join("DATABASE/ca.edb"), b"").unwrap();
        assert_eq!(file_of(set, "DataBase/ca.edb").path(), set.join("DATABASE/ca.edb"));
        assert_eq!(database_dir(&set.join("DATABASE")).unwrap(), Path::new(""), "it was named itself");
    }
}
