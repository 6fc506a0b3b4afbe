//! Where the reading of a file stands: large reads, the next one on its way while the last is stored (wire.md 3.7, 5.7). One
//! request is under way at a time, so over a long line a read brings as much as the server gives at once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use certadm_rules::flags::{MIN_READ_BUFFER, read_buffer_size};

use crate::error::Error;

/// A read is a multiple of this many bytes (wire.md 5.7).
pub(crate) const PAGE: u32 = 4096;
/// What a read is called in messages.
pub(crate) const READ: &str = "BackupReadFile";

/// What servers have taken, by their endpoints, where that is less than they were asked for: further connections of this process
/// ask for no more.
static TAKEN: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());

fn taken() -> MutexGuard<'static, BTreeMap<String, u32>> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the reading of the open file stands.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Whose files are read.
    server: String,
    /// Bytes of a full read; smaller after a server refused this many.
    pub(crate) size: u32,
    /// The first open has fixed the size (certbcli.md 6.4).
    is_fixed: bool,
    /// The largest read that has succeeded on this object; a small one, as of a short file, says nothing of larger ones.
    proven: u32,
    /// The name of the open file, and its announced length in bytes.
    file: (String, u64),
    /// Bytes of the open file that have not come yet; none when none is open.
    pub(crate) remaining: Option<u64>,
    /// `cbBuffer` of the request that was sent ahead.
    pub(crate) ahead: Option<u32>,
    /// The stub of the last answer, while the caller had no room for all of it.
    stub: Vec<u8>,
    /// What he has not taken yet.
    rest: Range<usize>,
}

impl Reading {
    pub(crate) const fn new(server: String, size: u32) -> Self {
        Self {
            server,
            size,
            is_fixed: false,
            proven: 0,
            file: (String::new(), 0),
            remaining: None,
            ahead: None,
            stub: Vec::new(),
            rest: 0..0,
        }
    }

    /// The file `name` of `length` bytes was opened.
    pub(crate) fn open(&mut self, name: &str, length: u64, hint: u32) {
        if !self.is_fixed {
            let size = read_buffer_size(hint);
            self.size = taken().get(&self.server).map_or(size, |&limit| size.min(limit));
            self.is_fixed = true;
        }
        self.close();
        self.file = (name.to_owned(), length);
        self.remaining = Some(length);
    }

    /// Name and length of the open file of which nothing has come yet.
    pub(crate) fn untouched(&self) -> Option<(String, u64)> {
        (self.remaining == Some(self.file.1)).then(|| self.file.clone())
    }

    /// Whether a read of so many bytes has succeeded, or a larger one.
    pub(crate) const fn is_proven(&self, size: u32) -> bool {
        size <= self.proven
    }

    /// The file is not open any more.
    pub(crate) fn close(&mut self) {
        self.remaining = None;
        self.ahead = None;
        self.rest = 0..0;
    }

    /// The server does not take a read of `refused` bytes: halves until they are fewer. The rules let nobody ask for less than
    /// [`MIN_READ_BUFFER`].
    pub(crate) fn halve(&mut self, refused: u32) {
        while refused <= self.size && MIN_READ_BUFFER < self.size {
            self.size = (self.size / 2).max(MIN_READ_BUFFER);
        }
        taken().insert(self.server.clone(), self.size);
    }

    /// Whether the caller has every byte of the open file.
    pub(crate) fn all_taken(&self) -> bool {
        self.remaining == Some(0) && self.rest.is_empty()
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
        let rest = self.stub.get(self.rest.clone()).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.rest.start += len;
        len
    }

    /// The stub of an answer that nothing is wanted of any more, to be used again.
    pub(crate) fn used_up(&mut self) -> Option<Vec<u8>> {
        (self.rest.is_empty() && !self.stub.is_empty()).then(|| std::mem::take(&mut self.stub))
    }

    /// Keeps the stub of an answer, of which `rest` is left: see [`Reading::accept`].
    pub(crate) fn keep(&mut self, stub: Vec<u8>, rest: Range<usize>) {
        (self.stub, self.rest) = (stub, rest);
    }

    /// Takes what the CA sent when `asked` bytes were asked for, as much of it as there is room for into `buffer`. It must not be
    /// more than was announced.
    ///
    /// # Errors
    /// [`Error::BadAnswer`].
    pub(crate) fn accept(&mut self, asked: u32, data: &[u8], buffer: &mut [u8]) -> Result<usize, Error> {
        let remaining = self.remaining.unwrap_or(0);
        let delivered = data.len() as u64;
        if remaining < delivered {
            let detail = format!("{} bytes more than BackupOpenFile announced", delivered - remaining);
            return Err(Error::BadAnswer { call: READ, detail });
        }
        self.proven = self.proven.max(asked);
        self.remaining = Some(remaining - delivered);
        let len = data.len().min(buffer.len());
        buffer[..len].copy_from_slice(&data[..len]);
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_ends_a_page_beyond_the_file_at_most() {
        let reading = Reading::new("a".to_owned(), 512 * 1024);
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
        let mut reading = Reading::new("b".to_owned(), 1);
        reading.open("a", 5, 100_000);
        assert_eq!(reading.size, 128 * 1024);
        reading.open("a", 5, 4 << 20);
        assert_eq!(reading.size, 128 * 1024);
    }

    #[test]
    fn what_a_server_takes_is_remembered() {
        let open = |server: &str| {
            let mut reading = Reading::new(server.to_owned(), 1);
            reading.open("a", 5, 4 << 20);
            reading
        };
        let mut first = open("halving:135");
        assert_eq!(first.size, 4 << 20);
        first.halve(4 << 20);
        first.halve(2 << 20);
        assert_eq!((first.size, open("halving:135").size), (1 << 20, 1 << 20));
        assert_eq!(open("another:135").size, 4 << 20);
        // The last read of a file is shorter than a full one: less than it, then.
        first.halve(200 << 10);
        assert_eq!(first.size, 128 << 10);
        (0..10).for_each(|_| first.halve(4096));
        assert_eq!(first.size, MIN_READ_BUFFER);
    }

    #[test]
    fn a_small_read_proves_no_large_one() {
        let mut reading = Reading::new("c".to_owned(), 4 << 20);
        reading.open("a", 5, 4 << 20);
        assert_eq!(reading.untouched(), Some(("a".to_owned(), 5)));
        reading.accept(4096, &[0; 5], &mut [0; 5]).unwrap();
        assert_eq!(reading.untouched(), None);
        assert!(reading.is_proven(4096) && !reading.is_proven(8192));
    }
}
