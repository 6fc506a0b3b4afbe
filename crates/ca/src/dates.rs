//! Dates between the database and certificates, and their arithmetic.

use std::time::Duration;

use certadm_rules::FileTime;
use der::DateTime;
use serde::Serializer;
use x509_cert::time::Time;

const TICKS_PER_MINUTE: i64 = 60 * 10_000_000;

/// This many minutes later (earlier when negative); saturates.
#[must_use]
pub fn plus_minutes(date: FileTime, minutes: i64) -> FileTime {
    FileTime(date.0.saturating_add(minutes.saturating_mul(TICKS_PER_MINUTE)))
}

/// This many days of 24 hours later; saturates.
#[must_use]
pub fn plus_days(date: FileTime, days: u32) -> FileTime {
    plus_minutes(date, i64::from(days) * 24 * 60)
}

/// The same moment without its fraction of a second: what a certificate can hold.
#[must_use]
pub fn whole_seconds(date: FileTime) -> FileTime {
    FileTime::from_unix_seconds(date.unix_seconds())
}

/// UTCTime through 2049, GeneralizedTime from 2050 (RFC 5280 4.1.2.5).
///
/// # Errors
/// When the date is before 1970 or after 9999.
pub fn to_x509(date: FileTime) -> der::Result<Time> {
    let seconds =
        u64::try_from(date.unix_seconds()).map_err(|_| der::Error::from(der::ErrorKind::DateTime))?;
    Ok(DateTime::from_unix_duration(Duration::from_secs(seconds))?.into())
}

/// The first and the last moment that a certificate or CRL can name.
const NAMEABLE: [FileTime; 2] =
    [FileTime::from_unix_seconds(0), FileTime::from_unix_seconds(253_402_300_799)];

/// The same for the date of a revocation. One that a CRL cannot name becomes the nearest that it can: what a row says wrongly
/// keeps no certificate out of the CRL, and no CRL from being made.
///
/// # Errors
/// None: the date is one that can be named.
pub fn revocation_to_x509(date: FileTime) -> der::Result<Time> {
    to_x509(date.clamp(NAMEABLE[0], NAMEABLE[1]))
}

/// The moment that a certificate or CRL names.
#[must_use]
pub fn from_x509(time: Time) -> FileTime {
    let seconds = time.to_unix_duration().as_secs();
    FileTime::from_unix_seconds(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// For rows: a date as RFC 3339 text.
pub(crate) fn serialize<S: Serializer>(date: &Option<FileTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match date {
        Some(date) => serializer.serialize_some(&date.to_rfc3339()),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_the_range_do_not_overflow() {
        for ticks in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX] {
            let date = FileTime(ticks);
            let _ = whole_seconds(date);
            let _ = plus_days(date, u32::MAX);
            let _ = plus_minutes(date, i64::MIN);
            let _ = to_x509(date);
            revocation_to_x509(date).unwrap();
        }
        for seconds in [0, 253_402_300_799] {
            let date = FileTime::from_unix_seconds(seconds);
            assert_eq!(revocation_to_x509(date).unwrap(), to_x509(date).unwrap());
        }
    }

    #[test]
    fn x509_times_change_their_form_in_2050() {
        let last = FileTime::from_unix_seconds(2_524_607_999); // 2049-12-31T23:59:59Z
        assert!(matches!(to_x509(last), Ok(Time::UtcTime(_))));
        let next = FileTime::from_unix_seconds(2_524_608_000);
        assert!(matches!(to_x509(next), Ok(Time::GeneralTime(_))));
        assert_eq!(from_x509(to_x509(next).unwrap()), next);
    }
}
