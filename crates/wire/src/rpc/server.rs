//! The server's side of one connection, without I/O and without cryptography (wire.md 2.2 to 2.11).
//!
//! The caller cuts PDUs from the stream with [`ServerConnection::peek`], unseals each in place with the
//! security context its verifier names, decodes it, and hands it to [`ServerConnection::receive`]. Authentication
//! legs come back as [`ServerEvent::Authenticate`]; the caller runs them and reports by
//! [`ServerConnection::authenticated`].
//!
//! What a connection of a Windows client looks like from here, with NTLM in three legs (wire.md 2.3 to 2.6):
//!
//! | Received | Event | The caller then |
//! |---|---|---|
//! | bind, interface X as context 0, verifier id 5 with NEGOTIATE | `Authenticate`, first leg of 5 | reports `Continue` with CHALLENGE; sends the bind_ack that comes back |
//! | auth3, verifier id 5 with AUTHENTICATE | `Authenticate`, next leg of 5 | reports `Complete`; there is nothing to send |
//! | alter_context, interface Y as context 1, no verifier | `Send`, the answer to the proposals | sends it |
//! | request, context 1, first fragment, sealed under 5 | `Wait` | reads on |
//! | request, context 1, last fragment, sealed under 5 | `Call`, with the whole stub | answers it |
//!
//! Three numbers must not be taken for each other: the *presentation context* (0, 1) says which interface a call is for,
//! the *security context* (5) says who calls and how the call is protected, and the *call id* joins fragments and answers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{
    AckBody, Assembly, AuthLevel, AuthType, BindBody, BindOutcome, Body, FaultBody, FaultStatus, Features,
    Flags, Header, MAX_FRAGMENT, MAX_REQUEST_STUB, MIN_FRAGMENT, NakBody, NakReason, Pdu, PduError,
    RequestBody, SyntaxId, Verifier, negotiate,
};
use crate::ndr::Guid;

/// What one connection may hold (wire.md 2.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// The largest fragment in both directions, in bytes; at least [`MIN_FRAGMENT`].
    pub max_fragment: u16,
    /// The largest reassembled stub of a request, in bytes.
    pub max_stub: usize,
    /// The most presentation contexts.
    pub presentation_contexts: usize,
    /// The most security contexts.
    pub security_contexts: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            max_fragment: MAX_FRAGMENT,
            max_stub: MAX_REQUEST_STUB,
            presentation_contexts: 64,
            security_contexts: 16,
        }
    }
}

/// How far a security context is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecurityState {
    /// Legs are still to come.
    Pending,
    /// Usable.
    Ready,
    /// A leg failed; requests under it are refused.
    Failed,
}

/// A security context of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecurityContext {
    /// Its mechanism, the same in every verifier.
    pub auth_type: AuthType,
    /// Its level, the same in every verifier.
    pub level: AuthLevel,
    /// How far it is.
    pub state: SecurityState,
}

/// How a leg of authentication ended, in the caller's judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LegResult {
    /// More legs are to come.
    Continue,
    /// The context is complete.
    Complete,
    /// The context has failed for good.
    Failed,
}

/// A leg to run: feed the token to the acceptor of this security context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthLeg<'a> {
    /// `auth_context_id`: a new acceptor when it is new.
    pub context_id: u32,
    /// The mechanism.
    pub auth_type: AuthType,
    /// The level.
    pub level: AuthLevel,
    /// What the client says.
    pub token: &'a [u8],
    /// Whether this begins a new authentication, in a bind or with an id not seen before.
    pub is_first: bool,
    /// Whether header signing holds on the connection (wire.md 2.11).
    pub header_signing: bool,
}

/// A whole call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<'a> {
    /// To be repeated in the answer.
    pub call_id: u32,
    /// To be repeated in the answer.
    pub context_id: u16,
    /// The interface of that presentation context.
    pub interface: SyntaxId,
    /// The method.
    pub opnum: u16,
    /// The object UUID; in ORPC the IPID.
    pub object: Option<Guid>,
    /// The security context it came under, always a ready one; none without authentication.
    pub security: Option<u32>,
    /// The reassembled stub, with the verification trailer if there is one.
    pub stub: Cow<'a, [u8]>,
}

