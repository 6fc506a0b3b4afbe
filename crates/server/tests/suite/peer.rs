//! A client that sends what it is told: whole PDUs, changed PDUs, half PDUs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use certadm_auth::{
    AccountName, AuthError, Credentials, Environment, Established, FileTime, Flavour, Initiator, LastLeg,
    Level, Password, Protection, Segments, Step, Workstation, initiator,
};
use certadm_wire::csra::Request;
use certadm_wire::dcom::activation::{ActivationProperties, ActivatorRequest, ActivatorResponse};
use certadm_wire::dcom::{Clsid, ComVersion, Iid, Ipid, Oid, OrpcThat, OrpcThis};
use certadm_wire::ndr::{ByteOrder, Guid, Reader, Writer};
use certadm_wire::rpc::{
    AuthLevel, AuthType, BindBody, BindOutcome, Body, ContextElement, Flags, FragmentPlan, Header, Layout,
    Pdu, RequestBody, SyntaxId, Verifier,
};

use crate::world::{PASSWORD, World};

/// What ended a call without answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    /// A fault with this status.
    Fault(u32),
    /// bind_nak with this reason.
    Nak(u16),
    /// The server closed the connection, or said nothing for long.
    Closed,
    /// The answer is that of another call.
    Strange,
}

/// Changes an outgoing PDU; what it leaves empty is not sent, and the connection is closed instead.
pub(crate) type Change = Box<dyn Fn(&mut Vec<u8>) + Send>;

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

pub(crate) struct Peer {
    stream: Box<dyn Stream>,
    security: Option<Security>,
    next_call: u32,
    /// How many PDUs were sent.
    pub(crate) sent: usize,
    /// The PDU to change, by its number, and how.
    pub(crate) change: Option<(usize, Change)>,
    /// Whether a PDU that a change made shorter than it says ends the connection.
    pub(crate) leave_when_short: bool,
}

/// A logon on its way.
pub(crate) struct Logon {
    handshake: Box<dyn Initiator>,
    step: Step,
    first: bool,
    iid: Iid,
    level: AuthLevel,
}

struct Security {
    auth_type: AuthType,
    level: AuthLevel,
    keys: Option<Established>,
}

impl Peer {
    pub(crate) fn tcp(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(Box::new(stream))
    }

    pub(crate) fn unix(path: &Path) -> Self {
        Self::unix_with_patience(path, Duration::from_secs(120))
    }

