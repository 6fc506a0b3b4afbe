//! Where the parts of a set lie (docs/set-format.md, "A backup set"; certbcli.md 10.1).

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

/// The file of an entry. Entries are checked to stay inside when they are made or parsed.
pub(crate) fn file_of(set: &Path, entry: &str) -> Found {
    Found::below(set, entry.split('/').fold(PathBuf::new(), |way, name| step(set, &way, name)))
}

/// A file in a folder below a set's.
pub(crate) fn file_in(set: &Path, folder: &Path, name: &str) -> Found {
    Found::below(set, step(set, folder, name))
}

fn step(set: &Path, way: &Path, name: &str) -> PathBuf {
    way.join(in_any_case(&set.join(way), name).file_name().unwrap_or_default())
}

/// What a folder has under a name: exactly that name, or the same in other letters, as copies by way of Windows or an old
/// medium have it. The exact name where there is neither.
fn in_any_case(folder: &Path, name: &str) -> PathBuf {
    let exact = folder.join(name);
    if exact.symlink_metadata().is_ok() {
        return exact;
    }
    let Ok(entries) = fs::read_dir(folder) else { return exact };
    let alike = entries.flatten().map(|entry| entry.file_name());
    let mut alike: Vec<_> = alike.filter(|found| found.eq_ignore_ascii_case(name)).collect();
    alike.sort();
    alike.first().map_or(exact, |found| folder.join(found))
}

/// The folder of database and logs, as a way below the set's folder: empty where it has no such folder.
///
/// # Errors
/// [`certadm_files::Error::NotAFile`] when `DataBase` is a link: what it leads to is no part of the set.
pub(crate) fn database_dir(set: &Path) -> Result<PathBuf> {
    let inner = in_any_case(set, DATABASE_DIR);
    match inner.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(inner.file_name().unwrap_or_default().into()),
        Ok(metadata) if metadata.is_symlink() => {
            Err(certadm_files::Error::NotAFile { path: inner, what: "a link" }.into())
        }
        _ => Ok(PathBuf::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
