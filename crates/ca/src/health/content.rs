//! What the tables of a CA's database say of the CA.

use certadm_rules::Hresult;
use certadm_rules::finding::{Finding, Kind};
use certadm_store::FileTime;
use rusqlite::{Connection, OptionalExtension};

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
    /// The backups on record, oldest first.
    pub marks: Vec<Mark>,
    /// All requests, whatever became of them.
    pub requests: i64,
    /// Those whose certificate is issued and valid.
    pub issued: i64,
    /// Those whose certificate is revoked.
    pub revoked: i64,
    /// The end of the CA's own certificate.
    pub valid_until: Option<FileTime>,
    /// The last CRL.
    pub crl: Option<Crl>,
}

/// A backup on record.
#[derive(Clone, Debug)]
pub struct Mark {
    /// What it counts as.
    pub kind: String,
    /// The lowest generation in it.
    pub low: u32,
    /// The highest generation in it.
    pub high: u32,
    /// When it ended.
    pub taken: FileTime,
}

/// The last CRL.
#[derive(Clone, Copy, Debug)]
pub struct Crl {
    /// Its number.
    pub number: i64,
    /// The moment after which nobody accepts it.
    pub next_update: FileTime,
}

impl Content {
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        let state =
            "SELECT generation, lower(hex(database_signature)), lower(hex(stream_signature)), recovered_when
                     FROM store_state";
        let (generation, database_signature, stream_signature, recovered) =
            connection.query_row(state, [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, Option<i64>>(3)?))
            })?;
        let mut marks = connection.prepare(
            "SELECT kind, generation_low, generation_high, taken_when FROM store_marks ORDER BY taken_when",
        )?;
        let marks = marks
            .query_map([], |row| {
                let (kind, low, high) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(Mark { kind, low, high, taken: FileTime(row.get(3)?) })
            })?
            .collect::<rusqlite::Result<_>>()?;
        let others = count("SELECT count(*) FROM Requests WHERE Disposition <> 20")?;
        let requests = count("SELECT count(*) FROM Requests")?;
        let valid_until = connection.query_row(
            "SELECT NotAfter FROM Requests JOIN Certificates USING (RequestID)
             WHERE Disposition <> 20 AND Disposition = 15 ORDER BY RequestID DESC LIMIT 1",
            [],
            |row| Ok(FileTime(row.get(0)?)),
        );
        let crl = connection.query_row(
            "SELECT Number, NextUpdate FROM CRLs ORDER BY RowId DESC LIMIT 1",
            [],
            |row| Ok(Crl { number: row.get(0)?, next_update: FileTime(row.get(1)?) }),
        );
        Ok(Self {
            generation,
            database_signature,
            stream_signature,
            recovered: recovered.map(FileTime),
            marks,
            requests,
            issued: requests - others,
            revoked: count("SELECT count(*) FROM Requests WHERE Disposition <> 20 AND Disposition = 21")?,
            valid_until: valid_until.optional()?,
            crl: crl.optional()?,
        })
    }

    /// What there is to look into at this moment.
    pub(super) fn judge(&self, now: FileTime, findings: &mut Vec<Finding>) {
        if self.valid_until.is_some_and(|until| until <= now) {
            let text = "the CA's own certificate has expired";
            findings.push(
                Finding::error(Kind::CertificateExpired, Hresult::S_OK, text)
                    .remedy("create a CA that takes over; what this one issued is no longer accepted"),
            );
        }
        if self.crl.is_some_and(|crl| crl.next_update <= now) {
            findings.push(
                Finding::warning(Kind::CrlExpired, "the last CRL has expired")
                    .remedy("publish one with `certadm ca crl`"),
            );
        }
        if !self.marks.iter().any(|mark| mark.kind == "full") {
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
    use super::*;

    #[test]
    fn what_ends_is_said_when_it_has_ended() {
        let content = Content {
            generation: 1,
            database_signature: String::new(),
            stream_signature: String::new(),
            recovered: None,
            marks: Vec::new(),
            requests: 1,
            issued: 0,
            revoked: 0,
            valid_until: Some(FileTime(100)),
            crl: Some(Crl { number: 1, next_update: FileTime(50) }),
        };
        let kinds = |now: i64| {
            let mut findings = Vec::new();
            content.judge(FileTime(now), &mut findings);
            findings.iter().map(|finding| finding.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds(49), [Kind::NoFullBackup]);
        assert_eq!(kinds(50), [Kind::CrlExpired, Kind::NoFullBackup]);
        assert_eq!(kinds(100), [Kind::CertificateExpired, Kind::CrlExpired, Kind::NoFullBackup]);
    }
}
