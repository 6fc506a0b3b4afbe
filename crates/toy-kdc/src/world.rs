//! A clock that stands still unless it is set, and random bytes that can be repeated.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::SystemTime;

use certadm_kerberos::{Environment, KerberosTime, NoRandomness};
use certadm_rules::FileTime;

/// 2026-11-27 12:00:00 UTC, in seconds since 1970.
pub const NOON: i64 = 1_795_780_800;

/// What tests give for a clock and a random source.
#[derive(Debug)]
pub struct World {
    /// Seconds since 1970; of a real world, those that its clock is ahead.
    seconds: AtomicI64,
    is_real: bool,
    next: AtomicU64,
    is_dry: AtomicBool,
}

impl World {
    /// A world at so many seconds since 1970.
    #[must_use]
    pub fn at(seconds: i64) -> Self {
        Self::of(seconds, false)
    }

    /// A world whose clock is that of this machine.
    #[must_use]
    pub fn real() -> Self {
        Self::of(0, true)
    }

    fn of(seconds: i64, is_real: bool) -> Self {
        let seconds = AtomicI64::new(seconds);
        Self { seconds, is_real, next: AtomicU64::new(1), is_dry: AtomicBool::new(false) }
    }

    /// A world at [`NOON`].
    #[must_use]
    pub fn noon() -> Self {
        Self::at(NOON)
    }

    /// Lets so many seconds pass.
    pub fn pass(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    fn seconds(&self) -> i64 {
        let began =
            if self.is_real { SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs() } else { 0 };
        self.seconds.load(Ordering::Relaxed).saturating_add_unsigned(began)
    }

    /// From now on there are no random bytes.
    pub fn run_dry(&self) {
        self.is_dry.store(true, Ordering::Relaxed);
    }

    /// The present second.
    #[must_use]
    pub fn time(&self) -> KerberosTime {
        KerberosTime::from_unix_seconds(self.seconds())
    }
}

impl Environment for World {
    fn now(&self) -> FileTime {
        // some microseconds, so that a test notices when they get lost
        FileTime(FileTime::from_unix_seconds(self.seconds()).0 + 1_234_560)
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        if self.is_dry.load(Ordering::Relaxed) {
            return Err(NoRandomness);
        }
        for part in bytes.chunks_mut(8) {
            // splitmix64
            let mut word = self.next.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            part.copy_from_slice(&(word ^ word >> 31).to_le_bytes()[..part.len()]);
        }
        Ok(())
    }
}
