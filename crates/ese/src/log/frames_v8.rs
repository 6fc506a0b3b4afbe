//! Version 8: segments of 4096 bytes, each with its own checksum and position (ese.md 8.2).

use crate::bytes::Fields;
use crate::checksum::{ecc_checksum, is_zero};
use crate::lgpos::Lgpos;
use crate::log::frames::{Frames, LogEnd, Piece};
use crate::log::header::LogHeader;

const SEGMENT: usize = 4096;
const SEGMENT_HEADER: usize = 40;

enum Verdict {
    Valid(u64),
    /// A leftover of a recycled file, the shadow of the segment before, or nothing at all.
    End,
    Corrupt,
}

/// Walks the segments and finds how far they can be trusted.
pub(super) fn walk(header: &LogHeader, bytes: &[u8]) -> Frames {
    // The last slot of the file is never used for records.
    let last = header.file_sectors.saturating_sub(2);
    let mut pieces = Vec::new();
    let mut accumulated_xor = 0;
    let mut end = LogEnd::Full;
    for number in 1..=last {
        match judge(header, bytes, number, number) {
            Verdict::Valid(checksum) => {
                accumulated_xor ^= checksum;
                pieces.push(piece(number, number));
            }
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
                if let Verdict::Valid(checksum) = judge(header, bytes, number, number + 1) {
                    accumulated_xor ^= checksum;
                    pieces.push(piece(number, number + 1));
                    end = LogEnd::Torn("the last segment was torn; its shadow copy was used");
                }
                break;
            }
        }
    }
    Frames { pieces, end, accumulated_xor, fragments: true }
}

fn piece(number: u16, slot: u16) -> Piece {
    let slot = usize::from(slot) * SEGMENT;
    Piece {
        start: slot + SEGMENT_HEADER,
        end: slot + SEGMENT,
        position: usize::from(number) * SEGMENT + SEGMENT_HEADER,
    }
}

/// Judges slot `slot` as if it held segment `number`.
fn judge(header: &LogHeader, bytes: &[u8], number: u16, slot: u16) -> Verdict {
    let start = usize::from(slot) * SEGMENT;
    let Some(segment) = bytes.get(start..start + SEGMENT) else {
        return Verdict::Corrupt;
    };
    let fields = Fields::new(segment, "a log segment");
    let (Ok(stored), Ok(position)) = (fields.u64(0), fields.position(8)) else {
        return Verdict::Corrupt;
    };
    let expected = Lgpos { generation: header.generation, segment: number, offset: 0 };
    if stored == ecc_checksum(segment, u32::from(number), true) {
        return match position.cmp(&expected) {
            core::cmp::Ordering::Equal => Verdict::Valid(stored),
            core::cmp::Ordering::Less if !is_zero(segment) => Verdict::End,
            _ => Verdict::Corrupt,
        };
    }
    if is_zero(segment) {
        return Verdict::End;
    }
    let shadow_of_previous = stored == ecc_checksum(segment, u32::from(number) - 1, true);
    if number == slot && shadow_of_previous { Verdict::End } else { Verdict::Corrupt }
}

/// After the end of a log no valid segment may follow.
fn later_segment_is_valid(header: &LogHeader, bytes: &[u8], end: u16, last: u16) -> bool {
    (end + 1..=last).any(|number| matches!(judge(header, bytes, number, number), Verdict::Valid(_)))
}