/// What a PDU asks of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerEvent<'a> {
    /// Nothing: read on.
    Wait,
    /// Send this and read on.
    Send(Pdu<'static>),
    /// Send this, if anything, and close the connection: the peer broke the protocol.
    Refuse(Option<Pdu<'static>>),
    /// Run this leg, then call [`ServerConnection::authenticated`].
    Authenticate(AuthLeg<'a>),
    /// Answer this call.
    Call(Call<'a>),
    /// The client gave up the call of this id.
    Orphaned {
        /// Which call.
        call_id: u32,
    },
}

/// What a method demands of the security context of its calls (wire.md 4.14, 4.18).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelRule {
    /// The lowest level at which it is answered; [`AuthLevel::None`] needs no authentication at all.
    pub minimum: AuthLevel,
    /// The status of the fault that answers calls below it.
    pub refusal: FaultStatus,
}

impl LevelRule {
    /// Everybody is answered.
    pub const OPEN: Self = Self { minimum: AuthLevel::None, refusal: FaultStatus::ACCESS_DENIED };
}

#[derive(Debug, Clone, PartialEq)]
struct RequestKey {
    call_id: u32,
    context_id: u16,
    opnum: u16,
    object: Option<Guid>,
    security: Option<u32>,
}

/// A bind-class PDU whose authentication leg is with the caller.
#[derive(Debug, Clone)]
struct PendingLeg {
    call_id: u32,
    context_id: u32,
    /// The answer, none for auth3, which has none.
    answer: Option<Body<'static>>,
    flags: Flags,
}

/// One connection, seen from the server.
#[derive(Debug, Clone)]
pub struct ServerConnection<F> {
    limits: ServerLimits,
    serves: F,
    level_rule: fn(&SyntaxId, u16) -> LevelRule,
    address: Vec<u8>,
    group: u32,
    max_transmit: u16,
    header_signing: Option<bool>,
    presentation: BTreeMap<u16, SyntaxId>,
    security: BTreeMap<u32, SecurityContext>,
    pending: Option<PendingLeg>,
    assembly: Assembly<RequestKey>,
}

impl<F: Fn(&SyntaxId) -> bool> ServerConnection<F> {
    /// A connection that has just been accepted, to an endpoint whose port in decimal is `address`, serving the
    /// interfaces for which `serves` is true. `group` is a non-zero number that no other association group has, for a
    /// client that asks for a new one. A client that names a group gets what it named, whether it is known or not: Windows
    /// clients insist on it, and a group carries no state here, no context handle above all (wire.md 2.3).
    #[must_use]
    pub const fn new(limits: ServerLimits, address: Vec<u8>, group: u32, serves: F) -> Self {
        Self {
            limits,
            serves,
            level_rule: |_, _| LevelRule::OPEN,
            address,
            group,
            max_transmit: limits.max_fragment,
            header_signing: None,
            presentation: BTreeMap::new(),
            security: BTreeMap::new(),
            pending: None,
            assembly: Assembly::new(limits.max_stub),
        }
    }

    /// The same connection, answering calls of an interface and opnum only as `rule` says; without this, all. Over a
    /// socket whose peer the system vouches for no rule is set: there every level counts as reached (wire.md 5.11).
    #[must_use]
    pub fn with_level_rule(self, rule: fn(&SyntaxId, u16) -> LevelRule) -> Self {
        Self { level_rule: rule, ..self }
    }

    /// Cuts a PDU from the front of the received bytes: its header once that has arrived, none before.
    ///
    /// # Errors
    ///
    /// [`PduError`], the client's fault: send [`refusal`](Self::refusal), if anything, and close the connection.
    pub fn peek(&self, bytes: &[u8]) -> Result<Option<Header>, PduError> {
        Header::peek_little(bytes, self.limits.max_fragment)
    }

    /// What tells the client why its PDU is refused: a fault for big-endian integers, nothing for PDUs of which even
    /// the call is not known.
    #[must_use]
    pub fn refusal(&self, error: &PduError) -> Option<Pdu<'static>> {
        match error {
            PduError::BigEndian { call_id } => Some(fault(*call_id, 0, FaultStatus::PROTOCOL_ERROR)),
            _ => None,
        }
    }

    /// The largest fragment to send, in bytes.
    #[must_use]
    pub const fn max_transmit(&self) -> u16 {
        self.max_transmit
    }

    /// Whether header signing was agreed on the connection (wire.md 2.11).
    #[must_use]
    pub fn header_signing(&self) -> bool {
        self.header_signing == Some(true)
    }

    /// How many bytes are held of a call whose fragments have not all come.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.assembly.held()
    }

    /// The security context of an `auth_context_id`.
    #[must_use]
    pub fn security(&self, context_id: u32) -> Option<SecurityContext> {
        self.security.get(&context_id).copied()
    }

    /// Takes one PDU, unsealed. While a leg is with the caller ([`ServerEvent::Authenticate`]), every PDU is refused: what
    /// it may do depends on how the leg ends.
    pub fn receive<'a>(&mut self, pdu: &Pdu<'a>) -> ServerEvent<'a> {
        if self.pending.is_some() {
            return ServerEvent::Refuse(None);
        }
        match &pdu.body {
            Body::Bind(bind) => self.bind(pdu, bind, true),
            Body::AlterContext(bind) => self.bind(pdu, bind, false),
            Body::Auth3 => self.auth3(pdu),
            Body::Request(request) => self.request(pdu, request),
            Body::Cancel => ServerEvent::Wait,
            Body::Orphaned => {
                self.assembly.reset();
                ServerEvent::Orphaned { call_id: pdu.call_id }
            }
            _ => ServerEvent::Refuse(Some(fault(pdu.call_id, 0, FaultStatus::PROTOCOL_ERROR))),
        }
    }

    /// Reports how the leg of [`ServerEvent::Authenticate`] ended, with the token to answer by, which may be empty.
    /// Send the answer, if there is one. Without a leg that was asked for nothing happens.
    pub fn authenticated<'t>(&mut self, result: LegResult, token: &'t [u8]) -> Option<Pdu<'t>> {
        let pending = self.pending.take()?;
        let context = self.security.get_mut(&pending.context_id)?;
        context.state = match result {
            LegResult::Continue => SecurityState::Pending,
            LegResult::Complete => SecurityState::Ready,
            LegResult::Failed => SecurityState::Failed,
        };
        let body = pending.answer?;
        // A refusal of Kerberos that says what the client can do about it travels in a bind_ack (kerberos.md 4.1).
        if result == LegResult::Failed && (token.is_empty() || !matches!(body, Body::BindAck(_))) {
            // wire.md 2.3: a bind is refused by bind_nak, an alter_context by a fault.
            return Some(match body {
                Body::BindAck(_) => nak(pending.call_id, NakReason::INVALID_CHECKSUM),
                _ => fault(pending.call_id, 0, FaultStatus::ACCESS_DENIED),
            });
        }
        let verifier = (!token.is_empty()).then_some(Verifier {
            auth_type: context.auth_type,
            level: context.level,
            context_id: pending.context_id,
            token,
        });
        Some(Pdu { flags: pending.flags, call_id: pending.call_id, body, verifier })
    }

    fn bind<'a>(&mut self, pdu: &Pdu<'a>, bind: &BindBody, is_bind: bool) -> ServerEvent<'a> {
        let refuse = |reason| {
            ServerEvent::Send(if is_bind {
                nak(pdu.call_id, reason)
            } else {
                fault(pdu.call_id, 0, FaultStatus::ACCESS_DENIED)
            })
        };
        if self.assembly.is_open() {
            return ServerEvent::Refuse(Some(fault(pdu.call_id, 0, FaultStatus::PROTOCOL_ERROR)));
        }
        if is_bind && (bind.max_receive < MIN_FRAGMENT || bind.max_transmit < MIN_FRAGMENT) {
            return refuse(NakReason::LOCAL_LIMIT);
        }
        // Only a bind agrees on sizes; an alter_context keeps them. Example: we allow 5,840, the client receives 4,280:
        // no answer is sent in fragments above 4,280 bytes.
        if is_bind {
            self.max_transmit = self.limits.max_fragment.min(bind.max_receive);
        }
        let leg = match &pdu.verifier {
            None => None,
            Some(verifier) => match self.begin_leg(pdu.flags, verifier, is_bind) {
                Some(leg) => Some(leg),
                None => return refuse(NakReason::LOCAL_LIMIT),
            },
        };
        if bind.association_group != 0 {
            self.group = bind.association_group;
        }
        let results = self.present(bind);
        let ack = AckBody {
            max_transmit: self.max_transmit,
            max_receive: if is_bind {
                self.limits.max_fragment.min(bind.max_transmit)
            } else {
                self.limits.max_fragment
            },
            association_group: self.group,
            secondary_address: if is_bind { self.address.clone() } else { Vec::new() },
            results,
        };
        let body = if is_bind { Body::BindAck(ack) } else { Body::AlterContextResponse(ack) };
        // The flag is repeated when it was sent and agreed (wire.md 2.11).
        let flags = if pdu.flags.has(Flags::HEADER_SIGNING) && self.header_signing() {
            Flags::ONLY.with(Flags::HEADER_SIGNING)
        } else {
            Flags::ONLY
        };
        match leg {
            None => ServerEvent::Send(Pdu { flags, call_id: pdu.call_id, body, verifier: None }),
            Some(leg) => {
                let (call_id, context_id) = (pdu.call_id, leg.context_id);
                self.pending = Some(PendingLeg { call_id, context_id, answer: Some(body), flags });
                ServerEvent::Authenticate(leg)
            }
        }
    }

    /// Answers the proposals and remembers those accepted, up to the limit.
    fn present(&mut self, bind: &BindBody) -> Vec<BindOutcome> {
        let mut results = negotiate(&bind.elements, Features::SECURITY_CONTEXT_MULTIPLEXING, &self.serves);
        for (element, result) in bind.elements.iter().zip(&mut results) {
            if !matches!(result, BindOutcome::Accepted(_)) {
                continue;
            }
            let known = self.presentation.contains_key(&element.id);
            if known || self.presentation.len() < self.limits.presentation_contexts {
                self.presentation.insert(element.id, element.abstract_syntax);
            } else {
                *result = BindOutcome::ProviderRejection(super::ProviderReason::LOCAL_LIMIT);
            }
        }
        results
    }

    /// Enters a leg into the table of security contexts; none when the table is full, or when the leg contradicts
    /// the context it continues.
    fn begin_leg<'a>(&mut self, flags: Flags, verifier: &Verifier<'a>, is_bind: bool) -> Option<AuthLeg<'a>> {
        let Verifier { auth_type, level, context_id, token } = *verifier;
        let known = self.security.get(&context_id).copied();
        let continues = known.is_some_and(|known| {
            !is_bind
                && known.state == SecurityState::Pending
                && (known.auth_type, known.level) == (auth_type, level)
        });
        if !continues {
            // An id is used once, but a second bind begins again (wire.md 2.8).
            if known.is_some() && !is_bind {
                return None;
            }
            if known.is_none() && self.security.len() >= self.limits.security_contexts {
                return None;
            }
            self.security
                .insert(context_id, SecurityContext { auth_type, level, state: SecurityState::Pending });
        }
        // The first leg that can sign decides for the whole connection, also for security contexts that come later
        // (wire.md 2.11): a later leg can neither switch header signing on nor off.
        if self.header_signing.is_none() && level >= AuthLevel::Integrity {
            self.header_signing = Some(flags.has(Flags::HEADER_SIGNING));
        }
        let header_signing = self.header_signing();
        Some(AuthLeg { context_id, auth_type, level, token, is_first: !continues, header_signing })
    }

    /// The last leg without answer. A bad one shows at the first request (wire.md 2.5).
    fn auth3<'a>(&mut self, pdu: &Pdu<'a>) -> ServerEvent<'a> {
        let Some(verifier) = &pdu.verifier else { return ServerEvent::Refuse(None) };
        if self.security(verifier.context_id).is_none() {
            return ServerEvent::Refuse(None);
        }
        let Some(leg) = self.begin_leg(pdu.flags, verifier, false) else { return ServerEvent::Refuse(None) };
        let (call_id, context_id) = (pdu.call_id, leg.context_id);
        self.pending = Some(PendingLeg { call_id, context_id, answer: None, flags: Flags::ONLY });
        ServerEvent::Authenticate(leg)
    }

    fn request<'a>(&mut self, pdu: &Pdu<'a>, request: &RequestBody<'a>) -> ServerEvent<'a> {
        let refuse = |status| Some(fault(pdu.call_id, request.context_id, status));
        let security = pdu.verifier.as_ref().map(|verifier| verifier.context_id);
        // The caller has unsealed the PDU under this security context already. What is asked here is whether the context may
        // carry calls: one whose last leg failed at an auth3, which has no answer, is refused at its first request.
        if let Some(verifier) = &pdu.verifier {
            let ready = self.security(verifier.context_id).is_some_and(|context| {
                context.state == SecurityState::Ready
                    && (context.auth_type, context.level) == (verifier.auth_type, verifier.level)
            });
            if !ready {
                self.assembly.reset();
                return ServerEvent::Refuse(refuse(FaultStatus::ACCESS_DENIED));
            }
        }
        let Some(&interface) = self.presentation.get(&request.context_id) else {
            self.assembly.reset();
            return ServerEvent::Refuse(refuse(FaultStatus::INVALID_PRESENTATION_CONTEXT));
        };
        let RequestBody { context_id, opnum, object, stub, .. } = *request;
        let rule = (self.level_rule)(&interface, opnum);
        let level = pdu.verifier.as_ref().map_or(AuthLevel::None, |verifier| verifier.level);
        if level < rule.minimum {
            self.assembly.reset();
            // A call in one fragment costs only itself; of another the rest is still on its way.
            return if pdu.flags.has(Flags::ONLY) {
                ServerEvent::Send(fault(pdu.call_id, context_id, rule.refusal))
            } else {
                ServerEvent::Refuse(refuse(rule.refusal))
            };
        }
        // Fragments belong together if they agree in everything but the stub; a mixture is an error of `push`.
        let call_id = pdu.call_id;
        let key = RequestKey { call_id, context_id, opnum, object, security };
        match self.assembly.push(key, pdu.flags, stub) {
            Ok(None) => ServerEvent::Wait,
            Ok(Some(stub)) => {
                ServerEvent::Call(Call { call_id, context_id, interface, opnum, object, security, stub })
            }
            Err(error) => ServerEvent::Refuse(refuse(error.fault())),
        }
    }
}

/// A fault without verifier for a call that did not execute (wire.md 2.6, 2.16).
fn fault(call_id: u32, context_id: u16, status: FaultStatus) -> Pdu<'static> {
    let body = Body::Fault(FaultBody::plain(context_id, status));
    Pdu { flags: Flags::ONLY.with(Flags::DID_NOT_EXECUTE), call_id, body, verifier: None }
}

fn nak(call_id: u32, reason: NakReason) -> Pdu<'static> {
    let body = Body::BindNak(NakBody::plain(reason));
    Pdu { flags: Flags::ONLY, call_id, body, verifier: None }
}
