//! Revocation, and the end of a hold.

use certadm_rules::FileTime;
use rusqlite::{Connection, OptionalExtension};

use crate::error::{Error, Result};
use crate::reason::Reason;
use crate::rows::{Disposition, Revocation};
use crate::serial::Serial;

/// One revocation.
#[derive(Clone, Copy, Debug)]
pub struct RevocationOrder<'a> {
    /// Which certificate.
    pub serial: &'a Serial,
    /// Why.
    pub reason: Reason,
    /// Who says so.
    pub by: &'a str,
    /// Now.
    pub now: FileTime,
    /// From when on it counts, if not from now; the date in the CRL.
    pub effective: Option<FileTime>,
}

/// Revokes a certificate: disposition 21, and the four columns on revocation in Requests. With
/// [`Reason::REMOVE_FROM_CRL`] a certificate on hold becomes valid again. A hold may turn into a
/// revocation for good. Call it inside of a transaction.
///
/// Gives what the row says now: `None` after the end of a hold.
///
/// # Errors
/// [`Error::UnknownSerial`], [`Error::AlreadyRevoked`], [`Error::NotOnHold`],
/// [`Error::OwnCertificate`]; nothing has been changed then. [`Error::NotRecorded`], [`Error::Store`]; the transaction must
/// be rolled back.
pub fn revoke(connection: &Connection, order: &RevocationOrder<'_>) -> Result<Option<Revocation>> {
    let serial = || order.serial.clone();
    let (request_id, disposition, present) =
        find(connection, order.serial)?.ok_or_else(|| Error::UnknownSerial { serial: serial() })?;
    let on_hold = present.is_some_and(|present| present.reason == Reason::CERTIFICATE_HOLD);
    let lifts_hold = order.reason == Reason::REMOVE_FROM_CRL;
    match (disposition, present) {
        (Disposition::CA_CERTIFICATE, _) => {
            return Err(Error::OwnCertificate { serial: serial() });
        }
        (Disposition::ISSUED, _) if lifts_hold => {
            return Err(Error::NotOnHold { serial: serial() });
        }
        (Disposition::ISSUED, _) => {}
        (Disposition::REVOKED, _) if on_hold && order.reason != Reason::CERTIFICATE_HOLD => {}
        (Disposition::REVOKED, _) if lifts_hold => {
            return Err(Error::NotOnHold { serial: serial() });
        }
        (Disposition::REVOKED, Some(present)) => {
            return Err(Error::AlreadyRevoked {
                serial: serial(),
                reason: present.reason,
                when: present.when.unwrap_or_default(),
            });
        }
        _ => return Err(Error::UnknownSerial { serial: serial() }),
    }
    let revocation = (!lifts_hold).then(|| Revocation {
        when: Some(order.now),
        effective: Some(order.effective.unwrap_or(order.now)),
        reason: order.reason,
    });
    let (disposition, verb) = match revocation {
        Some(_) => (Disposition::REVOKED, "Revoked"),
        None => (Disposition::ISSUED, "Hold ended"),
    };
    connection
        .prepare_cached(
            "UPDATE Requests SET Disposition = ?2, DispositionMessage = ?3, RevokedWhen = ?4, \
             RevokedEffectiveWhen = ?5, RevokedReason = ?6 WHERE RequestID = ?1",
        )?
        .execute((
            request_id,
            disposition.0,
            format!("{verb} by {}", order.by),
            revocation.and_then(|revocation| revocation.when).map(|date| date.0),
            revocation.and_then(|revocation| revocation.effective).map(|date| date.0),
            revocation.map(|revocation| revocation.reason.code()),
        ))?;
    // Nothing is reported as done that the next CRL would not say.
    if find(connection, order.serial)? != Some((request_id, disposition, revocation)) {
        return Err(Error::NotRecorded { serial: serial(), verb: "revoked" });
    }
    Ok(revocation)
}

type Found = (i64, Disposition, Option<Revocation>);

fn find(connection: &Connection, serial: &Serial) -> Result<Option<Found>> {
    let found = connection
        .prepare_cached(
            "SELECT RequestID, Disposition, RevokedWhen, RevokedEffectiveWhen, RevokedReason \
             FROM Certificates JOIN Requests USING (RequestID) WHERE SerialNumber = ?1",
        )?
        .query_row([serial], |row| {
            let disposition = Disposition(row.get(1)?);
            let revocation = match disposition {
                Disposition::REVOKED => Some(Revocation {
                    when: row.get::<_, Option<i64>>(2)?.map(FileTime),
                    effective: row.get::<_, Option<i64>>(3)?.map(FileTime),
                    reason: Reason::from_code(row.get::<_, Option<i32>>(4)?.unwrap_or_default()),
                }),
                _ => None,
            };
            Ok((row.get(0)?, disposition, revocation))
        })
        .optional()?;
    Ok(found)
}
