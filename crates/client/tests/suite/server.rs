//! A small server on loopback: resolver, activation, Remote Unknown, and an object whose answers a script makes. It
//! stops with the value that stands for it.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use certadm_auth::{
    Acceptor, AccountName, AccountStore, AuthError, Environment, FileTime, Level, NtHash, Password,
    Protection, Sealer, Segments, ServerNames, Service, Unsealer,
};
use certadm_client::{Credentials, Endpoint, KerberosTarget, Mechanism, OtherEntries, Target, Timeouts};
use certadm_rules::Hresult;
use certadm_wire::dcom::activation::{
    ActivationReply, ActivatorRequest, ActivatorResponse, Exporter, FactoryRequest, FactoryResponse,
    InterfaceResult,
};
use certadm_wire::dcom::{
    ComVersion, DualStringArray, Iid, Ipid, ObjRef, Oid, OrpcThat, OrpcThis, Oxid, QueryResult,
    RemUnknownInterface, RemUnknownRequest, RemUnknownResponse, ResolverRequest, ResolverResponse,
    ResolverStatus, SetId, StdObjRef, StringBinding,
};
use certadm_wire::ndr::{ByteOrder, Guid, Reader, Writer};
use certadm_wire::rpc::{
    AuthType, Body, Call, FaultBody, FaultStatus, Flags, FragmentPlan, Header, LegResult, MAX_FRAGMENT, Pdu,
    PduKind, ResponseBody, SecurityState, ServerConnection, ServerEvent, ServerLimits, SyntaxId, Verifier,
};

pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "Pa55-wörd";

const IPID: Ipid = Ipid(Guid::new(0x1c02, 0xa5c, 0, [0x8d, 0x1e, 0x7f, 0x5f, 0x2a, 0x9b, 0x3c, 0x4d]));
const REM_UNKNOWN: Ipid = Ipid(Guid::new(0x400, 0xa5c, 0, [1, 2, 3, 4, 5, 6, 7, 8]));
/// The factory of the class of objects.
const FACTORY: Ipid = Ipid(Guid::new(0xfac7, 0, 0, [3; 8]));

/// What the object answers.
pub(crate) enum Reply {
    /// A stub, after ORPCTHAT.
    Stub(Vec<u8>),
    Fault(FaultStatus),
    /// An answer of one byte now and then, which has no end.
    Trickle,
    /// The connection ends.
    Close,
}

/// Makes the object's answers. One value for each connection to the exporter.
pub(crate) trait Script: Send {
    fn answer(&mut self, opnum: u16, parameters: &mut Reader<'_>) -> Reply;
}

/// A refusal, of the protocol or of the method.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refusal {
    Fault(FaultStatus),
    Code(Hresult),
}

/// How the server behaves beside its script.
#[derive(Clone)]
pub(crate) struct Manners {
    /// The newer interface exists.
    pub(crate) second_interface: bool,
    /// The newer interface, once it was given out, can also be bound.
    pub(crate) binds_newer: bool,
    /// The version it speaks: calls by a higher one are refused.
    pub(crate) version: ComVersion,
    /// The answer to every activation, when it is not success.
    pub(crate) activation: Option<Hresult>,
    /// The fault that answers every call on the resolver that comes without an account.
    pub(crate) anonymous: Option<FaultStatus>,
    /// The fault that answers every call on the resolver, whoever calls.
    pub(crate) logon: Option<FaultStatus>,
    /// The fault that answers every activation.
    pub(crate) activation_fault: Option<FaultStatus>,
    /// How every release of an object is refused.
    pub(crate) release: Option<Refusal>,
    /// The extended error data of all faults.
    pub(crate) told: Vec<u8>,
    /// Objects are made by the factory of their class and in no other way.
    pub(crate) factory_alone: bool,
    /// The host that the exporter's bindings name first.
    pub(crate) binding_host: String,
    /// Answers go out unsealed.
    pub(crate) unsealed: bool,
    /// One bit of every answer is turned over after sealing.
    pub(crate) tampered: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            second_interface: true,
            binds_newer: true,
            version: ComVersion::OURS,
            activation: None,
            anonymous: None,
            logon: None,
            activation_fault: None,
            release: None,
            told: Vec::new(),
            factory_alone: false,
            binding_host: "elsewhere.example".to_owned(),
            unsealed: false,
            tampered: false,
        }
    }
}

