//! The attribute list of CHALLENGE and of the NTLMv2 response (MS-NLMP 2.2.2.1; wire.md 2.12).

use crate::error::AuthError;
use crate::text::utf16_bytes;

/// Attribute ids in use here (MS-NLMP 2.2.2.1).
pub(crate) mod id {
    pub(crate) const END: u16 = 0;
    pub(crate) const NETBIOS_COMPUTER: u16 = 1;
    pub(crate) const NETBIOS_DOMAIN: u16 = 2;
    pub(crate) const DNS_COMPUTER: u16 = 3;
    pub(crate) const DNS_DOMAIN: u16 = 4;
    pub(crate) const FLAGS: u16 = 6;
    pub(crate) const TIMESTAMP: u16 = 7;
    pub(crate) const TARGET_NAME: u16 = 9;
    pub(crate) const CHANNEL_BINDINGS: u16 = 10;
}

/// Bit of the flags attribute: AUTHENTICATE carries a MIC.
pub(crate) const MIC_PRESENT: u32 = 0x0000_0002;

/// A list that was walked to its end marker once, so that every later walk is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AvPairs<'a>(&'a [u8]);

impl<'a> AvPairs<'a> {
    /// Takes a list and checks that it ends with the end marker; bytes after the marker are not looked at.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, AuthError> {
        let mut rest = bytes;
        loop {
            let (attribute, value, after) =
                take_pair(rest).ok_or(AuthError::Malformed { what: "NTLM attribute list" })?;
            if attribute == id::END {
                if !value.is_empty() {
                    return Err(AuthError::Malformed { what: "NTLM attribute list end" });
                }
                return Ok(Self(&bytes[..bytes.len() - rest.len()]));
            }
            rest = after;
        }
    }

    /// The pairs in order, without the end marker.
    pub(crate) fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (attribute, value, after) = take_pair(rest)?;
            rest = after;
            Some((attribute, value))
        })
    }

    /// Whether a flags attribute announces a MIC.
    pub(crate) fn announces_mic(self) -> bool {
        self.flags() & MIC_PRESENT != 0
    }

    /// The bits of the flags attribute; those of all, where there are several.
    pub(crate) fn flags(self) -> u32 {
        self.iter()
            .filter(|(attribute, _)| *attribute == id::FLAGS)
            .filter_map(|(_, value)| value.try_into().ok())
            .fold(0, |flags, value| flags | u32::from_le_bytes(value))
    }

    /// The server's time, a FILETIME, if the list has one.
    pub(crate) fn timestamp(self) -> Option<[u8; 8]> {
        self.iter()
            .find(|(attribute, _)| *attribute == id::TIMESTAMP)
            .and_then(|(_, value)| value.try_into().ok())
    }

    /// Whether every pair of `sent` came back unaltered.
    pub(crate) fn contains_all(self, sent: AvPairs<'_>) -> bool {
        sent.iter().all(|pair| self.iter().any(|ours| ours == pair))
    }

    /// The service name that the client meant, if it gave one that is text.
    pub(crate) fn target_name(self) -> Option<String> {
        self.iter()
            .find(|(attribute, value)| *attribute == id::TARGET_NAME && !value.is_empty())
            .and_then(|(_, value)| decode_utf16(value))
    }
}

/// Builds a list.
pub(crate) struct AvPairsBuilder(Vec<u8>);

impl AvPairsBuilder {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a pair; `value` must be shorter than 64 KiB.
    pub(crate) fn bytes(mut self, attribute: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len())
            .expect("invariant: attribute values are validated names and short constants");
        self.0.extend(attribute.to_le_bytes());
        self.0.extend(length.to_le_bytes());
        self.0.extend(value);
        self
    }

    pub(crate) fn text(self, attribute: u16, value: &str) -> Self {
        self.bytes(attribute, &utf16_bytes(value))
    }

    /// Adds the end marker.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes(id::END, &[]).0
    }
}

/// Text of UTF-16LE bytes; `None` for an odd length or a lone surrogate.
pub(crate) fn decode_utf16(bytes: &[u8]) -> Option<String> {
    let (units, odd) = bytes.as_chunks::<2>();
    if !odd.is_empty() {
        return None;
    }
    char::decode_utf16(units.iter().map(|unit| u16::from_le_bytes(*unit))).collect::<Result<_, _>>().ok()
}

fn take_pair(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    let [a, b, c, d] = *head;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([c, d])))?;
    Some((u16::from_le_bytes([a, b]), value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_parses() {
        let bytes = AvPairsBuilder::new()
            .text(id::NETBIOS_COMPUTER, "CA1")
            .bytes(id::FLAGS, &2_u32.to_le_bytes())
            .text(id::TARGET_NAME, "HOST/ca1")
            .finish();
        let pairs = AvPairs::parse(&bytes).unwrap();
        assert_eq!(pairs.iter().count(), 3);
        assert!(pairs.announces_mic());
        assert_eq!(pairs.target_name().as_deref(), Some("HOST/ca1"));
        let fewer = AvPairsBuilder::new().text(id::NETBIOS_COMPUTER, "CA1").finish();
        assert!(pairs.contains_all(AvPairs::parse(&fewer).unwrap()));
        assert!(!AvPairs::parse(&fewer).unwrap().contains_all(pairs));
    }

    #[test]
    fn a_list_without_its_end_is_refused_at_every_length() {
        let bytes = AvPairsBuilder::new().text(id::DNS_DOMAIN, "corp.example").finish();
        for length in 0..bytes.len() {
            assert!(AvPairs::parse(&bytes[..length]).is_err(), "{length}");
        }
        assert!(AvPairs::parse(&[0, 0, 1, 0, 9]).is_err());
    }

    #[test]
    fn text_must_be_whole_utf16() {
        assert_eq!(decode_utf16(&[0x41, 0, 0x42, 0]).as_deref(), Some("AB"));
        assert_eq!(decode_utf16(&[0x41]), None);
        assert_eq!(decode_utf16(&[0x00, 0xd8]), None);
    }
}
