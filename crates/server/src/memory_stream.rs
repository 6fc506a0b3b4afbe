//! A connection in memory, for fuzzing. Compiled only with the feature `fuzzing`.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A stream in memory, whose other end is the caller of `fuzzing::Served::send`.
#[derive(Debug)]
pub(crate) struct MemoryStream {
    address: Option<IpAddr>,
    bytes: Mutex<Bytes>,
}

/// What has come and is not read, and what was written.
#[derive(Debug, Default)]
struct Bytes {
    come: VecDeque<u8>,
    gone: Vec<u8>,
}

impl MemoryStream {
    pub(crate) fn new(address: Option<IpAddr>) -> Self {
        Self { address, bytes: Mutex::default() }
    }

    /// Bytes come from the peer.
    pub(crate) fn come(&self, bytes: &[u8]) {
        self.bytes().come.extend(bytes);
    }

    /// What has been written since the last time.
    pub(crate) fn take_gone(&self) -> Vec<u8> {
        std::mem::take(&mut self.bytes().gone)
    }

    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Takes what has come; where nothing has, that is the error `WouldBlock`.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let come = &mut self.bytes().come;
        match io::Read::read(come, buffer)? {
            0 => Err(ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }

    pub(crate) fn write(&self, bytes: &[u8]) {
        self.bytes().gone.extend_from_slice(bytes);
    }

    fn bytes(&self) -> MutexGuard<'_, Bytes> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