struct World {
    service: Service,
    make_script: Box<dyn Fn() -> Box<dyn Script> + Send + Sync>,
    manners: Manners,
    exporter_port: u16,
    /// PDUs that are still sent before every connection is cut; negative for no end.
    budget: AtomicI64,
    stopping: AtomicBool,
    seen: Mutex<Seen>,
}

/// What the server has seen.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    pub(crate) connections: usize,
    pub(crate) activated: Vec<Iid>,
    pub(crate) pings: Vec<ResolverRequest>,
    pub(crate) released: u32,
    /// Of the PDUs sent in all.
    pub(crate) sent: i64,
    /// Requests that came without a verifier over TCP.
    pub(crate) naked: usize,
}

pub(crate) struct Server {
    world: Arc<World>,
    port: u16,
    socket: Option<std::path::PathBuf>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start<S: Script + 'static>(
        manners: Manners,
        make_script: impl Fn() -> S + Send + Sync + 'static,
    ) -> Self {
        Self::start_on(None, manners, make_script)
    }

    /// With a socket at `path` besides.
    pub(crate) fn start_on<S: Script + 'static>(
        path: Option<&Path>,
        manners: Manners,
        make_script: impl Fn() -> S + Send + Sync + 'static,
    ) -> Self {
        let resolver = TcpListener::bind("127.0.0.1:0").unwrap();
        let exporter = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = resolver.local_addr().unwrap().port();
        let world = Arc::new(World {
            service: Service::new(
                ServerNames::new("CA1", "CORP", Some("ca1.corp.example")).unwrap(),
                Arc::new(Accounts),
                Arc::new(RealWorld),
            ),
            make_script: Box::new(move || Box::new(make_script())),
            manners,
            exporter_port: exporter.local_addr().unwrap().port(),
            budget: AtomicI64::new(-1),
            stopping: AtomicBool::new(false),
            seen: Mutex::default(),
        });
        let mut threads = Vec::new();
        for listener in [resolver, exporter] {
            let world = Arc::clone(&world);
            threads.push(std::thread::spawn(move || {
                accept(
                    &world,
                    || listener.accept().map(|(stream, _)| Box::new(stream) as Box<dyn Wire>),
                    true,
                );
            }));
        }
        if let Some(path) = path {
            let listener = UnixListener::bind(path).unwrap();
            let world = Arc::clone(&world);
            threads.push(std::thread::spawn(move || {
                accept(
                    &world,
                    || listener.accept().map(|(stream, _)| Box::new(stream) as Box<dyn Wire>),
                    false,
                );
            }));
        }
        Self { world, port, socket: path.map(Path::to_owned), threads }
    }

    pub(crate) fn target(&self) -> Target {
        Target {
            endpoint: Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: self.port },
            authority: None,
            account: None,
            password_file: None,
            keytab: None,
            ticket_cache: None,
            mechanism: Mechanism::Negotiate,
            kerberos: KerberosTarget::default(),
            timeouts: Timeouts {
                connect: Duration::from_secs(60),
                call: Duration::from_secs(60),
                ..Timeouts::default()
            },
            other_entries: OtherEntries::default(),
        }
    }

    pub(crate) fn local_target(&self) -> Target {
        Target { endpoint: Endpoint::Socket(self.socket.clone().unwrap()), ..self.target() }
    }

    pub(crate) fn seen(&self) -> Seen {
        self.world.seen.lock().unwrap().clone()
    }

    /// Cuts every connection once `pdus` more were sent; negative for never.
    pub(crate) fn cut_after(&self, pdus: i64) {
        self.world.budget.store(pdus, Ordering::SeqCst);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.world.stopping.store(true, Ordering::SeqCst);
        // One more connection each lets the listeners see it.
        TcpStream::connect(("127.0.0.1", self.port)).ok();
        TcpStream::connect(("127.0.0.1", self.world.exporter_port)).ok();
        if let Some(path) = &self.socket {
            UnixStream::connect(path).ok();
        }
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}

