//! A caller of the service for the target `server_connection`: its PDUs are what a script says, its logons and seals are
//! real where the script does not spoil them, and it judges every answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use certadm_auth::{
    AccountName, Credentials, Flavour, Initiator, Level, Password, Protection, Sealer, Segments, Unsealer,
    Workstation, initiator,
};
use certadm_rules::{Hresult, TaggedList};
use certadm_server::fuzzing::{Door, Outcome, Reached, Served};
use certadm_wire::csra::{Request, Response};
use certadm_wire::dcom::{Iid, Ipid, OrpcThat};
use certadm_wire::rpc::{
    AuthLevel, AuthType, Body, Flags, Header, Layout, MAX_FRAGMENT, Pdu, PduKind, SecurityState, Verifier,
};

use crate::hostile_ca::Still;
use crate::stub::read;

/// Accounts of the service, with their password; the last has no role.
pub(crate) const ACCOUNTS: [&str; 3] = ["operator", "admin", "nobody"];
pub(crate) const PASSWORD: &str = "Pa55-word-of-all";

/// What a connection may hold beside what has come, in bytes: one fragment, an answer that is being
/// sealed, and the buffer of one read.
const MOST_HELD: usize = 64 * 1024 + 2 * 2 * 65_483 + 1024 * 1024;

/// A security context as the caller has it.
struct Context {
    auth_type: AuthType,
    level: AuthLevel,
    initiator: Box<dyn Initiator>,
    /// What is to be sent next.
    token: Vec<u8>,
    keys: Option<(Sealer, Unsealer)>,
}

/// A connection, seen from the caller.
pub(crate) struct Caller<'w> {
    served: Served<'w>,
    door: Door,
    contexts: BTreeMap<u32, Context>,
    header_signing: bool,
    /// Accounts whose right password was used on this connection.
    known: BTreeSet<&'static str>,
    /// PDUs sent under each call id: all, and those that end a request.
    sent: BTreeMap<u32, (usize, usize)>,
    /// Answers that came under each call id: all, and responses.
    answered: BTreeMap<u32, (usize, usize)>,
    /// The call whose answer is to be read, by its id: it comes at once or never.
    asked: Option<(u32, Request)>,
    /// Bytes that were sent, and those of them that are no whole PDU yet.
    sent_bytes: usize,
    stream: Vec<u8>,
    /// Names that an answer had.
    pub(crate) names: Vec<String>,
    /// Identifiers of interfaces of an object of the first account.
    pub(crate) ipids: Vec<Ipid>,
    pub(crate) is_open: bool,
    /// Methods of the CA's object that were run, by their opnums.
    pub(crate) has_run: Vec<u16>,
}

impl<'w> Caller<'w> {
    pub(crate) fn new(served: Served<'w>, door: Door, ipids: Vec<Ipid>) -> Self {
        Self {
            served,
            door,
            ipids,
            contexts: BTreeMap::new(),
            header_signing: false,
            known: BTreeSet::new(),
            sent: BTreeMap::new(),
            answered: BTreeMap::new(),
            asked: None,
            sent_bytes: 0,
            stream: Vec::new(),
            names: Vec::new(),
            is_open: true,
            has_run: Vec::new(),
        }
    }

    /// Begins a logon under this context id; the token is what the next bind-class PDU with that id carries.
    pub(crate) fn log_on(
        &mut self,
        id: u32,
        level: AuthLevel,
        flavour: Flavour,
        account: u8,
        is_right: bool,
    ) {
        let account = ACCOUNTS[usize::from(account) % ACCOUNTS.len()];
        let password = if is_right { PASSWORD } else { "another password" };
        let credentials = Credentials {
            account: AccountName::new("", account),
            password: Password::new(password.to_owned()),
        };
        let protects = if level == AuthLevel::Privacy { Level::Privacy } else { Level::Integrity };
        let workstation = Workstation::new("caller", Arc::new(Still));
        let Ok(mut initiator) = initiator(flavour, &credentials, "HOST/ca01", protects, &workstation) else {
            return;
        };
        let Ok(step) = initiator.step(&[]) else { return };
        if is_right {
            self.known.insert(account);
        }
        let auth_type = initiator.auth_type();
        self.contexts.insert(id, Context { auth_type, level, initiator, token: step.token_out, keys: None });
    }

