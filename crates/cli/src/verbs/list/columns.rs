//! The tables that `certadm list` shows, and their columns. Keys are the database's column names in small letters;
//! docs/json.md lists them.

use certadm_ca::Reason;
use certadm_ca::rows::{AttributeRow, CertificateRow, CrlRow, Disposition, ExtensionRow, RequestRow};
use certadm_rules::{FileTime, Hresult};
use clap::ValueEnum;

use crate::table::{Cell, Column};

/// The tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Table {
    /// Every request and what became of it
    Requests,
    /// Every certificate, the CA's own and revoked ones among them
    Certificates,
    /// Revoked certificates
    Revoked,
    /// Extensions of certificates and requests
    Extensions,
    /// Attributes of requests
    Attributes,
    /// Published CRLs
    Crls,
}

impl Table {
    /// Its name on the command line and in the result.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Certificates => "certificates",
            Self::Revoked => "revoked",
            Self::Extensions => "extensions",
            Self::Attributes => "attributes",
            Self::Crls => "crls",
        }
    }
}

pub(crate) static REQUESTS: &[Column<RequestRow>] = &[
    Column { key: "request_id", heading: Some("Request"), cell: |row| row.request_id.into() },
    Column { key: "disposition", heading: Some("Disposition"), cell: |row| word(row.disposition) },
    Column { key: "disposition_code", heading: None, cell: |row| code(row.disposition) },
    Column { key: "disposition_message", heading: None, cell: |row| (&row.disposition_message).into() },
    Column { key: "status_code", heading: None, cell: |row| status(row.status_code) },
    Column { key: "request_type", heading: None, cell: |row| row.request_type.into() },
    Column { key: "submitted_when", heading: Some("Submitted"), cell: |row| date(row.submitted_when) },
    Column { key: "resolved_when", heading: None, cell: |row| date(row.resolved_when) },
    Column { key: "requester_name", heading: Some("Requester"), cell: |row| (&row.requester_name).into() },
    Column { key: "caller_name", heading: None, cell: |row| (&row.caller_name).into() },
    Column { key: "serial_number", heading: Some("Serial number"), cell: |row| (&row.serial_number).into() },
    Column { key: "common_name", heading: None, cell: |row| (&row.common_name).into() },
    Column {
        key: "distinguished_name",
        heading: Some("Subject"),
        cell: |row| (&row.distinguished_name).into(),
    },
];

pub(crate) static CERTIFICATES: &[Column<CertificateRow>] = &[
    Column { key: "request_id", heading: Some("Request"), cell: |row| row.request_id.into() },
    Column { key: "serial_number", heading: Some("Serial number"), cell: |row| (&row.serial_number).into() },
    Column { key: "disposition", heading: Some("Disposition"), cell: |row| word(row.disposition) },
    Column { key: "disposition_code", heading: None, cell: |row| code(row.disposition) },
    Column { key: "not_before", heading: None, cell: |row| date(row.not_before) },
    Column { key: "not_after", heading: Some("Valid until"), cell: |row| date(row.not_after) },
    Column {
        key: "certificate_template",
        heading: Some("Profile"),
        cell: |row| (&row.certificate_template).into(),
    },
    Column { key: "requester_name", heading: None, cell: |row| (&row.requester_name).into() },
    Column { key: "common_name", heading: None, cell: |row| (&row.common_name).into() },
    Column {
        key: "distinguished_name",
        heading: Some("Subject"),
        cell: |row| (&row.distinguished_name).into(),
    },
    Column { key: "upn", heading: None, cell: |row| (&row.upn).into() },
    Column { key: "public_key_algorithm", heading: None, cell: |row| (&row.public_key_algorithm).into() },
    Column { key: "public_key_length", heading: None, cell: |row| row.public_key_length.into() },
    Column { key: "subject_key_identifier", heading: None, cell: |row| (&row.subject_key_identifier).into() },
    Column { key: "certificate_hash", heading: None, cell: |row| (&row.certificate_hash).into() },
    Column { key: "revoked_when", heading: None, cell: revoked_when },
    Column { key: "revoked_effective_when", heading: None, cell: revoked_effective },
    Column { key: "revoked_reason", heading: None, cell: revoked_reason },
    Column { key: "revoked_reason_code", heading: None, cell: revoked_reason_code },
];