pub(crate) fn credentials() -> Credentials {
    password(PASSWORD).into()
}

/// The same account with another password.
pub(crate) fn with_password(text: &str) -> Credentials {
    password(text).into()
}

fn password(text: &str) -> certadm_auth::Credentials {
    let (account, password) = (AccountName::new("CORP", USER), Password::new(text.to_owned()));
    certadm_auth::Credentials { account, password }
}

struct Accounts;

impl AccountStore for Accounts {
    fn nt_hash(&self, _domain: &str, user: &str) -> Option<NtHash> {
        (user == USER).then(|| NtHash::from_password(PASSWORD))
    }
}

struct RealWorld;

impl Environment for RealWorld {
    fn now(&self) -> FileTime {
        FileTime::from_unix(SystemTime::now().duration_since(UNIX_EPOCH).unwrap())
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), AuthError> {
        getrandom::fill(bytes).map_err(|_| AuthError::NoRandomness)
    }
}

/// A stream of either kind.
trait Wire: Read + Write + Send {
    fn end(&self);
    fn limit(&self);
}

impl Wire for TcpStream {
    fn end(&self) {
        self.shutdown(Shutdown::Both).ok();
    }

    fn limit(&self) {
        self.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        self.set_nodelay(true).unwrap();
    }
}

impl Wire for UnixStream {
    fn end(&self) {
        self.shutdown(Shutdown::Both).ok();
    }

    fn limit(&self) {
        self.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    }
}

fn accept(world: &Arc<World>, next: impl Fn() -> std::io::Result<Box<dyn Wire>>, over_network: bool) {
    loop {
        let Ok(stream) = next() else { return };
        if world.stopping.load(Ordering::SeqCst) {
            return;
        }
        stream.limit();
        world.seen.lock().unwrap().connections += 1;
        let world = Arc::clone(world);
        std::thread::spawn(move || Peer::new(world, stream, over_network).serve());
    }
}

struct Peer {
    world: Arc<World>,
    stream: Box<dyn Wire>,
    over_network: bool,
    script: Box<dyn Script>,
    acceptors: HashMap<u32, Box<dyn Acceptor>>,
    contexts: HashMap<u32, (AuthType, Sealer, Unsealer)>,
}

const PRIVACY: Protection = Protection { level: Level::Privacy, header_signing: true };

impl Peer {
    fn new(world: Arc<World>, stream: Box<dyn Wire>, over_network: bool) -> Self {
        let script = (world.make_script)();
        Self { world, stream, over_network, script, acceptors: HashMap::new(), contexts: HashMap::new() }
    }

    fn serve(mut self) {
        let binds_newer = self.world.manners.binds_newer;
        let serves = move |syntax: &SyntaxId| binds_newer || *syntax != Iid::CERT_ADMIN_2.syntax();
        let mut machine = ServerConnection::new(ServerLimits::default(), b"135".to_vec(), 7, serves);
        while let Some((header, mut bytes)) = self.receive() {
            if header.auth_length > 0 && header.kind == PduKind::Request {
                self.unseal(&header, &mut bytes);
            } else if header.kind == PduKind::Request && self.over_network {
                self.world.seen.lock().unwrap().naked += 1;
            }
            let pdu = Pdu::decode(&bytes).expect("the client sends whole PDUs");
            let answered = match machine.receive(&pdu) {
                ServerEvent::Wait => true,
                ServerEvent::Send(pdu) => self.send(&pdu, None),
                ServerEvent::Refuse(pdu) => {
                    pdu.map(|pdu| self.send(&pdu, None));
                    false
                }
                ServerEvent::Authenticate(leg) => {
                    let (result, token) = self.leg(leg.context_id, leg.auth_type, leg.token);
                    match machine.authenticated(result, &token) {
                        Some(pdu) => self.send(&pdu, None),
                        None => true,
                    }
                }
                ServerEvent::Call(call) => {
                    assert!(call.security.is_none_or(|id| {
                        machine.security(id).is_some_and(|context| context.state == SecurityState::Ready)
                    }));
                    let max = machine.max_transmit();
                    self.call(&call, max)
                }
                _ => false,
            };
            if !answered {
                break;
            }
        }
        self.stream.end();
    }

