//! The server that acceptors stand for: who it says it is, whom it knows, its clock and its random source.

use std::sync::Arc;

use crate::accounts::{AccountStore, Environment, Tickets};
use crate::error::AuthError;

/// The names that a server gives of itself in a challenge (AV ids 1 to 4, wire.md 2.12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerNames {
    pub(crate) netbios_computer: String,
    pub(crate) netbios_domain: String,
    pub(crate) dns_computer: Option<String>,
}

impl ServerNames {
    /// Longest NetBIOS name, in characters.
    const LONGEST_NETBIOS: usize = 15;
    /// Longest DNS name, in characters.
    const LONGEST_DNS: usize = 253;

    /// Names of a server: NetBIOS name of the computer, NetBIOS name of its domain (a server outside any domain repeats its
    /// own), and its DNS name if it has one.
    ///
    /// # Errors
    /// [`AuthError::InvalidInput`] if a NetBIOS name is empty or longer than 15 characters, or the DNS name is empty or
    /// longer than 253.
    pub fn new(
        netbios_computer: &str,
        netbios_domain: &str,
        dns_computer: Option<&str>,
    ) -> Result<Self, AuthError> {
        for (what, name) in
            [("NetBIOS computer name", netbios_computer), ("NetBIOS domain name", netbios_domain)]
        {
            if name.is_empty() || Self::LONGEST_NETBIOS < name.chars().count() {
                return Err(AuthError::InvalidInput { what, remedy: "give 1 to 15 characters" });
            }
        }
        if dns_computer.is_some_and(|name| name.is_empty() || Self::LONGEST_DNS < name.chars().count()) {
            return Err(AuthError::InvalidInput {
                what: "DNS computer name",
                remedy: "give 1 to 253 characters",
            });
        }
        Ok(Self {
            netbios_computer: netbios_computer.to_owned(),
            netbios_domain: netbios_domain.to_owned(),
            dns_computer: dns_computer.map(str::to_owned),
        })
    }

    /// Names made from a host name: the first label, in capitals and cut to 15 characters, as computer and domain, and the
    /// host name itself as DNS name.
    ///
    /// # Errors
    /// [`AuthError::InvalidInput`] as for [`new`](Self::new).
    pub fn from_host(host: &str) -> Result<Self, AuthError> {
        let netbios: String = host
            .split('.')
            .next()
            .unwrap_or_default()
            .to_uppercase()
            .chars()
            .take(Self::LONGEST_NETBIOS)
            .collect();
        Self::new(&netbios, &netbios, Some(host))
    }
}

/// What all acceptors of a server share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) names: Arc<ServerNames>,
    pub(crate) accounts: Arc<dyn AccountStore>,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) mic_required: bool,
    /// The keys by which tickets are accepted, where there are any.
    pub(crate) tickets: Option<Arc<dyn Tickets>>,
    pub(crate) has_ntlm: bool,
    /// Whether a client with a ticket must ask for the protection of the level.
    pub(crate) wants_protection: bool,
}

impl Server {
    /// That a client offers nothing that is spoken here.
    pub(crate) fn no_common_mechanism(&self) -> AuthError {
        let ours = match (self.tickets.is_some(), self.has_ntlm) {
            (true, true) => "Kerberos and NTLM",
            (true, false) => "Kerberos, and not NTLM",
            (false, _) => "NTLM",
        };
        AuthError::NoCommonMechanism { ours }
    }
}
