//! Which CA a database and a folder are of: by the public keys of their certificates, not by their names.
//!
//! A database holds the certificates of its CA as rows of disposition 15; a folder holds the CA's certificate in `ca.crt`
//! and its key in `ca.key`. When a set of another CA is restored into a folder, everything else fits: the CA would then sign
//! the other one's revocations with its own key, and its own revoked certificates would be valid again. So both are
//! compared before a restore changes anything, and before a CA issues, revokes or publishes.

use std::fmt;
use std::sync::Mutex;

use certadm_rules::FileTime;
use certadm_store::Folder;
use const_oid::ObjectIdentifier;
use der::{Decode, Tag, Tagged};
use rusqlite::Connection;
use spki::SubjectPublicKeyInfoOwned;
use x509_cert::certificate::Certificate;
use x509_cert::name::Name;

use crate::certificate::{OwnCertificate, certificate_in};
use crate::config::Config;
use crate::dates;
use crate::error::{Error, Result};
use crate::keys::key_identifier;
use crate::rows::Disposition;
use crate::serial::spaced_hex;

/// A CA as one of its certificates shows it: its public key, and the name that goes with it. Two are of one CA when their
/// keys are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The subject, as RFC 4514 text.
    pub name: String,
    /// The common name in it, which is the name of the CA; nothing where it has none.
    pub common_name: Option<String>,
    /// SHA-1 over the public key (RFC 5280 4.2.1.2 (1)), as hex pairs with spaces.
    pub key_identifier: String,
    /// When the certificate begins to be valid.
    pub not_before: FileTime,
    /// When it ends.
    pub not_after: FileTime,
    key: SubjectPublicKeyInfoOwned,
}

impl Identity {
    /// The identity that a certificate in DER shows.
    ///
    /// # Errors
    /// [`Error::CertificateDamaged`]; `what` names the certificate there.
    pub fn of_certificate(der: &[u8], what: &str) -> Result<Self> {
        let certificate = Certificate::from_der(der).map_err(|error| Error::CertificateDamaged {
            what: what.to_owned(),
            reason: error.to_string(),
        })?;
        let content = certificate.tbs_certificate();
        let key = content.subject_public_key_info().clone();
        Ok(Self {
            name: content.subject().to_string(),
            common_name: common_name(content.subject()),
            key_identifier: spaced_hex(&key_identifier(&key)),
            not_before: dates::from_x509(content.validity().not_before),
            not_after: dates::from_x509(content.validity().not_after),
            key,
        })
    }

    /// The CA whose key and certificate lie in `folder`: that of its own certificate in `ca.crt` ([`certificate_in`]). `None` where
    /// there is no `ca.crt`.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::CertificateDamaged`].
    pub fn of_folder(folder: &Folder) -> Result<Option<Self>> {
        let path = folder.certificate_path();
        if !path.exists() {
            return Ok(None);
        }
        Self::of_certificate(&certificate_in(folder)?.der, &path.display().to_string()).map(Some)
    }

    /// The public key.
    pub(crate) fn key(&self) -> &SubjectPublicKeyInfoOwned {
        &self.key
    }

