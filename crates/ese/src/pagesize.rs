//! The page size decides half of the layout, so it is a type of its own.

/// A valid page size: 2, 4, 8, 16 or 32 KiB.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PageSize(usize);

impl PageSize {
    /// Every valid size, smallest first.
    pub const ALL: [Self; 5] = [Self(2048), Self(4096), Self(8192), Self(16_384), Self(32_768)];

    /// Accepts a valid size in bytes only.
    pub fn new(bytes: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.0 == bytes)
    }

    /// From a header field, where 0 means 4096 (ese.md 3.2 and 7).
    pub fn from_field(field: u32) -> Option<Self> {
        match field {
            0 => Some(Self(4096)),
            other => Self::new(crate::bytes::index(other)),
        }
    }

    /// In bytes.
    pub fn bytes(self) -> usize {
        self.0
    }

    /// In bytes, for file offsets.
    pub fn bytes64(self) -> u64 {
        self.0 as u64
    }

    /// Pages of 16 and 32 KiB have a longer header and other tag masks (ese.md 3.3).
    pub fn is_large(self) -> bool {
        8192 < self.0
    }

    /// Bytes of the page header.
    pub fn page_header(self) -> usize {
        if self.is_large() { 80 } else { 40 }
    }

    /// Bytes between the page header and the end of the page.
    pub(crate) fn body(self) -> usize {
        self.0 - self.page_header()
    }

    /// Mask of lengths and offsets in tags and in tagged columns.
    pub(crate) fn mask(self) -> u16 {
        if self.is_large() { 0x7FFF } else { 0x1FFF }
    }

    /// Bytes of one checksum block (ese.md 2.2).
    pub(crate) fn checksum_block(self) -> usize {
        if self.is_large() { self.0 / 4 } else { self.0 }
    }

    /// File offset of a page; the header and its shadow take the first two slots.
    pub(crate) fn offset_of(self, page: u32) -> u64 {
        (u64::from(page) + 1) * self.bytes64()
    }
}
