//! Serial numbers of certificates.

use std::fmt;

use certadm_rules::{FileTime, hex};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::Serialize;
use x509_cert::serial_number::SerialNumber;

/// A serial number as the database holds it: pairs of lower-case hex digits without spaces
/// (spec/ese.md section 12, `SerialNumber`), most significant first, no leading `00`.
///
/// Parsing is generous: upper case, `0x`, and `:` or spaces between the digits are accepted, so
/// that a number can be pasted from `openssl x509 -serial` or from a browser.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Serial(String);

/// Twenty octets are all RFC 5280 4.1.2.2 allows; one more was seen in the wild.
const MAX_OCTETS: usize = 21;
/// A 64th of a second, in units of 100 ns.
const TICKS: u64 = 156_250;

impl Serial {
    /// A new number: 128 bits, whose two top bits are `01`, so that it is positive and always 16 octets long. Then come 38 bits
    /// of the time `now`, in 64ths of a second, and 88 bits from the operating system's random source.
    ///
    /// The time is there for the index of serial numbers: what is issued at one time lies on one page, and not each on a page of
    /// its own, of which every log would hold a copy (BENCHMARKS.md). It tells no more than the certificate's own dates do. The
    /// random bits alone make the number one that nobody can foresee, and that does not come twice, whatever the clock says.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(crate) fn new(now: FileTime) -> Result<Self, getrandom::Error> {
        let mut octets = [0u8; 16];
        getrandom::fill(&mut octets[5..])?;
        let time = (now.0.unsigned_abs() / TICKS % (1 << 38)) | (1 << 38);
        octets[..5].copy_from_slice(&time.to_be_bytes()[3..]);
        Ok(Self(hex::encode(&octets)))
    }

    /// The number that a text stands for: see the type.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let trimmed = text.trim();
        let digits: String = trimmed
            .strip_prefix("0x")
            .unwrap_or(trimmed)
            .chars()
            .filter(|c| !matches!(c, ':' | ' '))
            .map(|c| c.to_ascii_lowercase())
            .collect();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let normal = normal_form(&digits);
        (normal.len() <= 2 * MAX_OCTETS).then_some(Self(normal))
    }

    /// The hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn to_x509(&self) -> der::Result<SerialNumber> {
        SerialNumber::new(&hex::decode(&self.0).unwrap_or_default()) // pairs of digits by construction
    }
}

impl From<&SerialNumber> for Serial {
    fn from(number: &SerialNumber) -> Self {
        Self(normal_form(&hex::encode(number.as_bytes())))
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl ToSql for Serial {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for Serial {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        Self::read(text).ok_or_else(|| FromSqlError::Other(format!("{text:?} is not a serial number").into()))
    }
}

/// Some serial numbers for a sentence; the first of many.
#[must_use]
pub fn named(serials: &[Serial]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<_> = serials.iter().take(SHOWN).map(Serial::as_str).collect();
    let word = if serials.len() == 1 { "certificate" } else { "certificates" };
    match serials.len().checked_sub(SHOWN) {
        None | Some(0) => format!("{} {word} ({})", serials.len(), shown.join(", ")),
        Some(more) => format!("{} {word} ({} and {more} more)", serials.len(), shown.join(", ")),
    }
}

/// Lower-case hex pairs with a space between them: how a Windows CA stores hashes.
pub(crate) fn spaced_hex(octets: &[u8]) -> String {
    let pairs: Vec<String> = octets.iter().map(|octet| hex::encode(&[*octet])).collect();
    pairs.join(" ")
}

/// Whole pairs, no leading `00` (but zero itself is `00`).
fn normal_form(digits: &str) -> String {
    let significant = digits.trim_start_matches('0');
    match significant.len() {
        0 => "00".into(),
        odd if odd % 2 == 1 => format!("0{significant}"),
        _ => significant.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_numbers_are_positive_sixteen_octets_and_not_alike() {
        let times = [0, 1, i64::MAX, 134_403_736_330_000_000];
        for now in times.into_iter().cycle().take(100).map(FileTime) {
            let serial = Serial::new(now).unwrap();
            assert_eq!(serial.as_str().len(), 32);
            assert!(('4'..='7').contains(&serial.as_str().chars().next().unwrap()), "{serial}");
            let x509 = serial.to_x509().unwrap();
            assert_eq!(x509.as_bytes().len(), 16);
            assert_eq!(Serial::from(&x509), serial);
            assert_ne!(Serial::new(now).unwrap(), serial);
        }
    }

    #[test]
    fn later_numbers_are_higher() {
        let begin = 134_403_736_330_000_000;
        let at = |seconds: i64| Serial::new(FileTime(begin + seconds * 10_000_000)).unwrap();
        for years in 0..100 {
            let seconds = years * 31_557_600;
            assert!(at(seconds) < at(seconds + 1), "after {years} years");
        }
    }

    #[test]
    fn parsing_is_generous_about_form() {
        for text in ["0a1b", "A1B", "0x0A:1B", "00 0a 1b", " a1b "] {
            assert_eq!(Serial::read(text).unwrap().as_str(), "0a1b", "{text}");
        }
        assert_eq!(Serial::read("0").unwrap().as_str(), "00");
        for text in ["", "0x", "xyz", "12-34", &"f".repeat(43), "é"] {
            assert_eq!(Serial::read(text), None, "{text}");
        }
    }
}
