//! Little-endian fields out of bytes that nobody has vouched for.

use crate::error::Error;
use crate::lgpos::Lgpos;

/// A byte range read by offset; every read is checked.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    what: &'static str,
}

impl<'a> Fields<'a> {
    /// `what` names the structure in the error of a read past its end.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { bytes, what }
    }

    #[inline]
    pub(crate) fn slice(&self, offset: usize, length: usize) -> Result<&'a [u8], Error> {
        // An error that is made only where it is needed: with `ok_or` every field would make one and drop it again, which
        // takes as long as the reading does.
        match offset.checked_add(length).and_then(|end| self.bytes.get(offset..end)) {
            Some(slice) => Ok(slice),
            None => Err(Error::Malformed { what: self.what, problem: "it ends before its fields do" }),
        }
    }

    #[inline]
    fn array<const N: usize>(&self, offset: usize) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.slice(offset, N)?);
        Ok(array)
    }

    #[inline]
    pub(crate) fn u8(&self, offset: usize) -> Result<u8, Error> {
        Ok(self.array::<1>(offset)?[0])
    }

    #[inline]
    pub(crate) fn u16(&self, offset: usize) -> Result<u16, Error> {
        Ok(u16::from_le_bytes(self.array(offset)?))
    }

    #[inline]
    pub(crate) fn u32(&self, offset: usize) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array(offset)?))
    }

    pub(crate) fn i32(&self, offset: usize) -> Result<i32, Error> {
        Ok(i32::from_le_bytes(self.array(offset)?))
    }

    pub(crate) fn i64(&self, offset: usize) -> Result<i64, Error> {
        Ok(i64::from_le_bytes(self.array(offset)?))
    }

    pub(crate) fn position(&self, offset: usize) -> Result<Lgpos, Error> {
        Ok(Lgpos::from_bytes(self.array(offset)?))
    }

    pub(crate) fn u64(&self, offset: usize) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array(offset)?))
    }
}

/// Overwrites `bytes[offset..]` with `value` where it fits; used on buffers of a known size only.
pub(crate) fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    if let Some(target) = bytes.get_mut(offset..offset + value.len()) {
        target.copy_from_slice(value);
    }
}

/// A u32 as a length or index; `usize` has at least 32 bits on every supported platform.
pub(crate) fn index(value: u32) -> usize {
    value as usize
}

/// A count as u32, saturating; for messages and for sizes already bounded by a page.
pub(crate) fn count32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// A length as u16; `None` when it does not fit.
pub(crate) fn len16(value: usize) -> Option<u16> {
    u16::try_from(value).ok()
}
