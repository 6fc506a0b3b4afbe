//! The server's end of a security context in DCE style (kerberos.md 4.1): AP-REQ against a keytab, AP-REP, and the third
//! message, before which nothing about the client is believed.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use certadm_rules::{Diagnosis, FileTime, Hresult};

use crate::advice::remedy;
use crate::crypto::{IntegrityError, Key, KeyUsage};
use crate::der::Malformed;
use crate::environment::{Environment, NoRandomness, random};
use crate::gss::{TokenId, unframed};
use crate::initiator::{GSS_CHECKSUM, flag};
use crate::keytab::{Keytab, KeytabEntry};
use crate::message::{
    ApOptions, ApReply, ApRequest, Authenticator, AuthorizationData, EncApReplyPart, EncTicketPart,
    ErrorCode, KrbError, Ticket, TicketFlags,
};
use crate::moment::{DEFAULT_SKEW, KerberosTime, Moment};
use crate::pac::{Pac, PacError};
use crate::principal::Principal;
use crate::replay::ReplayCache;
use crate::seal::{Seal, Sender, Unseal};

/// Most keys that are tried for one ticket.
const MAX_TRIES: usize = 64;

/// Accepts tickets for one service.
#[derive(Debug, Clone)]
pub struct Acceptor {
    keytab: Arc<Keytab>,
    replays: Arc<ReplayCache>,
    realms: BTreeSet<String>,
    skew: i64,
}

/// What a client must ask its context to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// No protection of messages.
    Nothing,
    /// Sign messages.
    Integrity,
    /// Sign and encrypt them.
    Privacy,
}

/// Why a client was not accepted. [`code`](Self::code) is what RFC 4120 calls it. The client is told only what is about a clock:
/// [`Skew`](Self::Skew), [`Expired`](Self::Expired) and [`NotYetValid`](Self::NotYetValid).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// A message does not parse.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// There are no random bytes.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The client asks for something that is not done here.
    #[error("the client {what}")]
    Unsupported {
        /// What it does.
        what: &'static str,
    },
    /// The keytab has no key of the ticket's etype.
    #[error("the keytab has no key of etype {etype}, which the ticket for {service} is under")]
    NoKey {
        /// The etype.
        etype: i32,
        /// For whom the ticket is.
        service: Principal,
    },
    /// The keytab has keys, but none opens the ticket.
    #[error(
        "no key of the keytab opens the ticket for {service}; it is of another version or of another account"
    )]
    WrongKey {
        /// For whom the ticket is.
        service: Principal,
        /// Whether the keytab has that name.
        is_ours: bool,
    },
    /// The key opens the ticket, and in it is a session key of another kind.
    #[error("the ticket for {service} has a session key of etype {etype}, which is not spoken here")]
    SessionKey {
        /// The etype, such as 23 for RC4.
        etype: i32,
        /// For whom the ticket is.
        service: Principal,
    },
    /// The ticket is too old.
    #[error("the ticket of {client} ended at {end}, and this machine's clock shows {ours}")]
    Expired {
        /// Whose it is.
        client: Principal,
        /// For whom the ticket is.
        service: Principal,
        /// When it ended.
        end: KerberosTime,
        /// Our clock.
        ours: KerberosTime,
    },
    /// The ticket is not good yet.
    #[error("the ticket of {client} is valid from {start}, and this machine's clock shows {ours}")]
    NotYetValid {
        /// Whose it is.
        client: Principal,
        /// For whom the ticket is.
        service: Principal,
        /// From when it is good.
        start: KerberosTime,
        /// Our clock.
        ours: KerberosTime,
    },
    /// The ticket is for later, and the KDC has not said that it is good. No clock is wrong.
    #[error("the ticket of {client} is postdated, and its KDC has not validated it")]
    NotValidated {
        /// Whose it is.
        client: Principal,
    },
    /// The client's realm is none of those that may come in.
    #[error("{client} is of a realm that is not allowed here")]
    Realm {
        /// Who it is.
        client: Principal,
    },
    /// The authenticator does not decrypt: the client does not know the session key.
    #[error("the client with a ticket of {client} does not know its session key")]
    WrongAuthenticator {
        /// Whose ticket it is.
        client: Principal,
    },
    /// The authenticator names another client than the ticket.
    #[error("a ticket of {client} came with an authenticator of {claimed}")]
    Mismatch {
        /// Whose ticket it is.
        client: Principal,
        /// Whom the authenticator names.
        claimed: Principal,
    },
    /// The clocks are too far apart.
    #[error("the clock of {client} shows {theirs}, this machine's {ours}")]
    Skew {
        /// Who it is.
        client: Principal,
        /// For whom the ticket is.
        service: Principal,
        /// The client's clock.
        theirs: KerberosTime,
        /// Our clock.
        ours: KerberosTime,
    },
    /// The authenticator came before.
    #[error("an authenticator of {client} came twice")]
    Replay {
        /// Who it is.
        client: Principal,
    },
    /// What the KDC says of the client's rights is broken or not its.
    #[error("the authorization data of {client} is refused: {error}")]
    Pac {
        /// Who it is.
        client: Principal,
        /// Why.
        error: PacError,
    },
    /// The third message does not answer the second.
    #[error("the third message of the handshake with {client} does not answer the second")]
    Third {
        /// Who it claimed to be.
        client: Principal,
    },
}

