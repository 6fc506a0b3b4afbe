//! A connection of the service, from the first PDU to the last, over sequences of PDUs in any order: binds, legs of real and
//! wrong logons, calls in fragments, sealed and not, orphaned, cancelled, damaged.
//!
//! No call reaches an interface before its caller has proved who he is, and none runs on the CA's object below packet
//! privacy or without its role; a connection holds what was sent to it and little more; every answer is one that our own
//! client reads, and no call is answered twice.

use std::sync::{Mutex, PoisonError};

use certadm_auth::Flavour;
use certadm_files::scratch;
use certadm_rules::flags::Roles;
use certadm_server::fuzzing::{Door, World as Service};
use certadm_wire::csra::Request;
use certadm_wire::dcom::activation::{ActivationProperties, ActivatorRequest};
use certadm_wire::dcom::{
    Clsid, ComVersion, Iid, InterfaceReferences, Ipid, OrpcThis, Oxid, RemUnknownRequest, ResolverRequest, SetId,
};
use certadm_wire::ndr::Guid;
use certadm_wire::rpc::{
    AuthLevel, BindBody, Body, ContextElement, Features, Flags, Pdu, RequestBody, SyntaxId, Verifier,
};
use tempfile::TempDir;

use crate::rpc_caller::{ACCOUNTS, Caller, PASSWORD};
use crate::script::Script;
use crate::stub::written;

/// The service and where it is; made anew now and then, because every backup that ends leaves a log.
static WORLD: Mutex<Option<World>> = Mutex::new(None);

struct World {
    service: Service,
    _place: TempDir,
    /// How many inputs it has served.
    inputs: u32,
}

/// How many inputs one service serves.
const INPUTS: u32 = 2000;

const INTERFACES: [Iid; 7] = [
    Iid::CERT_ADMIN_2,
    Iid::CERT_ADMIN,
    Iid::REM_UNKNOWN,
    Iid::REM_UNKNOWN_2,
    Iid::OBJECT_EXPORTER,
    Iid::REMOTE_SCM_ACTIVATOR,
    Iid::ACTIVATION,
];
const LEVELS: [AuthLevel; 5] =
    [AuthLevel::Privacy, AuthLevel::Integrity, AuthLevel::Packet, AuthLevel::Connect, AuthLevel::None];
const FLAVOURS: [Flavour; 3] = [Flavour::NtlmAsNegotiate, Flavour::Spnego, Flavour::Ntlm];

/// The first octet says which door: 0 the exporter's port, 1 the resolver's, 2 the Unix socket as root, 3 as somebody. Then
/// come steps, see [`step`].
pub(crate) fn run(data: &[u8]) {
    play(data);
}

/// Plays a script; answers the methods of the CA's object that were run, by their opnums.
fn play(data: &[u8]) -> Vec<u16> {
    let mut worlds = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
    worlds.take_if(|world| INPUTS <= world.inputs);
    let World { service, inputs, .. } = worlds.get_or_insert_with(new_world);
    *inputs += 1;
    let mut script = Script::new(data);
    let door = *script.choose(&[Door::Exporter, Door::Resolver, Door::Socket { uid: 0 }, Door::Socket { uid: 4242 }]);
    let ipids = service.activate(ACCOUNTS[0]);
    let mut caller = Caller::new(service.connect(door), door, ipids);
    while caller.is_open && !script.is_over() {
        step(&mut caller, &mut script);
    }
    caller.has_run
}

fn new_world() -> World {
    let place = scratch::for_test();
    let [operator, admin, nobody] = ACCOUNTS;
    let accounts = [
        (operator, PASSWORD, Roles::OPERATOR),
        (admin, PASSWORD, Roles::ADMINISTRATOR),
        (nobody, PASSWORD, Roles::NONE),
    ];
    let service = Service::new(&place.path().join("ca"), &accounts);
    let service = service.unwrap_or_else(|error| panic!("the service does not start: {error}"));
    World { service, _place: place, inputs: 0 }
}

/// One step: 0 bind, 1 alter_context, 2 auth3, 3 request, 4 orphaned, 5 cancel, 6 octets as they are, 7 a logon begun, 8 a
/// whole call of a backup, sealed.
fn step(caller: &mut Caller<'_>, script: &mut Script<'_>) {
    let kind = script.byte();
    let bytes = match kind % 9 {
        0 => bind(caller, script, true),
        1 => bind(caller, script, false),
        2 => {
            let leg = Leg::read(script);
            let pdu = Pdu { flags: Flags::ONLY, call_id: 1, body: Body::Auth3, verifier: leg.verifier(caller) };
            Caller::plain(&pdu)
        }
        3 => request(caller, script),
        4 | 5 => {
            let body = if kind % 9 == 4 { Body::Orphaned } else { Body::Cancel };
            let (call_id, seal) = (script.byte().into(), script.byte());
            let pdu = Pdu { flags: Flags::ONLY, call_id, body, verifier: None };
            if seal < 8 { caller.sealed(pdu, seal.into()) } else { Caller::plain(&pdu) }
        }
        6 => script.bytes().to_vec(),
        7 => {
            let (id, level, flavour) = (script.byte() % 8, *script.choose(&LEVELS), *script.choose(&FLAVOURS));
            let (account, is_right) = (script.byte(), script.byte() % 4 != 3);
            caller.log_on(id.into(), level, flavour, account, is_right);
            return;
        }
        _ => backup_call(caller, script),
    };
    if kind & 0x80 != 0 {
        caller.asks_anything();
    }
    let bytes = damaged(bytes, kind, script);
    caller.send(&bytes);
}

