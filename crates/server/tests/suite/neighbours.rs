//! Neighbours: others on the network and on the machine, who may not take from a caller what is his share.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use certadm_auth::{Flavour, NtHash};
use certadm_ca::RolesConfig;
use certadm_server::{Limits, LogonFile, UserFile};
use certadm_wire::csra::Request;
use certadm_wire::dcom::{Iid, ResolverRequest, ResolverResponse, SetId};
use certadm_wire::ndr::{ByteOrder, Reader, Writer};
use certadm_wire::rpc::AuthLevel;

use crate::peer::{Failed, Object, Peer, prepare};
use crate::world::{OPEN, PASSWORD, World, wait_until};

/// What the end of a backup is answered with that copied nothing.
const INCOMPLETE: u32 = 0xC800_0320;

const STATE: Request = Request::GetServerState { authority: None };

fn log_on(world: &World, user: &str, password: &str) -> Result<Peer, Failed> {
    let mut peer = Peer::tcp(world.addresses.exporter);
    peer.bind_as(Iid::CERT_ADMIN_2, user, password, AuthLevel::Privacy, Flavour::Spnego).map(|()| peer)
}

/// Two hundred connections are brought to their challenge first, and all guesses sent then: no more are looked at than if
/// they had come one after the other.
#[test]
fn guesses_sent_together_count_one_after_the_other() {
    let world = World::new();
    let guesses: Vec<_> = (0..200)
        .filter_map(|number| {
            let mut peer = Peer::tcp(world.addresses.exporter);
            let password = format!("guess {number}");
            let logon =
                peer.begin_as(Iid::CERT_ADMIN_2, "operator", &password, AuthLevel::Privacy, Flavour::Spnego);
            // An address has its share of connections: some of the first are ended again.
            peer.go_on(logon, true).ok().flatten().map(|logon| (peer, logon))
        })
        .collect();
    assert!(guesses.len() > 32, "{}", guesses.len());
    let outcomes: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = guesses
            .into_iter()
            .map(|(mut peer, logon)| scope.spawn(move || peer.go_on(logon, false).err()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(outcomes.iter().all(Option::is_some), "none of them logs on");
    let judged = outcomes.iter().filter(|outcome| !matches!(outcome, Some(Failed::Closed))).count();
    // Each further one doubles the time; a machine would have to be busy for four minutes.
    assert!(judged < 20, "{judged} guesses were looked at");
    assert!(judged >= 5, "{judged} guesses were looked at");
}

/// Behind one address there may be several callers: who guesses at one account shuts out neither the others, nor one that
/// was proven from there.
#[test]
fn a_guessing_neighbour_shuts_nobody_else_out() {
    let world = World::with(OPEN, Limits { free_failures_of_address: 40, ..Limits::default() });
    let mut first = Object::tcp(&world, "other");
    assert_eq!(first.code(&STATE), 0);
    wait_until("guesses at one account are not looked at", || {
        log_on(&world, "operator", "wrong").err() == Some(Failed::Closed)
    });
    assert!(log_on(&world, "reader", PASSWORD).is_ok(), "another account");
    // At many accounts: then the address is shut out for everybody who was never proven from it.
    wait_until("the address is shut out", || {
        for number in 0..60 {
            log_on(&world, &format!("user {number}"), "wrong").err();
        }
        log_on(&world, "reader", PASSWORD).is_err()
    });
    assert_eq!(Object::tcp(&world, "other").code(&STATE), 0, "it was proven from there");
    assert_eq!(first.code(&STATE), 0);
}

/// A relayed logon has no key: no message of it verifies, so it uses nothing up that is the caller's.
#[test]
fn a_logon_counts_when_its_first_message_verifies() {
    let limits = Limits { connections_per_caller: 2, handshake: Duration::from_secs(5), ..Limits::default() };
    let world = World::with(OPEN, limits);
    let mut relayed: Vec<Peer> = (0..10).map(|_| log_on(&world, "operator", PASSWORD).unwrap()).collect();
    assert_eq!(Object::tcp(&world, "operator").code(&STATE), 0);
    for peer in &mut relayed {
        assert!(peer.receive().is_none(), "it is ended as one that never logged on");
    }
    assert!(LogonFile::in_folder(world.folder().path()).read().unwrap().is_empty());
}

/// A road with a delay: what comes in at one end leaves at the other so much later, in both directions.
struct Road {
    address: SocketAddr,
}

impl Road {
    fn to(target: SocketAddr, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // The first packet of a connection takes its time, too.
                thread::spawn(move || {
                    thread::sleep(delay);
                    let Ok(far) = TcpStream::connect(target) else { return };
                    far.set_nodelay(true).unwrap();
                    stream.set_nodelay(true).unwrap();
                    lane(stream.try_clone().unwrap(), far.try_clone().unwrap(), delay);
                    lane(far, stream, delay);
                });
            }
        });
        Self { address }
    }
}

