//! `mail` of `[notify.NAME]`: through which server, as whom, and to whom.

use std::path::PathBuf;

/// How mail is sent, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The server's name.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Protection,
    /// A file with certificates of authorities that count in the place of the system's.
    pub ca_file: Option<PathBuf>,
    /// The account, and the file with its password.
    pub account: Option<(String, PathBuf)>,
    /// Whom mail is from.
    pub from: String,
    /// Whom it is for.
    pub to: Vec<String>,
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// It begins as it is, and goes on by TLS or not at all.
    Starttls,
    /// It is TLS from the beginning.
    Tls,
    /// Not at all: for a server of this machine.
    None,
}

impl Protection {
    /// The port that such servers have.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::Starttls => 587,
            Self::Tls => 465,
            Self::None => 25,
        }
    }
}

/// Whether these addresses can be written to.
///
/// # Errors
/// A sentence.
#[cfg(feature = "http")]
pub(super) fn check(mail: &Mail) -> Result<(), String> {
    use lettre::message::Mailbox;

    for address in mail.to.iter().chain([&mail.from]) {
        address.parse::<Mailbox>().map_err(|error| format!("{address} is no mail address: {error}"))?;
    }
    Ok(())
}

/// This build sends no mail, and cannot tell.
///
/// # Errors
/// None.
#[cfg(not(feature = "http"))]
pub(super) fn check(_mail: &Mail) -> Result<(), String> {
    Ok(())
}
