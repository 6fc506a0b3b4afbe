//! Time as Kerberos counts it: whole seconds in UTC, with microseconds beside them where a message must be told from its
//! neighbours (RFC 4120 5.2.3).

use std::fmt;

use certadm_rules::FileTime;
use time::{Date, Month, OffsetDateTime, Time};

/// How far clocks may be apart, in seconds, when nothing else is said (RFC 4120 3.2.3).
pub const DEFAULT_SKEW: i64 = 300;

/// A second in UTC, between the years 1 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KerberosTime(i64);

/// The first second of the year 1 and the last of the year 9999: GeneralizedTime has four digits for the year.
const FIRST: i64 = -62_135_596_800;
const LAST: i64 = 253_402_300_799;

impl KerberosTime {
    /// The moment so many seconds after 1970-01-01 UTC, or the nearest that can be written.
    #[must_use]
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(if seconds < FIRST {
            FIRST
        } else if LAST < seconds {
            LAST
        } else {
            seconds
        })
    }

    /// Seconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn unix_seconds(self) -> i64 {
        self.0
    }

    /// The moment `seconds` later.
    #[must_use]
    pub const fn plus(self, seconds: i64) -> Self {
        Self::from_unix_seconds(self.0.saturating_add(seconds))
    }

    /// How many seconds this moment is later than `other`; negative if it is earlier.
    #[must_use]
    pub const fn since(self, other: Self) -> i64 {
        self.0 - other.0
    }

    /// Reads `YYYYMMDDhhmmssZ`, the only form that RFC 4120 5.2.3 allows.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let digits = text.strip_suffix(b"Z").filter(|digits| digits.len() == 14)?;
        let number = |at: usize, length: usize| {
            digits[at..at + length].iter().try_fold(0_u16, |number, digit| {
                digit.is_ascii_digit().then(|| number * 10 + u16::from(digit - b'0'))
            })
        };
        let two = |at: usize| number(at, 2).and_then(|number| u8::try_from(number).ok());
        let month = Month::try_from(two(4)?).ok()?;
        let date = Date::from_calendar_date(number(0, 4)?.into(), month, two(6)?).ok()?;
        let time = Time::from_hms(two(8)?, two(10)?, two(12)?).ok()?;
        let seconds = OffsetDateTime::new_utc(date, time).unix_timestamp();
        (FIRST <= seconds).then_some(Self(seconds))
    }
}

impl fmt::Display for KerberosTime {
    /// As it travels: `YYYYMMDDhhmmssZ`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = OffsetDateTime::from_unix_timestamp(self.0)
            .expect("invariant: every constructor keeps to the years 1 to 9999");
        let (date, time) = (moment.date(), moment.time());
        write!(
            f,
            "{:04}{:02}{:02}{:02}{:02}{:02}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            time.hour(),
            time.minute(),
            time.second()
        )
    }
}

/// A second and the microseconds into it: what identifies an authenticator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    /// The second.
    pub time: KerberosTime,
    /// Microseconds, below 1,000,000.
    pub micros: u32,
}

impl Moment {
    /// The moment `seconds` later.
    #[must_use]
    pub const fn plus(self, seconds: i64) -> Self {
        Self { time: self.time.plus(seconds), micros: self.micros }
    }
}

impl From<FileTime> for Moment {
    fn from(time: FileTime) -> Self {
        let micros = u32::try_from(time.0.rem_euclid(10_000_000) / 10)
            .expect("invariant: fewer than a million microseconds");
        Self { time: KerberosTime::from_unix_seconds(time.unix_seconds()), micros }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_is_written_and_read() {
        let time = KerberosTime::parse(b"20261127193000Z").unwrap();
        assert_eq!((time.unix_seconds(), time.to_string().as_str()), (1_795_807_800, "20261127193000Z"));
        for wrong in [
            "",
            "Z",
            "20261127193000",
            "20261127193000z",
            "2026112719300Z",
            "20261327193000Z",
            "20260230193000Z",
            "20261127193060Z",
            "2026112719300xZ",
            "00001127193000Z",
            "20261127193000.1Z",
        ] {
            assert_eq!(KerberosTime::parse(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(KerberosTime::from_unix_seconds(i64::MAX).to_string(), "99991231235959Z");
        assert_eq!(KerberosTime::from_unix_seconds(i64::MIN).to_string(), "00010101000000Z");
    }

    #[test]
    fn windows_time_keeps_its_microseconds() {
        let moment = Moment::from(FileTime(FileTime::from_unix_seconds(7).0 + 1_234_567));
        assert_eq!(moment, Moment { time: KerberosTime::from_unix_seconds(7), micros: 123_456 });
    }
}
