//! The client's half of NTLM, raw or in SPNEGO: who logs on, and how.
//!
//! NTLM needs the NT hash and no more, so the password itself is hashed at once.

use std::fmt;

use certadm_rules::AuthType;
use zeroize::Zeroizing;

use crate::context::{Initiator, LastLeg, Step};
use crate::error::AuthError;
use crate::names::AccountName;
use crate::ntlm::client::{NtlmClient, Workstation};
use crate::protection::Level;
use crate::secret::NtHash;
use crate::spnego::initiator::SpnegoInitiator;

/// A password. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes a password over. The caller's own copies are the caller's to wipe.
    #[must_use]
    pub fn new(password: String) -> Self {
        Self(Zeroizing::new(password))
    }

    /// The secret text, for whoever makes keys of it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Who logs on.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The account. Without a domain a user of the form `name@realm` is sent as it is.
    pub account: AccountName,
    /// Its password.
    pub password: Password,
}

/// The mechanism and the auth_type it is announced under (wire.md 2.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flavour {
    /// Raw NTLM, auth_type 10.
    Ntlm,
    /// Raw NTLM under auth_type 9, as Windows sends it where NTLM is its only choice.
    NtlmAsNegotiate,
    /// SPNEGO carrying NTLM, auth_type 9.
    Spnego,
}

/// Starts a client's handshake on a machine.
///
/// `target` is the service name (`RPCSS/host`, `HOST/host`; wire.md 1.5). At [`Level::Privacy`] a server that does not
/// negotiate sealing is refused.
///
/// # Errors
/// [`AuthError::InvalidInput`] for an account that cannot be written as a logon name, an empty password, or a service name
/// that is empty or too long.
pub fn initiator(
    flavour: Flavour,
    credentials: &Credentials,
    target: &str,
    level: Level,
    workstation: &Workstation,
) -> Result<Box<dyn Initiator>, AuthError> {
    let hash = NtHash::from_password(credentials.password.expose());
    let client = NtlmClient::new(&credentials.account, hash, target, level, workstation)?;
    Ok(match flavour {
        Flavour::Ntlm => Box::new(NtlmInitiator::new(AuthType::NTLM, client)),
        Flavour::NtlmAsNegotiate => Box::new(NtlmInitiator::new(AuthType::SPNEGO, client)),
        Flavour::Spnego => Box::new(SpnegoInitiator::new(client)),
    })
}

/// Raw NTLM: three legs, the last in auth3.
struct NtlmInitiator {
    auth_type: AuthType,
    stage: Stage,
}

/// Where a handshake stands.
enum Stage {
    /// Nothing sent.
    Fresh(NtlmClient),
    /// This NEGOTIATE is out; a challenge is due.
    Greeted(NtlmClient, Vec<u8>),
    /// Completed or failed.
    Finished,
}

impl NtlmInitiator {
    fn new(auth_type: AuthType, client: NtlmClient) -> Self {
        Self { auth_type, stage: Stage::Fresh(client) }
    }
}

impl Initiator for NtlmInitiator {
    fn auth_type(&self) -> AuthType {
        self.auth_type
    }

    fn last_leg(&self) -> LastLeg {
        LastLeg::Auth3
    }

    fn step(&mut self, token_in: &[u8]) -> Result<Step, AuthError> {
        match std::mem::replace(&mut self.stage, Stage::Finished) {
            Stage::Fresh(client) => {
                let negotiate = client.negotiate();
                self.stage = Stage::Greeted(client, negotiate.clone());
                Ok(Step::next(negotiate))
            }
            Stage::Greeted(client, negotiate) => {
                let mut session = client.authenticate(&negotiate, token_in)?;
                let token_out = std::mem::take(&mut session.authenticate);
                Ok(Step { token_out, done: Some(session.established()) })
            }
            Stage::Finished => Err(AuthError::Finished),
        }
    }
}

impl fmt::Debug for NtlmInitiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NtlmInitiator").field("auth_type", &self.auth_type).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use certadm_rules::FileTime;

    use super::*;
    use crate::accounts::Environment;

    struct Still;

    impl Environment for Still {
        fn now(&self) -> FileTime {
            FileTime(0)
        }

        fn fill_random(&self, bytes: &mut [u8]) -> Result<(), AuthError> {
            bytes.fill(7);
            Ok(())
        }
    }

    fn workstation() -> Workstation {
        Workstation::new("client", Arc::new(Still))
    }

    #[test]
    fn neither_password_nor_hash_is_printed() {
        let credentials = Credentials {
            account: AccountName::new("CORP", "alice"),
            password: Password::new("hunter2-marker".to_owned()),
        };
        let mut shown = format!("{credentials:?}");
        for flavour in [Flavour::Ntlm, Flavour::NtlmAsNegotiate, Flavour::Spnego] {
            let mut initiator =
                initiator(flavour, &credentials, "HOST/ca", Level::Privacy, &workstation()).unwrap();
            shown.push_str(&format!("{:?}", initiator.step(&[]).unwrap()));
            shown.push_str(&format!("{initiator:?}"));
            shown.push_str(&format!("{:?}", initiator.step(&[1, 2, 3])));
        }
        assert!(!shown.contains("hunter2"));
        let hash = NtHash::from_password("hunter2-marker");
        let hex: String = hash.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!shown.contains(&hex));
        assert!(shown.contains("alice"));
    }

    #[test]
    fn unusable_accounts_are_refused() {
        for (domain, user, password) in
            [("CORP", "", "x"), ("CORP", "a\\b", "x"), ("a@b", "c", "x"), ("", "a", "")]
        {
            let credentials = Credentials {
                account: AccountName::new(domain, user),
                password: Password::new(password.to_owned()),
            };
            assert!(matches!(
                initiator(Flavour::Ntlm, &credentials, "HOST/ca", Level::Privacy, &workstation()),
                Err(AuthError::InvalidInput { .. })
            ));
        }
    }
}
