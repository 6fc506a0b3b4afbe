//! The system's clock, which a drill sets forward and back for its own process.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use certadm_rules::FileTime;

/// How far the clock of this process is ahead of the system's, in seconds.
static AHEAD: AtomicI64 = AtomicI64::new(0);

/// The present, by the system clock. A clock before 1970 gives 1970.
#[must_use]
pub fn now() -> FileTime {
    let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ahead = AHEAD.load(Ordering::Relaxed);
    let by = Duration::from_secs(ahead.unsigned_abs());
    FileTime::from_unix(if ahead < 0 { system.saturating_sub(by) } else { system.saturating_add(by) })
}

/// From now on [`now`] is so many seconds ahead of the system's clock, in this process alone: a drill lives through two weeks
/// in seconds. Nothing but a drill calls this, and no setting does.
pub fn set_clock_ahead(seconds: i64) {
    AHEAD.store(seconds, Ordering::Relaxed);
}
