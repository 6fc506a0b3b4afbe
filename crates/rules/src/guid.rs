//! Identifiers of 16 bytes: GUID, UUID, IID, CLSID, IPID, CID (wire.md 3.1; C706 appendix A).

use std::fmt;
use std::str::FromStr;

/// A GUID. Its text form is `d99e6e71-fc88-11d0-b498-00a0c90312f3`; on the wire the first three fields follow the byte
/// order of the data, the last eight bytes stand as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Guid {
    /// The first eight hex digits.
    pub data1: u32,
    /// The second group.
    pub data2: u16,
    /// The third group.
    pub data3: u16,
    /// The last two groups, byte for byte.
    pub data4: [u8; 8],
}

impl Guid {
    /// All zero: no interface, no object.
    pub const NIL: Self = Self::new(0, 0, 0, [0; 8]);

    /// A GUID of its four fields, in the order of the text form.
    #[must_use]
    pub const fn new(data1: u32, data2: u16, data3: u16, data4: [u8; 8]) -> Self {
        Self { data1, data2, data3, data4 }
    }

    /// The GUID whose little-endian form is `bytes`.
    #[must_use]
    pub const fn from_le_bytes(bytes: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, data4 @ ..] = bytes;
        Self {
            data1: u32::from_le_bytes([a, b, c, d]),
            data2: u16::from_le_bytes([e, f]),
            data3: u16::from_le_bytes([g, h]),
            data4,
        }
    }

    /// The GUID whose big-endian form is `bytes`.
    #[must_use]
    pub const fn from_be_bytes(bytes: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, data4 @ ..] = bytes;
        Self {
            data1: u32::from_be_bytes([a, b, c, d]),
            data2: u16::from_be_bytes([e, f]),
            data3: u16::from_be_bytes([g, h]),
            data4,
        }
    }

    /// The little-endian form: u32, u16, u16, 8 bytes.
    #[must_use]
    pub const fn to_le_bytes(self) -> [u8; 16] {
        let [a, b, c, d] = self.data1.to_le_bytes();
        let [e, f] = self.data2.to_le_bytes();
        let [g, h] = self.data3.to_le_bytes();
        let [i, j, k, l, m, n, o, p] = self.data4;
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, rest @ ..] = self.data4;
        write!(formatter, "{:08x}-{:04x}-{:04x}-{a:02x}{b:02x}-", self.data1, self.data2, self.data3)?;
        rest.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// A text is not a GUID: not 8-4-4-4-12 hex digits with hyphens between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is not a GUID; write it as xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx in hex digits")]
pub struct GuidTextError;

impl FromStr for Guid {
    type Err = GuidTextError;

    fn from_str(text: &str) -> Result<Self, GuidTextError> {
        const HYPHENS: [usize; 4] = [8, 13, 18, 23];
        let bytes = text.as_bytes();
        if bytes.len() != 36 {
            return Err(GuidTextError);
        }
        let mut value = 0u128;
        for (position, &byte) in bytes.iter().enumerate() {
            if HYPHENS.contains(&position) {
                if byte != b'-' {
                    return Err(GuidTextError);
                }
            } else {
                let digit = char::from(byte).to_digit(16).ok_or(GuidTextError)?;
                value = value << 4 | u128::from(digit);
            }
        }
        Ok(Self::from_be_bytes(value.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_agree() {
        let guid: Guid = "99fcfec4-5260-101b-bbcb-00aa0021347a".parse().unwrap();
        assert_eq!(guid, Guid::new(0x99fc_fec4, 0x5260, 0x101b, [0xbb, 0xcb, 0, 0xaa, 0, 0x21, 0x34, 0x7a]));
        assert_eq!(guid.to_string(), "99fcfec4-5260-101b-bbcb-00aa0021347a");
        // wire.md 2.17, the bind to IObjectExporter
        let wire = [0xc4, 0xfe, 0xfc, 0x99, 0x60, 0x52, 0x1b, 0x10, 0xbb, 0xcb, 0, 0xaa, 0, 0x21, 0x34, 0x7a];
        assert_eq!(guid.to_le_bytes(), wire);
        assert_eq!(Guid::from_le_bytes(wire), guid);
    }

    #[test]
    fn refuses_what_is_not_a_guid() {
        for text in ["", "99fcfec4-5260-101b-bbcb-00aa0021347", "99fcfec4x5260-101b-bbcb-00aa0021347a"] {
            assert_eq!(text.parse::<Guid>(), Err(GuidTextError), "{text}");
        }
        assert_eq!("+9fcfec4-5260-101b-bbcb-00aa0021347a".parse::<Guid>(), Err(GuidTextError));
    }
}
