//! Certificates from requests: prepared without the database, recorded in it.

use std::sync::LazyLock;

use der::Encode;
use rusqlite::{Connection, OptionalExtension, params_from_iter, types::Value};
use sha1::{Digest, Sha1};
use spki::SubjectPublicKeyInfoRef;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::certificate::TbsCertificate;
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::time::Validity;

use certadm_rules::FileTime;
use certadm_rules::pem;

use crate::dates;
use crate::denial::DenialReason;
use crate::error::{Error, Result};
use crate::keys::{CaKey, RawSignature};
use crate::name::{COLUMNS, NameParts};
use crate::policy::{Grant, Origin};
use crate::public_key;
use crate::request::Request;
use crate::rows::Disposition;
use crate::serial::{Serial, spaced_hex};

/// Under which terms a request is to be granted.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The profile; `server` when left out.
    pub profile: Option<&'a str>,
    /// Validity in days; the profile's own when left out.
    pub days: Option<u32>,
    /// Who asks: the columns `RequesterName` and `CallerName`.
    pub requester: &'a str,
    /// Whether a profile for subordinate CAs may be used.
    pub allow_ca: bool,
}

impl<'a> Terms<'a> {
    /// The default profile with its own validity.
    pub fn new(requester: &'a str) -> Self {
        Self { profile: None, days: None, requester, allow_ca: false }
    }
}

/// A certificate that is signed, but not in the database yet, and is not shown before its row is committed: after a
/// loss it would be unknown to its own CA.
#[derive(Clone, Debug)]
pub struct PendingCertificate {
    pub(crate) request: Request,
    pub(crate) requester: String,
    pub(crate) profile: String,
    pub(crate) submitted: FileTime,
    pub(crate) serial: Serial,
    pub(crate) not_before: FileTime,
    pub(crate) not_after: FileTime,
    pub(crate) keep_expired: bool,
    pub(crate) grant: Grant,
    pub(crate) der: Vec<u8>,
}

impl PendingCertificate {
    /// Its serial number, which nobody else has with near certainty; the index on serial numbers makes sure.
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// The certificate in DER.
    #[cfg(feature = "fuzzing")]
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

/// A certificate that is in the database. It may be handed out once the transaction it was
/// recorded in is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The row.
    pub request_id: i64,
    /// The serial number.
    pub serial: Serial,
    /// Start of validity.
    pub not_before: FileTime,
    /// End of validity.
    pub not_after: FileTime,
    /// The certificate in DER.
    pub der: Vec<u8>,
}

impl Issued {
    /// The certificate in PEM.
    pub fn to_pem(&self) -> String {
        pem::encode("CERTIFICATE", &self.der)
    }
}

/// Signs a certificate with the given content.
pub(crate) fn sign_certificate(
    key: &CaKey,
    issuer: &Name,
    subject: &Name,
    subject_key: spki::SubjectPublicKeyInfoOwned,
    serial: &Serial,
    (not_before, not_after): (FileTime, FileTime),
    extensions: Vec<Extension>,
) -> Result<Vec<u8>> {
    let encoding = Error::encoding("certificate");
    let content = Content { issuer, subject, extensions };
    let validity = Validity::new(
        dates::to_x509(not_before).map_err(Error::encoding("certificate"))?,
        dates::to_x509(not_after).map_err(Error::encoding("certificate"))?,
    );
    let serial = serial.to_x509().map_err(Error::encoding("certificate"))?;
    let builder = CertificateBuilder::new(content, serial, validity, subject_key);
    builder
        .and_then(|builder| builder.build::<_, RawSignature>(key))
        .map_err(encoding)?
        .to_der()
        .map_err(Error::encoding("certificate"))
}

/// What the library's builder asks its profile for.
struct Content<'a> {
    issuer: &'a Name,
    subject: &'a Name,
    extensions: Vec<Extension>,
}

impl BuilderProfile for Content<'_> {
    fn get_issuer(&self, _subject: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        _subject_key: SubjectPublicKeyInfoRef<'_>,
        _issuer_key: SubjectPublicKeyInfoRef<'_>,
        _certificate: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        Ok(self.extensions.clone())
    }
}

const REQUEST_TYPE_PKCS10: i64 = 0x100;
/// ExtensionFlags, low bits (spec/ese.md section 12).
const EXTENSION_CRITICAL: i64 = 1;
const EXTENSION_DISABLED: i64 = 2;

