//! Both ends of a file that passes by: they tell whose set it becomes, without reading what was stored. What lies between the ends
//! of an image is summed, because its trailer states the sum.

use std::path::Path;

use certadm_files::Checksum;
use certadm_rules::Generation;
use certadm_store::chain::{compare_sum, trailer_of};
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
    /// The checksum of all that is before `last`, if the file may be an image.
    sum: Option<Checksum>,
}

impl Ends {
    /// Those of a database.
    pub(crate) fn of_image() -> Self {
        Self { sum: Some(Checksum::new()), ..Self::default() }
    }

    /// Looks at the next bytes of the file.
    pub(crate) fn see(&mut self, bytes: &[u8]) {
        let missing = HEADER_LEN.saturating_sub(self.first.len()).min(bytes.len());
        self.first.extend_from_slice(&bytes[..missing]);
        let (before, new) = bytes.split_at(bytes.len().saturating_sub(LONGEST_PAGE));
        let surplus = (self.last.len() + new.len()).saturating_sub(LONGEST_PAGE);
        if let Some(sum) = &mut self.sum {
            sum.update(&self.last[..surplus]);
            sum.update(before);
        }
        self.last.drain(..surplus);
        self.last.extend_from_slice(new);
        self.len += bytes.len() as u64;
    }

    /// The header of a log of ours, `None` when it is none, or not that of `generation`.
    pub(crate) fn log_header(&self, name: &str, generation: Generation) -> Option<LogHeader> {
        let header = LogHeader::decode(&self.first, Path::new(name)).ok()?;
        (header.generation == generation && header.file_len() == self.len).then_some(header)
    }

    /// Refuses an image of ours whose trailer does not fit, or states another checksum than that of what came. What is no image of
    /// ours is not looked at.
    ///
    /// # Errors
    /// As [`trailer_of`] and [`compare_sum`].
    pub(crate) fn check_image(self, name: &str) -> Result<()> {
        let Some(page_size) = sqlite_page_size(&self.first) else { return Ok(()) };
        let (path, trailer_len) = (Path::new(name), page_size as usize);
        let (pages, last_page) = self.last.split_at(self.last.len().saturating_sub(trailer_len));
        let trailer = trailer_of(path, self.len, &self.first, |_| Ok(last_page.to_vec()))?;
        let mut sum = self.sum.unwrap_or_default();
        sum.update(pages);
        Ok(compare_sum(path, &trailer, &sum)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_kept_however_the_bytes_come() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|number| number.to_le_bytes()[0] ^ 7).collect();
        for step in [1, 511, 512, 513, 65536, 70_000, 200_000] {
            let mut ends = Ends::of_image();
            for part in bytes.chunks(step) {
                ends.see(part);
            }
            let mut sum = Checksum::new();
            sum.update(&bytes[..bytes.len() - LONGEST_PAGE]);
            assert_eq!(ends.sum.as_ref().unwrap().finish(), sum.finish(), "{step}");
            assert_eq!(ends.first, bytes[..HEADER_LEN], "{step}");
            assert_eq!(ends.last, bytes[bytes.len() - LONGEST_PAGE..], "{step}");
            assert_eq!(ends.len, bytes.len() as u64);
        }
        let mut short = Ends::default();
        short.see(b"abc");
        assert_eq!((short.first.as_slice(), short.last.as_slice(), short.len), (&b"abc"[..], &b"abc"[..], 3));
    }
}
