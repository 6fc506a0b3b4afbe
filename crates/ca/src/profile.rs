//! Profiles: what kind of certificate a request may become.

use std::collections::BTreeMap;

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5280;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use x509_cert::ext::pkix::{KeyUsage, KeyUsages};

use crate::attribute::SubjectAttribute;

/// What kind of certificate a request may become. The profile decides alone: key usages that a
/// request asks for are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// Key usages (RFC 5280 4.2.1.3). Those that the key of a request cannot do are left out:
    /// enciphering with an elliptic curve, key agreement with RSA.
    pub key_usage: Vec<Usage>,
    /// Extended key usages (RFC 5280 4.2.1.12); none leaves the extension out.
    pub extended_key_usage: Vec<ExtendedUsage>,
    /// Validity in days when the caller names none.
    pub days: u32,
    /// The longest validity a caller may ask for, in days.
    pub max_days: u32,
    /// Kinds of subject alternative names that a request may carry.
    pub subject_alternative_names: Vec<SanKind>,
    /// Whether a request has to have such a name.
    pub alternative_name_required: bool,
    /// Whether the first label of a host name may be `*`.
    pub wildcards: bool,
    /// Types of attributes that a subject may have. How often, how long and in which types of string is the same in
    /// every profile.
    pub subject_attributes: Vec<SubjectAttribute>,
    /// What a common name is.
    pub common_name: CommonName,
    /// Whether the certificate is that of a subordinate CA. Such a profile is used only when the
    /// caller allows it explicitly.
    pub ca: bool,
    /// How many CAs may follow below a subordinate CA. Without effect unless `ca`.
    pub path_length: u8,
    /// Whether a revoked certificate stays in the CRL after it has expired, for signatures that
    /// outlive their certificate.
    pub keep_expired_in_crl: bool,
}

/// The profiles every CA has: `server` (the default), `client`, `email`, `code-signing`, `subca`.
pub(crate) fn built_in() -> BTreeMap<String, Profile> {
    let person = [
        SubjectAttribute::DOMAIN_COMPONENT,
        SubjectAttribute::USER_ID,
        SubjectAttribute::GIVEN_NAME,
        SubjectAttribute::SURNAME,
        SubjectAttribute::SERIAL_NUMBER,
        SubjectAttribute::EMAIL_ADDRESS,
    ];
    let with = |more: &[SubjectAttribute]| [&ORGANIZATION[..], more].concat();
    let leaf = Profile {
        key_usage: vec![Usage::DigitalSignature],
        extended_key_usage: Vec::new(),
        days: 365,
        max_days: 1095,
        subject_alternative_names: Vec::new(),
        alternative_name_required: false,
        wildcards: false,
        subject_attributes: ORGANIZATION.to_vec(),
        common_name: CommonName::Any,
        ca: false,
        path_length: 0,
        keep_expired_in_crl: false,
    };
    let profiles = [
        (
            DEFAULT,
            Profile {
                key_usage: vec![Usage::DigitalSignature, Usage::KeyEncipherment],
                extended_key_usage: vec![ExtendedUsage::SERVER_AUTH],
                days: 397,
                max_days: 825,
                subject_alternative_names: vec![SanKind::Dns, SanKind::Ip],
                alternative_name_required: true,
                wildcards: true,
                common_name: CommonName::Host,
                ..leaf.clone()
            },
        ),
        (
            "client",
            Profile {
                extended_key_usage: vec![ExtendedUsage::CLIENT_AUTH],
                subject_alternative_names: vec![SanKind::Dns, SanKind::Email, SanKind::Uri, SanKind::Upn],
                subject_attributes: with(&person),
                ..leaf.clone()
            },
        ),
        (
            "email",
            Profile {
                key_usage: vec![Usage::DigitalSignature, Usage::KeyEncipherment, Usage::KeyAgreement],
                extended_key_usage: vec![ExtendedUsage::EMAIL_PROTECTION],
                subject_alternative_names: vec![SanKind::Email],
                alternative_name_required: true,
                subject_attributes: with(&person),
                ..leaf.clone()
            },
        ),
        (
            "code-signing",
            Profile {
                extended_key_usage: vec![ExtendedUsage::CODE_SIGNING],
                keep_expired_in_crl: true,
                ..leaf.clone()
            },
        ),
        (
            "subca",
            Profile {
                key_usage: vec![Usage::KeyCertSign, Usage::CrlSign],
                days: 1825,
                max_days: 3650,
                subject_attributes: with(&[
                    SubjectAttribute::DOMAIN_COMPONENT,
                    SubjectAttribute::SERIAL_NUMBER,
                ]),
                ca: true,
                ..leaf
            },
        ),
    ];
    profiles.into_iter().map(|(name, profile)| (name.to_string(), profile)).collect()
}

