//! SAFEARRAY in one dimension, the lists that a VARIANT holds (wire.md 3.10; OAUT 2.2.30): the number of dimensions twice,
//! features, size of an element, locks, kind and number of elements, where they are, the bounds, the elements.

use super::bstr;
use crate::ndr::{NdrError, Reader, Writer};

/// The kinds of arrays: of bytes, of strings.
const OF_BYTES: u32 = 0x10;
const OF_TEXTS: u32 = 8;
/// Feature bits: the upper half of the locks names the type of the elements; they are strings.
const HAS_TYPE: u16 = 0x80;
const HAS_TEXTS: u16 = 0x100;
/// More elements are in no value of a configuration.
const MAX_ELEMENTS: usize = 65_536;

/// Reads an array of bytes.
pub(super) fn read_bytes(reader: &mut Reader<'_>) -> Result<Vec<u8>, NdrError> {
    let Some(count) = read_head(reader, OF_BYTES, 1)? else { return Ok(Vec::new()) };
    let bytes = reader.conformant_bytes(MAX_ELEMENTS)?;
    reader.expect_count(bytes.len() as u64, count as u64)?;
    Ok(bytes.to_vec())
}

/// Reads an array of strings.
pub(super) fn read_texts(reader: &mut Reader<'_>) -> Result<Vec<String>, NdrError> {
    let Some(count) = read_head(reader, OF_TEXTS, 4)? else { return Ok(Vec::new()) };
    let there = reader.conformance(MAX_ELEMENTS)?;
    reader.expect_count(there as u64, count as u64)?;
    // Each is announced by four bytes that are there.
    let mut announced = Vec::new();
    for _ in 0..count {
        announced.push(reader.referent()?);
    }
    let mut texts = Vec::with_capacity(announced.len());
    for is_there in announced {
        let text = if is_there { bstr::read(reader)? } else { None };
        texts.push(text.unwrap_or_default());
    }
    Ok(texts)
}

/// Everything before the elements. Returns how many there are; nothing when none follow.
fn read_head(reader: &mut Reader<'_>, kind: u32, size: u32) -> Result<Option<usize>, NdrError> {
    let dimensions = reader.u32()?;
    reader.expect_count(dimensions.into(), 1)?;
    let dimensions = reader.u16()?;
    reader.expect_count(dimensions.into(), 1)?;
    reader.u16()?; // features
    let (found_size, _locks, found_kind) = (reader.u32()?, reader.u32()?, reader.u32()?);
    reader.expect_count(found_size.into(), size.into())?;
    reader.expect_count(found_kind.into(), kind.into())?;
    let count = reader.conformance(MAX_ELEMENTS)?;
    let is_there = reader.referent()?;
    let bound = reader.u32()?;
    reader.expect_count(bound.into(), count as u64)?;
    reader.u32()?; // the number of the first element
    if !is_there {
        reader.expect_count(count as u64, 0)?;
        return Ok(None);
    }
    Ok(Some(count))
}

/// Writes an array of bytes.
pub(super) fn write_bytes(writer: &mut Writer, bytes: &[u8]) {
    const UNSIGNED_BYTE: u32 = 0x11;
    writer.u32(1).u16(1).u16(HAS_TYPE).u32(1).u32(UNSIGNED_BYTE << 16);
    writer.u32(OF_BYTES).count(bytes.len()).referent().count(bytes.len()).u32(0);
    writer.conformant_bytes(bytes);
}

/// Writes an array of strings.
pub(super) fn write_texts(writer: &mut Writer, texts: &[String]) {
    const STRING: u32 = 8;
    writer.u32(1).u16(1).u16(HAS_TYPE | HAS_TEXTS).u32(4).u32(STRING << 16);
    writer.u32(OF_TEXTS).count(texts.len()).referent().count(texts.len()).u32(0);
    writer.count(texts.len());
    for _ in texts {
        writer.referent();
    }
    for text in texts {
        writer.align(4);
        bstr::write(writer, text);
    }
}

/// How many bytes an array of strings takes in its VARIANT, with the pointer to it.
pub(super) fn size_of_texts(texts: &[String]) -> usize {
    texts.iter().fold(44, |size, text| {
        let units = text.encode_utf16().count();
        size.saturating_add(16).saturating_add(units.saturating_mul(2).next_multiple_of(4))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ndr::ByteOrder;
    use certadm_rules::hex;

    /// What impacket writes for the array part of two strings; its pad bytes are `ee` (recovery.md 1.4).
    const OF_IMPACKET: &str = "0100000001008001040000000000080008000000020000006b010000020000000000000002000000def80000\
        440c00000b000000160000000b00000041007500640069007400460069006c00740065007200eeee0a000000140000000a000000430\
        06f006d006d006f006e004e0061006d006500";

    #[test]
    fn strings_are_read_as_another_engine_writes_them() {
        let bytes = hex::decode(&OF_IMPACKET.replace([' ', '\n'], "")).unwrap();
        let read = read_texts(&mut Reader::new(&bytes, ByteOrder::Little)).unwrap();
        assert_eq!(read, ["AuditFilter", "CommonName"]);
        let mut writer = Writer::new();
        write_texts(&mut writer, &read);
        let ours = writer.into_bytes();
        assert_eq!(ours.len(), bytes.len());
        // Referents are anything but 0, and pad bytes are anything.
        let differs = |place: &usize| ours[*place] != bytes[*place];
        let places: Vec<usize> = (0..bytes.len()).filter(differs).map(|place| place / 4 * 4).collect();
        assert!(places.iter().all(|place| [24, 40, 44, 76, 80].contains(place)), "{places:?}");
    }

    #[test]
    fn counts_that_disagree_and_too_many_elements_are_refused() {
        let mut writer = Writer::new();
        write_texts(&mut writer, &["one".to_owned(), "two".to_owned()]);
        let good = writer.into_bytes();
        assert!(read_texts(&mut Reader::new(&good, ByteOrder::Little)).is_ok());
        // Dimensions, size of an element, kind, elements, bound, elements again.
        for place in [0, 4, 8, 16, 20, 28, 36] {
            for value in [0u32, 3, u32::MAX] {
                let mut bad = good.clone();
                bad[place..place + 4].copy_from_slice(&value.to_le_bytes());
                let read = read_texts(&mut Reader::new(&bad, ByteOrder::Little));
                assert!(read.is_err(), "{value:#x} at {place}: {read:?}");
            }
        }
    }
}
