//! Whom to dial, and how.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use certadm_auth::AccountName;

use crate::credentials::{Credentials, password_from_file};
use crate::error::Error;
use crate::kerberos::KerberosTarget;
use crate::mechanism::Mechanism;
use crate::name::OtherEntries;
use crate::stream::addresses;

/// A server, found out: where it is, as whom to log on, how long to wait.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where its object resolver is.
    pub endpoint: Endpoint,
    /// The CA's name for calls that carry one; NULL is sent without (wire.md 6).
    pub authority: Option<String>,
    /// The account to log on with, where the configuration names one. Of no use on a socket.
    pub account: Option<AccountName>,
    /// The file that holds its password, where the configuration names one.
    pub password_file: Option<PathBuf>,
    /// The file that holds its keys, where the configuration names one.
    pub keytab: Option<PathBuf>,
    /// The file with tickets, where the configuration names one; an empty path stands for where this user's tickets are.
    pub ticket_cache: Option<PathBuf>,
    /// The mechanism to authenticate by.
    pub mechanism: Mechanism,
    /// Where Kerberos finds what it needs.
    pub kerberos: KerberosTarget,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// The entries of the configuration, where none is for this target.
    pub other_entries: OtherEntries,
}

/// Where an object resolver is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// Over TCP; the exporter is reached at the same address, on the port that the activation names.
    Tcp {
        /// Host name or address.
        host: String,
        /// Port of the resolver.
        port: u16,
    },
    /// Over the service's Unix socket, resolver and exporter alike (wire.md 5.11).
    Socket(PathBuf),
}

impl Target {
    /// The service behind a Unix socket of this machine.
    #[must_use]
    pub fn of_socket(path: PathBuf) -> Self {
        Self {
            endpoint: Endpoint::Socket(path),
            authority: None,
            account: None,
            password_file: None,
            keytab: None,
            ticket_cache: None,
            mechanism: Mechanism::default(),
            kerberos: KerberosTarget::default(),
            timeouts: Timeouts::default(),
            other_entries: OtherEntries::default(),
        }
    }

    /// That no account is known for this target.
    #[must_use]
    pub fn no_account(&self) -> Error {
        Error::NoAccount { server: self.endpoint.to_string(), entries: self.other_entries.clone() }
    }

    /// An error on the way to this target, which may have been misspelt.
    pub(crate) fn with_entries(&self, error: Error) -> Error {
        match error {
            Error::Resolve { host, source, .. } => {
                Error::Resolve { host, source, entries: self.other_entries.clone() }
            }
            error => error,
        }
    }

    /// The credentials that the configuration has for this target; none on a socket, which needs none. For callers who
    /// cannot give an account, as those of the C API (certbcli.md D27).
    ///
    /// # Errors
    /// [`Error::NoAccount`] (`E_ACCESSDENIED`) when neither account nor password file are configured,
    /// [`Error::HalfAccount`] (`E_INVALIDARG`) when one of them is missing, [`Error::Resolve`] (0x80070035) when there is no
    /// account and no such host either; those of [`password_from_file`].
    pub fn configured_credentials(&self) -> Result<Option<Credentials>, Error> {
        if let Endpoint::Socket(_) = self.endpoint {
            return Ok(None);
        }
        if let Some(path) = &self.keytab {
            return Ok(Some(Credentials::Keytab { account: self.account.clone(), path: path.clone() }));
        }
        if let Some(path) = &self.ticket_cache {
            return Ok(Some(Credentials::Cache { path: non_empty(path) }));
        }
        match (&self.account, &self.password_file) {
            (Some(account), Some(file)) => {
                let password = password_from_file(file)?;
                Ok(Some(certadm_auth::Credentials { account: account.clone(), password }.into()))
            }
            (Some(_), None) => Err(self.half("password_file")),
            (None, Some(_)) => Err(self.half("user")),
            // A name that is not there has no entry either: then the name is what is wrong.
            (None, None) => {
                Err(self.resolve().err().map_or_else(|| self.no_account(), |error| self.with_entries(error)))
            }
        }
    }

    fn half(&self, missing: &'static str) -> Error {
        Error::HalfAccount { server: self.endpoint.to_string(), missing }
    }

    /// Whether the host has an address.
    fn resolve(&self) -> Result<(), Error> {
        match &self.endpoint {
            Endpoint::Tcp { host, port } => addresses(host, *port).map(drop),
            Endpoint::Socket(_) => Ok(()),
        }
    }
}

/// A path, unless it is empty.
fn non_empty(path: &std::path::Path) -> Option<PathBuf> {
    Some(path.to_owned()).filter(|path| !path.as_os_str().is_empty())
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Socket(path) => write!(f, "{}", path.display()),
        }
    }
}

/// How long to wait for a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, to each address of the host; and for each answer of a handshake.
    pub connect: Duration,
    /// For the next bytes of an answer, and without progress for all of it: 4 KiB a second are progress. Prepare, the list of logs and truncation wait for the CA's disk.
    pub call: Duration,
    /// Between two pings of the CA's object (wire.md 4.16). A server forgets it after three of its own periods, of
    /// 120 s each, without any.
    pub ping: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            call: Duration::from_secs(600),
            ping: Duration::from_secs(120),
        }
    }
}
