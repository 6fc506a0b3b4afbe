//! The frame of GSS tokens (RFC 2743 3.1, RFC 4121 4.1): `60 | length | OID of Kerberos | token id | token`. In DCE style
//! tokens travel without it, but some peers frame them all the same, or only their refusals (kerberos.md 4.1).

use crate::der::{Malformed, Reader, only, tag};

/// 1.2.840.113554.1.2.2
const KERBEROS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2];

/// What a frame says that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenId {
    Request,
    Reply,
    Error,
}

impl TokenId {
    const fn bytes(self) -> [u8; 2] {
        match self {
            Self::Request => [1, 0],
            Self::Reply => [2, 0],
            Self::Error => [3, 0],
        }
    }
}

/// The token without its frame, if it has one. A frame must name one of these kinds.
pub(crate) fn unframed<'a>(token: &'a [u8], kinds: &[TokenId]) -> Result<&'a [u8], Malformed> {
    const WHAT: &str = "the frame of a security token";
    if token.first() != Some(&tag::application(0)) {
        return Ok(token);
    }
    let mut reader = Reader::new(only(token, tag::application(0), WHAT)?, WHAT);
    if reader.value(tag::OBJECT_IDENTIFIER)? != KERBEROS {
        return Err(reader.malformed());
    }
    let framed = reader.remaining();
    kinds.iter().find_map(|kind| framed.strip_prefix(&kind.bytes())).ok_or(reader.malformed())
}
