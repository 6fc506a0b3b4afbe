//! Hostile and broken traffic: the service stays up and bounded, and frees what its callers leave behind.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use certadm_server::Limits;
use certadm_wire::csra::Request;
use certadm_wire::dcom::{Iid, Oid, ResolverRequest, ResolverResponse, SetId};
use certadm_wire::ndr::{ByteOrder, Reader, Writer};
use certadm_wire::rpc::AuthType;

use crate::peer::{Change, Failed, Object, Peer, bind_with_token, prepare};
use crate::world::{OPEN, PASSWORD, World, wait_until};

/// A session over the Unix socket, one of its PDUs changed: how it ended, and how many PDUs were sent.
fn changed_session(world: &World, number: usize, change: Change) -> (Result<(), Failed>, usize) {
    let mut peer = Peer::unix(world.addresses.socket.as_ref().unwrap());
    peer.change = Some((number, change));
    let mut object = match Object::over(peer) {
        Ok(object) => object,
        Err(failed) => return (Err(failed), number + 1),
    };
    let result = object.full_backup();
    (result, object.peer.sent)
}

/// A clean session, which works as soon as the one before is forgotten.
fn clean_session(world: &World) {
    wait_until("the CA is free again", || {
        let peer = Peer::unix(world.addresses.socket.as_ref().unwrap());
        Object::over(peer).and_then(|mut object| object.full_backup()).is_ok()
    });
}

/// The memory is that of the whole process, so the tests that measure it take turns.
fn measuring() -> MutexGuard<'static, ()> {
    static MEASURING: Mutex<()> = Mutex::new(());
    MEASURING.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn open_as_many_files_as_allowed() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// A changed message may get any answer, or none, but the service goes on. PDU by PDU of a whole backup: truncated at
/// every byte, every header byte set to its extremes, lengths that lie, random bytes.
#[test]
fn five_thousand_changed_messages() {
    let _turn = measuring();
    let limits =
        Limits { session_idle: Duration::from_secs(2), write_every: Duration::ZERO, ..Limits::default() };
    let world = World::with(OPEN, limits);
    let (clean, pdus) = changed_session(&world, usize::MAX, Box::new(|_| {}));
    assert_eq!(clean, Ok(()));
    assert!(pdus >= 12, "{pdus}");
    let before = resident_bytes();
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut count = 0;
    for number in 0..pdus {
        let mut changes: Vec<Change> = Vec::new();
        // the length of a message is known when it is sent: cuts beyond it change nothing
        for cut in 0..140 {
            changes.push(Box::new(move |bytes: &mut Vec<u8>| bytes.truncate(cut)));
        }
        for place in 0..44_usize {
            for value in [0, 1, 0x7F, 0xFF] {
                changes.push(Box::new(move |bytes| {
                    if let Some(byte) = bytes.get_mut(place) {
                        *byte = value;
                    }
                }));
            }
        }
        for _ in 0..80 {
            let mut next = || {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random
            };
            let changed: Vec<(u64, u64)> = (0..1 + next() % 6).map(|_| (next(), next())).collect();
            changes.push(Box::new(move |bytes| {
                for (place, value) in &changed {
                    let place = usize::try_from(*place).unwrap() % bytes.len();
                    bytes[place] = u8::try_from(value & 0xFF).unwrap();
                }
            }));
        }
        for change in changes {
            let (outcome, _) = changed_session_ended(&world, number, change);
            *outcomes.entry(format!("{outcome:?}")).or_default() += 1;
            count += 1;
        }
    }
    assert!(count >= 5_000, "{count}");
    let growth = resident_bytes().saturating_sub(before);
    assert!(growth < 64 << 20, "{growth} bytes more after {count} changed messages: {outcomes:?}");
    assert!(outcomes.len() > 3, "{outcomes:?}");
    clean_session(&world);
    wait_until("the connections are gone", || world.stopper.load().0 == 0);
}

/// As [`changed_session`], but a message that is cut short ends the connection, as nothing would come to complete it,
/// and a server that waits for more is not waited for.
fn changed_session_ended(world: &World, number: usize, change: Change) -> (Result<(), Failed>, usize) {
    let socket = world.addresses.socket.as_ref().unwrap();
    let mut peer = Peer::unix_with_patience(socket, Duration::from_millis(150));
    peer.change = Some((number, change));
    peer.leave_when_short = true;
    let mut object = match Object::over(peer) {
        Ok(object) => object,
        Err(failed) => return (Err(failed), number + 1),
    };
    let result = object.full_backup();
    (result, object.peer.sent)
}

