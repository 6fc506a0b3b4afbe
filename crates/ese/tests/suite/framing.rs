//! Both framings of logs, written and read back, torn and damaged.

use certadm_ese::checksum::xor_words;
use certadm_ese::finding::{Kind, Severity};
use certadm_ese::lgpos::Lgpos;
use certadm_ese::log::{LogEnd, LogFile};
use proptest::prelude::*;

fn read_back(log: &LogFile) -> Vec<Vec<u8>> {
    log.records().map(|record| record.unwrap().bytes.into_owned()).collect()
}

proptest! {
    #[test]
    fn both_framings_give_back_what_was_written(
        lengths in proptest::collection::vec(prop_oneof![5usize..60, 3000usize..12_000], 1..20),
        sector in prop_oneof![Just(512u16), Just(1024), Just(4096)],
        generation in 1u32..0x0010_0000,
    ) {
        let records: Vec<_> = lengths.iter().map(|length| crate::writer::filler(*length)).collect();
        let bytes = crate::writer::log_v8(generation, 70, &records);
        let log = LogFile::open(&bytes).unwrap();
        prop_assert_eq!(log.end(), LogEnd::Reached);
        prop_assert_eq!(&read_back(&log), &records);

        let bytes = crate::writer::log_v7(generation, sector, &records);
        let log = LogFile::open(&bytes).unwrap();
        prop_assert_eq!(log.end(), LogEnd::Reached);
        prop_assert_eq!(&read_back(&log), &records);
        let first = log.records().next().unwrap().unwrap().position;
        prop_assert_eq!(first, Lgpos { generation, segment: 4096 / sector, offset: 22 });
    }

    #[test]
    fn flipped_or_cut_logs_never_give_a_false_record(
        lengths in proptest::collection::vec(5usize..6000, 1..8),
        at in 0usize..40_000,
        bit in 0u8..8,
        cut in any::<bool>(),
        old in any::<bool>(),
    ) {
        let records: Vec<_> = lengths.iter().map(|length| crate::writer::filler(*length)).collect();
        let mut bytes = if old {
            crate::writer::log_v7(1, 512, &records)
        } else {
            crate::writer::log_v8(1, 20, &records)
        };
        let at = at % bytes.len();
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << bit;
        }
        if let Ok(log) = LogFile::open(&bytes) {
            for (record, expected) in log.records().flatten().zip(&records) {
                prop_assert_eq!(&record.bytes[..], &expected[..]);
            }
        }
    }
}

#[test]
fn a_torn_segment_is_read_from_its_shadow() {
    let records: Vec<_> = (0..6).map(|_| crate::writer::filler(1500)).collect();
    let mut bytes = crate::writer::log_v8(5, 10, &records);
    let used = (1..10).take_while(|slot| bytes[slot * 4096..][..4096].iter().any(|b| *b != 0)).count();
    // The shadow is a copy behind the segment, with its own position and checksum.
    let last = used * 4096;
    let shadow = bytes[last..last + 4096].to_vec();
    bytes[last + 4096..last + 8192].copy_from_slice(&shadow);
    let log = LogFile::open(&bytes).unwrap();
    assert_eq!(log.end(), LogEnd::Reached, "a shadow behind a whole segment is its end");
    assert_eq!(read_back(&log), records);

    bytes[last + 100] ^= 0x15;
    bytes[last + 201] ^= 0x37;
    let log = LogFile::open(&bytes).unwrap();
    assert!(matches!(log.end(), LogEnd::Torn(_)));
    assert_eq!(read_back(&log), records);

    // The same without a shadow, and with whole segments behind the damage.
    bytes[last + 4096..last + 8192].fill(0);
    assert!(matches!(LogFile::open(&bytes).unwrap().end(), LogEnd::Damaged(_)));
    let mut gap = crate::writer::log_v8(5, 10, &records);
    gap[4096..8192].fill(0);
    assert!(matches!(LogFile::open(&gap).unwrap().end(), LogEnd::Damaged(_)));
}

#[test]
fn a_torn_end_of_the_old_framing_is_told_from_damage() {
    let records: Vec<_> = (0..7).map(|_| crate::writer::filler(100)).collect();
    let bytes = crate::writer::log_v7(5, 512, &records);
    let place = (4096..bytes.len()).rev().find(|at| bytes[*at] == 42 && bytes[at + 21] == 0xD1).unwrap();
    let checksum = u32::from_le_bytes(bytes[place + 13..place + 17].try_into().unwrap());
    let mut torn = bytes.clone();
    torn[place + 13..place + 17].copy_from_slice(&(checksum ^ 0x5AD0_5EC7).to_le_bytes());
    let log = LogFile::open(&torn).unwrap();
    assert!(matches!(log.end(), LogEnd::Torn(_)));
    assert_eq!(read_back(&log), records[..6]);
}

