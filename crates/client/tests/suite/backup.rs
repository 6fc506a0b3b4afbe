//! Whole backups over the wire, and what the client says when something is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use certadm_client::{Error, Mechanism, RemoteCa, Target};
use certadm_rules::{BackupType, Diagnosis, Hresult};
use certadm_session::{Session, Source};
use certadm_set::{Set, Silent, TakeOptions, take};
use certadm_wire::csra::{Request, Response};
use certadm_wire::dcom::{ComVersion, Iid, Oid, ResolverRequest, SetId};
use certadm_wire::rpc::FaultStatus;

use crate::fake::{Calls, DATABASE, FakeCa, Files, Hook, LOGS, encode, pattern};
use crate::server::{Manners, Refusal, Reply, Server, credentials};

fn connect(target: Target) -> RemoteCa {
    RemoteCa::connect(target, Some(credentials())).unwrap_or_else(|error| panic!("{error:?}"))
}

fn hooked(files: &Files, hook: Hook) -> (Server, Calls) {
    hooked_with(Manners::default(), files, hook)
}

fn hooked_with(manners: Manners, files: &Files, hook: Hook) -> (Server, Calls) {
    let (files, calls) = (files.clone(), Calls::default());
    let log = Arc::clone(&calls);
    let server =
        Server::start(manners, move || FakeCa::hooked(files.clone(), Arc::clone(&log), Arc::clone(&hook)));
    (server, calls)
}

#[test]
fn a_full_backup_by_every_mechanism() {
    let files = Files::new(5_300_000);
    for mechanism in [Mechanism::Negotiate, Mechanism::Ntlm, Mechanism::Spnego] {
        let (server, calls) = hooked(&files, Arc::new(|_| None));
        let work = tempfile::tempdir().unwrap();
        let mut ca = connect(Target { mechanism, ..server.target() });
        assert!(ca.is_online().unwrap() && !ca.may_ask_again());
        let taken = take(&mut ca, &work.path().join("set"), &TakeOptions::new(BackupType::Full), &mut Silent)
            .unwrap();
        assert_eq!(taken.end_error, None);
        let stored = std::fs::read(work.path().join("set/DataBase/Example CA.edb")).unwrap();
        assert!(stored == *files.database);
        for (name, content) in files.logs.iter() {
            let name = name.rsplit('\\').next().unwrap();
            assert!(
                std::fs::read(work.path().join("set/DataBase").join(name)).unwrap() == *content,
                "{name}"
            );
        }
        assert_eq!(taken.manifest.ca.host, "ca1");
        Set::open(&work.path().join("set")).unwrap();
        drop(ca);
        let seen = server.seen();
        assert_eq!((seen.released, seen.naked, seen.activated.as_slice()), (5, 0, &[Iid::CERT_ADMIN_2][..]));
        let calls = calls.lock().unwrap();
        let sizes: Vec<u32> = calls
            .iter()
            .filter_map(|call| match call {
                Request::BackupReadFile { size } => Some(*size),
                _ => None,
            })
            .collect();
        // 5,300,000 bytes in reads of 4 MiB, the last one up to its page; then the logs, the empty one without any.
        assert_eq!(sizes, [4_194_304, 1_105_920, 73_728, 4096, 4096]);
        assert_eq!(calls.last(), Some(&Request::BackupEnd));
    }
}

#[test]
fn logs_only_on_the_older_interface_sends_the_flag_of_the_wire() {
    let files = Files::new(10);
    let calls = Calls::default();
    let log = Arc::clone(&calls);
    let manners = Manners { second_interface: false, ..Manners::default() };
    let server = Server::start(manners, move || FakeCa::new(files.clone(), Arc::clone(&log)));
    let work = tempfile::tempdir().unwrap();
    let mut ca = connect(server.target());
    assert_eq!(ca.interface(), "ICertAdminD");
    take(&mut ca, &work.path().join("set"), &TakeOptions::new(BackupType::LogsOnly), &mut Silent).unwrap();
    assert_eq!(server.seen().activated, [Iid::CERT_ADMIN_2, Iid::CERT_ADMIN]);
    let calls = calls.lock().unwrap();
    let prepare = Request::BackupPrepare { authority: None, grbit_jet: 1, backup_flags: 0 };
    assert!(calls.contains(&prepare), "{calls:?}");
}

