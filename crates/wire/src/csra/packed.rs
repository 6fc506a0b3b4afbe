//! What is packed inside the blobs: property values and descriptions (wire.md 5.10; WCCE 2.2.2.3). Little-endian,
//! 4-aligned; offsets count from the beginning of the blob.

use crate::ndr::{ByteOrder, NdrError, Reader, Writer};
use certadm_rules::FileTime;
use certadm_rules::wide::{self, MAX_PATH_UNITS};

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
    /// A part lies outside the blob, or a string has no NUL.
    #[error("the part at byte {offset} of the value does not end inside it")]
    Unterminated {
        /// Where it begins.
        offset: usize,
    },
    /// The parts are longer in all than the blob could hold.
    #[error("the parts of the value are longer than the value itself; the server laid them over one another")]
    Overlaid,
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
            2 => Self::Date(reader.file_time()?),
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
            Self::Date(time) => {
                writer.file_time(*time);
            }
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
    /// [`PackedError`], the server's fault: among others [`PackedError::Overlaid`].
    pub fn decode_all(count: u32, blob: &[u8]) -> Result<Vec<Self>, PackedError> {
        let mut reader = Reader::new(blob, ByteOrder::Little);
        let mut source = Source::of(blob);
        let mut properties = Vec::new();
        for _ in 0..count {
            let (id, kind) = (reader.i32()?, reader.u8()?);
            reader.u8()?; // reserved
            let (flags, offset) = (reader.u16()?, reader.u32()?);
            properties.push(Self { id, kind, flags, name: source.text(offset)? });
        }
        Ok(properties)
    }

    /// Encodes descriptions: all of them, then their names.
    #[must_use]
    pub fn encode_all(properties: &[Self]) -> Vec<u8> {
        let mut tail = Tail::behind(properties.len() * CA_PROPERTY_SIZE);
        let mut writer = Writer::new();
        for property in properties {
            writer
                .i32(property.id)
                .u8(property.kind)
                .u8(0)
                .u16(property.flags)
                .count(tail.text(&property.name));
        }
        writer.bytes(&tail.into_bytes());
        writer.into_bytes()
    }
}

/// What offsets point into.
pub(super) struct Source<'a> {
    blob: &'a [u8],
    room: usize,
}

impl<'a> Source<'a> {
    /// A whole blob. All that is taken from it may not be longer than twice the blob: many entries that share one
    /// long text would become far more than was sent, and UTF-8 has at most 3 bytes for 2 of UTF-16.
    pub(super) const fn of(blob: &'a [u8]) -> Self {
        Self { blob, room: blob.len().saturating_mul(2) }
    }

    /// The NUL-terminated string at an offset.
    pub(super) fn text(&mut self, offset: u32) -> Result<String, PackedError> {
        let text = text_at(self.blob, usize::try_from(offset).unwrap_or(usize::MAX))?;
        self.room = self.room.checked_sub(text.len()).ok_or(PackedError::Overlaid)?;
        Ok(text)
    }

    /// `length` bytes at an offset.
    pub(super) fn bytes(&mut self, offset: u32, length: u32) -> Result<Vec<u8>, PackedError> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = self.blob.get(start..).and_then(|rest| rest.get(..length));
        let bytes = bytes.ok_or(PackedError::Unterminated { offset: start })?;
        self.room = self.room.checked_sub(length).ok_or(PackedError::Overlaid)?;
        Ok(bytes.to_vec())
    }
}

/// What is written behind the entries of fixed size, each part 4-aligned.
pub(super) struct Tail {
    start: usize,
    writer: Writer,
}

impl Tail {
    /// Nothing yet, behind `start` bytes.
    pub(super) const fn behind(start: usize) -> Self {
        Self { start, writer: Writer::new() }
    }

    /// Adds a string with its NUL and returns its offset.
    pub(super) fn text(&mut self, text: &str) -> usize {
        let offset = self.start + self.writer.position();
        write_text(&mut self.writer, text);
        self.writer.align(4);
        offset
    }

    /// Adds bytes and returns their offset.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> usize {
        let offset = self.start + self.writer.position();
        self.writer.bytes(bytes).align(4);
        offset
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.writer.into_bytes()
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
