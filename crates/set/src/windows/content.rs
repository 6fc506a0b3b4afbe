//! What the database of a Windows CA holds: whose it is, and how much of what.

use std::collections::BTreeSet;

use certadm_ca::identity::Identity;
use certadm_ca::rows::Disposition;
use certadm_ese::column::Value;
use certadm_ese::pager::Pager;
use certadm_ese::table::Row;
use certadm_ese::{Database, Error};

use crate::progress::{Progress, Stage};
use crate::scratch::Content;

/// So many rows are counted before it is told.
const ROWS_TOLD: u64 = 1024;

/// Counts the rows of a CA's database, as it lies there or as a replay gave it, and finds the CA's newest certificate.
///
/// # Errors
/// [`Error::NoSuchTable`] when it is another kind of database; what keeps its rows from being read.
pub fn of_ca<P: Pager>(database: &Database<P>, progress: &mut dyn Progress) -> Result<Content, Error> {
    let mut content = Content::default();
    let mut own = BTreeSet::new();
    let requests = database.table("Requests")?;
    let disposition = requests.column("Disposition")?;
    for row in requests.rows() {
        let row = row?;
        content.requests += 1;
        if content.requests.is_multiple_of(ROWS_TOLD) {
            progress.at(Stage::Rows, content.requests, 0);
        }
        let disposition = row.value(disposition)?.integer().and_then(|number| i32::try_from(number).ok());
        match disposition.map(Disposition) {
            Some(Disposition::ISSUED) => content.certificates += 1,
            Some(Disposition::REVOKED) => {
                content.certificates += 1;
                content.revoked += 1;
            }
            Some(Disposition::CA_CERTIFICATE) => {
                content.own += 1;
                own.extend(request_id(&row)?);
            }
            Some(Disposition::CA_CHAIN | Disposition::KRA_CERTIFICATE) => content.own += 1,
            _ => {}
        }
    }
    content.identity = newest(database, own)?;
    for row in database.table("CRLs")?.rows() {
        row?;
        content.crls += 1;
    }
    Ok(content)
}

fn request_id<P: Pager>(row: &Row<'_, '_, P>) -> Result<Option<i64>, Error> {
    Ok(row.by_name("RequestID")?.integer())
}

/// The newest of the CA's own certificates. The rows stand in the order of their requests, so the search ends early.
fn newest<P: Pager>(database: &Database<P>, mut own: BTreeSet<i64>) -> Result<Option<Identity>, Error> {
    let mut newest: Option<Identity> = None;
    for row in database.table("Certificates")?.rows() {
        if own.is_empty() {
            break;
        }
        let row = row?;
        if !request_id(&row)?.is_some_and(|id| own.remove(&id)) {
            continue;
        }
        let Ok(Value::Binary(der)) = row.by_name("RawCertificate") else { continue };
        let Ok(identity) = Identity::of_certificate(&der, "the row") else { continue };
        if newest.as_ref().is_none_or(|newest| newest.not_before <= identity.not_before) {
            newest = Some(identity);
        }
    }
    Ok(newest)
}
