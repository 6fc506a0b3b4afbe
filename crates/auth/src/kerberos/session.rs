//! Sealed messages of Kerberos, as PDUs want them.

use certadm_kerberos::{Message, Seal, Unseal, Unsent};

use crate::error::SealError;
use crate::protection::{Level, Protection, Segments};

/// What this end sends.
pub(crate) struct KerberosSeal(pub(super) Seal);

impl KerberosSeal {
    pub(crate) fn token_size(&self, level: Level) -> usize {
        match level {
            Level::Integrity => self.0.signed_token_size(),
            Level::Privacy => self.0.sealed_token_size(),
        }
    }

    /// See [`crate::Sealer::at_once`].
    pub(crate) fn at_once(&self, level: Level) -> usize {
        if level == Level::Privacy { self.0.at_once() } else { 1 }
    }

    /// Seals PDUs at privacy, faster than one after the other.
    pub(crate) fn seal_all(
        &mut self,
        protection: Protection,
        pdus: Vec<(Segments<'_>, &mut [u8])>,
    ) -> Result<(), SealError> {
        let unsent = |(pdu, token)| Unsent { message: signed_parts(protection, pdu), token };
        let mut messages: Vec<_> = pdus.into_iter().map(unsent).collect();
        self.0.seal_all(&mut messages).map_err(seal_error)
    }

    pub(crate) fn seal(
        &mut self,
        protection: Protection,
        pdu: Segments<'_>,
        token: &mut [u8],
    ) -> Result<(), SealError> {
        let message = signed_parts(protection, pdu);
        match protection.level {
            Level::Privacy => self.0.seal(message, token),
            Level::Integrity => self.0.sign(&[message.header, message.body, message.trailer], token),
        }
        .map_err(seal_error)
    }
}

/// What the peer sends.
pub(crate) struct KerberosUnseal(pub(super) Unseal);

impl KerberosUnseal {
    pub(crate) fn unseal(
        &mut self,
        protection: Protection,
        pdu: Segments<'_>,
        token: &[u8],
    ) -> Result<(), SealError> {
        let message = signed_parts(protection, pdu);
        match protection.level {
            Level::Privacy => self.0.unseal(message, token),
            Level::Integrity => self.0.verify(&[message.header, message.body, message.trailer], token),
        }
        .map_err(seal_error)
    }
}

/// The parts of a PDU that are signed: without header signing, header and trailer are not (kerberos.md 7).
fn signed_parts(protection: Protection, pdu: Segments<'_>) -> Message<'_> {
    let Segments { header, body, trailer } = pdu;
    if protection.header_signing {
        Message { header, body, trailer }
    } else {
        Message { header: &[], body, trailer: &[] }
    }
}

fn seal_error(error: certadm_kerberos::SealError) -> SealError {
    match error {
        certadm_kerberos::SealError::TokenSize { expected, actual } => {
            SealError::TokenSize { expected, actual }
        }
        certadm_kerberos::SealError::Alignment => SealError::Alignment,
        certadm_kerberos::SealError::Broken => SealError::Broken,
        _ => SealError::BadSignature,
    }
}
