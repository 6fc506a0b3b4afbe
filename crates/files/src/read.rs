//! Reading a whole file that must not be large.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{Error, IoContext, Result};

/// Reads a file of at most `limit` bytes. No more than `limit + 1` bytes are ever read or held.
///
/// # Errors
/// [`Error::Io`]; [`Error::TooLong`] when the file holds more.
///
/// ```
/// # fn main() -> certadm_files::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("note");
/// std::fs::write(&path, b"four").unwrap();
/// assert_eq!(certadm_files::read::bounded(&path, 4)?, b"four");
/// assert!(certadm_files::read::bounded(&path, 3).is_err());
/// # Ok(())
/// # }
/// ```
pub fn bounded(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    let file = File::open(path).during("open", path)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut content).during("read", path)?;
    if content.len() as u64 > limit {
        return Err(Error::TooLong { path: path.to_owned(), limit });
    }
    Ok(content)
}