    /// A verifier for a bind-class PDU: the next token of this context, or `spoilt` in its place.
    pub(crate) fn leg<'t>(&'t self, id: u32, spoilt: Option<&'t [u8]>) -> Option<Verifier<'t>> {
        let context = self.contexts.get(&id)?;
        let token = spoilt.unwrap_or(&context.token);
        let (auth_type, level) = (context.auth_type, context.level);
        (!token.is_empty()).then_some(Verifier { auth_type, level, context_id: id, token })
    }

    /// A PDU without a seal, encoded.
    pub(crate) fn plain(pdu: &Pdu<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        // What is too long for a PDU is not sent.
        if pdu.encode(&mut bytes).is_err() {
            bytes.clear();
        }
        bytes
    }

    /// A PDU sealed under this context, encoded; without a verifier where the context is not finished.
    pub(crate) fn sealed(&mut self, pdu: Pdu<'_>, id: u32) -> Vec<u8> {
        let header_signing = self.header_signing;
        let Some(context) = self.contexts.get_mut(&id) else { return Self::plain(&pdu) };
        let level = if context.level == AuthLevel::Privacy { Level::Privacy } else { Level::Integrity };
        let Some((sealer, _)) = &mut context.keys else { return Self::plain(&pdu) };
        let token = vec![0; sealer.token_size(level)];
        let (auth_type, level_on_wire) = (context.auth_type, context.level);
        let verifier = Some(Verifier { auth_type, level: level_on_wire, context_id: id, token: &token });
        let pdu = Pdu { verifier, ..pdu };
        let mut bytes = Vec::new();
        let Ok(layout) = pdu.encode(&mut bytes) else { return Vec::new() };
        if let Ok((segments, place)) = Segments::split(&mut bytes, layout.header.len(), token.len()) {
            sealer
                .seal(Protection { level, header_signing }, segments, place)
                .expect("its own PDU can be sealed");
        }
        bytes
    }

    /// Remembers what the call asks that is sent next, so that its answer can be read. Behind a PDU that is cut short it is a part
    /// of that one.
    pub(crate) fn asks(&mut self, call_id: u32, request: Request) {
        self.asked = self.stream.is_empty().then_some((call_id, request));
    }

    /// What is sent next may ask anything.
    pub(crate) fn asks_anything(&mut self) {
        self.asked = None;
    }

