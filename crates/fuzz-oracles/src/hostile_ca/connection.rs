//! One connection to the CA: what it hears, and what it answers by its script.

use std::collections::VecDeque;
use std::sync::Arc;

use certadm_auth::{Acceptor, Level, Protection, Sealer, Segments, Unsealer};
use certadm_client::fuzzing::Peer;
use certadm_rules::{Entry, Hresult, TaggedList};
use certadm_wire::csra::{Interface, Method, OtherOut, OtherResponse, Request, Response, Variant};
use certadm_wire::dcom::activation::{
    ActivationReply, ActivatorRequest, ActivatorResponse, Exporter, FactoryRequest, FactoryResponse,
    InterfaceResult,
};
use certadm_wire::dcom::{
    ComVersion, DualStringArray, Iid, Ipid, ObjRef, OrpcThat, OrpcThis, Oxid, QueryResult,
    RemUnknownInterface, RemUnknownRequest, RemUnknownResponse, ResolverRequest, ResolverResponse,
    ResolverStatus, StdObjRef, StringBinding,
};
use certadm_wire::ndr::{Guid, Writer};
use certadm_wire::rpc::{
    AckBody, AuthLevel, AuthType, BindBody, Body, FaultBody, FaultStatus, Features, Flags, FragmentPlan,
    Header, Layout, MAX_FRAGMENT, NakBody, NakReason, Pdu, PduKind, ResponseBody, Verifier, negotiate,
};

use crate::script::Script;
use crate::stub::{read, written};

use super::{MOST_DATA, NAMES, Shared, TAGS, lock};

/// `BackupReadFile` (wire.md 3.7); no other interface that is called here has as many methods.
const READ_FILE: u16 = 25;

/// What the client asked last.
struct Asked {
    kind: PduKind,
    call_id: u32,
    context_id: u16,
    opnum: u16,
    stub: Vec<u8>,
    bind: Option<BindBody>,
    verifier: Option<(AuthType, AuthLevel, u32)>,
    /// Sealed by a caller whose logon this CA could not follow.
    is_unreadable: bool,
    /// What the acceptor says to its token.
    token: Vec<u8>,
}

/// One connection.
pub(crate) struct Connection {
    shared: Shared,
    incoming: Vec<u8>,
    outgoing: VecDeque<u8>,
    acceptor: Option<Box<dyn Acceptor>>,
    keys: Option<(Sealer, Unsealer)>,
    /// The security context that the client began.
    context: Option<(AuthType, AuthLevel, u32)>,
    interfaces: Vec<(u16, Iid)>,
    asked: Option<Asked>,
    /// Of the open file.
    remaining: u64,
    is_closed: bool,
}

impl Peer for Connection {
    fn take(&mut self, bytes: &[u8]) {
        self.incoming.extend_from_slice(bytes);
        while let Ok(Some(header)) = Header::peek(&self.incoming, MAX_FRAGMENT) {
            let length = usize::from(header.fragment_length);
            if self.incoming.len() < length {
                return;
            }
            let rest = self.incoming.split_off(length);
            let mut pdu = std::mem::replace(&mut self.incoming, rest);
            lock(&self.shared).taken += 1;
            self.hear(&header, &mut pdu);
        }
    }

    fn give(&mut self, buffer: &mut [u8]) -> usize {
        while self.outgoing.is_empty() {
            if self.is_closed || lock(&self.shared).is_over() {
                return 0;
            }
            lock(&self.shared).steps += 1;
            self.step();
        }
        let given = self.outgoing.len().min(buffer.len());
        for (place, byte) in buffer.iter_mut().zip(self.outgoing.drain(..given)) {
            *place = byte;
        }
        given
    }
}

impl Connection {
    pub(crate) fn new(shared: &Shared) -> Self {
        lock(shared).dials += 1;
        Self {
            shared: Arc::clone(shared),
            incoming: Vec::new(),
            outgoing: VecDeque::new(),
            acceptor: None,
            keys: None,
            context: None,
            interfaces: Vec::new(),
            asked: None,
            remaining: 0,
            is_closed: false,
        }
    }

