//! Checksums of pages, headers and log segments (ese.md 2).
//!
//! Both parts of the new checksum come from one fold. XORing the upper half of a block onto its lower half keeps
//! every lower index bit, and the parity of the upper half is the parity of all words whose top index bit is set: one
//! bit of the error-correcting code. Repeated down to one word this gives all bits with about two operations a word,
//! in loops the compiler turns into wide instructions.

use crate::bytes::put;
use crate::pagesize::PageSize;

/// Seed of the legacy checksum; the XOR of all words of a valid header is this value.
pub const XOR_SEED: u32 = 0x89AB_CDEF;

/// Flag in the u32 at offset 36: the page carries the new checksum.
pub(crate) const NEW_CHECKSUM_FLAG: u32 = 0x2000;

const LARGEST_BLOCK_WORDS: usize = 8192 / 8;

/// The legacy checksum of a block: XOR of all words but the first, with a seed (ese.md 2.1).
///
/// Bytes after the last whole u32 are not covered; every real block is a multiple of 8.
pub fn xor_checksum(block: &[u8]) -> u32 {
    let total = xor_words(block);
    let first = block.first_chunk::<4>().map_or(0, |word| u32::from_le_bytes(*word));
    XOR_SEED ^ total ^ first
}

/// XOR of the little-endian u32 words of a range, the last partial word padded with zeros.
pub fn xor_words(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut total = 0;
    for word in words {
        total ^= u64::from_le_bytes(*word);
    }
    let mut tail = [0; 8];
    tail[..rest.len()].copy_from_slice(rest);
    halves_xored(total ^ u64::from_le_bytes(tail))
}

/// The new checksum of one block: error-correcting code in the high half, XOR in the low half (ese.md 2.2).
///
/// `block` must be 2048, 4096 or 8192 bytes long; other lengths are cut to the next lower of these (0 below 2048).
/// `number` is the page number, or the segment index of a log.
pub fn ecc_checksum(block: &[u8], number: u32, header_block: bool) -> u64 {
    let words = match block.len() / 8 {
        1024.. => 1024,
        512.. => 512,
        256.. => 256,
        _ => return 0,
    };
    let mut folded = [0u64; LARGEST_BLOCK_WORDS];
    for (word, bytes) in folded.iter_mut().zip(block.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    if header_block {
        folded[0] = 0;
    }
    let mut width = words;
    let mut row_bits = 0;
    while 1 < width {
        width /= 2;
        let (lower, upper) = folded[..2 * width].split_at_mut(width);
        let mut upper_total = 0;
        for (low, high) in lower.iter_mut().zip(upper.iter()) {
            upper_total ^= *high;
            *low ^= *high;
        }
        row_bits = row_bits << 1 | upper_total.count_ones() & 1;
    }
    let column = halves_xored(folded[0]);
    let upper_word = folded[0] >> 32;
    row_bits = row_bits << 1 | upper_word.count_ones() & 1;

    let mut column_bits = 0;
    for bit in (0..32).filter(|bit| column >> bit & 1 != 0) {
        column_bits ^= bit;
    }
    // An odd number of odd words makes the complement differ from the sum.
    let odd = if column.count_ones() & 1 == 1 { u32::MAX } else { 0 };
    let row_mask = crate::bytes::count32(words * 2 - 1);
    let ecc = ((row_bits ^ odd) & row_mask) << 21
        | ((column_bits ^ odd) & 31) << 16
        | (row_bits & row_mask) << 5
        | column_bits & 31;
    u64::from(ecc) << 32 | u64::from(column ^ number)
}

fn halves_xored(word: u64) -> u32 {
    // Truncation takes the low half on purpose.
    #[allow(clippy::cast_possible_truncation)]
    {
        (word ^ word >> 32) as u32
    }
}

/// What a block's checksum says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BlockCheck {
    Valid,
    /// One flipped bit, counted from the start of the block.
    SingleBit(u32),
    /// The content is right but belongs to another number.
    Misplaced(u32),
    Damaged,
}

