//! Keys that a CA had before its present one, and what they signed: its CRLs say nothing of that.

use certadm_rules::finding::{Finding, Kind};
use certadm_store::Folder;
use rusqlite::Connection;

use crate::error::Result;
use crate::identity::{Identity, own_certificates};
use crate::serial::Serial;

/// A finding for each earlier key of the CA in `folder` that signed a certificate which is in force; with `serial`, that certificate
/// alone counts. A CRL is signed with the present key, and whoever checks what another key signed does not look at it.
///
/// # Errors
/// As [`Identity::of_folder`] and [`crate::identity::DatabaseIdentity::read`].
pub fn keys_without_crl(
    connection: &Connection,
    folder: &Folder,
    serial: Option<&Serial>,
) -> Result<Vec<Finding>> {
    let Some(own) = Identity::of_folder(folder)? else { return Ok(Vec::new()) };
    // A CA records its certificate before it signs with the key of it, so that what follows a row is of that key.
    let rows = own_certificates(connection)?;
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM Certificates JOIN Requests USING (RequestID) \
         WHERE RequestID > ?1 AND RequestID < ?2 AND Disposition IN (20, 21) AND NotAfter > ?3 \
           AND SerialNumber = coalesce(?4, SerialNumber))",
    )?;
    let now = certadm_store::now().0;
    let mut without: Vec<&Identity> = Vec::new();
    for (place, (id, identity)) in rows.iter().enumerate() {
        let next = rows.get(place + 1).map_or(i64::MAX, |(next, _)| *next);
        let is_told = identity.has_key_of(&own) || without.iter().any(|told| told.has_key_of(identity));
        if !is_told && statement.query_row((id, next, now, serial.map(Serial::as_str)), |row| row.get(0))? {
            without.push(identity);
        }
    }
    Ok(without.into_iter().map(finding).collect())
}

fn finding(identity: &Identity) -> Finding {
    let text = format!(
        "the CA signs its CRLs with its present key, and certificates of its key {} are in force: their revocation has no effect by \
         these CRLs",
        identity.key_identifier
    );
    Finding::warning(Kind::CrlKey, text).remedy(
        "after each revocation of one of them, take a backup, make the CRL of that key with `certadm emergency-crl SET --key OLD`, and \
         publish it where the certificates say",
    )
}