    fn hear(&mut self, header: &Header, bytes: &mut [u8]) {
        let layout = Layout::of(header, bytes).expect("a client's PDU has a layout");
        if let (PduKind::Request, Some((_, unsealer))) = (header.kind, &mut self.keys) {
            let size = layout.token.len();
            assert_ne!(size, 0, "a request without a seal after the logon");
            let protection = Protection { level: Level::Privacy, header_signing: true };
            let parts = Segments::split(bytes, layout.header.len(), size);
            let (segments, token) = parts.expect("a client's PDU has its segments");
            unsealer.unseal(protection, segments, token).expect("a client's PDU verifies");
        }
        let pdu = Pdu::decode(bytes).expect("a client's PDU decodes");
        let verifier = pdu.verifier.map(|verifier| (verifier.auth_type, verifier.level, verifier.context_id));
        let token = pdu.verifier.filter(|_| header.kind != PduKind::Request).map(|verifier| {
            assert_eq!(verifier.level, AuthLevel::Privacy, "a logon below packet privacy");
            self.context = Some((verifier.auth_type, verifier.level, verifier.context_id));
            self.accept(verifier.auth_type, verifier.token)
        });
        let mut asked = Asked {
            kind: header.kind,
            call_id: pdu.call_id,
            context_id: 0,
            opnum: 0,
            stub: Vec::new(),
            bind: None,
            verifier,
            is_unreadable: verifier.is_some() && self.keys.is_none(),
            token: token.unwrap_or_default(),
        };
        match pdu.body {
            Body::Bind(bind) | Body::AlterContext(bind) => {
                let named =
                    bind.elements.iter().map(|element| (element.id, Iid(element.abstract_syntax.uuid)));
                self.interfaces.extend(named);
                asked.bind = Some(bind);
            }
            Body::Request(request) => {
                if !pdu.flags.has(Flags::FIRST)
                    && let Some(begun) = &mut self.asked
                {
                    begun.stub.extend_from_slice(request.stub);
                    return;
                }
                (asked.context_id, asked.opnum) = (request.context_id, request.opnum);
                asked.stub = request.stub.to_vec();
            }
            _ => {}
        }
        self.asked = Some(asked);
    }

    /// Steps the acceptor; nothing where it has no answer.
    fn accept(&mut self, auth_type: AuthType, token: &[u8]) -> Vec<u8> {
        let acceptor = match &mut self.acceptor {
            Some(acceptor) => acceptor,
            None => match lock(&self.shared).service.acceptor(auth_type, Level::Privacy) {
                Ok(acceptor) => self.acceptor.insert(acceptor),
                Err(_) => return Vec::new(),
            },
        };
        let Ok(step) = acceptor.step(token) else { return Vec::new() };
        if let Some(done) = step.done {
            self.keys = Some((done.sealer, done.unsealer));
            lock(&self.shared).logons += 1;
        }
        step.token_out
    }

