//! Names of accounts and services.

use std::fmt;

use crate::der::{Malformed, Reader, Writer, text};

/// Most components of a name. Real names have one or two.
const MAX_COMPONENTS: usize = 16;

/// What a name is meant to be (RFC 4120 6.2, RFC 6806 5). It is a hint: names that differ only in it are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NameType(pub i32);

impl NameType {
    /// A user, or any account.
    pub const PRINCIPAL: Self = Self(1);
    /// A service and its instance, such as the KDC's `krbtgt/REALM` and `HOST/ca1.example`.
    pub const SERVICE_INSTANCE: Self = Self(2);
    /// A name with an `@` in its one component, such as a user principal name of Windows.
    pub const ENTERPRISE: Self = Self(10);
}

/// An account or a service with its realm, such as `alice@EXAMPLE.TEST` or `HOST/ca1.example.test@EXAMPLE.TEST`. It has
/// between 1 and 16 components.
#[derive(Clone)]
pub struct Principal {
    name_type: NameType,
    // No spare capacity: names stand in many errors.
    components: Box<[String]>,
    realm: Box<str>,
}

impl Principal {
    /// A name of these components; `None` if there are none, or more than 16.
    pub fn new<Name: Into<String>>(
        name_type: NameType,
        components: impl IntoIterator<Item = Name>,
        realm: impl Into<String>,
    ) -> Option<Self> {
        let components: Vec<_> = components.into_iter().take(MAX_COMPONENTS + 1).map(Into::into).collect();
        let fits = (1..=MAX_COMPONENTS).contains(&components.len());
        fits.then(|| Self { name_type, components: components.into(), realm: realm.into().into() })
    }

    /// An account of one component.
    #[must_use]
    pub fn account(name: &str, realm: &str) -> Self {
        Self::of(NameType::PRINCIPAL, &[name], realm)
    }

    /// A user principal name, such as `alice@corp.example`, whose realm only a KDC knows; `realm` is the one to ask.
    #[must_use]
    pub fn enterprise(name: &str, realm: &str) -> Self {
        Self::of(NameType::ENTERPRISE, &[name], realm)
    }

    /// The service of this class on this host, such as `HOST` and `ca1.example`.
    #[must_use]
    pub fn service(class: &str, host: &str, realm: &str) -> Self {
        Self::of(NameType::SERVICE_INSTANCE, &[class, host], realm)
    }

    /// A name of one component or two.
    fn of(name_type: NameType, components: &[&str], realm: &str) -> Self {
        let components = components.iter().map(|component| (*component).to_owned()).collect();
        Self { name_type, components, realm: realm.into() }
    }

    /// The service that gives tickets for `realm`, as the KDC of `issuer` knows it. Both are the same but for referrals.
    #[must_use]
    pub fn ticket_granting(realm: &str, issuer: &str) -> Self {
        Self::service("krbtgt", realm, issuer)
    }

    /// The same name in another realm.
    #[must_use]
    pub fn in_realm(&self, realm: &str) -> Self {
        Self { realm: realm.into(), ..self.clone() }
    }

    /// What the name is meant to be.
    #[must_use]
    pub const fn name_type(&self) -> NameType {
        self.name_type
    }

    /// The parts of the name.
    #[must_use]
    pub fn components(&self) -> &[String] {
        &self.components
    }

    /// The realm.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The name without its realm, its parts separated by slashes.
    #[must_use]
    pub fn name(&self) -> String {
        self.components.join("/")
    }

    /// The realm whose tickets this service gives: of `krbtgt/REALM` the second part.
    #[must_use]
    pub fn granted_realm(&self) -> Option<&str> {
        match &*self.components {
            [service, realm] if service == "krbtgt" => Some(realm),
            _ => None,
        }
    }

    /// Whether the names are the same but for their case and their realms: how the names of services compare on Windows.
    #[must_use]
    pub fn is_named_like(&self, other: &Self) -> bool {
        self.components.len() == other.components.len()
            && self.components.iter().zip(&other.components).all(|(one, two)| one.eq_ignore_ascii_case(two))
    }

    /// Writes PrincipalName, which has no realm.
    pub(crate) fn write_name(&self, writer: &mut Writer) {
        writer.sequence(|writer| {
            writer.integer(0, self.name_type.0).elements(1, |writer| {
                for component in &self.components {
                    writer.bare_text(component);
                }
            });
        });
    }

    /// Reads PrincipalName.
    pub(crate) fn read_name(bytes: &[u8], realm: &str, what: &'static str) -> Result<Self, Malformed> {
        let mut reader = Reader::sequence(bytes, what)?;
        let name_type = NameType(reader.int32(0)?);
        let mut names = reader.elements(1)?;
        let mut components = Vec::new();
        while !names.is_empty() && components.len() <= MAX_COMPONENTS {
            let (_, _, whole) = names.any()?;
            components.push(text(whole, what)?);
        }
        Self::new(name_type, components, realm).ok_or(reader.malformed())
    }

    /// Writes `[realm_field] Realm` and the name in the field behind it, as messages have them.
    pub(crate) fn write_fields(&self, writer: &mut Writer, realm_field: u8) {
        writer.text(realm_field, &self.realm).field(realm_field + 1, |writer| self.write_name(writer));
    }

    /// Reads `[realm_field] Realm` and the name in the field behind it.
    pub(crate) fn read_fields(reader: &mut Reader<'_>, realm_field: u8) -> Result<Self, Malformed> {
        let realm = reader.text(realm_field)?;
        let name = reader.field(realm_field + 1)?;
        Self::read_name(name, realm, reader.malformed().what)
    }
}

impl PartialEq for Principal {
    fn eq(&self, other: &Self) -> bool {
        self.components == other.components && self.realm == other.realm
    }
}

impl Eq for Principal {}

impl fmt::Display for Principal {
    /// `name@REALM`; control characters are escaped so that a name cannot forge log lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name().escape_debug(), self.realm.escape_debug())
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Principal({self}, type {})", self.name_type.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_without_their_type_and_print_escaped() {
        let alice = Principal::account("alice", "TOY.TEST");
        assert_eq!(alice, Principal::enterprise("alice", "TOY.TEST"));
        assert_ne!(alice, Principal::account("alice", "OTHER.TEST"));
        assert_ne!(alice, Principal::account("Alice", "TOY.TEST"));
        assert_eq!(Principal::account("a\nb", "R").to_string(), "a\\nb@R");
        let service = Principal::service("HOST", "CA1.toy.test", "TOY.TEST");
        assert!(service.is_named_like(&Principal::service("host", "ca1.TOY.test", "")));
        assert!(!service.is_named_like(&Principal::account("HOST/CA1.toy.test", "TOY.TEST")));
    }

    #[test]
    fn a_name_has_components_but_not_too_many() {
        for (count, fits) in [(0, false), (1, true), (16, true), (17, false), (1000, false)] {
            let made = Principal::new(NameType::PRINCIPAL, vec!["a"; count], "R");
            assert_eq!(made.is_some(), fits, "{count}");
            let mut writer = Writer::new();
            Principal {
                name_type: NameType::PRINCIPAL,
                components: vec!["a".to_owned(); count].into(),
                realm: "".into(),
            }
            .write_name(&mut writer);
            assert_eq!(Principal::read_name(&writer.into_bytes(), "R", "name").is_ok(), fits, "{count}");
        }
    }
}
