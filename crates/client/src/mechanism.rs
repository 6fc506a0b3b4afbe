//! Ways to authenticate, by the names that they have in client.toml.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// How to authenticate (wire.md 2.10, kerberos.md 7).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mechanism {
    /// Kerberos where the server has a name and a KDC knows account and server; else NTLM the way Windows sends it where it is
    /// the only choice, under provider 9. Which of them it was is told.
    #[default]
    Negotiate,
    /// Kerberos and nothing else, under its own provider, 16.
    Kerberos,
    /// NTLM inside SPNEGO, provider 9.
    Spnego,
    /// NTLM under its own provider, 10.
    Ntlm,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Negotiate, Self::Kerberos, Self::Spnego, Self::Ntlm];

    /// Its name in client.toml.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Negotiate => "negotiate",
            Self::Kerberos => "kerberos",
            Self::Spnego => "spnego",
            Self::Ntlm => "ntlm",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a mechanism is negotiate, kerberos, spnego or ntlm")]
pub struct NoMechanism;

impl FromStr for Mechanism {
    type Err = NoMechanism;

    fn from_str(text: &str) -> Result<Self, NoMechanism> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == text).ok_or(NoMechanism)
    }
}
