//! Protecting PDUs on a finished context, in DCE style: the body is encrypted in place and keeps its length, header and
//! sec_trailer are signed and stay readable, everything else goes into the token (wire.md 2.8, 2.11, 2.14).

use std::fmt;

use crate::error::SealError;
use crate::kerberos::session::{KerberosSeal, KerberosUnseal};
use crate::ntlm::session::{NtlmSeal, NtlmUnseal, TOKEN_SIZE};
use crate::protection::{Level, Protection, Segments};

/// Protects what this end sends. PDUs must be sealed in the order in which they are sent.
pub struct Sealer(SealerKind);

enum SealerKind {
    Ntlm(Box<NtlmSeal>),
    Kerberos(Box<KerberosSeal>),
}

impl Sealer {
    pub(crate) fn ntlm(seal: NtlmSeal) -> Self {
        Self(SealerKind::Ntlm(Box::new(seal)))
    }

    pub(crate) fn kerberos(seal: KerberosSeal) -> Self {
        Self(SealerKind::Kerberos(Box::new(seal)))
    }

    /// Bytes of the token of every PDU at `level` (wire.md 2.8): 16 for NTLM, for Kerberos what kerberos.md 2.2 says. Constant
    /// over the life of the context.
    #[must_use]
    pub fn token_size(&self, level: Level) -> usize {
        match &self.0 {
            SealerKind::Ntlm(_) => TOKEN_SIZE,
            SealerKind::Kerberos(seal) => seal.token_size(level),
        }
    }

    /// Signs `pdu`, encrypts its body in place at [`Level::Privacy`], and writes the token.
    ///
    /// # Errors
    /// [`SealError::TokenSize`] if `token` does not have [`token_size`](Self::token_size) bytes,
    /// [`SealError::NotNegotiated`], [`SealError::Alignment`], [`SealError::SequenceExhausted`]; nothing was changed then. HRESULT 0x80070005.
    pub fn seal(
        &mut self,
        protection: Protection,
        pdu: Segments<'_>,
        token: &mut [u8],
    ) -> Result<(), SealError> {
        match &mut self.0 {
            SealerKind::Ntlm(seal) => seal.seal(protection.level, pdu, token),
            SealerKind::Kerberos(seal) => seal.seal(protection, pdu, token),
        }
    }
}

impl Sealer {
    /// How many PDUs that follow one another are worth sealing together at `level`.
    #[must_use]
    pub fn at_once(&self, level: Level) -> usize {
        match &self.0 {
            SealerKind::Ntlm(_) => 1,
            SealerKind::Kerberos(seal) => seal.at_once(level),
        }
    }

    /// Seals PDUs, each with its token, as [`seal`](Self::seal) does one after the other.
    ///
    /// # Errors
    /// Those of [`seal`](Self::seal). The connection is to be closed then: some of them may be sealed, and were not sent.
    pub fn seal_all(
        &mut self,
        protection: Protection,
        pdus: Vec<(Segments<'_>, &mut [u8])>,
    ) -> Result<(), SealError> {
        match &mut self.0 {
            SealerKind::Kerberos(seal) if protection.level == Level::Privacy => {
                seal.seal_all(protection, pdus)
            }
            _ => pdus.into_iter().try_for_each(|(pdu, token)| self.seal(protection, pdu, token)),
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
    Kerberos(Box<KerberosUnseal>),
}

impl Unsealer {
    pub(crate) fn ntlm(unseal: NtlmUnseal) -> Self {
        Self(UnsealerKind::Ntlm(Box::new(unseal)))
    }

    pub(crate) fn kerberos(unseal: KerberosUnseal) -> Self {
        Self(UnsealerKind::Kerberos(Box::new(unseal)))
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
            UnsealerKind::Kerberos(unseal) => unseal.unseal(protection, pdu, token),
        }
    }
}

impl fmt::Debug for Unsealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unsealer(..)")
    }
}
