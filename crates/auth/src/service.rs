//! A server's logons: the acceptors that it hands out.

use std::fmt;
use std::sync::Arc;

use certadm_rules::AuthType;

use crate::accounts::{AccountStore, Environment};
use crate::context::Acceptor;
use crate::error::AuthError;
use crate::ntlm::acceptor::RawNtlmAcceptor;
use crate::protection::Level;
use crate::server::{Server, ServerNames};
use crate::spnego::acceptor::SpnegoAcceptor;

/// Hands out the acceptors of a server. Cheap to clone.
#[derive(Clone)]
pub struct Service(Server);

impl Service {
    /// A server with these names, accounts, clock and random source.
    pub fn new(
        names: ServerNames,
        accounts: Arc<dyn AccountStore>,
        environment: Arc<dyn Environment>,
    ) -> Self {
        Self(Server { names: Arc::new(names), accounts, environment, mic_required: false })
    }

    /// Refuses clients that do not protect the exchange with a MIC. Windows clients always do; impacket does not. A MIC that
    /// a client announces is checked in any case.
    #[must_use]
    pub fn require_mic(mut self) -> Self {
        self.0.mic_required = true;
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
            AuthType::NTLM => Ok(Box::new(RawNtlmAcceptor::new(self.0.clone(), level))),
            AuthType::SPNEGO => Ok(Box::new(SpnegoAcceptor::new(self.0.clone(), level))),
            _ => Err(AuthError::NoCommonMechanism { ours: "NTLM and SPNEGO" }),
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("names", &self.0.names)
            .field("mic_required", &self.0.mic_required)
            .finish_non_exhaustive()
    }
}
