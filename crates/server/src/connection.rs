//! One connection: PDUs in, answers out, with the security contexts that were proven on it.

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use certadm_auth::{Acceptor, AuthError, Established, Level, PeerIdentity, Protection, Segments, Step};
use certadm_files::AlignedBuffer;
use certadm_rules::flags::{MAX_READ_BUFFER, Origin, Roles};
use certadm_wire::dcom::level_rule;
use certadm_wire::ndr::ByteOrder;
use certadm_wire::rpc::{
    AuthLeg, AuthLevel, Body, Call, FaultBody, FaultStatus, Flags, FragmentPlan, Header, Layout, LegResult,
    NakBody, NakReason, Pdu, PduError, PduKind, ResponseBody, SecurityState, ServerConnection, ServerEvent,
    ServerLimits, SyntaxId, Verifier,
};

use crate::access::Caller;
use crate::audit;
use crate::brake::Judged;
use crate::call::{Answer, Circumstances};
use crate::contexts::{Context, Keys, Retired, has_role, retire, roles_of};
use crate::dispatch;
use crate::identity::{Identity, Incarnation};
use crate::incoming::{Incoming, IncomingError};
use crate::limits::{RESOLVER_STUB, WRITE_BATCH};
use crate::listeners::Port;
use crate::object::ConnectionId;
use crate::read::ReadAnswer;
use crate::refusals;
use crate::shared::Shared;
use crate::tickets::left_of;
use crate::transport::Stream;
use crate::unsealed::Unsealed;

/// The longest token of a sealed PDU (wire.md 2.8): room for Kerberos, too.
const ZERO_TOKEN: [u8; 128] = [0; 128];

/// The largest buffer of a read that a connection keeps, in bytes: of one that was refused, and of one that was answered, which only
/// the caller has whose backup runs.
const MAX_SPARE: usize = 1024 * 1024;
const MAX_SPARE_OF_BACKUP: usize = MAX_READ_BUFFER as usize + 64 * 1024;

/// A connection and everything that ends with it.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    pub(crate) id: ConnectionId,
    stream: Arc<Stream>,
    /// Who is at the other end of the Unix socket.
    local: Option<Identity>,
    rpc: ServerConnection<fn(&SyntaxId) -> bool>,
    handshakes: HashMap<u32, Box<dyn Acceptor>>,
    contexts: HashMap<u32, Context>,
    incoming: Incoming,
    outgoing: Vec<u8>,
    /// What the last read was answered from.
    spare: Option<AlignedBuffer>,
    accepted: Instant,
    last: Instant,
    /// Its caller had no role when he was proven.
    is_roleless: bool,
}

/// Whether the connection goes on.
#[derive(PartialEq, Eq)]
enum Then {
    GoOn,
    Close,
}