/// From 0x80 on a step has one of its octets changed, or its end cut off.
fn damaged(mut bytes: Vec<u8>, kind: u8, script: &mut Script<'_>) -> Vec<u8> {
    if kind & 0x80 != 0 {
        let (at, change) = (usize::from(script.word()), script.byte());
        match bytes.get_mut(at) {
            Some(place) => *place ^= change,
            None => bytes.truncate(bytes.len() / 2),
        }
    }
    bytes
}

/// Which leg of a logon a PDU carries.
struct Leg<'a> {
    id: Option<u32>,
    spoilt: Option<&'a [u8]>,
}

impl<'a> Leg<'a> {
    /// A context id below 8, or more for none; from 0x40 on with a token of the script's.
    fn read(script: &mut Script<'a>) -> Self {
        let octet = script.byte();
        let id = (octet & 0x3F < 8).then_some(u32::from(octet & 7));
        Self { id, spoilt: (octet & 0x40 != 0).then(|| script.bytes()) }
    }

    fn verifier<'t>(&'t self, caller: &'t Caller<'_>) -> Option<Verifier<'t>> {
        caller.leg(self.id?, self.spoilt)
    }
}

fn bind(caller: &Caller<'_>, script: &mut Script<'_>, is_bind: bool) -> Vec<u8> {
    let (first, count) = (script.byte(), script.byte() % 4);
    let mut elements: Vec<ContextElement> = (0..count)
        .map(|number| ContextElement {
            id: u16::from(first.wrapping_add(number)),
            abstract_syntax: script.choose(&INTERFACES).syntax(),
            transfer_syntaxes: vec![SyntaxId::NDR],
        })
        .collect();
    let flags = script.byte();
    if flags & 1 != 0 {
        let transfer_syntaxes = vec![Features::SECURITY_CONTEXT_MULTIPLEXING.proposal()];
        elements.push(ContextElement { id: 200, abstract_syntax: Iid::CERT_ADMIN_2.syntax(), transfer_syntaxes });
    }
    let size = if flags & 2 != 0 { script.word() } else { 5840 };
    let bind = BindBody { max_transmit: size, max_receive: size, association_group: 0, elements };
    let signing = if flags & 4 != 0 { Flags::ONLY } else { Flags::ONLY.with(Flags::HEADER_SIGNING) };
    let leg = Leg::read(script);
    let body = if is_bind { Body::Bind(bind) } else { Body::AlterContext(bind) };
    Caller::plain(&Pdu { flags: signing, call_id: 1, body, verifier: leg.verifier(caller) })
}

fn request(caller: &mut Caller<'_>, script: &mut Script<'_>) -> Vec<u8> {
    let (call_id, context, opnum) = (script.byte(), script.byte(), script.byte());
    let (flags, seal, object) = (Flags::from_bits(script.byte() & 0x7F), script.byte(), script.byte());
    let stub = stub(caller, script);
    let body = Body::Request(RequestBody {
        alloc_hint: script.byte().into(),
        context_id: context.into(),
        opnum: opnum.into(),
        object: object_of(caller, object),
        stub: &stub,
    });
    let pdu = Pdu { flags, call_id: call_id.into(), body, verifier: None };
    // Below 8 sealed under that context, below 16 with a verifier that is no seal, above without.
    match seal {
        0..8 => caller.sealed(pdu, seal.into()),
        8..16 => {
            let spoilt = script.bytes();
            Caller::plain(&Pdu { verifier: caller.leg(u32::from(seal) - 8, Some(spoilt)), ..pdu })
        }
        _ => Caller::plain(&pdu),
    }
}

/// 0 and 1 the two interfaces of the CA's object, 2 the Remote Unknown, 3 what nobody has, else none.
fn object_of(caller: &Caller<'_>, object: u8) -> Option<Guid> {
    match object {
        0..3 => caller.ipids.get(usize::from(object)).map(|ipid| ipid.0),
        3 => Some(Guid::from_le_bytes([7; 16])),
        _ => None,
    }
}