    /// One that waits so long for an answer.
    pub(crate) fn unix_with_patience(path: &Path, patience: Duration) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(patience)).unwrap();
        Self::over(Box::new(stream))
    }

    fn over(stream: Box<dyn Stream>) -> Self {
        Self { stream, security: None, next_call: 1, sent: 0, change: None, leave_when_short: false }
    }

    /// Sends bytes as they are; false when the server has closed.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// The next PDU; none when the server has closed.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; Header::SIZE];
        self.stream.read_exact(&mut bytes).ok()?;
        let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        assert!(length >= Header::SIZE, "{bytes:?}");
        bytes.resize(length, 0);
        self.stream.read_exact(&mut bytes[Header::SIZE..]).ok()?;
        Some(bytes)
    }

    fn send(&mut self, pdu: &Pdu<'_>) -> Result<(), Failed> {
        let mut bytes = Vec::new();
        let layout = pdu.encode(&mut bytes).unwrap();
        let protected = matches!(pdu.body, Body::Request(_));
        if let Some(Security { level, keys: Some(keys), .. }) = &mut self.security
            && protected
            && pdu.verifier.is_some()
        {
            let protection = Protection { level: auth_level(*level), header_signing: true };
            let token = layout.token.len();
            let (segments, token) = Segments::split(&mut bytes, layout.header.len(), token).unwrap();
            keys.sealer.seal(protection, segments, token).unwrap();
        }
        if let Some((number, change)) = &self.change
            && *number == self.sent
        {
            change(&mut bytes);
        }
        self.sent += 1;
        if bytes.is_empty() || !self.send_bytes(&bytes) {
            return Err(Failed::Closed);
        }
        let announced = bytes.get(8..10).map(|length| u16::from_le_bytes([length[0], length[1]]));
        let is_short = announced.is_none_or(|announced| bytes.len() < announced.into());
        if self.leave_when_short && is_short { Err(Failed::Closed) } else { Ok(()) }
    }

    fn answer_to_bind(&mut self) -> Result<Vec<u8>, Failed> {
        let bytes = self.receive().ok_or(Failed::Closed)?;
        let pdu = Pdu::decode(&bytes).unwrap();
        match pdu.body {
            Body::BindAck(ack) | Body::AlterContextResponse(ack) => {
                if !matches!(ack.results.first(), Some(BindOutcome::Accepted(_))) {
                    return Err(Failed::Strange);
                }
                Ok(pdu.verifier.map(|verifier| verifier.token.to_vec()).unwrap_or_default())
            }
            Body::BindNak(nak) => Err(Failed::Nak(nak.reason.0)),
            Body::Fault(fault) => Err(Failed::Fault(fault.status.0)),
            _ => Err(Failed::Strange),
        }
    }

    /// A bind, or with `again` an alter_context, without authentication.
    pub(crate) fn bind(&mut self, context: u16, iid: Iid, again: bool) -> Result<(), Failed> {
        let body = bind_body(context, iid);
        let body = if again { Body::AlterContext(body) } else { Body::Bind(body) };
        self.send(&Pdu { flags: Flags::ONLY, call_id: 1, body, verifier: None })?;
        self.answer_to_bind().map(|_| ())
    }

    /// Binds and authenticates.
    pub(crate) fn bind_as(
        &mut self,
        iid: Iid,
        user: &str,
        password: &str,
        level: AuthLevel,
        flavour: Flavour,
    ) -> Result<(), Failed> {
        self.go_on(self.begin_as(iid, user, password, level, flavour), false).map(|_| ())
    }

    /// Binds and authenticates by this handshake.
    pub(crate) fn bind_with(
        &mut self,
        iid: Iid,
        level: AuthLevel,
        mut handshake: Box<dyn Initiator>,
    ) -> Result<(), Failed> {
        let step = handshake.step(&[]).unwrap();
        self.go_on(Logon { handshake, step, first: true, iid, level }, false).map(|_| ())
    }

    /// The bytes of a token of what is sent; none without authentication.
    fn token_size(&self) -> Option<u16> {
        let security = self.security.as_ref()?;
        let size =
            security.keys.as_ref().map_or(16, |keys| keys.sealer.token_size(auth_level(security.level)));
        Some(u16::try_from(size).unwrap())
    }

    /// The beginning of a logon; nothing is sent yet.
    pub(crate) fn begin_as(
        &self,
        iid: Iid,
        user: &str,
        password: &str,
        level: AuthLevel,
        flavour: Flavour,
    ) -> Logon {
        let credentials =
            Credentials { account: AccountName::new("", user), password: Password::new(password.to_owned()) };
        let mut handshake =
            initiator(flavour, &credentials, "HOST/ca01", auth_level(level), &workstation()).unwrap();
        assert_ne!(handshake.auth_type(), AuthType::KERBEROS);
        let step = handshake.step(&[]).unwrap();
        Logon { handshake, step, first: true, iid, level }
    }

    /// Goes on with a logon; with `to_challenge` only until the challenge has come, so that AUTHENTICATE is what it would send
    /// next.
    pub(crate) fn go_on(&mut self, logon: Logon, to_challenge: bool) -> Result<Option<Logon>, Failed> {
        let Logon { mut handshake, mut step, mut first, iid, level } = logon;
        let auth_type = handshake.auth_type();
        let flags = Flags::ONLY.with(Flags::HEADER_SIGNING);
        loop {
            if !step.token_out.is_empty() {
                let token = std::mem::take(&mut step.token_out);
                let verifier = Some(Verifier { auth_type, level, context_id: 0, token: &token });
                let is_last = step.done.is_some() || !first && handshake.last_leg() == LastLeg::Auth3;
                let body = match (first, handshake.last_leg()) {
                    (true, _) => Body::Bind(bind_body(0, iid)),
                    (false, LastLeg::Auth3) => Body::Auth3,
                    (false, LastLeg::AlterContext) => Body::AlterContext(bind_body(0, iid)),
                };
                let answered = body != Body::Auth3;
                self.send(&Pdu { flags, call_id: 1, body, verifier })?;
                first = false;
                if answered {
                    let token = self.answer_to_bind()?;
                    if step.done.is_none() {
                        step = handshake.step(&token).map_err(|_| Failed::Closed)?;
                        if to_challenge {
                            return Ok(Some(Logon { handshake, step, first, iid, level }));
                        }
                        continue;
                    }
                }
                assert!(is_last);
            }
            let keys = Some(step.done.expect("the handshake is over"));
            self.security = Some(Security { auth_type, level, keys });
            return Ok(None);
        }
    }

    /// One call: the stub of the answer.
    pub(crate) fn request(
        &mut self,
        context: u16,
        opnum: u16,
        object: Option<Guid>,
        stub: &[u8],
    ) -> Result<Vec<u8>, Failed> {
        self.send_request(context, opnum, object, stub)?;
        self.answer()
    }

    pub(crate) fn send_request(
        &mut self,
        context: u16,
        opnum: u16,
        object: Option<Guid>,
        stub: &[u8],
    ) -> Result<(), Failed> {
        self.next_call += 1;
        let call_id = self.next_call;
        let token = self.token_size();
        let room = vec![0; token.map_or(0, usize::from)];
        let plan = FragmentPlan::new(stub.len(), 4280, object.is_some(), token).unwrap();
        for fragment in plan {
            let body = Body::Request(RequestBody {
                alloc_hint: fragment.alloc_hint,
                context_id: context,
                opnum,
                object,
                stub: &stub[fragment.range],
            });
            let verifier = self.security.as_ref().map(|security| Verifier {
                auth_type: security.auth_type,
                level: security.level,
                context_id: 0,
                token: &room,
            });
            self.send(&Pdu { flags: fragment.flags, call_id, body, verifier })?;
        }
        Ok(())
    }

    pub(crate) fn answer(&mut self) -> Result<Vec<u8>, Failed> {
        let mut stub = Vec::new();
        loop {
            let mut bytes = self.receive().ok_or(Failed::Closed)?;
            let header = Header::decode(&bytes).unwrap();
            if let Some(Security { level, keys: Some(keys), .. }) = &mut self.security
                && header.auth_length != 0
            {
                let layout = Layout::of(&header, &bytes).unwrap();
                let protection = Protection { level: auth_level(*level), header_signing: true };
                let token = layout.token.len();
                let (segments, token) = Segments::split(&mut bytes, layout.header.len(), token).unwrap();
                keys.unsealer.unseal(protection, segments, token).unwrap();
            }
            let pdu = Pdu::decode(&bytes).unwrap();
            match pdu.body {
                Body::Response(response) => {
                    assert_eq!(
                        pdu.verifier.is_some(),
                        self.security.is_some(),
                        "answers are protected as calls"
                    );
                    stub.extend_from_slice(response.stub);
                }
                Body::Fault(fault) => return Err(Failed::Fault(fault.status.0)),
                _ => return Err(Failed::Strange),
            }
            if pdu.flags.has(Flags::LAST) {
                return Ok(stub);
            }
        }
    }
}

