//! RC4 and the MD5 compression function, run together.
//!
//! Sealing with NTLM is RC4 over the body plus MD5 over the same body. Each of the two is one long chain of dependent
//! operations and leaves most of a processor idle, so running one after the other wastes both. [`Rc4::keystream_with`]
//! weaves one RC4 step into each of the 64 MD5 steps of a block: the two chains are independent, and together they take
//! little longer than the slower one alone. `cargo xtask bench --only SEALED` prints the gain against the separate crates.
//!
//! RC4 and MD5 are what MS-NLMP 3.4 prescribes, not a choice. Both are checked against the RustCrypto crates below.

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes in one MD5 block.
pub(crate) const BLOCK: usize = 64;

/// A running RC4 key stream (MS-NLMP 3.4.3: one handle for each direction, never restarted).
///
/// The permutation is kept in 32-bit cells: byte stores followed by byte loads of the same cell cost more.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Rc4 {
    cells: [u32; 256],
    /// Index of the cell that the next step uses.
    next: u8,
    mixed: u8,
}

/// One step of RC4 on local copies of the state; yields the next byte of the key stream.
///
/// `$x` holds `cells[$i]`, loaded before the stores of the previous step so that the processor need not wait for their
/// addresses; the one case in which that store hits the prefetched cell is corrected afterwards.
macro_rules! rc4_step {
    ($cells:ident, $i:ident, $j:ident, $x:ident) => {{
        let following = $i.wrapping_add(1);
        let prefetched = $cells[usize::from(following)];
        $j = $j.wrapping_add(low_byte($x));
        let y = $cells[usize::from($j)];
        $cells[usize::from($i)] = y;
        $cells[usize::from($j)] = $x;
        let byte = low_byte($cells[usize::from(low_byte($x.wrapping_add(y)))]);
        $x = if $j == following { $x } else { prefetched };
        $i = following;
        byte
    }};
}

/// The 64 steps of MD5 (RFC 1321 3.4) on four words, with `$between!(step)` after each.
macro_rules! md5_steps {
    ($words:ident, $a:ident, $b:ident, $c:ident, $d:ident, $between:ident) => {
        macro_rules! step {
            ($f:ident, $p:ident, $q:ident, $r:ident, $s:ident, $word:expr, $step:expr, $shift:expr) => {
                $p = $p
                    .wrapping_add($words[($word) % 16])
                    .wrapping_add(SINES[$step])
                    .wrapping_add($f($q, $r, $s))
                    .rotate_left($shift)
                    .wrapping_add($q);
                $between!($step);
            };
        }
        macro_rules! four {
            ($f:ident, $n:expr, $stride:expr, $start:expr, $s0:expr, $s1:expr, $s2:expr, $s3:expr) => {
                step!($f, $a, $b, $c, $d, $start + $stride * $n, $n, $s0);
                step!($f, $d, $a, $b, $c, $start + $stride * ($n + 1), $n + 1, $s1);
                step!($f, $c, $d, $a, $b, $start + $stride * ($n + 2), $n + 2, $s2);
                step!($f, $b, $c, $d, $a, $start + $stride * ($n + 3), $n + 3, $s3);
            };
        }
        four!(f1, 0, 1, 0, 7, 12, 17, 22);
        four!(f1, 4, 1, 0, 7, 12, 17, 22);
        four!(f1, 8, 1, 0, 7, 12, 17, 22);
        four!(f1, 12, 1, 0, 7, 12, 17, 22);
        four!(f2, 16, 5, 1, 5, 9, 14, 20);
        four!(f2, 20, 5, 1, 5, 9, 14, 20);
        four!(f2, 24, 5, 1, 5, 9, 14, 20);
        four!(f2, 28, 5, 1, 5, 9, 14, 20);
        four!(f3, 32, 3, 5, 4, 11, 16, 23);
        four!(f3, 36, 3, 5, 4, 11, 16, 23);
        four!(f3, 40, 3, 5, 4, 11, 16, 23);
        four!(f3, 44, 3, 5, 4, 11, 16, 23);
        four!(f4, 48, 7, 0, 6, 10, 15, 21);
        four!(f4, 52, 7, 0, 6, 10, 15, 21);
        four!(f4, 56, 7, 0, 6, 10, 15, 21);
        four!(f4, 60, 7, 0, 6, 10, 15, 21);
    };
}

