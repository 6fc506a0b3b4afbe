//! Accounts, their stored secret, and what an acceptor needs from the world around it.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::AuthError;
use crate::ntlm::crypto;

/// An account as the peer named it. Two names are equal when they differ only in case, as on Windows.
#[derive(Clone)]
pub struct AccountName {
    domain: String,
    user: String,
}

impl AccountName {
    /// Puts a name together; `domain` may be empty.
    #[must_use]
    pub fn new(domain: impl Into<String>, user: impl Into<String>) -> Self {
        Self { domain: domain.into(), user: user.into() }
    }

    /// The domain as sent, possibly empty.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The user as sent.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }
}

impl fmt::Display for AccountName {
    /// `DOMAIN\user`, or `user` without a domain; control characters are escaped so that a name cannot forge log lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.domain.is_empty() {
            write!(f, "{}\\", self.domain.escape_debug())?;
        }
        write!(f, "{}", self.user.escape_debug())
    }
}

impl fmt::Debug for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountName({self})")
    }
}

impl PartialEq for AccountName {
    fn eq(&self, other: &Self) -> bool {
        same_name(&self.domain, &other.domain) && same_name(&self.user, &other.user)
    }
}

impl Eq for AccountName {}

/// Whether two account or domain names differ in case only (one unit against one unit, as Windows compares).
#[must_use]
pub fn same_name(left: &str, right: &str) -> bool {
    left.chars().map(crypto::simple_upper).eq(right.chars().map(crypto::simple_upper))
}

/// The stored secret of an account: MD4 of the UTF-16LE password. It is as good as the password to anyone who speaks NTLM,
/// so it is wiped when dropped and never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct NtHash([u8; 16]);

impl NtHash {
    /// Hashes a password (MS-NLMP 3.3.1).
    #[must_use]
    pub fn from_password(password: &str) -> Self {
        Self(*crypto::nt_hash(password))
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

/// Where an acceptor looks up accounts.
pub trait AccountStore: Send + Sync {
    /// The NT hash of `domain\user`, or `None` if there is no such account. Names compare as [`same_name`] does;
    /// which domains are acceptable (the server's own, none, any) is the store's decision.
    ///
    /// The acceptor does the same work and gives the same answer whether the account exists or not; an implementation
    /// should take the same time for both as well.
    fn nt_hash(&self, domain: &str, user: &str) -> Option<NtHash>;
}

/// Clock and random source of an acceptor: this crate reads neither by itself.
pub trait Environment: Send + Sync {
    /// The present time.
    fn now(&self) -> FileTime;

    /// Fills `bytes` from a cryptographically secure source.
    ///
    /// # Errors
    /// [`AuthError::NoRandomness`] if there is none.
    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), AuthError>;
}

/// A Windows time: 100 ns since 1601-01-01 00:00 UTC (MS-DTYP 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileTime(pub u64);

impl FileTime {
    /// 1970-01-01 00:00 UTC.
    const UNIX_EPOCH: u64 = 116_444_736_000_000_000;

    /// Converts a time counted from 1970; stays at the last representable time beyond it.
    #[must_use]
    pub fn from_unix(since_epoch: std::time::Duration) -> Self {
        let ticks = u64::try_from(since_epoch.as_nanos() / 100).unwrap_or(u64::MAX);
        Self(ticks.saturating_add(Self::UNIX_EPOCH))
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

    #[test]
    fn names_ignore_case_and_escape_what_they_print() {
        assert_eq!(AccountName::new("CORP", "Jörg"), AccountName::new("corp", "JÖRG"));
        assert_ne!(AccountName::new("CORP", "a"), AccountName::new("", "a"));
        assert_eq!(AccountName::new("", "a\nb").to_string(), "a\\nb");
        assert_eq!(AccountName::new("CORP", "a").to_string(), "CORP\\a");
    }

    #[test]
    fn file_time_of_the_unix_epoch() {
        assert_eq!(FileTime::from_unix(std::time::Duration::ZERO).0, 0x019d_b1de_d53e_8000);
        assert_eq!(FileTime::from_unix(std::time::Duration::MAX).0, u64::MAX);
    }
}
