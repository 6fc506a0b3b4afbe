//! Attributes of a subject: their types, and what holds for each whatever the profile.

use const_oid::ObjectIdentifier;
use const_oid::db::{rfc3280, rfc4519};
use der::asn1::Any;
use der::{Tag, Tagged};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use certadm_rules::printable::is_hidden;

use crate::name::text_of;

/// A type of attribute in a subject: one of the names below, or any object identifier in dotted form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubjectAttribute(pub ObjectIdentifier);

impl SubjectAttribute {
    /// `CN`.
    pub const COMMON_NAME: Self = Self(rfc4519::CN);
    /// `O`.
    pub const ORGANIZATION: Self = Self(rfc4519::O);
    /// `OU`.
    pub const ORGANIZATIONAL_UNIT: Self = Self(rfc4519::OU);
    /// `C`.
    pub const COUNTRY: Self = Self(rfc4519::C);
    /// `ST`.
    pub const STATE: Self = Self(rfc4519::ST);
    /// `L`.
    pub const LOCALITY: Self = Self(rfc4519::L);
    /// `DC`.
    pub const DOMAIN_COMPONENT: Self = Self(rfc4519::DC);
    /// `UID`.
    pub const USER_ID: Self = Self(rfc4519::UID);
    /// `GN`.
    pub const GIVEN_NAME: Self = Self(rfc4519::GIVEN_NAME);
    /// `SN`: the surname.
    pub const SURNAME: Self = Self(rfc4519::SN);
    /// `serialNumber`: of a person or device, not of a certificate.
    pub const SERIAL_NUMBER: Self = Self(rfc4519::SERIAL_NUMBER);
    /// `emailAddress`.
    pub const EMAIL_ADDRESS: Self = Self(rfc3280::EMAIL_ADDRESS);

    /// The types that have names.
    pub fn named() -> impl Iterator<Item = Self> {
        RULES.iter().map(|rule| Self(rule.oid))
    }

    /// How often it may stand in a subject.
    pub(crate) fn most(self) -> usize {
        self.rule().most
    }

    /// The text of an attribute of this type, within the bounds of the type.
    ///
    /// # Errors
    /// What is wrong, as a sentence.
    pub(crate) fn text(self, value: &Any) -> Result<String, String> {
        let Rule { longest, strings, .. } = self.rule();
        let text = text_of(value).filter(|_| strings.allow(value.tag()));
        let text = text.ok_or_else(|| format!("it is not a well-formed {}", strings.names()))?;
        if text.trim().is_empty() {
            return Err("it is empty".into());
        }
        if text.chars().any(is_hidden) {
            return Err("it contains a control character, or one that cannot be seen".into());
        }
        let is_country = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
        if strings == Strings::Country && !is_country {
            return Err("it is not a country code of two letters".into());
        }
        if longest < text.chars().count() {
            return Err(format!("it is longer than {longest} characters"));
        }
        Ok(text)
    }

    fn rule(self) -> Rule {
        let known = RULES.iter().find(|rule| rule.oid == self.0);
        known.copied().unwrap_or(Rule { name: "", oid: self.0, most: 1, longest: 256, strings: Strings::Any })
    }
}

/// What holds for a type of attribute whatever the profile: X.520's upper bounds in characters (RFC 5280 appendix A), how
/// often it may stand in a name, and how it is written.
#[derive(Clone, Copy)]
struct Rule {
    name: &'static str,
    oid: ObjectIdentifier,
    most: usize,
    longest: usize,
    strings: Strings,
}

const fn rule(
    name: &'static str,
    oid: ObjectIdentifier,
    most: usize,
    longest: usize,
    strings: Strings,
) -> Rule {
    Rule { name, oid, most, longest, strings }
}

const RULES: [Rule; 21] = [
    rule("CN", rfc4519::CN, 1, 64, Strings::Directory),
    rule("O", rfc4519::O, 1, 64, Strings::Directory),
    rule("OU", rfc4519::OU, 8, 64, Strings::Directory),
    rule("C", rfc4519::C, 1, 2, Strings::Country),
    rule("ST", rfc4519::ST, 1, 128, Strings::Directory),
    rule("L", rfc4519::L, 1, 128, Strings::Directory),
    rule("STREET", rfc4519::STREET, 4, 128, Strings::Directory),
    rule("postalCode", rfc4519::POSTAL_CODE, 1, 40, Strings::Directory),
    rule("DC", rfc4519::DC, 16, 63, Strings::Ia5),
    rule("UID", rfc4519::UID, 1, 256, Strings::Directory),
    rule("GN", rfc4519::GIVEN_NAME, 1, 64, Strings::Directory),
    rule("SN", rfc4519::SN, 1, 64, Strings::Directory),
    rule("initials", rfc4519::INITIALS, 1, 64, Strings::Directory),
    rule("title", rfc4519::TITLE, 1, 64, Strings::Directory),
    rule("pseudonym", ObjectIdentifier::new_unwrap("2.5.4.65"), 1, 128, Strings::Directory),
    rule("serialNumber", rfc4519::SERIAL_NUMBER, 1, 64, Strings::Printable),
    rule("dnQualifier", rfc4519::DN_QUALIFIER, 1, 64, Strings::Printable),
    rule("emailAddress", rfc3280::EMAIL_ADDRESS, 1, 255, Strings::Ia5),
    rule("unstructuredName", ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.2"), 1, 255, Strings::Any),
    rule("unstructuredAddress", ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.8"), 1, 255, Strings::Any),
    rule("organizationIdentifier", ObjectIdentifier::new_unwrap("2.5.4.97"), 1, 256, Strings::Directory),
];

/// Types of string that an attribute is written in. TeletexString is in none: its octets mean one text to one reader and
/// another to the next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strings {
    /// DirectoryString as new names have it (RFC 5280 4.1.2.6), and BMPString, which Windows writes.
    Directory,
    Printable,
    Ia5,
    /// Two letters of ISO 3166.
    Country,
    Any,
}

impl Strings {
    fn allow(self, tag: Tag) -> bool {
        let directory = matches!(tag, Tag::Utf8String | Tag::PrintableString | Tag::BmpString);
        match self {
            Self::Directory => directory,
            Self::Printable | Self::Country => tag == Tag::PrintableString,
            Self::Ia5 => tag == Tag::Ia5String,
            Self::Any => directory || tag == Tag::Ia5String,
        }
    }

    const fn names(self) -> &'static str {
        match self {
            Self::Directory => "UTF8String or PrintableString",
            Self::Printable | Self::Country => "PrintableString",
            Self::Ia5 => "IA5String",
            Self::Any => "UTF8String, PrintableString or IA5String",
        }
    }
}

impl std::fmt::Display for SubjectAttribute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.rule().name {
            "" => self.0.fmt(f),
            name => f.write_str(name),
        }
    }
}

impl Serialize for SubjectAttribute {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SubjectAttribute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Some(rule) = RULES.iter().find(|rule| rule.name.eq_ignore_ascii_case(&text)) {
            return Ok(Self(rule.oid));
        }
        ObjectIdentifier::new(&text).map(Self).map_err(|_| {
            let names = RULES.map(|rule| rule.name).join(", ");
            D::Error::custom(format!("{text:?} is neither an object identifier nor one of {names}"))
        })
    }
}