/// The same over TCP, where a changed message no longer verifies.
#[test]
fn a_sealed_message_that_was_changed_ends_its_connection() {
    let world = World::new();
    let mut count = 0;
    for place in [0, 2, 3, 4, 8, 10, 12, 16, 20, 22, 24, 30, 40, 50, 60, 75, 90, 100] {
        for bit in [0x01, 0x80] {
            let mut object = Object::tcp(&world, "operator");
            let number = object.peer.sent;
            object.peer.change = Some((
                number,
                Box::new(move |bytes| {
                    if let Some(byte) = bytes.get_mut(place) {
                        *byte ^= bit;
                    }
                }),
            ));
            object.peer.leave_when_short = true;
            let outcome = object.call(&prepare(0));
            assert!(
                matches!(outcome, Err(Failed::Fault(_) | Failed::Closed)),
                "{place} {bit:#x}: {outcome:?}"
            );
            count += 1;
        }
    }
    assert_eq!(count, 36);
    let mut object = Object::tcp(&world, "operator");
    assert_eq!(object.full_backup(), Ok(()), "none of them began a backup");
}

/// The same PDU twice is a replay.
#[test]
fn a_replayed_message_is_refused() {
    let world = World::new();
    let mut object = Object::tcp(&world, "operator");
    let number = object.peer.sent;
    object.peer.change = Some((number, Box::new(|bytes| bytes.extend(bytes.clone()))));
    assert!(object.call(&Request::GetServerState { authority: None }).is_ok());
    assert_eq!(object.peer.answer(), Err(Failed::Fault(5)));
    assert!(object.peer.receive().is_none());
}

/// What the server said, sent back to it, and two messages in the wrong order.
#[test]
fn reflected_and_reordered_messages_are_refused() {
    let world = World::new();
    let state = Request::GetServerState { authority: None };
    let mut object = Object::tcp(&world, "operator");
    let stub = crate::peer::stub(|writer| state.write(writer));
    object.peer.send_request(0, 19, Some(object.ipid.0), &stub).unwrap();
    let mut said = object.peer.receive().unwrap();
    said[2] = 0; // as a request
    assert!(object.peer.send_bytes(&said));
    assert_eq!(object.peer.answer(), Err(Failed::Fault(5)));
    let mut object = Object::tcp(&world, "operator");
    let held = std::sync::Arc::new(Mutex::new(Vec::new()));
    let kept = std::sync::Arc::clone(&held);
    let number = object.peer.sent;
    object.peer.change = Some((number, Box::new(move |bytes| *kept.lock().unwrap() = std::mem::take(bytes))));
    assert_eq!(object.peer.send_request(0, 19, Some(object.ipid.0), &stub), Err(Failed::Closed));
    object.peer.send_request(0, 19, Some(object.ipid.0), &stub).unwrap();
    assert!(object.peer.send_bytes(&held.lock().unwrap()));
    assert_eq!(object.peer.answer(), Err(Failed::Fault(5)));
    assert!(object.peer.receive().is_none());
}

/// Over the Unix socket the kernel says who calls: a logon there is refused, whoever it is (wire.md 5.11).
#[test]
fn the_socket_takes_no_logons() {
    let world = World::new();
    let mut peer = Peer::unix(world.addresses.socket.as_ref().unwrap());
    let level = certadm_wire::rpc::AuthLevel::Privacy;
    let bound = peer.bind_as(Iid::CERT_ADMIN_2, "operator", PASSWORD, level, certadm_auth::Flavour::Ntlm);
    assert!(matches!(bound, Err(Failed::Nak(_))), "{bound:?}");
}

/// Whoever has not logged on cannot make the service hold much: of a call in pieces the first piece is refused, and a
/// call that is answered to everybody may not be large.
#[test]
fn nobody_fills_the_memory_without_proof() {
    let world = World::new();
    let mut peer = Peer::tcp(world.addresses.exporter);
    peer.bind(0, Iid::CERT_ADMIN_2, false).unwrap();
    assert!(peer.request(0, 24, None, &vec![0; 100_000]).is_err());
    let mut peer = Peer::tcp(world.addresses.resolver);
    peer.bind(0, Iid::OBJECT_EXPORTER, false).unwrap();
    assert!(peer.request(0, 5, None, &vec![0; 60_000]).is_ok());
    assert!(peer.request(0, 5, None, &vec![0; 100_000]).is_err());
    // Where sending failed before the fault was read, the fault is still to come. Nothing follows it.
    assert!(peer.receive().is_none() || peer.receive().is_none());
}