#[test]
fn an_object_whose_newer_interface_cannot_be_bound_is_asked_for_the_older() {
    let (files, calls) = (Files::new(10), Calls::default());
    let manners = Manners { binds_newer: false, ..Manners::default() };
    let server = Server::start(manners, move || FakeCa::new(files.clone(), Arc::clone(&calls)));
    let work = tempfile::tempdir().unwrap();
    let mut ca = connect(server.target());
    assert_eq!(ca.interface(), "ICertAdminD");
    take(&mut ca, &work.path().join("set"), &TakeOptions::new(BackupType::Full), &mut Silent).unwrap();
    drop(ca);
    // Of both interfaces.
    assert_eq!(server.seen().released, 10);
}

#[test]
fn a_server_that_makes_objects_by_their_factory_alone_is_asked_for_it() {
    for second_interface in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let (files, calls) = (Files::new(10), Calls::default());
        let manners = Manners { factory_alone: true, second_interface, ..Manners::default() };
        let make = move || FakeCa::new(files.clone(), Arc::clone(&calls));
        let server = Server::start_on(Some(&socket), manners, make);
        let mut asked = vec![Iid::CERT_ADMIN_2, Iid::CERT_ADMIN, Iid::CLASS_FACTORY, Iid::CERT_ADMIN_2];
        asked.extend((!second_interface).then_some(Iid::CERT_ADMIN));
        for (place, target) in [server.target(), server.local_target()].into_iter().enumerate() {
            let work = tempfile::tempdir().unwrap();
            let mut ca = connect(target);
            assert_eq!(ca.interface(), if second_interface { "ICertAdminD2" } else { "ICertAdminD" });
            take(&mut ca, &work.path().join("set"), &TakeOptions::new(BackupType::Full), &mut Silent)
                .unwrap();
            drop(ca);
            // Of the factory and of the object.
            assert_eq!(server.seen().released, 10 * (u32::try_from(place).unwrap() + 1));
            assert_eq!(server.seen().activated[place * asked.len()..], asked);
        }
    }
}

/// The extended error data of the capture `fault-0x721-extended-error` (OISF/suricata-verify, tests/dcerpc/dce-gap-handling).
const TOLD: &str = "01100800cccccccc68000000000000000000020003000000000000000100010009000000040002003c02000000000000\
    4c545c7f6012c90103000000210700008200000003000000030003000f03098003000300090000000300030005000000\
    09000000770032006b0038002d0032003100310000000000";

#[test]
fn what_a_windows_server_tells_of_a_fault_stands_in_the_message() {
    let hex: Vec<u8> = TOLD.bytes().filter(u8::is_ascii_hexdigit).collect();
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
    let told = hex.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
    let activation_fault = Some(FaultStatus(0x721));
    let manners = Manners { activation_fault, told, ..Manners::default() };
    let server = Server::start(manners, || FakeCa::new(Files::new(1), Calls::default()));
    let error = RemoteCa::connect(server.target(), Some(credentials())).unwrap_err().to_string();
    let words = "the security provider on \"w2k8-211\" says 0x8009030f (the message was altered";
    assert!(error.contains("fault 0x00000721") && error.contains(words), "{error}");
}

#[test]
fn a_server_of_a_lower_version_is_spoken_to_in_it() {
    for minor in [1, 6] {
        let (files, calls) = (Files::new(10), Calls::default());
        let version = ComVersion { major: 5, minor };
        let manners = Manners { version, ..Manners::default() };
        let server = Server::start(manners, move || FakeCa::new(files.clone(), Arc::clone(&calls)));
        let work = tempfile::tempdir().unwrap();
        let mut ca = connect(server.target());
        take(&mut ca, &work.path().join("set"), &TakeOptions::new(BackupType::Full), &mut Silent).unwrap();
        assert_eq!(server.seen().activated, [Iid::CERT_ADMIN_2]);
    }
    // One that names no lower version is not asked twice.
    let manners = Manners { activation: Some(Hresult::E_ACCESSDENIED), ..Manners::default() };
    let server = Server::start(manners, || FakeCa::new(Files::new(1), Calls::default()));
    assert!(RemoteCa::connect(server.target(), Some(credentials())).is_err());
    assert_eq!(server.seen().connections, 1);
}

