//! One RPC connection, blocking: bind, authenticate, call (wire.md 2.2 to 2.11).
//!
//! Over the network every connection authenticates, at packet privacy, and nothing but the handshake travels
//! unsealed. Over a socket of this machine there is no verifier at all (wire.md 5.11).

use std::time::Duration;

use certadm_auth::{Established, Initiator, LastLeg, Level, PeerIdentity, Protection, Segments, Unsealer};
use certadm_wire::dcom::Iid;
use certadm_wire::rpc::{
    AuthType, BindOutcome, Body, ClientConnection, ClientEvent, ClientLimits, FaultStatus, Features, Header,
    NakReason, Pdu, PduError, PduKind, SyntaxId, Verifier,
};

use crate::error::Error;
use crate::feed::{Ended, Feed};
use crate::outlet::{Outlet, Ready, SecurityId, SendError};
use crate::pace::Pace;
use crate::stream::Stream;
use crate::target::Timeouts;
use crate::told::Told;

/// The one security context of a connection (wire.md 2.8).
const SECURITY_CONTEXT: u32 = 1;
/// No mechanism takes more round trips than this.
const MAX_LEGS: usize = 8;
/// The largest answer but of [`Connection::call_up_to`]: a list of the greatest length that is decoded, or a read buffer,
/// with what is around them.
const MAX_ANSWER: usize = 36 * 1024 * 1024;
/// What stands around a value in an answer: ORPCTHAT with its extensions, counts, the code.
const AROUND_VALUE: usize = 64 * 1024;

/// An interface, and what it is called in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) syntax: SyntaxId,
    pub(crate) name: &'static str,
}

impl Interface {
    pub(crate) const ACTIVATOR: Self =
        Self { syntax: Iid::REMOTE_SCM_ACTIVATOR.syntax(), name: "the activation service" };
    pub(crate) const RESOLVER: Self =
        Self { syntax: Iid::OBJECT_EXPORTER.syntax(), name: "the object resolver" };
    pub(crate) const CLASS_FACTORY: Self =
        Self { syntax: Iid::CLASS_FACTORY.syntax(), name: "IClassFactory" };
    pub(crate) const CERT_ADMIN: Self = Self { syntax: Iid::CERT_ADMIN.syntax(), name: "ICertAdminD" };
    pub(crate) const CERT_ADMIN_2: Self = Self { syntax: Iid::CERT_ADMIN_2.syntax(), name: "ICertAdminD2" };
    pub(crate) const REM_UNKNOWN: Self = Self { syntax: Iid::REM_UNKNOWN.syntax(), name: "IRemUnknown" };

    pub(crate) const fn syntax(self) -> SyntaxId {
        self.syntax
    }

    /// The interface as DCOM names it.
    pub(crate) const fn iid(self) -> Iid {
        Iid(self.syntax.uuid)
    }
}

/// A connection. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Connection {
    peer: String,
    stream: Stream,
    outlet: Outlet,
    feed: Feed,
    unsealing: Option<(SecurityId, Unsealer)>,
    timeouts: Timeouts,
    /// A call that was sent ahead, whose answer nobody has taken yet.
    ahead: Option<u32>,
    /// The logon ended with auth3, which has no answer, and no call was answered under it yet.
    unconfirmed: bool,
    broken: bool,
}

/// What arrived.
enum Event {
    Bound { results: Vec<BindOutcome>, token: Option<Vec<u8>> },
    Refused { reason: NakReason, told: Told },
    Answer { call_id: u32, stub: Vec<u8> },
    Fault { call_id: u32, status: FaultStatus, did_not_execute: bool, told: Told },
}

impl Connection {
    /// Takes over a stream that has just been connected to what messages call `peer`.
    ///
    /// # Errors
    /// [`Error::Connect`] when the system has no more handles.
    pub(crate) fn over(stream: Stream, peer: String, timeouts: Timeouts) -> Result<Self, Error> {
        let limits = ClientLimits { max_stub: MAX_ANSWER, ..ClientLimits::default() };
        let handle = || stream.try_clone().map_err(|source| Error::Connect { peer: peer.clone(), source });
        let outlet = Outlet::new(handle()?, ClientConnection::new(limits, 0));
        let feed = Feed::new(handle()?);
        Ok(Self {
            peer,
            stream,
            outlet,
            feed,
            unsealing: None,
            timeouts,
            ahead: None,
            unconfirmed: false,
            broken: false,
        })
    }

