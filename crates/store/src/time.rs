//! The system's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use certadm_rules::FileTime;

/// The present, by the system clock. A clock before 1970 gives 1970.
#[must_use]
pub fn now() -> FileTime {
    FileTime::from_unix(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
