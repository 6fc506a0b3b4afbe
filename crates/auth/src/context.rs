//! The two halves of a handshake and what comes out of it. No mechanism shows here.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use certadm_kerberos::{Principal, Sid};
use certadm_rules::{AuthType, FileTime};

use crate::error::AuthError;
use crate::names::AccountName;
use crate::sealing::{Sealer, Unsealer};

/// The PDU that carries the client's last token (wire.md 2.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastLeg {
    /// auth3, which gets no answer: an odd number of legs, raw NTLM.
    Auth3,
    /// alter_context, which is always answered, with a token or without: everything else.
    AlterContext,
}

/// What one step of a handshake yields.
#[derive(Debug)]
#[non_exhaustive]
pub struct Step {
    /// The token for the peer; empty when there is nothing to say (then a PDU that must be sent carries no verifier).
    pub token_out: Vec<u8>,
    /// The finished context. While it is `None`, another token from the peer is due.
    pub done: Option<Established>,
}

impl Step {
    pub(crate) fn next(token_out: Vec<u8>) -> Self {
        Self { token_out, done: None }
    }
}

/// A finished context: two independent halves, fit for two threads, and who the peer is.
#[derive(Debug)]
#[non_exhaustive]
pub struct Established {
    /// Protects what this end sends.
    pub sealer: Sealer,
    /// Checks and opens what the peer sends.
    pub unsealer: Unsealer,
    /// Who the peer is.
    pub peer: PeerIdentity,
}

/// Who the peer of a finished context is, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerIdentity {
    /// Seen by an acceptor: the peer proved to know the secret of this account.
    Account {
        /// The account as the peer wrote it; compare names with `==`, which ignores case.
        account: AccountName,
        /// The workstation that the peer claims, unproven, for the audit record; may be empty.
        workstation: String,
        /// The service name that the client meant to reach (AV id 9), proven to come from the client, if it sent one.
        target: Option<String>,
    },
    /// Seen by an acceptor: the peer showed a ticket, and proved to know its session key. It is an account of a realm,
    /// and never one of the acceptor's own accounts, whatever its name is.
    Principal(Arc<TicketHolder>),
    /// Seen by an initiator: the peer proved to know the session key, that is, to be the server or its domain
    /// controller. NTLM proves no name; a mechanism with mutual authentication would.
    Service {
        /// The name asked for; proven only if `mutual`.
        name: String,
        /// Whether the mechanism proved the name.
        mutual: bool,
    },
}

impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account { account, .. } => account.fmt(f),
            Self::Principal(holder) => holder.client.fmt(f),
            Self::Service { name, .. } => f.write_str(name),
        }
    }
}

/// What a ticket says of the client that showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketHolder {
    /// Its name and realm.
    pub client: Principal,
    /// What it called the service.
    pub service: Principal,
    /// Whether the KDC says anything of the client, in a PAC that it signed. Clients can have it left out.
    pub has_pac: bool,
    /// Its SID, where the domain controller says it.
    pub user: Option<Sid>,
    /// The name of its account, where the domain controller says it. A ticket may carry another name of the account, such as its
    /// user principal name, and whoever may write that chooses it.
    pub account: Option<String>,
    /// The SIDs of its groups, those that it is in through others among them.
    pub groups: BTreeSet<Sid>,
    /// When its ticket ends.
    pub end: FileTime,
}

/// The client's half of a handshake.
///
/// Call [`step`](Self::step) with an empty token first and send `token_out` in the bind; then with each token of the peer,
/// until `done` holds the context. The last token to send travels in the PDU that [`last_leg`](Self::last_leg) names.
pub trait Initiator: Send + fmt::Debug {
    /// The auth_type of every trailer of this context.
    fn auth_type(&self) -> AuthType;

    /// Which PDU carries the last token to the server.
    fn last_leg(&self) -> LastLeg;

    /// Takes the peer's token (empty at the start) and gives the next one.
    ///
    /// # Errors
    /// [`AuthError`] names the side at fault; afterwards every further step is [`AuthError::Finished`]. HRESULTs:
    /// [`AuthError::hresult`].
    fn step(&mut self, token_in: &[u8]) -> Result<Step, AuthError>;
}

/// The server's half of a handshake.
///
/// Call [`step`](Self::step) with each token of the client, whichever PDU brought it. Send `token_out` if it is not empty:
/// in bind_ack or alter_context_resp. Nothing about the peer is known or may be assumed before `done` holds the context.
pub trait Acceptor: Send + fmt::Debug {
    /// Takes the client's token and gives the answer.
    ///
    /// # Errors
    /// [`AuthError`] names the side at fault; afterwards every further step is [`AuthError::Finished`]. The fault for
    /// requests on the context carries [`AuthError::fault_status`].
    fn step(&mut self, token_in: &[u8]) -> Result<Step, AuthError>;

    /// The account that `token_in` claims, if the next [`step`](Self::step) judges a secret by it: a server asks here
    /// whether a guess at this account is due at all. `None` for a token that is not judged, because it is not the one
    /// that proves something, or does not parse; its step then looks up no account.
    fn claimed(&self, token_in: &[u8]) -> Option<AccountName>;
}
