//! Revocations that are ordered while the CA is down, kept until the CA has them (recovery.md 4.4).

use std::collections::BTreeMap;

use certadm_ca::{Reason, Serial, named};
use certadm_rules::FileTime;
use certadm_rules::finding::{Finding, Kind};
use serde::{Deserialize, Serialize};
use time::Date;
use time::macros::format_description;

use crate::error::{Error, Result};
use crate::origin::Origin;

/// A revocation that the CA may not know of yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The certificate.
    pub serial: Serial,
    /// Why. `removeFromCRL` takes a hold back.
    pub reason: Reason,
    /// From when on.
    pub when: FileTime,
    /// [`Origin::Order`] for one that was asked for; [`Origin::Published`] for one that the lost CA published itself;
    /// [`Origin::Database`] for one that its database had, and that a CA which is restored from an older set lacks.
    pub origin: Origin,
}

impl Revocation {
    /// Reads `SERIAL[:REASON[:WHEN]]`: the digits of the serial number without anything between them, a reason of
    /// RFC 5280 5.3.1 by name or number, and a date such as `2026-11-27` or `2026-11-27T10:00:00Z`, which is `now` where it
    /// is not given.
    ///
    /// ```
    /// use certadm_recovery::Revocation;
    /// use certadm_rules::FileTime;
    ///
    /// let now = FileTime::from_unix_seconds(1_800_000_000);
    /// let revocation = Revocation::parse("4f3a00:keyCompromise:2026-11-27", now)?;
    /// assert_eq!(revocation.serial.as_str(), "4f3a00");
    /// assert_eq!(revocation.when.to_rfc3339(), "2026-11-27T00:00:00Z");
    /// # Ok::<(), certadm_recovery::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Revocation`].
    pub fn parse(text: &str, now: FileTime) -> Result<Self> {
        let mut parts = text.splitn(3, ':');
        let serial = parts.next().unwrap_or_default();
        let read = Self::of(text, serial, parts.next(), parts.next(), now)?;
        if read.when.is_ahead_of(now) {
            let reason = "its date lies in the future".to_owned();
            return Err(Error::Revocation { what: text.to_owned(), reason });
        }
        // The clocks of two machines differ.
        Ok(Self { when: read.when.min(now), ..read })
    }

