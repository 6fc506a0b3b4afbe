//! Column types and the values of cells (ese.md 5, 6).

use core::fmt;

use certadm_rules::Guid;
use certadm_rules::hex::Hex;

use crate::error::Error;
use crate::time::DateTime;

/// The type of a column (ese.md 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ColumnType {
    /// 1: one byte, true or false.
    Bit,
    /// 2
    U8,
    /// 3
    I16,
    /// 4
    I32,
    /// 5: 64 bits, called currency.
    Currency,
    /// 6
    F32,
    /// 7
    F64,
    /// 8: 8 bytes, a floating date by name; a CA stores a FILETIME.
    DateTime,
    /// 9: at most 255 bytes.
    Binary,
    /// 10: at most 255 bytes.
    Text,
    /// 11
    LongBinary,
    /// 12
    LongText,
    /// 14
    U32,
    /// 15
    I64,
    /// 16
    Guid,
    /// 17
    U16,
    /// 18
    U64,
    /// A number this reader does not know; its cells are shown as bytes.
    Unknown(u32),
}

impl From<u32> for ColumnType {
    fn from(number: u32) -> Self {
        match number {
            1 => Self::Bit,
            2 => Self::U8,
            3 => Self::I16,
            4 => Self::I32,
            5 => Self::Currency,
            6 => Self::F32,
            7 => Self::F64,
            8 => Self::DateTime,
            9 => Self::Binary,
            10 => Self::Text,
            11 => Self::LongBinary,
            12 => Self::LongText,
            14 => Self::U32,
            15 => Self::I64,
            16 => Self::Guid,
            17 => Self::U16,
            18 => Self::U64,
            other => Self::Unknown(other),
        }
    }
}

impl ColumnType {
    /// Bytes of a value; `None` for types of variable length.
    pub fn width(self) -> Option<usize> {
        match self {
            Self::Bit | Self::U8 => Some(1),
            Self::I16 | Self::U16 => Some(2),
            Self::I32 | Self::U32 | Self::F32 => Some(4),
            Self::Currency | Self::F64 | Self::DateTime | Self::I64 | Self::U64 => Some(8),
            Self::Guid => Some(16),
            Self::Binary | Self::Text | Self::LongBinary | Self::LongText | Self::Unknown(_) => None,
        }
    }
}

/// A column as the catalog describes it.
#[derive(Clone, PartialEq, Debug)]
pub struct Column {
    /// 1..127 fixed, 128..255 variable, 256 and up tagged.
    pub id: u32,
    /// Its name in the file.
    pub name: String,
    /// Its type.
    pub kind: ColumnType,
    /// Column flags (ese.md 5).
    pub flags: u32,
    /// Code page of text: 1200 is UTF-16.
    pub code_page: u32,
    /// Largest length in bytes; 0 for none.
    pub max_length: u32,
    /// Where a fixed column lies in the record.
    pub record_offset: usize,
    /// Bytes of the default value.
    pub default: Option<Vec<u8>>,
    /// Comes from the template of the table.
    pub derived: bool,
}

impl Column {
    /// True when a cell may hold several values.
    pub fn is_multi_valued(&self) -> bool {
        self.flags & 0x8 != 0
    }

