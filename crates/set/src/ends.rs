//! Both ends of a file that passes by: they tell whose set it becomes, without reading what was stored.

use std::path::Path;

use certadm_rules::Generation;
use certadm_store::chain::trailer_of;
use certadm_store::log_file::{HEADER_LEN, LogHeader};
use certadm_store::trailer::sqlite_page_size;

use crate::error::Result;

/// The longest page that SQLite has, and so the longest trailer.
const LONGEST_PAGE: usize = 65536;

/// The first and the last bytes of a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ends {
    first: Vec<u8>,
    last: Vec<u8>,
    len: u64,
}

impl Ends {
    /// Looks at the next bytes of the file.
    pub(crate) fn see(&mut self, bytes: &[u8]) {
        let missing = HEADER_LEN.saturating_sub(self.first.len()).min(bytes.len());
        self.first.extend_from_slice(&bytes[..missing]);
        let new = &bytes[bytes.len().saturating_sub(LONGEST_PAGE)..];
        let surplus = (self.last.len() + new.len()).saturating_sub(LONGEST_PAGE);
        self.last.drain(..surplus);
        self.last.extend_from_slice(new);
        self.len += bytes.len() as u64;
    }

    /// The header of a log of ours, `None` when it is none, or not that of `generation`.
    pub(crate) fn log_header(&self, name: &str, generation: Generation) -> Option<LogHeader> {
        let header = LogHeader::decode(&self.first, Path::new(name)).ok()?;
        (header.generation == generation && header.file_len() == self.len).then_some(header)
    }

    /// Refuses an image of ours whose trailer does not fit. What is no image of ours is not looked at.
    ///
    /// # Errors
    /// As [`trailer_of`].
    pub(crate) fn check_image(&self, name: &str) -> Result<()> {
        if sqlite_page_size(&self.first).is_none() {
            return Ok(());
        }
        trailer_of(Path::new(name), self.len, &self.first, |page_size| {
            let start = self.last.len().saturating_sub(page_size as usize);
            Ok(self.last[start..].to_vec())
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_kept_however_the_bytes_come() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|number| number.to_le_bytes()[0] ^ 7).collect();
        for step in [1, 511, 512, 513, 65536, 70_000, 200_000] {
            let mut ends = Ends::default();
            for part in bytes.chunks(step) {
                ends.see(part);
            }
            assert_eq!(ends.first, bytes[..HEADER_LEN], "{step}");
            assert_eq!(ends.last, bytes[bytes.len() - LONGEST_PAGE..], "{step}");
            assert_eq!(ends.len, bytes.len() as u64);
        }
        let mut short = Ends::default();
        short.see(b"abc");
        assert_eq!((short.first.as_slice(), short.last.as_slice(), short.len), (&b"abc"[..], &b"abc"[..], 3));
    }
}