#[test]
fn the_socket_of_this_machine_needs_no_account() {
    let (files, calls) = (Files::new(3_000_000), Calls::default());
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("socket");
    let content = files.clone();
    let server = Server::start_on(Some(&path), Manners::default(), move || {
        FakeCa::new(content.clone(), Arc::clone(&calls))
    });
    let mut ca = RemoteCa::connect(server.local_target(), None).unwrap();
    // It is our own service's.
    assert!(ca.may_ask_again());
    take(&mut ca, &work.path().join("set"), &TakeOptions::new(BackupType::Full), &mut Silent).unwrap();
    assert!(std::fs::read(work.path().join("set/DataBase/Example CA.edb")).unwrap() == *files.database);
    drop(ca);
    assert_eq!((server.seen().connections, server.seen().released), (1, 5));
}

/// Refuses reads of more than 128 KiB. As an engine does that fails to read a database, it closes the file then
/// (certbcli.md 6.5): without another open nothing more comes.
fn refusing_large_reads(refusal: Refusal) -> Hook {
    let is_closed = AtomicBool::new(false);
    Arc::new(move |request| match request {
        Request::BackupReadFile { size } if *size > 131_072 => {
            is_closed.store(true, Ordering::SeqCst);
            Some(match refusal {
                Refusal::Code(code) => Reply::Stub(encode(&Response::failure(request, code))),
                Refusal::Fault(status) => Reply::Fault(status),
            })
        }
        Request::BackupReadFile { .. } if is_closed.load(Ordering::SeqCst) => {
            Some(Reply::Stub(encode(&Response::failure(request, Hresult::E_UNEXPECTED))))
        }
        Request::BackupOpenFile { .. } => {
            is_closed.store(false, Ordering::SeqCst);
            None
        }
        _ => None,
    })
}

#[test]
fn a_server_with_a_lower_limit_or_too_little_memory_gets_smaller_reads() {
    let files = Files::new(700_000);
    let faults = [0x6F7, 0x6C6, 0x1C00_0007, 0x1C01_0013, 0x1C00_001B, 0x46A, 8, 14, 0x8007_000E]
        .map(|status| Refusal::Fault(FaultStatus(status)));
    let codes = [0x8007_0057, 0x8007_000E, 0x8007_0008, 0xC800_03F3, 0xC800_0417, 0xC800_042D]
        .map(|code| Refusal::Code(Hresult::from_win32(code)));
    // They stay to the end: what a server takes is remembered by its port.
    let mut servers = Vec::new();
    for refusal in faults.into_iter().chain(codes) {
        let (server, calls) = hooked(&files, refusing_large_reads(refusal));
        let work = tempfile::tempdir().unwrap();
        let mut ca = connect(server.target());
        take(&mut ca, &work.path().join("set"), &TakeOptions::new(BackupType::Full), &mut Silent)
            .unwrap_or_else(|error| panic!("{refusal:?}: {error}"));
        assert!(std::fs::read(work.path().join("set/DataBase/Example CA.edb")).unwrap() == *files.database);
        // Smaller than what was refused at once, although a full read would have been larger still.
        let is_large = |call: &&Request| matches!(call, Request::BackupReadFile { size } if *size > 131_072);
        assert_eq!(calls.lock().unwrap().iter().filter(is_large).count(), 3, "700,000, 512 Ki, 256 Ki");
        servers.push(server);
    }
}

/// The short file that was read before says nothing of what the server takes.
#[test]
fn a_short_first_file_does_not_keep_later_reads_from_becoming_smaller() {
    let log = |number: u32, len: usize| (format!("{LOGS}\\edb{number:05x}.log"), pattern(len, 3));
    let logs = Arc::new(vec![log(1, 4096), log(2, 700_000)]);
    let files = Files { logs, ..Files::new(10) };
    let (server, _) = hooked(&files, refusing_large_reads(Refusal::Code(Hresult::E_OUTOFMEMORY)));
    let work = tempfile::tempdir().unwrap();
    let mut ca = connect(server.target());
    take(&mut ca, &work.path().join("set"), &TakeOptions::new(BackupType::LogsOnly), &mut Silent).unwrap();
    assert!(std::fs::read(work.path().join("set/DataBase/edb00002.log")).unwrap() == files.logs[1].1);
}

