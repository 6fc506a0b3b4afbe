//! The client's end of a security context in DCE style (RFC 4121 4.1, MS-KILE 3.4.5.1; kerberos.md 2.3): three messages,
//! the first and the last from here.

use std::borrow::Cow;
use std::fmt;

use certadm_rules::{Diagnosis, FileTime, Hresult};

use crate::advice::remedy;
use crate::credential::Credential;
use crate::crypto::{IntegrityError, Key, KeyUsage};
use crate::der::Malformed;
use crate::environment::{Environment, NoRandomness, random};
use crate::gss::{TokenId, unframed};
use crate::message::{
    ApOptions, ApReply, ApRequest, Authenticator, Checksum, EncApReplyPart, EncryptedData, ErrorCode,
    KrbError,
};
use crate::moment::{DEFAULT_SKEW, KerberosTime, Moment};
use crate::seal::{Seal, Sender, Unseal};

/// The kind of checksum that holds no checksum but the flags of a context (RFC 4121 4.1.1).
pub(crate) const GSS_CHECKSUM: i32 = 0x8003;

/// The flags of a context (RFC 2744, MS-KILE 3.2.1).
pub(crate) mod flag {
    pub(crate) const MUTUAL: u32 = 0x2;
    pub(crate) const REPLAY: u32 = 0x4;
    pub(crate) const SEQUENCE: u32 = 0x8;
    pub(crate) const CONFIDENTIALITY: u32 = 0x10;
    pub(crate) const INTEGRITY: u32 = 0x20;
    pub(crate) const DCE_STYLE: u32 = 0x1000;
}

/// Why a service's answer did not establish a context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InitiateError {
    /// The answer does not parse.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// There are no random bytes.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The service refused the ticket. What it says is not protected.
    #[error("the service refused the ticket: {}{}", .error.code, clocks_of(.error.code, .clocks))]
    Refused {
        /// What it said.
        error: Box<KrbError>,
        /// What the clocks showed then.
        clocks: Clocks,
    },
    /// The answer is not from somebody who could read the ticket, or it is the answer to another request.
    #[error("the service did not prove its identity; its answer is not under the key of the ticket")]
    NotProven,
    /// The answer has no sequence number, without which messages cannot be numbered.
    #[error("the service's answer has no sequence number")]
    NoSequence,
}

/// What the clocks showed when a service refused a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// The service's, by its own word.
    pub service: KerberosTime,
    /// The KDC's, as far as it is known.
    pub kdc: KerberosTime,
    /// This machine's.
    pub own: KerberosTime,
}

impl Clocks {
    /// By how many seconds the service's clock is behind the KDC's, which dates the tickets.
    #[must_use]
    pub const fn behind(&self) -> i64 {
        self.kdc.since(self.service)
    }
}

impl fmt::Display for Clocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |time: KerberosTime| FileTime::from_unix_seconds(time.unix_seconds()).to_rfc3339();
        let (service, kdc) = (text(self.service), text(self.kdc));
        match self.behind() {
            0 => write!(f, "its clock shows {service}, as the KDC's does")?,
            behind => {
                let word = if 0 < behind { "behind" } else { "ahead of" };
                write!(f, "its clock shows {service}, {} s {word} the KDC's ({kdc})", behind.abs())?;
            }
        }
        write!(f, "; this machine's shows {}", text(self.own))
    }
}

/// The clocks, where a refusal is about them.
fn clocks_of(code: ErrorCode, clocks: &Clocks) -> String {
    match code {
        ErrorCode::SKEW | ErrorCode::TICKET_EXPIRED | ErrorCode::TICKET_NOT_YET_VALID => {
            format!("; {clocks}")
        }
        _ => String::new(),
    }
}

impl Diagnosis for InitiateError {
    fn hresult(&self) -> Hresult {
        match self {
            Self::Refused { .. } | Self::NotProven => Hresult::E_ACCESSDENIED,
            Self::Malformed(_) | Self::NoRandomness(_) | Self::NoSequence => Hresult::RPC_S_SEC_PKG_ERROR,
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            // A fresh ticket has ended for a service whose clock is fast.
            Self::Refused { error, clocks }
                if error.code == ErrorCode::TICKET_EXPIRED && DEFAULT_SKEW < clocks.behind().abs() =>
            {
                remedy(ErrorCode::SKEW)
            }
            Self::Refused { error, .. } => remedy(error.code),
            Self::NotProven => {
                "suspect another machine at the address of the service, and check what DNS says of it"
            }
            Self::Malformed(_) | Self::NoSequence => "check what stands between the two hosts",
            Self::NoRandomness(_) => "check the system's random source",
        })
    }
}

