//! What an acceptor needs from the world around it: accounts, a clock, random bytes.

use crate::error::AuthError;
use crate::secret::NtHash;

/// Where an acceptor looks up accounts.
pub trait AccountStore: Send + Sync {
    /// The NT hash of `domain\user`, or `None` if there is no such account. Names compare as `same_name` does;
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
    fn file_time_of_the_unix_epoch() {
        assert_eq!(FileTime::from_unix(std::time::Duration::ZERO).0, 0x019d_b1de_d53e_8000);
        assert_eq!(FileTime::from_unix(std::time::Duration::MAX).0, u64::MAX);
    }
}
