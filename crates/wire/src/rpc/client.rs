//! The client's side of one connection, without I/O and without cryptography (wire.md 2.2 to 2.11).
//!
//! Every method that makes a PDU leaves its encoding, sealing and sending to the caller, in that order and before the
//! next one. What arrives is cut from the stream with [`ClientConnection::peek`], unsealed in place,
//! decoded, and handed to [`ClientConnection::receive`].

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use super::{
    AckBody, Assembly, AssemblyError, AuthLevel, BindBody, BindOutcome, Body, ContextElement, FaultStatus,
    Features, Flags, Fragment, FragmentError, FragmentPlan, Header, MAX_FRAGMENT, MIN_FRAGMENT, NakReason,
    Pdu, PduError, PduKind, RequestBody, SyntaxId, Verifier,
};
use crate::ndr::Guid;

/// The highest call id: the next one would be negative (wire.md 2.9).
const MAX_CALL_ID: u32 = 0x7FFF_FFFF;

/// What one connection may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// The largest fragment in both directions, in bytes; at least [`MIN_FRAGMENT`].
    pub max_fragment: u16,
    /// The largest reassembled stub of a response, in bytes: more than the largest read.
    pub max_stub: usize,
    /// How many calls may wait for their answers. The server answers them one after the other.
    pub calls: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self { max_fragment: MAX_FRAGMENT, max_stub: 64 * 1024 * 1024, calls: 2 }
    }
}

/// What a PDU of the server means.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEvent<'a> {
    /// Nothing: read on.
    Wait,
    /// The bind or alter_context is answered. With a verifier, another leg follows.
    Bound {
        /// What became of each proposed interface, in the order proposed.
        results: Vec<BindOutcome>,
        /// What the server says to the authentication.
        verifier: Option<Verifier<'a>>,
    },
    /// The bind is refused as a whole.
    Refused(NakReason),
    /// A call is answered.
    Answer {
        /// Which call.
        call_id: u32,
        /// The reassembled stub.
        stub: Cow<'a, [u8]>,
    },
    /// A call, or an alter_context, has failed. Never a success, whatever the status.
    Fault {
        /// Which call.
        call_id: u32,
        /// Why.
        status: FaultStatus,
        /// Whether the server says that it did not begin to execute the call.
        did_not_execute: bool,
    },
    /// The server wants the connection closed.
    Shutdown,
}

/// Why the client's side cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server sent what nobody asked for. Its fault; close the connection.
    #[error(
        "the server sent a {kind:?} PDU for call {call_id}, which nothing waits for; close the connection"
    )]
    Unexpected {
        /// What it sent.
        kind: PduKind,
        /// For which call.
        call_id: u32,
    },
    /// The server answered a bind with other results than proposals, or with fragments below the minimum.
    #[error("the server's answer to the bind does not fit the bind; close the connection")]
    BadAck,
    /// The fragments of an answer do not fit together. The server's fault; close the connection.
    #[error("the server's answer does not fit together: {0}")]
    Assembly(#[from] AssemblyError),
    /// The fragment size has no room for a stub with this token.
    #[error(transparent)]
    Fragment(#[from] FragmentError),
    /// No accepted presentation context has this interface. The caller's fault: bind it first.
    #[error("the interface is not bound on this connection; bind it first")]
    NotBound,
    /// A call, or a bind, is still to be answered. The caller's fault: wait for the answer.
    #[error("as many calls as allowed wait for their answers; read an answer first")]
    Busy,
    /// All call ids are used up. Open another connection.
    #[error("the connection has used up its call ids; open another one")]
    CallIds,
}

/// A call that is to be sent: make each PDU by [`Outgoing::pdu`], in the order of [`Outgoing::fragments`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its call id.
    pub call_id: u32,
    /// How its stub is cut.
    pub fragments: FragmentPlan,
    context_id: u16,
    opnum: u16,
    object: Option<Guid>,
}

