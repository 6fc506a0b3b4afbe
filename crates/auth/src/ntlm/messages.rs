//! NEGOTIATE, CHALLENGE and AUTHENTICATE (MS-NLMP 2.2.1; wire.md 2.12). Parsing borrows from the token and trusts no offset.

use std::fmt;
use std::ops::{BitAnd, BitOr};

use crate::error::AuthError;
use crate::ntlm::av_pairs::{AvPairs, decode_utf16};
use crate::text::utf16_bytes;

/// The eight bytes that begin every NTLM message.
pub(crate) const SIGNATURE: [u8; 8] = *b"NTLMSSP\0";

/// Whether a token is raw NTLM, which may also come under auth type 9 (wire.md 2.10).
pub(crate) fn is_ntlm(token: &[u8]) -> bool {
    token.starts_with(&SIGNATURE)
}

/// Negotiate flags (MS-NLMP 2.2.2.5).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u32);

impl Flags {
    pub(crate) const UNICODE: Self = Self(0x0000_0001);
    pub(crate) const REQUEST_TARGET: Self = Self(0x0000_0004);
    pub(crate) const SIGN: Self = Self(0x0000_0010);
    pub(crate) const SEAL: Self = Self(0x0000_0020);
    pub(crate) const NTLM: Self = Self(0x0000_0200);
    pub(crate) const ANONYMOUS: Self = Self(0x0000_0800);
    pub(crate) const ALWAYS_SIGN: Self = Self(0x0000_8000);
    pub(crate) const TARGET_TYPE_SERVER: Self = Self(0x0002_0000);
    pub(crate) const EXTENDED_SESSION_SECURITY: Self = Self(0x0008_0000);
    pub(crate) const TARGET_INFO: Self = Self(0x0080_0000);
    pub(crate) const VERSION: Self = Self(0x0200_0000);
    pub(crate) const KEY_128: Self = Self(0x2000_0000);
    pub(crate) const KEY_EXCHANGE: Self = Self(0x4000_0000);
    pub(crate) const KEY_56: Self = Self(0x8000_0000);

    pub(crate) fn contains(self, other: Self) -> bool {
        self & other == other
    }

    /// Checks that everything required for `seal`ing, or for signing alone, is there.
    pub(crate) fn require(self, seal: bool) -> Result<(), AuthError> {
        let required = [
            (Self::UNICODE, "Unicode names"),
            (Self::NTLM, "NTLM"),
            (Self::EXTENDED_SESSION_SECURITY, "extended session security"),
            (Self::KEY_128, "128-bit keys"),
            (Self::KEY_EXCHANGE, "key exchange"),
            (Self::SIGN, "signing"),
            (Self::SEAL, "sealing"),
        ];
        match required
            .into_iter()
            .filter(|(flag, _)| seal || *flag != Self::SEAL)
            .find(|(flag, _)| !self.contains(*flag))
        {
            Some((_, missing)) => Err(AuthError::WeakNegotiation { missing }),
            None => Ok(()),
        }
    }
}

impl BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Flags {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({:#010x})", self.0)
    }
}

/// NEGOTIATE_MESSAGE (MS-NLMP 2.2.1.1). It may stop after the flags; the names it can carry are of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Negotiate {
    pub(crate) flags: Flags,
}

impl Negotiate {
    const TYPE: u32 = 1;

    pub(crate) fn parse(token: &[u8]) -> Result<Self, AuthError> {
        let message = Message::parse(token, Self::TYPE, "NTLM NEGOTIATE")?;
        Ok(Self { flags: Flags(message.u32(12)?) })
    }

    /// The bytes to send: no names, but a version.
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut token = Vec::from(SIGNATURE);
        token.extend(Self::TYPE.to_le_bytes());
        token.extend(self.flags.0.to_le_bytes());
        token.extend([0; 16]);
        token.extend(VERSION);
        token
    }
}

/// CHALLENGE_MESSAGE (MS-NLMP 2.2.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge<'a> {
    pub(crate) flags: Flags,
    pub(crate) server_challenge: [u8; 8],
    /// UTF-16LE.
    pub(crate) target_name: &'a [u8],
    /// The attribute list.
    pub(crate) target_info: &'a [u8],
}

impl<'a> Challenge<'a> {
    const TYPE: u32 = 2;
    /// target name, flags, challenge, reserved, target info, version after signature and type
    const PAYLOAD: u32 = 56;
    /// Where the payload may begin at the earliest: the version may be left out.
    const MINIMUM: usize = 48;

