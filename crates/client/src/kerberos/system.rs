//! The clock and the random source of this machine.

use std::time::SystemTime;

use certadm_kerberos::{Environment, NoRandomness};
use certadm_rules::FileTime;

/// The clock and the random source of this machine.
#[derive(Debug)]
pub(crate) struct System;

impl Environment for System {
    fn now(&self) -> FileTime {
        FileTime::from_unix(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        getrandom::fill(bytes).map_err(|_| NoRandomness)
    }
}
