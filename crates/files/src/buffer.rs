//! Buffers that files are read into at full speed.
//!
//! A large `Vec<u8>` begins 16 bytes after a page of memory: the allocator keeps its own notes there. When the system copies from its
//! cache, whose pages begin at pages of memory, to such an address, processors of the Zen 3 and Zen 4 families take several
//! times as long as to the page itself (BENCHMARKS.md has the measurement): their string copy stumbles over a target that lies 1
//! to 31 bytes above its source, both taken modulo 4096. So whatever reads much of a file reads into an [`AlignedBuffer`].

use std::ops::{Deref, DerefMut};

/// Where a buffer begins: a multiple of this, in bytes. The page of memory of most systems.
pub const ALIGNMENT: usize = 4096;

/// Bytes, zero at first, that begin at a multiple of [`ALIGNMENT`] and never move.
///
/// ```
/// # use certadm_files::{ALIGNMENT, AlignedBuffer};
/// let mut buffer = AlignedBuffer::new(1 << 20);
/// assert_eq!(buffer.len(), 1 << 20);
/// assert_eq!(buffer.as_ptr().addr() % ALIGNMENT, 0);
/// buffer[..5].copy_from_slice(b"bytes");
/// ```
pub struct AlignedBuffer {
    /// Never grows, so what has been found of its address stays true.
    bytes: Box<[u8]>,
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    /// A buffer of `len` bytes.
    #[must_use]
    pub fn new(len: usize) -> Self {
        let bytes = vec![0; len + ALIGNMENT].into_boxed_slice();
        let start = bytes.as_ptr().addr().next_multiple_of(ALIGNMENT) - bytes.as_ptr().addr();
        Self { bytes, start, len }
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}

/// A buffer without bytes and without memory of its own.
impl Default for AlignedBuffer {
    fn default() -> Self {
        Self { bytes: Box::default(), start: 0, len: 0 }
    }
}

impl Clone for AlignedBuffer {
    fn clone(&self) -> Self {
        let mut copy = Self::new(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl std::fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlignedBuffer").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_begins_at_a_page_and_holds_what_is_written() {
        for len in [0, 1, 4095, 4096, 4097, 1 << 20] {
            let mut buffer = AlignedBuffer::new(len);
            assert_eq!((buffer.len(), buffer.as_ptr().addr() % ALIGNMENT), (len, 0));
            assert!(buffer.iter().all(|byte| *byte == 0));
            buffer.fill(7);
            let moved = buffer;
            assert_eq!(moved.clone()[..], moved[..]);
            assert_eq!(moved.as_ptr().addr() % ALIGNMENT, 0);
            assert!(moved.iter().all(|byte| *byte == 7) && moved.len() == len);
        }
    }
}
