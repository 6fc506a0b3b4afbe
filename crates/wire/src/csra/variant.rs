//! VARIANT, as far as configuration values need it (wire.md 3.10; OAUT 2.2.29).

use super::{bstr, safe_array};
use crate::ndr::{NdrError, Reader, Writer};

/// The non-zero value before a VARIANT, as Windows writes it (wire.md 3.10).
const MARKER: u32 = 0x7265_7355;
/// `vt` of a 32-bit number.
const LONG: u16 = 3;
/// `vt` of a string.
const TEXT: u16 = 8;
/// `vt` of a list of bytes.
const BYTES: u16 = 0x2011;
/// `vt` of a list of strings.
const TEXTS: u16 = 0x2008;
/// The tag of the union for every list.
const ARRAY: u32 = 0x2000;

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
    /// Strings: a value of several, or the names of values. A NULL one is an empty one here.
    Texts(Vec<String>),
    /// A kind that is not decoded. The reader stands behind its union tag. It cannot be written: an empty value is written
    /// in its place.
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
            (TEXT, 8) => Self::Text(if reader.referent()? { bstr::read(reader)? } else { None }),
            (BYTES, ARRAY) => {
                Self::Bytes(if reader.referent()? { safe_array::read_bytes(reader)? } else { Vec::new() })
            }
            (TEXTS, ARRAY) => {
                Self::Texts(if reader.referent()? { safe_array::read_texts(reader)? } else { Vec::new() })
            }
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
            Self::Texts(texts) => (TEXTS, safe_array::size_of_texts(texts)),
        };
        writer.u32(MARKER).align(8).count(20usize.saturating_add(arm).div_ceil(8)).u32(0);
        let tag = if matches!(kind, BYTES | TEXTS) { ARRAY } else { kind.into() };
        writer.u16(kind).zeros(6).u32(tag);
        match self {
            Self::Empty | Self::Other { .. } => {}
            Self::Long(number) => {
                writer.i32(*number);
            }
            Self::Text(None) => {
                writer.referent().u32(0).u32(bstr::NULL).u32(0);
            }
            Self::Text(Some(text)) => bstr::write(writer.referent(), text),
            Self::Bytes(bytes) => safe_array::write_bytes(writer.referent(), bytes),
            Self::Texts(texts) => safe_array::write_texts(writer.referent(), texts),
        }
    }
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
        for texts in [&["AuditFilter", "CommonName"][..], &[""], &[]] {
            round_trip(&Variant::Texts(texts.iter().map(|text| (*text).to_owned()).collect()));
        }
        let mut list = empty;
        list[16..18].copy_from_slice(&[0x03, 0x20]);
        list[25] = 0x20;
        let read = Variant::read(&mut Reader::new(&list, ByteOrder::Little));
        assert_eq!(read, Ok(Variant::Other { kind: 0x2003 }));
    }
}
