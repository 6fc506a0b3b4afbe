//! What can go wrong, whose fault it is, and the status that a peer or caller is told.

use certadm_kerberos::message::ErrorCode;
use certadm_kerberos::{AcceptError, InitiateError};
use certadm_rules::{Diagnosis, Hresult};

use crate::names::AccountName;

/// ERROR_ACCESS_DENIED as a fault status (wire.md 2.16).
const ACCESS_DENIED: u32 = 0x0000_0005;
/// RPC_S_SEC_PKG_ERROR as a fault status (wire.md 2.16).
const SECURITY_PACKAGE: u32 = 0x0000_0721;

/// Why a security context was not established.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The peer sent a token that does not parse.
    #[error("peer sent a malformed authentication token ({what}); check what stands between the two hosts")]
    Malformed {
        /// The part that did not parse.
        what: &'static str,
    },

    /// The peer answered with a token, or a field, that does not belong to this point of the exchange.
    #[error("peer sent an authentication token out of sequence ({what}); start a new connection")]
    UnexpectedToken {
        /// What came and was not expected.
        what: &'static str,
    },

    /// This context was driven on after it had completed or failed: a fault of the caller.
    #[error("security context is already finished; start a new one")]
    Finished,

    /// The peer does not offer a protection that is required here (wire.md 2.12).
    #[error("peer does not negotiate {missing}; allow NTLMv2 with 128-bit sealing on it")]
    WeakNegotiation {
        /// The missing protection.
        missing: &'static str,
    },

    /// The peer answered with LM or NTLMv1, which are refused.
    #[error("client answered with LM or NTLMv1; set its LAN Manager level to NTLMv2 only")]
    ObsoleteResponse,

    /// The peer gave no account; anonymous logons are refused.
    #[error("client asked for an anonymous logon; give it an account")]
    Anonymous,

    /// Unknown account or wrong password: the two are not told apart, here or on the wire.
    #[error("logon of {account} refused; check the account and its password")]
    LogonRefused {
        /// The account that the peer claimed, for the audit record.
        account: AccountName,
    },

    /// The secret was right, but the messages of the exchange were altered on the way, or a required proof that they
    /// were not is missing.
    #[error(
        "authentication messages were altered in transit ({what}); suspect a relay between the two hosts"
    )]
    Tampered {
        /// The check that failed.
        what: &'static str,
    },

    /// The two ends have no mechanism in common (RFC 4178).
    #[error("no authentication mechanism in common; this end speaks {ours}")]
    NoCommonMechanism {
        /// What this end offers.
        ours: &'static str,
    },

    /// The peer refused the negotiation (RFC 4178, negState reject).
    #[error("peer rejected the authentication; check the account and the mechanisms it allows")]
    RejectedByPeer,

    /// An account name, password or server name given by the caller cannot be used.
    #[error("{what} cannot be used for authentication; {remedy}")]
    InvalidInput {
        /// Which input.
        what: &'static str,
        /// What to give instead.
        remedy: &'static str,
    },

    /// A service did not accept a Kerberos ticket, or did not prove its identity.
    #[error("{error}; {}", .error.remedy())]
    Kerberos {
        /// Why.
        #[from]
        error: InitiateError,
    },

    /// A client's ticket was not accepted.
    #[error("{error}; {}", .error.remedy())]
    Ticket {
        /// Why.
        error: Box<AcceptError>,
        /// The token that tells the client, where it is told.
        answer: Option<Vec<u8>>,
    },

    /// A ticket is too large for the bind of a connection, whose fields have 16 bits (wire.md 2.1).
    #[error(
        "the ticket makes a token of {size} bytes, and a connection carries at most {limit}; take an account in fewer groups, or \
         NTLM"
    )]
    TicketTooLarge {
        /// How many bytes the token has.
        size: usize,
        /// How many it may have.
        limit: usize,
    },

    /// The environment could not supply random bytes.
    #[error("no random bytes for a challenge; check the system's random source")]
    NoRandomness,
}

