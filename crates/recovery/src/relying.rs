//! Certificates as those see them who rely on them: does a certificate of the CA stand behind it, and may it (RFC 5280 6.1,
//! as far as one step from a CA certificate to what it issued goes)?
//!
//! The certificates of the CA in its own database are the anchors: that they are trusted is taken for granted, whether they
//! are in force is not. Name constraints and policies are not looked at.

use std::fmt;

use certadm_ca::Serial;
use certadm_rules::{FileTime, hex};
use der::Decode;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};

use crate::error::{Error, Result};
use crate::records::Records;
use crate::signature::{Algorithm, PublicKey};
use crate::x509::{CertificateRef, oid};

/// The certificates of a CA, against which what it issued is checked.
#[derive(Clone, Debug)]
pub struct Anchors(Vec<Anchor>);

#[derive(Clone, Debug)]
struct Anchor {
    subject: Vec<u8>,
    key: PublicKey,
    identifier: Option<Vec<u8>>,
    not_before: FileTime,
    not_after: FileTime,
    /// Its basic constraints say CA, and its key usage, where it has one, lets it sign certificates.
    may_issue: bool,
}

/// A certificate that a certificate of the CA stands behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Its serial number, as the certificate itself has it.
    pub serial: Serial,
    /// Whether it is in force at the moment that was asked for.
    pub in_force: bool,
}

/// Why nobody may rely on a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It cannot be read.
    Malformed(String),
    /// No certificate of the CA has the name and the key that it names.
    UnknownIssuer,
    /// The signature is not of the key that it names.
    Signature,
    /// The key that it names is of a kind that is not supported: nothing is known of the signature.
    NotChecked {
        /// Whether the certificate is in force.
        in_force: bool,
    },
    /// The CA certificate must not issue.
    NotACa,
    /// The certificate is in force, and no certificate of its CA is: the last one ended at this moment.
    CaNotInForce(FileTime),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(reason) => write!(f, "it cannot be read ({reason})"),
            Self::UnknownIssuer => {
                f.write_str("no certificate of the CA has the name and the key that it names")
            }
            Self::Signature => f.write_str("its signature is not of the CA's key"),
            Self::NotChecked { .. } => {
                f.write_str("its signature cannot be checked: keys of that kind are not supported")
            }
            Self::NotACa => f.write_str("the certificate of its CA may not issue certificates"),
            Self::CaNotInForce(end) => {
                write!(
                    f,
                    "it is in force, and the certificate of its CA is not (it ends {})",
                    end.to_rfc3339()
                )
            }
        }
    }
}

impl Anchors {
    /// The CA's own certificates in a database.
    ///
    /// # Errors
    /// [`Error::NoCaCertificate`], [`Error::CaCertificate`].
    pub fn of(records: &Records) -> Result<Self> {
        let mut anchors = Vec::new();
        for found in &records.ca_certificates {
            let unusable = |reason: String| Error::CaCertificate { request_id: found.request_id, reason };
            anchors.push(anchor(&found.der).map_err(unusable)?);
        }
        if anchors.is_empty() { Err(Error::NoCaCertificate) } else { Ok(Self(anchors)) }
    }

    /// Checks a certificate as it would be relied on at `now`. One that has ended is judged by its signature alone.
    ///
    /// # Errors
    /// Why nobody may rely on it.
    pub fn judge(&self, der: &[u8], now: FileTime) -> Result<Judged, Flaw> {
        let malformed = |error: der::Error| Flaw::Malformed(error.to_string());
        let certificate = CertificateRef::parse(der).map_err(malformed)?;
        let named = certificate.authority_key().map_err(malformed)?;
        let serial = serial_of(certificate.serial)?;
        let is_named = |anchor: &&Anchor| {
            anchor.subject == certificate.issuer
                && match (named, &anchor.identifier) {
                    (Some(named), Some(identifier)) => named == identifier.as_slice(),
                    _ => true,
                }
        };
        let candidates: Vec<&Anchor> = self.0.iter().filter(is_named).collect();
        if candidates.is_empty() {
            return Err(Flaw::UnknownIssuer);
        }
        let in_force = certificate.not_before <= now && now <= certificate.not_after;
        let or_not_checked = |flaw| match candidates.iter().all(|anchor| anchor.key.is_supported()) {
            true => flaw,
            false => Flaw::NotChecked { in_force },
        };
        let algorithm = Algorithm::from_der(certificate.algorithm);
        let algorithm = algorithm.map_err(|reason| or_not_checked(Flaw::Malformed(reason)))?;
        let signed =
            |anchor: &&&Anchor| anchor.key.verifies(&algorithm, certificate.signed, certificate.signature);
        // A CA certificate that was renewed with its key has two: both have signed it.
        let signers: Vec<&&Anchor> = candidates.iter().filter(signed).collect();
        if signers.is_empty() {
            return Err(or_not_checked(Flaw::Signature));
        }
        if signers.iter().all(|anchor| !anchor.may_issue) {
            return Err(Flaw::NotACa);
        }
        let is_current = |anchor: &&&Anchor| anchor.not_before <= now && now <= anchor.not_after;
        if in_force && !signers.iter().any(is_current) {
            let end = signers.iter().map(|anchor| anchor.not_after).max().unwrap_or_default();
            return Err(Flaw::CaNotInForce(end));
        }
        Ok(Judged { serial, in_force })
    }

    /// When the last of the CA's certificates ends.
    #[must_use]
    pub fn end(&self) -> FileTime {
        self.0.iter().map(|anchor| anchor.not_after).max().unwrap_or_default()
    }
}

fn serial_of(octets: &[u8]) -> Result<Serial, Flaw> {
    hex::encode(octets).parse().map_err(|error: certadm_ca::Error| Flaw::Malformed(error.to_string()))
}

fn anchor(der: &[u8]) -> Result<Anchor, String> {
    let text = |error: der::Error| error.to_string();
    let certificate = CertificateRef::parse(der).map_err(text)?;
    let constraints = certificate.extension(oid::BASIC_CONSTRAINTS).map_err(text)?;
    let constraints = constraints.map(BasicConstraints::from_der).transpose().map_err(text)?;
    let usage = certificate.extension(oid::KEY_USAGE).map_err(text)?;
    let usage = usage.map(KeyUsage::from_der).transpose().map_err(text)?;
    Ok(Anchor {
        subject: certificate.subject.to_vec(),
        key: PublicKey::of_any_kind(certificate.public_key)?,
        identifier: certificate.subject_key().map_err(text)?.map(<[u8]>::to_vec),
        not_before: certificate.not_before,
        not_after: certificate.not_after,
        may_issue: constraints.is_some_and(|constraints| constraints.ca)
            && usage.is_none_or(|usage| usage.key_cert_sign()),
    })
}
