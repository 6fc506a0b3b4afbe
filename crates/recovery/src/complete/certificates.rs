//! Whether the CA's certificates are there, up to a root.

use certadm_identity::Role;
use certadm_rules::{FileTime, pem};
use der::{Decode, Reader, SliceReader, Tag, asn1::AnyRef};

use crate::records::Maker;
use crate::signature::{Algorithm, PublicKey};
use crate::x509::CertificateRef;

use super::question::Question;
use super::verdict::{Check, Component, State};

const DAY: i64 = 24 * 60 * 60 * 10_000_000;

/// The component `ca-certificates`.
pub(super) fn judge(question: &Question<'_>) -> Component {
    let mut checks = Vec::new();
    let (fetched, foreign) = beside(question);
    checks.push(match strangers(question, &fetched) {
        0 => Check::good("all are there", "each certificate names a key of the CA that is known"),
        count => Check::bad(
            "all are there",
            format!(
                "certificates name {count} keys whose CA certificate is neither in the database nor beside it"
            ),
            "put the CA's certificates beside the set: certadm attach SET --certificate FILE",
        ),
    });
    for issuer in question.issuers.iter() {
        let Some(end) = issuer.not_after else { continue };
        let (what, days) =
            (format!("the certificate of key {}", issuer.index()), (end.0 - question.now.0) / DAY);
        checks.push(match days {
            _ if end < question.now => {
                Check::good("validity", format!("{what} has expired at {}", end.to_rfc3339()))
            }
            0..=30 => Check::bad("validity", format!("{what} ends in {days} days"), "renew it"),
            _ => Check::good("validity", format!("{what} ends in {days} days")),
        });
    }
    if foreign != 0 {
        checks.push(Check::contradiction(
            "same CA",
            format!("{foreign} of the CA certificates that were fetched are of another CA than the database"),
            "take the identity part of this CA: certadm identity",
        ));
    }
    checks.push(chain(question, &fetched));
    let found = question.newest(Role::CaCertificate);
    let component = Component::new("ca-certificates", "CA certificates", true, State::Present);
    component.at(question.source.clone()).of(found.as_ref()).with(checks)
}

/// How many keys certificates name of which there is no CA certificate, in the database or beside it. One beside it counts if it
/// has that name for its key, and its key signed what names it.
fn strangers(question: &Question<'_>, beside: &[Vec<u8>]) -> usize {
    let beside: Vec<_> = beside.iter().filter_map(|der| CertificateRef::parse(der).ok()).collect();
    let identifiers = question.records.key_identifiers.iter().enumerate();
    let is_known = |place: usize, identifier: &Vec<u8>| {
        let sample =
            question.records.samples.get(place).and_then(|sample| CertificateRef::parse(sample).ok());
        question.issuers.iter().any(|issuer| issuer.identifiers.contains(identifier))
            || beside.iter().any(|found| {
                found.subject_key().ok().flatten() == Some(identifier)
                    && sample
                        .is_none_or(|sample| found.subject == sample.issuer && has_signed(found, &sample))
            })
    };
    identifiers.filter(|(place, identifier)| !is_known(*place, identifier)).count()
}

/// The component `cross-certificates`: a CA whose key never changed has none.
pub(super) fn cross(question: &Question<'_>) -> Component {
    let found = question.newest(Role::CrossCertificate);
    let state = match (&found, question.issuers.iter().count()) {
        (Some(_), _) => State::Present,
        (None, 0 | 1) => State::NotApplicable,
        (None, _) if question.records.maker() == Maker::Certadm => State::NotApplicable,
        (None, _) => State::CannotTell,
    };
    Component::new("cross-certificates", "Cross certificates", false, state).of(found.as_ref())
}

/// Certificates beside the database, and how many of those that the CA called its own are of another.
fn beside(question: &Question<'_>) -> (Vec<Vec<u8>>, usize) {
    let mut all = Vec::new();
    let mut foreign = 0;
    for file in question.files(&[Role::CaCertificate]) {
        let key = CertificateRef::parse(&file.content)
            .ok()
            .and_then(|found| PublicKey::from_der(found.public_key).ok());
        foreign += usize::from(
            key.is_some_and(|key| question.issuers.iter().all(|issuer| *issuer.public_key() != key)),
        );
        all.push(file.content);
    }
    for file in question.files(&[Role::Chain]) {
        all.extend(certificates_in(&file.content).unwrap_or_default());
    }
    for file in question.files(&[Role::CaCrt, Role::Certificate, Role::CrossCertificate]) {
        match pem::looks_like_pem(&file.content) {
            true => {
                all.extend(pem::blocks(&file.content).unwrap_or_default().into_iter().map(|block| block.der));
            }
            false => all.push(file.content),
        }
    }
    (all, foreign)
}