/// The ticket of a user in many groups makes a bind that is larger than a fragment of a call may be.
#[test]
fn a_bind_may_be_larger_than_a_fragment_and_a_request_may_not() {
    let world = World::new();
    for size in [9_000, 60_000] {
        let mut peer = Peer::tcp(world.addresses.exporter);
        assert!(peer.send_bytes(&bind_with_token(Iid::CERT_ADMIN_2, AuthType::SPNEGO, &vec![0x60; size])));
        let answer = peer.receive().expect("an answer");
        assert!(matches!(answer[2], 12 | 13), "{size}: {answer:?}");
    }
    let mut peer = Peer::tcp(world.addresses.exporter);
    peer.bind(0, Iid::CERT_ADMIN_2, false).unwrap();
    // Its header alone is enough.
    assert!(peer.send_bytes(&[5, 0, 0, 3, 0x10, 0, 0, 0, 0x28, 0x23, 0, 0, 2, 0, 0, 0]));
    assert_eq!(peer.receive(), None);
}

/// The connection is lost after every message in turn; the next backup works at once.
#[test]
fn a_connection_cut_after_every_message() {
    let world = World::new();
    let (_, pdus) = changed_session(&world, usize::MAX, Box::new(|_| {}));
    for number in 0..pdus {
        let (outcome, _) = changed_session(&world, number, Box::new(Vec::clear));
        assert_eq!(outcome, Err(Failed::Closed));
        clean_session(&world);
    }
}

#[test]
fn slow_and_silent_callers_are_given_up() {
    // Long enough for a busy machine, and shorter than the 30 s that the service takes when nobody sets its limits.
    const BOUND: Duration = Duration::from_secs(25);
    let limits = Limits {
        handshake: Duration::from_millis(700),
        pdu: Duration::from_millis(500),
        ..Limits::default()
    };
    let world = World::with(OPEN, limits);
    // silent
    let mut silent = Peer::tcp(world.addresses.resolver);
    let began = Instant::now();
    assert!(silent.receive().is_none());
    assert!(began.elapsed() < BOUND);
    // a byte now and then
    let mut slow = Peer::tcp(world.addresses.exporter);
    let began = Instant::now();
    while slow.send_bytes(&[5]) {
        std::thread::sleep(Duration::from_millis(50));
        assert!(began.elapsed() < BOUND);
    }
    // questions without proof keep nobody alive
    let mut chatty = Peer::tcp(world.addresses.resolver);
    chatty.bind(0, Iid::OBJECT_EXPORTER, false).unwrap();
    let began = Instant::now();
    while chatty.request(0, 5, None, &[]).is_ok() {
        std::thread::sleep(Duration::from_millis(50));
        assert!(began.elapsed() < BOUND);
    }
    wait_until("the connections are gone", || world.stopper.load().0 == 0);
}

#[test]
fn a_thousand_idle_connections_shut_nobody_out() {
    let _turn = measuring();
    open_as_many_files_as_allowed();
    // None of them ends by itself before all are met.
    let handshake = Duration::from_secs(600);
    let limits = Limits { connections: 64, unproven_per_address: 64, handshake, ..Limits::default() };
    let world = World::with(OPEN, limits);
    let before = resident_bytes();
    let idle: Vec<TcpStream> =
        (0..1000).map(|_| TcpStream::connect(world.addresses.exporter).unwrap()).collect();
    // All of them, or those that are still to be met would push out the caller that logs on through another port.
    idle.iter().for_each(|stream| stream.set_nonblocking(true).unwrap());
    let has_ended = |mut stream: &TcpStream| match stream.read(&mut [0]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    };
    let ended = || idle.iter().filter(|stream| has_ended(stream)).count();
    wait_until("they are met", || limits.connections + ended() == idle.len());
    assert_eq!(world.stopper.load().0, limits.connections);
    let mut object = Object::tcp(&world, "operator");
    assert_eq!(object.full_backup(), Ok(()));
    assert!(world.stopper.load().0 <= limits.connections);
    assert!(resident_bytes().saturating_sub(before) < 64 << 20);
    drop(idle);
}

#[test]
fn one_caller_has_only_so_many_connections() {
    let limits = Limits { connections_per_caller: 2, ..Limits::default() };
    let world = World::with(OPEN, limits);
    let bind = || {
        let mut peer = Peer::tcp(world.addresses.exporter);
        let level = certadm_wire::rpc::AuthLevel::Privacy;
        let flavour = certadm_auth::Flavour::Spnego;
        peer.bind_as(Iid::CERT_ADMIN_2, "operator", PASSWORD, level, flavour)?;
        // Whatever is called: the first message that verifies proves who calls.
        match peer.request(0, 19, None, &[]) {
            Err(Failed::Closed) => Err(Failed::Closed),
            _ => Ok(peer),
        }
    };
    let (first, _second) = (bind().unwrap(), bind().unwrap());
    assert_eq!(bind().err(), Some(Failed::Closed));
    Object::tcp(&world, "other");
    drop(first);
    wait_until("there is room again", || bind().is_ok());
}

