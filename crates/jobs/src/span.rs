//! Spans of time as people write them: `90s`, `15m`, `24h`, `7d`, `1w2d`.

use serde::{Deserialize, Deserializer};

/// The units, the longest first.
const UNITS: [(&str, i64); 5] = [("w", 7 * 86_400), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
/// Nothing is meant to take longer: a century.
const MAX: i64 = 3_155_760_000;

/// Reads a span of time in seconds.
///
/// # Errors
/// A sentence.
pub fn span(text: &str) -> Result<i64, String> {
    let wrong = || "this is no span of time: write such as 90s, 15m, 24h, 7d or 1w2d".to_owned();
    let mut seconds = 0_i64;
    let mut rest = text;
    while !rest.is_empty() {
        let (digits, behind) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
        let (unit, length) = UNITS.iter().find(|(unit, _)| behind.starts_with(unit)).ok_or_else(wrong)?;
        // `min` is `m`, as elsewhere in certadm.
        let unit = if behind.starts_with("min") { "min" } else { unit };
        let part = digits.parse::<i64>().ok().and_then(|number| number.checked_mul(*length));
        seconds =
            part.and_then(|part| seconds.checked_add(part)).filter(|all| *all <= MAX).ok_or_else(wrong)?;
        rest = &behind[unit.len()..];
    }
    if text.is_empty() { Err(wrong()) } else { Ok(seconds) }
}

/// A span for a person, in the largest unit that gives a whole number.
#[must_use]
pub fn span_text(seconds: i64) -> String {
    let whole = UNITS.iter().find(|(_, length)| seconds != 0 && seconds % length == 0);
    let (unit, length) = whole.copied().unwrap_or(("s", 1));
    format!("{}{unit}", seconds / length)
}

/// A span of time as a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub i64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        span(&String::deserialize(from)?).map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_units() {
        let read = ["90s", "15m", "30min", "24h", "7d", "1w2d", "0s"].map(|text| span(text).unwrap());
        assert_eq!(read, [90, 900, 1_800, 86_400, 604_800, 777_600, 0]);
        for wrong in
            ["", "24", "h", "-1h", "1.5h", "24hours", "99999999d", "9223372036854775807w", "ü", "1h "]
        {
            assert!(span(wrong).is_err(), "{wrong}");
        }
        assert_eq!([90, 900, 3_600, 86_400, 777_600].map(span_text), ["90s", "15m", "1h", "1d", "9d"]);
    }
}
