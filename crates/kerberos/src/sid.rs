//! Security identifiers: how Windows names accounts and groups, whatever they are called.

use std::fmt;
use std::str::FromStr;

/// Most subauthorities of a SID (MS-DTYP 2.4.2).
const MAX_SUBAUTHORITIES: usize = 15;

/// A SID, such as `S-1-5-21-1004336348-1177238915-682003330-512`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid {
    /// 48 bits.
    authority: u64,
    subauthorities: Vec<u32>,
}

impl Sid {
    /// A SID of at most 15 subauthorities under an authority of 48 bits; `None` for anything else.
    #[must_use]
    pub fn new(authority: u64, subauthorities: Vec<u32>) -> Option<Self> {
        let fits = authority < 1 << 48 && subauthorities.len() <= MAX_SUBAUTHORITIES;
        fits.then_some(Self { authority, subauthorities })
    }

    /// The SID with one subauthority more: an account or a group of a domain; `None` if there is no room.
    #[must_use]
    pub fn with(&self, relative: u32) -> Option<Self> {
        Self::new(self.authority, [&self.subauthorities[..], &[relative]].concat())
    }

    /// Reads the form of a packet (MS-DTYP 2.4.2.2), which must fill `bytes`.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[1, count, a, b, c, d, e, f], rest) = bytes.split_first_chunk()? else { return None };
        let (words, &[]) = rest.as_chunks::<4>() else { return None };
        if words.len() != usize::from(count) {
            return None;
        }
        let subauthorities = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
        Self::new(u64::from_be_bytes([0, 0, a, b, c, d, e, f]), subauthorities)
    }

    /// Writes the form of a packet.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let count = u8::try_from(self.subauthorities.len()).expect("invariant: at most 15");
        let [_, _, authority @ ..] = self.authority.to_be_bytes();
        let mut bytes = [&[1, count], &authority[..]].concat();
        bytes.extend(self.subauthorities.iter().flat_map(|word| word.to_le_bytes()));
        bytes
    }
}

impl fmt::Display for Sid {
    /// MS-DTYP 2.4.2.1: an authority above 32 bits is hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.authority < 1 << 32 {
            write!(f, "S-1-{}", self.authority)?;
        } else {
            write!(f, "S-1-0x{:012x}", self.authority)?;
        }
        self.subauthorities.iter().try_for_each(|word| write!(f, "-{word}"))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sid({self})")
    }
}

/// A text that is no SID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no SID; a SID looks like S-1-5-21-1004336348-1177238915-682003330-512")]
pub struct SidTextError;

impl FromStr for Sid {
    type Err = SidTextError;

    fn from_str(text: &str) -> Result<Self, SidTextError> {
        let rest = text.strip_prefix("S-1-").or_else(|| text.strip_prefix("s-1-")).ok_or(SidTextError)?;
        let mut parts = rest.split('-');
        let authority = parts.next().and_then(|digits| match digits.strip_prefix("0x") {
            Some(digits) => number(digits, 16),
            None => number(digits, 10),
        });
        let subauthorities = parts
            .map(|digits| number(digits, 10).and_then(|number| u32::try_from(number).ok()))
            .collect::<Option<_>>();
        Self::new(authority.ok_or(SidTextError)?, subauthorities.ok_or(SidTextError)?).ok_or(SidTextError)
    }
}

/// Digits and nothing else.
fn number(digits: &str, radix: u32) -> Option<u64> {
    let plain = digits.chars().all(|digit| digit.is_digit(radix));
    plain.then(|| u64::from_str_radix(digits, radix).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_and_back() {
        for (text, bytes) in [
            ("S-1-5-18", &[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0][..]),
            ("S-1-0", &[1, 0, 0, 0, 0, 0, 0, 0]),
            ("S-1-0x010000000005-4294967295", &[1, 1, 1, 0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff]),
        ] {
            let sid: Sid = text.parse().unwrap();
            assert_eq!((sid.to_string().as_str(), &*sid.to_bytes()), (text, bytes));
            assert_eq!(Sid::from_bytes(bytes), Some(sid));
        }
        let domain: Sid = "S-1-5-21-1-2-3".parse().unwrap();
        assert_eq!(domain.with(512).unwrap().to_string(), "S-1-5-21-1-2-3-512");
    }

    #[test]
    fn what_is_no_sid() {
        for text in [
            "",
            "S-1-",
            "S-2-5-18",
            "S-1-5-",
            "S-1-5--1",
            "S-1-5-+1",
            "S-1-5-4294967296",
            "S-1-281474976710656",
            "S-1-5-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1",
            " S-1-5",
            "S-1-0x",
            "CORP\\group",
        ] {
            assert_eq!(text.parse::<Sid>(), Err(SidTextError), "{text}");
        }
        for bytes in [
            &[][..],
            &[1, 0, 0, 0, 0, 0, 0],
            &[2, 0, 0, 0, 0, 0, 0, 5],
            &[1, 1, 0, 0, 0, 0, 0, 5, 1, 0, 0],
            &[1, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0],
        ] {
            assert_eq!(Sid::from_bytes(bytes), None, "{bytes:?}");
        }
    }
}