/// Where the file cannot be opened again, or is another one by now, the refusal is what is told.
#[test]
fn a_refused_read_whose_file_is_lost_is_told_as_refused() {
    for length in [None, Some(1_000)] {
        let inner = refusing_large_reads(Refusal::Code(Hresult::E_OUTOFMEMORY));
        let opened = AtomicBool::new(false);
        let hook: Hook = Arc::new(move |request| match request {
            Request::BackupOpenFile { .. } if opened.swap(true, Ordering::SeqCst) => {
                Some(Reply::Stub(encode(&match length {
                    Some(length) => Response::Length { length, code: Hresult::S_OK },
                    None => Response::failure(request, Hresult::BACKUP_ABORT_BY_SERVER),
                })))
            }
            request => inner(request),
        });
        let (server, _) = hooked(&Files::new(700_000), hook);
        let work = tempfile::tempdir().unwrap();
        let error = take(
            &mut connect(server.target()),
            &work.path().join("set"),
            &TakeOptions::new(BackupType::Full),
            &mut Silent,
        )
        .unwrap_err();
        assert_eq!(error.hresult(), Hresult::E_OUTOFMEMORY, "{error}");
    }
}

#[test]
fn reads_of_any_size_and_calls_out_of_order() {
    let files = Files::new(600_001);
    let (server, _) = hooked(&files, Arc::new(|_| None));
    let mut ca = connect(server.target());
    let code = |error: certadm_session::CallError| error.code;
    // The codes of certbcli.md 7.1, as the CA gives them.
    assert_eq!(ca.read(&mut [0; 10]).map_err(code), Err(Hresult::E_UNEXPECTED));
    assert_eq!(ca.close_file().map_err(code), Err(Hresult::E_UNEXPECTED));
    assert_eq!(ca.end().map_err(code), Err(Hresult::E_UNEXPECTED));
    assert_eq!(ca.database_names().map_err(code).unwrap_err(), Hresult::INVALID_BACKUP_SEQUENCE);
    ca.prepare(BackupType::Full).unwrap();
    assert_eq!(ca.prepare(BackupType::Full).map_err(code), Err(Hresult::E_UNEXPECTED));
    assert_eq!(ca.open_file("\\\\ca1\\x", 0).map_err(code), Err(Hresult::E_INVALIDARG));
    assert_eq!(ca.open_file(DATABASE, 65_536).unwrap(), 600_001);
    assert_eq!(ca.open_file(DATABASE, 0).map_err(code), Err(Hresult::E_UNEXPECTED));
    let mut read = Vec::new();
    for len in [1usize, 100_000, 3, 65_536, 500_000].into_iter().cycle() {
        let mut buffer = vec![0; len];
        let got = ca.read(&mut buffer).unwrap();
        read.extend_from_slice(&buffer[..got]);
        if got == 0 {
            break;
        }
        assert!(got == len || read.len() == 600_001);
    }
    assert!(read == *files.database);
    ca.close_file().unwrap();
    // A file given up in the middle, its next read on the way already.
    ca.open_file(DATABASE, 0).unwrap();
    ca.read(&mut vec![0; 65_536 * 2]).unwrap();
    ca.close_file().unwrap();
    assert_eq!(ca.backup_logs().unwrap().entries().len(), 4);
    assert_eq!(ca.truncate_logs().map_err(code), Err(Hresult::LOG_FILE_NOT_COPIED));
    ca.end().unwrap();
}

#[test]
fn wrong_password_and_missing_account_are_told_apart_from_an_absent_server() {
    let (server, _) = hooked(&Files::new(10), Arc::new(|_| None));
    for mechanism in [Mechanism::Negotiate, Mechanism::Spnego] {
        let wrong = crate::server::with_password("not it");
        let error = RemoteCa::connect(Target { mechanism, ..server.target() }, Some(wrong)).unwrap_err();
        assert_eq!(error.hresult(), Hresult::E_ACCESSDENIED, "{error:?}");
    }
    let error = RemoteCa::connect(server.target(), None).unwrap_err();
    assert!(matches!(error, Error::NoAccount { .. }));
    let target = server.target();
    drop(server);
    let error = RemoteCa::connect(target, Some(credentials())).unwrap_err();
    assert_eq!(error.hresult(), Hresult::RPC_S_SERVER_UNAVAILABLE, "{error:?}");
}

