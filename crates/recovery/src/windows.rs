//! The rows of a Windows CA's database, for a CRL.

use std::collections::BTreeSet;

use certadm_ca::Serial;
use certadm_ca::rows::Disposition;
use certadm_ese::Database;
use certadm_ese::column::{Column, Value};
use certadm_ese::pager::Pager;
use certadm_ese::table::{Row as EseRow, Table};
use certadm_rules::FileTime;

use crate::error::{Error, Result};
use crate::records::{CrlRow, Maker, Reading, Records, Row};

/// What to do with a row that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// End: a revocation could be in it.
    Refused,
    /// Count it and go on.
    Accepted,
}

impl Records {
    /// Reads the tables Requests, Certificates and CRLs. `asked` as in [`Reading::new`].
    ///
    /// # Errors
    /// [`Error::Windows`] when the database is not that of a CA or is damaged, [`Error::DamagedRow`].
    pub fn of_windows<P: Pager>(
        database: &Database<P>,
        now: FileTime,
        asked: BTreeSet<Serial>,
        damage: Damage,
    ) -> Result<Self> {
        Self::of_windows_seen(database, now, asked, damage, &mut |_| ())
    }

    /// As [`Records::of_windows`]; `see` is shown every row on the way.
    ///
    /// # Errors
    /// As [`Records::of_windows`].
    pub fn of_windows_seen<P: Pager>(
        database: &Database<P>,
        now: FileTime,
        asked: BTreeSet<Serial>,
        damage: Damage,
        see: &mut dyn FnMut(&Row),
    ) -> Result<Self> {
        let mut reading = Reading::new(Maker::Windows, now, asked);
        requests(database, &mut reading, damage, see)?;
        crls(database, &mut reading, damage)?;
        Ok(reading.finish())
    }
}

/// A column by name; those that only some versions of Windows have may be missing.
struct Columns<'t, 'd, P> {
    table: &'t Table<'d, P>,
}

impl<'t, P: Pager> Columns<'t, '_, P> {
    fn get(&self, name: &str) -> Result<&'t Column> {
        Ok(self.table.column(name)?)
    }

    fn maybe(&self, name: &str) -> Option<&'t Column> {
        self.table.column(name).ok()
    }
}

fn number<P: Pager>(row: &EseRow<'_, '_, P>, column: &Column) -> Result<Option<i64>> {
    Ok(row.value(column)?.integer())
}

fn date<P: Pager>(row: &EseRow<'_, '_, P>, column: &Column) -> Result<Option<FileTime>> {
    Ok(match row.value(column)? {
        Value::DateTime(ticks) => Some(FileTime::from_bits(ticks)),
        _ => None,
    })
}

fn bytes<P: Pager>(row: &EseRow<'_, '_, P>, column: &Column) -> Result<Option<Vec<u8>>> {
    Ok(match row.value(column)? {
        Value::Binary(bytes) => Some(bytes),
        _ => None,
    })
}

/// Both tables have the request's number as their key, and are read side by side.
fn requests<P: Pager>(
    database: &Database<P>,
    reading: &mut Reading,
    damage: Damage,
    see: &mut dyn FnMut(&Row),
) -> Result<()> {
    let (requests, certificates) = (database.table("Requests")?, database.table("Certificates")?);
    let of = Columns { table: &requests };
    let (id, disposition) = (of.get("RequestID")?, of.get("Disposition")?);
    let (effective, reason) = (of.get("RevokedEffectiveWhen")?, of.get("RevokedReason")?);
    let (when, partition) = (of.maybe("RevokedWhen"), of.maybe("CRLPartitionIndex"));
    let mut issued = Certificates::new(&certificates)?;
    for row in requests.rows() {
        let mut partition_index = None;
        let read = || -> Result<Option<Row>> {
            let row = row?;
            let request_id = number(&row, id)?.unwrap_or_default();
            let disposition = disposition_of(&row, disposition)?;
            partition_index = partition.map(|column| number(&row, column)).transpose()?.flatten();
            let wanted = [Disposition::CA_CERTIFICATE, Disposition::ISSUED, Disposition::REVOKED];
            let mut found = Row::new(request_id, disposition);
            if wanted.contains(&disposition) {
                if disposition == Disposition::REVOKED {
                    found.revoked_when = when.map(|column| date(&row, column)).transpose()?.flatten();
                    found.revoked_effective_when = date(&row, effective)?;
                    found.revoked_reason = number(&row, reason)?.and_then(reason_code);
                }
                issued.complete(&mut found)?;
            }
            Ok(Some(found))
        };
        let read = read();
        reading.partition(partition_index.unwrap_or_default(), "Requests");
        let taken = read.and_then(|row| match row {
            Some(row) => {
                see(&row);
                reading.row(row)
            }
            None => Ok(()),
        });
        match taken {
            Err(Error::Windows(_) | Error::DamagedRow { .. }) if damage == Damage::Accepted => {
                reading.unreadable();
            }
            other => other?,
        }
    }
    Ok(())
}

