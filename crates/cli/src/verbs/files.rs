//! Files that a command reads for its user, or writes for them: bounded, whole, never overwriting.

use std::path::Path;

use certadm_files::durable;

use crate::failure::Failure;

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// When it cannot be read or is longer.
pub(crate) fn read_input(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    Ok(certadm_files::read::bounded(path, limit)?)
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
