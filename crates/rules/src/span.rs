//! Spans of time: how people write them, and how they are told.
//!
//! ```
//! use certadm_rules::span::{brief, exact, rounded, span};
//!
//! assert_eq!(span("1h30min"), Ok(5_400));
//! assert_eq!(exact(5_400), "90m");
//! assert_eq!(rounded(5_430), "1 h 30 min");
//! assert_eq!(brief(5_430), "90 min");
//! ```

/// The units, the longest first.
const UNITS: [(&str, i64); 5] = [("w", 7 * 86_400), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
/// A century.
const CENTURY: i64 = 3_155_760_000;
/// What is wrong with what is no span.
const WRONG: &str = "this is no span of time: write such as 90s, 15m, 30min, 24h, 7d or 1w2d";
/// The same of a span that decides what is kept.
const WRONG_KEPT: &str = "this is no span of time: write such as 90s, 30min, 24h, 7d or 1w2d";
/// What is wrong with `6m` there.
const BARE_M: &str = "`m` may mean minutes or months: write min for minutes; to keep months, use --keep-monthly, or `monthly` in a file";

/// Reads a span of time in seconds, such as `90s`, `15m`, `30min`, `24h`, `7d` or `1w2d`. More than a century is meant by nobody.
///
/// # Errors
/// A sentence.
pub fn span(text: &str) -> Result<i64, String> {
    read(text).filter(|seconds| *seconds <= CENTURY).ok_or_else(|| WRONG.to_owned())
}

/// Reads a span of time likewise, also one that is longer than a century: whoever keeps everything writes that.
///
/// # Errors
/// A sentence.
pub fn any_span(text: &str) -> Result<i64, String> {
    read(text).ok_or_else(|| WRONG.to_owned())
}

/// Reads a span of a rule that decides what is kept, likewise, but no bare `m`: others who prune backups, such as restic, mean months by
/// it, and what was kept for so many minutes is gone.
///
/// ```
/// use certadm_rules::span::kept_span;
///
/// assert_eq!(kept_span("1h30min"), Ok(5_400));
/// assert!(kept_span("6m").is_err());
/// ```
///
/// # Errors
/// A sentence.
pub fn kept_span(text: &str) -> Result<i64, String> {
    let seconds = read(text).ok_or_else(|| WRONG_KEPT.to_owned())?;
    // What was read has no letters but those of units.
    if text.replace("min", "").contains('m') { Err(BARE_M.to_owned()) } else { Ok(seconds) }
}

fn read(text: &str) -> Option<i64> {
    let mut seconds = 0_i64;
    let mut rest = Some(text).filter(|text| !text.is_empty())?;
    while !rest.is_empty() {
        let (digits, behind) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
        let (unit, length) = UNITS.iter().find(|(unit, _)| behind.starts_with(unit))?;
        let part = digits.parse::<i64>().ok()?.checked_mul(*length)?;
        seconds = seconds.checked_add(part)?;
        rest = behind.strip_prefix("min").unwrap_or(&behind[unit.len()..]);
    }
    Some(seconds)
}

/// A span to the second, in the largest unit that gives a whole number, as [`any_span`] reads it.
#[must_use]
pub fn exact(seconds: i64) -> String {
    let whole = UNITS.iter().find(|(_, length)| seconds != 0 && seconds % length == 0);
    let (unit, length) = whole.copied().unwrap_or(("s", 1));
    format!("{}{unit}", seconds / length)
}

/// A span for a sentence, in two units: `3 h 20 min`.
#[must_use]
pub fn rounded(seconds: i64) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    let seconds = seconds.unsigned_abs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{seconds} s"),
        (0, 0, minutes) => format!("{sign}{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{sign}{hours} h {minutes} min"),
        (days, hours, _) => format!("{sign}{days} d {hours} h"),
    }
}

/// A span for a table, in the largest unit of which there are two: `5 min`. One before now is none.
#[must_use]
pub fn brief(seconds: i64) -> String {
    match seconds {
        172_800.. => format!("{} d", seconds / 86_400),
        7_200.. => format!("{} h", seconds / 3_600),
        120.. => format!("{} min", seconds / 60),
        _ => format!("{} s", seconds.max(0)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_have_units() {
        let all = ["90s", "15m", "30min", "24h", "7d", "1w2d", "1h30min", "2m5s", "0s"];
        let read = all.map(|text| span(text).unwrap());
        assert_eq!(read, [90, 900, 1_800, 86_400, 604_800, 777_600, 5_400, 125, 0]);
        for wrong in
            ["", "24", "h", "-1h", "1.5h", "24hours", "99999999d", "9223372036854775807w", "ü", "1h ", "5mi"]
        {
            assert!(span(wrong).is_err(), "{wrong}");
        }
        assert_eq!(any_span("99999999d"), Ok(99_999_999 * 86_400));
        for wrong in ["", "9223372036854775807w", "9223372036854775808s", "1h ", "min"] {
            assert!(any_span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_kept_for_months_is_not_deleted_after_minutes() {
        let read = ["90s", "30min", "48h", "1w2d", "1h30min", "99999999d"].map(kept_span);
        assert!(read.iter().all(Result::is_ok), "{read:?}");
        assert_eq!(kept_span("1h30min"), any_span("1h30min"));
        for bare in ["6m", "1h30m", "5min6m", "6m5min", "0m"] {
            let told = kept_span(bare).unwrap_err();
            assert!(
                told.contains("write min for minutes") && told.contains("--keep-monthly"),
                "{bare}: {told}"
            );
        }
        for wrong in ["", "6", "1y", "6mi", "6mmin", "min"] {
            // Nothing that is refused is proposed.
            let told = kept_span(wrong).unwrap_err();
            assert!(told.contains("no span of time") && !told.contains("15m"), "{wrong}: {told}");
        }
    }

    #[test]
    fn spans_read_well() {
        assert_eq!([90, 900, 3_600, 86_400, 777_600].map(exact), ["90s", "15m", "1h", "1d", "9d"]);
        let told = [0, 59, 61, 3_600, 90_000, -300].map(rounded);
        assert_eq!(told, ["0 s", "59 s", "1 min 1 s", "1 h 0 min", "1 d 1 h", "-5 min 0 s"]);
        let told = [-1, 119, 7_199, 172_799, 172_800].map(brief);
        assert_eq!(told, ["0 s", "119 s", "119 min", "47 h", "2 d"]);
    }

    proptest! {
        #[test]
        fn what_is_printed_exactly_is_read_as_the_same(seconds in 0..=i64::MAX, short in 0..=CENTURY) {
            prop_assert_eq!(any_span(&exact(seconds)), Ok(seconds));
            prop_assert_eq!(span(&exact(short)), Ok(short));
        }

        #[test]
        fn no_text_is_a_span_before_now(any in ".*", near in "([0-9]{0,20}(s|mi?n?|h|d|w)?){0,4}") {
            for text in [any, near] {
                if let Ok(seconds) = any_span(&text) {
                    prop_assert!(0 <= seconds);
                    prop_assert_eq!(span(&text).is_ok(), seconds <= CENTURY);
                    prop_assert!(kept_span(&text).is_err() || kept_span(&text) == Ok(seconds));
                } else {
                    prop_assert!(kept_span(&text).is_err());
                }
            }
        }

        #[test]
        fn every_number_has_a_text(seconds: i64) {
            prop_assert!([exact(seconds), rounded(seconds), brief(seconds)].iter().all(|text| !text.is_empty()));
        }
    }
}
