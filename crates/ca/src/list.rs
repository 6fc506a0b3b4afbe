//! Rows out of the CA tables, one after the other: memory does not grow with their number.

use certadm_rules::FileTime;
use certadm_rules::pem;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::error::{Error, Result};
use crate::reason::Reason;
use crate::rows::{AttributeRow, CertificateRow, CrlRow, Disposition, ExtensionRow, RequestRow, Revocation};
use crate::serial::Serial;

/// Gives every request to `visit`, oldest first; `visit` ends the listing with an error.
///
/// # Errors
/// [`Error::Store`], or what `visit` returned.
pub fn requests<E: From<Error>>(
    connection: &Connection,
    visit: impl FnMut(RequestRow) -> Result<(), E>,
) -> Result<(), E> {
    let sql = "SELECT RequestID, RequestType, Disposition, DispositionMessage, StatusCode, \
               SubmittedWhen, ResolvedWhen, RequesterName, CallerName, Requests.CommonName, \
               Requests.DistinguishedName, SerialNumber \
               FROM Requests LEFT JOIN Certificates USING (RequestID) ORDER BY RequestID";
    each(connection, sql, request_row, visit)
}

/// Gives every certificate to `visit`, oldest first: issued ones, revoked ones, and the CA's own.
///
/// # Errors
/// As [`requests`].
pub fn certificates<E: From<Error>>(
    connection: &Connection,
    visit: impl FnMut(CertificateRow) -> Result<(), E>,
) -> Result<(), E> {
    let sql = format!("{CERTIFICATE_COLUMNS} WHERE RawCertificate IS NOT NULL ORDER BY RequestID");
    each(connection, &sql, certificate_row, visit)
}

/// Gives every revoked certificate to `visit`, oldest first.
///
/// # Errors
/// As [`requests`].
pub fn revoked<E: From<Error>>(
    connection: &Connection,
    visit: impl FnMut(CertificateRow) -> Result<(), E>,
) -> Result<(), E> {
    let sql =
        format!("{CERTIFICATE_COLUMNS} WHERE Disposition <> 20 AND Disposition = 21 ORDER BY RequestID");
    each(connection, &sql, certificate_row, visit)
}

/// Gives every CRL to `visit`, oldest first.
///
/// # Errors
/// As [`requests`].
pub fn crls<E: From<Error>>(
    connection: &Connection,
    visit: impl FnMut(CrlRow) -> Result<(), E>,
) -> Result<(), E> {
    let sql = "SELECT RowId, Number, MinBase, Count, ThisUpdate, NextUpdate, NextPublish, \
               CRLPublishFlags, CRLPublishStatusCode, length(RawCRL) FROM CRLs ORDER BY RowId";
    each(connection, sql, crl_row, visit)
}

/// Gives every attribute to `visit`, in the order of the requests.
///
/// # Errors
/// As [`requests`].
pub fn attributes<E: From<Error>>(
    connection: &Connection,
    visit: impl FnMut(AttributeRow) -> Result<(), E>,
) -> Result<(), E> {
    let sql = "SELECT RequestID, AttributeName, AttributeValue FROM RequestAttributes \
               ORDER BY RequestID, AttributeName";
    let row =
        |row: &Row<'_>| Ok(AttributeRow { request_id: row.get(0)?, name: row.get(1)?, value: row.get(2)? });
    each(connection, sql, row, visit)
}

/// Gives every extension to `visit`, in the order of the certificates.
///
/// # Errors
/// As [`requests`].
pub fn extensions<E: From<Error>>(
    connection: &Connection,
    visit: impl FnMut(ExtensionRow) -> Result<(), E>,
) -> Result<(), E> {
    let sql = "SELECT RequestID, ExtensionFlags, ExtensionName, ExtensionRawValue \
               FROM CertificateExtensions ORDER BY RequestID, ExtensionName";
    let row = |row: &Row<'_>| {
        Ok(ExtensionRow {
            request_id: row.get(0)?,
            flags: row.get::<_, Option<i32>>(1)?.unwrap_or_default(),
            name: row.get(2)?,
            value: row.get(3)?,
        })
    };
    each(connection, sql, row, visit)
}

/// How a certificate is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateChoice {
    /// By its serial number.
    Serial(Serial),
    /// By the number of its request.
    RequestId(i64),
}

/// A certificate taken out of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedCertificate {
    /// Its row.
    pub row: CertificateRow,
    /// The certificate in DER.
    pub der: Vec<u8>,
}