/// Follows the newest certificate to one that signed itself.
fn chain(question: &Question<'_>, others: &[Vec<u8>]) -> Check {
    const NAME: &str = "chain to a root";
    let newest =
        question.records.ca_certificates.iter().filter_map(|found| CertificateRef::parse(&found.der).ok());
    let Some(first) = newest.max_by_key(|found| found.not_before) else {
        return Check::unknown(NAME, "no certificate of the CA can be read", "run certadm verify on the set");
    };
    let mut others: Vec<CertificateRef<'_>> = others
        .iter()
        .chain(question.records.ca_certificates.iter().map(|found| &found.der))
        .filter_map(|der| CertificateRef::parse(der).ok())
        .collect();
    // A certificate that signed itself is the end; one of the same key by another CA only leads on.
    others.sort_by_key(|found| found.subject != found.issuer);
    match climb(&first, &others, &mut vec![false; others.len()], LONGEST_CHAIN) {
        Top::Root => Check::good(NAME, "it is there, up to a certificate that signed itself"),
        Top::NotChecked(name) => Check::unknown(
            NAME,
            format!(
                "the certificate of {name} is there, and what it signed cannot be checked: its key or its signature is of a kind that is not supported"
            ),
            "check the chain with another program: openssl verify",
        ),
        Top::Missing(name) => Check::bad(
            NAME,
            format!("the certificate of {name} is not there"),
            "put it beside the set: certadm attach SET --certificate FILE",
        ),
    }
}

/// No chain is longer, whoever signed whom.
const LONGEST_CHAIN: u32 = 16;

/// Where a way up ends.
enum Top {
    Root,
    /// At a certificate of this CA, which cannot be checked.
    NotChecked(String),
    /// Below a certificate of this CA.
    Missing(String),
}

/// Tries every way up, each certificate once.
fn climb<'a>(from: &CertificateRef<'a>, others: &[CertificateRef<'a>], tried: &mut [bool], left: u32) -> Top {
    let name = || {
        let name = certadm_ca::common_name_of(from.issuer).ok().flatten();
        name.unwrap_or_else(|| "the CA above".to_owned())
    };
    let mut not_checked = None;
    if from.subject == from.issuer {
        match signed_by(from, from) {
            Some(true) => return Top::Root,
            Some(false) => {}
            None => not_checked = Some(name()),
        }
    }
    let mut missing = None;
    for (place, other) in others.iter().enumerate() {
        if left == 0 || tried[place] || other.subject != from.issuer {
            continue;
        }
        match signed_by(other, from) {
            Some(false) => continue,
            Some(true) => {}
            None => {
                not_checked = Some(name());
                continue;
            }
        }
        tried[place] = true;
        match climb(other, others, tried, left - 1) {
            Top::Root => return Top::Root,
            Top::NotChecked(name) => not_checked = Some(name),
            Top::Missing(name) => missing = missing.or(Some(name)),
        }
    }
    match not_checked {
        Some(name) => Top::NotChecked(name),
        None => Top::Missing(missing.unwrap_or_else(name)),
    }
}

/// Whether one certificate signed another; nothing where the kind of key or of signature is not supported.
fn signed_by(signer: &CertificateRef<'_>, signed: &CertificateRef<'_>) -> Option<bool> {
    let key = PublicKey::from_der(signer.public_key).ok()?;
    let algorithm = Algorithm::from_der(signed.algorithm).ok()?;
    Some(key.verifies(&algorithm, signed.signed, signed.signature))
}

fn has_signed(signer: &CertificateRef<'_>, signed: &CertificateRef<'_>) -> bool {
    signed_by(signer, signed) == Some(true)
}

/// The certificates in a PKCS#7 file that signs nothing (RFC 5652 5.1).
fn certificates_in(der: &[u8]) -> der::Result<Vec<Vec<u8>>> {
    fn reader(bytes: &[u8]) -> der::Result<SliceReader<'_>> {
        SliceReader::new_with_encoding_rules(bytes, der::EncodingRules::Der)
    }
    let mut outer = reader(AnyRef::from_der(der)?.value())?;
    AnyRef::decode(&mut outer)?; // what it is
    let signed = AnyRef::from_der(AnyRef::decode(&mut outer)?.value())?;
    let mut fields = reader(signed.value())?;
    let mut found = Vec::new();
    while !fields.is_finished() {
        let field = AnyRef::decode(&mut fields)?;
        let first = Tag::ContextSpecific { constructed: true, number: der::TagNumber(0) };
        if field.header().tag() == first {
            let mut certificates = reader(field.value())?;
            while !certificates.is_finished() {
                found.push(certificates.tlv_bytes()?.to_vec());
            }
        }
    }
    Ok(found)
}

/// When the newest certificate of the CA began: an older identity part lacks it.
pub(super) fn newest_beginning(question: &Question<'_>) -> Option<FileTime> {
    question.issuers.iter().filter_map(|issuer| issuer.not_before).max()
}
