//! Revocations that the CA has published and that its database lacks, such as after a restore of an earlier state.
//!
//! The CRL in the CA's folder is signed with the CA's key, so it is as good a witness as the database. A CRL that lacks what the one
//! before it had would make revoked certificates valid again.

use std::collections::HashMap;
use std::path::Path;

use certadm_files::Found;
use certadm_rules::FileTime;
use certadm_rules::finding::{Finding, Kind};
use certadm_store::Folder;
use der::{Decode, Encode};
use rusqlite::{Connection, OptionalExtension};
use x509_cert::crl::{CertificateList, RevokedCert};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{CrlNumber, CrlReason};

use crate::config::Config;
use crate::crl_file::{MAX_CRL, crl_path};
use crate::dates;
use crate::error::{Error, Result};
use crate::identity::{DatabaseIdentity, Identity};
use crate::public_key::PublicKey;
use crate::reason::Reason;
use crate::revoke::{RevocationOrder, revoke};
use crate::rows::Disposition;
use crate::serial::{Serial, named};

/// A CRL that the CA has published: its signature was checked.
pub(crate) struct PublishedCrl {
    /// Its number, where it has one that ours can have.
    pub(crate) number: Option<i64>,
    this_update: FileTime,
    entries: Vec<RevokedCert>,
}

impl PublishedCrl {
    /// The CRL at `path`, if it is one of `key`. Anything else there is about to be replaced, and says nothing: also what is longer
    /// than any CRL of ours, or no file.
    pub(crate) fn at(path: &Path, key: &PublicKey) -> Result<Option<Self>> {
        let file = Found::named(path);
        let content = match file
            .size()
            .and_then(|size| if size <= MAX_CRL { file.read(MAX_CRL) } else { Ok(Vec::new()) })
        {
            Err(error) if error.is_not_found() => return Ok(None),
            Err(certadm_files::Error::NotAFile { .. } | certadm_files::Error::TooLong { .. }) => {
                return Ok(None);
            }
            other => other?,
        };
        Ok(Self::read(&content, key))
    }

    /// A CRL in DER, if it is one of `key`.
    fn read(der: &[u8], key: &PublicKey) -> Option<Self> {
        let list: CertificateList = CertificateList::from_der(der).ok()?;
        let signed = list.tbs_cert_list.to_der().ok()?;
        key.verify(&list.signature_algorithm, &signed, &list.signature).ok()?;
        let content = list.tbs_cert_list;
        let extensions = content.crl_extensions.unwrap_or_default();
        let number =
            extensions.iter().find(|extension| extension.extn_id == const_oid::db::rfc5280::ID_CE_CRL_NUMBER);
        Some(Self {
            number: number.and_then(number_of),
            this_update: dates::from_x509(content.this_update),
            entries: content.revoked_certificates.unwrap_or_default(),
        })
    }

    /// The last CRL in the table, if it is one of `key`: what it carries on must not go with the file in the folder.
    fn last_recorded(connection: &Connection, key: &PublicKey) -> Result<Option<Self>> {
        let last: Option<Option<Vec<u8>>> = connection
            .prepare_cached("SELECT RawCRL FROM CRLs ORDER BY RowId DESC LIMIT 1")?
            .query_row([], |row| row.get(0))
            .optional()?;
        Ok(last.flatten().and_then(|der| Self::read(&der, key)))
    }

    /// Whether the database has recorded this CRL, so that it is not from before it. A hold that such a CRL lists and the database
    /// does not have was taken back since.
    fn is_recorded(&self, connection: &Connection) -> Result<bool> {
        Ok(connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM CRLs WHERE Number = ?1 AND ThisUpdate = ?2)")?
            .query_row((self.number, self.this_update.0), |row| row.get(0))?)
    }

    fn is_last_recorded(&self, connection: &Connection) -> Result<bool> {
        let last: Option<(i64, Option<i64>)> = connection
            .prepare_cached("SELECT Number, ThisUpdate FROM CRLs ORDER BY RowId DESC LIMIT 1")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(last.is_some_and(|(number, at)| Some(number) == self.number && at == Some(self.this_update.0)))
    }

    /// Such as `CRL 12`.
    fn name(&self) -> String {
        self.number.map_or_else(|| "a CRL without a number".to_owned(), |number| format!("CRL {number}"))
    }
}

fn number_of(extension: &Extension) -> Option<i64> {
    let number = CrlNumber::from_der(extension.extn_value.as_bytes()).ok()?;
    let octets = number.0.as_bytes();
    let mut padded = [0u8; 8];
    let start = padded.len().checked_sub(octets.len())?;
    padded[start..].copy_from_slice(octets);
    i64::try_from(u64::from_be_bytes(padded)).ok()
}

/// One entry of a published CRL that the next one would lack.
struct Lacking {
    serial: Serial,
    reason: Reason,
    entry: RevokedCert,
    /// Whether the database has the certificate, so that its revocation can be entered.
    has_row: bool,
}

