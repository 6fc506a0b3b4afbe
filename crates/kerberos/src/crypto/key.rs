//! Kinds of encryption, and keys.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::environment::{Environment, NoRandomness};

/// A kind of encryption that is spoken here: AES with HMAC (RFC 3962, RFC 8009). RC4 and DES are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Etype {
    /// 17, aes128-cts-hmac-sha1-96.
    Aes128Sha1,
    /// 18, aes256-cts-hmac-sha1-96: what a Windows domain uses.
    Aes256Sha1,
    /// 19, aes128-cts-hmac-sha256-128.
    Aes128Sha256,
    /// 20, aes256-cts-hmac-sha384-192.
    Aes256Sha384,
}

impl Etype {
    /// All, in the order in which a client asks for them.
    pub const ALL: [Self; 4] = [Self::Aes256Sha1, Self::Aes128Sha1, Self::Aes256Sha384, Self::Aes128Sha256];

    /// Reads the number on the wire; `None` for a kind that is not spoken here.
    #[must_use]
    pub const fn from_wire(number: i32) -> Option<Self> {
        Some(match number {
            17 => Self::Aes128Sha1,
            18 => Self::Aes256Sha1,
            19 => Self::Aes128Sha256,
            20 => Self::Aes256Sha384,
            _ => return None,
        })
    }

    /// The number on the wire.
    #[must_use]
    pub const fn to_wire(self) -> i32 {
        match self {
            Self::Aes128Sha1 => 17,
            Self::Aes256Sha1 => 18,
            Self::Aes128Sha256 => 19,
            Self::Aes256Sha384 => 20,
        }
    }

    /// The number of the checksum that goes with it.
    #[must_use]
    pub const fn checksum_type(self) -> i32 {
        match self {
            Self::Aes128Sha1 => 15,
            Self::Aes256Sha1 => 16,
            Self::Aes128Sha256 => 19,
            Self::Aes256Sha384 => 20,
        }
    }

    /// Bytes of a key.
    #[must_use]
    pub const fn key_size(self) -> usize {
        match self {
            Self::Aes128Sha1 | Self::Aes128Sha256 => 16,
            Self::Aes256Sha1 | Self::Aes256Sha384 => 32,
        }
    }

    /// Bytes of a checksum.
    #[must_use]
    pub const fn mac_size(self) -> usize {
        match self {
            Self::Aes128Sha1 | Self::Aes256Sha1 => 12,
            Self::Aes128Sha256 => 16,
            Self::Aes256Sha384 => 24,
        }
    }

    /// Whether it is one of RFC 8009, which authenticate the ciphertext and not the plaintext.
    #[must_use]
    pub const fn is_sha2(self) -> bool {
        matches!(self, Self::Aes128Sha256 | Self::Aes256Sha384)
    }
}

impl fmt::Display for Etype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aes128Sha1 => "aes128-cts-hmac-sha1-96",
            Self::Aes256Sha1 => "aes256-cts-hmac-sha1-96",
            Self::Aes128Sha256 => "aes128-cts-hmac-sha256-128",
            Self::Aes256Sha384 => "aes256-cts-hmac-sha384-192",
        })
    }
}

/// A key. Wiped when it is dropped, and never printed.
#[derive(Clone)]
pub struct Key {
    etype: Etype,
    bytes: Zeroizing<Vec<u8>>,
}

impl Key {
    /// Takes the bytes of a key; `None` if they are not as many as the kind needs.
    #[must_use]
    pub fn new(etype: Etype, bytes: &[u8]) -> Option<Self> {
        (bytes.len() == etype.key_size()).then(|| Self { etype, bytes: Zeroizing::new(bytes.to_vec()) })
    }

    /// A new key.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn random(etype: Etype, environment: &dyn Environment) -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new(vec![0; etype.key_size()]);
        environment.fill_random(&mut bytes)?;
        Ok(Self { etype, bytes })
    }

    /// What it is for.
    #[must_use]
    pub const fn etype(&self) -> Etype {
        self.etype
    }

    /// Whether it is the same key. How long the comparison takes says nothing of the bytes.
    #[must_use]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.etype == other.etype && bool::from(self.bytes.as_slice().ct_eq(other.bytes.as_slice()))
    }

    /// The secret bytes, for whoever stores or sends them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, ..)", self.etype)
    }
}