    /// Whether it is for good: neither a hold nor the end of one.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !matches!(self.reason, Reason::REMOVE_FROM_CRL | Reason::CERTIFICATE_HOLD)
    }

    fn of(what: &str, serial: &str, reason: Option<&str>, when: Option<&str>, now: FileTime) -> Result<Self> {
        let refuse = |reason: String| Error::Revocation { what: what.to_owned(), reason };
        let given =
            |text: Option<&str>| text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let serial = serial.parse().map_err(|error: certadm_ca::Error| refuse(error.to_string()))?;
        let reason = match given(reason) {
            Some(text) => text.parse().map_err(|error: certadm_ca::Error| refuse(error.to_string()))?,
            None => Reason::UNSPECIFIED,
        };
        let when = match given(when) {
            Some(text) => date(&text).ok_or_else(|| {
                refuse(format!("{text:?} is no date such as 2026-11-27 or 2026-11-27T10:00:00Z"))
            })?,
            None => now,
        };
        if certadm_ca::dates::to_x509(when).is_err() {
            return Err(refuse("its date lies before 1970, which no CRL can name".to_owned()));
        }
        Ok(Self { serial, reason, when, origin: Origin::Order })
    }

    /// Reads lines `SERIAL,REASON,WHEN` of a CSV file. Reason and date may be missing; empty lines, lines that begin with `#` and a
    /// first line whose first cell is a heading, such as `serial`, are skipped. `serial=` may stand before a serial number, as
    /// `openssl x509 -noout -serial` writes it. A date later than `now` becomes `now`, because one entry of a wrong clock must not keep
    /// the others from being revoked; `findings` then has a note.
    ///
    /// # Errors
    /// [`Error::ListLine`].
    pub fn parse_csv(text: &str, now: FileTime, findings: &mut Vec<Finding>) -> Result<Vec<Self>> {
        Self::parse_csv_with(text, Reason::UNSPECIFIED, now, findings)
    }

    /// As [`Revocation::parse_csv`]; lines that name no reason have this one.
    ///
    /// # Errors
    /// As [`Revocation::parse_csv`].
    pub fn parse_csv_with(
        text: &str,
        reason: Reason,
        now: FileTime,
        findings: &mut Vec<Finding>,
    ) -> Result<Vec<Self>> {
        let otherwise = reason.to_string();
        let mut revocations = Vec::new();
        for (place, line) in text.lines().enumerate() {
            let line = line.trim_start_matches('\u{feff}').trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut cells = line.split(',').map(|cell| cell.trim().trim_matches('"'));
            let serial = cells.next().unwrap_or_default();
            if place == 0 && is_heading(serial) {
                continue;
            }
            let serial = serial.strip_prefix("serial=").unwrap_or(serial);
            let reason = cells.next().filter(|cell| !cell.is_empty()).unwrap_or(&otherwise);
            let when = cells.next();
            let read = Self::of(line, serial, Some(reason), when, now);
            revocations.push(read.map_err(|error| match error {
                Error::Revocation { reason, .. } => Error::ListLine { line: place + 1, reason },
                other => other,
            })?);
        }
        findings.extend(not_later(&mut revocations, now));
        Ok(revocations)
    }

    /// Reads `revocations.json`, as an earlier emergency CRL has left it. Dates as in [`Revocation::parse_csv`].
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse_json(text: &str, now: FileTime, findings: &mut Vec<Finding>) -> Result<Vec<Self>, String> {
        let list: List = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let one = |kept: &Kept| {
            let serial = kept.serial_number.as_str();
            let read = Self::of(serial, serial, kept.reason.as_deref(), kept.when.as_deref(), now);
            let of_key = |origin: &Origin| kept.origin.as_deref() == Some(origin.key());
            let origin =
                [Origin::Published, Origin::Database].into_iter().find(of_key).unwrap_or(Origin::Order);
            Ok(Self { origin, ..read.map_err(|error| error.to_string())? })
        };
        let mut revocations: Vec<Self> = list.revocations.iter().map(one).collect::<Result<_, String>>()?;
        findings.extend(not_later(&mut revocations, now));
        Ok(revocations)
    }

    /// The file that keeps them for the next emergency CRL, and for the CA when it is back.
    #[must_use]
    pub fn to_json(revocations: &[Self]) -> String {
        let one = |revocation: &Self| Kept {
            serial_number: revocation.serial.to_string(),
            reason: Some(revocation.reason.to_string()),
            when: Some(revocation.when.to_rfc3339()),
            origin: Some(revocation.origin.key().to_owned()),
        };
        let list = List { format: Some(1), revocations: revocations.iter().map(one).collect() };
        serde_json::to_string(&list).unwrap_or_default() // plain data by construction
    }

    /// The commands that tell a Windows CA, when it is back: a file for `cmd.exe`. It publishes as [`Revocation::to_return_sh`] does:
    /// when all of them are entered.
    #[must_use]
    pub fn to_return_cmd(revocations: &[Self]) -> String {
        let mut text = String::from(
            "@echo off\r\nsetlocal\r\nset missing=0\r\n\
             rem Run this on the CA when it is back, before it issues again: it may not know these revocations yet.\r\n\
             rem For very many, certadm apply-revocations does the same over one connection.\r\n",
        );
        for revocation in revocations {
            text.push_str(&revoke_command(&revocation.serial, revocation.reason));
        }
        text.push_str(PUBLISH_COMMANDS);
        text
    }

    /// The same for our own CA: a script that is called with the CA's folder and the file of its passphrase. The revocations stand
    /// beside it, with their dates, and so does the number of the emergency CRL. A CRL that lacks one of them would take the place of
    /// the emergency CRL, which has it: none is published then.
    #[must_use]
    pub fn to_return_sh() -> &'static str {
        "#!/bin/sh\n# Run this when the CA is back, before it issues again: it may not know these revocations yet.\n\
             # return.sh CA_FOLDER PASSPHRASE_FILE\nset -u\n\
             # The CRL is published when all of them are entered, and not when one was refused.\n\
             exec certadm apply-revocations \"$(dirname -- \"$0\")\" --dir \"$1\" --publish --passphrase-file \"$2\"\n"
    }
}

