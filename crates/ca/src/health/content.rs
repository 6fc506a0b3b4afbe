//! What the tables of a CA's database say of the CA.

use certadm_rules::finding::{Finding, Kind};
use certadm_rules::{BackupMarks, FileTime};
use certadm_store::{Error, Mark};
use rusqlite::{Connection, OptionalExtension};

use super::ages::{judge_backups, judge_certificate, judge_crl};
use super::thresholds::Thresholds;

/// What the tables say.
#[derive(Clone, Debug)]
pub struct Content {
    /// The generation that is being written.
    pub generation: u32,
    /// The signature of the database, in hexadecimal digits.
    pub database_signature: String,
    /// The signature of the stream of its logs.
    pub stream_signature: String,
    /// When the database was last recovered from a backup.
    pub recovered: Option<FileTime>,
    /// The backups on record.
    pub marks: BackupMarks<Mark>,
    /// All rows of requests, whatever became of them, those of the CA's own certificates among them.
    pub requests: i64,
    /// Rows of the certificates of the CA itself, of its chain and of its key recovery agents, which nobody requested.
    pub own: i64,
    /// Those whose certificate is issued and valid.
    pub issued: i64,
    /// Those whose certificate is revoked.
    pub revoked: i64,
    /// The end of the CA's own certificate.
    pub valid_until: Option<FileTime>,
    /// The last CRL.
    pub crl: Option<Crl>,
}

/// The last CRL.
#[derive(Clone, Copy, Debug)]
pub struct Crl {
    /// Its number.
    pub number: i64,
    /// From when on it is valid.
    pub this_update: FileTime,
    /// The moment after which nobody accepts it.
    pub next_update: FileTime,
}

/// The last CRL in the table.
pub(super) fn last_crl(connection: &Connection) -> Result<Option<Crl>, Error> {
    let crl = connection.query_row(
        "SELECT Number, ThisUpdate, NextUpdate FROM CRLs ORDER BY RowId DESC LIMIT 1",
        [],
        |row| {
            let (this_update, next_update) = (FileTime(row.get(1)?), FileTime(row.get(2)?));
            Ok(Crl { number: row.get(0)?, this_update, next_update })
        },
    );
    Ok(crl.optional()?)
}

impl Content {
    /// Requests that became no certificate: pending, denied and failed ones.
    #[must_use]
    pub const fn others(&self) -> i64 {
        self.requests - self.own - self.issued - self.revoked
    }