/// One bit, wherever it lies: the same records, and one warning. Only the bit that says which checksum a block has is not
/// corrected.
#[test]
fn a_flipped_bit_of_a_segment_is_corrected() {
    let records: Vec<_> = (0..6).map(|_| crate::writer::filler(1500)).collect();
    let mut bytes = crate::writer::log_v8(5, 10, &records);
    let whole = LogFile::open(&bytes).unwrap();
    let (end, xor) = (whole.end(), whole.segments_xor());
    let flag = 36 * 8 + 13;
    let bits = (0..40 * 8).chain((40 * 8..4096 * 8).step_by(509)).filter(|bit| *bit != flag);
    for (number, bit) in bits.flat_map(|bit| [(1, bit), (2, bit)]) {
        let at = number * 4096 + bit / 8;
        bytes[at] ^= 1 << (bit % 8);
        let log = LogFile::open(&bytes).unwrap();
        assert_eq!(read_back(&log), records, "bit {bit} of segment {number}");
        assert_eq!((log.end(), log.segments_xor()), (end, xor), "bit {bit} of segment {number}");
        let findings = log.judge();
        let [finding] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!((finding.kind, finding.severity), (Kind::FlippedBit, Severity::Warning));
        bytes[at] ^= 1 << (bit % 8);
    }
    // Two bits are damage, and so is one in the shadow's place only where the log would go on.
    bytes[4096 + 100] ^= 3;
    assert!(matches!(LogFile::open(&bytes).unwrap().end(), LogEnd::Damaged(_)));
}

#[test]
fn a_flipped_bit_of_a_shadow_does_not_hide_the_end() {
    let records: Vec<_> = (0..6).map(|_| crate::writer::filler(1500)).collect();
    let whole = crate::writer::log_v8(5, 10, &records);
    let used = (1..10).take_while(|slot| whole[slot * 4096..][..4096].iter().any(|b| *b != 0)).count();
    let last = used * 4096;
    for bit in [7, 40, 80, 300, 20_000] {
        let mut bytes = whole.clone();
        bytes.copy_within(last..last + 4096, last + 4096);
        bytes[last + 4096 + bit / 8] ^= 1 << (bit % 8);
        assert_eq!(LogFile::open(&bytes).unwrap().end(), LogEnd::Reached, "bit {bit}");
        // A torn segment is read from it.
        bytes[last + 100] ^= 0x15;
        bytes[last + 201] ^= 0x37;
        let log = LogFile::open(&bytes).unwrap();
        assert!(matches!(log.end(), LogEnd::Torn(_)), "bit {bit}");
        assert_eq!(read_back(&log), records, "bit {bit}");
    }
}

/// After a crash, undo information may come first, and it may be longer than a segment.
#[test]
fn undo_information_in_fragments_may_follow_an_unfinished_record() {
    let before = crate::writer::filler(50);
    let undo_info =
        [vec![36], vec![0; 43], vec![4, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0x88, 0x13], vec![5; 5004]].concat();
    let unfinished = [&[76][..], &5000u32.to_le_bytes(), &3900u16.to_le_bytes(), &[0; 3900]].concat();
    let log = |first: &[u8], rest: &[u8]| {
        let mut bytes = crate::writer::header(5, 8, 4096, 6);
        let total = u32::try_from(first.len() + rest.len()).unwrap().to_le_bytes();
        let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_le_bytes();
        let parts = [
            [&before[..], &unfinished[..]].concat(),
            [&[76][..], &total, &length(first), first].concat(),
            [&[77][..], &length(rest), rest].concat(),
        ];
        for (number, part) in (1..).zip(parts) {
            bytes.extend(crate::writer::segment(5, number, &part));
        }
        bytes.resize(6 * 4096, 0);
        bytes
    };
    let (first, rest) = undo_info.split_at(4000);
    let bytes = log(first, rest);
    assert_eq!(read_back(&LogFile::open(&bytes).unwrap()), [before.clone(), undo_info.clone()]);
    // Any other record there is damage.
    let other = crate::writer::filler(5060);
    let (first, rest) = other.split_at(4000);
    let bytes = log(first, rest);
    let results: Vec<_> = LogFile::open(&bytes).unwrap().records().map(|record| record.is_ok()).collect();
    assert_eq!(results, [true, false]);
}

