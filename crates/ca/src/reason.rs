//! Why a certificate is revoked.

use std::fmt;

use serde::{Serialize, Serializer};
use x509_cert::ext::pkix::CrlReason;

/// Why a certificate is revoked (RFC 5280 5.3.1): the column `RevokedReason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reason(i32);

impl Reason {
    /// No reason given; the CRL then carries none.
    pub const UNSPECIFIED: Self = Self(0);
    /// The private key is, or may be, in other hands.
    pub const KEY_COMPROMISE: Self = Self(1);
    /// The same for the key of a CA.
    pub const CA_COMPROMISE: Self = Self(2);
    /// The name or another part of the subject has changed.
    pub const AFFILIATION_CHANGED: Self = Self(3);
    /// Replaced by another certificate.
    pub const SUPERSEDED: Self = Self(4);
    /// No longer needed.
    pub const CESSATION_OF_OPERATION: Self = Self(5);
    /// Suspended; the only revocation that can be taken back.
    pub const CERTIFICATE_HOLD: Self = Self(6);
    /// Takes a hold back.
    pub const REMOVE_FROM_CRL: Self = Self(8);
    /// What a row keeps as its reason after its hold was taken back; the row may still say "revoked" (recovery.md 4).
    pub const RELEASED: Self = Self(-1);
    /// A privilege that the certificate states has been withdrawn.
    pub const PRIVILEGE_WITHDRAWN: Self = Self(9);
    /// The key of an attribute authority is in other hands.
    pub const AA_COMPROMISE: Self = Self(10);

    const NAMES: [(Self, &str); 10] = [
        (Self::UNSPECIFIED, "unspecified"),
        (Self::KEY_COMPROMISE, "keyCompromise"),
        (Self::CA_COMPROMISE, "cACompromise"),
        (Self::AFFILIATION_CHANGED, "affiliationChanged"),
        (Self::SUPERSEDED, "superseded"),
        (Self::CESSATION_OF_OPERATION, "cessationOfOperation"),
        (Self::CERTIFICATE_HOLD, "certificateHold"),
        (Self::REMOVE_FROM_CRL, "removeFromCRL"),
        (Self::PRIVILEGE_WITHDRAWN, "privilegeWithdrawn"),
        (Self::AA_COMPROMISE, "aACompromise"),
    ];

    /// The reason with this number, as a database has it; any number is kept.
    pub fn from_code(code: i32) -> Self {
        Self(code)
    }

    /// The number.
    pub fn code(self) -> i32 {
        self.0
    }

    /// Whether a row with this reason that says "revoked" is so: the hold was not taken back.
    pub fn is_in_effect(self) -> bool {
        self != Self::RELEASED
    }

    /// Whether RFC 5280 5.3.1 has it.
    pub fn is_named(self) -> bool {
        self.name().is_some()
    }

    /// The names that `Reason::from_str` reads, in the order of their numbers.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().map(|(_, name)| *name)
    }

    /// The reason that this text names: by its name in RFC 5280, in any case, or by its number.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let named =
            |(reason, name): &&(Self, &str)| name.eq_ignore_ascii_case(text) || reason.0.to_string() == text;
        Self::NAMES.iter().find(named).map(|(reason, _)| *reason)
    }

    fn name(self) -> Option<&'static str> {
        let known = Self::NAMES.iter().find(|(reason, _)| *reason == self);
        known.map(|(_, name)| *name)
    }

    /// What the entry of a CRL says; nothing for `unspecified` (RFC 5280 5.3.1) and for numbers
    /// that are none of its.
    pub(crate) fn to_x509(self) -> Option<CrlReason> {
        Some(match self {
            Self::KEY_COMPROMISE => CrlReason::KeyCompromise,
            Self::CA_COMPROMISE => CrlReason::CaCompromise,
            Self::AFFILIATION_CHANGED => CrlReason::AffiliationChanged,
            Self::SUPERSEDED => CrlReason::Superseded,
            Self::CESSATION_OF_OPERATION => CrlReason::CessationOfOperation,
            Self::CERTIFICATE_HOLD => CrlReason::CertificateHold,
            Self::PRIVILEGE_WITHDRAWN => CrlReason::PrivilegeWithdrawn,
            Self::AA_COMPROMISE => CrlReason::AaCompromise,
            _ => return None,
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => out.write_str(name),
            None => write!(out, "reason {}", self.0),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_names_and_numbers() {
        for (reason, name) in Reason::NAMES {
            for text in [name.to_owned(), name.to_uppercase(), reason.code().to_string()] {
                assert_eq!(Reason::read(&text), Some(reason), "{text}");
            }
            assert_eq!(reason.to_string(), name);
        }
        for text in ["", "7", "11", "-1", "key compromise"] {
            assert_eq!(Reason::read(text), None, "{text}");
        }
        assert_eq!(Reason::from_code(7).to_string(), "reason 7");
    }
}