    pub(crate) fn parse(token: &'a [u8]) -> Result<Self, AuthError> {
        let message = Message::parse(token, Self::TYPE, "NTLM CHALLENGE")?;
        Ok(Self {
            target_name: message.field(12, Self::MINIMUM)?,
            flags: Flags(message.u32(20)?),
            server_challenge: message.array(24)?,
            target_info: message.field(40, Self::MINIMUM)?,
        })
    }

    /// The bytes to send. `target_name` and `target_info` must each be shorter than 64 KiB.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let name_size = size_of_field(self.target_name);
        let info_size = size_of_field(self.target_info);
        let mut token = Vec::new();
        token.extend(SIGNATURE);
        token.extend(Self::TYPE.to_le_bytes());
        push_field(&mut token, name_size, Self::PAYLOAD);
        token.extend(self.flags.0.to_le_bytes());
        token.extend(self.server_challenge);
        token.extend([0; 8]);
        push_field(&mut token, info_size, Self::PAYLOAD + u32::from(name_size));
        token.extend(VERSION);
        token.extend(self.target_name);
        token.extend(self.target_info);
        token
    }
}

/// VERSION (MS-NLMP 2.2.2.10): for debugging only; wire.md 2.12 has these bytes.
const VERSION: [u8; 8] = [0x0a, 0x00, 0x61, 0x4a, 0x00, 0x00, 0x00, 0x0f];

/// AUTHENTICATE_MESSAGE (MS-NLMP 2.2.1.3).
pub(crate) struct Authenticate<'a> {
    pub(crate) flags: Flags,
    pub(crate) nt_response: &'a [u8],
    pub(crate) domain: String,
    pub(crate) user: String,
    pub(crate) workstation: String,
    pub(crate) encrypted_session_key: &'a [u8],
    token: &'a [u8],
    /// Where the first non-empty field begins: it tells whether there is room for a MIC before it.
    payload: usize,
}

impl<'a> Authenticate<'a> {
    const TYPE: u32 = 3;
    /// Where the payload may begin at the earliest: version and MIC may be left out.
    const MINIMUM: usize = 64;
    pub(crate) const MIC: std::ops::Range<usize> = 72..88;
    /// Longest name accepted, in bytes: 256 characters.
    const LONGEST_NAME: usize = 512;

    pub(crate) fn parse(token: &'a [u8]) -> Result<Self, AuthError> {
        let message = Message::parse(token, Self::TYPE, "NTLM AUTHENTICATE")?;
        let field = |offset| message.field(offset, Self::MINIMUM);
        let name = |offset| {
            let bytes = field(offset)?;
            decode_utf16(bytes)
                .filter(|_| bytes.len() <= Self::LONGEST_NAME)
                .ok_or(AuthError::Malformed { what: "NTLM account name" })
        };
        let mut payload = token.len();
        // the LM response is walked over like all six fields, and not used: it proves nothing that NTLMv2 does not
        for offset in (12..60).step_by(8) {
            if !field(offset)?.is_empty() {
                payload = payload.min(message.offset(offset)?);
            }
        }
        Ok(Self {
            nt_response: field(20)?,
            domain: name(28)?,
            user: name(36)?,
            workstation: name(44)?,
            encrypted_session_key: field(52)?,
            flags: Flags(message.u32(60)?),
            token,
            payload,
        })
    }

    /// Where the LM response of the message stands.
    #[cfg(test)]
    pub(crate) fn lm_response(token: &[u8]) -> Result<std::ops::Range<usize>, AuthError> {
        let message = Message::parse(token, Self::TYPE, "NTLM AUTHENTICATE")?;
        let start = message.offset(12)?;
        Ok(start..start.saturating_add(message.field(12, Self::MINIMUM)?.len()))
    }

    /// The MIC and the message around it. The message holds one only if the client announced it (AV id 6), which the
    /// caller must know.
    pub(crate) fn split_at_mic(&self) -> Result<AroundMic<'a>, AuthError> {
        let absent = AuthError::Malformed { what: "NTLM message integrity code" };
        if self.payload < Self::MIC.end {
            return Err(absent);
        }
        let (before, rest) = self.token.split_at_checked(Self::MIC.start).ok_or(absent.clone())?;
        let (mic, after) = rest.split_first_chunk::<16>().ok_or(absent)?;
        Ok(AroundMic { before, mic: *mic, after })
    }
}

/// What a client says in AUTHENTICATE.
pub(crate) struct AuthenticateParts<'a> {
    pub(crate) flags: Flags,
    pub(crate) lm_response: &'a [u8],
    pub(crate) nt_response: &'a [u8],
    pub(crate) domain: &'a str,
    pub(crate) user: &'a str,
    pub(crate) workstation: &'a str,
    pub(crate) encrypted_session_key: &'a [u8],
}