    /// Whether both have the same public key.
    pub fn has_key_of(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl fmt::Display for Identity {
    /// Such as `CN=Example CA (key 4f 3a ...)`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (key {})", self.name, self.key_identifier)
    }
}

/// The last common name of a subject, as text.
fn common_name(subject: &Name) -> Option<String> {
    const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
    let names = subject.iter_rdn().flat_map(|part| part.iter()).filter(|value| value.oid == COMMON_NAME);
    let value = &names.last()?.value;
    let text = match value.tag() {
        Tag::BmpString => {
            let units = value.value().chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            String::from_utf16(&units.collect::<Vec<_>>()).ok()
        }
        // Latin-1 is what is found in old strings of this kind.
        Tag::TeletexString => Some(value.value().iter().map(|byte| char::from(*byte)).collect()),
        _ => String::from_utf8(value.value().to_vec()).ok(),
    };
    text.filter(|text| !text.is_empty())
}

/// The CA that a database is of: one identity for each of its own certificates, the newest last.
#[derive(Clone, Debug, Default)]
pub struct DatabaseIdentity {
    /// The certificates of the CA that the database records.
    pub certificates: Vec<Identity>,
    /// Whether a certificate was issued from it.
    pub has_issued: bool,
}

impl DatabaseIdentity {
    /// Reads the rows of disposition 15.
    ///
    /// # Errors
    /// [`Error::DamagedRow`] when one holds no certificate, [`Error::Store`].
    pub fn read(connection: &Connection) -> Result<Self> {
        let rows = own_certificates(connection)?;
        let mut certificates: Vec<_> = rows.into_iter().map(|(_, identity)| identity).collect();
        certificates.sort_by_key(|identity| identity.not_before);
        let has_issued = connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM Requests WHERE Disposition IN (20, 21))")?
            .query_row([], |row| row.get(0))?;
        Ok(Self { certificates, has_issued })
    }

    /// The newest certificate's identity; `None` for a CA that waits for its parent.
    pub fn newest(&self) -> Option<&Identity> {
        self.certificates.last()
    }

    /// Refuses the key of another CA. A database that knows no certificate of its CA fits any folder as long as nothing was
    /// issued from it: so it is with a subordinate CA that waits for its parent.
    ///
    /// # Errors
    /// [`Error::AnotherCa`] (0xC800022B).
    pub fn check(&self, own: &Identity) -> Result<()> {
        if self.certificates.iter().any(|identity| identity.has_key_of(own)) {
            return Ok(());
        }
        let database = match self.newest() {
            Some(newest) => newest.to_string(),
            None if self.has_issued => "a CA whose certificate it does not hold".to_owned(),
            None => return Ok(()),
        };
        // A database of the same name may be that of this CA before its key was renewed.
        let same_name = self.certificates.iter().any(|identity| identity.name == own.name);
        Err(Error::AnotherCa { database, folder: own.to_string(), same_name })
    }
}

impl DatabaseIdentity {
    /// Refuses this database in the place of another one, from which something was issued, where it holds no certificate that shows whose
    /// it is. That of a subordinate CA which waits for its parent is such a one, and so it would be in the folder of any other CA: that
    /// one's revoked certificates would be valid again. Where the other one shows no more, nothing tells the two apart.
    ///
    /// # Errors
    /// [`Error::AnotherCa`] (0xC800022B).
    pub fn check_in_place_of(&self, replaced: &Self) -> Result<()> {
        match replaced.newest() {
            Some(own) if self.certificates.is_empty() && replaced.has_issued => Err(Error::AnotherCa {
                database: "a CA whose certificate it does not hold".to_owned(),
                folder: own.to_string(),
                same_name: false,
            }),
            _ => Ok(()),
        }
    }
}

/// The certificates of the CA that its database records, with the numbers of their rows, in the order of these.
///
/// # Errors
/// As [`DatabaseIdentity::read`].
pub(crate) fn own_certificates(connection: &Connection) -> Result<Vec<(i64, Identity)>> {
    let mut statement = connection.prepare_cached(
        "SELECT RequestID, RawCertificate FROM Requests LEFT JOIN Certificates USING (RequestID) \
         WHERE Disposition <> 20 AND Disposition = ?1 ORDER BY RequestID",
    )?;
    let mut rows = statement.query([Disposition::CA_CERTIFICATE.0])?;
    let mut certificates = Vec::new();
    while let Some(row) = rows.next()? {
        let request_id = row.get(0)?;
        let damaged = |reason: String| Error::DamagedRow { request_id, reason };
        let der: Option<Vec<u8>> = row.get(1)?;
        let der = der.ok_or_else(|| damaged("it has no certificate".to_owned()))?;
        let identity =
            Identity::of_certificate(&der, "the row").map_err(|error| damaged(error.to_string()))?;
        certificates.push((request_id, identity));
    }
    Ok(certificates)
}

