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
    let file = File::open(path).during("open", path)?;
    let mut content = space_for(&file, limit);
    file.take(limit.saturating_add(1)).read_to_end(&mut content).during("read", path)?;
    if content.len() as u64 > limit {
        return Err(Error::TooLong { path: path.to_owned(), limit });
    }
    Ok(content)
}

/// Space for all of a small file and one byte more, so that one call reads it and a second one sees its end. Without it a
/// file of 1 KiB takes seven calls, because the buffer grows from 32 bytes.
pub(crate) fn space_for(file: &File, limit: u64) -> Vec<u8> {
    const MOST: u64 = 1 << 20;
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    Vec::with_capacity(usize::try_from(length.min(limit).min(MOST)).unwrap_or(0).saturating_add(1))
}