    /// Turns the bytes of one value into a value.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the length does not fit the type.
    pub(crate) fn value(&self, bytes: &[u8]) -> Result<Value, Error> {
        if let Some(width) = self.kind.width()
            && bytes.len() != width
        {
            return Err(Error::Malformed { what: "a cell", problem: "its length does not fit its type" });
        }
        let mut wide = [0; 8];
        let take = bytes.len().min(8);
        wide[..take].copy_from_slice(&bytes[..take]);
        let number = u64::from_le_bytes(wide);
        // Each conversion takes the low bytes that the width check proved to be all there are.
        #[allow(clippy::cast_possible_truncation)]
        Ok(match self.kind {
            ColumnType::Bit => Value::Bit(number != 0),
            ColumnType::U8 => Value::U8(number as u8),
            ColumnType::I16 => Value::I16(i16::from_le_bytes([wide[0], wide[1]])),
            ColumnType::I32 => Value::I32(i32::from_le_bytes([wide[0], wide[1], wide[2], wide[3]])),
            ColumnType::Currency | ColumnType::I64 => Value::I64(i64::from_le_bytes(wide)),
            ColumnType::F32 => Value::F32(f32::from_bits(number as u32)),
            ColumnType::F64 => Value::F64(f64::from_bits(number)),
            ColumnType::DateTime => Value::DateTime(number),
            ColumnType::U32 => Value::U32(number as u32),
            ColumnType::U16 => Value::U16(number as u16),
            ColumnType::U64 => Value::U64(number),
            ColumnType::Guid => {
                let mut guid = [0; 16];
                guid.copy_from_slice(bytes);
                Value::Guid(Guid::from_le_bytes(guid))
            }
            ColumnType::Text | ColumnType::LongText => Value::Text(self.text(bytes)),
            ColumnType::Binary | ColumnType::LongBinary | ColumnType::Unknown(_) => {
                Value::Binary(bytes.to_vec())
            }
        })
    }

    /// Text without its terminating NUL. Units that are no text become the replacement character.
    fn text(&self, bytes: &[u8]) -> String {
        let text: String = if self.code_page == 1200 {
            // Half a unit at the end of a cut text counts as a whole one.
            let (whole, half) = bytes.as_chunks::<2>();
            let units = whole.iter().map(|unit| u16::from_le_bytes(*unit));
            let units = units.chain(half.iter().map(|byte| u16::from(*byte)));
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        } else {
            bytes.iter().map(|byte| windows_1252(*byte)).collect()
        };
        match text.strip_suffix('\0') {
            Some(stripped) => stripped.to_owned(),
            None => text,
        }
    }
}

/// One byte of code page 1252; its five unassigned bytes keep their number, as Windows does.
pub(crate) fn windows_1252(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}',
        '\u{2c6}', '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}', '\u{90}',
        '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}', '\u{2dc}',
        '\u{2122}', '\u{161}', '\u{203a}', '\u{153}', '\u{9d}', '\u{17e}', '\u{178}',
    ];
    match byte {
        0x80..=0x9F => HIGH[usize::from(byte - 0x80)],
        other => char::from(other),
    }
}

/// The value of a cell.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Bit(bool),
    /// 8 bits.
    U8(u8),
    /// 16 bits, signed.
    I16(i16),
    /// 16 bits.
    U16(u16),
    /// 32 bits, signed.
    I32(i32),
    /// 32 bits.
    U32(u32),
    /// 64 bits, signed; currency too.
    I64(i64),
    /// 64 bits.
    U64(u64),
    /// Single precision.
    F32(f32),
    /// Double precision.
    F64(f64),
    /// 8 bytes of a date column: a FILETIME or the bits of a floating date; see [`Value::filetime`].
    DateTime(u64),
    /// A GUID.
    Guid(Guid),
    /// Bytes.
    Binary(Vec<u8>),
    /// Text.
    Text(String),
    /// Several values of one cell, in order.
    Multi(Vec<Value>),
}

impl Value {
    /// The date of a date cell that holds a FILETIME, as every date of a CA database does.
    pub fn filetime(&self) -> Option<DateTime> {
        match self {
            Self::DateTime(ticks) => DateTime::from_filetime(*ticks),
            _ => None,
        }
    }

    /// The date of a date cell in the engine's own floating form.
    pub fn variant_date(&self) -> Option<DateTime> {
        match self {
            Self::DateTime(bits) => DateTime::from_variant_days(f64::from_bits(*bits)),
            _ => None,
        }
    }

