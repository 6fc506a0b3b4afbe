//! A ticket with what its owner knows of it.

use crate::crypto::Key;
use crate::message::{EncKdcReplyPart, TicketFlags};
use crate::moment::{DEFAULT_SKEW, KerberosTime};
use crate::principal::Principal;

/// A ticket and its session key. Together they are as good as a password until the ticket ends.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Whose it is.
    pub client: Principal,
    /// For which service it is.
    pub service: Principal,
    /// The key that client and service share.
    pub session_key: Key,
    /// What the ticket may be used for.
    pub flags: TicketFlags,
    /// From when it is good.
    pub start_time: KerberosTime,
    /// Until when it is good.
    pub end_time: KerberosTime,
    /// The ticket as it travels.
    pub ticket: Vec<u8>,
}

impl Credential {
    /// A ticket as a KDC's answer carries it, with what the part of the answer that was sealed for the client says of it.
    pub(crate) fn of_answer(client: Principal, ticket: Vec<u8>, part: EncKdcReplyPart) -> Self {
        Self {
            client,
            service: part.service,
            session_key: part.session_key,
            flags: part.flags,
            start_time: part.start_time.unwrap_or(part.auth_time),
            end_time: part.end_time,
            ticket,
        }
    }

    /// Whether it is good at `now`, and for `reserve` seconds more. The clock of the KDC that gave it may be ahead: a ticket
    /// that begins within the skew of clocks is taken everywhere (RFC 4120 3.2.3, 3.3.3).
    #[must_use]
    pub fn is_good(&self, now: KerberosTime, reserve: i64) -> bool {
        self.start_time <= now.plus(DEFAULT_SKEW)
            && now.plus(reserve) < self.end_time
            && !self.flags.has(TicketFlags::INVALID)
    }
}
