//! The subject alternative names of a request (RFC 5280 4.2.1.6): what they are, and whether they are sound.

use const_oid::ObjectIdentifier;
use der::asn1::Utf8StringRef;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use certadm_rules::printable::is_hidden;

use crate::denial::DenialReason;
use crate::host_name::{HostName, MailAddress};
use crate::profile::{Profile, SanKind};

/// No certificate needs more; whoever checks one looks through all of them.
const MAX_NAMES: usize = 256;

/// Names that a profile allows.
#[derive(Debug, Default)]
pub(crate) struct AlternativeNames {
    /// As they go into the certificate; nothing when there are none.
    pub(crate) extension: Option<SubjectAltName>,
    pub(crate) hosts: Vec<HostName>,
    pub(crate) mail: Vec<MailAddress>,
    /// The first user principal name.
    pub(crate) upn: Option<String>,
}

impl AlternativeNames {
    /// Reads the names that a request asks for.
    ///
    /// # Errors
    /// [`DenialReason::BadName`], [`DenialReason::NameKind`], [`DenialReason::Wildcard`], [`DenialReason::TooManyNames`],
    /// [`DenialReason::NoAlternativeName`].
    pub(crate) fn judge(asked: Option<SubjectAltName>, profile: &Profile) -> Result<Self, DenialReason> {
        let mut names = Self { extension: asked.filter(|names| !names.0.is_empty()), ..Self::default() };
        let asked = names.extension.as_ref().map_or(&[][..], |names| &names.0);
        if MAX_NAMES < asked.len() {
            return Err(DenialReason::TooManyNames { count: asked.len(), most: MAX_NAMES });
        }
        for name in asked {
            let kind = match Read::of(name)? {
                Read::Host(host) => {
                    if host.is_wildcard() && !profile.wildcards {
                        return Err(DenialReason::Wildcard { name: shown(name) });
                    }
                    names.hosts.push(host);
                    SanKind::Dns
                }
                Read::Mail(address) => {
                    names.mail.push(address);
                    SanKind::Email
                }
                Read::Upn(upn) => {
                    names.upn.get_or_insert(upn);
                    SanKind::Upn
                }
                Read::Other(kind) => kind,
            };
            if !profile.subject_alternative_names.contains(&kind) {
                return Err(DenialReason::NameKind { name: shown(name) });
            }
        }
        if names.extension.is_none() && profile.alternative_name_required {
            return Err(DenialReason::NoAlternativeName);
        }
        Ok(names)
    }
}

/// One name, taken apart.
enum Read {
    Host(HostName),
    Mail(MailAddress),
    Upn(String),
    Other(SanKind),
}

impl Read {
    fn of(name: &GeneralName) -> Result<Self, DenialReason> {
        let bad = |reason| DenialReason::BadName { name: shown(name), reason };
        match name {
            GeneralName::DnsName(dns) => HostName::parse(dns.as_str()).map(Self::Host).map_err(bad),
            GeneralName::Rfc822Name(address) => {
                MailAddress::parse(address.as_str()).map(Self::Mail).map_err(bad)
            }
            GeneralName::IpAddress(address) => match address.as_bytes().len() {
                4 | 16 => Ok(Self::Other(SanKind::Ip)),
                _ => Err(bad("an address has 4 or 16 octets")),
            },
            GeneralName::UniformResourceIdentifier(uri) => {
                let is_scheme = |scheme: &str| {
                    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
                };
                let text = uri.as_str();
                let valid = text.bytes().all(|byte| byte.is_ascii_graphic())
                    && text
                        .split_once(':')
                        .is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty());
                if valid { Ok(Self::Other(SanKind::Uri)) } else { Err(bad("it is not an absolute URI")) }
            }
            GeneralName::OtherName(other) if other.type_id == USER_PRINCIPAL_NAME => {
                let text = Utf8StringRef::try_from(&other.value).ok().map(|upn| upn.as_str().to_owned());
                let valid = |upn: &String| {
                    upn.rsplit_once('@').is_some_and(|(user, domain)| !user.is_empty() && !domain.is_empty())
                        && !upn.chars().any(|letter| is_hidden(letter) || letter == ' ')
                        && upn.chars().count() <= MAX_UPN
                };
                text.filter(valid).map(Self::Upn).ok_or_else(|| bad("it is not a user principal name"))
            }
            _ => Err(DenialReason::NameKind { name: shown(name) }),
        }
    }
}

/// szOID_NT_PRINCIPAL_NAME.
const USER_PRINCIPAL_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.20.2.3");
/// The directory's bound (rangeUpper of userPrincipalName).
const MAX_UPN: usize = 1024;

/// A name as denials show it.
pub(crate) fn shown(name: &GeneralName) -> String {
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
