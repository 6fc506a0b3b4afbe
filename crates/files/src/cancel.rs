//! Stopping a long operation from outside, such as by a signal: one switch for the process.
//!
//! Loops that read or write much ask [`check`] now and then. After [`request`] they end with [`Error::Cancelled`], and
//! what they had begun goes away on the usual road of an error: unfinished folders are removed, a backup at the CA is ended.
//! A process that never calls [`request`] is never stopped.

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

/// The number of the signal that asked to stop; `None` when nothing did.
pub fn requested() -> Option<usize> {
    Some(REQUESTED.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
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
