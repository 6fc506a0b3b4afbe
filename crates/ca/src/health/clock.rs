//! Whether the clock can be right, by what the CA has: for what is done at any time, such as a revocation.

use certadm_rules::FileTime;
use certadm_rules::finding::{Finding, Kind};
use certadm_store::Folder;
use rusqlite::Connection;

use super::content::last_crl;
use crate::error::Result;
use crate::identity::Identity;

/// A finding for each reason to believe that the clock is wrong: at this time the CA's own certificate is not valid, the last CRL is
/// not made yet, or it has ended, as no CA lets it that is not down. A revocation is made all the same, because it cannot wait.
///
/// # Errors
/// As [`Identity::of_folder`]; [`crate::Error::Store`].
pub fn clock_doubts(connection: &Connection, folder: &Folder, now: FileTime) -> Result<Vec<Finding>> {
    let mut doubts = Vec::new();
    let mut doubt = |text: String| {
        let text = format!("it is {} by this machine's clock, and {text}", now.to_rfc3339());
        doubts.push(Finding::warning(Kind::Clock, text).remedy(
            "look at the clock; a CRL that is made once it is right gives no later date than its own, whatever the database says",
        ));
    };
    if let Some(own) = Identity::of_folder(folder)?
        && (now < own.not_before || own.not_after <= now)
    {
        let (from, until) = (own.not_before.to_rfc3339(), own.not_after.to_rfc3339());
        doubt(format!("the CA's own certificate is valid from {from} until {until}"));
    }
    match last_crl(connection)? {
        Some(crl) if crl.this_update.is_ahead_of(now) => {
            doubt(format!("the last CRL was made on {}", crl.this_update.to_rfc3339()));
        }
        Some(crl) if crl.next_update <= now && !is_recovered_since(connection)? => {
            doubt(format!("the last CRL ended on {}", crl.next_update.to_rfc3339()));
        }
        _ => {}
    }
    Ok(doubts)
}

/// Whether the database was recovered from a backup after its last CRL was published: the CA was down meanwhile.
fn is_recovered_since(connection: &Connection) -> Result<bool> {
    let is_since = connection
        .prepare_cached(
            "SELECT recovered_when > (SELECT coalesce(ThisPublish, ThisUpdate) FROM CRLs ORDER BY RowId DESC LIMIT 1) \
             FROM store_state",
        )?
        .query_row([], |row| row.get::<_, Option<bool>>(0))?;
    Ok(is_since.unwrap_or_default())
}
