//! Certificate revocation lists.

use std::path::{Path, PathBuf};

use certadm_files::durable;
use certadm_rules::FileTime;
use certadm_rules::finding::Finding;
use der::Encode;
use der::asn1::OctetString;
use rusqlite::{Connection, OptionalExtension};
use x509_cert::Version;
use x509_cert::crl::{CertificateList, RevokedCert, TbsCertList};
use x509_cert::ext::ToExtension;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, CrlNumber};
use x509_cert::name::Name;

use crate::config::Config;
use crate::dates;
use crate::error::{Error, Result};
use crate::keys::CaKey;
use crate::public_key::PublicKey;
use crate::reason::Reason;
use crate::rows::Disposition;
use crate::serial::Serial;
use crate::unrecorded::Kept;

/// A CRL that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Its number, greater than that of every CRL before it.
    pub number: i64,
    /// How many certificates it lists.
    pub entries: usize,
    /// From when on it is valid.
    pub this_update: FileTime,
    /// Until when.
    pub next_update: FileTime,
    /// Where it lies.
    pub path: PathBuf,
    /// The CRL in DER, as it lies there.
    pub der: Vec<u8>,
    /// What the CRL before it listed and the database lacked, and what was done about it.
    pub findings: Vec<Finding>,
}

/// What is unusual about a CRL that is to be published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CrlOptions {
    /// Publish although the last CRL is dated later than now: the clock was wrong when that one was made.
    pub after_wrong_clock: bool,
    /// Leave out what the published CRL lists and the database does not have as revoked. Otherwise that is revoked in the database
    /// again, or listed as it is where the database does not know the certificate.
    pub drop_published: bool,
}

/// CRLPublishFlags: base, complete.
const PUBLISH_FLAGS: i64 = 1 | 4;

/// The number of the next CRL: greater than that of every CRL in the table, than the floor that
/// recovery has set (`store_state.crl_number_floor`), and than `published`, the number of the CRL
/// that lies in the folder. A CA restored from an older backup so never repeats a number.
///
/// # Errors
/// [`Error::CrlNumbersExhausted`], [`Error::Store`].
pub fn next_number(connection: &Connection, published: Option<i64>) -> Result<i64> {
    let used: i64 = connection
        .prepare_cached(
            "SELECT max((SELECT coalesce(max(Number), 0) FROM CRLs), \
                        (SELECT coalesce(max(crl_number_floor), 0) FROM store_state))",
        )?
        .query_row([], |row| row.get(0))?;
    used.max(published.unwrap_or(0)).checked_add(1).ok_or(Error::CrlNumbersExhausted)
}

/// Sees to it that the next number is above this one: that of a CRL which was made for the CA while it was lost. Call it inside of a
/// transaction.
///
/// # Errors
/// [`Error::Store`].
pub fn number_above(connection: &Connection, number: i64) -> Result<()> {
    connection.execute("UPDATE store_state SET crl_number_floor = max(crl_number_floor, ?1)", [number])?;
    Ok(())
}

/// Refuses when the last CRL was published more than `skew` minutes after `now`: the clock then is or was wrong. A CRL that is
/// dated before the one it replaces ends earlier than that one, and clients may keep the other.
///
/// # Errors
/// [`Error::ClockBehindCrl`], [`Error::Store`].
pub(crate) fn refuse_clock_behind_last(connection: &Connection, now: FileTime, skew: i64) -> Result<()> {
    // The last one that was made, not the one of the latest date: once a CRL follows it, a wrong date is history.
    let last: Option<i64> = connection
        .prepare_cached("SELECT coalesce(ThisPublish, ThisUpdate) FROM CRLs ORDER BY RowId DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?
        .flatten();
    match last.map(FileTime) {
        Some(last) if dates::plus_minutes(now, skew) < last => Err(Error::ClockBehindCrl { last, now }),
        _ => Ok(()),
    }
}

/// What a CRL is made with.
pub(crate) struct Signer<'a> {
    pub(crate) key: &'a CaKey,
    pub(crate) name: &'a Name,
    pub(crate) key_identifier: &'a [u8],
    pub(crate) config: &'a Config,
}

