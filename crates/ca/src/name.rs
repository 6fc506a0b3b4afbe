//! Names: of the CA, of subjects, and the columns they are taken apart into.

use std::fmt;
use std::str::FromStr;

use certadm_rules::names;
use const_oid::ObjectIdentifier;
use const_oid::db::{rfc3280, rfc4519};
use der::asn1::{Any, BmpString, Ia5StringRef, PrintableStringRef, Utf8StringRef};
use der::{Decode, Tagged};
use serde::{Deserialize, Serialize};
use x509_cert::name::Name;

use crate::error::{Error, Result};

/// The common name of a CA: 1 to 64 characters (X.520 `ub-common-name`), none of them a control
/// character, no space at either end, and short enough for a file name once sanitized.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CaName(String);

/// File systems end at 255; beside a file there may be others with longer endings.
const MAX_FILE_NAME: usize = 240;

impl CaName {
    /// The name as people read it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The sanitized name (wire.md 5.1), which files are named by.
    pub fn sanitized(&self) -> String {
        names::sanitize(&self.0)
    }

    /// The distinguished name of the CA: its common name and, behind it, `suffix` in the form of
    /// RFC 4514 (such as `O=Example,C=DE`).
    ///
    /// # Errors
    /// [`Error::BadSetting`] when `suffix` cannot be read.
    pub(crate) fn distinguished_name(&self, suffix: Option<&str>) -> Result<Name> {
        let common_name = format!("CN={}", escaped(&self.0));
        let text = match suffix {
            Some(suffix) => format!("{common_name},{suffix}"),
            None => common_name,
        };
        Name::from_str(&text).map_err(|error| Error::BadSetting {
            setting: "subject suffix",
            value: suffix.unwrap_or_default().into(),
            reason: format!("it is not a distinguished name such as O=Example,C=DE ({error})"),
        })
    }
}

