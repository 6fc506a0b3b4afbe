//! What this CA grants, and what it denies.

use const_oid::ObjectIdentifier;
use der::asn1::{OctetString, Utf8StringRef};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, SubjectAltName, SubjectKeyIdentifier};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;

use crate::denial::DenialReason;
use crate::error::{Error, Result};
use crate::keys::key_identifier;
use crate::name::text_of;
use crate::profile::{Profile, SanKind};
use crate::public_key::PublicKey;
use crate::request::Request;
use crate::same_name::is_same_name;

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
}

/// What the decision needs to know of the CA.
pub(crate) struct Issuer {
    pub(crate) name: Name,
    /// The path length of its own certificate.
    pub(crate) path_length: Option<u8>,
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
    names: Option<SubjectAltName>,
    path_length: Option<u8>,
}

fn judge(request: &Request, profile: &Profile, issuer: &Issuer) -> Result<Judged, DenialReason> {
    let key = PublicKey::from_info(&request.public_key_info)?;
    request.verify(&key)?;
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
    check_subject(&request.subject)?;
    if is_same_name(&request.subject, &issuer.name) {
        return Err(DenialReason::SubjectIsIssuer);
    }
    let names = request.extension::<SubjectAltName>()?.filter(|names| !names.0.is_empty());
    for name in names.iter().flat_map(|names| &names.0) {
        let kind = check_alternative_name(name)?;
        if !profile.subject_alternative_names.contains(&kind) {
            return Err(DenialReason::NameKind { name: shown(name) });
        }
    }
    if request.subject.is_empty() && (names.is_none() || profile.ca) {
        return Err(DenialReason::NoName);
    }
    let usage = profile.key_usage_for(key.is_rsa()).ok_or(DenialReason::KeyUsage)?;
    Ok(Judged { key, usage, names, path_length })
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
        let extended = ExtendedKeyUsage(purposes.collect()).to_extension(subject, &[]).map_err(&encoding)?;
        extensions.push((Origin::Policy, extended));
    }
    let mut upn = None;
    if let Some(names) = judged.names {
        upn = names.0.iter().find_map(upn_of);
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
    Ok(Grant { key_length: judged.key.length(), key_identifier, extensions, upn })
}

/// A control character in a name is how one name is made to look like another.
fn check_subject(subject: &Name) -> Result<(), DenialReason> {
    for attribute in subject.iter() {
        if let Some(text) = text_of(&attribute.value)
            && text.chars().any(char::is_control)
        {
            return Err(DenialReason::BadName { name: text, reason: "it contains a control character" });
        }
    }
    Ok(())
}

fn check_alternative_name(name: &GeneralName) -> Result<SanKind, DenialReason> {
    let bad = |reason| DenialReason::BadName { name: shown(name), reason };
    match name {
        GeneralName::DnsName(dns) => {
            check_dns(dns.as_str()).map_err(bad)?;
            Ok(SanKind::Dns)
        }
        GeneralName::IpAddress(address) => match address.as_bytes().len() {
            4 | 16 => Ok(SanKind::Ip),
            _ => Err(bad("an address has 4 or 16 octets")),
        },
        GeneralName::Rfc822Name(address) => {
            let text = address.as_str();
            let valid = text.bytes().all(|byte| byte.is_ascii_graphic())
                && text.split_once('@').is_some_and(|(local, domain)| {
                    !local.is_empty() && check_dns(domain).is_ok() && !domain.starts_with('*')
                });
            if valid { Ok(SanKind::Email) } else { Err(bad("it is not an e-mail address")) }
        }
        GeneralName::UniformResourceIdentifier(uri) => {
            let text = uri.as_str();
            let valid = text.bytes().all(|byte| byte.is_ascii_graphic())
                && text.split_once(':').is_some_and(|(scheme, rest)| {
                    scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && !rest.is_empty()
                });
            if valid { Ok(SanKind::Uri) } else { Err(bad("it is not an absolute URI")) }
        }
        GeneralName::OtherName(other) if other.type_id == USER_PRINCIPAL_NAME => {
            let valid = upn_of(name)
                .is_some_and(|upn| upn.contains('@') && !upn.chars().any(|c| c.is_control() || c == ' '));
            if valid { Ok(SanKind::Upn) } else { Err(bad("it is not a user principal name")) }
        }
        _ => Err(DenialReason::NameKind { name: shown(name) }),
    }
}

/// szOID_NT_PRINCIPAL_NAME.
const USER_PRINCIPAL_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.20.2.3");

fn upn_of(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::OtherName(other) if other.type_id == USER_PRINCIPAL_NAME => {
            Utf8StringRef::try_from(&other.value).ok().map(|upn| upn.to_string())
        }
        _ => None,
    }
}

/// Letters, digits, `-` and `_` in labels of 1 to 63; the first label may be `*` alone.
fn check_dns(name: &str) -> Result<(), &'static str> {
    if 253 < name.len() {
        return Err("it is longer than 253 characters");
    }
    let (wildcard, rest) = match name.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, name),
    };
    if wildcard && !rest.contains('.') {
        return Err("a wildcard needs two labels behind it");
    }
    let label_is_valid = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if rest.split('.').all(label_is_valid) { Ok(()) } else { Err("it is not a host name") }
}

fn shown(name: &GeneralName) -> String {
    match name {
        GeneralName::DnsName(text) => format!("dns:{}", text.as_str()),
        GeneralName::Rfc822Name(text) => format!("email:{}", text.as_str()),
        GeneralName::UniformResourceIdentifier(text) => format!("uri:{}", text.as_str()),
        GeneralName::IpAddress(octets) => {
            format!("ip:{}", certadm_rules::hex::encode(octets.as_bytes()))
        }
        GeneralName::OtherName(other) => format!("other name {}", other.type_id),
        GeneralName::DirectoryName(name) => format!("directory name {name}"),
        GeneralName::RegisteredId(oid) => format!("registered id {oid}"),
        GeneralName::EdiPartyName(_) => "EDI party name".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_names() {
        for name in
            ["a", "www.example.com", "*.example.com", "_sip.example", "xn--kse-qla.example", "1.2.3.4"]
        {
            assert!(check_dns(name).is_ok(), "{name}");
        }
        for name in [
            "",
            ".",
            "a..b",
            "*",
            "*.com",
            "a.*.com",
            "w*.example.com",
            "a b",
            "a\0.example.com",
            "-a.example",
            "käse.example",
            "a.example.",
            &"a".repeat(64),
            &"a.".repeat(130),
        ] {
            assert!(check_dns(name).is_err(), "{name:?}");
        }
    }
}