/// A stub: of octets, with ORPCTHIS before them, or of a call that parses.
fn stub(caller: &Caller<'_>, script: &mut Script<'_>) -> Vec<u8> {
    let kind = script.byte();
    let ipid = *caller.ipids.get(usize::from(kind >> 4)).unwrap_or(&Ipid::default());
    let with_this = |write: &dyn Fn(&mut certadm_wire::ndr::Writer)| {
        written(|writer| {
            OrpcThis { version: ComVersion::OURS, flags: 0, causality: Guid::default() }.write(writer);
            write(writer);
        })
    };
    match kind & 0xF {
        0 => script.bytes().to_vec(),
        1 => {
            let bytes = script.bytes();
            with_this(&|writer| {
                writer.bytes(bytes);
            })
        }
        2 => {
            let interfaces = vec![*script.choose(&INTERFACES)];
            let properties = ActivationProperties::of(Clsid::CERT_ADMIN, interfaces, Guid::default(), None);
            with_this(&|writer| ActivatorRequest::CreateInstance(properties.clone()).write(writer))
        }
        3 => {
            let interfaces = vec![*script.choose(&INTERFACES)];
            with_this(&|writer| {
                let interfaces = interfaces.clone();
                RemUnknownRequest::QueryInterface { ipid, references: 1, interfaces }.write(writer);
            })
        }
        4 => {
            let references = vec![InterfaceReferences { ipid, public: script.byte().into(), private: 0 }];
            with_this(&|writer| RemUnknownRequest::Release(references.clone()).write(writer))
        }
        5 => written(|writer| ResolverRequest::ResolveOxid2 { oxid: Oxid(0), towers: vec![7] }.write(writer)),
        6 => {
            let set = SetId(script.byte().into());
            written(|writer| {
                ResolverRequest::ComplexPing { set, sequence: 1, add: Vec::new(), delete: Vec::new() }.write(writer);
            })
        }
        _ => Vec::new(),
    }
}

/// One call of a backup on the object, in one fragment, under a context: kind, call id, presentation context, security context.
fn backup_call(caller: &mut Caller<'_>, script: &mut Script<'_>) -> Vec<u8> {
    let (kind, call_id, context, seal) = (script.byte(), script.byte(), script.byte(), script.byte());
    let authority = None;
    let request = match kind & 0xF {
        0 => Request::BackupPrepare { authority, grbit_jet: u32::from(kind >> 4), backup_flags: 0 },
        1 => Request::BackupGetAttachmentInformation,
        2 => {
            let place = usize::from(kind >> 4);
            let path = caller.names.get(place).cloned().unwrap_or_else(|| r"\\ca01\C$\..\..\etc\passwd".to_owned());
            Request::BackupOpenFile { path: Some(path) }
        }
        3 => Request::BackupReadFile { size: 1 << (kind >> 4) },
        4 => Request::BackupCloseFile,
        5 => Request::BackupGetBackupLogs,
        6 => Request::BackupTruncateLogs,
        7 => Request::BackupEnd,
        8 => Request::BackupGetDynamicFiles,
        9 => Request::RestoreGetDatabaseLocations,
        10 => Request::Ping { authority },
        11 => Request::GetServerState { authority },
        12 => Request::ServerControl { authority, flags: u32::from(kind >> 4) },
        _ => Request::Ping2 { authority },
    };
    let stub = written(|writer| {
        OrpcThis { version: ComVersion::OURS, flags: 0, causality: Guid::default() }.write(writer);
        request.write(writer);
    });
    let body = Body::Request(RequestBody {
        alloc_hint: 0,
        context_id: context.into(),
        opnum: request.opnum(),
        object: object_of(caller, 1),
        stub: &stub,
    });
    let pdu = Pdu { flags: Flags::ONLY, call_id: call_id.into(), body, verifier: None };
    let bytes = if seal < 8 { caller.sealed(pdu, seal.into()) } else { Caller::plain(&pdu) };
    caller.asks(call_id.into(), request);
    bytes
}

#[cfg(test)]
mod tests {
    use super::play;

    /// A seed that gets nowhere would let a fuzzer get nowhere.
    #[test]
    fn seeds_reach_what_they_are_named_for() {
        macro_rules! methods {
            ($name:literal) => {
                play(include_bytes!(concat!("../../../fuzz/seeds/server_connection/", $name)))
            };
        }
        assert_eq!(methods!("ntlm-full-backup"), [20, 30, 22, 24, 25, 26, 29, 23, 27, 21]);
        assert_eq!(methods!("negotiate-logs-only"), [20, 23, 21]);
        assert_eq!(methods!("spnego-ping"), [19], "an operator may not ping");
        assert_eq!(methods!("administrator-stops"), [18]);
        assert_eq!(methods!("two-contexts"), [20, 21], "an administrator takes no backup");
        assert!(methods!("fragments").is_empty());
        assert_eq!(methods!("socket-root"), [20, 23, 21]);
        for nothing in [methods!("integrity-only"), methods!("connect-level"), methods!("wrong-password")] {
            assert!(nothing.is_empty());
        }
        assert!(methods!("no-logon").is_empty());
        assert_eq!(methods!("no-role"), [19]);
    }
}
