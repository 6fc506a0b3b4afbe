//! Moments in JSON.

use certadm_rules::FileTime;
use serde::{Serialize, Serializer};

/// RFC 3339, or null.
pub(crate) fn optional<S: Serializer>(moment: &Option<FileTime>, out: S) -> Result<S::Ok, S::Error> {
    moment.map(FileTime::to_rfc3339).serialize(out)
}
