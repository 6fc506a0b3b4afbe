//! Both ends of a file that passes by: they tell whose set it becomes, without reading what was stored. What lies between the ends
//! of an image is summed, because its trailer states the sum.

use std::path::Path;

use certadm_ese::log::header::LOG_HEADER;
use certadm_files::Checksum;
use certadm_rules::{Generation, hex};
use certadm_store::chain::{compare_sum, trailer_of};
use certadm_store::log_file::LogHeader;
use certadm_store::trailer::sqlite_page_size;

use crate::error::Result;

/// The longest page that SQLite has, and so the longest trailer.
const LONGEST_PAGE: usize = 65536;

/// So many of the first bytes are kept: the header of a log of either engine.
const FIRST: usize = LOG_HEADER;

/// Whose a log is, in hexadecimal; empty where that is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signatures {
    pub(crate) database: String,
    pub(crate) stream: String,
}

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
        let missing = FIRST.saturating_sub(self.first.len()).min(bytes.len());
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

    /// Whose the log of `generation` is that passed by. A log of ours names its database and its stream of logs. A Windows CA's
    /// names its sequence of logs, which another CA of that name does not have (ese.md 8.1); it need not name its database.
    pub(crate) fn signatures(&self, generation: Generation) -> Signatures {
        let ours = LogHeader::decode(&self.first, Path::new("a log")).ok();
        let ours = ours.filter(|header| header.generation == generation && header.file_len() == self.len);
        let stream = || of_windows(certadm_ese::log::LogHeader::parse(&self.first).ok()?, generation);
        match ours {
            Some(header) => {
                Signatures { database: header.database.to_string(), stream: header.stream.to_string() }
            }
            None => Signatures { stream: stream().unwrap_or_default(), ..Signatures::default() },
        }
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

/// The signature of the sequence of logs that a Windows CA's log is of, where it is the one of `generation`.
pub(crate) fn of_windows(header: certadm_ese::log::LogHeader, generation: Generation) -> Option<String> {
    (header.generation == generation.number()).then(|| hex::encode(&header.signature.0))
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
            assert_eq!(ends.first, bytes[..FIRST], "{step}");
            assert_eq!(ends.last, bytes[bytes.len() - LONGEST_PAGE..], "{step}");
            assert_eq!(ends.len, bytes.len() as u64);
        }
        let mut short = Ends::default();
        short.see(b"abc");
        assert_eq!((short.first.as_slice(), short.last.as_slice(), short.len), (&b"abc"[..], &b"abc"[..], 3));
    }
    /// Two Windows CAs of one name have different signatures, and the logs of one the same.
    #[test]
    fn a_log_of_a_windows_ca_says_of_which_sequence_it_is() {
        let log = |generation: u32, signature: u8| {
            let mut bytes = vec![0; 8192];
            let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
            put(4, &generation.to_le_bytes());
            for (at, field) in [(8, 4096_u16), (10, 1), (12, 2), (14, 4096)] {
                put(at, &field.to_le_bytes());
            }
            put(32, &8_u32.to_le_bytes());
            put(44, &[signature; 28]);
            put(667, &3_u32.to_le_bytes());
            let sum = certadm_ese::checksum::xor_checksum(&bytes[..FIRST]);
            bytes[..4].copy_from_slice(&sum.to_le_bytes());
            bytes
        };
        let said = |bytes: &[u8], generation: u32| {
            let mut ends = Ends::default();
            bytes.chunks(1_000).for_each(|part| ends.see(part));
            ends.signatures(Generation::new(generation).unwrap())
        };
        let of = |stream: String| Signatures { stream, database: String::new() };
        assert_eq!(said(&log(5, 0xab), 5), of("ab".repeat(28)));
        assert_eq!(said(&log(6, 0xab), 6), said(&log(5, 0xab), 5));
        assert_ne!(said(&log(5, 0xcd), 5), said(&log(5, 0xab), 5));
        assert_eq!(said(&log(5, 0xab), 6), Signatures::default(), "it is the log of another generation");
        assert_eq!(said(&[0xff; 9_000], 5), Signatures::default());
    }
}