impl Rc4 {
    /// Schedules `key` (5 to 16 bytes in NTLM; here always 16).
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        let mut cells = [0_u32; 256];
        for (cell, value) in cells.iter_mut().zip(0_u32..) {
            *cell = value;
        }
        let mut mixed = 0_u8;
        for index in 0..256 {
            mixed = mixed.wrapping_add(low_byte(cells[index])).wrapping_add(key[index % 16]);
            cells.swap(index, usize::from(mixed));
        }
        Self { cells, next: 1, mixed: 0 }
    }

    /// Encrypts or decrypts `data` in place.
    pub(crate) fn apply(&mut self, data: &mut [u8]) {
        let (mut i, mut j) = (self.next, self.mixed);
        let cells = &mut self.cells;
        let mut x = cells[usize::from(i)];
        for byte in data {
            *byte ^= rc4_step!(cells, i, j, x);
        }
        (self.next, self.mixed) = (i, j);
    }

    /// Writes the next 64 bytes of the key stream to `keystream` and, meanwhile, folds `block` into the MD5 `state`.
    pub(crate) fn keystream_with(
        &mut self,
        keystream: &mut [u8; BLOCK],
        state: &mut [u32; 4],
        block: &[u8; BLOCK],
    ) {
        let words = words(block);
        let [mut a, mut b, mut c, mut d] = *state;
        let (mut i, mut j) = (self.next, self.mixed);
        let cells = &mut self.cells;
        let mut x = cells[usize::from(i)];

        macro_rules! with_rc4 {
            ($step:expr) => {
                keystream[$step] = rc4_step!(cells, i, j, x)
            };
        }
        md5_steps!(words, a, b, c, d, with_rc4);
        // what the last step prefetched is loaded again by the next call
        let _ = x;

        (self.next, self.mixed) = (i, j);
        *state = added(*state, [a, b, c, d]);
    }
}

/// Folds `block` into the MD5 `state`.
pub(crate) fn compress(state: &mut [u32; 4], block: &[u8; BLOCK]) {
    let words = words(block);
    let [mut a, mut b, mut c, mut d] = *state;
    macro_rules! nothing {
        ($step:expr) => {};
    }
    md5_steps!(words, a, b, c, d, nothing);
    *state = added(*state, [a, b, c, d]);
}

/// The MD5 state before the first block (RFC 1321 3.3).
pub(crate) const INITIAL: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// `floor(abs(sin(step + 1)) * 2^32)` for each step (RFC 1321 3.4).
const SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

#[inline(always)]
fn f1(y: u32, z: u32, w: u32) -> u32 {
    w ^ (y & (z ^ w))
}

/// The two halves have no bit in common, so their sum equals the disjunction and shortens the chain.
#[inline(always)]
fn f2(y: u32, z: u32, w: u32) -> u32 {
    (w & y).wrapping_add(!w & z)
}

#[inline(always)]
fn f3(y: u32, z: u32, w: u32) -> u32 {
    y ^ z ^ w
}

#[inline(always)]
fn f4(y: u32, z: u32, w: u32) -> u32 {
    z ^ (y | !w)
}

fn words(block: &[u8; BLOCK]) -> [u32; 16] {
    let mut words = [0; 16];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

fn added(left: [u32; 4], right: [u32; 4]) -> [u32; 4] {
    [
        left[0].wrapping_add(right[0]),
        left[1].wrapping_add(right[1]),
        left[2].wrapping_add(right[2]),
        left[3].wrapping_add(right[3]),
    ]
}

#[inline(always)]
fn low_byte(word: u32) -> u8 {
    word.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use md5::block_api::compress as reference_compress;
    use proptest::prelude::*;
    use rc4::{KeyInit, StreamCipher};

    #[test]
    fn the_woven_kernel_equals_its_two_halves() {
        let mut woven = Rc4::new(&[0x5a; 16]);
        let mut plain = woven.clone();
        let mut state = INITIAL;
        let mut expected = INITIAL;
        for round in 0..1000_u32 {
            let mut block = [0; BLOCK];
            block[..4].copy_from_slice(&round.to_le_bytes());
            let mut keystream = [0; BLOCK];
            woven.keystream_with(&mut keystream, &mut state, &block);
            compress(&mut expected, &block);
            let mut zeros = [0; BLOCK];
            plain.apply(&mut zeros);
            assert_eq!(keystream, zeros);
            assert_eq!(state, expected);
        }
    }

    proptest! {
        #[test]
        fn rc4_equals_the_reference(key: [u8; 16], lengths in prop::collection::vec(0_usize..300, 1..8)) {
            let mut ours = Rc4::new(&key);
            let mut theirs = rc4::Rc4::new_from_slice(&key).unwrap();
            for length in lengths {
                let mut left = vec![0xa5; length];
                let mut right = left.clone();
                ours.apply(&mut left);
                theirs.apply_keystream(&mut right);
                prop_assert_eq!(left, right);
            }
        }

        #[test]
        fn compression_equals_the_reference(block in prop::collection::vec(any::<u8>(), BLOCK), start: [u32; 4]) {
            let block: [u8; BLOCK] = block.try_into().unwrap();
            let (mut ours, mut theirs) = (start, start);
            compress(&mut ours, &block);
            reference_compress(&mut theirs, &[block]);
            prop_assert_eq!(ours, theirs);
        }
    }
}