/// A CA that keeps to the document: the empty node is a string, the CA has to be named beside it, numbers come as a
/// structure, states and versions as arrays.
#[test]
fn properties_and_configuration_of_a_windows_ca() {
    let (server, _) = hooked(&Files::new(10), Arc::new(|_| None));
    for authority in [None, Some("Example CA".to_owned())] {
        let mut ca = connect(Target { authority, ..server.target() });
        assert_eq!(ca.name().unwrap(), "Example CA");
        assert_eq!(ca.interface_flags().unwrap().to_bits(), 0x641);
        assert!(ca.config_entry("Nothing").is_err());
        let info = ca.info().unwrap();
        assert_eq!((info.ca_type, info.certificates, info.recovery_agents), (1, 3, 2));
        assert_eq!(ca.certificate_states().unwrap(), [4, 2, 3]);
        assert_eq!(ca.crl_states().unwrap(), [3, 1, 3]);
        assert_eq!(ca.recovery_agent_states().unwrap(), [3, 3]);
        assert_eq!(ca.certificate_versions().unwrap(), [0, 1, 0x0002_0002]);
    }
}

/// A CRL may be larger than every other answer, as far as whoever asks allows it.
#[test]
fn a_large_crl_is_taken_and_costs_the_connection_only_where_it_is_too_large() {
    let (server, _) = hooked(&Files::new(10), Arc::new(|_| None));
    let mut ca = connect(server.target());
    for mebibytes in [17, 40] {
        let crl = ca.raw_property(17, mebibytes, 3, usize::MAX).unwrap();
        assert_eq!(crl.len(), usize::try_from(mebibytes).unwrap() << 20);
    }
    // As before, every other answer has a lower bound, and one beyond it ends the connection.
    assert_eq!(ca.name().unwrap(), "Example CA");
    let error = ca.raw_property(17, 40, 3, 1 << 20).unwrap_err();
    assert!(matches!(&error, Error::Conversation { .. }), "{error:?}");
    assert!(error.remedy().contains("publication points"), "{}", error.remedy());
    assert!(ca.name().is_err());
}

#[test]
fn activation_refusals_keep_their_codes() {
    for code in [Hresult::REGDB_E_CLASSNOTREG, Hresult::E_ACCESSDENIED, Hresult::CO_E_SERVER_EXEC_FAILURE] {
        let manners = Manners { activation: Some(code), ..Manners::default() };
        let server = Server::start(manners, || FakeCa::new(Files::new(1), Calls::default()));
        let error = RemoteCa::connect(server.target(), Some(credentials())).unwrap_err();
        assert_eq!(error.hresult(), code);
    }
}

#[test]
fn a_fault_during_a_call_is_its_code_and_the_connection_lives() {
    let hook: Hook = Arc::new(|request| match request {
        Request::BackupPrepare { .. } => Some(Reply::Fault(FaultStatus::DISCONNECTED)),
        _ => None,
    });
    let (server, _) = hooked(&Files::new(10), hook);
    let mut ca = connect(server.target());
    assert_eq!(ca.prepare(BackupType::Full).unwrap_err().code, Hresult::RPC_E_DISCONNECTED);
    assert!(ca.is_online().unwrap());
}

#[test]
fn a_silent_server_is_given_up() {
    const BOUND: Duration = Duration::from_secs(60);
    /// One that says nothing until it is released, or until it is plain that the client waits for it.
    struct Silent(Arc<AtomicBool>);
    impl crate::server::Script for Silent {
        fn answer(&mut self, _: u16, _: &mut certadm_wire::ndr::Reader<'_>) -> Reply {
            let begun = std::time::Instant::now();
            while !self.0.load(Ordering::SeqCst) && begun.elapsed() < 2 * BOUND {
                std::thread::sleep(Duration::from_millis(5));
            }
            Reply::Close
        }
    }
    let released = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&released);
    let server = Server::start(Manners::default(), move || Silent(Arc::clone(&flag)));
    let mut target = server.target();
    // The calls before this one are answered, on a busy machine too.
    target.timeouts.call = Duration::from_secs(5);
    let mut ca = connect(target);
    let error = ca.prepare(BackupType::Full).unwrap_err();
    assert_eq!(error.code, Hresult::RPC_S_CALL_FAILED, "{error:?}");
    let begun = std::time::Instant::now();
    drop(ca);
    assert!(begun.elapsed() < BOUND, "a dead connection is not waited for");
    released.store(true, Ordering::SeqCst);
}

#[test]
fn the_object_is_pinged_while_it_is_held() {
    let (server, _) = hooked(&Files::new(10), Arc::new(|_| None));
    let mut target = server.target();
    target.timeouts.ping = Duration::from_millis(20);
    let ca = connect(target);
    let begun = std::time::Instant::now();
    while server.seen().pings.len() < 3 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(ca);
    let pings = server.seen().pings;
    let first =
        ResolverRequest::ComplexPing { set: SetId(0), sequence: 1, add: vec![Oid(9)], delete: Vec::new() };
    assert_eq!(pings[0], first);
    assert!(
        pings[1..].iter().all(|ping| *ping == ResolverRequest::SimplePing { set: SetId(77) }),
        "{pings:?}"
    );
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(server.seen().pings.len(), pings.len(), "no ping after the end");
    assert_eq!(server.seen().naked, 0);
}

