//! Where the reading of a file stands: large reads, the next one on its way while the last is stored (wire.md 3.7, 5.7).

use certadm_rules::flags::read_buffer_size;

use crate::error::Error;

/// A read is a multiple of this many bytes (wire.md 5.7).
pub(crate) const PAGE: u32 = 4096;
/// What a read is called in messages.
pub(crate) const READ: &str = "BackupReadFile";

/// Where the reading of the open file stands.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Bytes of a full read; smaller after a server refused this many.
    pub(crate) size: u32,
    /// The first open has fixed the size (certbcli.md 6.4).
    is_fixed: bool,
    /// A read of this size has succeeded on this object.
    pub(crate) is_proven: bool,
    /// Bytes of the open file that have not come yet; none when none is open.
    pub(crate) remaining: Option<u64>,
    /// `cbBuffer` of the request that was sent ahead.
    pub(crate) ahead: Option<u32>,
    /// Bytes that came and that the caller had no room for.
    rest: Vec<u8>,
    taken: usize,
}

impl Reading {
    pub(crate) const fn new(size: u32) -> Self {
        Self {
            size,
            is_fixed: false,
            is_proven: false,
            remaining: None,
            ahead: None,
            rest: Vec::new(),
            taken: 0,
        }
    }

    /// A file of `length` bytes was opened.
    pub(crate) fn open(&mut self, length: u64, hint: u32) {
        if !self.is_fixed {
            self.size = read_buffer_size(hint);
            self.is_fixed = true;
        }
        self.close();
        self.remaining = Some(length);
    }

    /// The file is not open any more.
    pub(crate) fn close(&mut self) {
        self.remaining = None;
        self.ahead = None;
        self.rest.clear();
        self.taken = 0;
    }

    /// Whether the caller has every byte of the open file.
    pub(crate) fn all_taken(&self) -> bool {
        self.remaining == Some(0) && self.rest.len() <= self.taken
    }

    /// Whether the CA has sent every byte of the open file, or will when it comes to the request sent ahead.
    pub(crate) fn all_sent(&self) -> bool {
        self.remaining.is_some_and(|remaining| remaining <= self.ahead.unwrap_or(0).into())
    }

    /// `cbBuffer` for a file of which `remaining` bytes are to come: no more than a page beyond its end, since all of
    /// it travels (wire.md 3.7).
    pub(crate) fn next_size(&self, remaining: u64) -> u32 {
        let pages = remaining.div_ceil(PAGE.into()).max(1);
        u32::try_from(pages.saturating_mul(PAGE.into())).map_or(self.size, |size| size.min(self.size))
    }

    /// Puts what came before and found no room into `buffer`; answers how much.
    pub(crate) fn take_rest(&mut self, buffer: &mut [u8]) -> usize {
        let rest = self.rest.get(self.taken..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.taken += len;
        len
    }

    /// Takes what the CA sent, as much of it as there is room for into `buffer`. It must not be more than was announced.
    ///
    /// # Errors
    /// [`Error::BadAnswer`].
    pub(crate) fn accept(&mut self, data: &[u8], buffer: &mut [u8]) -> Result<usize, Error> {
        let remaining = self.remaining.unwrap_or(0);
        let delivered = data.len() as u64;
        if remaining < delivered {
            let detail = format!("{} bytes more than BackupOpenFile announced", delivered - remaining);
            return Err(Error::BadAnswer { call: READ, detail });
        }
        self.is_proven = true;
        self.remaining = Some(remaining - delivered);
        let len = data.len().min(buffer.len());
        let (now, later) = data.split_at(len);
        buffer[..len].copy_from_slice(now);
        self.rest.clear();
        self.rest.extend_from_slice(later);
        self.taken = 0;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_ends_a_page_beyond_the_file_at_most() {
        let reading = Reading::new(512 * 1024);
        for (remaining, size) in [
            (0, 4096),
            (1, 4096),
            (4096, 4096),
            (4097, 8192),
            (512 * 1024 - 1, 512 * 1024),
            (512 * 1024 + 1, 512 * 1024),
            (u64::MAX, 512 * 1024),
        ] {
            assert_eq!(reading.next_size(remaining), size, "{remaining}");
        }
    }

    #[test]
    fn the_first_hint_counts() {
        let mut reading = Reading::new(1);
        reading.open(5, 100_000);
        assert_eq!(reading.size, 128 * 1024);
        reading.open(5, 4 << 20);
        assert_eq!(reading.size, 128 * 1024);
    }
}
