//! Reading NDR (wire.md 3.1).

use certadm_rules::{FileTime, Guid};

use super::{ByteOrder, NdrError};

/// A cursor over NDR data. Every method that fails leaves the position unspecified: give the reader up.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    order: ByteOrder,
}

impl<'a> Reader<'a> {
    /// A reader at the beginning of `bytes`, from where alignment is counted.
    #[must_use]
    pub const fn new(bytes: &'a [u8], order: ByteOrder) -> Self {
        Self { bytes, position: 0, order }
    }

    /// How many bytes are behind the cursor.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// The bytes that are not read yet.
    #[must_use]
    pub fn remaining(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    ///
    /// [`NdrError::Truncated`].
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], NdrError> {
        let taken = self.remaining().get(..count).ok_or(NdrError::Truncated {
            offset: self.position,
            needed: count,
            length: self.bytes.len(),
        })?;
        self.position += count;
        Ok(taken)
    }

    /// Skips to the next multiple of `alignment` bytes, which is 1, 2, 4 or 8. What stands in the gap is not looked
    /// at (wire.md 3.1).
    ///
    /// # Errors
    ///
    /// [`NdrError::Truncated`] when the data ends inside the gap.
    pub fn align(&mut self, alignment: usize) -> Result<(), NdrError> {
        let gap = self.position.next_multiple_of(alignment) - self.position;
        self.bytes(gap).map(|_| ())
    }

    /// A byte.
    ///
    /// # Errors
    ///
    /// [`NdrError::Truncated`].
    pub fn u8(&mut self) -> Result<u8, NdrError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A 16-bit integer, 2-aligned.
    ///
    /// # Errors
    ///
    /// [`NdrError::Truncated`].
    pub fn u16(&mut self) -> Result<u16, NdrError> {
        self.align(2)?;
        let bytes = self.array()?;
        Ok(match self.order {
            ByteOrder::Little => u16::from_le_bytes(bytes),
            ByteOrder::Big => u16::from_be_bytes(bytes),
        })
    }

    /// A 32-bit integer, 4-aligned.
    ///
    /// # Errors
    ///
    /// [`NdrError::Truncated`].
    pub fn u32(&mut self) -> Result<u32, NdrError> {
        self.align(4)?;
        let bytes = self.array()?;
        Ok(match self.order {
            ByteOrder::Little => u32::from_le_bytes(bytes),
            ByteOrder::Big => u32::from_be_bytes(bytes),
        })
    }

    /// A signed 32-bit integer, 4-aligned.
    ///
    /// # Errors
    ///
    /// [`NdrError::Truncated`].
    pub fn i32(&mut self) -> Result<i32, NdrError> {
        self.u32().map(u32::cast_signed)
    }

    /// A hyper: 64 bits, 8-aligned.
    ///
    /// # Errors
    ///
    /// [`NdrError::Truncated`].
    pub fn u64(&mut self) -> Result<u64, NdrError> {
        self.align(8)?;
        let bytes = self.array()?;
        Ok(match self.order {
            ByteOrder::Little => u64::from_le_bytes(bytes),
            ByteOrder::Big => u64::from_be_bytes(bytes),
        })
    }

    /// A FILETIME: low half, high half, 4-aligned (wire.md 3.10).
    ///
    /// # Errors
    ///
    /// [`NdrError::Truncated`].
    pub fn file_time(&mut self) -> Result<FileTime, NdrError> {
        let (low, high) = (self.u32()?, self.u32()?);
        Ok(FileTime::from_bits(u64::from(high) << 32 | u64::from(low)))
    }

    /// A GUID, 4-aligned.
    ///
    /// # Errors
    ///
    /// [`NdrError::Truncated`].
    pub fn guid(&mut self) -> Result<Guid, NdrError> {
        self.align(4)?;
        let bytes = self.array()?;
        Ok(match self.order {
            ByteOrder::Little => Guid::from_le_bytes(bytes),
            ByteOrder::Big => Guid::from_be_bytes(bytes),
        })
    }

    /// A referent id: whether the unique pointer points anywhere. For a member of a structure the target comes later,
    /// after the structure; for a parameter use [`Reader::unique`].
    ///
    /// # Errors
    ///
    /// [`NdrError::Truncated`].
    pub fn referent(&mut self) -> Result<bool, NdrError> {
        self.u32().map(|referent| referent != 0)
    }

    /// A unique pointer parameter: NULL, or a referent id and at once its target, read by `target`.
    ///
    /// # Errors
    ///
    /// [`NdrError::Truncated`], or what `target` finds.
    pub fn unique<T>(
        &mut self,
        target: impl FnOnce(&mut Self) -> Result<T, NdrError>,
    ) -> Result<Option<T>, NdrError> {
        if self.referent()? { target(self).map(Some) } else { Ok(None) }
    }

