//! A log of the Windows engine in either framing, its checksums right: header, segments or checksum records, the records in
//! them (ese.md 7, 8).

use certadm_ese::checksum::{ecc_checksum, xor_words};
use certadm_ese::log::{LogEnd, LogFile, Record, record_length};
use certadm_ese::recovery::{LogInput, Plan};

use crate::ese_base::{apply_patches, checksum_legacy};

const HEADER: usize = 4096;
const SEGMENT: usize = 4096;
const SEGMENT_HEADER: usize = 40;
const GENERATION: u32 = 5;
/// Bytes of a checksum record of the older framing.
const CHECKSUM_RECORD: usize = 22;

/// The first byte chooses the framing, the second says how many bytes of patches to the header follow
/// ([`apply_patches`]); the rest is records.
pub(crate) fn run(data: &[u8]) {
    let Some((&[framing, patches], content)) = data.split_first_chunk::<2>() else {
        return;
    };
    let (patches, content) = content.split_at(usize::from(patches).min(content.len()));
    let mut bytes = match framing % 4 {
        0 => segments(content),
        1 => stream(content, 512),
        2 => stream(content, 4096),
        // As it comes: the checksums of the framing are what they are.
        _ => [header(8, 4096, 1 + content.len().div_ceil(SEGMENT)), content.to_vec()].concat(),
    };
    apply_patches(&mut bytes[..HEADER], patches);
    checksum_legacy(&mut bytes[..HEADER]);
    let Ok(log) = LogFile::open(&bytes) else {
        return;
    };
    check(&log, bytes.len(), framing % 4 < 3 && patches.is_empty());
    let Ok(plan) = Plan::new(None, &[LogInput { name: "edb00005.log", file: &bytes }]) else {
        panic!("memory has no input errors");
    };
    assert!(plan.inspect_logs(&mut |_| {}).is_ok(), "what is damaged in a log is a finding");
}

fn check(log: &LogFile, bytes: usize, is_whole: bool) {
    if is_whole {
        assert!(matches!(log.end(), LogEnd::Reached | LogEnd::Full), "{:?}", log.end());
    }
    let mut last = None;
    let mut taken = 0;
    for record in log.records() {
        let Ok(record) = record else {
            break;
        };
        assert!(last < Some(record.position), "records go backwards");
        last = Some(record.position);
        taken += record.bytes.len();
        assert_eq!(record_length(&record.bytes).ok().flatten(), Some(record.bytes.len()));
        let _ = format!("{:?}", Record::parse(&record.bytes));
    }
    assert!(taken <= bytes, "more came out of the log than is in it");
}

fn header(version: u32, sector: u16, sectors: usize) -> Vec<u8> {
    let mut out = vec![0; HEADER];
    let sectors = u16::try_from(sectors).unwrap_or(u16::MAX);
    let header_sectors = u16::try_from(HEADER).unwrap_or(u16::MAX) / sector;
    for (at, number) in [(8, sector), (10, header_sectors), (12, sectors), (14, 4096)] {
        out[at..at + 2].copy_from_slice(&number.to_le_bytes());
    }
    for (at, number) in [(4, GENERATION), (16, 1), (32, version), (667, 3)] {
        out[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    out[44..72].fill(7);
    out
}

/// The newer framing: records in segments, the rest of the last one zero.
fn segments(content: &[u8]) -> Vec<u8> {
    let filled: Vec<&[u8]> = content.chunks(SEGMENT - SEGMENT_HEADER).collect();
    let mut out = header(8, 4096, filled.len() + 2);
    for (number, records) in (1u16..).zip(filled) {
        let mut segment = vec![0; SEGMENT];
        segment[10..12].copy_from_slice(&number.to_le_bytes());
        segment[12..16].copy_from_slice(&GENERATION.to_le_bytes());
        segment[36..40].copy_from_slice(&0x2000_u32.to_le_bytes());
        segment[SEGMENT_HEADER..SEGMENT_HEADER + records.len()].copy_from_slice(records);
        let checksum = ecc_checksum(&segment, u32::from(number), true);
        segment[..8].copy_from_slice(&checksum.to_le_bytes());
        out.extend(segment);
    }
    out.resize(out.len() + SEGMENT, 0);
    out
}

/// The older framing: one checksum record over everything behind it.
fn stream(content: &[u8], sector: u16) -> Vec<u8> {
    let forwards = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let no_short_checksum = 0xD1_u8;
    let checksum = 0xFEED_BEAF ^ xor_words(content) ^ forwards ^ u32::from(no_short_checksum) ^ GENERATION;
    let mut record = vec![42];
    for number in [0, forwards, 0, checksum, 0] {
        record.extend(number.to_le_bytes());
    }
    record.push(no_short_checksum);
    let sector_bytes = usize::from(sector);
    let sectors = (HEADER + CHECKSUM_RECORD + content.len()).div_ceil(sector_bytes) + 1;
    let mut out = [header(7, sector, sectors), record, content.to_vec()].concat();
    out.resize(sectors * sector_bytes, 0xDA);
    out
}
