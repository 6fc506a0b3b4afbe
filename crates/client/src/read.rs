//! Reading a file from a CA: large reads, the next one on its way while the last is stored (wire.md 3.7, 5.7).

use certadm_rules::Hresult;
use certadm_rules::flags::{MIN_READ_BUFFER, read_buffer_size};
use certadm_wire::csra::{Request, Response};
use certadm_wire::rpc::FaultStatus;

use crate::ca::{RemoteCa, decode};
use crate::error::Error;

/// A read is a multiple of this many bytes (wire.md 5.7).
const PAGE: u32 = 4096;
const CALL: &str = "BackupReadFile";

/// Where the reading of the open file stands.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Bytes of a full read; smaller after a server refused this many.
    size: u32,
    /// The first open has fixed the size (certbcli.md 6.4).
    is_fixed: bool,
    /// A read of this size has succeeded on this object.
    is_proven: bool,
    /// Bytes of the open file that have not come yet; none when none is open.
    remaining: Option<u64>,
    /// `cbBuffer` of the request that was sent ahead.
    ahead: Option<u32>,
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
    fn next_size(&self, remaining: u64) -> u32 {
        let pages = remaining.div_ceil(PAGE.into()).max(1);
        u32::try_from(pages.saturating_mul(PAGE.into())).map_or(self.size, |size| size.min(self.size))
    }

    fn take_rest(&mut self, buffer: &mut [u8]) -> usize {
        let rest = self.rest.get(self.taken..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.taken += len;
        len
    }
}

impl RemoteCa {
    /// Fills `buffer` but at the end of the file.
    pub(crate) fn read_file(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut filled = self.reading.take_rest(buffer);
        while filled < buffer.len() && self.reading.remaining != Some(0) {
            let read = self.read_once(&mut buffer[filled..]);
            match read {
                Ok(0) => break,
                Ok(len) => filled += len,
                Err(error) => {
                    // The CA has closed a database, or given the backup up (certbcli.md 6.5).
                    self.reading.close();
                    return Err(error);
                }
            }
        }
        Ok(filled)
    }

    /// One read of the wire, into `buffer` and what is beyond it into the rest.
    fn read_once(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            // Without an open file the CA has to answer for itself.
            let remaining = self.reading.remaining.unwrap_or(PAGE.into());
            let size = match self.reading.ahead.take() {
                Some(size) => size,
                None => {
                    // What may still be on its way was asked for by a read that has failed since.
                    self.connection.settle(CALL).map_err(|error| self.lost(error))?;
                    self.reading.next_size(remaining)
                }
            };
            let request = Request::BackupReadFile { size };
            // What is left behind this one, if it delivers what it asks for.
            let after = remaining.saturating_sub(size.into());
            let next_size = self.reading.next_size(after);
            let next = if after > 0 && self.reading.is_proven && self.reading.remaining.is_some() {
                Some(self.ready(&Request::BackupReadFile { size: next_size })?)
            } else {
                None
            };
            let ready = self.ready(&request)?;
            let answer = self.connection.call_ahead(&ready, next, CALL).map_err(|error| self.lost(error));
            self.reading.ahead = self.connection.is_ahead().then_some(next_size);
            let reading = &mut self.reading;
            let len = answer.and_then(|stub| {
                let accepted = decode(&request, &stub, CALL, |response| match response {
                    Response::Data { data, .. } => Some(accept(reading, data, buffer)),
                    _ => None,
                });
                self.connection.recycle(stub);
                accepted.and_then(|accepted| accepted)
            });
            match len {
                Err(error) if self.may_be_too_large(&error, size) => {
                    self.reading.size /= 2;
                    tracing::debug!(
                        size = self.reading.size,
                        "the CA refuses so large a read; trying a smaller one"
                    );
                }
                len => return len,
            }
        }
    }

    /// Whether an error may mean that the server has a lower limit for reads than we asked for. Such a refusal comes
    /// before anything is read (wire.md 5.7), and only before a read of this size has ever succeeded.
    fn may_be_too_large(&self, error: &Error, size: u32) -> bool {
        let refused = match error {
            Error::Fault { status, .. } => {
                [FaultStatus::BAD_STUB_DATA, FaultStatus(0x1C01_0013), FaultStatus(0x1C00_0007)]
                    .contains(status)
            }
            Error::Method { code, .. } => {
                matches!(*code, Hresult::E_INVALIDARG | Hresult::E_OUTOFMEMORY)
            }
            _ => false,
        };
        refused && !self.reading.is_proven && self.reading.remaining.is_some() && MIN_READ_BUFFER < size
    }
}

/// Takes what was read, which must not be more than was announced.
fn accept(reading: &mut Reading, data: &[u8], buffer: &mut [u8]) -> Result<usize, Error> {
    let remaining = reading.remaining.unwrap_or(0);
    let delivered = data.len() as u64;
    if remaining < delivered {
        let detail = format!("{} bytes more than BackupOpenFile announced", delivered - remaining);
        return Err(Error::BadAnswer { call: CALL, detail });
    }
    reading.is_proven = true;
    reading.remaining = Some(remaining - delivered);
    let len = data.len().min(buffer.len());
    let (now, later) = data.split_at(len);
    buffer[..len].copy_from_slice(now);
    reading.rest.clear();
    reading.rest.extend_from_slice(later);
    reading.taken = 0;
    Ok(len)
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