impl ExportedCertificate {
    /// The certificate in PEM.
    pub fn to_pem(&self) -> String {
        pem::encode("CERTIFICATE", &self.der)
    }
}

/// Takes one certificate out of the database.
///
/// # Errors
/// [`Error::UnknownSerial`], [`Error::UnknownRequest`], [`Error::Store`].
pub fn export_certificate(
    connection: &Connection,
    choice: &CertificateChoice,
) -> Result<ExportedCertificate> {
    let take = |row: &Row<'_>| {
        Ok(ExportedCertificate { row: certificate_row(row)?, der: row.get("RawCertificate")? })
    };
    let select = |condition: &str| {
        format!("{CERTIFICATE_COLUMNS} WHERE {condition} = ?1 AND RawCertificate IS NOT NULL")
    };
    match choice {
        CertificateChoice::Serial(serial) => connection
            .prepare_cached(&select("SerialNumber"))?
            .query_row([serial], take)
            .optional()?
            .ok_or_else(|| Error::UnknownSerial { serial: serial.clone() }),
        CertificateChoice::RequestId(request_id) => connection
            .prepare_cached(&select("RequestID"))?
            .query_row([request_id], take)
            .optional()?
            .ok_or(Error::UnknownRequest { request_id: *request_id }),
    }
}

const CERTIFICATE_COLUMNS: &str = "SELECT RequestID, Disposition, SerialNumber, NotBefore, \
    NotAfter, Certificates.CommonName, Certificates.DistinguishedName, CertificateTemplate, \
    CertificateHash2, SubjectKeyIdentifier, PublicKeyAlgorithm, PublicKeyLength, UPN, \
    RequesterName, RevokedWhen, RevokedEffectiveWhen, RevokedReason, RawCertificate \
    FROM Certificates JOIN Requests USING (RequestID)";

fn each<T, E: From<Error>>(
    connection: &Connection,
    sql: &str,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    mut visit: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let mut statement = connection.prepare_cached(sql).map_err(Error::from)?;
    let mut rows = statement.query([]).map_err(Error::from)?;
    while let Some(row) = rows.next().map_err(Error::from)? {
        visit(read(row).map_err(Error::from)?)?;
    }
    Ok(())
}

fn request_row(row: &Row<'_>) -> rusqlite::Result<RequestRow> {
    Ok(RequestRow {
        request_id: row.get(0)?,
        request_type: row.get(1)?,
        disposition: Disposition(row.get(2)?),
        disposition_message: row.get(3)?,
        status_code: row.get(4)?,
        submitted_when: date(row, 5)?,
        resolved_when: date(row, 6)?,
        requester_name: row.get(7)?,
        caller_name: row.get(8)?,
        common_name: row.get(9)?,
        distinguished_name: row.get(10)?,
        serial_number: row.get(11)?,
    })
}

fn certificate_row(row: &Row<'_>) -> rusqlite::Result<CertificateRow> {
    let disposition = Disposition(row.get(1)?);
    let revocation = if disposition == Disposition::REVOKED {
        Some(Revocation {
            when: date(row, 14)?,
            effective: date(row, 15)?,
            reason: Reason::from_code(row.get::<_, Option<i32>>(16)?.unwrap_or_default()),
        })
    } else {
        None
    };
    Ok(CertificateRow {
        request_id: row.get(0)?,
        disposition,
        serial_number: row.get(2)?,
        not_before: date(row, 3)?,
        not_after: date(row, 4)?,
        common_name: row.get(5)?,
        distinguished_name: row.get(6)?,
        certificate_template: row.get(7)?,
        certificate_hash: row.get(8)?,
        subject_key_identifier: row.get(9)?,
        public_key_algorithm: row.get(10)?,
        public_key_length: row.get(11)?,
        upn: row.get(12)?,
        requester_name: row.get(13)?,
        revocation,
    })
}

fn crl_row(row: &Row<'_>) -> rusqlite::Result<CrlRow> {
    Ok(CrlRow {
        row_id: row.get(0)?,
        number: row.get(1)?,
        min_base: row.get(2)?,
        count: row.get(3)?,
        this_update: date(row, 4)?,
        next_update: date(row, 5)?,
        next_publish: date(row, 6)?,
        publish_flags: row.get(7)?,
        publish_status: row.get(8)?,
        size: row.get(9)?,
    })
}

fn date(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<FileTime>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(FileTime))
}