/// What the subject of every built-in profile may have.
const ORGANIZATION: [SubjectAttribute; 6] = [
    SubjectAttribute::COMMON_NAME,
    SubjectAttribute::ORGANIZATION,
    SubjectAttribute::ORGANIZATIONAL_UNIT,
    SubjectAttribute::COUNTRY,
    SubjectAttribute::STATE,
    SubjectAttribute::LOCALITY,
];

/// The profile that is used when the caller names none.
pub(crate) const DEFAULT: &str = "server";

/// The settings of `[profiles.<name>]` in `ca.toml`; what is left out keeps its built-in value.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileSettings {
    key_usage: Option<Vec<Usage>>,
    extended_key_usage: Option<Vec<ExtendedUsage>>,
    days: Option<u32>,
    max_days: Option<u32>,
    subject_alternative_names: Option<Vec<SanKind>>,
    alternative_name_required: Option<bool>,
    wildcards: Option<bool>,
    subject_attributes: Option<Vec<SubjectAttribute>>,
    common_name: Option<CommonName>,
    ca: Option<bool>,
    path_length: Option<u8>,
    keep_expired_in_crl: Option<bool>,
}

/// No certificate lives longer than a hundred years.
pub const MAX_DAYS: u32 = 36_525;

impl ProfileSettings {
    /// These settings over `base`, or on their own where the CA has no such profile yet. What they leave out about names
    /// follows from what they say, so that a file of before these settings goes on working: a profile whose certificates
    /// servers can show is as strict as the built-in one, also where only these settings make it so; others are as they were.
    ///
    /// # Errors
    /// What is wrong, as a sentence fragment.
    pub(crate) fn over(self, base: Option<&Profile>) -> Result<Profile, String> {
        let own = |name: &str| format!("a profile of your own needs {name}");
        let days = self.days.or(base.map(|base| base.days)).ok_or_else(|| own("days"))?;
        let extended_key_usage = self
            .extended_key_usage
            .or_else(|| base.map(|base| base.extended_key_usage.clone()))
            .ok_or_else(|| own("extended_key_usage (it may be empty)"))?;
        let names = self
            .subject_alternative_names
            .or_else(|| base.map(|base| base.subject_alternative_names.clone()))
            .unwrap_or_default();
        let ca = self.ca.or(base.map(|base| base.ca)).unwrap_or(false);
        let is_server = serves(&extended_key_usage, &names, ca);
        // What `base` says of names is for what it is for.
        let names_of = base.filter(|base| {
            !is_server || serves(&base.extended_key_usage, &base.subject_alternative_names, base.ca)
        });
        let common_name = if is_server { CommonName::Host } else { CommonName::Any };
        let attributes = || {
            let known = base
                .map_or_else(|| SubjectAttribute::named().collect(), |base| base.subject_attributes.clone());
            let has_mail = names.contains(&SanKind::Email);
            known.into_iter().filter(|kind| has_mail || *kind != SubjectAttribute::EMAIL_ADDRESS).collect()
        };
        let profile = Profile {
            alternative_name_required: self.alternative_name_required.unwrap_or_else(|| {
                names_of.map_or(is_server, |base| base.alternative_name_required) && !names.is_empty()
            }),
            wildcards: self.wildcards.or(base.map(|base| base.wildcards)).unwrap_or(is_server),
            subject_attributes: self.subject_attributes.unwrap_or_else(attributes),
            common_name: self.common_name.or(names_of.map(|base| base.common_name)).unwrap_or(common_name),
            key_usage: self
                .key_usage
                .or_else(|| base.map(|base| base.key_usage.clone()))
                .ok_or_else(|| own("key_usage"))?,
            extended_key_usage,
            days,
            max_days: self.max_days.or(base.map(|base| base.max_days)).unwrap_or(days),
            subject_alternative_names: names,
            ca,
            path_length: self.path_length.or(base.map(|base| base.path_length)).unwrap_or(0),
            keep_expired_in_crl: self
                .keep_expired_in_crl
                .or(base.map(|base| base.keep_expired_in_crl))
                .unwrap_or(false),
        };
        profile.check()?;
        Ok(profile)
    }
}