    fn receive(&mut self) -> Option<(Header, Vec<u8>)> {
        let mut bytes = vec![0; Header::SIZE];
        self.stream.read_exact(&mut bytes).ok()?;
        let header = Header::decode(&bytes).expect("the client sends PDUs");
        assert!(header.fragment_length <= MAX_FRAGMENT);
        bytes.resize(header.fragment_length.into(), 0);
        self.stream.read_exact(&mut bytes[Header::SIZE..]).ok()?;
        Some((header, bytes))
    }

    /// Sends a PDU, sealed under a context where one is given. False when the connection is over.
    fn send(&mut self, pdu: &Pdu<'_>, seal: Option<u32>) -> bool {
        let mut bytes = Vec::new();
        let layout = pdu.encode(&mut bytes).unwrap();
        if let Some((_, sealer, _)) = seal.and_then(|id| self.contexts.get_mut(&id)) {
            let (segments, token) =
                Segments::split(&mut bytes, layout.header.end, layout.token.len()).unwrap();
            sealer.seal(PRIVACY, segments, token).unwrap();
            if self.world.manners.tampered {
                bytes[layout.body.start] ^= 1;
            }
        }
        let left = self.world.budget.load(Ordering::SeqCst);
        if left == 0 {
            return false;
        }
        if left > 0 {
            self.world.budget.fetch_sub(1, Ordering::SeqCst);
        }
        self.world.seen.lock().unwrap().sent += 1;
        self.stream.write_all(&bytes).is_ok()
    }

    fn unseal(&mut self, header: &Header, bytes: &mut [u8]) {
        let layout = certadm_wire::rpc::Layout::of(header, bytes).unwrap();
        let verifier = layout.verifier(header, bytes).unwrap().unwrap();
        let Some((_, _, unsealer)) = self.contexts.get_mut(&verifier.context_id) else { return };
        let (segments, token) = Segments::split(bytes, layout.header.end, layout.token.len()).unwrap();
        unsealer.unseal(PRIVACY, segments, token).expect("the client seals what it sends");
    }

    fn leg(&mut self, id: u32, auth_type: AuthType, token: &[u8]) -> (LegResult, Vec<u8>) {
        let service = &self.world.service;
        let acceptor =
            self.acceptors.entry(id).or_insert_with(|| service.acceptor(auth_type, Level::Privacy).unwrap());
        match acceptor.step(token) {
            Err(_) => (LegResult::Failed, Vec::new()),
            Ok(step) => match step.done {
                None => (LegResult::Continue, step.token_out),
                Some(done) => {
                    self.contexts.insert(id, (auth_type, done.sealer, done.unsealer));
                    (LegResult::Complete, step.token_out)
                }
            },
        }
    }

