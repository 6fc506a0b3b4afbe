//! Sets of keys as sums, so that two trees in different orders can be compared without keeping either.

use twox_hash::XxHash3_64;

/// A set of byte strings: how many, and the sum of their hashes. Sums of different sets are equal by accident once in
/// 2^64 times.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Tally {
    pub(super) count: u64,
    sum: u64,
}

impl Tally {
    /// Adds one.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.add_times(bytes, 1);
    }

    /// Adds one so many times.
    pub(super) fn add_times(&mut self, bytes: &[u8], times: u64) {
        self.count = self.count.wrapping_add(times);
        self.sum = self.sum.wrapping_add(XxHash3_64::oneshot(bytes).wrapping_mul(times));
    }
}
