//! CAINFO, and the arrays that some properties of a CA are (wire.md 5.12; WCCE 2.2.2.4).

use super::PackedError;
use crate::ndr::{ByteOrder, NdrError, Reader, Writer};

/// CAINFO: what `GetCAProperty` answers for every property that is a number. The reader takes the field it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CaInfo {
    /// 0 enterprise root, 1 enterprise subordinate, 3 standalone root, 4 standalone subordinate, 5 unknown.
    pub ca_type: u32,
    /// How many certificates the CA has had.
    pub certificates: u32,
    /// How many exchange certificates it has.
    pub exchange_certificates: u32,
    /// How many exit modules.
    pub exit_modules: u32,
    /// The highest number of a property.
    pub highest_property: u32,
    /// Whether nobody may have two roles: 0 or 1.
    pub role_separation: u32,
    /// How many key recovery agents an archived key is encrypted for.
    pub recovery_agents_used: u32,
    /// How many key recovery agents there are.
    pub recovery_agents: u32,
    /// Whether it is an Advanced Server: 0 or 1.
    pub advanced: u32,
}

impl CaInfo {
    /// Its size in bytes, which is its first field.
    pub const SIZE: u32 = 40;

    /// Decodes it. What follows is ignored: a later version may be longer.
    ///
    /// # Errors
    ///
    /// [`PackedError::Field`] when it is cut short, and when its size is less than [`CaInfo::SIZE`]: what a server
    /// answers that sends the bare number is no size.
    pub fn decode(blob: &[u8]) -> Result<Self, PackedError> {
        let mut reader = Reader::new(blob, ByteOrder::Little);
        let size = reader.u32()?;
        if size < Self::SIZE {
            return Err(NdrError::CountMismatch {
                offset: 0,
                found: size.into(),
                expected: Self::SIZE.into(),
            }
            .into());
        }
        let mut field = || reader.u32();
        Ok(Self {
            ca_type: field()?,
            certificates: field()?,
            exchange_certificates: field()?,
            exit_modules: field()?,
            highest_property: field()?,
            role_separation: field()?,
            recovery_agents_used: field()?,
            recovery_agents: field()?,
            advanced: field()?,
        })
    }

    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode_numbers(&[
            Self::SIZE,
            self.ca_type,
            self.certificates,
            self.exchange_certificates,
            self.exit_modules,
            self.highest_property,
            self.role_separation,
            self.recovery_agents_used,
            self.recovery_agents,
            self.advanced,
        ])
    }
}

/// Encodes an array of 32-bit numbers, as property 39 is one.
#[must_use]
pub fn encode_numbers(numbers: &[u32]) -> Vec<u8> {
    let mut writer = Writer::new();
    for number in numbers {
        writer.u32(*number);
    }
    writer.into_bytes()
}

/// Decodes an array of 32-bit numbers; one alone is an array too.
///
/// # Errors
///
/// [`PackedError::Field`] when the last one is cut short.
pub fn decode_numbers(blob: &[u8]) -> Result<Vec<u32>, PackedError> {
    let mut reader = Reader::new(blob, ByteOrder::Little);
    let mut numbers = Vec::new();
    while !reader.remaining().is_empty() {
        numbers.push(reader.u32()?);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_have_the_order_of_the_document() {
        let info = CaInfo {
            ca_type: 3,
            certificates: 2,
            exchange_certificates: 1,
            exit_modules: 4,
            highest_property: 50,
            role_separation: 1,
            recovery_agents_used: 5,
            recovery_agents: 6,
            advanced: 1,
        };
        let blob = info.encode();
        let fields = decode_numbers(&blob).unwrap();
        assert_eq!(fields, [40, 3, 2, 1, 4, 50, 1, 5, 6, 1]);
        assert_eq!(blob.len(), 40);
        assert_eq!(CaInfo::decode(&blob), Ok(info));
        assert_eq!(CaInfo::decode(&[blob.as_slice(), &[7; 4]].concat()), Ok(info), "a longer one");
        for cut in 0..blob.len() {
            assert!(CaInfo::decode(&blob[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn a_bare_number_is_no_structure() {
        assert!(CaInfo::decode(&3u32.to_le_bytes()).is_err());
        let mut short = CaInfo::default().encode();
        short[0] = 36;
        assert!(CaInfo::decode(&short).is_err());
    }

    #[test]
    fn arrays_come_back() {
        for numbers in [&[][..], &[7], &[0, 0x0001_0001]] {
            assert_eq!(decode_numbers(&encode_numbers(numbers)).as_deref(), Ok(numbers));
        }
        assert!(decode_numbers(&[1, 0, 0, 0, 2]).is_err());
    }
}