fn auth_level(level: AuthLevel) -> Level {
    if level == AuthLevel::Privacy { Level::Privacy } else { Level::Integrity }
}

fn bind_body(context: u16, iid: Iid) -> BindBody {
    let element =
        ContextElement { id: context, abstract_syntax: iid.syntax(), transfer_syntaxes: vec![SyntaxId::NDR] };
    BindBody { max_transmit: 4280, max_receive: 4280, association_group: 0, elements: vec![element] }
}

/// A bind with the first token of a logon.
pub(crate) fn bind_with_token(iid: Iid, auth_type: AuthType, token: &[u8]) -> Vec<u8> {
    let verifier = Some(Verifier { auth_type, level: AuthLevel::Privacy, context_id: 1, token });
    let body = Body::Bind(bind_body(0, iid));
    let mut bytes = Vec::new();
    Pdu { flags: Flags::ONLY, call_id: 1, body, verifier }.encode(&mut bytes).unwrap();
    bytes
}

/// ORPCTHIS and what `write` puts behind it.
pub(crate) fn stub(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    let causality = Guid::new(1, 2, 3, [4; 8]);
    OrpcThis { version: ComVersion::OURS, flags: 0, causality }.write(&mut writer);
    write(&mut writer);
    writer.into_bytes()
}

