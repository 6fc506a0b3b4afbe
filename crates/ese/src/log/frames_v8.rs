//! Version 8: segments of 4096 bytes, each with its own checksum and position (ese.md 8.2).

use crate::bytes::Fields;
use crate::checksum::{BlockCheck, check_block, flip, is_zero};
use crate::lgpos::Lgpos;
use crate::log::frames::{Frames, LogEnd, Piece};
use crate::log::header::LogHeader;

const SEGMENT: usize = 4096;
const SEGMENT_HEADER: usize = 40;

enum Verdict {
    /// Its checksum, and the bit that has to be flipped to make the segment right.
    Valid(u64, Option<u32>),
    /// A leftover of a recycled file, the shadow of the segment before, or nothing at all.
    End,
    Corrupt,
}

/// Walks the segments and finds how far they can be trusted. One flipped bit in a segment is corrected in `bytes`.
pub(super) fn walk(header: &LogHeader, bytes: &mut [u8]) -> Frames {
    // The last slot of the file is never used for records.
    let last = header.file_sectors.saturating_sub(2);
    let (mut pieces, mut corrected) = (Vec::new(), Vec::new());
    let mut accumulated_xor = 0;
    let mut end = LogEnd::Full;
    let mut take = |bytes: &mut [u8], number, slot, checksum, flipped: Option<u32>| {
        accumulated_xor ^= checksum;
        let start = usize::from(slot) * SEGMENT;
        if let Some(bit) = flipped {
            flip(&mut bytes[start..], bit);
            corrected.push((start, bit));
        }
        pieces.push(Piece {
            start: start + SEGMENT_HEADER,
            end: start + SEGMENT,
            position: usize::from(number) * SEGMENT + SEGMENT_HEADER,
        });
    };
    for number in 1..=last {
        match judge(header, bytes, number, number) {
            Verdict::Valid(checksum, flipped) => take(bytes, number, number, checksum, flipped),
            Verdict::End => {
                end = LogEnd::Reached;
                if later_segment_is_valid(header, bytes, number, last) {
                    end = LogEnd::Damaged("segments are missing in the middle");
                }
                break;
            }
            Verdict::Corrupt => {
                end = LogEnd::Damaged("the checksum of a segment is wrong");
                // A write that was cut short leaves its shadow copy behind it.
                if let Verdict::Valid(checksum, flipped) = judge(header, bytes, number, number + 1) {
                    take(bytes, number, number + 1, checksum, flipped);
                    end = LogEnd::Torn("the last segment was torn; its shadow copy was used");
                }
                break;
            }
        }
    }
    Frames { pieces, end, accumulated_xor, fragments: true, corrected }
}

/// Judges slot `slot` as if it held segment `number`.
fn judge(header: &LogHeader, bytes: &[u8], number: u16, slot: u16) -> Verdict {
    let start = usize::from(slot) * SEGMENT;
    let Some(segment) = bytes.get(start..start + SEGMENT) else {
        return Verdict::Corrupt;
    };
    let expected = Lgpos { generation: header.generation, segment: number, offset: 0 };
    if let Some((stored, position, flipped)) = right_for(segment, number, expected) {
        return match position.cmp(&expected) {
            core::cmp::Ordering::Equal => Verdict::Valid(stored, flipped),
            core::cmp::Ordering::Less if !is_zero(segment) => Verdict::End,
            _ => Verdict::Corrupt,
        };
    }
    if is_zero(segment) {
        return Verdict::End;
    }
    let previous = Lgpos { segment: number - 1, ..expected };
    let shadow_of_previous = right_for(segment, number - 1, previous).is_some();
    if number == slot && shadow_of_previous { Verdict::End } else { Verdict::Corrupt }
}

/// The checksum and the position of a segment that is right for this number, if need be with one bit flipped.
fn right_for(segment: &[u8], number: u16, expected: Lgpos) -> Option<(u64, Lgpos, Option<u32>)> {
    let fields = Fields::new(segment, "a log segment");
    let (stored, position) = (fields.u64(0).ok()?, fields.position(8).ok()?);
    let bit = match check_block(segment, u32::from(number), true, stored) {
        BlockCheck::Valid => return Some((stored, position, None)),
        BlockCheck::SingleBit(bit) => bit,
        // A flipped bit of the checksum looks like another number. The position knows better.
        BlockCheck::Misplaced(other)
            if position == expected && (other ^ u32::from(number)).is_power_of_two() =>
        {
            (other ^ u32::from(number)).trailing_zeros()
        }
        BlockCheck::Misplaced(_) | BlockCheck::Damaged => return None,
    };
    let mut head = [0; SEGMENT_HEADER];
    head.copy_from_slice(segment.get(..SEGMENT_HEADER)?);
    flip(&mut head, bit);
    let fields = Fields::new(&head, "a log segment");
    Some((fields.u64(0).ok()?, fields.position(8).ok()?, Some(bit)))
}

/// After the end of a log no valid segment may follow.
fn later_segment_is_valid(header: &LogHeader, bytes: &[u8], end: u16, last: u16) -> bool {
    (end + 1..=last).any(|number| matches!(judge(header, bytes, number, number), Verdict::Valid(..)))
}
