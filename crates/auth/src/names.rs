//! Names of accounts, which are the same in capitals and small letters.

use std::fmt;

use crate::text::simple_upper;

/// An account as the peer named it. Two names are equal when they differ only in case, as on Windows.
#[derive(Clone)]
pub struct AccountName {
    domain: String,
    user: String,
}

impl AccountName {
    /// Puts a name together; `domain` may be empty.
    #[must_use]
    pub fn new(domain: impl Into<String>, user: impl Into<String>) -> Self {
        Self { domain: domain.into(), user: user.into() }
    }

    /// The domain as sent, possibly empty.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The user as sent.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The user in the capitals that names are compared in: the same text for every spelling of one user.
    #[must_use]
    pub fn folded_user(&self) -> String {
        folded(&self.user)
    }
}

impl fmt::Display for AccountName {
    /// `DOMAIN\user`, or `user` without a domain; control characters are escaped so that a name cannot forge log lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.domain.is_empty() {
            write!(f, "{}\\", self.domain.escape_debug())?;
        }
        write!(f, "{}", self.user.escape_debug())
    }
}

impl fmt::Debug for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountName({self})")
    }
}

impl PartialEq for AccountName {
    fn eq(&self, other: &Self) -> bool {
        same_name(&self.domain, &other.domain) && same_name(&self.user, &other.user)
    }
}

impl Eq for AccountName {}

/// Whether two account or domain names differ in case only (one unit against one unit, as Windows compares).
#[must_use]
pub fn same_name(left: &str, right: &str) -> bool {
    left.chars().map(simple_upper).eq(right.chars().map(simple_upper))
}

/// A name in the capitals that names are compared in: two names are the same exactly if these are equal.
#[must_use]
pub fn folded(name: &str) -> String {
    name.chars().map(simple_upper).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ignore_case_and_escape_what_they_print() {
        assert_eq!(AccountName::new("CORP", "Jörg"), AccountName::new("corp", "JÖRG"));
        assert_ne!(AccountName::new("CORP", "a"), AccountName::new("", "a"));
        assert_eq!(AccountName::new("CORP", "Jörg").folded_user(), folded("jÖRG"));
        assert_ne!(
            AccountName::new("", "\u{131}a"),
            AccountName::new("", "IA"),
            "another letter, another account"
        );
        assert_eq!(AccountName::new("", "a\nb").to_string(), "a\\nb");
        assert_eq!(AccountName::new("CORP", "a").to_string(), "CORP\\a");
    }
}
