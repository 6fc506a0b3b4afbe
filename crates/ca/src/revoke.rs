//! Revocation, and the end of a hold.

use std::fmt;
use std::str::FromStr;

use certadm_store::FileTime;
use rusqlite::{Connection, OptionalExtension};
use serde::{Serialize, Serializer};
use x509_cert::ext::pkix::CrlReason;

use crate::error::{Error, Result};
use crate::rows::{Disposition, Revocation};
use crate::serial::Serial;

/// Why a certificate is revoked (RFC 5280 5.3.1): the column `RevokedReason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reason(i32);

impl Reason {
    /// No reason given; the CRL then carries none.
    pub const UNSPECIFIED: Self = Self(0);
    /// The private key is, or may be, in other hands.
    pub const KEY_COMPROMISE: Self = Self(1);
    /// The same for the key of a CA.
    pub const CA_COMPROMISE: Self = Self(2);
    /// The name or another part of the subject has changed.
    pub const AFFILIATION_CHANGED: Self = Self(3);
    /// Replaced by another certificate.
    pub const SUPERSEDED: Self = Self(4);
    /// No longer needed.
    pub const CESSATION_OF_OPERATION: Self = Self(5);
    /// Suspended; the only revocation that can be taken back.
    pub const CERTIFICATE_HOLD: Self = Self(6);
    /// Takes a hold back.
    pub const REMOVE_FROM_CRL: Self = Self(8);
    /// A privilege that the certificate states has been withdrawn.
    pub const PRIVILEGE_WITHDRAWN: Self = Self(9);
    /// The key of an attribute authority is in other hands.
    pub const AA_COMPROMISE: Self = Self(10);

    const NAMES: [(Self, &str); 10] = [
        (Self::UNSPECIFIED, "unspecified"),
        (Self::KEY_COMPROMISE, "keyCompromise"),
        (Self::CA_COMPROMISE, "cACompromise"),
        (Self::AFFILIATION_CHANGED, "affiliationChanged"),
        (Self::SUPERSEDED, "superseded"),
        (Self::CESSATION_OF_OPERATION, "cessationOfOperation"),
        (Self::CERTIFICATE_HOLD, "certificateHold"),
        (Self::REMOVE_FROM_CRL, "removeFromCRL"),
        (Self::PRIVILEGE_WITHDRAWN, "privilegeWithdrawn"),
        (Self::AA_COMPROMISE, "aACompromise"),
    ];

    /// The reason with this number, as a database has it; any number is kept.
    pub fn from_code(code: i32) -> Self {
        Self(code)
    }

    /// The number.
    pub fn code(self) -> i32 {
        self.0
    }

    /// The names that [`Reason::from_str`] reads, in the order of their numbers.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().map(|(_, name)| *name)
    }

    fn name(self) -> Option<&'static str> {
        let known = Self::NAMES.iter().find(|(reason, _)| *reason == self);
        known.map(|(_, name)| *name)
    }

    /// What the entry of a CRL says; nothing for `unspecified` (RFC 5280 5.3.1) and for numbers
    /// that are none of its.
    pub(crate) fn to_x509(self) -> Option<CrlReason> {
        Some(match self {
            Self::KEY_COMPROMISE => CrlReason::KeyCompromise,
            Self::CA_COMPROMISE => CrlReason::CaCompromise,
            Self::AFFILIATION_CHANGED => CrlReason::AffiliationChanged,
            Self::SUPERSEDED => CrlReason::Superseded,
            Self::CESSATION_OF_OPERATION => CrlReason::CessationOfOperation,
            Self::CERTIFICATE_HOLD => CrlReason::CertificateHold,
            Self::PRIVILEGE_WITHDRAWN => CrlReason::PrivilegeWithdrawn,
            Self::AA_COMPROMISE => CrlReason::AaCompromise,
            _ => return None,
        })
    }
}

impl FromStr for Reason {
    type Err = Error;

    /// A name of RFC 5280 in any case, or its number.
    fn from_str(text: &str) -> Result<Self> {
        let by_name = Self::NAMES
            .iter()
            .find(|(reason, name)| name.eq_ignore_ascii_case(text) || reason.0.to_string() == text);
        by_name.map(|(reason, _)| *reason).ok_or_else(|| Error::BadReason { text: text.into() })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => out.write_str(name),
            None => write!(out, "reason {}", self.0),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

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
/// [`Error::OwnCertificate`]; nothing has been changed then. [`Error::Store`].
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
                    reason: Reason(row.get::<_, Option<i32>>(4)?.unwrap_or_default()),
                }),
                _ => None,
            };
            Ok((row.get(0)?, disposition, revocation))
        })
        .optional()?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_names_and_numbers() {
        for (reason, name) in Reason::NAMES {
            assert_eq!(name.parse::<Reason>().unwrap(), reason);
            assert_eq!(name.to_uppercase().parse::<Reason>().unwrap(), reason);
            assert_eq!(reason.code().to_string().parse::<Reason>().unwrap(), reason);
            assert_eq!(reason.to_string(), name);
        }
        for text in ["", "7", "11", "-1", "key compromise"] {
            assert!(text.parse::<Reason>().is_err(), "{text}");
        }
        assert_eq!(Reason::from_code(7).to_string(), "reason 7");
    }
}
