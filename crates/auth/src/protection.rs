//! How a PDU is protected, and the parts of it that protection treats differently (wire.md 2.8, 2.11).

use std::ops::Range;

use crate::error::SealError;

/// What a context must protect (auth_level 5 and 6 of wire.md 2.8; lower levels are refused, 4.18).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Packet integrity (5): signed.
    Integrity,
    /// Packet privacy (6): signed, and the body encrypted.
    Privacy,
}

impl Level {
    /// The number on the wire.
    #[must_use]
    pub fn to_wire(self) -> u8 {
        match self {
            Self::Integrity => 5,
            Self::Privacy => 6,
        }
    }

    /// Reads the number on the wire; `None` for the levels below 5.
    #[must_use]
    pub fn from_wire(number: u8) -> Option<Self> {
        match number {
            5 => Some(Self::Integrity),
            6 => Some(Self::Privacy),
            _ => None,
        }
    }
}

/// How PDUs of a context are protected; fixed at the bind, the same for every PDU (wire.md 2.11, 7 item 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    /// Whether the body is encrypted.
    pub level: Level,
    /// Whether header signing (flag 0x04) was agreed. NTLM with extended session security signs header and trailer in any
    /// case; Kerberos leaves them unsigned without it.
    pub header_signing: bool,
}

/// One PDU cut into the parts that protection treats differently, without its token.
///
/// `frag_length`, `auth_length` and auth_pad_length must hold their final values.
#[derive(Debug)]
pub struct Segments<'a> {
    /// The request or response header: 24 bytes, 40 with object UUID.
    pub header: &'a [u8],
    /// Stub, verification trailer and auth padding.
    pub body: &'a mut [u8],
    /// The 8 bytes of the sec_trailer.
    pub trailer: &'a [u8],
}

/// Bytes of a sec_trailer without its token (wire.md 2.8).
const TRAILER: usize = 8;

impl<'a> Segments<'a> {
    /// Cuts a whole PDU into its segments and its token.
    ///
    /// # Errors
    /// [`SealError::TooShort`] if header, trailer and token do not fit.
    pub fn split(
        pdu: &'a mut [u8],
        header_size: usize,
        token_size: usize,
    ) -> Result<(Self, &'a mut [u8]), SealError> {
        let Range { start, end } = Self::body_range(pdu.len(), header_size, token_size)?;
        let (header, rest) = pdu.split_at_mut(start);
        let (body, rest) = rest.split_at_mut(end - start);
        let (trailer, token) = rest.split_at_mut(TRAILER);
        Ok((Self { header, body, trailer }, token))
    }

    /// Where the body lies in a PDU of `pdu_size` bytes.
    ///
    /// # Errors
    /// [`SealError::TooShort`] if header, trailer and token do not fit.
    pub fn body_range(
        pdu_size: usize,
        header_size: usize,
        token_size: usize,
    ) -> Result<Range<usize>, SealError> {
        let end = pdu_size
            .checked_sub(token_size)
            .and_then(|size| size.checked_sub(TRAILER))
            .filter(|end| header_size <= *end)
            .ok_or(SealError::TooShort)?;
        Ok(header_size..end)
    }
}