impl AcceptError {
    /// What RFC 4120 calls it.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Malformed(_) | Self::NoRandomness(_) => ErrorCode::GENERIC,
            Self::Unsupported { .. } => ErrorCode::WRONG_CHECKSUM,
            Self::NoKey { .. } => ErrorCode::NO_KEY,
            Self::SessionKey { .. } => ErrorCode::ETYPE_UNSUPPORTED,
            Self::WrongKey { is_ours: true, .. } => ErrorCode::MODIFIED,
            Self::WrongKey { is_ours: false, .. } => ErrorCode::NOT_US,
            Self::Expired { .. } => ErrorCode::TICKET_EXPIRED,
            Self::NotYetValid { .. } | Self::NotValidated { .. } => ErrorCode::TICKET_NOT_YET_VALID,
            Self::Realm { .. } => ErrorCode::POLICY,
            Self::WrongAuthenticator { .. } | Self::Pac { .. } | Self::Third { .. } => {
                ErrorCode::BAD_INTEGRITY
            }
            Self::Mismatch { .. } => ErrorCode::MISMATCH,
            Self::Skew { .. } => ErrorCode::SKEW,
            Self::Replay { .. } => ErrorCode::REPEATED,
        }
    }

    /// The token that tells the client, for the errors that are about clocks: KRB-ERROR with ours. Whoever gets it has shown that
    /// he knows the session key of a ticket for this service.
    #[must_use]
    pub fn answer(&self, environment: &dyn Environment) -> Option<Vec<u8>> {
        let (Self::Skew { service, .. } | Self::Expired { service, .. } | Self::NotYetValid { service, .. }) =
            self
        else {
            return None;
        };
        let error = KrbError {
            code: self.code(),
            server_time: environment.now().into(),
            client_realm: None,
            service: Some(service.clone()),
            text: None,
            data: None,
        };
        Some(error.encode())
    }
}

