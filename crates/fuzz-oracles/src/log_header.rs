//! The header of a store's log: `edbXXXXX.log`, its first 512 bytes (docs/store-format.md).

use std::path::Path;

use certadm_store::log_file::{HEADER_LEN, LogHeader};

use crate::checksummed::{with_checksum, with_flipped_bit};

const MAGIC: [u8; 8] = *b"CADMLOG\x01";

pub(crate) fn run(data: &[u8]) {
    check(data);
    let whole = with_checksum(data, MAGIC, HEADER_LEN);
    check(&whole);
    assert!(decode(&with_flipped_bit(&whole, data)).is_none(), "a flipped bit went unnoticed");
}

fn decode(bytes: &[u8]) -> Option<LogHeader> {
    LogHeader::decode(bytes, Path::new("edb00001.log")).ok()
}

fn check(bytes: &[u8]) {
    let Some(header) = decode(bytes) else {
        return;
    };
    // The fields stand where the format says; read here a second time, by other code.
    let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let pages = match u32_at(8) {
        1 => u64::from(header.page_count) * u64::from(header.page_size),
        2 => u64::from_le_bytes(bytes[164..172].try_into().expect("eight bytes")),
        other => panic!("version {other}"),
    };
    assert_eq!(header.is_packed(), u32_at(8) == 2);
    assert_eq!(header.file_len(), (512 + 4 * u64::from(header.page_count)).saturating_add(pages));
    assert_eq!(header.generation.number(), u32_at(12));
    assert_eq!(header.database.0, bytes[16..32]);
    assert_eq!(header.stream.0, bytes[32..48]);
    assert_eq!([header.page_size, header.page_count, header.database_pages], [48, 52, 56].map(u32_at));
    assert_eq!(header.own.created.0.to_le_bytes(), bytes[64..72]);
    assert_eq!(header.own.content, bytes[72..104]);
    assert_eq!(header.previous.created.0.to_le_bytes(), bytes[104..112]);
    assert_eq!(header.previous.content, bytes[112..144]);

    assert!(header.page_size.is_power_of_two() && (512..=65536).contains(&header.page_size));
    assert!(HEADER_LEN as u64 + u64::from(header.page_count) <= header.file_len());
    // What stands behind the header does not change it.
    assert_eq!(decode(&bytes[..HEADER_LEN]), Some(header));
}
