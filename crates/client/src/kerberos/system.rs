//! The clock and the random source of this machine.

use std::time::SystemTime;

use certadm_auth::AuthError;
use certadm_kerberos::{Environment, NoRandomness};
use certadm_rules::FileTime;

/// The clock and the random source of this machine.
#[derive(Debug)]
pub(crate) struct System;

/// What NTLM asks is the same.
impl certadm_auth::Environment for System {
    fn now(&self) -> FileTime {
        Environment::now(self)
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), AuthError> {
        Environment::fill_random(self, bytes).map_err(|_| AuthError::NoRandomness)
    }
}

impl Environment for System {
    fn now(&self) -> FileTime {
        FileTime::from_unix(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        getrandom::fill(bytes).map_err(|_| NoRandomness)
    }
}
