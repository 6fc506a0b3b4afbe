//! Files that a command reads for its user, or writes for them: bounded, whole, never overwriting.

use std::path::{Component, Path};

use certadm_files::durable;

use crate::failure::Failure;

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// When it cannot be read or is longer.
pub(crate) fn read_input(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    Ok(certadm_files::read::bounded(path, limit)?)
}

/// Refuses a place for something new that hardly is meant: one that begins with `~`, which the shell expands only without quotes, and
/// the address of a vault. A folder of such a name would hide the vault from then on.
///
/// # Errors
/// A usage error.
pub(crate) fn refuse_wrong_place(to: &Path) -> Result<(), Failure> {
    #[cfg(feature = "repository")]
    if super::places::address(to)?.is_some() {
        let text =
            format!("{} is the address of a vault, and a file or folder is expected here", to.display());
        return Err(Failure::usage(
            text,
            "name a folder; sets get into a vault by `certadm repository import`, and from one vault into another by `certadm \
             repository copy`",
        ));
    }
    match to.components().next() {
        Some(Component::Normal(first)) if first.as_encoded_bytes().starts_with(b"~") => {
            let text = format!("{} begins with ~, which the shell did not replace", to.display());
            Err(Failure::usage(text, "write the path in full, or ./~ for a folder of that name"))
        }
        _ => Ok(()),
    }
}

/// Writes a new file; what could not be written completely does not stay.
///
/// # Errors
/// When the file exists or cannot be written.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> Result<(), Failure> {
    Ok(durable::write_new(path, content).map_err(certadm_ca::Error::from)?)
}

/// Creates a folder for output files, with its parents.
///
/// # Errors
/// When it cannot be created.
pub(crate) fn create_dir(dir: &Path) -> Result<(), Failure> {
    if !dir.is_dir() {
        durable::create_dir(dir)?;
    }
    Ok(())
}
