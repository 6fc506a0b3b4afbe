//! Time as the CA database holds it: FILETIME, 100 ns since 1601-01-01 UTC (ese.md section 12).

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds from 1601-01-01 to 1970-01-01.
const EPOCH_DIFFERENCE: i64 = 11_644_473_600;
const TICKS_PER_SECOND: i64 = 10_000_000;

/// A moment as FILETIME: 100 ns units since 1601-01-01 UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct FileTime(pub i64);

impl FileTime {
    /// The present, by the system clock. A clock before 1970 gives 1970.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ticks =
            i64::try_from(since.as_nanos() / 100).unwrap_or(i64::MAX - EPOCH_DIFFERENCE * TICKS_PER_SECOND);
        Self(ticks + EPOCH_DIFFERENCE * TICKS_PER_SECOND)
    }

    /// Whole seconds since 1970-01-01 UTC; negative before it.
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(TICKS_PER_SECOND) - EPOCH_DIFFERENCE
    }

    /// The moment `seconds` after 1970-01-01 UTC, saturating at the type's ends.
    pub fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_add(EPOCH_DIFFERENCE).saturating_mul(TICKS_PER_SECOND))
    }

    /// RFC 3339 in UTC to the second, such as `2026-11-23T09:30:00Z`; an unrepresentable time prints its number.
    pub fn to_rfc3339(self) -> String {
        time::OffsetDateTime::from_unix_timestamp(self.unix_seconds())
            .ok()
            .and_then(|moment| moment.format(&time::format_description::well_known::Rfc3339).ok())
            .unwrap_or_else(|| self.0.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_and_back() {
        assert_eq!(FileTime::from_unix_seconds(0).0, 116_444_736_000_000_000);
        assert_eq!(FileTime(116_444_736_000_000_000).unix_seconds(), 0);
        assert_eq!(FileTime::from_unix_seconds(1_000_000_000).to_rfc3339(), "2001-09-09T01:46:40Z");
    }
}