    fn call(&mut self, call: &Call<'_>, max: u16) -> bool {
        let mut reader = Reader::new(&call.stub, ByteOrder::Little);
        let iid = Iid(call.interface.uuid);
        let mut writer = Writer::new();
        if iid == Iid::OBJECT_EXPORTER {
            let anonymous = self.world.manners.anonymous.filter(|_| call.security.is_none());
            let logon = self.world.manners.logon.filter(|_| call.security.is_some());
            if let Some(status) = anonymous.or(logon) {
                return self.fault(call, status);
            }
            self.resolver(call.opnum, &mut reader).write(&mut writer);
            return self.answer(call, &writer.into_bytes(), max);
        }
        let this = OrpcThis::read(&mut reader).unwrap();
        if self.world.manners.version.minor < this.version.minor {
            return self.fault(call, FaultStatus::VERSION_MISMATCH);
        }
        OrpcThat::CALL.write(&mut writer);
        match iid {
            Iid::REMOTE_SCM_ACTIVATOR => {
                if let Some(status) = self.world.manners.activation_fault {
                    return self.fault(call, status);
                }
                let request = ActivatorRequest::read(call.opnum, &mut reader).unwrap();
                self.activate(&request).write(&mut writer);
            }
            Iid::CLASS_FACTORY => {
                assert_eq!(call.object, Some(FACTORY.0));
                let request = FactoryRequest::read(call.opnum, &mut reader).unwrap();
                self.factory(&request).write(&mut writer);
            }
            Iid::REM_UNKNOWN => {
                assert_eq!(call.object, Some(REM_UNKNOWN.0));
                let request =
                    RemUnknownRequest::read(RemUnknownInterface::RemUnknown, call.opnum, &mut reader)
                        .unwrap();
                match request {
                    RemUnknownRequest::Release(references) => {
                        assert!([IPID, FACTORY].contains(&references[0].ipid));
                        let code = match self.world.manners.release {
                            Some(Refusal::Fault(status)) => return self.fault(call, status),
                            Some(Refusal::Code(code)) => code,
                            None => {
                                self.world.seen.lock().unwrap().released += references[0].public;
                                Hresult::S_OK
                            }
                        };
                        RemUnknownResponse::Released(code).write(&mut writer);
                    }
                    RemUnknownRequest::QueryInterface { ipid, references, interfaces } => {
                        assert_eq!((ipid, interfaces.as_slice()), (IPID, &[Iid::CERT_ADMIN][..]));
                        let oxid = Oxid(0x1122_3344_5566_7788);
                        let reference = StdObjRef { flags: 0, references, oxid, oid: Oid(9), ipid };
                        let results = vec![QueryResult { code: Hresult::S_OK, reference }];
                        RemUnknownResponse::Interfaces { results, code: Hresult::S_OK }.write(&mut writer);
                    }
                    request => panic!("{request:?}"),
                }
            }
            _ => {
                assert_eq!(call.object, Some(IPID.0));
                match self.script.answer(call.opnum, &mut reader) {
                    Reply::Stub(stub) => {
                        writer.bytes(&stub);
                    }
                    Reply::Fault(status) => return self.fault(call, status),
                    Reply::Trickle => return self.trickle(call),
                    Reply::Close => return false,
                }
            }
        }
        self.answer(call, &writer.into_bytes(), max)
    }

    fn fault(&mut self, call: &Call<'_>, status: FaultStatus) -> bool {
        let told = self.world.manners.told.clone();
        let body = Body::Fault(FaultBody { extended: &told, ..FaultBody::plain(call.context_id, status) });
        self.send(&Pdu { flags: Flags::ONLY, call_id: call.call_id, body, verifier: None }, None)
    }

    fn answer(&mut self, call: &Call<'_>, stub: &[u8], max: u16) -> bool {
        let seal = call.security.filter(|_| !self.world.manners.unsealed);
        FragmentPlan::new(stub.len(), max, false, seal.map(|_| 16)).unwrap().all(|fragment| {
            self.fragment(call, seal, fragment.flags, fragment.alloc_hint, &stub[fragment.range.clone()])
        })
    }