/// Whether a server can show such a certificate to its clients: it is for that, for anything (`anyExtendedKeyUsage`), or for nothing
/// in particular, which also means anything, and may have the name of a host.
fn serves(usages: &[ExtendedUsage], names: &[SanKind], ca: bool) -> bool {
    let is_named =
        usages.iter().any(|usage| [ExtendedUsage::SERVER_AUTH, ExtendedUsage::ANY].contains(usage));
    is_named || (usages.is_empty() && !ca && names.contains(&SanKind::Dns))
}

impl Profile {
    fn check(&self) -> Result<(), String> {
        if self.key_usage.is_empty() {
            return Err("key_usage is empty".into());
        }
        if self.days == 0 || MAX_DAYS < self.max_days {
            return Err(format!("days and max_days go from 1 to {MAX_DAYS}"));
        }
        if self.max_days < self.days {
            return Err("days is more than max_days".into());
        }
        if self.alternative_name_required && self.subject_alternative_names.is_empty() {
            return Err("alternative_name_required needs a kind of name in subject_alternative_names".into());
        }
        let has_mail = self.subject_alternative_names.contains(&SanKind::Email);
        if self.subject_attributes.contains(&SubjectAttribute::EMAIL_ADDRESS) && !has_mail {
            return Err("emailAddress in subject_attributes needs email in subject_alternative_names".into());
        }
        let signs_certificates = self.key_usage.contains(&Usage::KeyCertSign);
        if signs_certificates && !self.ca {
            return Err("key_cert_sign is for a profile with ca = true".into());
        }
        if self.ca && !signs_certificates {
            return Err("a profile with ca = true needs key_cert_sign".into());
        }
        Ok(())
    }

    /// The key usages that the key of a request can do, or `None` when none is left.
    pub(crate) fn key_usage_for(&self, rsa: bool) -> Option<KeyUsage> {
        let mut flags = KeyUsage(KeyUsages::DigitalSignature.into());
        flags.0 ^= KeyUsages::DigitalSignature; // the library has no empty set to start from
        for usage in &self.key_usage {
            let possible = match usage {
                Usage::KeyEncipherment | Usage::DataEncipherment => rsa,
                Usage::KeyAgreement => !rsa,
                _ => true,
            };
            if possible {
                flags.0 |= usage.flag();
            }
        }
        (!flags.0.is_empty()).then_some(flags)
    }
}

/// One key usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names of RFC 5280 4.2.1.3
pub enum Usage {
    DigitalSignature,
    NonRepudiation,
    KeyEncipherment,
    DataEncipherment,
    KeyAgreement,
    KeyCertSign,
    CrlSign,
}

