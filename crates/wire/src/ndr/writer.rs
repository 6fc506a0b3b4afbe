//! Writing NDR, little-endian (wire.md 3.1).

use certadm_rules::{FileTime, Guid};

use super::FIRST_REFERENT;

/// Appends NDR values to a stub. Alignment is counted from where the writer began.
///
/// Counts on the wire have 32 bits. The arrays that are written here come from this program and are bounded by its
/// own limits far below that; a longer one is cut off at the limit of the format rather than wrapped.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    /// Where in `bytes` the stub begins.
    origin: usize,
    /// How many bytes of the stub stand elsewhere, before these.
    before: usize,
    referents: u32,
}

impl Writer {
    /// A writer of an empty stub.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), origin: 0, before: 0, referents: 0 }
    }

    /// A writer of an empty stub behind the content of `buffer`, which stays and does not count for positions and alignment.
    #[must_use]
    pub const fn appending(buffer: Vec<u8>) -> Self {
        Self { origin: buffer.len(), bytes: buffer, before: 0, referents: 0 }
    }

    /// A writer of the rest of a stub whose first `position` bytes, without a pointer among them, stand elsewhere.
    #[must_use]
    pub const fn behind(position: usize) -> Self {
        Self { bytes: Vec::new(), origin: 0, before: position, referents: 0 }
    }

    /// Where in the stub the next byte goes.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.before + self.bytes.len() - self.origin
    }

    /// What was written, behind what it was appended to.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Fills up with zeros to the next multiple of `alignment` bytes, which is 1, 2, 4 or 8.
    pub fn align(&mut self, alignment: usize) -> &mut Self {
        self.zeros(self.position().next_multiple_of(alignment) - self.position())
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// `count` zero bytes.
    pub fn zeros(&mut self, count: usize) -> &mut Self {
        self.bytes.resize(self.bytes.len().saturating_add(count), 0);
        self
    }

    /// A byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    /// A 16-bit integer, 2-aligned.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.align(2).bytes(&value.to_le_bytes())
    }

    /// A 32-bit integer, 4-aligned.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.align(4).bytes(&value.to_le_bytes())
    }

    /// A signed 32-bit integer, 4-aligned.
    pub fn i32(&mut self, value: i32) -> &mut Self {
        self.u32(value.cast_unsigned())
    }

    /// A hyper: 64 bits, 8-aligned.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.align(8).bytes(&value.to_le_bytes())
    }

    /// A FILETIME: low half, high half, 4-aligned (wire.md 3.10).
    pub fn file_time(&mut self, time: FileTime) -> &mut Self {
        self.align(4).bytes(&time.to_bits().to_le_bytes())
    }

    /// A GUID, 4-aligned.
    pub fn guid(&mut self, guid: Guid) -> &mut Self {
        self.align(4).bytes(&guid.to_le_bytes())
    }

    /// The referent id of a pointer that is not NULL: [`FIRST_REFERENT`], then 4 more for each.
    pub fn referent(&mut self) -> &mut Self {
        let value = FIRST_REFERENT.wrapping_add(self.referents.wrapping_mul(4));
        self.referents = self.referents.wrapping_add(1);
        self.u32(value)
    }

    /// The referent id of a NULL pointer.
    pub fn null(&mut self) -> &mut Self {
        self.u32(0)
    }

    /// A unique pointer parameter: NULL, or a referent id and the target, written by `target`.
    pub fn unique<T>(&mut self, value: Option<T>, target: impl FnOnce(&mut Self, T)) -> &mut Self {
        match value {
            None => self.null(),
            Some(value) => {
                target(self.referent(), value);
                self
            }
        }
    }

    /// A conformant array of bytes: maximum count, then the elements.
    pub fn conformant_bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let (count, kept) = counted(bytes);
        self.u32(count).bytes(kept)
    }

    /// A conformant array of 16-bit integers.
    pub fn conformant_units(&mut self, units: &[u16]) -> &mut Self {
        let (count, kept) = counted(units);
        self.u32(count).units(kept)
    }

    /// A conformant varying array of bytes: maximum count, offset 0, actual count, elements.
    pub fn varying_bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let (count, kept) = counted(bytes);
        self.u32(count).u32(0).u32(count).bytes(kept)
    }

    /// A `[string] wchar_t *` target: a conformant varying array of UTF-16 units with a NUL. `text` has none itself:
    /// a NUL in it would end the string for the reader, so everything from it on is left out.
    pub fn wide_string(&mut self, text: &str) -> &mut Self {
        let text = text.split('\0').next().unwrap_or_default();
        let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
        let (count, kept) = counted(&units);
        self.u32(count).u32(0).u32(count).units(kept)
    }

    /// The number of elements of an array, as 32 bits.
    pub fn count(&mut self, count: usize) -> &mut Self {
        self.u32(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// 16-bit integers as they are.
    pub(crate) fn units(&mut self, units: &[u16]) -> &mut Self {
        self.bytes.reserve(units.len().saturating_mul(2));
        for unit in units {
            self.bytes.extend_from_slice(&unit.to_le_bytes());
        }
        self
    }
}

/// The count for the wire and the elements it covers.
fn counted<T>(elements: &[T]) -> (u32, &[T]) {
    match u32::try_from(elements.len()) {
        Ok(count) => (count, elements),
        // Longer than 2^32 - 1 elements: only on a 64-bit host, where u32::MAX fits into usize.
        Err(_) => (u32::MAX, elements.split_at(u32::MAX as usize).0),
    }
}