impl AuthenticateParts<'_> {
    /// The message with a MIC of zeros, over which the MIC is made. Every part must be shorter than 64 KiB.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let [domain, user, workstation] = [self.domain, self.user, self.workstation].map(utf16_bytes);
        // The parts in the order of their fields.
        let parts: [&[u8]; 6] =
            [self.lm_response, self.nt_response, &domain, &user, &workstation, self.encrypted_session_key];
        let mut token = Vec::from(SIGNATURE);
        token.extend(Authenticate::TYPE.to_le_bytes());
        let mut offset = Authenticate::MIC.end;
        for part in parts {
            let start = u32::try_from(offset).expect("invariant: six parts of less than 64 KiB");
            push_field(&mut token, size_of_field(part), start);
            offset += part.len();
        }
        token.extend(self.flags.0.to_le_bytes());
        token.extend(VERSION);
        token.extend([0; 16]);
        parts.iter().for_each(|part| token.extend(*part));
        token
    }
}

/// An AUTHENTICATE cut at its message integrity code.
#[derive(Clone, Copy)]
pub(crate) struct AroundMic<'a> {
    pub(crate) before: &'a [u8],
    pub(crate) mic: [u8; 16],
    pub(crate) after: &'a [u8],
}

impl fmt::Debug for Authenticate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // the responses are good for an offline guess of the password: not printed
        f.debug_struct("Authenticate")
            .field("flags", &self.flags)
            .field("domain", &self.domain)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// The NTLMv2 response in its two parts (MS-NLMP 2.2.2.8).
#[derive(Clone, Copy)]
pub(crate) struct NtlmV2Response<'a> {
    pub(crate) proof: [u8; 16],
    /// Everything after the proof; it is what the proof covers.
    pub(crate) temp: &'a [u8],
    pub(crate) pairs: AvPairs<'a>,
}

impl<'a> NtlmV2Response<'a> {
    /// What the proof covers: version, time, client challenge, attributes, and room that nobody uses (MS-NLMP 2.2.2.7).
    pub(crate) fn temp(time: [u8; 8], client_challenge: [u8; 8], attributes: &[u8]) -> Vec<u8> {
        let version = [1, 1, 0, 0, 0, 0, 0, 0];
        [&version[..], &time, &client_challenge, &[0; 4], attributes, &[0; 4]].concat()
    }

    /// Bytes of NTLMv1 responses and of LMv2: never a version 2 response.
    const OBSOLETE: usize = 24;
    /// Version bytes, reserved, time, client challenge, reserved: what precedes the attribute list in `temp`.
    const FIXED: usize = 28;

    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, AuthError> {
        let malformed = || AuthError::Malformed { what: "NTLMv2 response" };
        if bytes.len() <= Self::OBSOLETE {
            return Err(AuthError::ObsoleteResponse);
        }
        let (proof, temp) = bytes.split_first_chunk::<16>().ok_or_else(malformed)?;
        let (fixed, pairs) = temp.split_at_checked(Self::FIXED).ok_or_else(malformed)?;
        if !fixed.starts_with(&[1, 1]) {
            return Err(malformed());
        }
        Ok(Self { proof: *proof, temp, pairs: AvPairs::parse(pairs)? })
    }
}

/// A message whose signature and type are right.
struct Message<'a> {
    token: &'a [u8],
    what: &'static str,
}

impl<'a> Message<'a> {
    fn parse(token: &'a [u8], kind: u32, what: &'static str) -> Result<Self, AuthError> {
        let message = Self { token, what };
        if !is_ntlm(token) {
            return Err(message.malformed());
        }
        if message.u32(8)? != kind {
            return Err(AuthError::UnexpectedToken { what });
        }
        Ok(message)
    }

    fn array<const N: usize>(&self, offset: usize) -> Result<[u8; N], AuthError> {
        self.token
            .get(offset..)
            .and_then(|rest| rest.first_chunk::<N>())
            .copied()
            .ok_or_else(|| self.malformed())
    }

    fn u32(&self, offset: usize) -> Result<u32, AuthError> {
        self.array(offset).map(u32::from_le_bytes)
    }

    /// The offset that the field at `at` names.
    fn offset(&self, at: usize) -> Result<usize, AuthError> {
        usize::try_from(self.u32(at + 4)?).map_err(|_| self.malformed())
    }

    /// The bytes that the field (length, maximum length, offset) at `at` names, not before `payload`. The maximum length says
    /// nothing (MS-NLMP 2.2.1: ignored on receipt); an empty field may have any offset.
    fn field(&self, at: usize, payload: usize) -> Result<&'a [u8], AuthError> {
        let length = usize::from(u16::from_le_bytes(self.array(at)?));
        let start = self.offset(at)?;
        if length == 0 {
            return Ok(&[]);
        }
        self.token
            .get(start..)
            .filter(|_| payload <= start)
            .and_then(|rest| rest.get(..length))
            .ok_or_else(|| self.malformed())
    }

    fn malformed(&self) -> AuthError {
        AuthError::Malformed { what: self.what }
    }
}