    /// Goes on until the client has had enough, which it has to.
    fn trickle(&mut self, call: &Call<'_>) -> bool {
        let begun = std::time::Instant::now();
        let mut flags = Flags::FIRST;
        while self.fragment(call, call.security, flags, 0, &[7]) {
            assert!(begun.elapsed() < Duration::from_secs(120), "the client waits for ever");
            flags = Flags::default();
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    fn fragment(&mut self, call: &Call<'_>, seal: Option<u32>, flags: Flags, hint: u32, stub: &[u8]) -> bool {
        let token = [0; 16];
        let verifier = seal.map(|context_id| Verifier {
            auth_type: self.contexts[&context_id].0,
            level: certadm_wire::rpc::AuthLevel::Privacy,
            context_id,
            token: &token,
        });
        let body = Body::Response(ResponseBody {
            alloc_hint: hint,
            context_id: call.context_id,
            cancel_count: 0,
            stub,
        });
        self.send(&Pdu { flags, call_id: call.call_id, body, verifier }, seal)
    }

    fn resolver(&self, opnum: u16, reader: &mut Reader<'_>) -> ResolverResponse {
        let request = ResolverRequest::read(opnum, reader).unwrap();
        self.world.seen.lock().unwrap().pings.push(request.clone());
        let status = ResolverStatus::OK;
        match request {
            ResolverRequest::ComplexPing { .. } => {
                ResolverResponse::Pinged { set: SetId(77), backoff: 0, status }
            }
            ResolverRequest::ServerAlive2 => ResolverResponse::Alive {
                version: self.world.manners.version,
                bindings: Some(DualStringArray::default()),
                status,
            },
            _ => ResolverResponse::Status(status),
        }
    }

    fn factory(&self, request: &FactoryRequest) -> FactoryResponse {
        let FactoryRequest::CreateInstance { iid } = *request else { panic!("{request:?}") };
        self.world.seen.lock().unwrap().activated.push(iid);
        if iid == Iid::CERT_ADMIN_2 && !self.world.manners.second_interface {
            return FactoryResponse::failure(request, Hresult::E_NOINTERFACE);
        }
        let oxid = Oxid(0x1122_3344_5566_7788);
        let reference = StdObjRef { flags: 0, references: 5, oxid, oid: Oid(10), ipid: IPID };
        let reference = ObjRef { iid, reference, resolver: DualStringArray::default() };
        FactoryResponse::Created { reference: Some(reference), code: Hresult::S_OK }
    }

    fn activate(&self, request: &ActivatorRequest) -> ActivatorResponse {
        let (properties, ipid) = match request {
            ActivatorRequest::CreateInstance(properties) => (properties, IPID),
            ActivatorRequest::GetClassObject(properties) => (properties, FACTORY),
            request => panic!("{request:?}"),
        };
        // As clients of Windows say where they believe to be.
        assert_eq!(properties.server.is_some(), self.over_network);
        let [iid] = properties.interfaces[..] else { panic!("{properties:?}") };
        self.world.seen.lock().unwrap().activated.push(iid);
        if let Some(code) = self.world.manners.activation {
            return ActivatorResponse::failure(code);
        }
        if self.world.manners.factory_alone && ipid == IPID {
            return ActivatorResponse::failure(Hresult::E_NOTIMPL);
        }
        if iid == Iid::CERT_ADMIN_2 && !self.world.manners.second_interface {
            return ActivatorResponse::failure(Hresult::E_NOINTERFACE);
        }
        let oxid = Oxid(0x1122_3344_5566_7788);
        let reference = StdObjRef { flags: 0, references: 5, oxid, oid: Oid(9), ipid };
        let reference = ObjRef { iid, reference, resolver: DualStringArray::default() };
        let bindings =
            vec![StringBinding::exporter(&self.world.manners.binding_host, self.world.exporter_port)];
        ActivatorResponse {
            reply: Some(ActivationReply {
                interfaces: vec![InterfaceResult { iid, code: Hresult::S_OK, reference: Some(reference) }],
                exporter: Exporter {
                    oxid,
                    bindings: DualStringArray::new(bindings, Vec::new()).unwrap(),
                    rem_unknown: REM_UNKNOWN,
                    authentication_hint: 2,
                    version: ComVersion { major: 5, minor: self.world.manners.version.minor.min(6) },
                },
            }),
            code: Hresult::S_OK,
        }
    }
}