impl Diagnosis for AcceptError {
    fn hresult(&self) -> Hresult {
        match self {
            Self::Malformed(_) | Self::NoRandomness(_) => Hresult::RPC_S_SEC_PKG_ERROR,
            _ => Hresult::E_ACCESSDENIED,
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Malformed(_) => "check what stands between the two hosts",
            Self::NoRandomness(_) => "check the system's random source",
            Self::Unsupported { .. } => "use a client that speaks Kerberos as Windows does for RPC",
            Self::Realm { .. } => "add the realm to those that may come in, if it is meant to",
            Self::Replay { .. } => "look for somebody who records the traffic, if this goes on",
            Self::Pac { .. }
            | Self::Mismatch { .. }
            | Self::WrongAuthenticator { .. }
            | Self::Third { .. } => {
                "suspect an attack, or a broken client; the address of the connection says where"
            }
            Self::NotValidated { .. } => "let the client have its ticket validated, or get another one",
            Self::SessionKey { .. } => {
                "let the KDC give AES session keys: msDS-SupportedEncryptionTypes of the service's account, and the etypes that \
                 the client asks for"
            }
            Self::NoKey { .. }
            | Self::WrongKey { .. }
            | Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::Skew { .. } => remedy(self.code()),
        })
    }
}

impl Acceptor {
    /// A service with these keys. Clients of the keytab's realms may come in. The replay cache is one for all.
    #[must_use]
    pub fn new(keytab: Arc<Keytab>, replays: Arc<ReplayCache>) -> Self {
        let realms = keytab.realms().into_iter().map(str::to_owned).collect();
        Self { keytab, replays, realms, skew: DEFAULT_SKEW }
    }

    /// Lets clients of these realms in, and no others.
    #[must_use]
    pub fn with_realms(mut self, realms: impl IntoIterator<Item = String>) -> Self {
        self.realms = realms.into_iter().collect();
        self
    }

    /// Lets clocks be so many seconds apart.
    #[must_use]
    pub fn with_skew(mut self, seconds: i64) -> Self {
        self.skew = seconds;
        self
    }

    /// Takes a client's first message, AP-REQ. The bytes are the answer, AP-REP.
    ///
    /// # Errors
    /// [`AcceptError`].
    pub fn accept(
        &self,
        token: &[u8],
        demand: Demand,
        environment: &dyn Environment,
    ) -> Result<(Pending, Vec<u8>), AcceptError> {
        let request = ApRequest::decode(unframed(token, &[TokenId::Request])?)?;
        if request.options.has(ApOptions::USE_SESSION_KEY) {
            return Err(AcceptError::Unsupported { what: "asks for user to user authentication" });
        }
        if !request.options.has(ApOptions::MUTUAL_REQUIRED) {
            return Err(AcceptError::Unsupported { what: "does not ask this service to prove its identity" });
        }
        let ticket = Ticket::decode(&request.ticket)?;
        let (part, entry, service_key) = self.open(&ticket)?;
        let now = Moment::from(environment.now()).time;
        // First: whoever only holds a ticket, such as one that was recorded, is told nothing of it.
        let authenticator = authenticator_of(&request, &part)?;
        self.check_ticket(&part, &ticket.service, now)?;
        self.check_fresh(&request, &authenticator, &ticket.service, now)?;
        check_flags(&authenticator, demand)?;
        let rights = |error| AcceptError::Pac { client: part.client.clone(), error };
        let pac = find_pac(&part.authorization)
            .and_then(|pac| {
                pac.map(|pac| Pac::open(&pac, service_key, &part.client, part.auth_time)).transpose()
            })
            .map_err(rights)?;

        let subkey = Key::random(part.session_key.etype(), environment)?;
        let sequence = u32::from_be_bytes(random(environment)?) >> 2; // some peers read it with a sign
        let reply = EncApReplyPart {
            moment: authenticator.moment,
            subkey: Some(subkey.clone()),
            sequence: Some(sequence),
        };
        let reply = ApReply::seal(&reply, &part.session_key, environment)?.encode();
        let theirs = authenticator.sequence.unwrap_or_default();
        let pending = Pending {
            accepted: Accepted {
                client: part.client,
                service: ticket.service,
                key_version: entry.key_version,
                pac,
                end_time: part.end_time,
                seal: Seal::new(&subkey, Sender::Acceptor, true, sequence, environment)?,
                unseal: Unseal::new(&subkey, Sender::Initiator, true, theirs),
            },
            session_key: part.session_key,
            sequence,
        };
        Ok((pending, reply))
    }

