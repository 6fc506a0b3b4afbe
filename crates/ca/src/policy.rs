//! What this CA grants, and what it denies.

use der::asn1::OctetString;
use x509_cert::ext::pkix::{
    BasicConstraints, ExtendedKeyUsage, NameConstraints, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;

use crate::alternative_names::AlternativeNames;
use crate::denial::DenialReason;
use crate::error::{Error, Result};
use crate::keys::key_identifier;
use crate::name_constraints;
use crate::profile::{ExtendedUsage, Profile};
use crate::public_key::PublicKey;
use crate::request::Request;
use crate::same_name::is_same_name;
use crate::shared_prime::{Comparison, share_a_divisor};
use crate::subject;

/// Who put an extension into a certificate: the high 16 bits of `ExtensionFlags`
/// (spec/ese.md section 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Request = 1,
    Policy = 2,
    Server = 4,
    CaCertificate = 9,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) key_length: u32,
    pub(crate) key_identifier: Vec<u8>,
    pub(crate) extensions: Vec<(Origin, Extension)>,
    pub(crate) upn: Option<String>,
    /// For an RSA key: its comparison with those in the database.
    pub(crate) comparison: Option<Comparison>,
}

/// What the decision needs to know of the CA.
pub(crate) struct Issuer {
    pub(crate) name: Name,
    /// Its key; nothing where it is of a kind that this CA would not certify.
    pub(crate) key: Option<PublicKey>,
    /// The path length of its own certificate.
    pub(crate) path_length: Option<u8>,
    /// The names that its own certificate restricts it to.
    pub(crate) name_constraints: Option<NameConstraints>,
    /// Extensions that are the same in all its certificates: authority key identifier, CRL
    /// distribution points, authority information access.
    pub(crate) common_extensions: Vec<Extension>,
}

/// Decides on a request.
///
/// # Errors
/// The inner error is the reason to deny it; the outer one a failure of encoding.
pub(crate) fn decide(
    request: &Request,
    profile: &Profile,
    issuer: &Issuer,
) -> Result<Result<Grant, DenialReason>> {
    match judge(request, profile, issuer) {
        Ok(judged) => grant(request, profile, issuer, judged).map(Ok),
        Err(reason) => Ok(Err(reason)),
    }
}

struct Judged {
    key: PublicKey,
    usage: x509_cert::ext::pkix::KeyUsage,
    names: AlternativeNames,
    path_length: Option<u8>,
}

fn judge(request: &Request, profile: &Profile, issuer: &Issuer) -> Result<Judged, DenialReason> {
    let key = PublicKey::from_info(&request.public_key_info)?;
    request.verify(&key)?;
    if let Some(own) = &issuer.key {
        refuse_key_of_issuer(&key, own)?;
    }
    let wants_ca = request.extension::<BasicConstraints>()?.is_some_and(|constraints| constraints.ca);
    if wants_ca && !profile.ca {
        return Err(DenialReason::RequestsCa);
    }
    let path_length = match (profile.ca, issuer.path_length) {
        (true, Some(0)) => return Err(DenialReason::PathLength),
        (true, Some(own)) => Some(profile.path_length.min(own - 1)),
        (true, None) => Some(profile.path_length),
        (false, _) => None,
    };
    if is_same_name(&request.subject, &issuer.name) {
        return Err(DenialReason::SubjectIsIssuer);
    }
    let asked = request.extension::<SubjectAltName>()?;
    if request.subject.is_empty() && (asked.as_ref().is_none_or(|asked| asked.0.is_empty()) || profile.ca) {
        return Err(DenialReason::NoName);
    }
    let names = AlternativeNames::judge(asked, profile)?;
    subject::judge(&request.subject, profile, &names)?;
    if let Some(constraints) = &issuer.name_constraints {
        let alternative = names.extension.as_ref().map_or(&[][..], |names| &names.0);
        name_constraints::check(constraints, &request.subject, alternative)?;
    }
    let usage = profile.key_usage_for(key.is_rsa()).ok_or(DenialReason::KeyUsage)?;
    Ok(Judged { key, usage, names, path_length })
}

/// A certificate for the CA's own key would make its holder's signatures those of the CA.
fn refuse_key_of_issuer(key: &PublicKey, own: &PublicKey) -> Result<(), DenialReason> {
    if key.is_same(own) {
        return Err(DenialReason::KeyOfIssuer);
    }
    if let (PublicKey::Rsa(key), PublicKey::Rsa(own)) = (key, own)
        && share_a_divisor(&key.modulus, &own.modulus)
    {
        return Err(DenialReason::SharedPrime { with: "this CA itself".into() });
    }
    Ok(())
}

fn grant(request: &Request, profile: &Profile, issuer: &Issuer, judged: Judged) -> Result<Grant> {
    let encoding = Error::encoding("certificate");
    let subject = &request.subject;
    let mut extensions: Vec<(Origin, Extension)> = Vec::with_capacity(8);
    if profile.ca {
        let constraints = BasicConstraints { ca: true, path_len_constraint: judged.path_length };
        let extension = constraints.to_extension(subject, &[]).map_err(&encoding)?;
        extensions.push((Origin::Policy, extension));
    }
    let usage = judged.usage.to_extension(subject, &[]).map_err(&encoding)?;
    extensions.push((Origin::Policy, usage));
    if !profile.extended_key_usage.is_empty() {
        let purposes = profile.extended_key_usage.iter().map(|usage| usage.0);
        let mut extended =
            ExtendedKeyUsage(purposes.collect()).to_extension(subject, &[]).map_err(&encoding)?;
        // A time stamp of another certificate is not taken (RFC 3161 2.3).
        extended.critical = !profile.ca && profile.extended_key_usage == [ExtendedUsage::TIME_STAMPING];
        extensions.push((Origin::Policy, extended));
    }
    if let Some(names) = judged.names.extension {
        // critical when the subject is empty (RFC 5280 4.1.2.6)
        let names = names.to_extension(subject, &[]).map_err(&encoding)?;
        extensions.push((Origin::Request, names));
    }
    let key_identifier = key_identifier(&request.public_key_info);
    let identifier = OctetString::new(key_identifier.as_slice()).map_err(&encoding)?;
    let identifier = SubjectKeyIdentifier(identifier).to_extension(subject, &[]).map_err(&encoding)?;
    extensions.push((Origin::Server, identifier));
    let common = issuer.common_extensions.iter().cloned();
    extensions.extend(common.map(|extension| (Origin::Server, extension)));
    let comparison = match &judged.key {
        PublicKey::Rsa(key) => {
            Some(Comparison::of(key, request.public_key_info.subject_public_key.raw_bytes()))
        }
        PublicKey::P256(_) | PublicKey::P384(_) => None,
    };
    Ok(Grant {
        key_length: judged.key.length(),
        key_identifier,
        extensions,
        upn: judged.names.upn,
        comparison,
    })
}