impl Outgoing {
    /// One request PDU: `fragment` of `stub`. A fragment beyond `stub` carries nothing.
    #[must_use]
    pub fn pdu<'a>(&self, fragment: &Fragment, stub: &'a [u8], verifier: Option<Verifier<'a>>) -> Pdu<'a> {
        let body = Body::Request(RequestBody {
            alloc_hint: fragment.alloc_hint,
            context_id: self.context_id,
            opnum: self.opnum,
            object: self.object,
            stub: stub.get(fragment.range.clone()).unwrap_or_default(),
        });
        Pdu { flags: fragment.flags, call_id: self.call_id, body, verifier }
    }
}

/// A bind or alter_context that is not answered yet.
#[derive(Debug, Clone)]
struct Proposal {
    call_id: u32,
    is_bind: bool,
}

/// One connection, seen from the client.
#[derive(Debug, Clone)]
pub struct ClientConnection {
    limits: ClientLimits,
    max_transmit: u16,
    last_call: u32,
    bind_call: u32,
    group: u32,
    header_signing: bool,
    features: Features,
    elements: Vec<ContextElement>,
    next_context: u16,
    bound: BTreeMap<u16, SyntaxId>,
    proposal: Option<Proposal>,
    calls: VecDeque<(u32, u16)>,
    assembly: Assembly<(u32, u16)>,
}

impl ClientConnection {
    /// A connection that has just been opened. `group` is 0, or the association group to join.
    #[must_use]
    pub const fn new(limits: ClientLimits, group: u32) -> Self {
        Self {
            limits,
            max_transmit: limits.max_fragment,
            last_call: 0,
            bind_call: 0,
            group,
            header_signing: false,
            features: Features::from_bits(0),
            elements: Vec::new(),
            next_context: 0,
            bound: BTreeMap::new(),
            proposal: None,
            calls: VecDeque::new(),
            assembly: Assembly::new(limits.max_stub),
        }
    }

    /// Cuts a PDU from the front of the received bytes: its header once that has arrived, none before.
    ///
    /// # Errors
    ///
    /// [`PduError`], the server's fault, [`PduError::BigEndian`] among others: close the connection.
    pub fn peek(&self, bytes: &[u8]) -> Result<Option<Header>, PduError> {
        Header::peek_little(bytes, self.limits.max_fragment)
    }

    /// Whether header signing was agreed (wire.md 2.11).
    #[must_use]
    pub const fn header_signing(&self) -> bool {
        self.header_signing
    }

    /// What the server granted of the features proposed by [`ClientConnection::bind`].
    #[must_use]
    pub const fn features(&self) -> Features {
        self.features
    }

    /// The association group that the server named, 0 before it did.
    #[must_use]
    pub const fn group(&self) -> u32 {
        self.group
    }

