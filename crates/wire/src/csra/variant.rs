//! VARIANT, as far as configuration values need it (wire.md 3.10; OAUT 2.2.29).

use crate::ndr::{NdrError, Reader, Writer};
use certadm_rules::wide::MAX_PATH_UNITS;

/// The non-zero value before a VARIANT, as Windows writes it (wire.md 3.10).
const MARKER: u32 = 0x7265_7355;
/// `vt` of a 32-bit number.
const LONG: u16 = 3;
/// `vt` of a string.
const TEXT: u16 = 8;
/// `vt` of a list of bytes.
const BYTES: u16 = 0x2011;
/// The tag of the union for every list.
const ARRAY: u32 = 0x2000;
/// The kind of a SAFEARRAY whose elements are bytes, and the feature bit of one that names the type of its elements.
const OF_BYTES: u32 = 0x10;
const HAS_TYPE: u16 = 0x80;
/// More bytes are in no value of a configuration.
const MAX_BYTES: usize = 65_536;
/// The length of a string that is NULL.
const NULL_TEXT: u32 = 0xFFFF_FFFF;

/// A configuration value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Variant {
    /// No value.
    #[default]
    Empty,
    /// A 32-bit number.
    Long(i32),
    /// A string; none for a NULL one.
    Text(Option<String>),
    /// Bytes, such as a moment in the CA's configuration.
    Bytes(Vec<u8>),
    /// A kind that is not decoded: lists of strings among others. The reader stands behind its union tag. It cannot be
    /// written: an empty value is written in its place.
    Other {
        /// `vt`.
        kind: u16,
    },
}

impl Variant {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// [`NdrError`]: among others [`NdrError::NullPointer`] without the marker, and [`NdrError::CountMismatch`] when the
    /// counts of a string disagree.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, NdrError> {
        Self::read_unique(reader)?
            .ok_or(NdrError::NullPointer { offset: reader.position().saturating_sub(4) })
    }

    /// Reads it where it may be NULL.
    pub(super) fn read_unique(reader: &mut Reader<'_>) -> Result<Option<Self>, NdrError> {
        reader.unique(Self::read_content)
    }

    fn read_content(reader: &mut Reader<'_>) -> Result<Self, NdrError> {
        reader.align(8)?;
        reader.u32()?; // its size in units of 8 bytes
        reader.u32()?; // reserved
        let kind = reader.u16()?;
        reader.bytes(6)?; // reserved
        Ok(match (kind, reader.u32()?) {
            (0, 0) => Self::Empty,
            (LONG, 3) => Self::Long(reader.i32()?),
            (TEXT, 8) => Self::Text(if reader.referent()? { read_text(reader)? } else { None }),
            (BYTES, ARRAY) => Self::Bytes(if reader.referent()? { read_array(reader)? } else { Vec::new() }),
            _ => Self::Other { kind },
        })
    }

    /// Writes it.
    pub fn write(&self, writer: &mut Writer) {
        // 20 bytes to the union tag, then the arm.
        let (kind, arm) = match self {
            Self::Empty | Self::Other { .. } => (0, 0),
            Self::Long(_) => (LONG, 4),
            Self::Text(text) => {
                let units = text.as_deref().map_or(0, |text| text.encode_utf16().count());
                (TEXT, 16 + 2 * units)
            }
            Self::Bytes(bytes) => (BYTES, 44usize.saturating_add(bytes.len())),
        };
        writer.u32(MARKER).align(8).count(20usize.saturating_add(arm).div_ceil(8)).u32(0);
        let tag = if kind == BYTES { ARRAY } else { kind.into() };
        writer.u16(kind).zeros(6).u32(tag);
        match self {
            Self::Empty | Self::Other { .. } => {}
            Self::Long(number) => {
                writer.i32(*number);
            }
            Self::Text(None) => {
                writer.referent().u32(0).u32(NULL_TEXT).u32(0);
            }
            Self::Text(Some(text)) => {
                let units: Vec<u16> = text.encode_utf16().collect();
                let count = units.len();
                writer.referent().count(count).count(count.saturating_mul(2)).count(count).units(&units);
            }
            Self::Bytes(bytes) => {
                writer.referent().u32(1).u16(1).u16(HAS_TYPE).u32(1).u32(u32::from(BYTES & 0xFF) << 16);
                writer.u32(OF_BYTES).count(bytes.len()).referent().count(bytes.len()).u32(0);
                writer.conformant_bytes(bytes);
            }
        }
    }
}

