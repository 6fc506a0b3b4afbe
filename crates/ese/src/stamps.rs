//! Time stamps, signatures and notes on backups: small structures that every file of an instance shares (ese.md 3.1).

use core::fmt;

use crate::bytes::Fields;
use crate::error::Error;
use crate::lgpos::Lgpos;
use crate::time::DateTime;

/// The engine's 8-byte time stamp. Compared as raw bytes; all zero means "never".
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LogTime(pub [u8; 8]);

impl LogTime {
    pub(crate) fn read(fields: &Fields<'_>, at: usize) -> Result<Self, Error> {
        let mut raw = [0; 8];
        raw.copy_from_slice(fields.slice(at, 8)?);
        Ok(Self(raw))
    }

    /// True for the all-zero value, which means "never".
    pub fn is_none(self) -> bool {
        self.0 == [0; 8]
    }

    /// True when the stamp is in UTC; otherwise it is the local time of the machine that wrote it.
    pub fn is_utc(self) -> bool {
        self.0[6] & 1 != 0
    }

    /// Calendar date and time; `None` for "never" and for a date that does not exist.
    pub fn date_time(self) -> Option<DateTime> {
        let [second, minute, hour, day, month, year, low, high] = self.0;
        let milliseconds = u16::from(low >> 1) | (u16::from((high >> 1) & 7) << 7);
        DateTime::new(
            1900 + i32::from(year),
            month,
            day,
            hour,
            minute,
            second,
            u32::from(milliseconds) * 1_000_000,
        )
    }
}

impl fmt::Display for LogTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.date_time() {
            Some(date) if self.is_utc() => write!(f, "{date}Z"),
            Some(date) => write!(f, "{date}"),
            None if self.is_none() => f.write_str("never"),
            None => f.write_str("invalid"),
        }
    }
}

impl fmt::Debug for LogTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Identity of a database or of a log sequence: random number, creation time, computer name.
/// Compared as raw bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature(pub [u8; 28]);

impl Signature {
    pub(crate) fn read(fields: &Fields<'_>, at: usize) -> Result<Self, Error> {
        let mut raw = [0; 28];
        raw.copy_from_slice(fields.slice(at, 28)?);
        Ok(Self(raw))
    }

    /// The random part.
    pub fn random(&self) -> u32 {
        u32::from_le_bytes([self.0[0], self.0[1], self.0[2], self.0[3]])
    }

    /// When the database or the sequence was created.
    pub fn created(&self) -> LogTime {
        let mut raw = [0; 8];
        raw.copy_from_slice(&self.0[4..12]);
        LogTime(raw)
    }

    /// True for the all-zero value.
    pub fn is_none(&self) -> bool {
        self.0 == [0; 28]
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x} of {}", self.random(), self.created())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a backup left in a header: position, time and range of logs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BackupInfo {
    /// Log position of the backup's mark.
    pub mark: Lgpos,
    /// When it was taken.
    pub time: LogTime,
    /// First log generation of the backup; 0 means "no backup".
    pub low: u32,
    /// Last log generation; 0 in a backup copy until the patch page is merged in.
    pub high: u32,
}

impl BackupInfo {
    pub(crate) fn read(fields: &Fields<'_>, at: usize) -> Result<Self, Error> {
        Ok(Self {
            mark: fields.position(at)?,
            time: LogTime::read(fields, at + 8)?,
            low: fields.u32(at + 16)?,
            high: fields.u32(at + 20)?,
        })
    }

    /// True when the slot holds a backup.
    pub fn is_set(&self) -> bool {
        self.low != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_show_milliseconds_and_impossible_dates_do_not_panic() {
        let time = LogTime([1, 2, 3, 4, 5, 120, 1 | (5 << 1), 1 << 1]);
        assert_eq!(time.to_string(), "2020-05-04T03:02:01.133Z");
        assert_eq!(LogTime([255; 8]).to_string(), "invalid");
        assert_eq!(LogTime::default().to_string(), "never");
    }
}
