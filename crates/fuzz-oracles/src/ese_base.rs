//! A small real database to start from: random bytes never make one.

use std::io::Read;
use std::sync::LazyLock;

use certadm_ese::checksum::{checksum_page, xor_checksum};
use certadm_ese::pagesize::PageSize;

/// A database of 1 MiB with every type of column (crates/ese/tests/data/README.md).
pub(crate) static DATABASE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let packed = include_bytes!("../../ese/tests/data/basic.edb.gz");
    let mut bytes = Vec::new();
    // Our own file, checked in: it unpacks.
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap_or_default();
    bytes
});

/// The database with changed pages. `patches` is a sequence of: slot (u16), offset in it (u16), length (u8), bytes.
/// Changed pages get the right checksum again; the header and its shadow, slots 0 and 1, do not.
pub(crate) fn patched(size: PageSize, mut patches: &[u8]) -> Vec<u8> {
    let mut database = DATABASE.clone();
    let slots = database.len() / size.bytes();
    while let Some((&[slot_low, slot_high, low, high, length], rest)) = patches.split_first_chunk::<5>() {
        let slot = usize::from(u16::from_le_bytes([slot_low, slot_high])) % slots;
        let offset = usize::from(u16::from_le_bytes([low, high])) % size.bytes();
        let length = usize::from(length).min(rest.len()).min(size.bytes() - offset);
        let (bytes, rest) = rest.split_at(length);
        patches = rest;
        let page = &mut database[slot * size.bytes()..][..size.bytes()];
        page[offset..][..length].copy_from_slice(bytes);
        if let Some(number) = slot.checked_sub(1).and_then(|number| u32::try_from(number).ok())
            && 0 < number
        {
            checksum_page(page, number);
        }
    }
    database
}

/// Changes a block: `patches` is a sequence of offset (u16), length (u8), bytes.
pub(crate) fn apply_patches(block: &mut [u8], mut patches: &[u8]) {
    while let Some((&[low, high, length], rest)) = patches.split_first_chunk::<3>() {
        let offset = usize::from(u16::from_le_bytes([low, high])) % block.len();
        let length = usize::from(length).min(rest.len()).min(block.len() - offset);
        let (bytes, rest) = rest.split_at(length);
        patches = rest;
        block[offset..offset + length].copy_from_slice(bytes);
    }
}

/// Makes the legacy checksum of a block right (ese.md 2.1).
pub(crate) fn checksum_legacy(block: &mut [u8]) {
    let checksum = xor_checksum(block);
    block[..4].copy_from_slice(&checksum.to_le_bytes());
}
