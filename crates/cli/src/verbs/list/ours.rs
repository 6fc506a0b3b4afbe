//! Listing a database of our own CA, live or as a restore of its sets would give it.

use certadm_ca::rows::CertificateRow;
use certadm_ca::{CertificateChoice, export_certificate};
use rusqlite::Connection;

use super::columns::{self, Table};
use super::rows::{Export, Listed, Lister, Stop};
use crate::failure::Failure;
use crate::output::Done;
use crate::table::Column;

pub(super) fn list(mut lister: Lister<'_>, connection: &Connection, table: Table) -> Result<Done, Failure> {
    if let Some(export) = &lister.export {
        export.prepare()?;
    }
    let listed = match table {
        Table::Requests => lister.rows(columns::REQUESTS, |visit| certadm_ca::requests(connection, visit)),
        Table::Extensions => {
            lister.rows(columns::EXTENSIONS, |visit| certadm_ca::extensions(connection, visit))
        }
        Table::Attributes => {
            lister.rows(columns::ATTRIBUTES, |visit| certadm_ca::attributes(connection, visit))
        }
        Table::Crls => lister.rows(columns::CRLS, |visit| certadm_ca::crls(connection, visit)),
        Table::Certificates => certificates(&mut lister, connection, columns::CERTIFICATES, |visit| {
            certadm_ca::certificates(connection, visit)
        }),
        Table::Revoked => certificates(&mut lister, connection, columns::REVOKED, |visit| {
            certadm_ca::revoked(connection, visit)
        }),
    }?;
    Ok(lister.done(table.name(), listed))
}

fn certificates(
    lister: &mut Lister<'_>,
    connection: &Connection,
    columns: &'static [Column<CertificateRow>],
    all: impl FnOnce(&mut dyn FnMut(CertificateRow) -> Result<(), Stop>) -> Result<(), Stop>,
) -> Result<Listed, Failure> {
    let mut export = lister.export.take();
    let listed = lister.rows(columns, |visit| {
        all(&mut |row| {
            let wanted = export.as_ref().map(|_| row.clone());
            visit(row)?;
            match (&mut export, wanted) {
                (Some(export), Some(row)) => Ok(write(export, connection, &row)?),
                _ => Ok(()),
            }
        })
    });
    lister.export = export;
    listed
}

fn write(export: &mut Export<'_>, connection: &Connection, row: &CertificateRow) -> Result<(), Failure> {
    let exported = export_certificate(connection, &CertificateChoice::RequestId(row.request_id))?;
    export.write(row.request_id, row.serial_number.as_deref(), &exported.to_pem())
}
