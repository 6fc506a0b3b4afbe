//! From when and until when a line of a list of allowed signers counts.

use certadm_rules::FileTime;
use time::{Date, Month, Time};

/// The time in which a line counts, both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) after: Option<FileTime>,
    pub(super) before: Option<FileTime>,
}

/// Reads `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, each with a `Z` or `UTC` behind it.
///
/// OpenSSH takes times without as those of the machine's own zone. Such a line would mean something else on another machine,
/// so it is refused here.
///
/// # Errors
/// A sentence.
pub(super) fn moment(text: &str) -> Result<FileTime, String> {
    let bare = text.strip_suffix(['Z', 'z']);
    let bare = bare.or_else(|| text.strip_suffix("UTC").or_else(|| text.strip_suffix("utc")));
    let Some(digits) = bare else {
        return Err(format!("the time {text:?} has no Z at its end, and would depend on the machine's zone"));
    };
    let wrong = || format!("{text:?} is no time such as 20271231Z or 202712312359Z");
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let number =
        |from: usize, to: usize| digits.get(from..to).map_or(Some(0), |text| text.parse::<u8>().ok());
    let read = || {
        let year: i32 = digits[..4].parse().ok()?;
        let month = Month::try_from(number(4, 6)?).ok()?;
        let date = Date::from_calendar_date(year, month, number(6, 8)?).ok()?;
        let time = Time::from_hms(number(8, 10)?, number(10, 12)?, number(12, 14)?).ok()?;
        let seconds = date.with_time(time).assume_utc().unix_timestamp();
        // OpenSSH counts from 1970 on and takes 0 for no time at all.
        (seconds > 0).then(|| FileTime::from_unix_seconds(seconds))
    };
    read().ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_utc_alone() {
        for (text, seconds) in [
            ("20260102Z", 1_767_312_000),
            ("202601020304Z", 1_767_323_040),
            ("20260102030405z", 1_767_323_045),
            ("20260102030405UTC", 1_767_323_045),
        ] {
            assert_eq!(moment(text).unwrap(), FileTime::from_unix_seconds(seconds), "{text}");
        }
        let bad = [
            "20260102",
            "20260132Z",
            "2026010Z",
            "202601022504Z",
            "19700101Z",
            "-0260102Z",
            "Z",
            "",
            "é0260102Z",
        ];
        for text in bad {
            assert!(moment(text).is_err(), "{text}");
        }
        assert!(moment("20260102").unwrap_err().contains("zone"));
    }
}
