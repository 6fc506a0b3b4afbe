//! Encrypting and signing with a key for one purpose (RFC 3961 5.3, RFC 8009 5).

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::aes::{Aes, BLOCK};
use super::derive::derive;
use super::key::{Etype, Key};
use super::mac::{MAX_MAC, Mac};

/// What a key is used for (RFC 4120 7.5.1, RFC 4121 2): each use has keys of its own, derived from the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyUsage(pub u32);

impl KeyUsage {
    /// The timestamp of a pre-authentication, under the client's key.
    pub const TIMESTAMP: Self = Self(1);
    /// A ticket, under the service's key.
    pub const TICKET: Self = Self(2);
    /// The reply to a logon, under the client's key.
    pub const AS_REPLY: Self = Self(3);
    /// The checksum over a request for a ticket, under the session key.
    pub const TGS_CHECKSUM: Self = Self(6);
    /// The authenticator of a request for a ticket, under the session key.
    pub const TGS_AUTHENTICATOR: Self = Self(7);
    /// The reply with a ticket, under the session key.
    pub const TGS_REPLY_SESSION: Self = Self(8);
    /// The reply with a ticket, under the subkey of the request.
    pub const TGS_REPLY_SUBKEY: Self = Self(9);
    /// The authenticator shown to a service, under the session key.
    pub const AP_AUTHENTICATOR: Self = Self(11);
    /// A service's reply, under the session key.
    pub const AP_REPLY: Self = Self(12);
    /// The signatures of a PAC, under the service's and the KDC's key.
    pub const PAC_SIGNATURE: Self = Self(17);
    /// What the acceptor seals.
    pub const ACCEPTOR_SEAL: Self = Self(22);
    /// What the acceptor signs.
    pub const ACCEPTOR_SIGN: Self = Self(23);
    /// What the initiator seals.
    pub const INITIATOR_SEAL: Self = Self(24);
    /// What the initiator signs.
    pub const INITIATOR_SIGN: Self = Self(25);
}

/// Something does not decrypt or verify: the key is another one, or the bytes were altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a checksum does not verify; the key is another one, or the message was altered")]
pub struct IntegrityError;

/// The keys of one use. Wiped when they are dropped.
#[derive(Clone)]
pub struct UsageKeys {
    pub(crate) etype: Etype,
    pub(crate) encryption: Aes,
    pub(crate) integrity: Mac,
    checksum: Mac,
}

impl UsageKeys {
    /// Derives the keys.
    #[must_use]
    pub fn new(key: &Key, usage: KeyUsage) -> Self {
        let etype = key.etype();
        // RFC 8009 5: the keys of the checksums are as long as the checksums.
        let mac_key = if etype.is_sha2() { etype.mac_size() } else { etype.key_size() };
        let derived = |purpose: u8, size: usize| {
            let [a, b, c, d] = usage.0.to_be_bytes();
            derive(etype, key.expose(), &[a, b, c, d, purpose], size)
        };
        Self {
            etype,
            encryption: Aes::new(&derived(0xaa, etype.key_size())),
            integrity: Mac::new(etype, &derived(0x55, mac_key)),
            checksum: Mac::new(etype, &derived(0x99, mac_key)),
        }
    }

    /// Encrypts a message. The confounder is 16 fresh random bytes.
    #[must_use]
    pub fn encrypt(&self, plain: &[u8], confounder: [u8; BLOCK]) -> Vec<u8> {
        // Its whole length at once: what it holds before it is encrypted is secret, and must not be left behind.
        let mut message = Vec::with_capacity(BLOCK + plain.len() + self.etype.mac_size());
        message.extend_from_slice(&confounder);
        message.extend_from_slice(plain);
        let mut mac = self.integrity.clone();
        if self.etype.is_sha2() {
            self.encryption.cts_encrypt(&mut message);
            mac.update(&[0; BLOCK]);
            mac.update(&message);
        } else {
            mac.update(&message);
            self.encryption.cts_encrypt(&mut message);
        }
        let end = message.len();
        message.resize(end + self.etype.mac_size(), 0);
        mac.finish(&mut message[end..]);
        message
    }

    /// Decrypts a message.
    ///
    /// # Errors
    /// [`IntegrityError`].
    pub fn decrypt(&self, cipher: &[u8]) -> Result<Zeroizing<Vec<u8>>, IntegrityError> {
        let end = cipher.len().checked_sub(self.etype.mac_size()).filter(|end| BLOCK <= *end);
        let (body, sum) = cipher.split_at(end.ok_or(IntegrityError)?);
        let mut message = Zeroizing::new(body.to_vec());
        let mut mac = self.integrity.clone();
        if self.etype.is_sha2() {
            mac.update(&[0; BLOCK]);
            mac.update(body);
        }
        self.encryption.cts_decrypt(&mut message);
        if !self.etype.is_sha2() {
            mac.update(&message);
        }
        verify(mac, sum)?;
        message.drain(..BLOCK);
        Ok(message)
    }

    /// The checksum over `parts`, one behind the other.
    #[must_use]
    pub fn checksum(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mut sum = vec![0; self.etype.mac_size()];
        self.running_checksum(parts).finish(&mut sum);
        sum
    }

    /// Compares a checksum with what it must be, in the same time whatever it is.
    ///
    /// # Errors
    /// [`IntegrityError`].
    pub fn verify_checksum(&self, parts: &[&[u8]], sum: &[u8]) -> Result<(), IntegrityError> {
        if sum.len() != self.etype.mac_size() {
            return Err(IntegrityError);
        }
        verify(self.running_checksum(parts), sum)
    }

    fn running_checksum(&self, parts: &[&[u8]]) -> Mac {
        let mut mac = self.checksum.clone();
        for part in parts {
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for UsageKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UsageKeys({}, ..)", self.etype)
    }
}

/// Compares a finished MAC with `sum`, which has at most [`MAX_MAC`] bytes.
pub(crate) fn verify(mac: Mac, sum: &[u8]) -> Result<(), IntegrityError> {
    let mut expected = [0; MAX_MAC];
    let expected = &mut expected[..sum.len()];
    mac.finish(expected);
    if expected.ct_eq(sum).into() { Ok(()) } else { Err(IntegrityError) }
}