/// A SAFEARRAY of bytes in one dimension (OAUT 2.2.30): the number of dimensions twice, features, size of an element,
/// locks, kind and number of elements, where they are, the bounds, the elements.
fn read_array(reader: &mut Reader<'_>) -> Result<Vec<u8>, NdrError> {
    let dimensions = reader.u32()?;
    reader.expect_count(dimensions.into(), 1)?;
    let dimensions = reader.u16()?;
    reader.expect_count(dimensions.into(), 1)?;
    reader.u16()?; // features
    let (size, _locks, kind) = (reader.u32()?, reader.u32()?, reader.u32()?);
    reader.expect_count(size.into(), 1)?;
    reader.expect_count(kind.into(), OF_BYTES.into())?;
    let count = reader.conformance(MAX_BYTES)?;
    let is_there = reader.referent()?;
    let bound = reader.u32()?;
    reader.expect_count(bound.into(), count as u64)?;
    reader.u32()?; // the number of the first element
    if !is_there {
        reader.expect_count(count as u64, 0)?;
        return Ok(Vec::new());
    }
    let bytes = reader.conformant_bytes(MAX_BYTES)?;
    reader.expect_count(bytes.len() as u64, count as u64)?;
    Ok(bytes.to_vec())
}

/// Maximum count, length in bytes, number of units, units: no NUL, unlike other strings.
fn read_text(reader: &mut Reader<'_>) -> Result<Option<String>, NdrError> {
    let maximum = reader.conformance(usize::MAX)?;
    let offset = reader.position() - 4;
    let bytes = reader.u32()?;
    let count = reader.u32()?;
    reader.expect_count(count.into(), maximum as u64)?;
    if bytes == NULL_TEXT {
        reader.expect_count(count.into(), 0)?;
        return Ok(None);
    }
    // An odd number of bytes has half a unit at its end, which no text has.
    reader.expect_count(u64::from(count) * 2, bytes.into())?;
    let units = reader.text_units(maximum, MAX_PATH_UNITS, offset)?;
    String::from_utf16(&units).map(Some).map_err(|_| NdrError::BadUtf16 { offset })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ndr::ByteOrder;

    fn round_trip(variant: &Variant) -> Vec<u8> {
        let mut writer = Writer::new();
        variant.write(&mut writer);
        let bytes = writer.into_bytes();
        assert_eq!(Variant::read(&mut Reader::new(&bytes, ByteOrder::Little)).as_ref(), Ok(variant));
        for cut in 0..bytes.len() {
            assert!(Variant::read(&mut Reader::new(&bytes[..cut], ByteOrder::Little)).is_err(), "{cut}");
        }
        bytes
    }

    #[test]
    fn values_have_the_layout_of_the_document() {
        let empty =
            [0x55, 0x73, 0x65, 0x72, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(round_trip(&Variant::Empty), empty);
        let long = round_trip(&Variant::Long(0x641));
        assert_eq!(long[8..12], [3, 0, 0, 0]);
        assert_eq!(long[16..], [3, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0x41, 6, 0, 0]);
        let text = round_trip(&Variant::Text(Some("CA".to_owned())));
        assert_eq!(text[8..12], [5, 0, 0, 0]);
        assert_eq!(text[28..], [0, 0, 2, 0, 2, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 0x43, 0, 0x41, 0]);
        round_trip(&Variant::Text(None));
        let bytes = round_trip(&Variant::Bytes(vec![1, 2, 3]));
        assert_eq!(bytes[8..12], [9, 0, 0, 0]);
        assert_eq!(bytes[16..28], [0x11, 0x20, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0]);
        // Behind the referent: dimensions, features, size, type; kind, count, referent, bounds; the elements.
        let array =
            [1, 0x0080_0001, 1, 0x0011_0000, 0x10, 3, 0x0002_0004, 3, 0, 3].map(u32::to_le_bytes).concat();
        assert_eq!(bytes[32..], [array, vec![1, 2, 3]].concat());
        round_trip(&Variant::Bytes(Vec::new()));
        let mut list = empty;
        list[16..18].copy_from_slice(&[0x08, 0x20]);
        list[25] = 0x20;
        let read = Variant::read(&mut Reader::new(&list, ByteOrder::Little));
        assert_eq!(read, Ok(Variant::Other { kind: 0x2008 }));
    }
}