    /// Finds the key that opens the ticket. The name in the ticket is what the client asked for, in its spelling, and one
    /// account has many names; so the key decides, and the name only says which to try first.
    fn open(&self, ticket: &Ticket) -> Result<(EncTicketPart, &KeytabEntry, &Key), AcceptError> {
        let service = &ticket.service;
        let enc_part = &ticket.enc_part;
        let rank = |entry: &KeytabEntry| {
            let is_named = entry.principal.is_named_like(service);
            match enc_part.key_version.is_none_or(|version| version == entry.key_version) {
                true if is_named => 0,
                // The same account under another of its names.
                true => 1,
                false if is_named => 2,
                false => 3,
            }
        };
        let usable = || {
            self.keytab
                .entries()
                .iter()
                .filter(|entry| entry.etype == enc_part.etype)
                .filter_map(|entry| entry.key.as_ref().map(|key| (entry, key)))
        };
        let mut candidates: Vec<_> = usable().collect();
        candidates.sort_by_key(|(entry, _)| rank(entry));
        let mut tried: Vec<&Key> = Vec::new();
        for (entry, key) in candidates {
            // An account has one key under all its names.
            if tried.iter().any(|other| other.is_same(key)) {
                continue;
            }
            if tried.len() == MAX_TRIES {
                break;
            }
            tried.push(key);
            if let Ok(plain) = enc_part.open(key, KeyUsage::TICKET) {
                let part = EncTicketPart::decode(&plain).map_err(|error| {
                    EncTicketPart::foreign_etype(&plain).map_or(AcceptError::Malformed(error), |etype| {
                        AcceptError::SessionKey { etype, service: service.clone() }
                    })
                })?;
                return Ok((part, entry, key));
            }
        }
        Err(if usable().next().is_none() {
            AcceptError::NoKey { etype: enc_part.etype, service: service.clone() }
        } else {
            let is_ours = self.keytab.entries().iter().any(|entry| entry.principal.is_named_like(service));
            AcceptError::WrongKey { service: service.clone(), is_ours }
        })
    }

    fn check_ticket(
        &self,
        part: &EncTicketPart,
        service: &Principal,
        now: KerberosTime,
    ) -> Result<(), AcceptError> {
        let (client, service) = (|| part.client.clone(), || service.clone());
        let start = part.start_time.unwrap_or(part.auth_time);
        if !self.realms.contains(part.client.realm()) {
            return Err(AcceptError::Realm { client: client() });
        }
        if part.flags.has(TicketFlags::INVALID) {
            return Err(AcceptError::NotValidated { client: client() });
        }
        if now.plus(self.skew) < start {
            return Err(AcceptError::NotYetValid { client: client(), service: service(), start, ours: now });
        }
        if part.end_time.plus(self.skew) < now {
            let end = part.end_time;
            return Err(AcceptError::Expired { client: client(), service: service(), end, ours: now });
        }
        Ok(())
    }

    /// Whether an authenticator was made now, and comes for the first time.
    fn check_fresh(
        &self,
        request: &ApRequest,
        authenticator: &Authenticator,
        service: &Principal,
        now: KerberosTime,
    ) -> Result<(), AcceptError> {
        let client = authenticator.client.clone();
        let theirs = authenticator.moment.time;
        if self.skew < theirs.since(now).abs() {
            return Err(AcceptError::Skew { client, service: service.clone(), theirs, ours: now });
        }
        if !self.replays.is_new(&request.authenticator.cipher, now, 2 * self.skew) {
            return Err(AcceptError::Replay { client });
        }
        Ok(())
    }
}