/// The HRESULT at the end of an answer.
pub(crate) fn code_of(answer: &[u8]) -> u32 {
    answer.last_chunk().map_or(u32::MAX, |code| u32::from_le_bytes(*code))
}

/// An activated object, and the connection it is called over.
pub(crate) struct Object {
    pub(crate) peer: Peer,
    pub(crate) ipid: Ipid,
    pub(crate) oid: Oid,
    pub(crate) rem_unknown: Ipid,
    /// The presentation context of `ICertAdminD2`.
    pub(crate) context: u16,
}

impl Object {
    /// Over TCP at packet privacy.
    pub(crate) fn tcp(world: &World, user: &str) -> Self {
        Self::tcp_with(world, user, PASSWORD).unwrap()
    }

    /// The same with this password.
    pub(crate) fn tcp_with(world: &World, user: &str, password: &str) -> Result<Self, Failed> {
        let mut resolver = Peer::tcp(world.addresses.resolver);
        resolver.bind_as(Iid::REMOTE_SCM_ACTIVATOR, user, password, AuthLevel::Privacy, Flavour::Ntlm)?;
        Self::activated(&mut resolver, Peer::tcp(world.addresses.exporter), user, password)
    }

    /// Activated over one connection, which has logged on, and called over another one.
    pub(crate) fn activated(
        resolver: &mut Peer,
        mut peer: Peer,
        user: &str,
        password: &str,
    ) -> Result<Self, Failed> {
        let (ipid, oid, rem_unknown) = activate(resolver, 0)?;
        peer.bind_as(Iid::CERT_ADMIN_2, user, password, AuthLevel::Privacy, Flavour::Spnego)?;
        Ok(Self { peer, ipid, oid, rem_unknown, context: 0 })
    }

    /// Over the Unix socket.
    pub(crate) fn unix(world: &World) -> Self {
        Self::over(Peer::unix(world.addresses.socket.as_ref().unwrap())).unwrap()
    }

    /// Over one connection without authentication.
    pub(crate) fn over(mut peer: Peer) -> Result<Self, Failed> {
        peer.bind(0, Iid::REMOTE_SCM_ACTIVATOR, false)?;
        let (ipid, oid, rem_unknown) = activate(&mut peer, 0)?;
        peer.bind(1, Iid::CERT_ADMIN_2, true)?;
        Ok(Self { peer, ipid, oid, rem_unknown, context: 1 })
    }

    pub(crate) fn call(&mut self, request: &Request) -> Result<Vec<u8>, Failed> {
        let stub = stub(|writer| request.write(writer));
        self.peer.request(self.context, request.opnum(), Some(self.ipid.0), &stub)
    }

    /// The HRESULT of a call.
    pub(crate) fn code(&mut self, request: &Request) -> u32 {
        code_of(&self.call(request).unwrap())
    }

