//! The stored secret of an account.

use std::fmt;

use md4::{Digest, Md4};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::text::utf16_bytes;

/// The stored secret of an account: MD4 of the UTF-16LE password. It is as good as the password to anyone who speaks NTLM,
/// so it is wiped when dropped and never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct NtHash([u8; 16]);

impl NtHash {
    /// Hashes a password (MS-NLMP 3.3.1, NTOWFv1).
    #[must_use]
    pub fn from_password(password: &str) -> Self {
        let units = Zeroizing::new(utf16_bytes(password));
        Self(Md4::digest(&*units).into())
    }

    /// Takes a hash that was stored before.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Reads 32 hex digits, as a user file holds them; `None` for anything else.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 32 {
            return None;
        }
        let mut hash = Self([0; 16]);
        for (byte, pair) in hash.0.iter_mut().zip(digits.as_chunks::<2>().0) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(hash)
    }

    /// The hash as 32 lower-case hex digits, as a user file holds them; wiped when dropped.
    #[must_use]
    pub fn to_hex(&self) -> Zeroizing<String> {
        // Its whole length at once: the digits never move, so that no copy stays.
        let mut text = Zeroizing::new(String::with_capacity(32));
        for digit in self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
            text.extend(char::from_digit(digit.into(), 16));
        }
        text
    }

    /// The secret bytes, for whoever stores them.
    #[must_use]
    pub fn expose(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether this is the hash of the empty password. No logon succeeds with it.
    #[must_use]
    pub fn is_of_empty_password(&self) -> bool {
        self.0.ct_eq(Self::from_password("").expose()).into()
    }
}

impl fmt::Debug for NtHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NtHash(..)")
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_neither_prints_nor_compares_loosely() {
        let hash = NtHash::from_password("Password");
        assert_eq!(format!("{hash:?}"), "NtHash(..)");
        assert!(!hash.is_of_empty_password());
        assert!(NtHash::from_password("").is_of_empty_password());
        assert_eq!(
            NtHash::from_hex("A4F49C406510bdcab6824ee7c30fd852").map(|hash| *hash.expose()),
            Some(*hash.expose())
        );
        assert_eq!(hash.to_hex().as_str(), "a4f49c406510bdcab6824ee7c30fd852");
        for wrong in ["", "a4", "a4f49c406510bdcab6824ee7c30fd85g", "é4f49c406510bdcab6824ee7c30fd85"] {
            assert!(NtHash::from_hex(wrong).is_none());
        }
    }
}
