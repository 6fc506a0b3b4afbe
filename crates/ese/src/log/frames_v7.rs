//! Version 7: one contiguous record stream, guarded by checksum records (ese.md 2.3, 8.3).

use crate::bytes::{Fields, index};
use crate::checksum::xor_words;
use crate::log::frames::{Frames, LogEnd, Piece};
use crate::log::header::{LOG_HEADER, LogHeader};
use crate::log::kind::RecordKind;

const CHECKSUM_RECORD: usize = 22;
const SEED: u32 = 0xFEED_BEAF;
const SHADOW: u32 = 0x5AD0_5EC7;

/// The mark of a checksum record without a short checksum.
const NO_SHORT_CHECKSUM: u8 = 0xD1;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Right,
    Shadow,
    Wrong,
}

/// A checksum record as it stands in the file.
#[derive(Clone, Copy)]
struct ChecksumRecord {
    verdict: Verdict,
    backwards: usize,
    forwards: usize,
    next: usize,
    is_short: bool,
}

/// Walks the checksum records and finds how far the stream can be trusted. A last sector that was torn is put right in
/// `bytes` from its shadow.
pub(super) fn walk(header: &LogHeader, bytes: &mut [u8]) -> Frames {
    let sector = usize::from(header.sector_size);
    let mut at = LOG_HEADER;
    let mut trusted = LOG_HEADER;
    let mut previous = None;
    let end = loop {
        let found = judge(header, bytes, at);
        let Some(ChecksumRecord { verdict: Verdict::Right, forwards, next, .. }) = found else {
            if let Some(shadow) = shadow(header, bytes, at + sector) {
                let start = at - at % sector;
                bytes.copy_within(start + sector..start + 2 * sector, start);
                trusted = at + CHECKSUM_RECORD + shadow.forwards;
                break LogEnd::Torn("the last sector was torn; its shadow copy was used");
            }
            // The sector was about to be written for the first time: it still is the shadow of the one before.
            let unwritten = |previous: usize| {
                (previous + sector) / sector == at / sector
                    && shadow(header, bytes, previous + sector).is_some()
            };
            break match found.map(|found| found.verdict) {
                Some(Verdict::Shadow) => LogEnd::Torn("the last write left only its shadow copy"),
                _ if previous.is_some_and(unwritten) => LogEnd::Torn(
                    "the last write did not reach this sector, which is the shadow of the one before",
                ),
                Some(_) => LogEnd::Damaged("the checksum of a range is wrong"),
                None => LogEnd::Damaged("a checksum record is missing where the one before it points"),
            };
        };
        trusted = at + CHECKSUM_RECORD + forwards;
        if next == 0 {
            break LogEnd::Reached;
        }
        // The range of this record ends at the next one at the latest.
        trusted = trusted.min(at + CHECKSUM_RECORD + next);
        previous = Some(at);
        at += CHECKSUM_RECORD + next;
    };
    let pieces = if trusted <= bytes.len() && LOG_HEADER < trusted {
        vec![Piece { start: LOG_HEADER, end: trusted, position: LOG_HEADER }]
    } else {
        Vec::new()
    };
    Frames { pieces, end, accumulated_xor: 0, fragments: false, corrected: Vec::new() }
}

/// The checksum record at `at`, where its sector is the shadow of the one before it: the copy that the engine writes of its
/// last sector before it writes that sector again. It is the last record, and its range lies in this sector.
fn shadow(header: &LogHeader, bytes: &[u8], at: usize) -> Option<ChecksumRecord> {
    let sector = usize::from(header.sector_size);
    let start = at - at % sector;
    bytes.get(start..start + sector)?;
    let record = judge(header, bytes, at)?;
    let is_shadow = record.verdict == Verdict::Shadow
        && record.next == 0
        && !record.is_short
        && (record.backwards == 0 || record.backwards == at % sector)
        && at + CHECKSUM_RECORD + record.forwards <= start + sector;
    is_shadow.then_some(record)
}

/// Judges the checksum record at `at`.
fn judge(header: &LogHeader, bytes: &[u8], at: usize) -> Option<ChecksumRecord> {
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
    Some(ChecksumRecord {
        verdict,
        backwards: index(backwards),
        forwards: index(forwards),
        next: index(next),
        is_short: short != NO_SHORT_CHECKSUM,
    })
}
