//! Calendar time for the three clocks of these files: engine stamps, FILETIME and floating-point dates.

use core::fmt;

/// A date and time of day in the proleptic Gregorian calendar, without a zone.
///
/// Shown in the form of RFC 3339 without a zone letter; the fraction is shown when it is not zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DateTime {
    /// Year, 1 to 9999 in valid data.
    pub year: i32,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
    /// Nanoseconds within the second.
    pub nanosecond: u32,
}

const DAYS_1601_TO_1970: i64 = 134_774;
const DAYS_1899_TO_1970: i64 = 25_569;
const SECONDS_A_DAY: i64 = 86_400;

impl DateTime {
    /// Checks the fields; `None` for a date that does not exist.
    pub fn new(
        year: i32,
        month: u8,
        day: u8,
        hour: u8,
        minute: u8,
        second: u8,
        nanosecond: u32,
    ) -> Option<Self> {
        let valid = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60
            && nanosecond < 1_000_000_000;
        let date = Self { year, month, day, hour, minute, second, nanosecond };
        (valid && civil_from_days(days_from_civil(date)) == (year, month, day)).then_some(date)
    }

    /// From 100-nanosecond ticks since 1601-01-01 UTC, the form of every date in a CA database
    /// (ese.md 12); `None` for a value outside the years 1601 to 9999.
    pub fn from_filetime(ticks: u64) -> Option<Self> {
        let seconds = i64::try_from(ticks / 10_000_000).ok()?;
        let nanosecond = u32::try_from(ticks % 10_000_000).ok()? * 100;
        Self::from_unix_days_and_seconds(
            seconds / SECONDS_A_DAY - DAYS_1601_TO_1970,
            seconds % SECONDS_A_DAY,
            nanosecond,
        )
    }

    /// From days since 1899-12-30 with a fraction, the engine's own meaning of a DateTime column;
    /// `None` for values outside the years 1 to 9999. Rounded to milliseconds.
    pub fn from_variant_days(days: f64) -> Option<Self> {
        if !days.is_finite() || days.abs() > 4_000_000.0 {
            return None;
        }
        let whole = days.trunc();
        let milliseconds = ((days - whole).abs() * 86_400_000.0).round();
        // Both are far inside i64: the range was checked above.
        #[allow(clippy::cast_possible_truncation)]
        let (whole, milliseconds) = (whole as i64, milliseconds as i64);
        let (carry, milliseconds) = (milliseconds / 86_400_000, milliseconds % 86_400_000);
        Self::from_unix_days_and_seconds(
            whole - DAYS_1899_TO_1970 + carry,
            milliseconds / 1000,
            u32::try_from(milliseconds % 1000).ok()? * 1_000_000,
        )
    }

    fn from_unix_days_and_seconds(days: i64, seconds: i64, nanosecond: u32) -> Option<Self> {
        let (year, month, day) = civil_from_days(days);
        Self::new(
            year,
            month,
            day,
            u8::try_from(seconds / 3600).ok()?,
            u8::try_from(seconds / 60 % 60).ok()?,
            u8::try_from(seconds % 60).ok()?,
            nanosecond,
        )
    }

    /// Seconds since 1970-01-01.
    pub fn unix_seconds(self) -> i64 {
        days_from_civil(self) * SECONDS_A_DAY
            + i64::from(self.hour) * 3600
            + i64::from(self.minute) * 60
            + i64::from(self.second)
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            self.year, self.month, self.day, self.hour, self.minute, self.second
        )?;
        if self.nanosecond == 0 {
            return Ok(());
        }
        let digits = format!("{:09}", self.nanosecond);
        write!(f, ".{}", digits.trim_end_matches('0'))
    }
}

/// Days since 1970-01-01; years start in March so that the leap day is the last of its year.
fn days_from_civil(date: DateTime) -> i64 {
    let month = i64::from(date.month);
    let year = i64::from(date.year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(date.day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse; a year outside i32 cannot arise from the callers' ranges and becomes 0, which is invalid.
fn civil_from_days(days: i64) -> (i32, u8, u8) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = (shifted + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (i32::try_from(year).unwrap_or(0), u8::try_from(month).unwrap_or(0), u8::try_from(day).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filetime_of_the_unix_epoch_and_a_leap_day() {
        let epoch = DateTime::from_filetime(116_444_736_000_000_000).unwrap();
        assert_eq!(epoch.to_string(), "1970-01-01T00:00:00");
        assert_eq!(epoch.unix_seconds(), 0);
        let leap = DateTime::from_filetime(116_444_736_000_000_000 + 951_782_400 * 10_000_000 + 5);
        assert_eq!(leap.unwrap().to_string(), "2000-02-29T00:00:00.0000005");
        assert_eq!(DateTime::from_filetime(u64::MAX), None);
    }

    #[test]
    fn floating_dates_count_from_1899() {
        let noon = DateTime::from_variant_days(2.5).unwrap();
        assert_eq!(noon.to_string(), "1900-01-01T12:00:00");
        assert_eq!(DateTime::from_variant_days(f64::NAN), None);
        assert_eq!(DateTime::from_variant_days(1e300), None);
    }

    #[test]
    fn dates_that_do_not_exist_are_refused() {
        assert!(DateTime::new(2023, 2, 29, 0, 0, 0, 0).is_none());
        assert!(DateTime::new(2024, 2, 29, 0, 0, 0, 0).is_some());
        assert!(DateTime::new(2024, 13, 1, 0, 0, 0, 0).is_none());
    }
}