/// One direction of a road.
fn lane(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if sender.send((Instant::now() + delay, buffer[..length].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (due, bytes) in receiver {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        to.shutdown(Shutdown::Both).ok();
    });
}

/// Connections from one address, again and again, up to 3,000 a second, of which it keeps some hundred open.
struct Flood {
    made: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Flood {
    fn begin(targets: [SocketAddr; 2]) -> Self {
        let (made, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, ended) = (Arc::clone(&made), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut open = VecDeque::new();
            let began = Instant::now();
            while !ended.load(Ordering::Relaxed) {
                let number = count.load(Ordering::Relaxed);
                if began.elapsed().as_secs_f64() * 3000.0 < number as f64 {
                    thread::sleep(Duration::from_millis(1));
                    continue;
                }
                if let Ok(stream) = connect_from(Ipv4Addr::new(127, 0, 66, 6), targets[number % 2]) {
                    open.push_back(stream);
                    count.fetch_add(1, Ordering::Relaxed);
                }
                if open.len() > 400 {
                    open.pop_front();
                }
            }
        });
        Self { made, stop, thread: Some(thread) }
    }

    fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(thread::JoinHandle::join);
    }
}

fn connect_from(source: Ipv4Addr, target: SocketAddr) -> rustix::io::Result<TcpStream> {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddrV4::new(source, 0))?;
    connect(&socket, &target)?;
    Ok(TcpStream::from(socket))
}

/// The table is full of one address's connections throughout, and is taken anew twice while a client logs on that is 100 ms away,
/// one way. The client logs on each time.
#[test]
fn a_flood_from_one_address_shuts_out_no_client_that_is_far_away() {
    crate::traffic::open_as_many_files_as_allowed();
    let limits = Limits {
        connections: 64,
        unproven_per_address: 64,
        handshake: Duration::from_secs(600),
        ..Limits::default()
    };
    let world = World::with(OPEN, limits);
    let delay = Duration::from_millis(100);
    let resolver = Road::to(world.addresses.resolver, delay);
    let exporter = Road::to(world.addresses.exporter, delay);
    let flood = Flood::begin([world.addresses.resolver, world.addresses.exporter]);
    wait_until("the table is full", || limits.connections <= world.stopper.load().0);
    let taken_anew = || {
        let before = flood.made();
        wait_until("the flood goes on", || before + 2 * limits.connections < flood.made());
        assert!(limits.connections <= world.stopper.load().0 + 1, "the table is full");
    };
    for round in 0..10 {
        let mut peer = Peer::tcp(resolver.address);
        let logon =
            peer.begin_as(Iid::REMOTE_SCM_ACTIVATOR, "operator", PASSWORD, AuthLevel::Privacy, Flavour::Ntlm);
        let logon = peer.go_on(logon, true).unwrap().unwrap();
        taken_anew();
        assert_eq!(peer.go_on(logon, false).err(), None, "round {round}");
        let other = Peer::tcp(exporter.address);
        taken_anew();
        let mut object = Object::activated(&mut peer, other, "operator", PASSWORD)
            .unwrap_or_else(|failed| panic!("round {round}: {failed:?}"));
        assert_eq!(object.code(&STATE), 0, "round {round}");
    }
}

/// The Unix socket has places of its own: local callers without a role take none of the others, and leave after a while.
#[test]
fn local_callers_without_a_role_have_a_handful_of_connections() {
    let nobody = RolesConfig { administrator: Vec::new(), operator: Vec::new(), ..RolesConfig::default() };
    let limits = Limits { connections: 8, handshake: Duration::from_secs(2), ..Limits::default() };
    let world = World::with_settings(|settings| {
        settings.roles = nobody;
        settings.limits = limits;
    });
    let socket = world.addresses.socket.clone().unwrap();
    let mut idle: Vec<Peer> = (0..40).map(|_| Peer::unix(&socket)).collect();
    let ended = idle.iter_mut().take(40 - limits.roleless_per_caller);
    assert!(ended.into_iter().all(|peer| peer.receive().is_none()));
    assert!(world.stopper.load().0 <= limits.roleless_per_caller);
    assert_eq!(Object::tcp(&world, "operator").code(&STATE), 0);
    assert!(idle.iter_mut().all(|peer| peer.receive().is_none()), "they have shown no role");
}

