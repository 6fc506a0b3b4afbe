//! Where the bytes of a file of a set come from.

use crate::error::Result;

/// Where the bytes of a file come from.
pub trait Stream {
    /// Fills the buffer it gets, except at the end; returns 0 after it.
    ///
    /// # Errors
    /// Whatever keeps the bytes from coming.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize>;
}

impl<F: FnMut(&mut [u8]) -> Result<usize>> Stream for F {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self(buffer)
    }
}