impl Usage {
    fn flag(self) -> KeyUsages {
        match self {
            Self::DigitalSignature => KeyUsages::DigitalSignature,
            Self::NonRepudiation => KeyUsages::NonRepudiation,
            Self::KeyEncipherment => KeyUsages::KeyEncipherment,
            Self::DataEncipherment => KeyUsages::DataEncipherment,
            Self::KeyAgreement => KeyUsages::KeyAgreement,
            Self::KeyCertSign => KeyUsages::KeyCertSign,
            Self::CrlSign => KeyUsages::CRLSign,
        }
    }
}

/// An extended key usage: one of the names below, or any object identifier in dotted form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedUsage(pub ObjectIdentifier);

impl ExtendedUsage {
    /// TLS server (RFC 5280 4.2.1.12).
    pub const SERVER_AUTH: Self = Self(rfc5280::ID_KP_SERVER_AUTH);
    /// TLS client.
    pub const CLIENT_AUTH: Self = Self(rfc5280::ID_KP_CLIENT_AUTH);
    /// Signed code.
    pub const CODE_SIGNING: Self = Self(rfc5280::ID_KP_CODE_SIGNING);
    /// S/MIME.
    pub const EMAIL_PROTECTION: Self = Self(rfc5280::ID_KP_EMAIL_PROTECTION);
    /// Time stamps.
    pub const TIME_STAMPING: Self = Self(rfc5280::ID_KP_TIME_STAMPING);
    /// Anything.
    pub const ANY: Self = Self(rfc5280::ANY_EXTENDED_KEY_USAGE);
    /// OCSP responses.
    pub const OCSP_SIGNING: Self = Self(rfc5280::ID_KP_OCSP_SIGNING);

    const NAMES: [(&str, Self); 6] = [
        ("server_auth", Self::SERVER_AUTH),
        ("client_auth", Self::CLIENT_AUTH),
        ("code_signing", Self::CODE_SIGNING),
        ("email_protection", Self::EMAIL_PROTECTION),
        ("time_stamping", Self::TIME_STAMPING),
        ("ocsp_signing", Self::OCSP_SIGNING),
    ];
}

impl Serialize for ExtendedUsage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match Self::NAMES.iter().find(|(_, usage)| usage == self) {
            Some((name, _)) => serializer.serialize_str(name),
            None => serializer.collect_str(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for ExtendedUsage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Some((_, usage)) = Self::NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(*usage);
        }
        ObjectIdentifier::new(&text).map(Self).map_err(|_| {
            let names = Self::NAMES.map(|(name, _)| name).join(", ");
            D::Error::custom(format!("{text:?} is neither an object identifier nor one of {names}"))
        })
    }
}

/// What a common name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CommonName {
    /// Any text: the name of a person, a device, a CA.
    Any,
    /// A host name that stands among the subject alternative names.
    Host,
}

/// A kind of subject alternative name (RFC 5280 4.2.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SanKind {
    /// `dNSName`.
    Dns,
    /// `iPAddress`.
    Ip,
    /// `rfc822Name`.
    Email,
    /// `uniformResourceIdentifier`.
    Uri,
    /// `otherName` with a Windows user principal name (1.3.6.1.4.1.311.20.2.3).
    Upn,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_profiles_are_sound() {
        for (name, profile) in built_in() {
            profile.check().unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    #[test]
    fn usages_follow_the_key() {
        let email = &built_in()["email"];
        let rsa = email.key_usage_for(true).unwrap();
        assert!(rsa.key_encipherment() && !rsa.key_agreement() && rsa.digital_signature());
        let curve = email.key_usage_for(false).unwrap();
        assert!(!curve.key_encipherment() && curve.key_agreement());
        let only = Profile { key_usage: vec![Usage::KeyEncipherment], ..email.clone() };
        assert!(only.key_usage_for(false).is_none());
        assert!(only.key_usage_for(true).unwrap().key_encipherment());
        assert!(!only.key_usage_for(true).unwrap().digital_signature());
    }
}