/// What one published CRL has, and the database lacks.
struct Compared {
    crl: String,
    is_recorded: bool,
    lacking: Vec<Lacking>,
}

impl Compared {
    /// Compares each entry with the row of its certificate.
    fn of(crl: PublishedCrl, connection: &Connection) -> Result<Self> {
        let (name, is_recorded) = (crl.name(), crl.is_recorded(connection)?);
        let mut row = connection.prepare_cached(
            "SELECT Disposition, RevokedReason FROM Certificates JOIN Requests USING (RequestID) \
             WHERE SerialNumber = ?1",
        )?;
        let mut lacking = Vec::new();
        for entry in crl.entries {
            let (serial, reason) = (Serial::from(&entry.serial_number), reason_of(&entry));
            let on_hold = reason == Reason::CERTIFICATE_HOLD;
            let found: Option<(i32, Option<i32>)> =
                row.query_row([&serial], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            let has_row = match found.map(|(disposition, held)| (Disposition(disposition), held)) {
                // The entry of a delta CRL, which takes a certificate off the list.
                _ if reason == Reason::REMOVE_FROM_CRL => continue,
                // A hold can become a revocation for good; nothing leads back.
                Some((Disposition::REVOKED, Some(held)))
                    if Reason::from_code(held) == Reason::CERTIFICATE_HOLD && !on_hold =>
                {
                    true
                }
                Some((Disposition::REVOKED, _)) => continue,
                Some((Disposition::ISSUED, _)) if on_hold && is_recorded => continue,
                Some((Disposition::ISSUED, _)) => true,
                _ => false,
            };
            lacking.push(Lacking { serial, reason, entry, has_row });
        }
        Ok(Self { crl: name, is_recorded, lacking })
    }

    fn serials(&self, has_row: bool) -> Vec<Serial> {
        let those = self.lacking.iter().filter(|lacking| lacking.has_row == has_row);
        those.map(|lacking| lacking.serial.clone()).collect()
    }

    /// What is to be said of entries without a row: the CA cannot enter them, and what one CRL has carried on is no news.
    fn unknown(&self, serials: &[Serial], what_follows: &str) -> Option<Finding> {
        let finding = if self.is_recorded { Finding::note } else { Finding::warning };
        let text = || {
            format!(
                "{} lists what the database does not know, such as certificates that were issued after the backup of a restore: \
                 {}{what_follows}",
                self.crl,
                named(serials)
            )
        };
        (!serials.is_empty()).then(|| finding(Kind::CrlUnknownCertificate, text()).remedy(DROP))
    }
}

const DROP: &str = "find out what they are (`certadm gap`); once they have expired, `certadm ca crl --drop-published` makes a CRL without \
                    them";

/// The CRL in the folder and the last one that is recorded, compared with the database.
fn compare(connection: &Connection, path: &Path, key: &PublicKey) -> Result<(Option<i64>, Vec<Compared>)> {
    let published = PublishedCrl::at(path, key)?;
    let number = published.as_ref().and_then(|crl| crl.number);
    let is_last = match &published {
        Some(crl) => crl.is_last_recorded(connection)?,
        None => false,
    };
    let recorded = if is_last { None } else { PublishedCrl::last_recorded(connection, key)? };
    let mut compared = Vec::new();
    // What the one in the folder has is not told twice.
    for crl in published.into_iter().chain(recorded) {
        let mut this = Compared::of(crl, connection)?;
        let known: HashMap<Serial, Reason> = compared
            .iter()
            .flat_map(|other: &Compared| &other.lacking)
            .map(|one| (one.serial.clone(), one.reason))
            .collect();
        // A hold in one of them does not stand for a revocation for good in the other.
        let says_more = |one: &Lacking| {
            let is_on_hold = |reason: &Reason| *reason == Reason::CERTIFICATE_HOLD;
            known
                .get(&one.serial)
                .is_none_or(|known| one.has_row && is_on_hold(known) && !is_on_hold(&one.reason))
        };
        this.lacking.retain(says_more);
        compared.push(this);
    }
    Ok((number, compared))
}

/// What the next CRL needs of those before it.
#[derive(Default)]
pub(crate) struct Kept {
    /// The number of the CRL in the folder.
    pub(crate) number: Option<i64>,
    /// Entries of certificates that the database does not have: the next CRL lists them as they are.
    pub(crate) entries: Vec<RevokedCert>,
    /// What was found.
    pub(crate) findings: Vec<Finding>,
}

impl Kept {
    /// Compares the CRLs that were published with the database, enters what it lacks, and keeps the entries that cannot be entered.
    /// With `drop` nothing is entered or kept. Call it inside of a transaction.
    ///
    /// # Errors
    /// [`Error::NotRecorded`], [`Error::Store`], [`Error::File`]; the transaction must be rolled back.
    pub(crate) fn of(
        connection: &Connection,
        path: &Path,
        key: Option<&PublicKey>,
        now: FileTime,
        drop: bool,
    ) -> Result<Self> {
        let Some(key) = key else { return Ok(Self::default()) };
        let (number, all) = compare(connection, path, key)?;
        let mut kept = Self { number, ..Self::default() };
        for mut compared in all {
            if drop {
                let serials: Vec<_> = compared.lacking.iter().map(|one| one.serial.clone()).collect();
                let text = || {
                    format!(
                        "{} lists what the new CRL leaves out, as asked: {}",
                        compared.crl,
                        named(&serials)
                    )
                };
                kept.findings.extend((!serials.is_empty()).then(|| Finding::note(Kind::CrlLeftOut, text())));
                continue;
            }
            let by = format!("the published {}", compared.crl);
            for one in compared.lacking.iter_mut().filter(|one| one.has_row) {
                one.has_row = enter(connection, one, &by, now)?;
            }
            let entered = compared.serials(true);
            if !entered.is_empty() {
                let text = format!(
                    "{} lists certificates as revoked that the database had in force, or on hold, as it is after a restore: they are \
                     revoked in it again, for what that CRL says: {}",
                    compared.crl,
                    named(&entered)
                );
                kept.findings.push(Finding::warning(Kind::CrlContradiction, text).remedy(
                    "take a backup, and find out what else the database lacks (`certadm gap`); a hold that was meant to end is \
                     taken back by `certadm ca revoke --reason removeFromCRL`",
                ));
            }
            kept.findings.extend(compared.unknown(&compared.serials(false), "; the new CRL lists it, too"));
            for one in compared.lacking.into_iter().filter(|one| !one.has_row) {
                // A clock was wrong that dated it later.
                let date = dates::from_x509(one.entry.revocation_date).min(now);
                let revocation_date = dates::revocation_to_x509(date).map_err(Error::encoding("CRL"))?;
                kept.entries.push(RevokedCert { revocation_date, ..one.entry });
            }
        }
        Ok(kept)
    }
}

/// Revokes in the database what a published CRL lists. Gives whether it has; a row that cannot be revoked, such as that of the CA's own
/// certificate, keeps no CRL from being made.
fn enter(connection: &Connection, one: &Lacking, by: &str, now: FileTime) -> Result<bool> {
    let effective = Some(dates::from_x509(one.entry.revocation_date).min(now));
    match revoke(connection, &RevocationOrder { serial: &one.serial, reason: one.reason, by, now, effective })
    {
        Ok(_) => Ok(true),
        Err(
            Error::UnknownSerial { .. }
            | Error::AlreadyRevoked { .. }
            | Error::NotOnHold { .. }
            | Error::OwnCertificate { .. },
        ) => Ok(false),
        Err(other) => Err(other),
    }
}

/// A finding where the CRL in the CA's folder, or the last one that is recorded, lists certificates that a database does not have as
/// revoked. The next CRL of [`crate::Authority::publish_crl`] lists them, too.
///
/// `connection` is to the CA's database at `database`, or to what will be there: where the folder has no configuration or no
/// certificate yet, its name and the CA's certificate in it say which CRL is meant.
///
/// # Errors
/// [`Error::Config`], [`Error::CertificateDamaged`], [`Error::DamagedRow`], [`Error::Store`], [`Error::File`].
pub fn unrecorded(connection: &Connection, folder: &Folder, database: &Path) -> Result<Vec<Finding>> {
    let own = match Identity::of_folder(folder)? {
        Some(own) => Some(own),
        None => DatabaseIdentity::read(connection)?.newest().cloned(),
    };
    // A key that we could not have made signs nothing of ours.
    let Some(key) = own.and_then(|own| PublicKey::from_info(own.key()).ok()) else { return Ok(Vec::new()) };
    let path = if folder.config_path().exists() {
        crl_path(folder, &Config::load(&folder.config_path())?)
    } else {
        let name = database.file_stem().unwrap_or_default().to_string_lossy();
        folder.crl_dir().join(format!("{name}.crl"))
    };
    let mut findings = Vec::new();
    for compared in compare(connection, &path, &key)?.1 {
        let in_force = compared.serials(true);
        if !in_force.is_empty() {
            let text = format!(
                "the published {} lists certificates as revoked that the database has in force, or on hold, as it is after a restore: {}",
                compared.crl,
                named(&in_force)
            );
            findings.push(Finding::warning(Kind::CrlContradiction, text).remedy(
                "publish a CRL with `certadm ca crl`: it revokes them in the database again; `--drop-published` makes one without \
                 them",
            ));
        }
        findings.extend(compared.unknown(&compared.serials(false), "; the next CRL will list it, too"));
    }
    Ok(findings)
}

/// The reason of an entry; none that can be read is [`Reason::UNSPECIFIED`].
fn reason_of(entry: &RevokedCert) -> Reason {
    let extensions = entry.crl_entry_extensions.as_deref().unwrap_or_default();
    let reason = extensions
        .iter()
        .find(|extension| extension.extn_id == const_oid::db::rfc5280::ID_CE_CRL_REASONS)
        .and_then(|extension| CrlReason::from_der(extension.extn_value.as_bytes()).ok());
    Reason::from_code(reason.map_or(0, |reason| reason as i32))
}