    /// The names of a list, without their tags.
    pub(crate) fn list(&mut self, request: &Request) -> Result<Vec<String>, Failed> {
        use certadm_wire::csra::Response;
        let answer = self.call(request)?;
        let mut reader = Reader::new(&answer, ByteOrder::Little);
        OrpcThat::read(&mut reader).map_err(|_| Failed::Strange)?;
        let Ok(Response::List { units, .. }) = Response::read(request, &mut reader) else {
            return Err(Failed::Strange);
        };
        let text = String::from_utf16(&units).unwrap();
        Ok(text
            .split('\0')
            .filter(|entry| !entry.is_empty())
            .map(|entry| entry.chars().skip(1).collect())
            .collect())
    }

    /// Opens, reads and closes a file.
    pub(crate) fn fetch(&mut self, path: &str) -> Result<usize, Failed> {
        let open = Request::BackupOpenFile { path: Some(path.to_owned()) };
        if code_of(&self.call(&open)?) != 0 {
            return Err(Failed::Closed);
        }
        let mut total = 0;
        loop {
            let answer = self.call(&Request::BackupReadFile { size: 65536 })?;
            if code_of(&answer) != 0 || answer.len() < 8 {
                return Err(Failed::Strange);
            }
            let count = answer[answer.len() - 8..answer.len() - 4].try_into().unwrap();
            let count = usize::try_from(u32::from_le_bytes(count)).unwrap();
            total += count;
            if count < 65536 {
                break;
            }
        }
        self.call(&Request::BackupCloseFile)?;
        Ok(total)
    }

    /// A whole full backup.
    pub(crate) fn full_backup(&mut self) -> Result<(), Failed> {
        let codes = |answer: Vec<u8>| match code_of(&answer) {
            0 => Ok(()),
            code => Err(Failed::Fault(code)),
        };
        codes(self.call(&prepare(0))?)?;
        self.call(&Request::RestoreGetDatabaseLocations)?;
        for name in self.list(&Request::BackupGetAttachmentInformation)? {
            self.fetch(&name)?;
        }
        for name in self.list(&Request::BackupGetBackupLogs)? {
            self.fetch(&name)?;
        }
        codes(self.call(&Request::BackupTruncateLogs)?)?;
        codes(self.call(&Request::BackupEnd)?)
    }
}

pub(crate) fn prepare(grbit_jet: u32) -> Request {
    Request::BackupPrepare { authority: None, grbit_jet, backup_flags: 0 }
}

/// Activates over a connection that has bound the activator.
pub(crate) fn activate(peer: &mut Peer, context: u16) -> Result<(Ipid, Oid, Ipid), Failed> {
    let causality = Guid::new(9, 9, 9, [9; 8]);
    let properties = ActivationProperties::of(Clsid::CERT_ADMIN, vec![Iid::CERT_ADMIN_2], causality, None);
    let request = ActivatorRequest::CreateInstance(properties);
    let stub = stub(|writer| request.write(writer));
    let answer = peer.request(context, request.opnum(), None, &stub)?;
    let mut reader = Reader::new(&answer, ByteOrder::Little);
    OrpcThat::read(&mut reader).map_err(|_| Failed::Strange)?;
    let response = ActivatorResponse::read(&mut reader).map_err(|_| Failed::Strange)?;
    let Some(reply) = response.reply else { return Err(Failed::Fault(response.code.to_bits())) };
    let reference = reply.interfaces[0].reference.clone().unwrap().reference;
    Ok((reference.ipid, reference.oid, reply.exporter.rem_unknown))
}

/// The machine of the callers.
fn workstation() -> Workstation {
    struct Machine;

    impl Environment for Machine {
        fn now(&self) -> FileTime {
            certadm_store::now()
        }

        fn fill_random(&self, bytes: &mut [u8]) -> Result<(), AuthError> {
            getrandom::fill(bytes).map_err(|_| AuthError::NoRandomness)
        }
    }

    Workstation::new("caller.example", Arc::new(Machine))
}
