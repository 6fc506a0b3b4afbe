//! Sets of keys as sums, so that two trees in different orders can be compared without keeping either.

use twox_hash::XxHash3_64;

/// The hash of a byte string.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(bytes)
}

/// One hash of two: of an index key and of the row it is for.
pub(super) fn joined(key: u64, row: u64) -> u64 {
    let product = u128::from(key ^ 0x9E37_79B9_7F4A_7C15) * u128::from(row ^ 0xD1B5_4A32_D192_ED03);
    // Both halves of the product, folded on purpose.
    #[allow(clippy::cast_possible_truncation)]
    {
        (product as u64) ^ (product >> 64) as u64
    }
}

/// A set of byte strings: how many, and the sum of their hashes. Sums of different sets are equal by accident once in
/// 2^64 times.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Tally {
    pub(super) count: u64,
    sum: u64,
}

impl Tally {
    /// Adds one whose hash is known.
    pub(super) fn add_hash(&mut self, hash: u64) {
        self.count = self.count.wrapping_add(1);
        self.sum = self.sum.wrapping_add(hash);
    }

    /// Adds one.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.add_times(bytes, 1);
    }

    /// Adds one so many times.
    pub(super) fn add_times(&mut self, bytes: &[u8], times: u64) {
        self.count = self.count.wrapping_add(times);
        self.sum = self.sum.wrapping_add(hash(bytes).wrapping_mul(times));
    }
}
