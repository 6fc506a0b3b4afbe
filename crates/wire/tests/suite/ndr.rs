//! NDR 2.0 rules (wire.md 3.1): alignment, pointers, arrays, strings, both byte orders, hostile lengths.

use certadm_wire::ndr::{ByteOrder, Guid, NdrError, Reader, Writer};
use proptest::prelude::*;

fn little(bytes: &[u8]) -> Reader<'_> {
    Reader::new(bytes, ByteOrder::Little)
}

#[test]
fn values_are_aligned_from_the_beginning_and_gaps_are_zero() {
    let mut writer = Writer::new();
    writer.u8(1).u16(2).u8(3).u32(4).u64(5);
    let bytes = writer.into_bytes();
    assert_eq!(bytes, [1, 0, 2, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
    let mut reader = little(&bytes);
    assert_eq!((reader.u8(), reader.u16(), reader.u8()), (Ok(1), Ok(2), Ok(3)));
    assert_eq!((reader.u32(), reader.u64()), (Ok(4), Ok(5)));
    assert!(reader.remaining().is_empty());
}

#[test]
fn gaps_may_hold_anything() {
    let mut reader = little(&[1, 0xbf, 0xbf, 0xbf, 7, 0, 0, 0]);
    assert_eq!((reader.u8(), reader.u32()), (Ok(1), Ok(7)));
}

#[test]
fn big_endian_is_read() {
    let bytes = [
        0x12, 0x34, 0, 0, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0, 0, 0x80, 0x10, 0, // u16, u32, hyper
        0xd9, 0x9e, 0x6e, 0x71, 0xfc, 0x88, 0x11, 0xd0, 0xb4, 0x98, 0, 0xa0, 0xc9, 3, 0x12,
        0xf3, // GUID
        0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0x41, 0, 0, // "A"
    ];
    let mut reader = Reader::new(&bytes, ByteOrder::Big);
    assert_eq!((reader.u16(), reader.u32(), reader.u64()), (Ok(0x1234), Ok(0x1234_5678), Ok(0x0080_1000)));
    assert_eq!(reader.guid().unwrap().to_string(), "d99e6e71-fc88-11d0-b498-00a0c90312f3");
    assert_eq!(reader.wide_string(10).as_deref(), Ok("A"));
}

#[test]
fn pointers_count_up_from_0x20000() {
    let mut writer = Writer::new();
    writer.unique(Some("A"), |writer, text| {
        writer.wide_string(text);
    });
    writer.unique(None::<&str>, |writer, text| {
        writer.wide_string(text);
    });
    writer.referent();
    let bytes = writer.into_bytes();
    assert_eq!(
        bytes,
        [
            0, 0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0x41, 0, 0, 0, // "A" NUL
            0, 0, 0, 0, 4, 0, 2, 0
        ]
    );
    let mut reader = little(&bytes);
    assert_eq!(reader.unique(|reader| reader.wide_string(1)), Ok(Some("A".to_owned())));
    assert_eq!(reader.unique(|reader| reader.wide_string(1)), Ok(None));
    assert_eq!(reader.referent(), Ok(true));
}

#[test]
fn strings_are_ended_by_their_only_nul() {
    let string = |maximum: u32, first: u32, actual: u32, units: &[u16]| {
        let mut bytes = Vec::new();
        for count in [maximum, first, actual] {
            bytes.extend_from_slice(&count.to_le_bytes());
        }
        bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        little(&bytes).wide_string(4)
    };
    assert_eq!(string(3, 0, 3, &[0x41, 0x42, 0]).as_deref(), Ok("AB"));
    assert_eq!(string(9, 0, 3, &[0x41, 0x42, 0]).as_deref(), Ok("AB"), "a larger maximum is fine");
    assert_eq!(string(2, 0, 3, &[0x41, 0x42, 0]), Err(NdrError::BadVaryingBounds { offset: 0 }));
    assert_eq!(string(4, 1, 3, &[0x41, 0x42, 0]), Err(NdrError::BadVaryingBounds { offset: 0 }));
    assert_eq!(string(2, 0, 2, &[0x41, 0x42]), Err(NdrError::BadTerminator { offset: 0 }));
    assert_eq!(string(3, 0, 3, &[0x41, 0, 0]), Err(NdrError::BadTerminator { offset: 0 }));
    assert_eq!(string(0, 0, 0, &[]), Err(NdrError::BadTerminator { offset: 0 }));
    assert_eq!(string(2, 0, 2, &[0xD800, 0]), Err(NdrError::BadUtf16 { offset: 0 }));
    assert_eq!(string(6, 0, 6, &[0x41; 6]), Err(NdrError::TooLong { offset: 0, units: 6, limit: 5 }));
    assert!(matches!(string(6, 0, 6, &[0x41; 5]), Err(NdrError::Truncated { .. })));
    assert_eq!(string(3, 0, 3, &[0x41]), Err(NdrError::Truncated { offset: 12, needed: 6, length: 14 }));
}

#[test]
fn a_huge_count_is_refused_by_what_was_received() {
    let bytes = u32::MAX.to_le_bytes();
    let truncated = NdrError::Truncated { offset: 4, needed: u32::MAX as usize, length: 4 };
    assert_eq!(little(&bytes).conformant_bytes(usize::MAX), Err(truncated));
    assert!(matches!(little(&bytes).conformant_units(usize::MAX), Err(NdrError::Truncated { .. })));
    let limited = NdrError::TooLarge { offset: 0, count: u32::MAX.into(), limit: 7 };
    assert_eq!(little(&bytes).conformant_bytes(7), Err(limited));
}

#[test]
fn text_is_cut_at_a_nul_when_written() {
    let mut writer = Writer::new();
    writer.wide_string("A\0B");
    assert_eq!(little(&writer.into_bytes()).wide_string(9).as_deref(), Ok("A"));
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        lead in 0usize..9, word in any::<u32>(), hyper in any::<u64>(), guid in any::<[u8; 16]>(),
        text in "[^\u{0}]{0,20}", bytes in prop::collection::vec(any::<u8>(), 0..20),
        units in prop::collection::vec(any::<u16>(), 0..20),
    ) {
        let guid = Guid::from_le_bytes(guid);
        let mut writer = Writer::new();
        writer.zeros(lead).u32(word).conformant_bytes(&bytes).u64(hyper).wide_string(&text);
        writer.conformant_units(&units).guid(guid).varying_bytes(&bytes);
        let stub = writer.into_bytes();
        let mut reader = little(&stub);
        reader.bytes(lead).unwrap();
        prop_assert_eq!(reader.u32(), Ok(word));
        prop_assert_eq!(reader.conformant_bytes(20), Ok(&bytes[..]));
        prop_assert_eq!(reader.u64(), Ok(hyper));
        prop_assert_eq!(reader.wide_string(40), Ok(text));
        prop_assert_eq!(reader.conformant_units(20), Ok(units));
        prop_assert_eq!(reader.guid(), Ok(guid));
        prop_assert_eq!(reader.varying_bytes(20), Ok(&bytes[..]));
        prop_assert!(reader.remaining().is_empty());
        prop_assert_eq!(guid.to_string().parse::<Guid>(), Ok(guid));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), big in any::<bool>()) {
        let reader = Reader::new(&bytes, if big { ByteOrder::Big } else { ByteOrder::Little });
        let _ = reader.clone().wide_string(100);
        let _ = reader.clone().unique(|reader| reader.conformant_units(100));
        let _ = reader.clone().varying_bytes(100);
        let mut reader = reader;
        while reader.u8().is_ok() && reader.u64().is_ok() && reader.guid().is_ok() {}
    }
}