    /// One answer of the script: 0 and 1 what is due, 2 the same with a changed octet, 3 a stub of the script's, 4 what is due
    /// without a seal, 5 a fault, 6 octets as they are, 7 another kind of PDU, 8 under another call or context, 9 in small
    /// fragments, 10 the method's own failure, 11 the end.
    fn step(&mut self) {
        let shared = Arc::clone(&self.shared);
        let decide =
            |decision: &mut dyn FnMut(&mut Script<'_>)| lock(&shared).decide(|script| decision(script));
        let mut kind = 0;
        decide(&mut |script| kind = script.byte() % 12);
        let Some(asked) = self.asked.take() else {
            // Nobody has asked anything yet.
            self.is_closed = true;
            return;
        };
        let was_request = asked.kind == PduKind::Request;
        let is_sealed = self.keys.is_some() && was_request;
        let (mut number, mut bytes) = ((0_u16, 0_u8), Vec::new());
        let due = match kind {
            0 | 1 | 2 | 4 | 8 | 9 => self.due(&asked),
            3 => {
                decide(&mut |script| bytes = script.bytes().to_vec());
                std::mem::take(&mut bytes)
            }
            10 => self.failure(&asked),
            _ => Vec::new(),
        };
        match kind {
            0 | 1 | 3 | 10 if was_request => self.respond(&asked, &due, MAX_FRAGMENT, true),
            0 | 1 | 3 | 10 => self.acknowledge(&asked),
            2 => {
                decide(&mut |script| number = (script.word(), script.byte()));
                if was_request {
                    self.respond(&asked, &due, MAX_FRAGMENT, true);
                } else {
                    self.acknowledge(&asked);
                }
                let (at, change) = (usize::from(number.0), number.1);
                if let Some(octet) = self.outgoing.get_mut(at) {
                    *octet ^= change;
                    if is_sealed && change != 0 {
                        lock(&shared).broke_protocol = true;
                    }
                }
            }
            4 => {
                if is_sealed {
                    lock(&shared).broke_protocol = true;
                }
                self.respond(&asked, &due, MAX_FRAGMENT, false);
            }
            5 => {
                decide(&mut |script| number = (script.word(), script.byte()));
                self.fault(&asked, FaultStatus(u32::from(number.0)), number.1);
            }
            6 => {
                decide(&mut |script| bytes = script.bytes().to_vec());
                self.outgoing.extend(bytes);
                // Nothing may have come: the client waits on, and asks for the next step.
                self.asked = Some(asked);
            }
            7 => {
                decide(&mut |script| number = (0, script.byte()));
                self.another_kind(&asked, number.1);
            }
            8 => {
                decide(&mut |script| number = (script.word(), script.byte()));
                let other = Asked {
                    call_id: asked.call_id.wrapping_add(u32::from(number.0)),
                    context_id: asked.context_id ^ u16::from(number.1),
                    ..asked
                };
                if was_request && (number.0 != 0 || number.1 != 0) {
                    lock(&shared).broke_protocol = true;
                }
                self.respond(&other, &due, MAX_FRAGMENT, true);
            }
            9 => {
                decide(&mut |script| number = (0, script.byte()));
                self.respond(&asked, &due, 64 + u16::from(number.1), true);
            }
            _ => self.is_closed = true,
        }
    }

    fn push(&mut self, pdu: &Pdu<'_>) {
        let mut bytes = Vec::new();
        // What does not fit into a PDU is not sent.
        if pdu.encode(&mut bytes).is_ok() {
            self.outgoing.extend(bytes);
        }
    }

    /// The answer to a bind or an alter_context, whatever was asked.
    fn acknowledge(&mut self, asked: &Asked) {
        if asked.kind == PduKind::Auth3 {
            return;
        }
        let is_bind = asked.kind == PduKind::Bind;
        let elements = asked.bind.as_ref().map(|bind| bind.elements.as_slice()).unwrap_or_default();
        let quirk = lock(&self.shared).decide(|script| script.byte());
        let mut results = negotiate(elements, Features::SECURITY_CONTEXT_MULTIPLEXING, |_| quirk != 1);
        if quirk == 2 {
            results.pop();
        }
        let size = if quirk == 3 { 16 } else { 5840 };
        let ack = AckBody {
            max_transmit: size,
            max_receive: size,
            association_group: 1,
            secondary_address: b"135".to_vec(),
            results,
        };
        let token = asked.token.clone();
        let verifier =
            asked.verifier.filter(|_| !token.is_empty()).map(|(auth_type, level, context_id)| Verifier {
                auth_type,
                level: if quirk == 4 { AuthLevel::Connect } else { level },
                context_id: context_id + u32::from(quirk == 5),
                token: &token,
            });
        let flags = if quirk == 6 { Flags::ONLY } else { Flags::ONLY.with(Flags::HEADER_SIGNING) };
        let body = if is_bind { Body::BindAck(ack) } else { Body::AlterContextResponse(ack) };
        self.push(&Pdu { flags, call_id: asked.call_id, body, verifier });
    }

    fn another_kind(&mut self, asked: &Asked, kind: u8) {
        let body = match kind % 6 {
            0 => Body::Shutdown,
            1 => Body::BindNak(NakBody::plain(NakReason(u16::from(kind / 6)))),
            2 => Body::Auth3,
            3 => Body::Cancel,
            4 => return self.acknowledge(&Asked { kind: PduKind::Bind, ..clone(asked) }),
            _ => return self.acknowledge(&Asked { kind: PduKind::AlterContext, ..clone(asked) }),
        };
        if asked.kind == PduKind::Request {
            lock(&self.shared).broke_protocol = true;
        }
        self.push(&Pdu { flags: Flags::ONLY, call_id: asked.call_id, body, verifier: None });
    }

    fn fault(&mut self, asked: &Asked, status: FaultStatus, how: u8) {
        let status = match how % 4 {
            0 => status,
            1 => FaultStatus::VERSION_MISMATCH,
            2 => FaultStatus::BAD_STUB_DATA,
            _ => FaultStatus::PROTOCOL_ERROR,
        };
        let body = Body::Fault(FaultBody::plain(asked.context_id, status));
        let flags = if how & 0x80 == 0 { Flags::ONLY } else { Flags::ONLY.with(Flags::DID_NOT_EXECUTE) };
        // A fault is never a success of its own call. The others let a client try again.
        if asked.kind == PduKind::Request && status == FaultStatus::PROTOCOL_ERROR {
            let is_read = asked.opnum == READ_FILE;
            let mut hostile = lock(&self.shared);
            *(if is_read { &mut hostile.failed_read } else { &mut hostile.broke_protocol }) = true;
        }
        self.push(&Pdu { flags, call_id: asked.call_id, body, verifier: None });
    }

    /// A response with this stub, in fragments of this size, sealed where there are keys.
    fn respond(&mut self, asked: &Asked, stub: &[u8], fragment: u16, seal: bool) {
        let keys = self.keys.as_mut().filter(|_| seal);
        let size = keys.as_ref().map(|(sealer, _)| sealer.token_size(Level::Privacy));
        let token = vec![0; size.unwrap_or_default()];
        let token_size = size.map(|size| u16::try_from(size).unwrap_or(u16::MAX));
        let Ok(plan) = FragmentPlan::new(stub.len(), fragment, false, token_size) else { return };
        let mut sealer = keys.map(|(sealer, _)| sealer);
        for part in plan {
            let body = Body::Response(ResponseBody {
                alloc_hint: part.alloc_hint,
                context_id: asked.context_id,
                cancel_count: 0,
                stub: stub.get(part.range).unwrap_or_default(),
            });
            let verifier = self.context.filter(|_| sealer.is_some()).map(|(auth_type, level, context_id)| {
                Verifier { auth_type, level, context_id, token: &token }
            });
            let mut bytes = Vec::new();
            let pdu = Pdu { flags: part.flags, call_id: asked.call_id, body, verifier };
            let Ok(layout) = pdu.encode(&mut bytes) else { return };
            if let Some(sealer) = &mut sealer {
                let protection = Protection { level: Level::Privacy, header_signing: true };
                let parts = Segments::split(&mut bytes, layout.header.len(), token.len());
                let (segments, place) = parts.expect("our own PDU has its segments");
                sealer.seal(protection, segments, place).expect("our own PDU can be sealed");
            }
            self.outgoing.extend(bytes);
        }
    }

    fn interface(&self, asked: &Asked) -> Iid {
        let bound = self.interfaces.iter().rev().find(|(id, _)| *id == asked.context_id);
        bound.map(|(_, iid)| *iid).unwrap_or_default()
    }

    /// The stub of the answer that is due; its content is the script's.
    fn due(&mut self, asked: &Asked) -> Vec<u8> {
        if asked.kind != PduKind::Request || asked.is_unreadable {
            return Vec::new();
        }
        let iid = self.interface(asked);
        let mut reader = read(&asked.stub);
        if iid == Iid::OBJECT_EXPORTER {
            let request = ResolverRequest::read(asked.opnum, &mut reader).expect("a client's request parses");
            let mut version = ComVersion::OURS;
            version.minor = lock(&self.shared).decide(|script| script.byte()).into();
            let response = match &request {
                ResolverRequest::ServerAlive2 => ResolverResponse::Alive {
                    version,
                    bindings: Some(DualStringArray::default()),
                    status: ResolverStatus::OK,
                },
                request => ResolverResponse::failure(request, ResolverStatus::OK),
            };
            return written(|writer| response.write(writer));
        }
        OrpcThis::read(&mut reader).expect("a client's call begins with ORPCTHIS");
        let after_that = |write: &dyn Fn(&mut Writer)| {
            written(|writer| {
                OrpcThat::CALL.write(writer);
                write(writer);
            })
        };
        match iid {
            Iid::REMOTE_SCM_ACTIVATOR => {
                let request =
                    ActivatorRequest::read(asked.opnum, &mut reader).expect("a client's request parses");
                let response = self.activation(&request);
                after_that(&|writer| response.write(writer))
            }
            Iid::CLASS_FACTORY => {
                let request =
                    FactoryRequest::read(asked.opnum, &mut reader).expect("a client's request parses");
                let quirk = lock(&self.shared).decide(|script| script.byte());
                let reference = match request {
                    FactoryRequest::CreateInstance { iid } if quirk & 1 == 0 => {
                        let reference = reference(quirk >> 7);
                        Some(ObjRef { iid, reference, resolver: DualStringArray::default() })
                    }
                    _ => None,
                };
                let code = if quirk & 2 == 0 { Hresult::S_OK } else { Hresult::E_NOINTERFACE };
                after_that(&|writer| {
                    FactoryResponse::Created { reference: reference.clone(), code }.write(writer);
                })
            }
            Iid::REM_UNKNOWN => {
                let request =
                    RemUnknownRequest::read(RemUnknownInterface::RemUnknown, asked.opnum, &mut reader)
                        .expect("a client's request parses");
                let response = match &request {
                    RemUnknownRequest::QueryInterface { interfaces, .. } => RemUnknownResponse::Interfaces {
                        results: vec![
                            QueryResult { code: Hresult::S_OK, reference: reference(1) };
                            interfaces.len()
                        ],
                        code: Hresult::S_OK,
                    },
                    request => RemUnknownResponse::failure(request, Hresult::S_OK),
                };
                after_that(&|writer| response.write(writer))
            }
            _ => self.of_the_ca(iid, asked),
        }
    }

    fn activation(&mut self, request: &ActivatorRequest) -> ActivatorResponse {
        let wanted = match request {
            ActivatorRequest::CreateInstance(properties) | ActivatorRequest::GetClassObject(properties) => {
                properties.interfaces.clone()
            }
            _ => Vec::new(),
        };
        let quirk = lock(&self.shared).decide(|script| script.byte());
        let bindings = match quirk & 0xF {
            0 => vec![StringBinding::exporter("ca01", 49_152)],
            1 => vec![StringBinding::exporter("elsewhere.example", 1)],
            2 => vec![StringBinding::resolver("ca01")],
            _ => Vec::new(),
        };
        let interface = |iid: &Iid| {
            let iid = if quirk & 0x20 == 0 { *iid } else { Iid::REM_UNKNOWN };
            let reference =
                ObjRef { iid, reference: reference(quirk >> 7), resolver: DualStringArray::default() };
            InterfaceResult { iid, code: Hresult::S_OK, reference: (quirk & 0x40 == 0).then_some(reference) }
        };
        let reply = ActivationReply {
            interfaces: wanted.iter().map(interface).collect(),
            exporter: Exporter {
                oxid: Oxid(7),
                bindings: DualStringArray::new(bindings, Vec::new()).expect("these bindings are valid"),
                rem_unknown: Ipid(Guid::from_le_bytes([8; 16])),
                authentication_hint: 6,
                version: ComVersion::OURS,
            },
        };
        // Objects by their factory alone.
        if quirk == 0xFE && matches!(request, ActivatorRequest::CreateInstance(_)) {
            return ActivatorResponse::failure(Hresult::E_NOTIMPL);
        }
        ActivatorResponse { reply: (quirk & 0x10 == 0).then_some(reply), code: Hresult::S_OK }
    }

    /// A call on the CA's object.
    fn of_the_ca(&mut self, iid: Iid, asked: &Asked) -> Vec<u8> {
        let table = if iid == Iid::CERT_ADMIN { Interface::CertAdmin } else { Interface::CertAdmin2 };
        let mut reader = read(&asked.stub);
        let _ = OrpcThis::read(&mut reader);
        let request = Request::read(table, asked.opnum, &mut reader);
        written(|writer| {
            OrpcThat::CALL.write(writer);
            let Ok(request) = request else {
                let method = Method::from_opnum(table, asked.opnum).expect("a client's call has a method");
                return other(&self.shared, method, writer);
            };
            let code = Hresult::S_OK;
            let mut hostile = lock(&self.shared);
            let mut content = Vec::new();
            let response = match Response::failure(&request, code) {
                Response::State { .. } => {
                    Response::State { state: hostile.decide(|script| script.byte()).into(), code }
                }
                Response::List { .. } => Response::List { units: hostile.decide(list), code },
                Response::Length { .. } => {
                    let length =
                        hostile.decide(|script| *script.choose(&[100, 0, 1, 5000, 9000, 1 << 40, u64::MAX]));
                    self.remaining = length;
                    Response::Length { length, code }
                }
                Response::Data { size, .. } if MOST_DATA < size => {
                    Response::failure(&request, Hresult::E_OUTOFMEMORY)
                }
                Response::Data { size, .. } => {
                    let (less, more, first) =
                        hostile.decide(|script| (script.byte(), script.byte(), script.byte()));
                    let due = usize::try_from(self.remaining.min(size.into())).unwrap_or_default();
                    let len = (due.saturating_sub(less.into()) + usize::from(more)).min(size as usize);
                    content.resize(len, 0);
                    let begin: &[u8] = if first == 1 { b"SQLite format 3\0" } else { &[first] };
                    let begun = begin.len().min(len);
                    content[..begun].copy_from_slice(&begin[..begun]);
                    self.remaining = self.remaining.saturating_sub(len as u64);
                    hostile.delivered += len as u64;
                    Response::Data { size, data: &content, code }
                }
                other => other,
            };
            response.write(writer);
        })
    }

    /// The method's own failure, with a code of the script's.
    fn failure(&mut self, asked: &Asked) -> Vec<u8> {
        let code =
            Hresult::from_bits(0x8000_0000 | u32::from(lock(&self.shared).decide(|script| script.word())));
        let iid = self.interface(asked);
        let mut reader = read(&asked.stub);
        written(|writer| {
            OrpcThat::CALL.write(writer);
            if OrpcThis::read(&mut reader).is_err() || iid == Iid::REMOTE_SCM_ACTIVATOR {
                return ActivatorResponse::failure(code).write(writer);
            }
            match Request::read(Interface::CertAdmin2, asked.opnum, &mut reader) {
                Ok(request) => Response::failure(&request, code).write(writer),
                Err(_) => {
                    writer.u32(code.to_bits());
                }
            }
        })
    }
}

/// The answer to a call beyond a backup: a blob or a value of the script's.
fn other(shared: &Shared, method: Method, writer: &mut Writer) {
    let bytes = lock(shared).decide(|script| script.bytes().to_vec());
    let out = match OtherResponse::failure(method, Hresult::S_OK).map(|response| response.out) {
        Some(OtherOut::Blob(_)) => OtherOut::Blob(&bytes),
        Some(OtherOut::Variant(_)) => OtherOut::Variant(Variant::Bytes(bytes)),
        Some(out) => out,
        None => return method.write_failure(Hresult::E_NOTIMPL, writer),
    };
    OtherResponse { out, code: Hresult::S_OK }.write(writer);
}

fn clone(asked: &Asked) -> Asked {
    Asked { stub: asked.stub.clone(), bind: asked.bind.clone(), token: asked.token.clone(), ..*asked }
}

fn reference(wants_pings: u8) -> StdObjRef {
    let flags = if wants_pings == 1 { 0 } else { StdObjRef::NO_PING };
    StdObjRef { flags, references: 5, ipid: Ipid(Guid::from_le_bytes([9; 16])), ..StdObjRef::default() }
}

/// A list of names: how many, then for each its tag and its name; or units as they are.
fn list(script: &mut Script<'_>) -> Vec<u16> {
    let count = script.byte();
    if count & 0x80 != 0 {
        return script
            .bytes()
            .chunks(2)
            .map(|pair| pair.iter().rev().fold(0, |sum, &octet| sum << 8 | u16::from(octet)))
            .collect();
    }
    let entry = |script: &mut Script<'_>| {
        let (tag, name) = (*script.choose(&TAGS), *script.choose(&NAMES));
        Entry::new(tag, name).expect("these names can travel")
    };
    TaggedList::new((0..count % 5).map(|_| entry(script)).collect()).to_units()
}
