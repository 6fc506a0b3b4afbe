//! Rows of the CA tables as types. The columns are those of a Windows CA (spec/ese.md section 12), so the
//! same types can be filled from either kind of database.

use std::fmt;

use certadm_rules::FileTime;
use serde::{Serialize, Serializer};

use crate::dates;
use crate::reason::Reason;

/// What became of a request: the column `Disposition`. A Windows CA has more values than this CA
/// writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Disposition(pub i32);

impl Disposition {
    /// Being worked on.
    pub const ACTIVE: Self = Self(8);
    /// Waits for a decision.
    pub const PENDING: Self = Self(9);
    /// Issued by another CA.
    pub const FOREIGN: Self = Self(12);
    /// The CA's own certificate.
    pub const CA_CERTIFICATE: Self = Self(15);
    /// A certificate of the CA's chain.
    pub const CA_CHAIN: Self = Self(16);
    /// The certificate of a key recovery agent.
    pub const KRA_CERTIFICATE: Self = Self(17);
    /// Issued.
    pub const ISSUED: Self = Self(20);
    /// Issued and revoked.
    pub const REVOKED: Self = Self(21);
    /// Failed.
    pub const FAILED: Self = Self(30);
    /// Denied.
    pub const DENIED: Self = Self(31);

    /// A word for it, or `None` for a value nobody has documented.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::ACTIVE => "active",
            Self::PENDING => "pending",
            Self::FOREIGN => "foreign",
            Self::CA_CERTIFICATE => "CA certificate",
            Self::CA_CHAIN => "CA certificate chain",
            Self::KRA_CERTIFICATE => "KRA certificate",
            Self::ISSUED => "issued",
            Self::REVOKED => "revoked",
            Self::FAILED => "failed",
            Self::DENIED => "denied",
            _ => return None,
        })
    }
}

impl fmt::Display for Disposition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => out.write_str(name),
            None => write!(out, "{}", self.0),
        }
    }
}

impl Serialize for Disposition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i32(self.0)
    }
}

/// A row of Requests, without its large columns, and the serial number of what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // the columns of spec/ese.md section 12
pub struct RequestRow {
    pub request_id: i64,
    pub request_type: Option<i32>,
    pub disposition: Disposition,
    pub disposition_message: Option<String>,
    /// HRESULT.
    pub status_code: Option<i32>,
    #[serde(serialize_with = "dates::serialize")]
    pub submitted_when: Option<FileTime>,
    #[serde(serialize_with = "dates::serialize")]
    pub resolved_when: Option<FileTime>,
    pub requester_name: Option<String>,
    pub caller_name: Option<String>,
    pub common_name: Option<String>,
    pub distinguished_name: Option<String>,
    pub serial_number: Option<String>,
}

/// When and why a certificate was revoked: columns of Requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Revocation {
    /// `RevokedWhen`.
    #[serde(serialize_with = "dates::serialize")]
    pub when: Option<FileTime>,
    /// `RevokedEffectiveWhen`: the date in the CRL.
    #[serde(serialize_with = "dates::serialize")]
    pub effective: Option<FileTime>,
    /// `RevokedReason`.
    pub reason: Reason,
}

/// A row of Certificates, without its large columns, and what Requests says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // the columns of spec/ese.md section 12
pub struct CertificateRow {
    pub request_id: i64,
    pub disposition: Disposition,
    pub serial_number: Option<String>,
    #[serde(serialize_with = "dates::serialize")]
    pub not_before: Option<FileTime>,
    #[serde(serialize_with = "dates::serialize")]
    pub not_after: Option<FileTime>,
    pub common_name: Option<String>,
    pub distinguished_name: Option<String>,
    pub certificate_template: Option<String>,
    /// SHA-1, hex pairs with spaces.
    pub certificate_hash: Option<String>,
    pub subject_key_identifier: Option<String>,
    pub public_key_algorithm: Option<String>,
    pub public_key_length: Option<i32>,
    pub upn: Option<String>,
    pub requester_name: Option<String>,
    /// Present exactly when the disposition is revoked.
    pub revocation: Option<Revocation>,
}

/// A row of RequestAttributes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct AttributeRow {
    pub request_id: i64,
    pub name: String,
    pub value: Option<String>,
}

/// A row of CertificateExtensions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExtensionRow {
    /// The certificate it belongs to.
    pub request_id: i64,
    /// `ExtensionFlags`: origin in the high 16 bits, 1 critical, 2 disabled.
    pub flags: i32,
    /// Object identifier.
    pub name: String,
    /// The content of the extension.
    #[serde(serialize_with = "hex_text")]
    pub value: Option<Vec<u8>>,
}

impl ExtensionRow {
    /// Whether a relying party must understand it.
    pub fn is_critical(&self) -> bool {
        self.flags & 1 != 0
    }

    /// Whether it was asked for but is not in the certificate.
    pub fn is_disabled(&self) -> bool {
        self.flags & 2 != 0
    }

    /// Who put it there.
    pub fn origin(&self) -> &'static str {
        match self.flags >> 16 {
            1 => "request",
            2 => "policy",
            3 => "admin",
            4 => "server",
            5 => "renewal certificate",
            6 => "imported certificate",
            7 => "PKCS#7",
            8 => "CMC",
            9 => "CA certificate",
            _ => "unknown",
        }
    }
}

/// A row of CRLs, without the CRL itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // the columns of spec/ese.md section 12
pub struct CrlRow {
    pub row_id: i64,
    pub number: i64,
    /// 0 for a base CRL.
    pub min_base: Option<i64>,
    pub count: Option<i64>,
    #[serde(serialize_with = "dates::serialize")]
    pub this_update: Option<FileTime>,
    #[serde(serialize_with = "dates::serialize")]
    pub next_update: Option<FileTime>,
    #[serde(serialize_with = "dates::serialize")]
    pub next_publish: Option<FileTime>,
    /// 1 base, 2 delta, 4 complete.
    pub publish_flags: Option<i32>,
    /// HRESULT of the last attempt to publish it.
    pub publish_status: Option<i32>,
    /// Size of the CRL in bytes.
    pub size: Option<i64>,
}

fn hex_text<S: Serializer>(value: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(octets) => serializer.serialize_some(&certadm_rules::hex::encode(octets)),
        None => serializer.serialize_none(),
    }
}
