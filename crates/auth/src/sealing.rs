//! Protecting PDUs on a finished context, in DCE style: the body is encrypted in place and keeps its length, header and
//! sec_trailer are signed and stay readable, everything else goes into the token (wire.md 2.8, 2.11, 2.14).

use std::fmt;
use std::ops::Range;

use crate::context::Level;
use crate::error::SealError;
use crate::ntlm::session::{NtlmSeal, NtlmUnseal};

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

/// Protects what this end sends. PDUs must be sealed in the order in which they are sent.
pub struct Sealer(SealerKind);

enum SealerKind {
    Ntlm(Box<NtlmSeal>),
}

impl Sealer {
    pub(crate) fn ntlm(seal: NtlmSeal) -> Self {
        Self(SealerKind::Ntlm(Box::new(seal)))
    }

    /// Bytes of the token of every PDU at `level` (wire.md 2.8): 16 for NTLM. Constant over the life of the context.
    #[must_use]
    pub fn token_size(&self, _level: Level) -> usize {
        match &self.0 {
            SealerKind::Ntlm(_) => crate::ntlm::session::TOKEN_SIZE,
        }
    }

    /// Signs `pdu`, encrypts its body in place at [`Level::Privacy`], and writes the token.
    ///
    /// # Errors
    /// [`SealError::TokenSize`] if `token` does not have [`token_size`](Self::token_size) bytes,
    /// [`SealError::NotNegotiated`], [`SealError::SequenceExhausted`]; nothing was changed then. HRESULT 0x80070005.
    pub fn seal(
        &mut self,
        protection: Protection,
        pdu: Segments<'_>,
        token: &mut [u8],
    ) -> Result<(), SealError> {
        match &mut self.0 {
            SealerKind::Ntlm(seal) => seal.seal(protection.level, pdu, token),
        }
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

/// Checks and opens what the peer sends. PDUs must be opened in the order in which they came.
pub struct Unsealer(UnsealerKind);

enum UnsealerKind {
    Ntlm(Box<NtlmUnseal>),
}

impl Unsealer {
    pub(crate) fn ntlm(unseal: NtlmUnseal) -> Self {
        Self(UnsealerKind::Ntlm(Box::new(unseal)))
    }

    /// Decrypts the body in place at [`Level::Privacy`] and checks signature and place in the sequence.
    ///
    /// `token` is what the PDU's auth_length says: some mechanisms let the peer choose the size within bounds.
    ///
    /// # Errors
    /// Any error breaks the context for good: later calls give [`SealError::Broken`], and a body that did not verify is
    /// overwritten with zeros. HRESULT 0x80070005.
    pub fn unseal(
        &mut self,
        protection: Protection,
        pdu: Segments<'_>,
        token: &[u8],
    ) -> Result<(), SealError> {
        match &mut self.0 {
            UnsealerKind::Ntlm(unseal) => unseal.unseal(protection.level, pdu, token),
        }
    }
}

impl fmt::Debug for Unsealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unsealer(..)")
    }
}