    /// Sends bytes and judges what comes back.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.count(bytes);
        let Outcome { bytes, reached, goes_on } = self.served.send(bytes);
        for call in &reached {
            self.judge_call(call);
        }
        self.has_run.extend(reached.iter().filter(|call| call.has_run).map(|call| call.opnum));
        self.take_answers(bytes, &reached);
        self.asked = None;
        self.is_open = goes_on;
        let held = self.served.held();
        assert!(held <= MOST_HELD + 2 * self.sent_bytes, "the connection holds {held} bytes");
        for id in 0..8 {
            let is_ready =
                self.served.security(id).is_some_and(|context| context.state == SecurityState::Ready);
            assert!(!is_ready || !self.known.is_empty(), "a logon without any right password");
        }
    }

    /// Counts the PDUs in what is sent. One that is cut short swallows those behind it.
    fn count(&mut self, bytes: &[u8]) {
        self.stream.extend_from_slice(bytes);
        self.sent_bytes += bytes.len();
        while let Ok(Some(header)) = Header::peek(&self.stream, MAX_FRAGMENT) {
            let length = usize::from(header.fragment_length);
            if self.stream.len() < length {
                return;
            }
            self.stream.drain(..length);
            let sent = self.sent.entry(header.call_id).or_default();
            sent.0 += 1;
            sent.1 += usize::from(header.flags.has(Flags::LAST));
        }
    }

    /// Nobody gets anywhere without having proved who he is.
    fn judge_call(&self, call: &Reached) {
        let iid = Iid(call.interface.uuid);
        let is_admin = [Iid::CERT_ADMIN, Iid::CERT_ADMIN_2].contains(&iid);
        if let Door::Socket { uid } = self.door {
            // The kernel vouches for him; one without a role may only ask whether the CA is there.
            assert!(uid == 0 || !call.has_run || call.opnum == 19, "uid {uid}: {call:?}");
            return;
        }
        if iid == Iid::OBJECT_EXPORTER && [3, 5].contains(&call.opnum) {
            return;
        }
        let account = call.account.as_deref().expect("a call of nobody");
        assert!(self.known.contains(account), "{call:?} without the password");
        assert!(call.level >= Some(AuthLevel::Integrity), "{call:?}");
        if is_admin && call.has_run {
            assert_eq!(call.level, Some(AuthLevel::Privacy), "{call:?}");
            assert!(account != "nobody" || call.opnum == 19, "{call:?} without a role");
        }
    }

    fn take_answers(&mut self, mut bytes: Vec<u8>, reached: &[Reached]) {
        let mut rest = bytes.as_mut_slice();
        while !rest.is_empty() {
            let header = match Header::peek(rest, MAX_FRAGMENT) {
                Ok(Some(header)) => header,
                other => panic!("an answer that is no PDU: {other:?}"),
            };
            let (pdu, after) = rest.split_at_mut(header.fragment_length.into());
            rest = after;
            self.take_answer(&header, pdu, reached);
        }
    }

    fn take_answer(&mut self, header: &Header, bytes: &mut [u8], reached: &[Reached]) {
        let layout = Layout::of(header, bytes).expect("an answer has a layout");
        if header.kind == PduKind::Response {
            match layout.verifier(header, bytes).expect("an answer's verifier parses") {
                Some(verifier) => {
                    let (id, size) = (verifier.context_id, verifier.token.len());
                    let context =
                        self.contexts.get_mut(&id).expect("an answer under a context that nobody began");
                    let level =
                        if context.level == AuthLevel::Privacy { Level::Privacy } else { Level::Integrity };
                    let (_, unsealer) = context.keys.as_mut().expect("an answer under an unfinished context");
                    let protection = Protection { level, header_signing: self.header_signing };
                    let (segments, token) = Segments::split(bytes, layout.header.len(), size)
                        .expect("an answer has its segments");
                    unsealer.unseal(protection, segments, token).expect("an answer verifies");
                }
                None => {
                    let is_open = |call: &Reached| call.level.is_none();
                    assert!(reached.iter().any(is_open), "an answer without protection");
                }
            }
        }
        let pdu = Pdu::decode(bytes);
        let pdu = pdu.unwrap_or_else(|error| panic!("an answer that our own client refuses: {error}"));
        let (sent, answered) =
            (self.sent.get(&pdu.call_id).copied(), self.answered.entry(pdu.call_id).or_default());
        if pdu.flags.has(Flags::LAST) {
            answered.0 += 1;
            answered.1 += usize::from(header.kind == PduKind::Response);
        }
        let (all, ends) = sent.unwrap_or_default();
        assert!(answered.0 <= all && answered.1 <= ends, "call {} is answered twice", pdu.call_id);
        match pdu.body {
            Body::BindAck(_) | Body::AlterContextResponse(_) => {
                if let Body::BindAck(_) = pdu.body {
                    self.header_signing = pdu.flags.has(Flags::HEADER_SIGNING);
                }
                if let Some(verifier) = pdu.verifier {
                    self.next_leg(verifier.context_id, verifier.token);
                }
            }
            Body::Response(response) if pdu.flags.has(Flags::ONLY) => {
                self.read_answer(pdu.call_id, response.stub);
            }
            Body::Response(_) | Body::BindNak(_) | Body::Fault(_) => {}
            other => panic!("a server does not send {other:?}"),
        }
    }

    fn next_leg(&mut self, id: u32, token: &[u8]) {
        let Some(context) = self.contexts.get_mut(&id) else { return };
        match context.initiator.step(token) {
            Ok(step) => {
                context.token = step.token_out;
                context.keys = step.done.map(|done| (done.sealer, done.unsealer));
            }
            Err(_) => context.token.clear(),
        }
    }

    /// An answer to a call of a backup is what our own client can read.
    fn read_answer(&mut self, call_id: u32, stub: &[u8]) {
        let Some((_, request)) = self.asked.take_if(|(asked, _)| *asked == call_id) else { return };
        let mut reader = read(stub);
        OrpcThat::read(&mut reader).expect("ORPCTHAT");
        let response = Response::read(&request, &mut reader);
        let response =
            response.unwrap_or_else(|error| panic!("the answer to {request:?} is refused: {error}"));
        if response.code() == Hresult::S_OK
            && let Response::List { units, .. } = response
            && let Ok(list) = TaggedList::decode_wire(&units)
        {
            self.names.extend(list.entries().iter().map(|entry| entry.path().to_owned()));
        }
    }
}