/// A client that has sent its first message and waits for the answer.
pub struct Initiator {
    credential: Credential,
    clock_offset: i64,
    moment: Moment,
    subkey: Key,
    sequence: u32,
}

/// A context as its client has it.
#[derive(Debug)]
pub struct Initiated {
    /// The third message. Without it the service believes nothing.
    pub third: Vec<u8>,
    /// Protects what the client sends.
    pub seal: Seal,
    /// Opens what the service sends.
    pub unseal: Unseal,
}

impl Initiator {
    /// Begins a context with a ticket for the service. `clock_offset`: by how many seconds the KDC's clock is ahead. The
    /// bytes are the first message, AP-REQ.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn start(
        credential: Credential,
        clock_offset: i64,
        environment: &dyn Environment,
    ) -> Result<(Self, Vec<u8>), NoRandomness> {
        let this = Self {
            subkey: Key::random(credential.session_key.etype(), environment)?,
            // Some peers read it with a sign.
            sequence: u32::from_be_bytes(random(environment)?) >> 2,
            moment: Moment::from(environment.now()).plus(clock_offset),
            credential,
            clock_offset,
        };
        let flags = flag::MUTUAL
            | flag::REPLAY
            | flag::SEQUENCE
            | flag::CONFIDENTIALITY
            | flag::INTEGRITY
            | flag::DCE_STYLE;
        // The length of the channel bindings, which are zeros: there are none.
        let value = [&16_u32.to_le_bytes()[..], &[0; 16], &flags.to_le_bytes()].concat();
        let authenticator = Authenticator {
            client: this.credential.client.clone(),
            checksum: Some(Checksum { kind: GSS_CHECKSUM, value }),
            moment: this.moment,
            subkey: Some(this.subkey.clone()),
            sequence: Some(this.sequence),
        };
        let request = ApRequest {
            options: ApOptions(ApOptions::MUTUAL_REQUIRED),
            ticket: this.credential.ticket.clone(),
            authenticator: EncryptedData::seal(
                &this.credential.session_key,
                KeyUsage::AP_AUTHENTICATOR,
                None,
                &authenticator.encode(),
                environment,
            )?,
        };
        Ok((this, request.encode()))
    }

    /// Takes the service's answer, AP-REP.
    ///
    /// # Errors
    /// [`InitiateError`].
    pub fn finish(self, answer: &[u8], environment: &dyn Environment) -> Result<Initiated, InitiateError> {
        // Samba's library frames a refusal, though not an answer.
        let answer = unframed(answer, &[TokenId::Error, TokenId::Reply])?;
        if KrbError::is_one(answer) {
            let error = Box::new(KrbError::decode(answer)?);
            let own = Moment::from(environment.now()).time;
            let (service, kdc) = (error.server_time.time, own.plus(self.clock_offset));
            return Err(InitiateError::Refused { error, clocks: Clocks { service, kdc, own } });
        }
        let session_key = &self.credential.session_key;
        let part = ApReply::decode(answer)?
            .open(session_key)
            .map_err(|IntegrityError| InitiateError::NotProven)??;
        if part.moment != self.moment {
            return Err(InitiateError::NotProven);
        }
        let theirs = part.sequence.ok_or(InitiateError::NoSequence)?;
        let moment = Moment::from(environment.now()).plus(self.clock_offset);
        let third = EncApReplyPart { moment, subkey: None, sequence: Some(theirs) };
        let third = ApReply::seal(&third, session_key, environment)?.encode();
        let (key, is_acceptors) = part.subkey.map_or((self.subkey, false), |subkey| (subkey, true));
        Ok(Initiated {
            third,
            seal: Seal::new(&key, Sender::Initiator, is_acceptors, self.sequence, environment)?,
            unseal: Unseal::new(&key, Sender::Acceptor, is_acceptors, theirs),
        })
    }
}

impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Initiator({} for {})", self.credential.client, self.credential.service)
    }
}