    /// The maximum count of a conformant array, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`NdrError::Truncated`]; [`NdrError::TooLarge`].
    pub fn conformance(&mut self, limit: usize) -> Result<usize, NdrError> {
        let count = self.u32()?;
        let offset = self.position - 4;
        usize::try_from(count).ok().filter(|&count| count <= limit).ok_or(NdrError::TooLarge {
            offset,
            count: count.into(),
            limit,
        })
    }

    /// A conformant array of bytes, at most `limit`: maximum count, then the elements. They are borrowed, not copied.
    ///
    /// # Errors
    ///
    /// [`NdrError::Truncated`]; [`NdrError::TooLarge`].
    pub fn conformant_bytes(&mut self, limit: usize) -> Result<&'a [u8], NdrError> {
        let count = self.conformance(limit)?;
        self.bytes(count)
    }

    /// A conformant array of 16-bit integers, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`NdrError::Truncated`], before anything is allocated; [`NdrError::TooLarge`].
    pub fn conformant_units(&mut self, limit: usize) -> Result<Vec<u16>, NdrError> {
        let count = self.conformance(limit)?;
        self.units(count)
    }

    /// The maximum and actual counts of a conformant varying array: the actual count, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`NdrError::Truncated`]; [`NdrError::TooLarge`]; [`NdrError::BadVaryingBounds`] when the offset is not zero or
    /// the actual count exceeds the maximum.
    pub fn varying_conformance(&mut self, limit: usize) -> Result<usize, NdrError> {
        let maximum = self.u32()?;
        let start = self.position - 4;
        let first = self.u32()?;
        let actual = self.u32()?;
        if first != 0 || actual > maximum {
            return Err(NdrError::BadVaryingBounds { offset: start });
        }
        usize::try_from(actual).ok().filter(|&actual| actual <= limit).ok_or(NdrError::TooLarge {
            offset: start,
            count: actual.into(),
            limit,
        })
    }

    /// A conformant varying array of bytes, at most `limit`. They are borrowed, not copied.
    ///
    /// # Errors
    ///
    /// As [`Reader::varying_conformance`].
    pub fn varying_bytes(&mut self, limit: usize) -> Result<&'a [u8], NdrError> {
        let count = self.varying_conformance(limit)?;
        self.bytes(count)
    }

    /// A `[string] wchar_t *` target: a conformant varying array of UTF-16 units that ends with its only NUL. `limit`
    /// counts units without the NUL.
    ///
    /// # Errors
    ///
    /// [`NdrError::Truncated`] and [`NdrError::TooLong`], before anything is allocated;
    /// [`NdrError::BadVaryingBounds`]; [`NdrError::BadTerminator`]; [`NdrError::BadUtf16`].
    pub fn wide_string(&mut self, limit: usize) -> Result<String, NdrError> {
        self.align(4)?;
        let offset = self.position;
        let count = self.varying_conformance(usize::MAX)?;
        let units = self.text_units(count, limit.saturating_add(1), offset)?;
        match units.split_last() {
            Some((0, text)) if !text.contains(&0) => {
                String::from_utf16(text).map_err(|_| NdrError::BadUtf16 { offset })
            }
            _ => Err(NdrError::BadTerminator { offset }),
        }
    }

    /// Compares a count that another parameter governs with what it must be (wire.md 3.1).
    ///
    /// # Errors
    ///
    /// [`NdrError::CountMismatch`], naming the four bytes before the cursor.
    pub fn expect_count(&self, found: u64, expected: u64) -> Result<(), NdrError> {
        if found == expected {
            Ok(())
        } else {
            Err(NdrError::CountMismatch { offset: self.position.saturating_sub(4), found, expected })
        }
    }

    /// `count` 16-bit integers, of which the caller knows that the position is even.
    pub(crate) fn units(&mut self, count: usize) -> Result<Vec<u16>, NdrError> {
        let length = count.saturating_mul(2);
        let order = self.order;
        let (pairs, _) = self.bytes(length)?.as_chunks::<2>();
        Ok(pairs
            .iter()
            .map(|&pair| match order {
                ByteOrder::Little => u16::from_le_bytes(pair),
                ByteOrder::Big => u16::from_be_bytes(pair),
            })
            .collect())
    }

    /// `count` units of a string that begins at `offset`: all of them are there, and no more than `limit`.
    pub(crate) fn text_units(
        &mut self,
        count: usize,
        limit: usize,
        offset: usize,
    ) -> Result<Vec<u16>, NdrError> {
        if limit < count {
            self.bytes(count.saturating_mul(2))?;
            return Err(NdrError::TooLong { offset, units: count, limit });
        }
        self.units(count)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], NdrError> {
        let offset = self.position;
        let taken = self.remaining().first_chunk::<N>().copied().ok_or(NdrError::Truncated {
            offset,
            needed: N,
            length: self.bytes.len(),
        })?;
        self.position += N;
        Ok(taken)
    }
}
