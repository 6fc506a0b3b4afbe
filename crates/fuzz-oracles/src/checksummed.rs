//! Checksums that a fuzzer cannot guess.
//!
//! The store's headers end with a BLAKE3 checksum over everything before it. Left to itself, a fuzzer never gets past
//! it, so targets also try their input with the right checksum, as an attacker would.

/// The length of the checksum in bytes.
pub(crate) const CHECKSUM_LEN: usize = 32;

/// The first `len` bytes of `data`, filled up with zeros, with `magic` at the front and the right checksum at the end.
/// `len` has room for both.
pub(crate) fn with_checksum(data: &[u8], magic: [u8; 8], len: usize) -> Vec<u8> {
    let mut whole = data.to_vec();
    whole.resize(len - CHECKSUM_LEN, 0);
    whole[..magic.len()].copy_from_slice(&magic);
    let checksum = blake3::hash(&whole);
    whole.extend_from_slice(checksum.as_bytes());
    whole
}

/// `whole` with one bit flipped; `data` decides which.
pub(crate) fn with_flipped_bit(whole: &[u8], data: &[u8]) -> Vec<u8> {
    let choice = blake3::hash(data).as_bytes()[..4].iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    let bit = choice % (8 * whole.len());
    let mut flipped = whole.to_vec();
    flipped[bit / 8] ^= 1 << (bit % 8);
    flipped
}
