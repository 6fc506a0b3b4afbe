//! The server's handshake (kerberos.md 4.1): raw (auth_type 16), and what SPNEGO (auth_type 9) wraps.
//!
//! Who the client is stands fast with its second message, which proves that it read the answer to the first.

use std::fmt;
use std::sync::Arc;

use certadm_kerberos::{Accepted, Demand, LogonInfo, NoRandomness, Pending, Seal, Unseal};

use crate::accounts::Environment;
use crate::context::{Acceptor, Established, PeerIdentity, Step, TicketHolder};
use crate::error::AuthError;
use crate::kerberos::session::{KerberosSeal, KerberosUnseal};
use crate::names::AccountName;
use crate::protection::Level;
use crate::sealing::{Sealer, Unsealer};
use crate::server::Server;

/// A server that waits for a ticket.
pub(crate) struct KerberosServer {
    acceptor: certadm_kerberos::Acceptor,
    demand: Demand,
    environment: Arc<dyn Environment>,
}

impl KerberosServer {
    /// None where the server has no keys.
    pub(crate) fn of(server: &Server, level: Level) -> Option<Self> {
        let demand = match level {
            _ if !server.wants_protection => Demand::Nothing,
            Level::Integrity => Demand::Integrity,
            Level::Privacy => Demand::Privacy,
        };
        let acceptor = server.tickets.as_ref()?.acceptor()?;
        Some(Self { acceptor, demand, environment: Arc::clone(&server.environment) })
    }

    /// Takes AP-REQ, gives AP-REP.
    pub(crate) fn accept(&self, token: &[u8]) -> Result<(Pending, Vec<u8>), AuthError> {
        let world = Borrowed(&*self.environment);
        self.acceptor.accept(token, self.demand, &world).map_err(|error| {
            let answer = error.answer(&world);
            AuthError::Ticket { error: Box::new(error), answer }
        })
    }
}

/// Clock and random source of this crate's servers, as the crate of Kerberos asks for them.
struct Borrowed<'a>(&'a dyn Environment);

impl certadm_kerberos::Environment for Borrowed<'_> {
    fn now(&self) -> certadm_rules::FileTime {
        self.0.now()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        self.0.fill_random(bytes).map_err(|_| NoRandomness)
    }
}

/// A finished exchange whose halves have not sent anything yet.
pub(crate) struct KerberosSession {
    pub(crate) seal: Seal,
    pub(crate) unseal: Unseal,
    peer: PeerIdentity,
}

impl KerberosSession {
    /// Takes the client's second message.
    pub(crate) fn finish(pending: Pending, token: &[u8]) -> Result<Self, AuthError> {
        let accepted = pending
            .finish(token)
            .map_err(|error| AuthError::Ticket { error: Box::new(error), answer: None })?;
        let end = accepted.end();
        let Accepted { client, service, pac, seal, unseal, .. } = accepted;
        let has_pac = pac.is_some();
        let (user, account, groups) = match pac.and_then(|pac| pac.logon) {
            Some(LogonInfo { user, user_name, groups, .. }) => (Some(user), Some(user_name), groups),
            None => Default::default(),
        };
        let holder = TicketHolder { client, service, has_pac, user, account, groups, end };
        Ok(Self { seal, unseal, peer: PeerIdentity::Principal(Arc::new(holder)) })
    }

    pub(crate) fn established(self) -> Established {
        Established {
            sealer: Sealer::kerberos(KerberosSeal(self.seal)),
            unsealer: Unsealer::kerberos(KerberosUnseal(self.unseal)),
            peer: self.peer,
        }
    }
}

/// Raw Kerberos in three legs (auth type 16).
pub(crate) struct RawKerberosAcceptor {
    state: State,
}

enum State {
    Fresh(KerberosServer),
    Shown(Box<Pending>),
    Finished,
}

impl RawKerberosAcceptor {
    pub(crate) fn new(server: KerberosServer) -> Self {
        Self { state: State::Fresh(server) }
    }
}

impl Acceptor for RawKerberosAcceptor {
    fn step(&mut self, token_in: &[u8]) -> Result<Step, AuthError> {
        match std::mem::replace(&mut self.state, State::Finished) {
            State::Fresh(server) => {
                let (pending, answer) = server.accept(token_in)?;
                self.state = State::Shown(Box::new(pending));
                Ok(Step::next(answer))
            }
            State::Shown(pending) => {
                let session = KerberosSession::finish(*pending, token_in)?;
                Ok(Step { token_out: Vec::new(), done: Some(session.established()) })
            }
            State::Finished => Err(AuthError::Finished),
        }
    }

    /// A ticket is no guess at a secret.
    fn claimed(&self, _token_in: &[u8]) -> Option<AccountName> {
        None
    }
}

impl fmt::Debug for RawKerberosAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawKerberosAcceptor").finish_non_exhaustive()
    }
}
