//! What sources say of one certificate, of one request, of one revocation.

use std::collections::BTreeSet;

use certadm_ca::{Reason, Serial};
use certadm_rules::FileTime;
use serde::Serialize;

use crate::moments;

/// A source by its place in the list of sources.
pub(crate) type Source = u32;

/// A certificate of the CA that its database does not know.
#[derive(Clone, Debug, Serialize)]
pub struct Unknown {
    /// The request, where the serial number or an event tells it.
    pub request_id: Option<i64>,
    /// The certificate.
    pub serial_number: Serial,
    /// Its subject, from the certificate or the event; empty where nothing tells it.
    pub subject: String,
    /// Who asked for it, from the event.
    pub requester: String,
    /// The template, from the event.
    pub template: String,
    /// When it was issued: the moment of the event, or when the certificate begins.
    #[serde(serialize_with = "moments::optional")]
    pub when: Option<FileTime>,
    /// When it ends, from the certificate.
    #[serde(serialize_with = "moments::optional")]
    pub not_after: Option<FileTime>,
    /// Its revocation, where a source tells one.
    pub revoked: Option<Revoked>,
    /// The places of the sources that know it.
    pub sources: BTreeSet<Source>,
    /// Lower-case hexadecimal digits.
    #[serde(skip)]
    pub(crate) key_identifier: String,
    #[serde(skip)]
    pub(crate) is_held: bool,
}

impl Unknown {
    /// Whether a source tells that it is revoked; the end of a hold is no revocation.
    pub(crate) fn is_revoked(&self) -> bool {
        self.revoked.is_some_and(|revoked| revoked.reason != Reason::REMOVE_FROM_CRL)
    }

    pub(crate) fn new(serial_number: Serial) -> Self {
        Self {
            request_id: None,
            serial_number,
            subject: String::new(),
            requester: String::new(),
            template: String::new(),
            when: None,
            not_after: None,
            revoked: None,
            sources: BTreeSet::new(),
            key_identifier: String::new(),
            is_held: false,
        }
    }
}

/// A revocation that a source tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Revoked {
    /// Why; `removeFromCRL` ends a hold.
    pub reason: Reason,
    /// Since when.
    #[serde(serialize_with = "moments::optional")]
    pub when: Option<FileTime>,
    /// The source.
    pub source: Source,
}

/// A certificate that names the CA as its issuer, and whose signature no key verifies that the database shows: the CA got another key
/// after the backup, or another CA has its name.
#[derive(Clone, Debug, Serialize)]
pub struct OfUnknownKey {
    /// The certificate.
    pub serial_number: Serial,
    /// Its subject.
    pub subject: String,
    /// The identifier of the key that it names as that of its signer, in hexadecimal digits; empty where it names none.
    pub signer: String,
    /// Whether its subject is that of its issuer: a certificate of the CA itself.
    pub self_issued: bool,
    /// When it begins.
    #[serde(serialize_with = "moments::optional")]
    pub when: Option<FileTime>,
    /// When it ends.
    #[serde(serialize_with = "moments::optional")]
    pub not_after: Option<FileTime>,
    /// The first source that has it.
    pub source: Source,
}

/// A certificate that the database knows, and of whose revocation it does not know.
#[derive(Clone, Debug, Serialize)]
pub struct RevokedElsewhere {
    /// The request.
    pub request_id: i64,
    /// The certificate.
    pub serial_number: Serial,
    /// What the source tells.
    #[serde(flatten)]
    pub revoked: Revoked,
}

/// A request on which a certificate was issued that no source names.
#[derive(Clone, Debug, Serialize)]
pub struct RequestOnly {
    /// The request.
    pub request_id: i64,
    /// Who asked for it.
    pub requester: String,
    /// Its subject.
    pub subject: String,
    /// The key that the certificate is for: a certificate that turns up later is told by it.
    pub key_identifier: String,
    /// When it was issued.
    #[serde(serialize_with = "moments::optional")]
    pub when: Option<FileTime>,
    /// The source.
    pub source: Source,
}

/// The database and a source say what cannot both be.
#[derive(Clone, Debug, Serialize)]
pub struct Contradiction {
    /// The request.
    pub request_id: i64,
    /// The certificate that the source names, where it names one.
    pub serial_number: Option<Serial>,
    /// What they say.
    pub what: Disagreement,
    /// The machine on which the event was written; empty where it does not say.
    pub computer: String,
    /// When.
    #[serde(serialize_with = "moments::optional")]
    pub when: Option<FileTime>,
    /// The source.
    pub source: Source,
}

/// How database and source disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disagreement {
    /// The database has a certificate for the request, the source says that it was denied.
    DeniedElsewhere,
    /// The database has a certificate for the request, the source says that another one was issued on it.
    OtherCertificate,
    /// The database has the certificate under another request.
    OtherRequest,
}

/// Numbers of requests that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Ids {
    /// The first of them.
    pub first: i64,
    /// The last of them.
    pub last: i64,
}

impl Ids {
    /// How many there are.
    #[must_use]
    pub fn count(self) -> u64 {
        u64::try_from(self.last - self.first + 1).unwrap_or_default()
    }
}

/// A backup that the event log tells of.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LastBackup {
    /// When it ended; nothing where no event says that it did.
    #[serde(serialize_with = "moments::optional")]
    pub completed: Option<FileTime>,
    /// When it began.
    #[serde(serialize_with = "moments::optional")]
    pub started: Option<FileTime>,
    /// Whether it was a full one.
    pub full: bool,
    /// Who took it.
    pub account: String,
}