#[test]
fn objects_that_nobody_pings_are_forgotten() {
    let limits = Limits {
        object_idle: Duration::from_secs(6),
        ping_period: Duration::from_secs(2),
        lost_client: Duration::from_secs(60),
        ..Limits::default()
    };
    let world = World::with(OPEN, limits);
    let mut resolver = Peer::unix(world.addresses.socket.as_ref().unwrap());
    resolver.bind(0, Iid::OBJECT_EXPORTER, false).unwrap();
    let mut ping = |set: SetId, sequence: u16, add: Vec<Oid>, delete: Vec<Oid>| {
        let request = ResolverRequest::ComplexPing { set, sequence, add, delete };
        let mut writer = Writer::new();
        request.write(&mut writer);
        let answer = resolver.request(0, request.opnum(), None, &writer.into_bytes()).unwrap();
        let mut reader = Reader::new(&answer, ByteOrder::Little);
        match ResolverResponse::read(request.opnum(), &mut reader).unwrap() {
            ResolverResponse::Pinged { set, status, .. } => (set, status.0),
            other => panic!("{other:?}"),
        }
    };
    let mut pinged = Object::unix(&world);
    let mut forgotten = Object::unix(&world);
    assert_eq!(forgotten.code(&Request::GetServerState { authority: None }), 0);
    let (set, status) = ping(SetId(0), 1, vec![pinged.oid], Vec::new());
    assert_eq!((status, set == SetId(0)), (0, false));
    wait_until("only the pinged object lives", || {
        assert_eq!(ping(set, 1, Vec::new(), Vec::new()).1, 0);
        world.stopper.load().1 == 1
    });
    let state = Request::GetServerState { authority: None };
    assert_eq!(forgotten.call(&state), Err(Failed::Fault(0x8001_0108)));
    assert_eq!(pinged.code(&state), 0);
    assert_eq!(ping(set, 2, Vec::new(), vec![pinged.oid]).1, 0);
    wait_until("the other one is forgotten too", || world.stopper.load().1 == 0);
    assert_eq!(ping(SetId(77), 1, Vec::new(), Vec::new()).1, 0x778);
}

#[test]
fn a_backup_ends_with_its_idle_time_and_with_its_object() {
    // The second caller has to ask before the first one's time is over, on a busy machine too.
    let limits = Limits { session_idle: Duration::from_secs(5), ..Limits::default() };
    let world = World::with(OPEN, limits);
    let mut idle = Object::tcp(&world, "operator");
    let mut other = Object::tcp(&world, "other");
    assert_eq!(idle.code(&prepare(0)), 0);
    assert_eq!(other.code(&prepare(0)), 0xC800_01F9);
    wait_until("the idle backup has ended", || other.code(&prepare(0)) == 0);
    assert_eq!(idle.code(&Request::BackupGetAttachmentInformation), 0xC800_0321);
    // release of the last reference
    let release =
        certadm_wire::dcom::RemUnknownRequest::Release(vec![certadm_wire::dcom::InterfaceReferences {
            ipid: other.ipid,
            public: 5,
            private: 0,
        }]);
    let stub = crate::peer::stub(|writer| release.write(writer));
    let mut unknown = Peer::tcp(world.addresses.exporter);
    let level = certadm_wire::rpc::AuthLevel::Integrity;
    unknown.bind_as(Iid::REM_UNKNOWN_2, "other", PASSWORD, level, certadm_auth::Flavour::Ntlm).unwrap();
    unknown.request(0, 5, Some(other.rem_unknown.0), &stub).unwrap();
    assert_eq!(other.call(&Request::BackupEnd), Err(Failed::Fault(0x8001_0108)));
    let mut third = Object::tcp(&world, "operator");
    assert_eq!(third.code(&prepare(0)), 0);
}

/// Clients send the next read ahead, and their caller may pause before he wants it (docs/operations.md).
#[test]
fn the_answer_to_a_read_of_a_backup_waits_as_long_as_the_backup_may_stand_still() {
    let idle = Duration::from_secs(3);
    let limits = Limits { answer: Duration::ZERO, session_idle: idle, ..Limits::default() };
    let world = World::with(OPEN, limits);
    let mut object = Object::unix(&world);
    assert_eq!(object.code(&prepare(0)), 0);
    let names = object.list(&Request::BackupGetAttachmentInformation).unwrap();
    assert_eq!(object.code(&Request::BackupOpenFile { path: Some(names[0].clone()) }), 0);
    // More than a socket holds.
    let read = Request::BackupReadFile { size: 4 << 20 };
    let (stub, begun) = (crate::peer::stub(|writer| read.write(writer)), Instant::now());
    object.peer.send_request(object.context, read.opnum(), Some(object.ipid.0), &stub).unwrap();
    wait_until("the connection is closed in the end", || world.stopper.load().0 == 0);
    assert!(idle <= begun.elapsed(), "{:?}", begun.elapsed());
    wait_until("another backup may begin", || Object::unix(&world).code(&prepare(0)) == 0);
}