/// The certificate of the CA in `folder` where it is newer than those of the same key in the database, which does not hold it then: it
/// was renewed, and nothing has been signed since.
///
/// # Errors
/// As [`check`].
pub(crate) fn renewed_in(connection: &Connection, folder: &Folder) -> Result<Option<Identity>> {
    let Some(own) = Identity::of_folder(folder)? else { return Ok(None) };
    let database = DatabaseIdentity::read(connection)?;
    let of_key = database.certificates.iter().filter(|identity| identity.has_key_of(&own));
    let newest = of_key.map(|identity| identity.not_before).max();
    Ok(newest.is_some_and(|newest| newest < own.not_before).then_some(own))
}

/// Refuses a database whose CA is not the one whose certificate lies in `folder`. A folder without `ca.crt` passes.
///
/// # Errors
/// [`Error::AnotherCa`] (0xC800022B), and those of [`Identity::of_folder`] and [`DatabaseIdentity::read`].
pub fn check(connection: &Connection, folder: &Folder) -> Result<()> {
    match Identity::of_folder(folder)? {
        Some(own) => DatabaseIdentity::read(connection)?.check(&own),
        None => Ok(()),
    }
}

/// As [`Identity::check_name`], of the certificate in `folder`. A folder without one says nothing.
///
/// # Errors
/// As [`Identity::check_name`], and those of [`Identity::of_folder`].
pub fn check_name(folder: &Folder, config: &Config) -> Result<()> {
    Identity::of_folder(folder)?.map_or(Ok(()), |own| own.check_name(folder, config))
}

impl Identity {
    /// Refuses settings that name another CA than this certificate and the database in `folder`: the CA would publish its CRL under the
    /// other one's name, and the one that everybody fetches would end. The certificate may have another name than the settings, because
    /// the parent decides on it, and a folder without a database says nothing.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn check_name(&self, folder: &Folder, config: &Config) -> Result<()> {
        let Some(common_name) = &self.common_name else { return Ok(()) };
        let Ok(database) = folder.database_path() else { return Ok(()) };
        let is_named_so = common_name == config.name.as_str();
        if is_named_so || database == folder.database_path_for(&config.name.sanitized()) {
            return Ok(());
        }
        let reason = format!(
            "it names the CA {:?}, and the certificate and the database in this folder are those of {common_name:?}",
            config.name.as_str()
        );
        Err(Error::Config { path: folder.config_path(), reason })
    }
}

/// The key of an open CA, as what every transaction of it is checked against. The last database that passed is
/// remembered by its signature, so that the check costs one row from then on.
pub(crate) struct DatabaseGuard {
    own: Identity,
    certificate: OwnCertificate,
    passed: Mutex<Option<Vec<u8>>>,
}

impl DatabaseGuard {
    pub(crate) fn new(own: Identity, certificate: OwnCertificate) -> Self {
        Self { own, certificate, passed: Mutex::new(None) }
    }

    /// As [`DatabaseGuard::check`], before something is signed. A certificate that was renewed with its key and put into `ca.crt` gets
    /// its row: whoever makes a CRL of the database alone would take the CA for dead once the certificate before it has ended. Not
    /// remembered, because the transaction may fail.
    ///
    /// # Errors
    /// As [`check`].
    pub(crate) fn check_and_record(&self, connection: &Connection, now: FileTime) -> Result<()> {
        self.check(connection)?;
        match self.certificate.record(connection, None, now) {
            // The CA issued it to itself, and has it in that row.
            Err(Error::SerialTaken { .. }) => Ok(()),
            recorded => recorded,
        }
    }

    /// Refuses to work in the database of another CA.
    ///
    /// # Errors
    /// As [`check`].
    fn check(&self, connection: &Connection) -> Result<()> {
        let signature: Vec<u8> = connection
            .prepare_cached("SELECT database_signature FROM store_state")?
            .query_row([], |row| row.get(0))?;
        let mut passed = self.passed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if passed.as_ref() != Some(&signature) {
            DatabaseIdentity::read(connection)?.check(&self.own)?;
            *passed = Some(signature);
        }
        Ok(())
    }
}