/// The lines of a file for `cmd.exe` that enter a revocation, and count it where it cannot be entered. -2146885616 is
/// `CRYPT_E_REVOKED`: the CA knew it before.
pub(crate) fn revoke_command(serial: &Serial, reason: Reason) -> String {
    // A hold is taken back by -1.
    if reason == Reason::REMOVE_FROM_CRL {
        // Where the CA does not know the hold, nothing is lacking.
        return format!("certutil -revoke {serial} -1\r\n");
    }
    format!(
        "certutil -revoke {serial} {}\r\n\
         if not %errorlevel%==0 if not %errorlevel%==-2146885616 set /a missing+=1\r\n",
        reason.code()
    )
}

/// The end of such a file: a CRL that lacks a revocation would take the place of the emergency CRL, which has it.
const PUBLISH_COMMANDS: &str = "if not %missing%==0 (\r\n    \
    echo No CRL is published: %missing% revocations could not be entered, and it would lack them.\r\n    \
    echo To publish it all the same: certutil -crl\r\n    exit /b 1\r\n)\r\ncertutil -crl\r\n";

/// Gives entries that are dated later than `now` that date. What lies within the tolerance of clocks needs no word.
fn not_later(revocations: &mut [Revocation], now: FileTime) -> Option<Finding> {
    let mut ahead = Vec::new();
    for revocation in revocations {
        if revocation.when.is_ahead_of(now) {
            ahead.push(revocation.serial.clone());
        }
        revocation.when = revocation.when.min(now);
    }
    (!ahead.is_empty()).then(|| {
        let detail = format!("dated in the future, and revoked from now on: {}", named(&ahead));
        Finding::note(Kind::Clock, detail)
    })
}

/// `revocations.json`: a CRL may list very many certificates.
#[derive(Serialize, Deserialize)]
struct List {
    format: Option<u32>,
    revocations: Vec<Kept>,
}

/// An entry of it; who writes one by hand may leave out all but the certificate.
#[derive(Serialize, Deserialize)]
struct Kept {
    serial_number: String,
    reason: Option<String>,
    when: Option<String>,
    origin: Option<String>,
}

/// A date, or a date with a time and a zone.
fn date(text: &str) -> Option<FileTime> {
    FileTime::from_rfc3339(text).or_else(|| {
        let date = Date::parse(text, format_description!("[year]-[month]-[day]")).ok()?;
        Some(FileTime::from_unix_seconds(date.midnight().assume_utc().unix_timestamp()))
    })
}

/// Puts lists together; of two orders for one certificate the later one in the list counts. What is revoked for good stays so: no later
/// hold, and no end of one, takes its place.
#[must_use]
pub fn merged(lists: impl IntoIterator<Item = Revocation>) -> Vec<Revocation> {
    let mut all: Vec<Revocation> = Vec::new();
    let mut places: BTreeMap<Serial, usize> = BTreeMap::new();
    for revocation in lists {
        match places.get(&revocation.serial) {
            Some(place) if revocation.is_final() || !all[*place].is_final() => all[*place] = revocation,
            Some(_) => {}
            None => {
                places.insert(revocation.serial.clone(), all.len());
                all.push(revocation);
            }
        }
    }
    all
}

/// Whether the first cell of a list is a heading and no serial number.
fn is_heading(cell: &str) -> bool {
    let cell = cell.to_ascii_lowercase();
    cell.starts_with("serial") && !cell.starts_with("serial=")
}