/// The same keys as [`CERTIFICATES`] that matter here, with the revocation for a person to see.
pub(crate) static REVOKED: &[Column<CertificateRow>] = &[
    Column { key: "request_id", heading: Some("Request"), cell: |row| row.request_id.into() },
    Column { key: "serial_number", heading: Some("Serial number"), cell: |row| (&row.serial_number).into() },
    Column { key: "revoked_when", heading: Some("Revoked"), cell: revoked_when },
    Column { key: "revoked_effective_when", heading: Some("Effective"), cell: revoked_effective },
    Column { key: "revoked_reason", heading: Some("Reason"), cell: revoked_reason },
    Column { key: "revoked_reason_code", heading: None, cell: revoked_reason_code },
    Column { key: "not_after", heading: None, cell: |row| date(row.not_after) },
    Column { key: "common_name", heading: None, cell: |row| (&row.common_name).into() },
    Column {
        key: "distinguished_name",
        heading: Some("Subject"),
        cell: |row| (&row.distinguished_name).into(),
    },
];

pub(crate) static EXTENSIONS: &[Column<ExtensionRow>] = &[
    Column { key: "request_id", heading: Some("Request"), cell: |row| row.request_id.into() },
    Column { key: "extension_name", heading: Some("Extension"), cell: |row| Cell::Text(row.name.clone()) },
    Column {
        key: "in_certificate",
        heading: Some("In certificate"),
        cell: |row| Cell::Flag(!row.is_disabled()),
    },
    Column { key: "critical", heading: Some("Critical"), cell: |row| Cell::Flag(row.is_critical()) },
    Column { key: "origin", heading: Some("Origin"), cell: |row| Cell::Text(row.origin().to_owned()) },
    Column { key: "extension_flags", heading: None, cell: |row| i64::from(row.flags).into() },
    Column {
        key: "extension_raw_value",
        heading: Some("Value"),
        cell: |row| row.value.as_deref().map(certadm_rules::hex::encode).into(),
    },
];

pub(crate) static ATTRIBUTES: &[Column<AttributeRow>] = &[
    Column { key: "request_id", heading: Some("Request"), cell: |row| row.request_id.into() },
    Column { key: "attribute_name", heading: Some("Attribute"), cell: |row| Cell::Text(row.name.clone()) },
    Column { key: "attribute_value", heading: Some("Value"), cell: |row| (&row.value).into() },
];

pub(crate) static CRLS: &[Column<CrlRow>] = &[
    Column { key: "row_id", heading: None, cell: |row| row.row_id.into() },
    Column { key: "number", heading: Some("Number"), cell: |row| row.number.into() },
    Column { key: "min_base", heading: None, cell: |row| row.min_base.into() },
    Column { key: "count", heading: Some("Entries"), cell: |row| row.count.into() },
    Column { key: "this_update", heading: Some("This update"), cell: |row| date(row.this_update) },
    Column { key: "next_update", heading: Some("Next update"), cell: |row| date(row.next_update) },
    Column { key: "next_publish", heading: Some("Next due"), cell: |row| date(row.next_publish) },
    Column { key: "publish_flags", heading: None, cell: |row| row.publish_flags.into() },
    Column { key: "publish_status_code", heading: None, cell: |row| status(row.publish_status) },
    Column { key: "bytes", heading: Some("Bytes"), cell: |row| row.size.into() },
];

fn date(date: Option<FileTime>) -> Cell {
    date.map(FileTime::to_rfc3339).into()
}

fn word(disposition: Disposition) -> Cell {
    Cell::Text(disposition.to_string())
}

fn code(disposition: Disposition) -> Cell {
    i64::from(disposition.0).into()
}

/// An HRESULT, as everywhere else.
fn status(status: Option<i32>) -> Cell {
    status.map(|code| Hresult::from_i32(code).hex()).into()
}

fn revoked_when(row: &CertificateRow) -> Cell {
    date(row.revocation.and_then(|revocation| revocation.when))
}

fn revoked_effective(row: &CertificateRow) -> Cell {
    date(row.revocation.and_then(|revocation| revocation.effective))
}

fn revoked_reason(row: &CertificateRow) -> Cell {
    reason(row).map(|reason| reason.to_string()).into()
}

fn revoked_reason_code(row: &CertificateRow) -> Cell {
    reason(row).map(Reason::code).into()
}

fn reason(row: &CertificateRow) -> Option<Reason> {
    row.revocation.map(|revocation| revocation.reason)
}