    /// What messages call the other end.
    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    /// The other end's address; none for a socket of this machine.
    pub(crate) fn peer_address(&self) -> Option<std::net::SocketAddr> {
        self.stream.peer_address()
    }

    /// From now on no answer is waited for longer than a connection.
    pub(crate) const fn hurry(&mut self) {
        self.timeouts.call = self.timeouts.connect;
    }

    /// Ends it: every later call fails.
    pub(crate) fn cut(&mut self) {
        self.broken = true;
        self.stream.shut();
    }

    /// Whether calls are signed and encrypted.
    pub(crate) const fn is_sealed(&self) -> bool {
        self.unsealing.is_some()
    }

    /// Whether it is of no use any more.
    pub(crate) const fn is_broken(&self) -> bool {
        self.broken
    }

    /// The first step on a connection: binds `interface`, and authenticates by `initiator` where there is one.
    ///
    /// # Errors
    /// [`Error::NoInterface`], [`Error::BindRefused`], [`Error::Authentication`], [`Error::Unprotected`], and those of
    /// a connection.
    pub(crate) fn bind(
        &mut self,
        interface: Interface,
        initiator: Option<Box<dyn Initiator>>,
        during: &'static str,
    ) -> Result<(), Error> {
        let bound = match initiator {
            Some(initiator) => self.bind_authenticated(interface, initiator, during),
            None => self.bind_plain(interface, during),
        };
        self.remember(bound)
    }

    /// Binds a further interface under the security context there is (wire.md 2.8).
    ///
    /// # Errors
    /// As [`Connection::bind`].
    pub(crate) fn add_interface(&mut self, interface: Interface, during: &'static str) -> Result<(), Error> {
        self.settle(during)?;
        let added = self.alter(interface, during);
        self.remember(added)
    }

    /// One call, from request to answer: the stub of the answer.
    ///
    /// # Errors
    /// [`Error::Fault`], and those of a connection.
    pub(crate) fn call(&mut self, request: &Ready, during: &'static str) -> Result<Vec<u8>, Error> {
        self.settle(during)?;
        let answer = self.send(request, during).and_then(|call_id| self.answer(call_id, during));
        self.remember(answer)
    }

