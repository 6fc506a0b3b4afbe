//! Time as Windows counts it, and as the CA database holds it: FILETIME (ese.md section 12).

use std::fmt;
use std::time::Duration;

/// Seconds from 1601-01-01 to 1970-01-01.
const EPOCH_DIFFERENCE: i64 = 11_644_473_600;
const TICKS_PER_SECOND: i64 = 10_000_000;

/// So far two clocks may be apart, in seconds. A date that is later than now by more was made while a clock was wrong.
pub const CLOCK_TOLERANCE: i64 = 300;

/// Whether a date is later than `now` by more than [`CLOCK_TOLERANCE`], both in seconds since 1970: a clock is or was wrong, and such
/// a date must not decide what is the newest, or what is done already.
///
/// ```
/// use certadm_rules::is_ahead;
///
/// let now = 1_800_000_000;
/// assert!(!is_ahead(now - 86_400, now));
/// assert!(!is_ahead(now + 300, now));
/// assert!(is_ahead(now + 301, now));
/// ```
#[must_use]
pub const fn is_ahead(date: i64, now: i64) -> bool {
    now.saturating_add(CLOCK_TOLERANCE) < date
}

/// A moment as FILETIME: 100 ns units since 1601-01-01 UTC; 0 where a method takes no time.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileTime(pub i64);

impl FileTime {
    /// The moment of these 64 bits, as they travel.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits.cast_signed())
    }

    /// The 64 bits that travel.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0.cast_unsigned()
    }

    /// The moment so long after 1970-01-01 UTC; the last one of the type beyond it.
    #[must_use]
    pub fn from_unix(since_epoch: Duration) -> Self {
        let ticks = i64::try_from(since_epoch.as_nanos() / 100).unwrap_or(i64::MAX);
        Self(ticks.saturating_add(EPOCH_DIFFERENCE * TICKS_PER_SECOND))
    }

    /// Whole seconds since 1970-01-01 UTC; negative before it.
    #[must_use]
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(TICKS_PER_SECOND) - EPOCH_DIFFERENCE
    }

    /// The moment `seconds` after 1970-01-01 UTC, saturating at the type's ends.
    #[must_use]
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_add(EPOCH_DIFFERENCE).saturating_mul(TICKS_PER_SECOND))
    }

    /// As [`is_ahead`], to the tick.
    #[must_use]
    pub const fn is_ahead_of(self, now: Self) -> bool {
        now.0.saturating_add(CLOCK_TOLERANCE * TICKS_PER_SECOND) < self.0
    }

    /// RFC 3339 in UTC to the second, such as `2026-11-23T09:30:00Z`; an unrepresentable time prints its number.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        time::OffsetDateTime::from_unix_timestamp(self.unix_seconds())
            .ok()
            .and_then(|moment| moment.format(&time::format_description::well_known::Rfc3339).ok())
            .unwrap_or_else(|| self.0.to_string())
    }

    /// The moment of a text in RFC 3339, such as `2026-11-23T09:30:00Z` or `2026-11-23T11:30:00+02:00`, to the second: a fraction is cut
    /// off, as [`to_rfc3339`](Self::to_rfc3339) writes none.
    ///
    /// ```
    /// use certadm_rules::FileTime;
    ///
    /// let moment = FileTime::from_rfc3339("2026-11-23T11:30:00+02:00");
    /// assert_eq!(moment.map(FileTime::to_rfc3339).as_deref(), Some("2026-11-23T09:30:00Z"));
    /// assert_eq!(FileTime::from_rfc3339("yesterday"), None);
    /// ```
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let moment =
            time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
        Some(Self::from_unix_seconds(moment.unix_timestamp()))
    }
}

impl fmt::Debug for FileTime {
    /// The 64 bits as a number without a sign, as other programs print them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileTime").field(&self.to_bits()).finish()
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
        assert_eq!(FileTime::from_unix(Duration::ZERO).to_bits(), 0x019d_b1de_d53e_8000);
        assert_eq!(FileTime::from_unix(Duration::MAX).0, i64::MAX);
    }

    #[test]
    fn what_is_later_by_more_than_the_tolerance_is_ahead() {
        let now = FileTime::from_unix_seconds(1_800_000_000);
        let last = FileTime::from_unix_seconds(1_800_000_300);
        assert!(!last.is_ahead_of(now));
        assert!(FileTime(last.0 + 1).is_ahead_of(now));
        assert!(!FileTime(i64::MIN).is_ahead_of(now));
        assert!(!FileTime(i64::MAX).is_ahead_of(FileTime(i64::MAX - 1)));
        assert!(is_ahead(i64::MAX, 0) && !is_ahead(i64::MIN, 0) && !is_ahead(i64::MAX, i64::MAX));
    }

    #[test]
    fn a_moment_is_read_as_it_is_written_and_in_any_zone() {
        for seconds in [-11_644_473_600, -1, 0, 1_000_000_000, 253_402_300_799] {
            let moment = FileTime::from_unix_seconds(seconds);
            assert_eq!(FileTime::from_rfc3339(&moment.to_rfc3339()), Some(moment));
        }
        for (text, seconds) in [
            ("1969-12-31T23:59:59.9Z", Some(-1)),
            ("1970-01-01T02:00:01.9+02:00", Some(1)),
            ("1970-01-01t00:00:00z", Some(0)),
            ("1970-01-01", None),
            ("1970-01-01T00:00:00", None),
            ("1970-02-30T00:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(FileTime::from_rfc3339(text).map(FileTime::unix_seconds), seconds, "{text}");
        }
    }

    #[test]
    fn all_bits_are_a_time() {
        for bits in [0, 1, u64::MAX, 1 << 63] {
            assert_eq!(FileTime::from_bits(bits).to_bits(), bits);
            assert_eq!(format!("{:?}", FileTime::from_bits(bits)), format!("FileTime({bits})"));
        }
        assert_eq!(FileTime::from_bits(u64::MAX).to_rfc3339(), "1600-12-31T23:59:59Z");
        assert_eq!(FileTime::from_bits(u64::MAX >> 1).to_rfc3339(), (u64::MAX >> 1).to_string());
    }
}