impl FromStr for CaName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |reason| Err(Error::BadCaName { name: text.into(), reason });
        if text.is_empty() {
            return refuse("it is empty");
        }
        if 64 < text.chars().count() {
            return refuse("it has more than 64 characters");
        }
        if text.chars().any(char::is_control) {
            return refuse("it contains a control character");
        }
        if text.starts_with('.') {
            return refuse("it begins with a dot, which would hide its files");
        }
        if text.trim() != text {
            return refuse("it begins or ends with a space");
        }
        let file_name = format!("{}.crl", names::sanitize(text));
        if MAX_FILE_NAME < file_name.len() {
            return refuse("it has too many special characters for a file name");
        }
        if !names::is_safe_component(&file_name) {
            return refuse("it is the name of a device on Windows");
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for CaName {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<CaName> for String {
    fn from(name: CaName) -> Self {
        name.0
    }
}

impl fmt::Display for CaName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The parts of a distinguished name that the Windows CA keeps in columns of their own
/// (spec/ese.md section 12). A part that occurs several times is joined with LF.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NameParts {
    values: [Option<String>; COLUMNS.len()],
}

/// Column and attribute type, in the order of the schema.
pub(crate) const COLUMNS: [(&str, ObjectIdentifier); 16] = [
    ("Country", rfc4519::C),
    ("Organization", rfc4519::O),
    ("OrganizationalUnit", rfc4519::OU),
    ("CommonName", rfc4519::CN),
    ("Locality", rfc4519::L),
    ("StateOrProvince", rfc4519::ST),
    ("Title", rfc4519::TITLE),
    ("GivenName", rfc4519::GIVEN_NAME),
    ("Initials", rfc4519::INITIALS),
    ("SurName", rfc4519::SN),
    ("DomainComponent", rfc4519::DC),
    ("EMail", rfc3280::EMAIL_ADDRESS),
    ("StreetAddress", rfc4519::STREET),
    ("UnstructuredName", ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.2")),
    ("UnstructuredAddress", ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.8")),
    ("DeviceSerialNumber", rfc4519::SERIAL_NUMBER),
];

impl NameParts {
    pub(crate) fn of(name: &Name) -> Self {
        let mut parts = Self::default();
        for attribute in name.iter() {
            let column = COLUMNS.iter().position(|(_, oid)| *oid == attribute.oid);
            if let (Some(column), Some(text)) = (column, text_of(&attribute.value)) {
                match &mut parts.values[column] {
                    Some(present) => {
                        present.push('\n');
                        present.push_str(&text);
                    }
                    empty => *empty = Some(text),
                }
            }
        }
        parts
    }

    /// The values in the order of [`COLUMNS`].
    pub(crate) fn values(&self) -> &[Option<String>] {
        &self.values
    }
}

/// The last common name of a distinguished name in DER, where it has one.
///
/// # Errors
/// When `name` is none.
pub fn common_name_of(name: &[u8]) -> der::Result<Option<String>> {
    let name = Name::from_der(name)?;
    Ok(name.iter().filter(|part| part.oid == rfc4519::CN).filter_map(|part| text_of(&part.value)).last())
}

/// The text of a directory string of any of its types; `None` for anything else.
pub(crate) fn text_of(value: &Any) -> Option<String> {
    use der::Tag;
    match value.tag() {
        Tag::Utf8String => Utf8StringRef::try_from(value).ok().map(|s| s.to_string()),
        // Their alphabets are parts of ASCII, and so of UTF-8.
        Tag::NumericString | Tag::VisibleString => {
            std::str::from_utf8(value.value()).ok().filter(|text| text.is_ascii()).map(str::to_owned)
        }
        Tag::PrintableString => PrintableStringRef::try_from(value).ok().map(|s| s.to_string()),
        Tag::Ia5String => Ia5StringRef::try_from(value).ok().map(|s| s.to_string()),
        // T.61 in name, Latin-1 in fact: so programs wrote it, and so others read it.
        Tag::TeletexString => Some(value.value().iter().map(|octet| char::from(*octet)).collect()),
        Tag::BmpString => value.decode_as::<BmpString>().ok().map(|s| s.to_string()),
        _ => None,
    }
}

/// Every byte that is not an ASCII letter or digit as `\XX` (RFC 4514 section 3), which is never
/// taken for syntax.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("\\{byte:02x}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_used_are_refused() {
        for text in ["", " x", "x ", "a\nb", "a\0b", "NUL", ".hidden", &"x".repeat(65), &"ä".repeat(64)] {
            assert!(text.parse::<CaName>().is_err(), "{text:?}");
        }
        assert!("ä".repeat(47).parse::<CaName>().is_ok());
        assert!("x".repeat(64).parse::<CaName>().is_ok());
    }

    #[test]
    fn special_characters_survive_in_the_distinguished_name() {
        for text in ["Plain", "a,b+c=d;e/f", "\"quoted\" \\ #", "Käse 😀 #1", "C=US/CN=x"] {
            let name: CaName = text.parse().unwrap();
            let dn = name.distinguished_name(Some("O=Example,C=DE")).unwrap();
            let parts = NameParts::of(&dn);
            assert_eq!(parts.values()[3].as_deref(), Some(text));
            assert_eq!(parts.values()[1].as_deref(), Some("Example"));
            assert_eq!(parts.values()[0].as_deref(), Some("DE"));
        }
        let name: CaName = "x".parse().unwrap();
        assert!(name.distinguished_name(Some("nonsense")).is_err());
    }

    #[test]
    fn a_name_in_t61_is_read_as_latin_1() {
        let value = Any::new(der::Tag::TeletexString, b"M\xfcller CA".as_slice()).unwrap();
        assert_eq!(text_of(&value).as_deref(), Some("M\u{fc}ller CA"));
    }

    #[test]
    fn repeated_parts_are_joined() {
        let dn = Name::from_str("CN=x,OU=inner,OU=outer,DC=example,DC=net").unwrap();
        let parts = NameParts::of(&dn);
        assert_eq!(parts.values()[2].as_deref(), Some("outer\ninner"));
        assert_eq!(parts.values()[10].as_deref(), Some("net\nexample"));
    }
}