pub(crate) fn check_block(block: &[u8], number: u32, header_block: bool, stored: u64) -> BlockCheck {
    let computed = ecc_checksum(block, number, header_block);
    let difference = stored ^ computed;
    if difference == 0 {
        return BlockCheck::Valid;
    }
    // Truncation takes each half on purpose.
    #[allow(clippy::cast_possible_truncation)]
    let (xor, ecc) = (difference as u32, (difference >> 32) as u32);
    if ecc == 0 {
        return BlockCheck::Misplaced(xor ^ number);
    }
    if header_block && xor == 0 && ecc.count_ones() == 1 {
        return BlockCheck::SingleBit(32 + ecc.trailing_zeros());
    }
    let mask = crate::bytes::count32(block.len() * 8 - 1);
    let bit = ecc & mask;
    let named = (ecc >> 16 ^ ecc) & mask == mask && xor.count_ones() == 1;
    // A flip of the flag that selects this algorithm cannot be told from another format: never corrected.
    let flag = header_block && bit == 9 * 32 + 13;
    let in_checksum = header_block && bit < 64;
    if named && !flag && !in_checksum && xor.trailing_zeros() == bit & 31 {
        BlockCheck::SingleBit(bit)
    } else {
        BlockCheck::Damaged
    }
}

/// What the checksum of a whole page says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PageCheck {
    /// The checksum is right.
    Valid,
    /// Every byte is zero: allocated, never written, not an error (ese.md 2.2).
    Zero,
    /// Flipped bits, at most one in each checksum block, each counted from the start of the page.
    Correctable(Vec<u32>),
    /// The content is a right page of another number: written to the wrong place.
    ///
    /// In a page of one checksum block (8 KiB and less), a single flipped bit in the XOR half of the checksum looks
    /// the same; it then names a page number that differs in one bit, mostly one that does not exist.
    Misplaced {
        /// The number it belongs to.
        belongs_to: u32,
    },
    /// Wrong, and no single bit explains it.
    Damaged,
}

/// Offset of the stored checksum of block `index` of a large page (ese.md 2.2).
fn checksum_offset(index: usize) -> usize {
    if index == 0 { 0 } else { 32 + 8 * index }
}

fn stored_u64(page: &[u8], offset: usize) -> u64 {
    let mut bytes = [0; 8];
    if let Some(source) = page.get(offset..offset + 8) {
        bytes.copy_from_slice(source);
    }
    u64::from_le_bytes(bytes)
}

fn stored_u32(page: &[u8], offset: usize) -> u32 {
    let mut bytes = [0; 4];
    if let Some(source) = page.get(offset..offset + 4) {
        bytes.copy_from_slice(source);
    }
    u32::from_le_bytes(bytes)
}

/// Judges a database page by its checksum.
///
/// A buffer that is no whole page is [`PageCheck::Damaged`].
pub fn check_page(page: &[u8], number: u32) -> PageCheck {
    let Some(size) = PageSize::new(page.len()) else {
        return PageCheck::Damaged;
    };
    if stored_u32(page, 36) & NEW_CHECKSUM_FLAG == 0 {
        if is_zero(page) {
            return PageCheck::Zero;
        }
        let right = stored_u32(page, 0) == xor_checksum(page);
        return match stored_u32(page, 4) {
            stored if right && stored == number => PageCheck::Valid,
            stored if right => PageCheck::Misplaced { belongs_to: stored },
            _ => PageCheck::Damaged,
        };
    }
    let block_size = size.checksum_block();
    let mut head: [u8; 64] = [0; 64];
    head.copy_from_slice(&page[..64]);
    let first = check_block(&page[..block_size], number, true, stored_u64(page, 0));
    // The first block holds the other blocks' checksums: judge those after it was put right.
    let mut bits = match first {
        BlockCheck::Valid => Vec::new(),
        BlockCheck::SingleBit(bit) => {
            flip(&mut head, bit);
            vec![bit]
        }
        BlockCheck::Misplaced(other) => return misplaced_or_flipped(page, &head, block_size, number, other),
        BlockCheck::Damaged => return PageCheck::Damaged,
    };
    match flips_after_the_first_block(page, &head, block_size, number) {
        Some(others) if bits.is_empty() && others.is_empty() => PageCheck::Valid,
        Some(others) => {
            bits.extend(others);
            PageCheck::Correctable(bits)
        }
        None => PageCheck::Damaged,
    }
}

/// Judges a page whose first block carries the checksum of the page `other`.
///
/// Two things look so: a page written to the wrong place, and one flipped bit in the XOR half of the first checksum.
/// The other blocks of a large page know which it is, because their checksums hold the number, too. Example: bit 4
/// of page 7 flips, and the first block seems to belong to page 23. If the other blocks are right for 23, the page
/// was misplaced; if they are right for 7, bit 4 flipped. A small page has no other block and is called misplaced.
fn misplaced_or_flipped(
    page: &[u8],
    head: &[u8; 64],
    block_size: usize,
    number: u32,
    other: u32,
) -> PageCheck {
    if flips_after_the_first_block(page, head, block_size, other).is_some() {
        return PageCheck::Misplaced { belongs_to: other };
    }
    let difference = number ^ other;
    match flips_after_the_first_block(page, head, block_size, number) {
        Some(others) if difference.is_power_of_two() => {
            PageCheck::Correctable([vec![difference.trailing_zeros()], others].concat())
        }
        _ => PageCheck::Damaged,
    }
}

