//! The trailer page: one page after the database's own, which makes a streamed image a backup (certbcli.md 6.4, D33).

use std::path::Path;

use certadm_rules::{FileTime, Generation, Hresult};

use crate::error::{Error, Result};
use crate::fields::{Put, Take};
use crate::log_file::Signature;

const MAGIC: [u8; 8] = *b"CADMEND\x01";
const VERSION: u32 = 2;

/// What the last page of a streamed image says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Page size in bytes; the trailer is one page long.
    pub page_size: u32,
    /// Pages of the image before the trailer.
    pub image_pages: u64,
    /// The database's signature.
    pub database: Signature,
    /// The stream of logs that goes with the image.
    pub stream: Signature,
    /// The first generation that recovery needs: the checkpoint's at Prepare.
    pub low: Generation,
    /// The last generation that recovery needs: the one current when the image had been read.
    pub high: Generation,
    /// When the image had been read.
    pub finished: FileTime,
    /// XXH3, 128 bits, of the pages before the trailer, as delivered; the most significant byte first.
    pub image: [u8; 16],
}

impl Trailer {
    /// Bytes of the image before the trailer.
    pub fn pages_len(&self) -> u64 {
        self.image_pages * u64::from(self.page_size)
    }

    /// The trailer as one page.
    pub fn encode(&self) -> Vec<u8> {
        Put::new(MAGIC)
            .u32(VERSION)
            .u32(self.page_size)
            .u64(self.image_pages)
            .raw(&self.database.0)
            .raw(&self.stream.0)
            .u32(self.low.number())
            .u32(self.high.number())
            .i64(self.finished.0)
            .raw(&self.image)
            .checksummed(self.page_size as usize)
    }

    /// Reads a trailer from a whole page.
    ///
    /// # Errors
    /// [`Error::Image`]: 0xC8000267 when the page is no trailer at all, 0xC8000228 when it is one and does not check.
    pub fn decode(page: &[u8]) -> Result<Self> {
        if !Self::is_trailer(page) {
            return Err(image(
                "the file ends without a trailer page: no backup made it",
                Hresult::RESTORE_OF_NON_BACKUP_DATABASE,
            ));
        }
        let mismatch = || image("the image's trailer page is damaged", Hresult::DATABASE_PATCH_FILE_MISMATCH);
        let mut take = Take::checksummed(page, MAGIC).ok_or_else(mismatch)?;
        let version = take.u32();
        let page_size = take.u32();
        let image_pages = take.u64();
        let database = Signature(take.raw());
        let stream = Signature(take.raw());
        let low = Generation::new(take.u32()).ok_or_else(mismatch)?;
        let high = Generation::new(take.u32()).ok_or_else(mismatch)?;
        let finished = FileTime(take.i64());
        let sum = take.raw();
        if version != VERSION {
            let detail =
                format!("the image's trailer page has format {version}; this certadm reads {VERSION}");
            return Err(image(&detail, Hresult::DATABASE_PATCH_FILE_MISMATCH));
        }
        if page_size as usize != page.len() || high < low {
            return Err(mismatch());
        }
        Ok(Self { page_size, image_pages, database, stream, low, high, finished, image: sum })
    }

    /// Whether a page begins as a trailer does.
    pub fn is_trailer(page: &[u8]) -> bool {
        page.starts_with(&MAGIC)
    }
}

/// The page size an SQLite database states in its first 100 bytes, `None` when it is no database.
pub fn sqlite_page_size(first: &[u8]) -> Option<u32> {
    if first.len() < 100 || !first.starts_with(b"SQLite format 3\0") {
        return None;
    }
    match u16::from_be_bytes([first[16], first[17]]) {
        1 => Some(65536),
        size if size >= 512 && size.is_power_of_two() => Some(u32::from(size)),
        _ => None,
    }
}

/// Refuses a database that SQLite does not write to, by its first 100 bytes: no CA starts on it. SQLite takes one with a version for
/// writing that it does not know for read-only, and its check finds nothing wrong with that (Database File Format, 1.3.3).
///
/// # Errors
/// [`Error::Image`] with 0xC80004B6.
pub(crate) fn check_writable(path: &Path, first: &[u8]) -> Result<()> {
    if first.get(18..20).is_some_and(|versions| versions.iter().all(|version| matches!(version, 1 | 2))) {
        return Ok(());
    }
    let detail =
        format!("the header of the database in {} has a version that cannot be written", path.display());
    Err(image(&detail, Hresult::DATABASE_CORRUPTED))
}

fn image(detail: &str, code: Hresult) -> Error {
    Error::Image { detail: detail.to_owned(), code }
}