fn disposition_of<P: Pager>(row: &EseRow<'_, '_, P>, column: &Column) -> Result<Disposition> {
    let number = number(row, column)?.and_then(|number| i32::try_from(number).ok());
    Ok(Disposition(number.unwrap_or_default()))
}

/// A reason is 32 bits; 0xFFFFFFFF is that of a hold that was taken back.
pub(crate) fn reason_code(number: i64) -> Option<i32> {
    u32::try_from(number).map(u32::cast_signed).or_else(|_| i32::try_from(number)).ok()
}

/// The table Certificates, read along with the requests.
struct Certificates<'t, 'd, P> {
    table: &'t Table<'d, P>,
    serial: &'t Column,
    not_after: &'t Column,
    expired: Option<&'t Column>,
    issuer: Option<&'t Column>,
    raw: &'t Column,
}

impl<'t, 'd, P: Pager> Certificates<'t, 'd, P> {
    fn new(table: &'t Table<'d, P>) -> Result<Self> {
        let of = Columns { table };
        Ok(Self {
            table,
            serial: of.get("SerialNumber")?,
            not_after: of.get("NotAfter")?,
            expired: of.maybe("PublishExpiredCertInCRL"),
            issuer: of.maybe("IssuerNameID"),
            raw: of.get("RawCertificate")?,
        })
    }

    /// Adds what the certificate of a request says, where it has one.
    fn complete(&mut self, found: &mut Row) -> Result<()> {
        let Ok(number_of_row) = i32::try_from(found.request_id) else { return Ok(()) };
        let Some(row) = self.table.row_by_number(number_of_row)? else { return Ok(()) };
        if let Value::Text(text) = row.value(self.serial)? {
            let damaged = |error: certadm_ca::Error| Error::DamagedRow {
                request_id: found.request_id,
                reason: error.to_string(),
            };
            found.serial = Some(text.parse().map_err(damaged)?);
        }
        found.not_after = date(&row, self.not_after)?;
        if let Some(column) = self.expired {
            found.publish_expired = number(&row, column)?.is_some_and(|flag| flag != 0);
        }
        if let Some(column) = self.issuer {
            found.issuer_name_id = number(&row, column)?;
        }
        found.certificate = bytes(&row, self.raw)?;
        Ok(())
    }
}

fn crls<P: Pager>(database: &Database<P>, reading: &mut Reading, damage: Damage) -> Result<()> {
    let table = database.table("CRLs")?;
    let of = Columns { table: &table };
    let (row_id, count, min_base, name_id) =
        (of.get("RowId")?, of.get("Number")?, of.get("MinBase")?, of.get("NameId")?);
    let (this_update, next_update) = (of.get("ThisUpdate")?, of.get("NextUpdate")?);
    let (this_publish, next_publish) = (of.get("ThisPublish")?, of.get("NextPublish")?);
    let (raw, partition) = (of.get("RawCRL")?, of.maybe("CRLPartitionIndex"));
    for row in table.rows() {
        let mut partition_index = None;
        let read = || -> Result<CrlRow> {
            let row = row?;
            partition_index = partition.map(|column| number(&row, column)).transpose()?.flatten();
            Ok(CrlRow {
                row_id: number(&row, row_id)?.unwrap_or_default(),
                number: number(&row, count)?.unwrap_or_default(),
                min_base: number(&row, min_base)?.unwrap_or_default(),
                name_id: number(&row, name_id)?.unwrap_or_default(),
                this_update: date(&row, this_update)?,
                next_update: date(&row, next_update)?,
                this_publish: date(&row, this_publish)?,
                next_publish: date(&row, next_publish)?,
                raw: bytes(&row, raw)?,
            })
        };
        let read = read();
        reading.partition(partition_index.unwrap_or_default(), "CRLs");
        match read {
            Ok(row) => reading.crl(row),
            Err(Error::Windows(_)) if damage == Damage::Accepted => reading.unreadable(),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
