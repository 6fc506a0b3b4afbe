//! Where the parts of a set lie (docs/set-format.md, "A backup set"; certbcli.md 10.1).

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
    set.join(entry)
}