/// Records a prepared certificate as a Windows CA does: one row in Requests (disposition 20), one
/// in Certificates, the extensions it has, the ones that were asked for and not granted
/// (disabled), and the attributes. Call it inside of a transaction.
///
/// # Errors
/// [`Error::SerialTaken`] when the serial number exists; nothing has been written then.
/// [`Error::NotRecorded`], [`Error::Store`]; the transaction must be rolled back.
pub(crate) fn record(connection: &Connection, pending: &PendingCertificate) -> Result<Issued> {
    let taken = connection
        .prepare_cached("SELECT 1 FROM Certificates WHERE SerialNumber = ?1")?
        .query_row([&pending.serial], |_| Ok(()))
        .optional()?;
    if taken.is_some() {
        return Err(Error::SerialTaken { serial: pending.serial.clone() });
    }
    let encoding = Error::encoding("certificate");
    let name = NameRow::of(&pending.request.subject).map_err(&encoding)?;
    let request_id = insert_request(
        connection,
        &RequestFacts {
            requester: &pending.requester,
            submitted: pending.submitted,
            disposition: Disposition::ISSUED,
            message: "Issued",
            ..RequestFacts::of(&pending.request, &pending.profile)
        },
        &name,
    )?;
    let (algorithm, parameters, key) =
        public_key::columns(&pending.request.public_key_info).map_err(&encoding)?;
    insert_certificate(
        connection,
        request_id,
        &CertificateFacts {
            not_before: pending.not_before,
            not_after: pending.not_after,
            key_length: pending.grant.key_length,
            keep_expired: pending.keep_expired,
            profile: Some(&pending.profile),
            serial: &pending.serial,
            key_identifier: &pending.grant.key_identifier,
            algorithm,
            parameters,
            key,
            der: &pending.der,
            upn: pending.grant.upn.as_deref(),
        },
        &name,
    )?;
    insert_extensions(connection, request_id, pending)?;
    check_recorded(connection, request_id, pending)?;
    Ok(Issued {
        request_id,
        serial: pending.serial.clone(),
        not_before: pending.not_before,
        not_after: pending.not_after,
        der: pending.der.clone(),
    })
}

impl PendingCertificate {
    /// Compares its key with those in the database that it was not compared with yet.
    ///
    /// # Errors
    /// The inner error is the reason to deny it; the outer one [`Error::Store`].
    pub(crate) fn compare_key(&mut self, connection: &Connection) -> Result<Result<(), DenialReason>> {
        let Some(comparison) = &mut self.grant.comparison else { return Ok(Ok(())) };
        Ok(match comparison.go_on(connection)? {
            Some(serial) => Err(DenialReason::SharedPrime { with: format!("the certificate {serial}") }),
            None => Ok(()),
        })
    }

    /// What its row says when it is not granted after all.
    pub(crate) fn denied(self, reason: DenialReason) -> DeniedRequest {
        let Self { request, requester, profile, submitted: when, .. } = self;
        DeniedRequest { reason, request, requester, profile, when }
    }
}

/// Reads back what makes a certificate one that this CA can revoke.
fn check_recorded(connection: &Connection, request_id: i64, pending: &PendingCertificate) -> Result<()> {
    let is_there = connection
        .prepare_cached(
            "SELECT 1 FROM Requests JOIN Certificates USING (RequestID) \
             WHERE RequestID = ?1 AND Disposition = ?2 AND SerialNumber = ?3 AND RawCertificate = ?4",
        )?
        .query_row((request_id, Disposition::ISSUED.0, &pending.serial, &pending.der), |_| Ok(()))
        .optional()?;
    is_there.ok_or_else(|| Error::NotRecorded { serial: pending.serial.clone(), verb: "issued" })
}

/// A request that is not granted, with what its row in the database will say.
pub(crate) struct DeniedRequest {
    pub(crate) reason: DenialReason,
    pub(crate) request: Request,
    pub(crate) requester: String,
    pub(crate) profile: String,
    pub(crate) when: FileTime,
}