/// The flipped bits, at most one a block, in all blocks but the first, each counted from the start of the page; None
/// when a block cannot be explained so.
///
/// `head` is the start of the page, put right: it holds the checksums of these blocks.
fn flips_after_the_first_block(
    page: &[u8],
    head: &[u8; 64],
    block_size: usize,
    number: u32,
) -> Option<Vec<u32>> {
    let mut bits = Vec::new();
    for (index, block) in page.chunks_exact(block_size).enumerate().skip(1) {
        match check_block(block, number, false, stored_u64(head, checksum_offset(index))) {
            BlockCheck::Valid => {}
            BlockCheck::SingleBit(bit) => bits.push(crate::bytes::count32(index * block_size * 8) + bit),
            BlockCheck::Misplaced(_) | BlockCheck::Damaged => return None,
        }
    }
    Some(bits)
}

/// Flips one bit, counted from the start of the buffer; a bit outside is ignored.
pub fn flip(bytes: &mut [u8], bit: u32) {
    if let Some(byte) = bytes.get_mut(crate::bytes::index(bit / 8)) {
        *byte ^= 1 << (bit % 8);
    }
}

/// Gives a page its checksum, of the kind its flags ask for.
///
/// A buffer that is no whole page is left alone.
pub fn checksum_page(page: &mut [u8], number: u32) {
    let Some(size) = PageSize::new(page.len()) else {
        return;
    };
    if stored_u32(page, 36) & NEW_CHECKSUM_FLAG == 0 {
        put(page, 4, &number.to_le_bytes());
        let checksum = xor_checksum(page);
        put(page, 0, &checksum.to_le_bytes());
        return;
    }
    let block_size = size.checksum_block();
    for index in 1..size.bytes() / block_size {
        let block = &page[index * block_size..(index + 1) * block_size];
        let checksum = ecc_checksum(block, number, false);
        put(page, checksum_offset(index), &checksum.to_le_bytes());
    }
    let checksum = ecc_checksum(&page[..block_size], number, true);
    put(page, 0, &checksum.to_le_bytes());
}