#[test]
fn the_next_read_is_on_its_way_before_the_last_one_is_asked_for() {
    let (server, calls) = hooked(&Files::new(3_000_000), Arc::new(|_| None));
    let mut ca = connect(server.target());
    ca.prepare(BackupType::Full).unwrap();
    ca.open_file(DATABASE, 0).unwrap();
    let mut buffer = vec![0; 512 * 1024];
    // The first read shows that the server takes this size; from the second on one is sent ahead.
    ca.read(&mut buffer).unwrap();
    ca.read(&mut buffer).unwrap();
    let reads =
        || calls.lock().unwrap().iter().filter(|call| matches!(call, Request::BackupReadFile { .. })).count();
    let begun = std::time::Instant::now();
    while reads() < 3 {
        assert!(begun.elapsed() < Duration::from_secs(60), "two reads were taken, and no third was sent");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(reads(), 3, "one ahead, not more");
    ca.close_file().unwrap();
    ca.end().unwrap_err();
}

#[test]
fn a_context_whose_connection_died_answers_every_call_alike() {
    let hook: Hook =
        Arc::new(|request| matches!(request, Request::BackupReadFile { .. }).then_some(Reply::Close));
    let (server, _) = hooked(&Files::new(10_000), hook);
    let mut ca = connect(server.target());
    ca.prepare(BackupType::Full).unwrap();
    ca.open_file(DATABASE, 0).unwrap();
    let lost = Hresult::RPC_S_CALL_FAILED;
    assert_eq!(ca.read(&mut [0; 100]).unwrap_err().code, lost);
    assert_eq!(ca.read(&mut [0; 100]).unwrap_err().code, lost);
    assert_eq!(ca.close_file().unwrap_err().code, lost);
    assert_eq!(ca.backup_logs().unwrap_err().code, lost);
    assert_eq!(ca.end().unwrap_err().code, lost);
    let mut next = connect(server.target());
    next.prepare(BackupType::Full).unwrap();
}

fn give_up_after_the_last_byte(ca: &mut RemoteCa) {
    let (mut session, logs) = Session::prepare_logs_only(ca).unwrap().logs().unwrap();
    for name in &logs {
        let mut file = session.open(name, 0).unwrap();
        while file.read(&mut [0; 8192]).unwrap() > 0 {}
        session = file.close().unwrap();
    }
    assert_eq!(session.abort().unwrap_err().code, Hresult::BACKUP_ABORT_BY_CALLER);
}

/// Such a backup would go on at the CA, and keep others from beginning, until the CA misses this client.
#[test]
fn a_backup_whose_object_is_not_taken_back_is_ended() {
    for refusal in [Refusal::Fault(FaultStatus::OPNUM_OUT_OF_RANGE), Refusal::Code(Hresult::E_ACCESSDENIED)] {
        let manners = Manners { release: Some(refusal), ..Manners::default() };
        let (server, calls) = hooked_with(manners, &Files::new(10), Arc::new(|_| None));
        give_up_after_the_last_byte(&mut connect(server.target()));
        assert_eq!(server.seen().released, 0);
        let calls = calls.lock().unwrap();
        assert_eq!(calls.iter().filter(|call| **call == Request::BackupEnd).count(), 1, "{refusal:?}");
        assert_eq!(calls.last(), Some(&Request::BackupEnd));
    }
}

/// A CA that has sent everything would note a backup at BackupEnd, though the set could not be stored.
#[test]
fn a_backup_that_is_given_up_after_its_last_byte_lets_go_of_the_object() {
    let (server, calls) = hooked(&Files::new(10), Arc::new(|_| None));
    let mut ca = connect(server.target());
    give_up_after_the_last_byte(&mut ca);
    assert_eq!(server.seen().released, 5);
    assert!(!calls.lock().unwrap().contains(&Request::BackupEnd));
    // Before the logs are listed the CA knows by itself that nothing was backed up.
    let mut ca = connect(server.target());
    drop(Session::prepare_full(&mut ca).unwrap());
    assert_eq!(calls.lock().unwrap().last(), Some(&Request::BackupEnd));
}
