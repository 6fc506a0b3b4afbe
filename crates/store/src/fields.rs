//! Fixed-size headers: fields put one after another, checksummed by BLAKE3 over everything before it.

use crate::wal::{Checksum, Salts};

/// The length of the checksum that ends every checksummed header, in bytes.
pub(crate) const CHECKSUM_LEN: usize = 32;

/// Puts fields into a header, little-endian.
pub(crate) struct Put {
    bytes: Vec<u8>,
}

impl Put {
    pub(crate) fn new(magic: [u8; 8]) -> Self {
        Self { bytes: magic.to_vec() }
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub(crate) fn u32(self, value: u32) -> Self {
        self.raw(&value.to_le_bytes())
    }

    pub(crate) fn u64(self, value: u64) -> Self {
        self.raw(&value.to_le_bytes())
    }

    pub(crate) fn i64(self, value: i64) -> Self {
        self.raw(&value.to_le_bytes())
    }

    pub(crate) fn salts(self, salts: Salts) -> Self {
        self.u32(salts.0).u32(salts.1)
    }

    pub(crate) fn checksum(self, checksum: Checksum) -> Self {
        self.u32(checksum.0).u32(checksum.1)
    }

    /// Pads with zeros and ends with the checksum, `len` bytes in all. The fields of this crate's headers fit.
    pub(crate) fn checksummed(mut self, len: usize) -> Vec<u8> {
        self.bytes.resize(len - CHECKSUM_LEN, 0);
        let checksum = blake3::hash(&self.bytes);
        self.raw(checksum.as_bytes()).bytes
    }
}

/// Takes fields out of a header in the order they were put.
pub(crate) struct Take<'a> {
    rest: &'a [u8],
}

impl<'a> Take<'a> {
    /// Begins to read a header whose magic is `magic` and whose checksum fits, else `None`.
    pub(crate) fn checksummed(bytes: &'a [u8], magic: [u8; 8]) -> Option<Self> {
        let body = bytes.len().checked_sub(CHECKSUM_LEN)?;
        let (body, checksum) = bytes.split_at(body);
        let fits = body.starts_with(&magic) && blake3::hash(body).as_bytes() == checksum;
        fits.then(|| Self { rest: &body[magic.len()..] })
    }

    /// The next `N` bytes; zeros past the end, which a checksummed header of the right length never reaches.
    pub(crate) fn raw<const N: usize>(&mut self) -> [u8; N] {
        let mut field = [0; N];
        let len = N.min(self.rest.len());
        field[..len].copy_from_slice(&self.rest[..len]);
        self.rest = &self.rest[len..];
        field
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.raw())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.raw())
    }

    pub(crate) fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.raw())
    }

    pub(crate) fn salts(&mut self) -> Salts {
        Salts(self.u32(), self.u32())
    }

    pub(crate) fn checksum(&mut self) -> Checksum {
        Checksum(self.u32(), self.u32())
    }
}