/// True when every byte is zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<64>();
    words.iter().all(|chunk| *chunk == [0; 64]) && rest.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The generator of ese.md 2.4.
    fn block(length: usize, new: bool) -> Vec<u8> {
        let mut value: u64 = 1;
        let mut bytes: Vec<u8> = (0..length)
            .map(|_| {
                value = (value * 1_103_515_245 + 12_345) & 0x7FFF_FFFF;
                u8::try_from(value >> 16 & 0xFF).unwrap()
            })
            .collect();
        let flags = stored_u32(&bytes, 36) & !NEW_CHECKSUM_FLAG;
        let flags = if new { flags | NEW_CHECKSUM_FLAG } else { flags };
        put(&mut bytes, 36, &flags.to_le_bytes());
        bytes
    }

    #[test]
    fn legacy_vectors() {
        for (length, expected) in [(2048, 0x50dd_0823), (4096, 0xac68_8037), (8192, 0x79cd_7338)] {
            assert_eq!(xor_checksum(&block(length, false)), expected, "{length}");
        }
        assert_eq!(xor_checksum(&[0; 4096]), XOR_SEED);
    }

    #[test]
    fn new_vectors_of_small_pages() {
        for (length, number, expected) in [
            (2048, 1, 0x2f0a_10f5_2294_1e86),
            (2048, 0x1234, 0x2f0a_10f5_2294_0cb3),
            (4096, 1, 0x78a2_78a2_de21_9692),
            (4096, 0x1234, 0x78a2_78a2_de21_84a7),
            (8192, 1, 0x4ee3_b11c_0b84_659d),
            (8192, 0x1234, 0x4ee3_b11c_0b84_77a8),
        ] {
            let computed = ecc_checksum(&block(length, true), number, true);
            assert_eq!(computed, expected, "{length} {number}");
        }
        let mut zero = [0; 4096];
        assert_eq!(ecc_checksum(&zero, 5, true), 5);
        zero[8] = 1;
        assert_eq!(ecc_checksum(&zero, 5, true), 0x7fbf_0040_0000_0004);
        zero[8] = 0;
        zero[4095] = 0x80;
        assert_eq!(ecc_checksum(&zero, 5, true), 0x0000_7fff_8000_0005);
    }

    #[test]
    fn new_vectors_of_large_pages() {
        let cases: [(usize, [u64; 4]); 2] = [
            (
                16_384,
                [0x78a2_78a2_b2fa_361a, 0x3641_49be_d5a5_f308, 0x00fb_00fb_6002_bf2c, 0x52c3_2d3c_88b0_d3cf],
            ),
            (
                32_768,
                [0xb051_b051_8e76_3ac6, 0x5238_adc7_e8b2_6ce4, 0x66dd_66dd_ba21_b269, 0x2a6e_2a6e_fc5f_3bb8],
            ),
        ];
        for (length, expected) in cases {
            let mut page = block(length, true);
            checksum_page(&mut page, 7);
            let stored = [0, 1, 2, 3].map(|index| stored_u64(&page, checksum_offset(index)));
            assert_eq!(stored, expected, "{length}");
            assert_eq!(check_page(&page, 7), PageCheck::Valid);
            assert_eq!(check_page(&page, 9), PageCheck::Misplaced { belongs_to: 7 });
        }
    }

    #[test]
    fn old_pages_carry_their_number() {
        let mut page = block(4096, false);
        checksum_page(&mut page, 77);
        assert_eq!(check_page(&page, 77), PageCheck::Valid);
        assert_eq!(check_page(&page, 78), PageCheck::Misplaced { belongs_to: 77 });
        page[100] ^= 1;
        assert_eq!(check_page(&page, 77), PageCheck::Damaged);
    }

    #[test]
    fn each_bit_of_a_page_is_named_when_it_flips() {
        for size in [2048, 4096, 8192, 16_384, 32_768] {
            let mut page = block(size, true);
            checksum_page(&mut page, 77);
            for bit in (0..crate::bytes::count32(size * 8)).filter(|bit| *bit != FORMAT_FLAG) {
                flip(&mut page, bit);
                assert_eq!(check_page(&page, 77), of_one_flip(size, 77, bit), "{size} {bit}");
                flip(&mut page, bit);
            }
        }
    }

    #[test]
    fn a_flip_in_the_first_checksum_hides_no_other() {
        for size in [16_384, 32_768] {
            let mut page = block(size, true);
            checksum_page(&mut page, 77);
            let last = crate::bytes::count32(size * 8 - 1);
            flip(&mut page, 5);
            flip(&mut page, last);
            assert_eq!(check_page(&page, 77), PageCheck::Correctable(vec![5, last]), "{size}");
            flip(&mut page, 6);
            assert_eq!(check_page(&page, 77), PageCheck::Damaged, "{size}");
        }
    }

    /// The bit that says which checksum a page carries: flipped, it makes another page of it.
    const FORMAT_FLAG: u32 = 9 * 32 + 13;

    /// What a page of this size and number is called when this one bit flips.
    fn of_one_flip(size: usize, number: u32, bit: u32) -> PageCheck {
        if size <= 8192 && bit < 32 {
            PageCheck::Misplaced { belongs_to: number ^ (1 << bit) }
        } else {
            PageCheck::Correctable(vec![bit])
        }
    }

    proptest! {
        #[test]
        fn a_flip_in_a_page_of_any_number_is_named(
            size in prop_oneof![Just(2048usize), Just(4096), Just(8192), Just(16_384), Just(32_768)],
            number in any::<u32>(),
            position in prop_oneof![0u32..512, any::<u32>()],
        ) {
            let mut page = block(size, true);
            checksum_page(&mut page, number);
            let bit = position % u32::try_from(size * 8).unwrap();
            prop_assume!(bit != FORMAT_FLAG);
            flip(&mut page, bit);
            prop_assert_eq!(check_page(&page, number), of_one_flip(size, number, bit));
        }

        #[test]
        fn two_flips_in_a_block_are_never_valid(a in 0u32..32_768, b in 0u32..32_768) {
            prop_assume!(a != b);
            let mut page = block(4096, true);
            checksum_page(&mut page, 3);
            flip(&mut page, a);
            flip(&mut page, b);
            prop_assert_ne!(check_page(&page, 3), PageCheck::Valid);
        }

        #[test]
        fn any_bytes_are_judged_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
            let _ = check_page(&bytes, 1);
            let _ = ecc_checksum(&bytes, 1, false);
        }
    }
}