/// The authenticator of whoever knows the session key, and so is the ticket's client.
fn authenticator_of(request: &ApRequest, part: &EncTicketPart) -> Result<Authenticator, AcceptError> {
    let client = || part.client.clone();
    let plain = request
        .authenticator
        .open(&part.session_key, KeyUsage::AP_AUTHENTICATOR)
        .map_err(|IntegrityError| AcceptError::WrongAuthenticator { client: client() })?;
    let authenticator = Authenticator::decode(&plain)?;
    if authenticator.client != part.client {
        return Err(AcceptError::Mismatch { client: client(), claimed: authenticator.client });
    }
    Ok(authenticator)
}

/// Looks at the flags of the context, which travel as a checksum (RFC 4121 4.1.1).
fn check_flags(authenticator: &Authenticator, demand: Demand) -> Result<(), AcceptError> {
    let flags = authenticator
        .checksum
        .as_ref()
        .filter(|checksum| checksum.kind == GSS_CHECKSUM)
        .and_then(|checksum| checksum.value.get(20..)?.first_chunk())
        .map(|flags| u32::from_le_bytes(*flags))
        .ok_or(AcceptError::Unsupported { what: "does not say what its context is to do" })?;
    let demanded = match demand {
        Demand::Nothing => 0,
        Demand::Integrity => flag::INTEGRITY,
        Demand::Privacy => flag::INTEGRITY | flag::CONFIDENTIALITY,
    };
    for (wanted, what) in [
        (flag::DCE_STYLE, "does not ask for the style of DCE"),
        (flag::MUTUAL, "does not ask this service to prove its identity"),
        (demanded, "does not ask for the protection that is required here"),
    ] {
        if flags & wanted != wanted {
            return Err(AcceptError::Unsupported { what });
        }
    }
    Ok(())
}

/// The PAC in a ticket's authorization data: in the first list that may be ignored, and nowhere deeper.
fn find_pac(authorization: &[AuthorizationData]) -> Result<Option<Vec<u8>>, PacError> {
    for element in authorization.iter().filter(|element| element.kind == AuthorizationData::IF_RELEVANT) {
        let inner = AuthorizationData::decode_list(&element.data)?;
        if let Some(pac) = inner.into_iter().find(|element| element.kind == AuthorizationData::PAC) {
            return Ok(Some(pac.data));
        }
    }
    Ok(None)
}

/// A client that has shown a ticket, and has yet to prove that it is there now. Who it is cannot be asked before.
pub struct Pending {
    accepted: Accepted,
    session_key: Key,
    sequence: u32,
}

impl Pending {
    /// Takes the third message: it proves that the client read the sequence number that was made for it, and so does not
    /// repeat what somebody else sent.
    ///
    /// # Errors
    /// [`AcceptError::Third`], [`AcceptError::Malformed`].
    pub fn finish(self, token: &[u8]) -> Result<Accepted, AcceptError> {
        let third = || AcceptError::Third { client: self.accepted.client.clone() };
        let reply = ApReply::decode(unframed(token, &[TokenId::Reply])?)?;
        let part = reply.open(&self.session_key).map_err(|IntegrityError| third())??;
        // Its times are no proof of anything: impacket puts the present there.
        if part.sequence != Some(self.sequence) {
            return Err(third());
        }
        Ok(self.accepted)
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending(..)")
    }
}

/// A context as its server has it.
#[derive(Debug)]
pub struct Accepted {
    /// Who the client is. A name of a realm, never one of this machine.
    pub client: Principal,
    /// What the client called this service.
    pub service: Principal,
    /// The version of the key that opened its ticket.
    pub key_version: u32,
    /// What the KDC says of the client, if it says anything.
    pub pac: Option<Pac>,
    /// When the ticket ends, and with it the context should.
    pub end_time: KerberosTime,
    /// Protects what the server sends.
    pub seal: Seal,
    /// Opens what the client sends.
    pub unseal: Unseal,
}

impl Accepted {
    /// When the ticket ends, as Windows counts time.
    #[must_use]
    pub const fn end(&self) -> FileTime {
        FileTime::from_unix_seconds(self.end_time.unix_seconds())
    }
}
