//! Sets of keys as sums, so that two trees in different orders can be compared without keeping either.

use twox_hash::XxHash3_64;

/// Odd numbers without a pattern.
const ODD: [u64; 3] = [0x9E37_79B9_7F4A_7C15, 0xD1B5_4A32_D192_ED03, 0x8CB9_2BA7_2F3D_8DD7];

/// The hash of a byte string. Most keys have at most 16 bytes; for these two multiplications take the place of a call.
#[inline]
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let wide = |bytes: Option<&[u8; 8]>| bytes.map(|bytes| u64::from_le_bytes(*bytes));
    let half = |bytes: Option<&[u8; 4]>| bytes.map(|bytes| u64::from(u32::from_le_bytes(*bytes)));
    // The two numbers overlap where there are fewer bytes; the length tells these strings apart.
    let (first, last) = match bytes.len() {
        8..=16 => (wide(bytes.first_chunk()), wide(bytes.last_chunk())),
        4..=7 => (half(bytes.first_chunk()), half(bytes.last_chunk())),
        _ => (None, None),
    };
    let (Some(first), Some(last)) = (first, last) else {
        return XxHash3_64::oneshot(bytes);
    };
    folded(folded(first ^ ODD[0], last ^ ODD[1]) ^ ODD[2], ODD[0] ^ bytes.len() as u64)
}

/// Both halves of a product in one.
#[inline]
// Folded on purpose.
#[allow(clippy::cast_possible_truncation)]
fn folded(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ (product >> 64) as u64
}

/// One hash of two: of an index key and of the row it is for.
#[inline]
pub(super) fn joined(key: u64, row: u64) -> u64 {
    folded(key ^ ODD[0], row ^ ODD[1])
}

/// The hash of an index key, segment by segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct KeyHash(u64);

impl KeyHash {
    /// Of no segment.
    pub(super) const NONE: Self = Self(ODD[2]);

    /// With another segment: what it is, and its number where it has one.
    #[inline]
    pub(super) fn with(self, mark: u8, number: u64) -> Self {
        Self(folded(self.0 ^ ODD[0], number ^ ODD[1]) ^ ODD[2].rotate_left(u32::from(mark)))
    }

    /// The hash.
    pub(super) fn value(self) -> u64 {
        self.0
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

    /// Adds all of another set.
    pub(super) fn add_all(&mut self, other: Self) {
        self.count = self.count.wrapping_add(other.count);
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn short_strings_have_hashes_of_their_own() {
        let mut strings: HashSet<Vec<u8>> = HashSet::new();
        for length in 0..=20usize {
            for byte in [0, 1, 0x7F, 0xFF] {
                let plain = vec![byte; length];
                for place in 0..length {
                    for other in 0..=255 {
                        let mut string = plain.clone();
                        string[place] = other;
                        strings.insert(string);
                    }
                }
                strings.insert(plain);
            }
        }
        let hashes: HashSet<u64> = strings.iter().map(|string| hash(string)).collect();
        assert_eq!(hashes.len(), strings.len());
    }

    #[test]
    fn sums_tell_numbers_apart_that_have_the_same_sum() {
        let of = |numbers: &[u32]| {
            let mut tally = Tally::default();
            numbers.iter().for_each(|number| tally.add(&[&[0x7F][..], &number.to_be_bytes()].concat()));
            tally
        };
        let mut seen = HashSet::new();
        for low in 0..200u32 {
            // 1 and 399, 2 and 398 ...: the same sum of numbers in each.
            assert!(seen.insert(of(&[low, 400 - low]).sum), "{low}");
            assert!(seen.insert(of(&[low << 16, (400 - low) << 16 | 1]).sum), "{low}");
        }
    }

    #[test]
    fn keys_that_change_places_between_rows_are_told() {
        let entry =
            |key: u64, row: u32| joined(KeyHash::NONE.with(0x7F, key).value(), hash(&row.to_be_bytes()));
        for (one, two) in [(0, 1), (1, 2), (0, u64::MAX), (1 << 31, 1 << 63)] {
            for row in 0..100 {
                let right = entry(one, row).wrapping_add(entry(two, row + 1));
                let wrong = entry(two, row).wrapping_add(entry(one, row + 1));
                assert_ne!(right, wrong);
            }
        }
        let hashes = [
            KeyHash::NONE,
            KeyHash::NONE.with(0, 0),
            KeyHash::NONE.with(0x7F, 0),
            KeyHash::NONE.with(1, 0),
            KeyHash::NONE.with(0, 0).with(0x7F, 0),
            KeyHash::NONE.with(0x7F, 0).with(0, 0),
        ];
        let different: HashSet<u64> = hashes.iter().map(|hash| hash.value()).collect();
        assert_eq!(different.len(), hashes.len());
    }
}