    /// The same for an answer that may hold a value of up to `most` bytes, however large.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub(crate) fn call_up_to(
        &mut self,
        most: usize,
        request: &Ready,
        during: &'static str,
    ) -> Result<Vec<u8>, Error> {
        // What a request sent ahead is answered has the usual size.
        self.settle(during)?;
        self.outlet.machine.set_max_stub(MAX_ANSWER.max(most.saturating_add(AROUND_VALUE)));
        let answer = self.call(request, during);
        self.outlet.machine.set_max_stub(MAX_ANSWER);
        answer
    }

    /// One call of a row of equal ones: takes the answer to the request sent ahead by the call before, or sends
    /// `request`; and lets `next` be sent as soon as that answer is there. Whether it was, says
    /// [`Connection::is_ahead`].
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub(crate) fn call_ahead(
        &mut self,
        request: &Ready,
        next: Option<Ready>,
        during: &'static str,
    ) -> Result<Vec<u8>, Error> {
        let answer = self.answer_and_arm(request, next, during);
        self.remember(answer)
    }

    /// Gives back the stub of an answer that is used up, as storage for the next.
    pub(crate) fn recycle(&mut self, stub: Vec<u8>) {
        self.outlet.machine.recycle(stub);
    }

    /// Whether a request was sent ahead.
    pub(crate) const fn is_ahead(&self) -> bool {
        self.ahead.is_some()
    }

    fn answer_and_arm(
        &mut self,
        request: &Ready,
        next: Option<Ready>,
        during: &'static str,
    ) -> Result<Vec<u8>, Error> {
        let call_id = match self.ahead.take() {
            Some(call_id) => call_id,
            None => self.send(request, during)?,
        };
        if let Some(next) = next {
            self.outlet.arm(call_id, next);
        }
        let answer = self.answer(call_id, during);
        self.outlet.armed = None;
        let fired = self.outlet.fired.take();
        // A request that could not be sent shows when its answer is wanted.
        match fired.transpose() {
            Ok(ahead) => self.ahead = ahead,
            Err(error) => {
                tracing::debug!(%error, "the request ahead was not sent");
                self.broken = true;
            }
        }
        answer
    }

    /// Takes the answer to a request sent ahead that nobody wants any more.
    ///
    /// # Errors
    /// Those of a connection.
    pub(crate) fn settle(&mut self, during: &'static str) -> Result<(), Error> {
        let Some(call_id) = self.ahead.take() else { return Ok(()) };
        let answer = self.answer(call_id, during);
        match self.remember(answer) {
            Err(error) if error.ends_connection() => Err(error),
            _ => Ok(()),
        }
    }

    fn remember<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if result.as_ref().is_err_and(Error::ends_connection) {
            self.broken = true;
            self.stream.shut();
        }
        result
    }

    fn bind_plain(&mut self, interface: Interface, during: &'static str) -> Result<(), Error> {
        let pdu = self.outlet.machine.bind(&[interface.syntax()], Features::default(), None);
        let pdu = pdu.map_err(|source| self.conversation(source))?;
        self.send_plain(&pdu, during)?;
        let (results, _) = self.bound(during)?;
        self.expect_accepted(interface, &results)
    }

    fn alter(&mut self, interface: Interface, during: &'static str) -> Result<(), Error> {
        let pdu = self.outlet.machine.alter_context(&[interface.syntax()], None);
        let pdu = pdu.map_err(|source| self.conversation(source))?;
        self.send_plain(&pdu, during)?;
        let (results, _) = self.bound(during)?;
        self.expect_accepted(interface, &results)
    }

    /// The legs of wire.md 2.10.
    fn bind_authenticated(
        &mut self,
        interface: Interface,
        mut initiator: Box<dyn Initiator>,
        during: &'static str,
    ) -> Result<(), Error> {
        let auth_type = initiator.auth_type();
        let mut step = self.step(&mut *initiator, &[])?;
        let first = self.outlet.machine.bind(
            &[interface.syntax()],
            Features::SECURITY_CONTEXT_MULTIPLEXING,
            Some(own_verifier(auth_type, &step.token_out)),
        );
        let first = first.map_err(|source| self.conversation(source))?;
        self.send_plain(&first, during)?;
        drop(first);
        let (results, mut token) = self.bound(during)?;
        self.expect_accepted(interface, &results)?;
        for _ in 0..MAX_LEGS {
            let answer =
                token.take().ok_or_else(|| self.unprotected("leaves the authentication unanswered"))?;
            step = self.step(&mut *initiator, &answer)?;
            let last = own_verifier(auth_type, &step.token_out);
            match (&step.done, initiator.last_leg()) {
                (Some(_), _) if step.token_out.is_empty() => {}
                (Some(_), LastLeg::Auth3) => {
                    let pdu = self.outlet.machine.auth3(last);
                    self.send_plain(&pdu, during)?;
                    self.unconfirmed = true;
                }
                _ => {
                    let pdu = self.outlet.machine.next_leg(last);
                    let pdu = pdu.map_err(|source| self.conversation(source))?;
                    self.send_plain(&pdu, during)?;
                    token = self.bound(during)?.1;
                }
            }
            if let Some(done) = step.done {
                return self.protect(auth_type, done);
            }
        }
        Err(self.unprotected("does not come to an end of the authentication"))
    }

    /// Seals what comes from now on. Where a ticket proved the name, the headers are signed, too: else somebody between the hosts
    /// could turn the end of a backup into the deletion of the CA's logs, for these two differ in their headers alone. NTLM signs
    /// headers in any case.
    fn protect(&mut self, auth_type: AuthType, established: Established) -> Result<(), Error> {
        let Established { sealer, unsealer, peer, .. } = established;
        let header_signing = self.outlet.machine.header_signing();
        if !header_signing && matches!(peer, PeerIdentity::Service { mutual: true, .. }) {
            return Err(self.unprotected("does not have the headers of messages signed"));
        }
        let protection = Protection { level: Level::Privacy, header_signing };
        let id = SecurityId { auth_type, context_id: SECURITY_CONTEXT, protection };
        self.outlet.protect(id, sealer);
        self.unsealing = Some((id, unsealer));
        Ok(())
    }

    fn step(&self, initiator: &mut dyn Initiator, token: &[u8]) -> Result<certadm_auth::Step, Error> {
        initiator.step(token).map_err(|source| Error::Authentication { peer: self.peer.clone(), source })
    }

    fn expect_accepted(&self, interface: Interface, results: &[BindOutcome]) -> Result<(), Error> {
        match results.first() {
            Some(BindOutcome::Accepted(_)) => Ok(()),
            _ => Err(Error::NoInterface { peer: self.peer.clone(), interface: interface.name }),
        }
    }

    fn send_plain(&self, pdu: &Pdu<'_>, during: &'static str) -> Result<(), Error> {
        if self.broken {
            return Err(self.not_sent(during));
        }
        Outlet::send_plain(&self.stream, pdu).map_err(|error| self.send_failed(error, during))
    }

    fn send(&mut self, request: &Ready, during: &'static str) -> Result<u32, Error> {
        if self.broken {
            return Err(self.not_sent(during));
        }
        let sent = self.outlet.send(request);
        sent.map_err(|error| self.send_failed(error, during))
    }

    /// The answer to a bind or alter_context: results, and the token in it.
    fn bound(&mut self, during: &'static str) -> Result<(Vec<BindOutcome>, Option<Vec<u8>>), Error> {
        match self.event(during, self.timeouts.connect)? {
            Event::Bound { results, token } => Ok((results, token)),
            Event::Refused { reason, told } => {
                Err(Error::BindRefused { peer: self.peer.clone(), during, reason, told })
            }
            Event::Fault { status, did_not_execute, told, .. } => {
                self.broken = true;
                Err(Error::Fault { call: during, status, did_not_execute, told })
            }
            Event::Answer { call_id, .. } => Err(self.unexpected(PduKind::Response, call_id)),
        }
    }

    fn answer(&mut self, expected: u32, during: &'static str) -> Result<Vec<u8>, Error> {
        match self.event(during, self.timeouts.call)? {
            Event::Answer { call_id, stub } if call_id == expected => {
                self.unconfirmed = false;
                Ok(stub)
            }
            Event::Fault { call_id, status, did_not_execute, told } if call_id == expected => {
                // A logon that failed at auth3 shows at the first call (wire.md 2.5): on Windows as status 5, on Samba as
                // a call that comes before the logon's end.
                let is_refused =
                    std::mem::take(&mut self.unconfirmed) && status == FaultStatus::PROTOCOL_ERROR;
                let status = if is_refused { FaultStatus::ACCESS_DENIED } else { status };
                Err(Error::Fault { call: during, status, did_not_execute, told })
            }
            Event::Answer { call_id, .. } | Event::Fault { call_id, .. } => {
                Err(self.unexpected(PduKind::Response, call_id))
            }
            Event::Bound { .. } | Event::Refused { .. } => Err(self.unexpected(PduKind::BindAck, expected)),
        }
    }

    /// Takes PDUs until one of them says something. Every fragment is unsealed as soon as it is there.
    fn event(&mut self, during: &'static str, timeout: Duration) -> Result<Event, Error> {
        let Self { feed, unsealing, outlet, peer, .. } = self;
        let mut pace = Pace::new(timeout);
        loop {
            // Nobody is waited for longer than the time there is, and a flood of small fragments does not make it longer.
            let left = Some(pace.left()).filter(|left| !left.is_zero()).ok_or(None);
            let waited = left.and_then(|left| feed.wait(left));
            waited.map_err(|ended| receive_failed(ended, peer, during, pace.seconds()))?;
            outlet.answer_arrived(feed.arrived());
            let (header, pdu) = feed.take().map_err(|source| Error::Pdu { peer: peer.clone(), source })?;
            if matches!(header.kind, PduKind::Response | PduKind::Fault)
                && let Some((id, unsealer)) = unsealing
            {
                unseal(&header, pdu, id, unsealer, peer)?;
            }
            let pdu_failed = |source: PduError| Error::Pdu { peer: peer.clone(), source };
            let pdu = Pdu::decode(pdu).map_err(pdu_failed)?;
            if let Body::Response(response) = &pdu.body {
                pace.delivered(response.stub.len());
            }
            let event = outlet.machine.receive(&pdu);
            match event.map_err(|source| Error::Conversation { peer: peer.clone(), source })? {
                ClientEvent::Wait => {}
                ClientEvent::Bound { results, verifier } => {
                    return Ok(Event::Bound { results, token: own_token(verifier, peer)? });
                }
                ClientEvent::Refused(reason) => {
                    let extended = if let Body::BindNak(nak) = &pdu.body { nak.extended } else { &[] };
                    return Ok(Event::Refused { reason, told: Told::of_refusal(extended) });
                }
                ClientEvent::Answer { call_id, stub } => {
                    return Ok(Event::Answer { call_id, stub: stub.into_owned() });
                }
                ClientEvent::Fault { call_id, status, did_not_execute } => {
                    let extended = if let Body::Fault(fault) = &pdu.body { fault.extended } else { &[] };
                    let told = Told::of(status, extended);
                    return Ok(Event::Fault { call_id, status, did_not_execute, told });
                }
                // Shutdown, and whatever may come to mean the same.
                _ => return Err(Error::Lost { peer: peer.clone(), during, source: None }),
            }
        }
    }

    fn not_sent(&self, during: &'static str) -> Error {
        Error::NotSent { peer: self.peer.clone(), during }
    }

    fn unprotected(&self, detail: &'static str) -> Error {
        Error::Unprotected { peer: self.peer.clone(), detail }
    }

    fn conversation(&self, source: certadm_wire::rpc::ClientError) -> Error {
        Error::Conversation { peer: self.peer.clone(), source }
    }

    fn unexpected(&self, kind: PduKind, call_id: u32) -> Error {
        self.conversation(certadm_wire::rpc::ClientError::Unexpected { kind, call_id })
    }

    fn send_failed(&self, error: SendError, during: &'static str) -> Error {
        let peer = self.peer.clone();
        match error {
            SendError::Machine(source) => Error::Conversation { peer, source },
            SendError::Seal(source) => Error::Protection { peer, source },
            SendError::Io(error) => {
                tracing::debug!(%error, during, "sending failed");
                self.not_sent(during)
            }
            // Our own PDUs are within their limits; one that were not was not sent.
            SendError::Encode(error) => {
                tracing::error!(%error, during, "a request does not fit into its PDUs");
                self.not_sent(during)
            }
        }
    }
}

