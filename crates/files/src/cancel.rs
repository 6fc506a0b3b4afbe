//! Stopping a long operation from outside, such as by a signal: one switch for the process.
//!
//! Loops that read or write much ask [`check`] now and then. After [`request`] they end with [`Error::Cancelled`], and
//! what they had begun goes away on the usual road of an error: unfinished folders are removed, a backup at the CA is ended.
//! A process that never calls [`request`] is never stopped.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use crate::error::{Error, Result};

/// 0, or the number of the signal that asked to stop.
static REQUESTED: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// The switch itself, for a signal handler that stores the signal's number in it.
pub fn switch() -> Arc<AtomicUsize> {
    Arc::clone(&REQUESTED)
}

/// Asks every long operation of this process to stop; `signal` is the number of the signal that says so.
pub fn request(signal: usize) {
    REQUESTED.store(signal, Ordering::Relaxed);
}

/// How many parts of this process are to be ended whatever asks to stop.
static HELD_OFF: AtomicUsize = AtomicUsize::new(0);

/// The number of the signal that asked to stop; `None` when nothing did, or while a stop is held off.
pub fn requested() -> Option<usize> {
    let signal = Some(REQUESTED.load(Ordering::Relaxed)).filter(|signal| *signal != 0);
    signal.filter(|_| HELD_OFF.load(Ordering::Relaxed) == 0)
}

/// Holds a stop off for as long as this lives: what is under way is short, and half of it would be worse than the wait.
#[derive(Debug)]
pub struct HeldOff(());

/// Holds a stop off.
#[must_use]
pub fn hold_off() -> HeldOff {
    HELD_OFF.fetch_add(1, Ordering::Relaxed);
    HeldOff(())
}

impl Drop for HeldOff {
    fn drop(&mut self) {
        HELD_OFF.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether this process ignores a signal, as whoever started it wanted: a shell without job control has every command behind `&`
/// ignore SIGINT. Who sets a handler all the same is stopped by a signal that was meant for others. Known on Linux alone
/// (proc_pid_status(5), `SigIgn`: the lowest bit is signal 1).
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    let status = if cfg!(target_os = "linux") { fs::read_to_string("/proc/self/status").ok() } else { None };
    status.is_some_and(|status| ignores(&status, signal))
}

fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    let bit = u32::try_from(signal - 1).ok().and_then(|bit| mask.checked_shr(bit));
    bit.is_some_and(|mask| mask & 1 == 1)
}

/// Goes on, unless something asked to stop.
///
/// # Errors
/// [`Error::Cancelled`].
pub fn check() -> Result<()> {
    match requested() {
        None => Ok(()),
        Some(_) => Err(Error::Cancelled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_told_by_their_bits() {
        let status = "Name:\tcertadm\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001002\n";
        assert_eq!([1, 2, 13, 15].map(|signal| ignores(status, signal)), [false, true, true, false]);
        assert!(!ignores(status, 0) && !ignores(status, 65) && !ignores("", 2));
    }
}
