//! The rows of our own CA's database, for a CRL.

use std::collections::BTreeSet;

use certadm_ca::Serial;
use certadm_ca::rows::Disposition;
use certadm_rules::FileTime;
use rusqlite::{Connection, Row as SqlRow};

use crate::error::Result;
use crate::records::{CrlRow, Maker, Reading, Records, Row};

impl Records {
    /// Reads the tables Requests, Certificates and CRLs. `asked` as in [`Reading::new`].
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database), [`Error::DamagedRow`](crate::Error::DamagedRow).
    pub fn of_ours(connection: &Connection, now: FileTime, asked: BTreeSet<Serial>) -> Result<Self> {
        Self::of_ours_seen(connection, now, asked, &mut |_| ())
    }

    /// As [`Records::of_ours`]; `see` is shown every row on the way.
    ///
    /// # Errors
    /// As [`Records::of_ours`].
    pub fn of_ours_seen(
        connection: &Connection,
        now: FileTime,
        asked: BTreeSet<Serial>,
        see: &mut dyn FnMut(&Row),
    ) -> Result<Self> {
        let mut reading = Reading::new(Maker::Certadm, now, asked);
        let mut statement = connection.prepare(
            "SELECT RequestID, Disposition, RevokedEffectiveWhen, RevokedReason, SerialNumber, NotAfter, \
             PublishExpiredCertInCRL, RawCertificate, RevokedWhen \
             FROM Requests JOIN Certificates USING (RequestID) ORDER BY RequestID",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let row = request(row)?;
            see(&row);
            reading.row(row)?;
        }
        let mut statement = connection.prepare(
            "SELECT RowId, Number, MinBase, NameId, ThisUpdate, NextUpdate, ThisPublish, NextPublish, RawCRL \
             FROM CRLs ORDER BY RowId",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            reading.crl(crl(row)?);
        }
        reading.number_floor(connection.query_row(
            "SELECT coalesce(max(crl_number_floor), 0) FROM store_state",
            [],
            |row| row.get(0),
        )?);
        Ok(reading.finish())
    }
}

fn request(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        request_id: row.get(0)?,
        disposition: Disposition(small(row, 1)?.unwrap_or_default()),
        revoked_when: row.get::<_, Option<i64>>(8)?.map(FileTime),
        revoked_effective_when: row.get::<_, Option<i64>>(2)?.map(FileTime),
        revoked_reason: small(row, 3)?,
        serial: row.get(4)?,
        not_after: row.get::<_, Option<i64>>(5)?.map(FileTime),
        publish_expired: row.get::<_, Option<i64>>(6)?.is_some_and(|flag| flag != 0),
        issuer_name_id: None,
        certificate: row.get(7)?,
    })
}

/// A number of 32 bits. One that is longer says nothing, and keeps no CRL from being made.
pub(crate) fn small(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<Option<i32>> {
    Ok(row.get::<_, Option<i64>>(column)?.and_then(|number| i32::try_from(number).ok()))
}

fn crl(row: &SqlRow<'_>) -> rusqlite::Result<CrlRow> {
    let date = |column| row.get::<_, Option<i64>>(column).map(|ticks| ticks.map(FileTime));
    Ok(CrlRow {
        row_id: row.get(0)?,
        number: row.get(1)?,
        min_base: row.get::<_, Option<i64>>(2)?.unwrap_or_default(),
        name_id: row.get::<_, Option<i64>>(3)?.unwrap_or_default(),
        this_update: date(4)?,
        next_update: date(5)?,
        this_publish: date(6)?,
        next_publish: date(7)?,
        raw: row.get(8)?,
    })
}