const SECTOR: usize = 512;
const SHADOW: u32 = 0x5AD0_5EC7;

/// Writes the checksum record at `at`, for these ranges and what already stands there.
fn seal(bytes: &mut [u8], at: usize, [backwards, forwards, next]: [usize; 3], shadow: u32) {
    let mut record = vec![42];
    for number in [backwards, forwards, next, 0, 0] {
        record.extend(u32::try_from(number).unwrap().to_le_bytes());
    }
    record.push(0xD1);
    bytes[at..at + 22].copy_from_slice(&record);
    let numbers = [backwards, forwards, next].map(|number| u32::try_from(number).unwrap());
    let sum = 0xFEED_BEAF
        ^ xor_words(&bytes[at - backwards..at])
        ^ xor_words(&bytes[at + 22..at + 22 + forwards])
        ^ numbers.iter().fold(0, |sum, number| sum ^ number)
        ^ 0xD1
        ^ 5
        ^ shadow;
    bytes[at + 13..at + 17].copy_from_slice(&sum.to_le_bytes());
}

/// A log of two sectors: the second record begins in the first one and ends in the second one, before the third record.
/// Behind them is the shadow of the second one.
fn two_sectors() -> (Vec<u8>, Vec<Vec<u8>>) {
    let records = vec![crate::writer::filler(300), crate::writer::filler(300), crate::writer::filler(100)];
    let mut bytes = crate::writer::header(5, 7, 512, 12);
    bytes.resize(12 * SECTOR, 0xDA);
    bytes[4118..4418].copy_from_slice(&records[0]);
    bytes[4418..4718].copy_from_slice(&records[1]);
    bytes[4740..4840].copy_from_slice(&records[2]);
    bytes.copy_within(4608..4608 + SECTOR, 4608 + SECTOR);
    seal(&mut bytes, 4718 + SECTOR, [110, 100, 0], SHADOW);
    seal(&mut bytes, 4718, [110, 100, 0], 0);
    seal(&mut bytes, 4096, [0, 490, 600], 0);
    (bytes, records)
}

#[test]
fn a_torn_last_sector_of_the_old_framing_is_read_from_its_shadow() {
    let (whole, records) = two_sectors();
    let log = LogFile::open(&whole).unwrap();
    assert_eq!(log.end(), LogEnd::Reached);
    assert_eq!(read_back(&log), records);
    let end = log.end_position();
    for kept in [0, 60, 110, 115, 140, 200] {
        let mut torn = whole.clone();
        torn[4608 + kept..4608 + SECTOR].fill(0);
        let log = LogFile::open(&torn).unwrap();
        assert!(matches!(log.end(), LogEnd::Torn(_)), "{kept} bytes kept: {:?}", log.end());
        assert_eq!(read_back(&log), records, "{kept} bytes kept");
        assert_eq!(log.end_position(), end);
        // Without the shadow it is damage. The record that reaches into it is no further one.
        torn[4608 + SECTOR..].fill(0xDA);
        let log = LogFile::open(&torn).unwrap();
        assert!(matches!(log.end(), LogEnd::Damaged(_)), "{kept} bytes kept: {:?}", log.end());
        assert_eq!(read_back(&log), records[..1], "{kept} bytes kept");
    }
    // The shadow of another generation, or one that is damaged, is none.
    for at in [4608 + SECTOR + 50, 4740 + SECTOR + 10] {
        let mut torn = whole.clone();
        torn[4608..4608 + SECTOR].fill(0);
        torn[at] ^= 1;
        assert!(matches!(LogFile::open(&torn).unwrap().end(), LogEnd::Damaged(_)));
    }
}

/// The first sector was written again and names the next one, which was not reached: it is the shadow of the first.
#[test]
fn a_sector_that_is_still_a_shadow_ends_the_log_there() {
    let (mut bytes, records) = two_sectors();
    bytes[4608 + SECTOR..].fill(0xDA);
    bytes.copy_within(4096..4608, 4608);
    seal(&mut bytes, 4608, [0, 300, 0], SHADOW);
    let log = LogFile::open(&bytes).unwrap();
    assert!(matches!(log.end(), LogEnd::Torn(_)), "{:?}", log.end());
    assert_eq!(read_back(&log), records[..1]);
}