/// How a connection is met.
pub(crate) struct Accepted {
    pub(crate) id: ConnectionId,
    pub(crate) stream: Arc<Stream>,
    pub(crate) port: Port,
    /// Who is at the other end of the Unix socket.
    pub(crate) local: Option<Identity>,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, accepted: Accepted) -> Self {
        let Accepted { id, stream, port, local } = accepted;
        let (address, serves) = match port {
            Port::Resolver => (shared.addresses.resolver.port(), dispatch::resolver_serves as fn(&_) -> _),
            Port::Exporter => (shared.addresses.exporter.port(), dispatch::exporter_serves as fn(&_) -> _),
            Port::Socket => (0, dispatch::socket_serves as fn(&_) -> _),
        };
        // Not zero: connections are numbered from 1.
        let group = u32::try_from(id & 0x7FFF_FFFF).unwrap_or(1).max(1);
        let address = address.to_string().into_bytes();
        let now = Instant::now();
        let limits = match port {
            Port::Resolver => ServerLimits { max_stub: RESOLVER_STUB, ..ServerLimits::default() },
            Port::Exporter | Port::Socket => ServerLimits::default(),
        };
        let rpc = ServerConnection::new(limits, address, group, serves);
        Self {
            // The kernel vouches for the peer of the socket: there every level counts as reached (wire.md 5.11).
            rpc: if port == Port::Socket { rpc } else { rpc.with_level_rule(level_rule) },
            shared,
            id,
            stream,
            local,
            handshakes: HashMap::new(),
            contexts: HashMap::new(),
            incoming: Incoming::new(),
            outgoing: Vec::new(),
            spare: None,
            accepted: now,
            last: now,
            is_roleless: false,
        }
    }

    /// Serves until the peer leaves, breaks the protocol or is too slow, or the service stops.
    pub(crate) fn run(mut self) {
        let mut pdu = Vec::new();
        let left = loop {
            match self.turn(&mut pdu) {
                Ok(Then::GoOn) => {}
                Ok(Then::Close) => break None,
                Err(error) => break Some(error),
            }
        };
        match left {
            None | Some(IncomingError::Closed | IncomingError::Stopping) => {}
            Some(IncomingError::Pdu(error @ PduError::FragmentTooLarge { .. })) => {
                let address = self.stream.peer();
                if let Some(left_out) = self.shared.lines.about_peer(address, Instant::now()) {
                    tracing::warn!(connection = self.id, ?address, %error, left_out, "connection given up");
                }
            }
            Some(error) => {
                let address = self.stream.peer();
                tracing::debug!(connection = self.id, ?address, %error, "connection given up");
            }
        }
        self.stream.end();
    }

    /// Takes the PDUs that have come, on a stream in memory; answers whether the connection goes on.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn take_what_came(&mut self) -> bool {
        let mut pdu = Vec::new();
        loop {
            match self.turn(&mut pdu) {
                Ok(Then::GoOn) => {}
                Err(IncomingError::Io(error)) => return error.kind() == io::ErrorKind::WouldBlock,
                Ok(Then::Close) | Err(_) => return false,
            }
        }
    }

    /// How many bytes it holds: of PDUs and calls that have not come as a whole, and of the last answer.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn held(&self) -> usize {
        let spare = self.spare.as_ref().map_or(0, |buffer| buffer.len());
        self.incoming.held() + self.rpc.held() + self.outgoing.capacity() + spare
    }

    /// One of its security contexts.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn security(&self, context_id: u32) -> Option<certadm_wire::rpc::SecurityContext> {
        self.rpc.security(context_id)
    }

    fn turn(&mut self, pdu: &mut Vec<u8>) -> Result<Then, IncomingError> {
        match retire(&mut self.contexts, Instant::now()) {
            Retired::None => {}
            Retired::Some => {
                tracing::info!(connection = self.id, "a logon on a connection has ended with its ticket");
            }
            Retired::All => {
                tracing::info!(
                    connection = self.id,
                    "a connection was closed; the ticket of its caller has ended"
                );
                return Ok(Then::Close);
            }
        }
        let patience = self.patience();
        let shared = &self.shared;
        let limits = &shared.settings.limits;
        let until = self.contexts.values().filter_map(|context| context.until).min();
        let until = until.filter(|until| *until < patience);
        let next =
            self.incoming.next(&self.stream, pdu, until.unwrap_or(patience), limits, || shared.is_closing());
        let header = match next {
            // Not the peer's time is over, but that of a ticket: the next turn says what follows.
            Err(IncomingError::TimedOut) if until.is_some_and(|until| until <= Instant::now()) => {
                return Ok(Then::GoOn);
            }
            next => next?,
        };
        let then = self.take(header, pdu)?;
        self.last = Instant::now();
        Ok(then)
    }

    /// Until when the next PDU is awaited. A caller who has a role by now takes the place of one.
    fn patience(&mut self) -> Instant {
        let limits = &self.shared.settings.limits;
        let proven = || self.contexts.values().filter(|context| context.is_proven);
        match &self.local {
            Some(identity) if self.shared.local_roles(identity) == Roles::NONE => {
                self.accepted + limits.handshake
            }
            None if proven().next().is_none() => self.accepted + limits.handshake,
            // A role may be missing for a moment, while `ca.toml` is written.
            None if !proven().any(|context| has_role(&self.shared, &context.caller)) => {
                self.last + limits.handshake
            }
            _ => {
                if std::mem::take(&mut self.is_roleless) {
                    self.shared.connections.has_role(self.id);
                }
                self.last + limits.idle
            }
        }
    }

    fn take(&mut self, header: Header, bytes: &mut [u8]) -> Result<Then, IncomingError> {
        if header.order == ByteOrder::Big {
            self.fault(header.call_id, 0, FaultStatus::PROTOCOL_ERROR)?;
            return Ok(Then::Close);
        }
        let protected = matches!(header.kind, PduKind::Request | PduKind::Cancel | PduKind::Orphaned);
        if protected && header.auth_length != 0 {
            let Some(context_id) = self.unseal(&header, bytes)? else {
                self.fault(header.call_id, 0, FaultStatus::ACCESS_DENIED)?;
                return Ok(Then::Close);
            };
            if !self.prove(context_id) {
                return Ok(Then::Close);
            }
        }
        let pdu = match Pdu::decode(bytes) {
            Ok(pdu) => pdu,
            Err(error) => {
                self.fault(header.call_id, 0, FaultStatus::PROTOCOL_ERROR)?;
                return Err(error.into());
            }
        };
        match self.rpc.receive(&pdu) {
            ServerEvent::Wait => Ok(Then::GoOn),
            ServerEvent::Send(answer) => self.send(&answer),
            ServerEvent::Refuse(answer) => {
                answer.map(|answer| self.send(&answer)).transpose()?;
                Ok(Then::Close)
            }
            ServerEvent::Authenticate(leg) => self.authenticate(&leg, header.kind, header.call_id),
            ServerEvent::Call(call) => self.call(&call),
            // Calls are answered before the next PDU is read, so there is nothing left to give up.
            ServerEvent::Orphaned { .. } => Ok(Then::GoOn),
            _ => Ok(Then::Close),
        }
    }

    /// Opens a protected PDU in place; answers the security context under which it verifies. A context that is not ready, or that a PDU names with
    /// another mechanism or level, verifies nothing (wire.md 7, item 5).
    fn unseal(&mut self, header: &Header, bytes: &mut [u8]) -> Result<Option<u32>, IncomingError> {
        let layout = Layout::of(header, bytes)?;
        let Some(verifier) = layout.verifier(header, bytes)? else { return Ok(None) };
        let (context_id, token_length) = (verifier.context_id, verifier.token.len());
        let agreed = self.rpc.security(context_id).is_some_and(|context| {
            context.state == SecurityState::Ready
                && (context.auth_type, context.level) == (verifier.auth_type, verifier.level)
        });
        let keys = self.contexts.get_mut(&context_id).and_then(|context| context.keys.as_mut());
        let Some(keys) = keys.filter(|_| agreed) else { return Ok(None) };
        let Ok((segments, token)) = Segments::split(bytes, layout.header.len(), token_length) else {
            return Ok(None);
        };
        Ok(match keys.unsealer.unseal(keys.protection, segments, token) {
            Ok(()) => Some(context_id),
            Err(error) => {
                let address = self.stream.peer();
                if let Some(left_out) = self.shared.lines.about_peer(address, Instant::now()) {
                    tracing::warn!(connection = self.id, ?address, %error, left_out, "a message was refused");
                }
                None
            }
        })
    }

    /// Notes that a message has verified under this context; answers whether its caller may have one more connection.
    fn prove(&mut self, context_id: u32) -> bool {
        let address = self.stream.peer();
        let Some(context) = self.contexts.get_mut(&context_id).filter(|context| !context.is_proven) else {
            return true;
        };
        context.is_proven = true;
        let has_role = has_role(&self.shared, &context.caller);
        self.is_roleless = !has_role;
        if !self.shared.connections.proven(self.id, &context.caller, has_role) {
            refusals::too_many(&self.shared, address, &context.caller);
            return false;
        }
        match &context.caller {
            Identity::Account { name, .. } => {
                if let Some(address) = address {
                    self.shared.brake.proven(address, name, Instant::now());
                }
                self.shared.last_logons.proven(name, address);
            }
            Identity::Principal(holder) => {
                if let Some(address) = address {
                    // A name that no account of the service can have.
                    let name = format!("krb:{}", holder.client);
                    self.shared.brake.proven(address, &name, Instant::now());
                }
                if !has_role {
                    audit::without_role(&self.shared, &context.caller, holder, address);
                }
            }
            Identity::Local { .. } => {}
        }
        true
    }

    fn authenticate(
        &mut self,
        leg: &AuthLeg<'_>,
        kind: PduKind,
        call_id: u32,
    ) -> Result<Then, IncomingError> {
        if leg.is_first {
            self.contexts.remove(&leg.context_id);
            self.handshakes.remove(&leg.context_id);
            if self.local.is_none()
                && let Some(acceptor) = self.acceptor(leg)
            {
                self.handshakes.insert(leg.context_id, acceptor);
            } else {
                let answer = self.rpc.authenticated(LegResult::Failed, &[]);
                // wire.md 2.3: a bind with a mechanism that is not spoken here has a refusal of its own.
                return match answer {
                    Some(_) if kind == PduKind::Bind => self.send(&unknown_mechanism(call_id)),
                    Some(answer) => self.send(&answer),
                    None => Ok(Then::GoOn),
                };
            }
        }
        match self.judge(leg) {
            Judged::HeldBack => {
                self.handshakes.remove(&leg.context_id);
                let address = self.stream.peer();
                if let Some(left_out) = self.shared.lines.about_peer(address, Instant::now()) {
                    tracing::warn!(connection = self.id, ?address, left_out, "a logon was not looked at");
                }
                Ok(Then::Close)
            }
            Judged::Right((step, claimed)) => {
                let result = if step.done.is_some() { LegResult::Complete } else { LegResult::Continue };
                if let Some(established) = step.done {
                    self.handshakes.remove(&leg.context_id);
                    if !self.establish(leg, established, claimed) {
                        return Ok(Then::Close);
                    }
                }
                let answer = self.rpc.authenticated(result, &step.token_out);
                answer.map_or(Ok(Then::GoOn), |answer| self.send(&answer))
            }
            Judged::Wrong(error, delay) => {
                self.handshakes.remove(&leg.context_id);
                self.tell_failed(&error, delay);
                let is_unknown =
                    kind == PduKind::Bind && matches!(error, AuthError::NoCommonMechanism { .. });
                let answer = self.rpc.authenticated(LegResult::Failed, error.answer().unwrap_or_default());
                if let Some(answer) = answer {
                    let answer = if is_unknown { unknown_mechanism(call_id) } else { answer };
                    self.send(&answer)?;
                }
                Ok(if delay.is_zero() { Then::GoOn } else { Then::Close })
            }
        }
    }

    /// Takes one step of a handshake. Where it judges a secret, the brake is asked first; then it also answers what the
    /// account was before: should it change at this moment, the logon is one with the old one.
    fn judge(&mut self, leg: &AuthLeg<'_>) -> Judged<(Step, Option<Incarnation>), AuthError> {
        let (address, now) = (self.stream.peer(), Instant::now());
        let Some(acceptor) = self.handshakes.get_mut(&leg.context_id) else {
            return Judged::Wrong(AuthError::Finished, Duration::ZERO);
        };
        let Some((address, claimed)) = address.zip(acceptor.claimed(leg.token)) else {
            return match acceptor.step(leg.token) {
                // A ticket is proven by what no step can be asked about before; anything else was not proven.
                Ok(Step { done: Some(done), .. }) if !matches!(done.peer, PeerIdentity::Principal(_)) => {
                    Judged::Wrong(AuthError::Finished, Duration::ZERO)
                }
                Ok(step) => Judged::Right((step, None)),
                Err(error) => {
                    let failed = |address| self.shared.brake.failed(address, now);
                    let counts = address.filter(|_| !error.is_about_time());
                    Judged::Wrong(error, counts.map_or(Duration::ZERO, failed))
                }
            };
        };
        let user = claimed.user();
        let incarnation = self.shared.accounts.find(user).map(|(incarnation, _)| incarnation);
        self.shared
            .brake
            .judge(address, user, now, || acceptor.step(leg.token).map(|step| (step, incarnation)))
    }

    /// Levels below integrity are let through the handshake so that their calls get fault 5 (wire.md 5.1).
    fn acceptor(&self, leg: &AuthLeg<'_>) -> Option<Box<dyn Acceptor>> {
        let logons = &self.shared.logons;
        let acceptor = match level_of(leg) {
            Some(level) => logons.acceptor(leg.auth_type, level),
            None => logons.acceptor_below_integrity(leg.auth_type),
        };
        acceptor.ok()
    }

    /// Enters a finished context; answers whether the caller may have one more connection.
    fn establish(
        &mut self,
        leg: &AuthLeg<'_>,
        established: Established,
        incarnation: Option<Incarnation>,
    ) -> bool {
        let Established { sealer, unsealer, peer, .. } = established;
        let (level, address) = (level_of(leg), self.stream.peer());
        if level.is_none() {
            refusals::below_integrity(&self.shared, address, &peer);
        }
        let mut until = None;
        let caller = match &peer {
            PeerIdentity::Account { account, .. } => {
                // Added at this very moment: it will be there when the client tries again.
                let Some(incarnation) = incarnation else { return false };
                Identity::Account { name: account.user().to_owned(), incarnation }
            }
            PeerIdentity::Principal(holder) => {
                let Some(tickets) = &self.shared.tickets else { return false };
                let settings = tickets.settings();
                // Below integrity no message is signed, and header signing is not agreed on: every call is refused.
                if level.is_some() && !leg.header_signing && !settings.danger_unsigned_headers {
                    refusals::unsigned(&self.shared, address, &peer);
                    return false;
                }
                until = Some(Instant::now() + left_of(holder.end, settings.skew_seconds));
                Identity::Principal(Arc::clone(holder))
            }
            _ => return false,
        };
        let keys = level.map(|level| Keys {
            protection: Protection { level, header_signing: leg.header_signing },
            sealer,
            unsealer,
        });
        tracing::debug!(connection = self.id, ?address, account = %peer, "logged on");
        if !self.shared.connections.may_prove(self.id, &caller) {
            refusals::too_many(&self.shared, address, &caller);
            return false;
        }
        let context = Context { caller, until, keys, is_proven: false };
        self.contexts.insert(leg.context_id, context);
        true
    }

    /// Tells the log of a failed logon.
    fn tell_failed(&self, error: &AuthError, delay: Duration) {
        let address = self.stream.peer();
        if let Some(left_out) = self.shared.lines.about_peer(address, Instant::now()) {
            let address = address.map_or_else(|| "local".to_owned(), |address| address.to_string());
            let shut_out_seconds = delay.as_secs();
            tracing::warn!(connection = self.id, %address, %error, shut_out_seconds, left_out, "logon refused");
        }
    }

    /// Who calls under a security context, with the roles of this moment; nobody without one, or when the account is
    /// gone or is not what it was when it logged on.
    fn caller(&self, security: Option<u32>) -> Option<Caller> {
        if let Some(identity) = &self.local {
            let roles = self.shared.local_roles(identity);
            let (origin, level) = (Origin::Local, AuthLevel::Privacy);
            return Some(Caller { identity: identity.clone(), origin, level, roles, address: None });
        }
        let id = security?;
        let context = self.contexts.get(&id)?;
        let level = self.rpc.security(id)?.level;
        let roles = roles_of(&self.shared, &context.caller)?;
        let (identity, address) = (context.caller.clone(), self.stream.peer());
        Some(Caller { identity, origin: Origin::Remote, level, roles, address })
    }

    fn call(&mut self, call: &Call<'_>) -> Result<Then, IncomingError> {
        let circumstances = Circumstances {
            shared: &self.shared,
            connection: self.id,
            caller: self.caller(call.security),
            local_address: self.stream.local(),
            header_signing: self.rpc.header_signing(),
            spare: Cell::new(self.spare.take()),
        };
        let answer = dispatch::answer(&circumstances, call);
        match answer {
            Answer::Fault(status) => self.fault(call.call_id, call.context_id, status)?,
            Answer::Stub(stub) => self.respond(call, &stub, self.answer_time())?,
            Answer::Read(read) if read.has_read() => self.respond_to_backup(call, read)?,
            Answer::Read(read) => {
                self.respond(call, read.stub(), self.answer_time())?;
                self.keep(read.buffer, MAX_SPARE);
            }
            Answer::StopAfter(stub) => {
                let written = self.respond(call, &stub, self.answer_time());
                self.shared.stop();
                written?;
            }
        }
        Ok(Then::GoOn)
    }

    fn answer_time(&self) -> Duration {
        self.shared.settings.limits.answer
    }

    /// Answers a read of the backup that runs. Clients ask for the next bytes before their caller wants them, so the answer waits as
    /// long as the backup may stand still.
    fn respond_to_backup(&mut self, call: &Call<'_>, read: ReadAnswer) -> Result<(), IncomingError> {
        let time = self.shared.settings.limits.session_idle.max(self.answer_time());
        let written = self.respond(call, read.stub(), time);
        if let Err(IncomingError::Io(error)) = &written
            && error.kind() == io::ErrorKind::TimedOut
        {
            let address = self.stream.peer();
            let seconds = time.as_secs();
            tracing::warn!(
                connection = self.id,
                ?address,
                seconds,
                "a connection was closed; the caller of a backup did not fetch the answer to a read"
            );
        }
        written?;
        read.read_ahead();
        self.keep(read.buffer, MAX_SPARE_OF_BACKUP);
        Ok(())
    }

    /// Keeps the buffer of a read for the next one, unless it is too large.
    fn keep(&mut self, buffer: AlignedBuffer, most: usize) {
        self.spare = Some(buffer).filter(|buffer| buffer.len() <= most);
    }

    /// Seals and writes an answer within this time, the first fragments while later ones are not sealed yet.
    fn respond(&mut self, call: &Call<'_>, stub: &[u8], time: Duration) -> Result<(), IncomingError> {
        let deadline = Instant::now() + time;
        let security = call.security.and_then(|id| Some((id, self.rpc.security(id)?)));
        let mut keys = match security {
            None => None,
            Some((id, _)) => Some(
                self.contexts.get_mut(&id).and_then(|context| context.keys.as_mut()).ok_or_else(broken)?,
            ),
        };
        let token = keys.as_ref().map_or(0, |keys| keys.sealer.token_size(keys.protection.level));
        let token = ZERO_TOKEN.get(..token).ok_or_else(broken)?;
        let token_length = u16::try_from(token.len()).map_err(|_| broken())?;
        let plan = FragmentPlan::new(
            stub.len(),
            self.rpc.max_transmit(),
            false,
            keys.is_some().then_some(token_length),
        )
        .map_err(io::Error::other)?;
        self.outgoing.clear();
        let mut unsealed = Unsealed::default();
        for fragment in plan {
            let body = Body::Response(ResponseBody {
                alloc_hint: fragment.alloc_hint,
                context_id: call.context_id,
                cancel_count: 0,
                stub: stub.get(fragment.range).unwrap_or_default(),
            });
            let verifier = security.map(|(context_id, context)| Verifier {
                auth_type: context.auth_type,
                level: context.level,
                context_id,
                token,
            });
            let pdu = Pdu { flags: fragment.flags, call_id: call.call_id, body, verifier };
            let begun = self.outgoing.len();
            let layout = pdu.append_to(&mut self.outgoing).map_err(io::Error::other)?;
            let is_full = WRITE_BATCH < self.outgoing.len() + usize::from(self.rpc.max_transmit());
            if let Some(Keys { protection, sealer, .. }) = &mut keys {
                unsealed.add(&self.outgoing, begun, layout.header.len());
                if is_full || unsealed.has(sealer.at_once(protection.level)) {
                    unsealed.seal(&mut self.outgoing, *protection, sealer, token.len())?;
                }
            }
            if is_full {
                self.stream.write_all(&self.outgoing, deadline)?;
                self.outgoing.clear();
            }
        }
        if let Some(Keys { protection, sealer, .. }) = &mut keys {
            unsealed.seal(&mut self.outgoing, *protection, sealer, token.len())?;
        }
        Ok(self.stream.write_all(&self.outgoing, deadline)?)
    }

    /// A fault without verifier, which every client reads (wire.md 2.16).
    fn fault(&mut self, call_id: u32, context_id: u16, status: FaultStatus) -> Result<(), IncomingError> {
        let body = Body::Fault(FaultBody::plain(context_id, status));
        let flags = Flags::ONLY.with(Flags::DID_NOT_EXECUTE);
        self.send(&Pdu { flags, call_id, body, verifier: None }).map(|_| ())
    }

    fn send(&mut self, pdu: &Pdu<'_>) -> Result<Then, IncomingError> {
        pdu.encode(&mut self.outgoing).map_err(io::Error::other)?;
        let deadline = Instant::now() + self.shared.settings.limits.answer;
        self.stream.write_all(&self.outgoing, deadline)?;
        Ok(Then::GoOn)
    }
}

/// How messages are protected at a leg's level; not at all below packet integrity.
fn level_of(leg: &AuthLeg<'_>) -> Option<Level> {
    match leg.level {
        AuthLevel::Privacy => Some(Level::Privacy),
        AuthLevel::Integrity => Some(Level::Integrity),
        _ => None,
    }
}

/// bind_nak 8 (wire.md 2.3).
fn unknown_mechanism(call_id: u32) -> Pdu<'static> {
    let body = Body::BindNak(NakBody::plain(NakReason::AUTH_TYPE));
    Pdu { flags: Flags::ONLY, call_id, body, verifier: None }
}

fn broken() -> io::Error {
    io::Error::other("the security context of the call is not usable for its answer")
}
