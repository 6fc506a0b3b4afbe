//! Version 7: one contiguous record stream, guarded by checksum records (ese.md 2.3, 8.3).

use crate::bytes::{Fields, index};
use crate::checksum::xor_words;
use crate::log::frames::{Frames, LogEnd, Piece};
use crate::log::header::{LOG_HEADER, LogHeader};
use crate::log::kind::RecordKind;

const CHECKSUM_RECORD: usize = 22;
const SEED: u32 = 0xFEED_BEAF;
const SHADOW: u32 = 0x5AD0_5EC7;

enum Verdict {
    Right,
    Shadow,
    Wrong,
}

/// Walks the checksum records and finds how far the stream can be trusted.
pub(super) fn walk(header: &LogHeader, bytes: &[u8]) -> Frames {
    let mut at = LOG_HEADER;
    let mut trusted = LOG_HEADER;
    let end = loop {
        let Some((verdict, forwards, next)) = judge(header, bytes, at) else {
            break LogEnd::Damaged("a checksum record is missing where the one before it points");
        };
        match verdict {
            Verdict::Right => {}
            Verdict::Shadow => break LogEnd::Torn("the last write left only its shadow copy"),
            Verdict::Wrong => break LogEnd::Damaged("the checksum of a range is wrong"),
        }
        trusted = at + CHECKSUM_RECORD + forwards;
        if next == 0 {
            break LogEnd::Reached;
        }
        // The range of this record ends at the next one at the latest.
        trusted = trusted.min(at + CHECKSUM_RECORD + next);
        at += CHECKSUM_RECORD + next;
    };
    let pieces = if trusted <= bytes.len() && LOG_HEADER < trusted {
        vec![Piece { start: LOG_HEADER, end: trusted, position: LOG_HEADER }]
    } else {
        Vec::new()
    };
    Frames { pieces, end, accumulated_xor: 0, fragments: false }
}

/// Judges the checksum record at `at`: verdict, forward range, distance to the next record.
fn judge(header: &LogHeader, bytes: &[u8], at: usize) -> Option<(Verdict, usize, usize)> {
    let fields = Fields::new(bytes.get(at..)?, "a checksum record");
    if fields.u8(0).ok()? != RecordKind::Checksum as u8 {
        return None;
    }
    let (backwards, forwards) = (fields.u32(1).ok()?, fields.u32(5).ok()?);
    let next = fields.u32(9).ok()?;
    let stored = fields.u32(13).ok()?;
    let short = fields.u8(21).ok()?;
    let after = at + CHECKSUM_RECORD;
    let before = bytes.get(at.checked_sub(index(backwards))?..at)?;
    let forward_range = bytes.get(after..after.checked_add(index(forwards))?)?;
    after.checked_add(index(next))?;
    let computed = SEED
        ^ xor_words(before)
        ^ xor_words(forward_range)
        ^ backwards
        ^ forwards
        ^ next
        ^ u32::from(short)
        ^ header.generation;
    let verdict = match stored ^ computed {
        0 => Verdict::Right,
        SHADOW => Verdict::Shadow,
        _ => Verdict::Wrong,
    };
    Some((verdict, index(forwards), index(next)))
}