    pub(super) fn read(connection: &Connection) -> Result<Self, Error> {
        let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        let state =
            "SELECT generation, lower(hex(database_signature)), lower(hex(stream_signature)), recovered_when
                     FROM store_state";
        let (generation, database_signature, stream_signature, recovered) =
            connection.query_row(state, [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, Option<i64>>(3)?))
            })?;
        let others = count("SELECT count(*) FROM Requests WHERE Disposition <> 20")?;
        let requests = count("SELECT count(*) FROM Requests")?;
        let valid_until = connection.query_row(
            "SELECT NotAfter FROM Requests JOIN Certificates USING (RequestID)
             WHERE Disposition <> 20 AND Disposition = 15 ORDER BY RequestID DESC LIMIT 1",
            [],
            |row| Ok(FileTime(row.get(0)?)),
        );
        Ok(Self {
            generation,
            database_signature,
            stream_signature,
            recovered: recovered.map(FileTime),
            marks: certadm_store::marks(connection)?,
            requests,
            own: count(
                "SELECT count(*) FROM Requests WHERE Disposition <> 20 AND Disposition IN (15, 16, 17)",
            )?,
            issued: requests - others,
            revoked: count("SELECT count(*) FROM Requests WHERE Disposition <> 20 AND Disposition = 21")?,
            valid_until: valid_until.optional()?,
            crl: last_crl(connection)?,
        })
    }

    /// What there is to look into at this moment.
    pub(super) fn judge(&self, now: FileTime, thresholds: &Thresholds, findings: &mut Vec<Finding>) {
        judge_certificate(self.valid_until, now, thresholds, findings);
        if let Some(crl) = self.crl {
            judge_crl((crl.this_update, crl.next_update), now, thresholds, findings);
        }
        judge_backups(self.marks.iter().map(|(_, mark)| mark.taken), now, thresholds, findings);
        if self.marks.full.is_none() {
            findings.push(
                Finding::note(
                    Kind::NoFullBackup,
                    "no full backup is on record, and log sets need one as base",
                )
                .remedy("take one with `certadm backup`"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use certadm_rules::{CLOCK_TOLERANCE, Generation, GenerationRange};

    use super::super::ages::{DAY, HOUR};
    use super::*;

    const TOLERANCE: i64 = CLOCK_TOLERANCE * 10_000_000;

    fn kinds(content: &Content, now: i64) -> Vec<Kind> {
        let mut findings = Vec::new();
        content.judge(FileTime(now), &Thresholds::default(), &mut findings);
        findings.iter().map(|finding| finding.kind).collect()
    }

    /// A CA whose certificate ends after 1000 days, with a CRL of days 500 to 510 and a full backup of day 505.
    fn content() -> Content {
        Content {
            generation: 1,
            database_signature: String::new(),
            stream_signature: String::new(),
            recovered: None,
            marks: BackupMarks {
                full: GenerationRange::new(Generation::FIRST, Generation::FIRST)
                    .map(|range| Mark { range, taken: FileTime(505 * DAY) }),
                ..BackupMarks::NONE
            },
            requests: 1,
            own: 1,
            issued: 0,
            revoked: 0,
            valid_until: Some(FileTime(1000 * DAY)),
            crl: Some(Crl { number: 1, this_update: FileTime(500 * DAY), next_update: FileTime(510 * DAY) }),
        }
    }

    #[test]
    fn ages_are_told_from_their_thresholds_on() {
        let content = content();
        assert_eq!(kinds(&content, 505 * DAY), []);
        assert_eq!(kinds(&content, 505 * DAY + 1), [Kind::CrlDue]);
        assert_eq!(kinds(&content, 505 * DAY + 26 * HOUR), [Kind::CrlDue]);
        assert_eq!(kinds(&content, 505 * DAY + 26 * HOUR + 1), [Kind::CrlDue, Kind::BackupOld]);
        assert_eq!(kinds(&content, 510 * DAY), [Kind::CrlExpired, Kind::BackupOld]);
        assert_eq!(kinds(&content, 910 * DAY), [Kind::CrlExpired, Kind::BackupOld]);
        let ending = [Kind::CertificateEnding, Kind::CrlExpired, Kind::BackupOld];
        assert_eq!(kinds(&content, 910 * DAY + 1), ending);
        let ended = [Kind::CertificateExpired, Kind::CrlExpired, Kind::BackupOld];
        assert_eq!(kinds(&content, 1000 * DAY), ended);
        assert_eq!(kinds(&Content { marks: BackupMarks::NONE, ..content }, 505 * DAY), [Kind::NoFullBackup]);
    }

    #[test]
    fn a_date_in_the_future_is_told() {
        let content = content();
        assert_eq!(kinds(&content, 505 * DAY - TOLERANCE), []);
        assert_eq!(kinds(&content, 505 * DAY - TOLERANCE - 1), [Kind::Clock]);
        assert_eq!(kinds(&content, 499 * DAY), [Kind::Clock, Kind::Clock]);
        // It makes no backup younger that is old.
        let mut marks = content.marks;
        marks.copy = marks.full.map(|mark| Mark { taken: FileTime(900 * DAY), ..mark });
        let expected = [Kind::CrlDue, Kind::Clock, Kind::BackupOld];
        assert_eq!(kinds(&Content { marks, ..content }, 507 * DAY), expected);
    }
}