impl AuthError {
    /// The status that a server puts into the fault for requests on the failed context (wire.md 2.10, 2.16): 0x721
    /// (RPC_S_SEC_PKG_ERROR) where the exchange itself broke, 5 (ERROR_ACCESS_DENIED) for every refusal, so that the
    /// refusals cannot be told apart.
    #[must_use]
    pub fn fault_status(&self) -> u32 {
        match self {
            Self::Malformed { .. }
            | Self::UnexpectedToken { .. }
            | Self::Finished
            | Self::InvalidInput { .. }
            | Self::TicketTooLarge { .. }
            | Self::NoRandomness => SECURITY_PACKAGE,
            Self::Ticket { error, .. } if error.hresult() == Hresult::RPC_S_SEC_PKG_ERROR => SECURITY_PACKAGE,
            Self::Kerberos { error } if error.hresult() == Hresult::RPC_S_SEC_PKG_ERROR => SECURITY_PACKAGE,
            Self::WeakNegotiation { .. }
            | Self::ObsoleteResponse
            | Self::Anonymous
            | Self::LogonRefused { .. }
            | Self::Tampered { .. }
            | Self::NoCommonMechanism { .. }
            | Self::Kerberos { .. }
            | Self::Ticket { .. }
            | Self::RejectedByPeer => ACCESS_DENIED,
        }
    }

    /// The same as an HRESULT: 0x80070721 or 0x80070005.
    #[must_use]
    pub fn hresult(&self) -> u32 {
        0x8007_0000 | self.fault_status()
    }

    /// The token by which a server tells its client of the refusal; mostly there is none.
    #[must_use]
    pub fn answer(&self) -> Option<&[u8]> {
        match self {
            Self::Ticket { answer, .. } => answer.as_deref(),
            _ => None,
        }
    }

    /// Whether the client is not to blame: its clock is wrong, or its ticket has ended.
    #[must_use]
    pub fn is_about_time(&self) -> bool {
        let times = [ErrorCode::SKEW, ErrorCode::TICKET_EXPIRED, ErrorCode::TICKET_NOT_YET_VALID];
        matches!(self, Self::Ticket { error, .. } if times.contains(&error.code()))
    }
}

/// Why one PDU could not be sealed or unsealed. After any of them the context is broken and the connection must be
/// closed (wire.md 7, item 5). The fault status is 5, the HRESULT 0x80070005.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The signature does not match header, body, trailer or place in the sequence.
    #[error("message signature does not verify; it was altered, repeated or reordered in transit")]
    BadSignature,

    /// The token does not have the size of the mechanism.
    #[error("verifier token has {actual} bytes where {expected} are due; the peer speaks another mechanism")]
    TokenSize {
        /// Bytes that the mechanism uses.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },

    /// A message failed before on this context.
    #[error("security context was broken by an earlier message; open a new connection")]
    Broken,

    /// The context was established for integrity only.
    #[error("security context was negotiated without sealing; authenticate again at packet privacy")]
    NotNegotiated,

    /// The body is not filled up to a multiple of 16 bytes, which Kerberos needs.
    #[error("message body is no multiple of 16 bytes; the caller filled it up wrongly")]
    Alignment,

    /// 2^32 messages were sent in one direction.
    #[error("security context has used all its sequence numbers; open a new connection")]
    SequenceExhausted,

    /// The PDU is shorter than its header, trailer and token.
    #[error("message is too short for its header, trailer and token; the caller cut it wrongly")]
    TooShort,
}

impl SealError {
    /// The status for a fault: always 5 (ERROR_ACCESS_DENIED; wire.md 2.16).
    #[must_use]
    pub fn fault_status(&self) -> u32 {
        ACCESS_DENIED
    }

    /// The same as an HRESULT: 0x80070005.
    #[must_use]
    pub fn hresult(&self) -> u32 {
        0x8007_0000 | self.fault_status()
    }
}
