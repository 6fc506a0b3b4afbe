//! What an acceptor needs from the world around it: accounts, keys, a clock, random bytes.

use certadm_rules::FileTime;

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

/// The keys of a service, by which it accepts tickets.
pub trait Tickets: Send + Sync {
    /// What accepts tickets by the keys of this moment; none while there are none.
    fn acceptor(&self) -> Option<certadm_kerberos::Acceptor>;
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