    /// The first PDU: binds `interfaces` and, with a verifier, begins authentication and proposes header signing.
    /// Feature negotiation is proposed as one more presentation context when `features` has any.
    ///
    /// # Errors
    ///
    /// [`ClientError::Busy`]; [`ClientError::CallIds`].
    pub fn bind<'a>(
        &mut self,
        interfaces: &[SyntaxId],
        features: Features,
        verifier: Option<Verifier<'a>>,
    ) -> Result<Pdu<'a>, ClientError> {
        self.expect_idle()?;
        self.elements = self.propose(interfaces);
        if let (true, Some(first)) = (features != Features::default(), interfaces.first()) {
            let id = self.take_context();
            let transfer_syntaxes = vec![features.proposal()];
            self.elements.push(ContextElement { id, abstract_syntax: *first, transfer_syntaxes });
        }
        self.proposing(true, verifier)
    }

    /// Binds further interfaces, without a verifier under the security context there is (wire.md 2.8).
    ///
    /// # Errors
    ///
    /// As [`ClientConnection::bind`].
    pub fn alter_context<'a>(
        &mut self,
        interfaces: &[SyntaxId],
        verifier: Option<Verifier<'a>>,
    ) -> Result<Pdu<'a>, ClientError> {
        // Before the proposals change: the answer to those on their way is compared with them.
        self.expect_idle()?;
        self.elements = self.propose(interfaces);
        self.proposing(false, verifier)
    }

    /// A later leg that the server answers: an alter_context that repeats the last proposals (wire.md 2.10).
    ///
    /// # Errors
    ///
    /// As [`ClientConnection::bind`].
    pub fn next_leg<'a>(&mut self, verifier: Verifier<'a>) -> Result<Pdu<'a>, ClientError> {
        self.proposing(false, Some(verifier))
    }

    /// The last leg, which the server does not answer. It repeats the call id of the bind (wire.md 2.9).
    #[must_use]
    pub const fn auth3<'a>(&self, verifier: Verifier<'a>) -> Pdu<'a> {
        Pdu { flags: Flags::ONLY, call_id: self.bind_call, body: Body::Auth3, verifier: Some(verifier) }
    }

    /// Begins a call with a stub of `length` bytes, under tokens of `token` bytes when it is authenticated.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotBound`]; [`ClientError::Busy`]; [`ClientError::CallIds`]; [`ClientError::Fragment`].
    pub fn call(
        &mut self,
        interface: SyntaxId,
        opnum: u16,
        object: Option<Guid>,
        length: usize,
        token: Option<u16>,
    ) -> Result<Outgoing, ClientError> {
        if self.proposal.is_some() || self.calls.len() >= self.limits.calls {
            return Err(ClientError::Busy);
        }
        let bound = self.bound.iter().find(|(_, bound)| **bound == interface);
        let (&context_id, _) = bound.ok_or(ClientError::NotBound)?;
        let fragments = FragmentPlan::new(length, self.max_transmit, object.is_some(), token)?;
        let call_id = self.take_call()?;
        self.calls.push_back((call_id, context_id));
        Ok(Outgoing { call_id, fragments, context_id, opnum, object })
    }

    /// From now on the stub of a response may have `max_stub` bytes: more for a call whose answer may be large, and less
    /// again behind it.
    pub const fn set_max_stub(&mut self, max_stub: usize) {
        self.limits.max_stub = max_stub;
        self.assembly.set_limit(max_stub);
    }

    /// Gives back the stub of an answer that is used up; see [`Assembly::recycle`].
    pub fn recycle(&mut self, stub: Vec<u8>) {
        self.assembly.recycle(stub);
    }

    /// Takes one PDU, unsealed.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; close the connection.
    pub fn receive<'a>(&mut self, pdu: &Pdu<'a>) -> Result<ClientEvent<'a>, ClientError> {
        let unexpected = ClientError::Unexpected { kind: pdu.body.kind(), call_id: pdu.call_id };
        match &pdu.body {
            Body::BindAck(ack) => self.acknowledged(pdu, ack, true).ok_or(unexpected)?,
            Body::AlterContextResponse(ack) => self.acknowledged(pdu, ack, false).ok_or(unexpected)?,
            Body::BindNak(nak) => {
                self.answered(pdu.call_id, Some(true)).ok_or(unexpected)?;
                Ok(ClientEvent::Refused(nak.reason))
            }
            Body::Response(response) => {
                let key = (pdu.call_id, response.context_id);
                if self.calls.front() != Some(&key) {
                    return Err(unexpected);
                }
                let Some(stub) = self.assembly.push(key, pdu.flags, response.stub)? else {
                    return Ok(ClientEvent::Wait);
                };
                self.calls.pop_front();
                Ok(ClientEvent::Answer { call_id: pdu.call_id, stub })
            }
            Body::Fault(fault) => {
                // A fault may answer a bind-class PDU too, and its context is not always filled in.
                if self.calls.front().is_some_and(|&(call_id, _)| call_id == pdu.call_id) {
                    self.calls.pop_front();
                    self.assembly.reset();
                } else {
                    self.answered(pdu.call_id, None).ok_or(unexpected)?;
                }
                let did_not_execute = pdu.flags.has(Flags::DID_NOT_EXECUTE);
                Ok(ClientEvent::Fault { call_id: pdu.call_id, status: fault.status, did_not_execute })
            }
            Body::Shutdown => Ok(ClientEvent::Shutdown),
            _ => Err(unexpected),
        }
    }

    fn propose(&mut self, interfaces: &[SyntaxId]) -> Vec<ContextElement> {
        let transfer_syntaxes = vec![SyntaxId::NDR];
        let element = |&abstract_syntax| ContextElement {
            id: self.take_context(),
            abstract_syntax,
            transfer_syntaxes: transfer_syntaxes.clone(),
        };
        interfaces.iter().map(element).collect()
    }

    fn proposing<'a>(
        &mut self,
        is_bind: bool,
        verifier: Option<Verifier<'a>>,
    ) -> Result<Pdu<'a>, ClientError> {
        self.expect_idle()?;
        let call_id = self.take_call()?;
        let protects = verifier.is_some_and(|verifier| verifier.level >= AuthLevel::Integrity);
        let flags = if is_bind && protects { Flags::ONLY.with(Flags::HEADER_SIGNING) } else { Flags::ONLY };
        if is_bind {
            self.bind_call = call_id;
        }
        let bind = BindBody {
            max_transmit: self.limits.max_fragment,
            max_receive: self.limits.max_fragment,
            association_group: self.group,
            elements: self.elements.clone(),
        };
        self.proposal = Some(Proposal { call_id, is_bind });
        let body = if is_bind { Body::Bind(bind) } else { Body::AlterContext(bind) };
        Ok(Pdu { flags, call_id, body, verifier })
    }

    /// The answer to a proposal; none when there is no such proposal.
    fn acknowledged<'a>(
        &mut self,
        pdu: &Pdu<'a>,
        ack: &AckBody,
        is_bind: bool,
    ) -> Option<Result<ClientEvent<'a>, ClientError>> {
        self.answered(pdu.call_id, Some(is_bind))?;
        if ack.results.len() != self.elements.len() || (is_bind && ack.max_receive < MIN_FRAGMENT) {
            return Some(Err(ClientError::BadAck));
        }
        if is_bind {
            self.max_transmit = self.limits.max_fragment.min(ack.max_receive);
            self.group = ack.association_group;
            self.header_signing = pdu.flags.has(Flags::HEADER_SIGNING) && pdu.verifier.is_some();
        }
        for (element, result) in self.elements.iter().zip(&ack.results) {
            let offered = |syntax: &SyntaxId| element.transfer_syntaxes.contains(syntax);
            match result {
                BindOutcome::Accepted(syntax) if *syntax == SyntaxId::NDR && offered(syntax) => {
                    self.bound.insert(element.id, element.abstract_syntax);
                }
                BindOutcome::Accepted(_) => return Some(Err(ClientError::BadAck)),
                BindOutcome::NegotiateAck(granted) => {
                    let Some(proposed) = element.transfer_syntaxes.first().and_then(Features::proposed_by)
                    else {
                        return Some(Err(ClientError::BadAck));
                    };
                    self.features = Features::from_bits(granted.to_bits() & proposed.to_bits());
                }
                BindOutcome::UserRejection { .. } | BindOutcome::ProviderRejection(_) => {}
            }
        }
        Some(Ok(ClientEvent::Bound { results: ack.results.clone(), verifier: pdu.verifier }))
    }

    /// Takes the proposal of this call id away, of this kind when one is given.
    fn answered(&mut self, call_id: u32, is_bind: Option<bool>) -> Option<Proposal> {
        self.proposal.take_if(|proposal| {
            proposal.call_id == call_id && is_bind.is_none_or(|is_bind| is_bind == proposal.is_bind)
        })
    }

    fn expect_idle(&self) -> Result<(), ClientError> {
        if self.proposal.is_some() || !self.calls.is_empty() { Err(ClientError::Busy) } else { Ok(()) }
    }

    fn take_context(&mut self) -> u16 {
        let id = self.next_context;
        self.next_context = id.wrapping_add(1);
        id
    }

    fn take_call(&mut self) -> Result<u32, ClientError> {
        if self.last_call >= MAX_CALL_ID {
            return Err(ClientError::CallIds);
        }
        self.last_call += 1;
        Ok(self.last_call)
    }
}