impl Signer<'_> {
    /// Makes the next base CRL, puts it at `path` and records it in the table CRLs. The file is
    /// replaced inside of the transaction, while nobody else can publish. Should the commit fail
    /// after that, then the file is ahead of the table; its number is not used again, since
    /// [`next_number`] looks at the file as well. What the CRLs before it list is kept ([`Kept`]).
    pub(crate) fn publish(
        &self,
        connection: &Connection,
        path: &Path,
        now: FileTime,
        drop_published: bool,
    ) -> Result<Publication> {
        let key = PublicKey::from_info(self.key.public_key_info()).ok();
        let kept = Kept::of(connection, path, key.as_ref(), now, drop_published)?;
        let number = next_number(connection, kept.number)?;
        let settings = &self.config.crl;
        let skew = i64::from(self.config.validity.clock_skew_minutes);
        let this_update = dates::whole_seconds(dates::plus_minutes(now, -skew));
        let next_publish = dates::whole_seconds(dates::plus_days(now, settings.days));
        let overlap = i64::from(settings.overlap_hours) * 60;
        let next_update = dates::plus_minutes(next_publish, overlap);
        let mut revoked = revoked(connection, now)?;
        revoked.extend(kept.entries);
        let entries = revoked.len();
        let der = self.sign(number, this_update, next_update, revoked).map_err(Error::encoding("CRL"))?;
        connection
            .prepare_cached(
                "INSERT INTO CRLs (Number, MinBase, NameId, Count, ThisUpdate, NextUpdate, \
                 ThisPublish, NextPublish, Effective, PropgationComplete, CRLLastPublished, \
                 CRLPublishAttempts, CRLPublishFlags, CRLPublishStatusCode, RawCRL) \
                 VALUES (?1, 0, 0, ?2, ?3, ?4, ?5, ?6, ?5, ?5, ?5, 1, ?7, 0, ?8)",
            )?
            .execute((
                number,
                i64::try_from(entries).unwrap_or(i64::MAX),
                this_update.0,
                next_update.0,
                now.0,
                next_publish.0,
                PUBLISH_FLAGS,
                &der,
            ))?;
        if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
            durable::create_dir_as(folder, 0o755)?;
        }
        durable::replace_published(path, &der)?;
        Ok(Publication {
            number,
            entries,
            this_update,
            next_update,
            path: path.into(),
            der,
            findings: kept.findings,
        })
    }

    /// The library's CRL builder is not used: it takes the authority key identifier from the CA
    /// certificate, where a subordinate CA has that of its parent.
    fn sign(
        &self,
        number: i64,
        this_update: FileTime,
        next_update: FileTime,
        revoked: Vec<RevokedCert>,
    ) -> Result<Vec<u8>, String> {
        let text = |error: der::Error| error.to_string();
        let number = CrlNumber::try_from(number.unsigned_abs()).map_err(text)?;
        let authority = AuthorityKeyIdentifier {
            key_identifier: Some(OctetString::new(self.key_identifier).map_err(text)?),
            ..Default::default()
        };
        let content = TbsCertList {
            version: Version::V2,
            signature: self.key.algorithm().clone(),
            issuer: self.name.clone(),
            this_update: dates::to_x509(this_update).map_err(text)?,
            next_update: Some(dates::to_x509(next_update).map_err(text)?),
            // An empty list is left out (RFC 5280 5.1.2.6).
            revoked_certificates: (!revoked.is_empty()).then_some(revoked),
            crl_extensions: Some(vec![
                number.to_extension(self.name, &[]).map_err(text)?,
                authority.to_extension(self.name, &[]).map_err(text)?,
            ]),
        };
        let signed = content.to_der().map_err(text)?;
        let signature = self.key.sign(&signed).map_err(|error| error.to_string())?;
        let list: CertificateList = CertificateList {
            tbs_cert_list: content,
            signature_algorithm: self.key.algorithm().clone(),
            signature: signature.to_bit_string().map_err(text)?,
        };
        list.to_der().map_err(text)
    }
}

/// What the next CRL lists: certificates revoked with effect from now or earlier (or from the moment of the revocation, should
/// the clock have been set back since). One that has expired stays until it was in a CRL made after its expiry (RFC 5280 3.3), or
/// for good when its profile says so. A CRL dated later than now was made while the clock was wrong, and says of no certificate
/// that it has expired. What a row leaves open never leaves a certificate out.
fn revoked(connection: &Connection, now: FileTime) -> Result<Vec<RevokedCert>> {
    let mut statement = connection.prepare_cached(
        "SELECT RequestID, SerialNumber, coalesce(RevokedEffectiveWhen, RevokedWhen, ?2), RevokedReason \
         FROM Requests JOIN Certificates USING (RequestID) \
         WHERE Disposition <> 20 AND Disposition = ?1 \
           AND coalesce(RevokedEffectiveWhen <= max(?2, RevokedWhen), 1) \
           AND (PublishExpiredCertInCRL = 1 \
                OR coalesce(max(NotAfter, RevokedWhen, RevokedEffectiveWhen) >= \
                   (SELECT coalesce(max(ThisUpdate), 0) FROM CRLs WHERE ThisUpdate <= ?2), 1)) \
         ORDER BY RequestID",
    )?;
    let mut rows = statement.query((Disposition::REVOKED.0, now.0))?;
    let mut list = Vec::new();
    while let Some(row) = rows.next()? {
        let request_id = row.get(0)?;
        let damaged = |reason: String| Error::DamagedRow { request_id, reason };
        let serial: Serial =
            row.get::<_, String>(1)?.parse().map_err(|error: Error| damaged(error.to_string()))?;
        // A clock was wrong that dated it later. Some of those who check take an entry of a later date for none.
        let effective = FileTime(row.get(2)?).min(now);
        let reason = row.get::<_, Option<i64>>(3)?.and_then(|code| i32::try_from(code).ok());
        let reason = Reason::from_code(reason.unwrap_or_default());
        let entry = entry(&serial, effective, reason);
        list.push(entry.map_err(|error| damaged(error.to_string()))?);
    }
    Ok(list)
}

fn entry(serial: &Serial, effective: FileTime, reason: Reason) -> der::Result<RevokedCert> {
    let extensions = match reason.to_x509() {
        Some(reason) => Some(vec![reason.to_extension(&Name::default(), &[])?]),
        None => None,
    };
    Ok(RevokedCert {
        serial_number: serial.to_x509()?,
        revocation_date: dates::revocation_to_x509(effective)?,
        crl_entry_extensions: extensions,
    })
}
