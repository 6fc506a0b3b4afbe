//! The authentication verifier and what it covers (wire.md 2.8, 2.11; RPCE 2.2.2.11).

use std::ops::Range;

use certadm_rules::AuthType;

use super::{Header, PduError};
use crate::ndr::Reader;

/// The field `auth_level` (wire.md 2.8), in rising order of protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AuthLevel {
    /// 1: no authentication.
    None,
    /// 2: only the bind is authenticated.
    Connect,
    /// 3: treated as [`AuthLevel::Packet`].
    Call,
    /// 4: replay detection only; refused for our interfaces.
    Packet,
    /// 5: signed.
    Integrity,
    /// 6: signed and encrypted.
    Privacy,
}

impl AuthLevel {
    /// The level of an `auth_level`; none when it is not in the table.
    #[must_use]
    pub const fn from_wire(level: u8) -> Option<Self> {
        Some(match level {
            1 => Self::None,
            2 => Self::Connect,
            3 => Self::Call,
            4 => Self::Packet,
            5 => Self::Integrity,
            6 => Self::Privacy,
            _ => return None,
        })
    }

    /// The `auth_level`.
    #[must_use]
    pub const fn to_wire(self) -> u8 {
        match self {
            Self::None => 1,
            Self::Connect => 2,
            Self::Call => 3,
            Self::Packet => 4,
            Self::Integrity => 5,
            Self::Privacy => 6,
        }
    }
}

/// The sec_trailer and its token (wire.md 2.8; RPCE 2.2.2.11). The padding before it is made by encoding and removed
/// by decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verifier<'a> {
    /// `auth_type`.
    pub auth_type: AuthType,
    /// `auth_level`.
    pub level: AuthLevel,
    /// `auth_context_id`: names the security context within its connection.
    pub context_id: u32,
    /// The token. When a PDU is encoded to be sealed afterwards: as many zeros as the token will have bytes.
    pub token: &'a [u8],
}

/// Which bytes of an encoded PDU are what, for signing and sealing in place (wire.md 2.8, 2.11). The ranges touch:
/// header, body, sec_trailer, token, to the end of the PDU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The header: 24 bytes, 40 with an object UUID. Signed when header signing is agreed, never sealed.
    pub header: Range<usize>,
    /// Stub, verification trailer and authentication padding: signed, and sealed at [`AuthLevel::Privacy`].
    pub body: Range<usize>,
    /// The 8 bytes before the token: signed when header signing is agreed.
    pub sec_trailer: Range<usize>,
    /// The token itself: the signature of a protected PDU.
    pub token: Range<usize>,
    /// How many bytes at the end of `body` are padding.
    pub padding: usize,
}

impl Layout {
    /// The parts of the whole PDU `pdu` whose header is `header`. Without a verifier the last two are empty.
    ///
    /// # Errors
    ///
    /// [`PduError::Truncated`] when `pdu` is not as long as its header says; [`PduError::Lengths`];
    /// [`PduError::Padding`] when there would be more padding than body.
    pub fn of(header: &Header, pdu: &[u8]) -> Result<Self, PduError> {
        let size = usize::from(header.fragment_length);
        if pdu.len() != size {
            return Err(PduError::Truncated { needed: size, available: pdu.len() });
        }
        let lengths =
            PduError::Lengths { fragment_length: header.fragment_length, auth_length: header.auth_length };
        let start = header.body_offset();
        let trailer = size.checked_sub(header.trailer_size()).filter(|&end| start <= end).ok_or(lengths)?;
        let token = if header.auth_length == 0 { size } else { trailer + 8 };
        let padding = match pdu.get(trailer..token) {
            Some(&[_, _, padding, ..]) => usize::from(padding),
            _ => 0,
        };
        if padding > trailer - start {
            return Err(PduError::Padding { padding, body: trailer - start });
        }
        Ok(Self {
            header: 0..start,
            body: start..trailer,
            sec_trailer: trailer..token,
            token: token..size,
            padding,
        })
    }

    /// The body without its padding: what the parameters and the verification trailer are read from.
    #[must_use]
    pub const fn unpadded_body(&self) -> Range<usize> {
        self.body.start..self.body.end - self.padding
    }

    /// Decodes the verifier of `pdu`, none when there is none.
    ///
    /// # Errors
    ///
    /// [`PduError::AuthLevel`] for a level outside the table.
    pub fn verifier<'a>(&self, header: &Header, pdu: &'a [u8]) -> Result<Option<Verifier<'a>>, PduError> {
        if header.auth_length == 0 {
            return Ok(None);
        }
        let mut reader = Reader::new(pdu.get(self.sec_trailer.clone()).unwrap_or_default(), header.order);
        let (auth_type, level) = (AuthType(reader.u8()?), reader.u8()?);
        reader.u16()?;
        let context_id = reader.u32()?;
        let level = AuthLevel::from_wire(level).ok_or(PduError::AuthLevel { level })?;
        let token = pdu.get(self.token.clone()).unwrap_or_default();
        Ok(Some(Verifier { auth_type, level, context_id, token }))
    }
}
