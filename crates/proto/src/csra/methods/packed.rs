//! What is packed inside the blobs: property values and descriptions (wire.md 5.10; WCCE 2.2.2.3). Little-endian,
//! 4-aligned; offsets count from the beginning of the blob.

use super::FileTime;
use crate::csra::wide::{self, MAX_PATH_UNITS};
use crate::ndr::{ByteOrder, NdrError, Reader, Writer};

/// The size of a CATRANSPROP.
const CA_PROPERTY_SIZE: usize = 12;

/// The value of a CA property, as the blobs of `GetCAProperty` and `SetCAProperty` hold it (wire.md 5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyValue {
    /// Kind 1: a 32-bit number.
    Long(i32),
    /// Kind 2: a time.
    Date(FileTime),
    /// Kind 3: bytes.
    Binary(Vec<u8>),
    /// Kind 4: a string.
    Text(String),
}

/// Why a blob does not hold what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackedError {
    /// A field does not decode.
    #[error("a field of the value does not decode: {0}")]
    Field(#[from] NdrError),
    /// No kind has this number.
    #[error("no kind of value has the number {kind}; 1 to 4 do")]
    Kind {
        /// The number.
        kind: i32,
    },
    /// A string lies outside the blob or has no NUL.
    #[error("the string at byte {offset} of the value does not end inside it")]
    Unterminated {
        /// Where it begins.
        offset: usize,
    },
    /// The names are longer in all than twice the blob could hold.
    #[error("the names in the value are longer than the value itself; the server laid them over one another")]
    Names,
    /// A string is malformed.
    #[error(transparent)]
    Text(#[from] wide::WideError),
}

impl PropertyValue {
    /// The number of its kind: `propType` (wire.md 5.2).
    #[must_use]
    pub const fn kind(&self) -> i32 {
        match self {
            Self::Long(_) => 1,
            Self::Date(_) => 2,
            Self::Binary(_) => 3,
            Self::Text(_) => 4,
        }
    }

    /// Decodes a value of a kind. What follows it is ignored.
    ///
    /// # Errors
    ///
    /// [`PackedError`].
    pub fn decode(kind: i32, blob: &[u8]) -> Result<Self, PackedError> {
        let mut reader = Reader::new(blob, ByteOrder::Little);
        Ok(match kind {
            1 => Self::Long(reader.i32()?),
            2 => Self::Date(FileTime::read(&mut reader)?),
            3 => Self::Binary(blob.to_vec()),
            4 => Self::Text(text_at(blob, 0)?),
            _ => return Err(PackedError::Kind { kind }),
        })
    }

    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        match self {
            Self::Long(number) => {
                writer.i32(*number);
            }
            Self::Date(time) => time.write(&mut writer),
            Self::Binary(bytes) => {
                writer.bytes(bytes);
            }
            Self::Text(text) => write_text(&mut writer, text),
        }
        writer.into_bytes()
    }
}

/// CATRANSPROP: what `GetCAPropertyInfo` says about a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaProperty {
    /// Its number.
    pub id: i32,
    /// The kind of its value; see [`PropertyValue::kind`].
    pub kind: u8,
    /// `propFlags`.
    pub flags: u16,
    /// Its name for people.
    pub name: String,
}

impl CaProperty {
    /// Decodes `count` descriptions.
    ///
    /// # Errors
    ///
    /// [`PackedError`], the server's fault: among others [`PackedError::Names`].
    pub fn decode_all(count: u32, blob: &[u8]) -> Result<Vec<Self>, PackedError> {
        let mut reader = Reader::new(blob, ByteOrder::Little);
        let mut properties = Vec::new();
        let mut room = 2 * blob.len(); // of UTF-8, which has at most 3 bytes for 2 of UTF-16
        for _ in 0..count {
            let (id, kind) = (reader.i32()?, reader.u8()?);
            reader.u8()?; // reserved
            let (flags, offset) = (reader.u16()?, reader.u32()?);
            let name = text_at(blob, usize::try_from(offset).unwrap_or(usize::MAX))?;
            // Many descriptions with one long name would become far more than was sent.
            room = room.checked_sub(name.len()).ok_or(PackedError::Names)?;
            properties.push(Self { id, kind, flags, name });
        }
        Ok(properties)
    }

    /// Encodes descriptions: all of them, then their names.
    #[must_use]
    pub fn encode_all(properties: &[Self]) -> Vec<u8> {
        let mut names = Writer::new();
        let mut writer = Writer::new();
        for property in properties {
            let offset = properties.len() * CA_PROPERTY_SIZE + names.position();
            writer.i32(property.id).u8(property.kind).u8(0).u16(property.flags).count(offset);
            write_text(&mut names, &property.name);
            names.align(4);
        }
        writer.bytes(&names.into_bytes());
        writer.into_bytes()
    }
}

/// The NUL-terminated string at `offset`.
fn text_at(blob: &[u8], offset: usize) -> Result<String, PackedError> {
    let bytes = blob.get(offset..).unwrap_or_default();
    let mut units = Vec::new();
    for &pair in bytes.as_chunks::<2>().0.iter().take(MAX_PATH_UNITS + 1) {
        match u16::from_le_bytes(pair) {
            0 => return Ok(wide::decode(&units)?),
            unit => units.push(unit),
        }
    }
    Err(PackedError::Unterminated { offset })
}

/// A string with its NUL. A NUL inside ends it.
fn write_text(writer: &mut Writer, text: &str) {
    let units: Vec<u16> = text.encode_utf16().take_while(|&unit| unit != 0).chain([0]).collect();
    writer.units(&units);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back() {
        for value in [
            PropertyValue::Long(-2),
            PropertyValue::Date(FileTime(0x01D0_0000_0000_0001)),
            PropertyValue::Binary(vec![1, 2, 3]),
            PropertyValue::Text("Root CA".to_owned()),
        ] {
            assert_eq!(PropertyValue::decode(value.kind(), &value.encode()), Ok(value));
        }
        assert_eq!(PropertyValue::Text("A".to_owned()).encode(), [0x41, 0, 0, 0]);
        assert_eq!(PropertyValue::decode(4, &[0x41, 0]), Err(PackedError::Unterminated { offset: 0 }));
        assert_eq!(PropertyValue::decode(5, &[]), Err(PackedError::Kind { kind: 5 }));
    }

    #[test]
    fn descriptions_come_back() {
        let property = |id, name: &str| CaProperty { id, kind: 4, flags: 0, name: name.to_owned() };
        let properties = vec![property(6, "CA Name"), property(7, "Sanitized CA Name")];
        let blob = CaProperty::encode_all(&properties);
        assert_eq!(blob[..12], [6, 0, 0, 0, 4, 0, 0, 0, 24, 0, 0, 0]);
        assert_eq!(CaProperty::decode_all(2, &blob), Ok(properties));
        assert!(CaProperty::decode_all(3, &blob).is_err());
        // A hostile count with a tiny blob ends at the blob's end.
        assert!(CaProperty::decode_all(u32::MAX, &blob[..20]).is_err());
    }
}
