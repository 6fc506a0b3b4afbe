//! What goes to a KDC and comes back, and who is asked when a KDC names another realm.

use super::error::ClientError;
use crate::der::Malformed;
use crate::message::{ErrorCode, KdcKind, KdcReply, KrbError};

/// Most bytes of a KDC's answer. A ticket with a large PAC has some 64 KiB.
pub const MAX_ANSWER: usize = 1 << 20;

/// Most KDCs that may send a client on, each to the next (kerberos.md 2.1).
const MAX_REFERRALS: usize = 10;

/// A message for a KDC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The realm of whose KDCs one is to be asked.
    pub realm: String,
    /// The message.
    pub message: Vec<u8>,
}

impl Question {
    /// The message as it goes over TCP: with its length before it (RFC 4120 7.2.2).
    #[must_use]
    pub fn framed(&self) -> Vec<u8> {
        let length = u32::try_from(self.message.len()).expect("invariant: a request is far below 4 GiB");
        [&length.to_be_bytes(), &self.message[..]].concat()
    }
}

/// How many bytes a KDC's answer has, from the 4 bytes before it on TCP.
///
/// # Errors
/// [`Malformed`] for more than [`MAX_ANSWER`], and for the highest bit, which no KDC sets.
pub fn answer_size(length: [u8; 4]) -> Result<usize, Malformed> {
    usize::try_from(u32::from_be_bytes(length))
        .ok()
        .filter(|size| *size <= MAX_ANSWER)
        .ok_or(Malformed { what: "the length of a KDC's answer" })
}

/// Whether another KDC of the realm may do better than one that answered so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// It is what the realm says.
    Final,
    /// The KDC cannot answer now, or does not say why (kerberos.md 6: 29 and 60).
    Unavailable,
    /// It is no message of a KDC.
    Unreadable,
}

/// What a KDC's answer is worth. Nothing in it is checked but its form.
#[must_use]
pub fn worth(answer: &[u8]) -> Worth {
    if !KrbError::is_one(answer) {
        let is_reply = [KdcKind::As, KdcKind::Tgs].iter().any(|kind| KdcReply::decode(answer, *kind).is_ok());
        return if is_reply { Worth::Final } else { Worth::Unreadable };
    }
    match KrbError::decode(answer) {
        Ok(error) if matches!(error.code, ErrorCode::SERVICE_UNAVAILABLE | ErrorCode::GENERIC) => {
            Worth::Unavailable
        }
        Ok(_) => Worth::Final,
        Err(_) => Worth::Unreadable,
    }
}

/// What an answer leads to.
#[derive(Debug)]
pub enum Step<T> {
    /// To another question.
    Ask(Question),
    /// To the end.
    Done(T),
}

/// The realms that were asked, the present one last.
#[derive(Debug, Clone)]
pub(super) struct Route(Vec<String>);

impl Route {
    pub(super) fn from(realm: &str) -> Self {
        Self(vec![realm.to_owned()])
    }

    /// The realm to ask now.
    pub(super) fn realm(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// Goes on to another realm.
    pub(super) fn refer(&mut self, realm: &str) -> Result<(), ClientError> {
        if self.0.iter().any(|asked| asked == realm) {
            return Err(ClientError::ReferralLoop { realm: realm.to_owned() });
        }
        if MAX_REFERRALS < self.0.len() {
            return Err(ClientError::TooManyReferrals { realm: realm.to_owned() });
        }
        self.0.push(realm.to_owned());
        Ok(())
    }
}