fn new_ping_set(peer: &mut Peer, set: SetId) -> Option<SetId> {
    let request = ResolverRequest::ComplexPing { set, sequence: 1, add: Vec::new(), delete: Vec::new() };
    let mut writer = Writer::new();
    request.write(&mut writer);
    let answer = peer.request(0, request.opnum(), None, &writer.into_bytes()).unwrap();
    let mut reader = Reader::new(&answer, ByteOrder::Little);
    match ResolverResponse::read(request.opnum(), &mut reader).unwrap() {
        ResolverResponse::Pinged { set, status, .. } => Some(set).filter(|_| status.0 == 0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_caller_does_not_take_all_ping_sets() {
    let limits = Limits { ping_sets: 40, ping_sets_per_caller: 16, ..Limits::default() };
    let world = World::with(OPEN, limits);
    let resolver = |user| {
        let mut peer = Peer::tcp(world.addresses.resolver);
        peer.bind_as(Iid::OBJECT_EXPORTER, user, PASSWORD, AuthLevel::Integrity, Flavour::Ntlm).unwrap();
        peer
    };
    let mut greedy = resolver("enrollee");
    let sets: Vec<_> = (0..100).map(|_| new_ping_set(&mut greedy, SetId(0)).unwrap()).collect();
    let mut modest = resolver("operator");
    let set = new_ping_set(&mut modest, SetId(0)).unwrap();
    assert!(new_ping_set(&mut modest, set).is_some());
    let alive = sets[100 - 16..].iter().filter(|set| new_ping_set(&mut greedy, **set).is_some()).count();
    assert_eq!(alive, 16, "the ones that were pinged last");
}

/// Listing the logs again and again makes no new ones while nothing is committed.
#[test]
fn backups_that_only_list_make_no_logs() {
    let world = World::new();
    world.commit_rows(3);
    let mut object = Object::tcp(&world, "operator");
    let logs = || world.folder().archived_logs().unwrap().len();
    let list = |object: &mut Object| {
        assert_eq!(object.code(&prepare(0)), 0);
        let names = object.list(&Request::BackupGetBackupLogs).unwrap();
        assert_eq!(object.code(&Request::BackupEnd), INCOMPLETE);
        names.len()
    };
    assert!(list(&mut object) >= 1);
    let before = logs();
    for _ in 0..20 {
        assert!(list(&mut object) >= 1);
    }
    assert_eq!(logs(), before);
    world.commit_rows(1);
    list(&mut object);
    assert_eq!(logs(), before + 1, "what is committed is in a log");
    assert_eq!(object.full_backup(), Ok(()));
}

#[test]
fn calls_that_write_have_a_pace_of_each_caller() {
    let every = Duration::from_millis(300);
    let limits = Limits { writes_at_once: 3, write_every: every, ..Limits::default() };
    let world = World::with(OPEN, limits);
    let mut object = Object::tcp(&world, "operator");
    let began = Instant::now();
    for _ in 0..8 {
        assert_eq!(object.code(&prepare(0)), 0);
        object.list(&Request::BackupGetBackupLogs).unwrap();
        assert_eq!(object.code(&Request::BackupEnd), INCOMPLETE);
    }
    assert!(began.elapsed() >= every * 5, "eight listings, three of them at once: {:?}", began.elapsed());
}

/// A new password, a removal and a disabling end what was begun before.
#[test]
fn a_changed_account_loses_its_connections_and_its_backup() {
    type Change = fn(&UserFile);
    let changes: [(&str, Change); 3] = [
        ("passwd", |file| {
            file.set_password("operator", NtHash::from_password("another Pa55")).unwrap();
        }),
        ("remove and add", |file| {
            let users = file.read().unwrap();
            let user = users.into_iter().find(|user| user.name == "operator").unwrap();
            file.remove("operator").unwrap();
            let again = certadm_server::User::new("operator", user.nt_hash, user.roles).unwrap();
            file.add(again).unwrap();
        }),
        ("disable", |file| file.disable("operator", true).unwrap()),
    ];
    for (what, change) in changes {
        let world = World::new();
        let mut object = Object::tcp(&world, "operator");
        assert_eq!(object.code(&prepare(0)), 0);
        let mut other = Object::tcp(&world, "other");
        assert_eq!(other.code(&prepare(0)), 0xC800_01F9, "a backup is running");
        change(&UserFile::in_folder(world.folder().path()));
        let refused = object.call(&STATE);
        assert!(matches!(refused, Err(Failed::Fault(5) | Failed::Closed)), "{what}: {refused:?}");
        wait_until("the backup is given up", || other.code(&prepare(0)) == 0);
        assert!(object.peer.receive().is_none(), "{what}: the connection is ended");
        let password = if what == "passwd" { "another Pa55" } else { PASSWORD };
        let again = Object::tcp_with(&world, "operator", password);
        match what {
            "disable" => assert!(again.is_err()),
            _ => {
                let mut again = again.unwrap_or_else(|failed| panic!("{what}: {failed:?}"));
                assert_eq!(again.code(&STATE), 0);
                again.ipid = object.ipid;
                assert_eq!(again.call(&STATE), Err(Failed::Fault(0x8001_0108)), "{what}: its object is gone");
            }
        }
    }
}

#[test]
fn the_last_logon_of_an_account_is_noted() {
    let mut world = World::new();
    assert_eq!(Object::tcp(&world, "operator").code(&STATE), 0);
    assert!(log_on(&world, "reader", "wrong").is_err());
    let file = LogonFile::in_folder(world.folder().path());
    world.stopper.stop();
    world.wait();
    let logons = file.read().unwrap();
    let names: Vec<&str> = logons.iter().map(|logon| logon.name.as_str()).collect();
    assert_eq!(names, ["operator"]);
    assert!(logons[0].at > 1_700_000_000 && logons[0].address.unwrap().is_loopback());
}