/// Records a denied request: a row in Requests with disposition 31, the HRESULT of the reason and
/// its text, and an empty row in Certificates. Gives the number of the row.
///
/// # Errors
/// [`Error::Store`]; the transaction must be rolled back.
pub(crate) fn record_denial(connection: &Connection, denied: &DeniedRequest) -> Result<i64> {
    let name = NameRow::of(&denied.request.subject).map_err(Error::encoding("name of the request"))?;
    let request_id = insert_request(
        connection,
        &RequestFacts {
            requester: &denied.requester,
            submitted: denied.when,
            status_code: denied.reason.status_code(),
            disposition: Disposition::DENIED,
            message: &format!("Denied: {}", denied.reason),
            ..RequestFacts::of(&denied.request, &denied.profile)
        },
        &name,
    )?;
    connection.prepare_cached("INSERT INTO Certificates (RequestID) VALUES (?1)")?.execute([request_id])?;
    Ok(request_id)
}

/// A distinguished name as the columns of Requests and Certificates have it.
pub(crate) struct NameRow {
    text: String,
    der: Vec<u8>,
    parts: NameParts,
}

impl NameRow {
    pub(crate) fn of(name: &Name) -> der::Result<Self> {
        Ok(Self { text: name.to_string(), der: name.to_der()?, parts: NameParts::of(name) })
    }

    /// In the order of [`NAME_COLUMNS`].
    fn values(&self) -> impl Iterator<Item = Value> + '_ {
        let parts = self.parts.values().iter();
        [text(&self.text), Value::Blob(self.der.clone())]
            .into_iter()
            .chain(parts.map(|part| optional_text(part.as_deref())))
    }
}

pub(crate) struct RequestFacts<'a> {
    pub(crate) requester: &'a str,
    pub(crate) submitted: FileTime,
    pub(crate) status_code: u32,
    pub(crate) disposition: Disposition,
    pub(crate) message: &'a str,
    pub(crate) raw_request: Option<&'a [u8]>,
    pub(crate) attributes: Vec<(&'static str, &'a str)>,
}

impl<'a> RequestFacts<'a> {
    fn of(request: &'a Request, profile: &'a str) -> Self {
        let mut attributes = vec![("CertificateTemplate", profile)];
        if let Some(version) = &request.os_version {
            attributes.push(("RequestOSVersion", version));
        }
        if let Some(provider) = &request.csp {
            attributes.push(("RequestCSPProvider", provider));
        }
        Self {
            requester: "",
            submitted: FileTime::default(),
            status_code: 0,
            disposition: Disposition::ACTIVE,
            message: "",
            raw_request: Some(request.der()),
            attributes,
        }
    }
}

/// `DistinguishedName, RawName, Country, ...`: the same in both tables.
static NAME_COLUMNS: LazyLock<String> = LazyLock::new(|| {
    let parts = COLUMNS.map(|(column, _)| column).join(", ");
    format!("DistinguishedName, RawName, {parts}")
});
const NAME_COLUMN_COUNT: usize = COLUMNS.len() + 2;

static INSERT_REQUEST: LazyLock<String> = LazyLock::new(|| {
    let columns = "RequestType, RequestFlags, StatusCode, Disposition, SubmittedWhen, \
                   ResolvedWhen, RawRequest, RequestAttributes, DispositionMessage, \
                   RequesterName, CallerName";
    insert_statement("Requests", columns, 11)
});

static INSERT_CERTIFICATE: LazyLock<String> = LazyLock::new(|| {
    let columns = "RequestID, EnrollmentFlags, GeneralFlags, PrivateKeyFlags, IssuerNameID, \
                   NotBefore, NotAfter, PublicKeyLength, PublishExpiredCertInCRL, \
                   CertificateHash2, CertificateTemplate, SerialNumber, SubjectKeyIdentifier, \
                   PublicKeyAlgorithm, RawCertificate, PublicKey, PublicKeyParams, UPN";
    insert_statement("Certificates", columns, 18)
});

fn insert_statement(table: &str, columns: &str, count: usize) -> String {
    let marks = vec!["?"; count + NAME_COLUMN_COUNT].join(", ");
    format!("INSERT INTO {table} ({columns}, {}) VALUES ({marks})", *NAME_COLUMNS)
}