/// A verifier of the connection's one security context.
const fn own_verifier(auth_type: AuthType, token: &[u8]) -> Verifier<'_> {
    Verifier { auth_type, level: SecurityId::LEVEL, context_id: SECURITY_CONTEXT, token }
}

fn receive_failed(ended: Option<Ended>, peer: &str, during: &'static str, seconds: u64) -> Error {
    let peer = peer.to_owned();
    match ended {
        None => Error::Timeout { peer, during, seconds },
        Some(Ended::Closed) => Error::Lost { peer, during, source: None },
        Some(Ended::Io(source)) => Error::Lost { peer, during, source: Some(source) },
        Some(Ended::Pdu(source)) => Error::Pdu { peer, source },
    }
}

/// Opens a PDU in place. A fault may come without verifier, and is believed to be a failure all the same (wire.md
/// 2.16); an answer may not.
fn unseal(
    header: &Header,
    pdu: &mut [u8],
    id: &SecurityId,
    unsealer: &mut Unsealer,
    peer: &str,
) -> Result<(), Error> {
    let unprotected = |detail| Error::Unprotected { peer: peer.to_owned(), detail };
    let pdu_failed = |source: PduError| Error::Pdu { peer: peer.to_owned(), source };
    let layout = certadm_wire::rpc::Layout::of(header, pdu).map_err(pdu_failed)?;
    let Some(verifier) = layout.verifier(header, pdu).map_err(pdu_failed)? else {
        return match header.kind {
            PduKind::Fault => Ok(()),
            _ => Err(unprotected("answers without protection")),
        };
    };
    if !id.owns(&verifier) {
        return Err(unprotected("answers under another security context or level"));
    }
    let broken = |source| Error::Protection { peer: peer.to_owned(), source };
    let (segments, token) = Segments::split(pdu, layout.header.end, layout.token.len()).map_err(broken)?;
    unsealer.unseal(id.protection, segments, token).map_err(broken)
}

/// The token in an answer to a bind, which must be of the context that was begun (wire.md 7, item 5).
fn own_token(verifier: Option<Verifier<'_>>, peer: &str) -> Result<Option<Vec<u8>>, Error> {
    match verifier {
        Some(verifier) if (verifier.level, verifier.context_id) != (SecurityId::LEVEL, SECURITY_CONTEXT) => {
            let detail = "answers the authentication under another context or level";
            Err(Error::Unprotected { peer: peer.to_owned(), detail })
        }
        verifier => Ok(verifier.map(|verifier| verifier.token.to_vec())),
    }
}
