//! A server's logons: the acceptors that it hands out.

use std::fmt;
use std::sync::Arc;

use certadm_rules::AuthType;

use crate::accounts::{AccountStore, Environment, Tickets};
use crate::context::Acceptor;
use crate::error::AuthError;
use crate::kerberos::acceptor::{KerberosServer, RawKerberosAcceptor};
use crate::ntlm::acceptor::RawNtlmAcceptor;
use crate::protection::Level;
use crate::server::{Server, ServerNames};
use crate::spnego::acceptor::SpnegoAcceptor;

/// Hands out the acceptors of a server. Cheap to clone.
#[derive(Clone)]
pub struct Service(Server);

impl Service {
    /// A server with these names, accounts, clock and random source. It speaks NTLM, raw and in SPNEGO.
    pub fn new(
        names: ServerNames,
        accounts: Arc<dyn AccountStore>,
        environment: Arc<dyn Environment>,
    ) -> Self {
        let names = Arc::new(names);
        Self(Server {
            names,
            accounts,
            environment,
            mic_required: false,
            tickets: None,
            has_ntlm: true,
            wants_protection: true,
        })
    }

    /// Refuses clients that do not protect the exchange with a MIC. Windows clients always do; impacket does not. A MIC that
    /// a client announces is checked in any case.
    #[must_use]
    pub fn require_mic(mut self) -> Self {
        self.0.mic_required = true;
        self
    }

    /// Accepts tickets of Kerberos as well, raw and in SPNEGO.
    #[must_use]
    pub fn with_tickets(mut self, tickets: Arc<dyn Tickets>) -> Self {
        self.0.tickets = Some(tickets);
        self
    }

    /// Speaks NTLM no more: only tickets are accepted.
    #[must_use]
    pub fn without_ntlm(mut self) -> Self {
        self.0.has_ntlm = false;
        self
    }

    /// An acceptor for one security context, for the auth_type and level of the bind's trailer (wire.md 2.8, 2.10).
    ///
    /// At [`Level::Privacy`] the client must negotiate sealing. Contexts are independent: one connection may have several.
    ///
    /// # Errors
    /// [`AuthError::NoCommonMechanism`] for an `auth_type` that this server does not speak.
    pub fn acceptor(&self, auth_type: AuthType, level: Level) -> Result<Box<dyn Acceptor>, AuthError> {
        match auth_type {
            AuthType::NTLM if self.0.has_ntlm => Ok(Box::new(RawNtlmAcceptor::new(self.0.clone(), level))),
            AuthType::SPNEGO => Ok(Box::new(SpnegoAcceptor::new(self.0.clone(), level))),
            AuthType::KERBEROS => match KerberosServer::of(&self.0, level) {
                Some(server) => Ok(Box::new(RawKerberosAcceptor::new(server))),
                None => Err(self.0.no_common_mechanism()),
            },
            _ => Err(self.0.no_common_mechanism()),
        }
    }

    /// An acceptor for a security context below packet integrity, whose calls are refused whoever the client is (wire.md 5.1). A
    /// client with a ticket need not ask for protection there; what NTLM asks of a client stays.
    ///
    /// # Errors
    /// As [`acceptor`](Self::acceptor).
    pub fn acceptor_below_integrity(&self, auth_type: AuthType) -> Result<Box<dyn Acceptor>, AuthError> {
        let server = Server { wants_protection: false, ..self.0.clone() };
        Self(server).acceptor(auth_type, Level::Integrity)
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("names", &self.0.names)
            .field("mic_required", &self.0.mic_required)
            .field("tickets", &self.0.tickets.is_some())
            .field("ntlm", &self.0.has_ntlm)
            .finish_non_exhaustive()
    }
}