pub(crate) fn insert_request(
    connection: &Connection,
    facts: &RequestFacts<'_>,
    name: &NameRow,
) -> Result<i64> {
    let attributes = facts.attributes.iter();
    let attribute_lines: String =
        attributes.map(|(attribute, value)| format!("{attribute}:{value}\n")).collect();
    let own = [
        Value::Integer(REQUEST_TYPE_PKCS10),
        Value::Integer(0),
        Value::Integer(i64::from(facts.status_code.cast_signed())),
        Value::Integer(i64::from(facts.disposition.0)),
        Value::Integer(facts.submitted.0),
        Value::Integer(facts.submitted.0),
        optional_blob(facts.raw_request),
        Value::Text(attribute_lines),
        text(facts.message),
        text(facts.requester),
        text(facts.requester),
    ];
    connection
        .prepare_cached(&INSERT_REQUEST)?
        .execute(params_from_iter(own.into_iter().chain(name.values())))?;
    let request_id = connection.last_insert_rowid();
    let mut statement = connection.prepare_cached(
        "INSERT INTO RequestAttributes (RequestID, AttributeName, AttributeValue) VALUES (?1, ?2, ?3)",
    )?;
    for (attribute, value) in &facts.attributes {
        statement.execute((request_id, attribute, value))?;
    }
    Ok(request_id)
}

pub(crate) struct CertificateFacts<'a> {
    pub(crate) not_before: FileTime,
    pub(crate) not_after: FileTime,
    pub(crate) key_length: u32,
    pub(crate) keep_expired: bool,
    pub(crate) profile: Option<&'a str>,
    pub(crate) serial: &'a Serial,
    pub(crate) key_identifier: &'a [u8],
    pub(crate) algorithm: String,
    pub(crate) parameters: Option<Vec<u8>>,
    pub(crate) key: Vec<u8>,
    pub(crate) der: &'a [u8],
    pub(crate) upn: Option<&'a str>,
}

pub(crate) fn insert_certificate(
    connection: &Connection,
    request_id: i64,
    facts: &CertificateFacts<'_>,
    name: &NameRow,
) -> Result<()> {
    let own = [
        Value::Integer(request_id),
        Value::Integer(0),
        Value::Integer(0),
        Value::Integer(0),
        Value::Integer(0), // the first certificate and the first key of this CA
        Value::Integer(facts.not_before.0),
        Value::Integer(facts.not_after.0),
        Value::Integer(i64::from(facts.key_length)),
        Value::Integer(i64::from(facts.keep_expired)),
        Value::Text(spaced_hex(&Sha1::digest(facts.der))),
        optional_text(facts.profile),
        text(facts.serial.as_str()),
        Value::Text(spaced_hex(facts.key_identifier)),
        Value::Text(facts.algorithm.clone()),
        Value::Blob(facts.der.to_vec()),
        Value::Blob(facts.key.clone()),
        optional_blob(facts.parameters.as_deref()),
        optional_text(facts.upn),
    ];
    connection
        .prepare_cached(&INSERT_CERTIFICATE)?
        .execute(params_from_iter(own.into_iter().chain(name.values())))
        .map_err(|error| serial_taken(error, facts.serial))?;
    Ok(())
}

/// The index is the judge: two processes may have looked at the same time.
fn serial_taken(error: rusqlite::Error, serial: &Serial) -> Error {
    match error.sqlite_error().map(|cause| cause.extended_code) {
        Some(rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE) => Error::SerialTaken { serial: serial.clone() },
        _ => error.into(),
    }
}

fn insert_extensions(connection: &Connection, request_id: i64, pending: &PendingCertificate) -> Result<()> {
    let granted = &pending.grant.extensions;
    for (origin, extension) in granted {
        insert_extension(connection, request_id, *origin, 0, extension)?;
    }
    for asked in &pending.request.extensions {
        let mut oids = granted.iter().map(|(_, extension)| extension.extn_id);
        if !oids.any(|oid| oid == asked.extn_id) {
            insert_extension(connection, request_id, Origin::Request, EXTENSION_DISABLED, asked)?;
        }
    }
    Ok(())
}

pub(crate) fn insert_extension(
    connection: &Connection,
    request_id: i64,
    origin: Origin,
    flags: i64,
    extension: &Extension,
) -> Result<()> {
    let critical = if extension.critical { EXTENSION_CRITICAL } else { 0 };
    connection
        .prepare_cached(
            "INSERT INTO CertificateExtensions (RequestID, ExtensionFlags, ExtensionName, \
             ExtensionRawValue) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((
            request_id,
            ((origin as i64) << 16) | flags | critical,
            extension.extn_id.to_string(),
            extension.extn_value.as_bytes(),
        ))?;
    Ok(())
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn optional_text(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| Value::Text(text.into()))
}

fn optional_blob(octets: Option<&[u8]>) -> Value {
    octets.map_or(Value::Null, |octets| Value::Blob(octets.to_vec()))
}
