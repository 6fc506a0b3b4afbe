//! Both framings of logs, written and read back, torn and damaged.

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