fn size_of_field(content: &[u8]) -> u16 {
    u16::try_from(content.len())
        .expect("invariant: names are validated to be short, so lists of them are short as well")
}

fn push_field(token: &mut Vec<u8>, size: u16, offset: u32) {
    token.extend(size.to_le_bytes());
    token.extend(size.to_le_bytes());
    token.extend(offset.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{AUTHENTICATE_V1, hex, hex16, vector_a};

    #[test]
    fn parses_the_published_challenge() {
        let token = hex(vector_a::CHALLENGE);
        let challenge = Challenge::parse(&token).unwrap();
        assert_eq!(challenge.flags, Flags(0xe28a_8233));
        assert_eq!(challenge.server_challenge, vector_a::SERVER_CHALLENGE);
        assert_eq!(decode_utf16(challenge.target_name).as_deref(), Some("Server"));
        let pairs = AvPairs::parse(challenge.target_info).unwrap();
        assert_eq!(pairs.iter().map(|pair| pair.0).collect::<Vec<_>>(), [2, 1]);
        let again = challenge.encode();
        assert_eq!(Challenge::parse(&again).unwrap(), challenge);
        assert_eq!(again[..48], token[..48]);
        assert_eq!(again[56..], token[56..]);
    }

    #[test]
    fn parses_the_published_authenticate() {
        let token = hex(vector_a::AUTHENTICATE);
        let message = Authenticate::parse(&token).unwrap();
        assert_eq!(message.flags, Flags(0xe288_8235));
        assert_eq!(message.domain, "Domain");
        assert_eq!(message.user, "User");
        assert_eq!(message.workstation, "COMPUTER");
        assert_eq!(message.encrypted_session_key, hex16("c5dad2544fc9799094ce1ce90bc9d03e"));
        let response = NtlmV2Response::parse(message.nt_response).unwrap();
        assert_eq!(response.proof, hex16("68cd0ab851e51c96aabc927bebef6a1c"));
        assert_eq!(response.temp, hex(vector_a::TEMP));
        assert!(!response.pairs.announces_mic());
        // its payload begins at 72: there is no room for a MIC
        assert!(message.split_at_mic().is_err());
    }

    #[test]
    fn version_one_responses_are_refused() {
        let token = hex(AUTHENTICATE_V1);
        let message = Authenticate::parse(&token).unwrap();
        for response in [message.nt_response, &[]] {
            assert_eq!(NtlmV2Response::parse(response).err(), Some(AuthError::ObsoleteResponse));
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        let token = hex(vector_a::AUTHENTICATE);
        for length in 0..token.len() {
            assert!(Authenticate::parse(&token[..length]).is_err(), "{length}");
        }
        let token = hex(vector_a::CHALLENGE);
        for length in 0..token.len() {
            assert!(Challenge::parse(&token[..length]).is_err(), "{length}");
        }
        for length in 0..16 {
            assert!(Negotiate::parse(&hex("4e544c4d5353500001000000378208e2")[..length]).is_err());
        }
    }

    #[test]
    fn negotiate_may_stop_after_its_flags() {
        let token = hex("4e544c4d5353500001000000378208e2");
        assert_eq!(Negotiate::parse(&token).unwrap().flags, Flags(0xe208_8237));
        assert_eq!(Flags(0xe208_8237).require(true), Ok(()));
    }

    #[test]
    fn fields_outside_the_message_or_inside_its_header_are_refused() {
        for (offset, value) in [(16, 0xffff_ffff_u32), (16, 0), (16, 63), (24, 0x8000_0000)] {
            let mut token = hex(vector_a::AUTHENTICATE);
            token[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
            assert!(Authenticate::parse(&token).is_err(), "{offset} {value:#x}");
        }
    }

    #[test]
    fn each_missing_flag_is_named() {
        let all = Flags(0xe208_8237);
        for flag in [
            Flags::UNICODE,
            Flags::NTLM,
            Flags::EXTENDED_SESSION_SECURITY,
            Flags::KEY_128,
            Flags::KEY_EXCHANGE,
            Flags::SIGN,
            Flags::SEAL,
        ] {
            let weaker = Flags(all.0 & !flag.0);
            assert!(matches!(weaker.require(true), Err(AuthError::WeakNegotiation { .. })));
        }
        assert_eq!(Flags(all.0 & !Flags::SEAL.0).require(false), Ok(()));
    }
}
