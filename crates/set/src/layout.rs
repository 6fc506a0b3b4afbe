//! Where the parts of a set lie (docs/set-format.md, "A backup set"; certbcli.md 10.1).

use std::fs;
use std::path::{Path, PathBuf};

use certadm_rules::Generation;
use certadm_rules::names::{is_safe_component, last_component};

use crate::error::{Error, Result};

/// The folder of database and logs.
pub const DATABASE_DIR: &str = "DataBase";
/// The restore map, byte for byte as the CA gave it.
pub const LOCATIONS_FILE: &str = "certbkxp.dat";
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
pub(crate) fn file_of(set: &Path, entry: &str) -> PathBuf {
    entry.split('/').fold(set.to_owned(), |folder, name| in_any_case(&folder, name))
}

/// What a folder has under a name: exactly that name, or the same in other letters, as copies by way of Windows or an old
/// medium have it. The exact name where there is neither.
pub(crate) fn in_any_case(folder: &Path, name: &str) -> PathBuf {
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

/// The folder of database and logs in a set's folder, or that folder itself where it has no such folder.
pub(crate) fn database_dir(set: &Path) -> PathBuf {
    let inner = in_any_case(set, DATABASE_DIR);
    if inner.is_dir() { inner } else { set.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_the_exact_one_first() {
        let dir = tempfile::tempdir().unwrap();
        let set = dir.path();
        assert_eq!(file_of(set, "DataBase/ca.edb"), set.join("DataBase/ca.edb"), "neither is there");
        fs::create_dir(set.join("DATABASE")).unwrap();
        fs::write(set.join("DATABASE/CA.EDB"), b"").unwrap();
        assert_eq!(file_of(set, "DataBase/ca.edb"), set.join("DATABASE/CA.EDB"));
        assert_eq!(database_dir(set), set.join("DATABASE"));
        fs::write(set.join("DATABASE/ca.edb"), b"").unwrap();
        assert_eq!(file_of(set, "DataBase/ca.edb"), set.join("DATABASE/ca.edb"));
        assert_eq!(database_dir(&set.join("DATABASE")), set.join("DATABASE"), "it was named itself");
    }
}
