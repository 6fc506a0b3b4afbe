//! The requests of a Windows CA.

use certadm_ca::Reason;
use certadm_ca::rows::Disposition;
use certadm_ese::Database;
use certadm_ese::column::{Column, Value};
use certadm_ese::pager::Pager;
use certadm_ese::table::{Row, Table};
use certadm_rules::FileTime;

use super::item::{Inventory, Item, PUBLISH_TO_DIRECTORY};
use crate::error::{Error, Result};
use crate::records::Maker;
use crate::windows::{Damage, reason_code};

/// A Windows database, and what to do about rows that cannot be read.
#[allow(missing_debug_implementations)] // the database is a file
pub struct WindowsInventory<'d, P> {
    /// The database.
    pub database: &'d Database<P>,
    /// What to do about damage.
    pub damage: Damage,
}

impl<P: Pager> Inventory for WindowsInventory<'_, P> {
    fn maker(&self) -> Maker {
        Maker::Windows
    }

    fn each(&self, visit: &mut dyn FnMut(Item) -> Result<()>) -> Result<u64> {
        let (requests, certificates) =
            (self.database.table("Requests")?, self.database.table("Certificates")?);
        let of_requests = RequestColumns::new(&requests)?;
        let of_certificates = Certificates::new(&certificates)?;
        let mut unreadable = 0;
        for row in requests.rows() {
            let read = || -> Result<Item> {
                let mut item = of_requests.item(&row?)?;
                of_certificates.complete(&mut item)?;
                Ok(item)
            };
            match read() {
                Ok(item) => visit(item)?,
                Err(Error::Windows(_) | Error::DamagedRow { .. }) if self.damage == Damage::Accepted => {
                    unreadable += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(unreadable)
    }

    fn last_published(&self) -> Result<Option<FileTime>> {
        let crls = self.database.table("CRLs")?;
        let published = crls.column("ThisPublish")?;
        let mut newest = None;
        for row in crls.rows() {
            match row.map_err(Error::from).and_then(|row| date(&row, published)) {
                Ok(moment) => newest = newest.max(moment),
                Err(_) if self.damage == Damage::Accepted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(newest)
    }
}

fn number<P: Pager>(row: &Row<'_, '_, P>, column: &Column) -> Result<Option<i64>> {
    Ok(row.value(column)?.integer())
}

fn date<P: Pager>(row: &Row<'_, '_, P>, column: &Column) -> Result<Option<FileTime>> {
    Ok(match row.value(column)? {
        Value::DateTime(ticks) => Some(FileTime::from_bits(ticks)),
        _ => None,
    })
}

fn text<P: Pager>(row: &Row<'_, '_, P>, column: &Column) -> Result<Option<String>> {
    Ok(match row.value(column)? {
        Value::Text(text) => Some(text),
        _ => None,
    })
}

struct RequestColumns<'t> {
    id: &'t Column,
    disposition: &'t Column,
    submitted: &'t Column,
    resolved: &'t Column,
    effective: &'t Column,
    reason: &'t Column,
}

impl<'t> RequestColumns<'t> {
    fn new<P: Pager>(table: &'t Table<'_, P>) -> Result<Self> {
        Ok(Self {
            id: table.column("RequestID")?,
            disposition: table.column("Disposition")?,
            submitted: table.column("SubmittedWhen")?,
            resolved: table.column("ResolvedWhen")?,
            effective: table.column("RevokedEffectiveWhen")?,
            reason: table.column("RevokedReason")?,
        })
    }

    fn item<P: Pager>(&self, row: &Row<'_, '_, P>) -> Result<Item> {
        let disposition = number(row, self.disposition)?.and_then(|number| i32::try_from(number).ok());
        let disposition = Disposition(disposition.unwrap_or_default());
        let mut when = date(row, self.resolved)?;
        if when.is_none() {
            when = date(row, self.submitted)?;
        }
        let mut revoked = None;
        if disposition == Disposition::REVOKED {
            let code = number(row, self.reason)?.and_then(reason_code);
            revoked = Some((date(row, self.effective)?, Reason::from_code(code.unwrap_or_default())));
        }
        Ok(Item {
            request_id: number(row, self.id)?.unwrap_or_default(),
            disposition,
            when,
            serial: None,
            not_after: None,
            common_name: None,
            revoked,
            is_published: false,
            certificate: None,
        })
    }
}

/// The table Certificates, which has the request's number as its key like the other. Each row is looked up, so that one
/// that cannot be read says nothing of the others.
struct Certificates<'t, 'd, P> {
    table: &'t Table<'d, P>,
    serial: &'t Column,
    not_after: &'t Column,
    common_name: &'t Column,
    flags: &'t Column,
    raw: &'t Column,
}

impl<'t, 'd, P: Pager> Certificates<'t, 'd, P> {
    fn new(table: &'t Table<'d, P>) -> Result<Self> {
        Ok(Self {
            table,
            serial: table.column("SerialNumber")?,
            not_after: table.column("NotAfter")?,
            common_name: table.column("CommonName")?,
            flags: table.column("EnrollmentFlags")?,
            raw: table.column("RawCertificate")?,
        })
    }

    /// Adds what the certificate of a request says, where it has one.
    fn complete(&self, item: &mut Item) -> Result<()> {
        let Ok(number) = i32::try_from(item.request_id) else { return Ok(()) };
        match self.table.row_by_number(number)? {
            Some(row) => self.read(&row, item),
            None => Ok(()),
        }
    }

    fn read(&self, row: &Row<'_, '_, P>, item: &mut Item) -> Result<()> {
        if let Some(digits) = text(row, self.serial)? {
            let damaged = |error: certadm_ca::Error| Error::DamagedRow {
                request_id: item.request_id,
                reason: error.to_string(),
            };
            item.serial = Some(digits.parse().map_err(damaged)?);
        }
        item.not_after = date(row, self.not_after)?;
        item.common_name = text(row, self.common_name)?;
        item.is_published = number(row, self.flags)?.is_some_and(|flags| flags & PUBLISH_TO_DIRECTORY != 0);
        if item.disposition == Disposition::CA_CERTIFICATE
            && let Value::Binary(der) = row.value(self.raw)?
        {
            item.certificate = Some(der);
        }
        Ok(())
    }
}