    /// Whole numbers of up to 64 bits, whatever their width.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Bit(value) => Some(i64::from(*value)),
            Self::U8(value) => Some(i64::from(*value)),
            Self::I16(value) => Some(i64::from(*value)),
            Self::U16(value) => Some(i64::from(*value)),
            Self::I32(value) => Some(i64::from(*value)),
            Self::U32(value) => Some(i64::from(*value)),
            Self::I64(value) => Some(*value),
            Self::U64(value) => i64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// The text of a text cell.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes of a binary cell.
    pub fn binary(&self) -> Option<&[u8]> {
        match self {
            Self::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// True for no value.
    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }
}

/// The value as text, the dates as those of a CA; several values of one cell stand on lines of their own.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Bit(bit) => bit.fmt(f),
            Self::U8(number) => number.fmt(f),
            Self::I16(number) => number.fmt(f),
            Self::U16(number) => number.fmt(f),
            Self::I32(number) => number.fmt(f),
            Self::U32(number) => number.fmt(f),
            Self::I64(number) => number.fmt(f),
            Self::U64(number) => number.fmt(f),
            Self::F32(number) => number.fmt(f),
            Self::F64(number) => number.fmt(f),
            // A date that cannot be is shown as its bits.
            Self::DateTime(bits) => match self.filetime() {
                Some(date) => write!(f, "{date}Z"),
                None => write!(f, "{bits:#x}"),
            },
            Self::Guid(guid) => guid.fmt(f),
            Self::Binary(bytes) => Hex(bytes).fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Multi(values) => {
                for (place, value) in values.iter().enumerate() {
                    if place != 0 {
                        f.write_str("\n")?;
                    }
                    value.fmt(f)?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: ColumnType, code_page: u32) -> Column {
        Column {
            id: 1,
            name: "c".to_owned(),
            kind,
            flags: 0,
            code_page,
            max_length: 0,
            record_offset: 4,
            default: None,
            derived: false,
        }
    }

    #[test]
    fn widths_are_checked_and_signs_kept() {
        let value = column(ColumnType::I16, 0).value(&[0xFE, 0xFF]).unwrap();
        assert_eq!(value, Value::I16(-2));
        assert!(column(ColumnType::I32, 0).value(&[1, 2]).is_err());
        assert!(column(ColumnType::Guid, 0).value(&[1; 15]).is_err());
    }

    #[test]
    fn text_loses_one_terminator_and_never_fails() {
        let wide = column(ColumnType::Text, 1200);
        assert_eq!(wide.value(b"a\0\0\0").unwrap(), Value::Text("a".to_owned()));
        assert_eq!(wide.value(&[0, 0xD8, 1]).unwrap(), Value::Text("\u{fffd}\u{1}".to_owned()));
        let narrow = column(ColumnType::Text, 1252);
        assert_eq!(narrow.value(&[0x80]).unwrap(), Value::Text("\u{20ac}".to_owned()));
    }

    #[test]
    fn values_are_texts_that_a_person_reads() {
        let text = |text: &str| Value::Text(text.to_owned());
        for (value, expected) in [
            (Value::Multi(vec![text("one"), Value::Null, text("three")]), "one\n\nthree"),
            (Value::F32(0.5), "0.5"),
            (Value::Bit(true), "true"),
            (Value::U64(u64::MAX), "18446744073709551615"),
            (Value::Binary(vec![0xab, 1]), "ab01"),
            (Value::DateTime(134_036_958_510_000_000), "2025-09-30T08:50:51Z"),
            (Value::DateTime(u64::MAX), "0xffffffffffffffff"),
        ] {
            assert_eq!(value.to_string(), expected);
        }
    }

    #[test]
    fn guids_print_in_the_usual_order() {
        let bytes =
            [0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        let guid = column(ColumnType::Guid, 0).value(&bytes).unwrap();
        let Value::Guid(guid) = guid else { panic!("{guid:?}") };
        assert_eq!(guid.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
    }
}
