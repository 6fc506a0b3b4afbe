//! KDCs as a client meets them: those that do not answer, those that know no account, and what their clocks show.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use certadm_auth::NtHash;
use certadm_client::doctor::{Gate, Verdict, Visit, examine};
use certadm_client::{Credentials, KerberosTarget, Mechanism, RemoteCa, Target};
use certadm_kerberos::message::{ErrorCode, KrbError};
use certadm_kerberos::{Credential, Moment, Principal};
use certadm_rules::finding::{Kind, Severity};
use certadm_rules::flags::Roles;
use certadm_rules::{FileTime, Hresult};
use certadm_server::{User, UserFile};
use certadm_store::Folder;

use crate::domain::{Changes, Domain, REALM, alice, kinit, password, ticket};
use crate::stores::write_cache;

/// A KDC that answers every question with this, where it answers at all. It counts them.
fn other_kdc(answer: Option<Vec<u8>>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for mut stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            let Some(answer) = &answer else {
                // It stays open, and nothing comes.
                silent.push(stream);
                continue;
            };
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut question = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut question).unwrap();
            let length = u32::try_from(answer.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length, &answer[..]].concat()).unwrap();
        }
    });
    (address, asked)
}

/// The KDCs of the domain, this one before its own.
fn behind(world: &Domain, first: &str) -> Target {
    let target = world.target();
    let kdc = vec![first.parse().unwrap(), world.kdc.address().into()];
    Target { kerberos: KerberosTarget { kdc, ..target.kerberos.clone() }, ..target }
}

#[test]
fn a_kdc_without_an_answer_is_asked_once_a_logon() {
    let generic = KrbError {
        code: ErrorCode::GENERIC,
        server_time: Moment::from(FileTime(0)),
        client_realm: None,
        service: None,
        text: Some("out of order".to_owned()),
        data: None,
    };
    for answer in [Some(generic.encode()), Some(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), None] {
        let world = Domain::new();
        let (first, asked) = other_kdc(answer.clone());
        let mut target = behind(&world, &first);
        if answer.is_none() {
            target.timeouts.connect = std::time::Duration::from_secs(2);
        }
        world.back_up(target, alice(), "set").unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 1, "{answer:?}");
    }
}

/// The part behind the @ may be a realm, and is tried as one. Where it is none, the word of the first realm counts.
#[test]
fn a_mistyped_name_is_unknown_and_not_a_matter_of_kdcs() {
    let world = Domain::new();
    // Without a dot DNS is not asked.
    let (code, told, remedy) = world.refusal(world.target(), password("alise@mail", "x"));
    assert_eq!(code, Hresult::E_ACCESSDENIED, "{told}");
    assert!(told.contains("the KDC of TOY.TEST refused alise@mail"), "{told}");
    assert!(told.contains("6 (C_PRINCIPAL_UNKNOWN)") && !told.contains("no KDC"), "{told}");
    assert!(remedy.contains("account and realm"), "{remedy}");
}

/// A domain whose KDC's clock is ahead by so many seconds.
fn ahead_by(seconds: i64) -> Domain {
    let kdc = Box::new(move |kdc: &mut certadm_toy_kdc::Kdc| kdc.clock_offset = seconds);
    Domain::with(Changes { kdc: Some(kdc), ..Changes::default() })
}

/// What a walk of doctor finds at the gate of the KDC's clock.
fn clock_of(target: &Target, credentials: Credentials) -> (Verdict, String) {
    let seen = examine(target, Some(credentials), false, &mut |_| {});
    let is_clock = |visit: &&Visit| visit.gate == Gate::Clock;
    let visit = seen.visits.iter().find(is_clock).unwrap();
    (visit.verdict, visit.finding.detail.clone())
}

/// By how many seconds a text says that a clock is another one. A second may pass meanwhile.
fn is_about(told: &str, seconds: i64, word: &str) -> bool {
    (seconds - 3..=seconds + 3).any(|seconds| told.contains(&format!("{seconds} s {word}")))
}

#[test]
fn the_clock_of_a_kdc_is_told_although_it_refuses_the_logon() {
    let world = ahead_by(100);
    let (verdict, told) = clock_of(&world.target(), password("alice", "wrong"));
    assert_eq!(verdict, Verdict::Open, "{told}");
    assert!(is_about(&told, 100, "ahead"), "{told}");
}

/// The header of a cache says how clocks were apart when it was written, and is no measurement.
#[test]
fn with_tickets_the_clock_is_that_of_the_kdc_that_was_asked() {
    let world = ahead_by(100);
    let cache = world.path("cache");
    let with = |tickets: &[Credential]| {
        write_cache(&cache, &Principal::account("alice", REALM), tickets);
        clock_of(&world.target(), Credentials::Cache { path: Some(cache.clone()) })
    };
    let (verdict, told) = with(&[kinit(&world)]);
    assert_eq!(verdict, Verdict::Open, "{told}");
    assert!(is_about(&told, 100, "ahead"), "{told}");
    let before = world.kdc.asked();
    let tickets = [kinit(&world), ticket(&world, "RPCSS"), ticket(&world, "HOST")];
    let asked_by_kinit = world.kdc.asked();
    assert!(before < asked_by_kinit);
    let (verdict, told) = with(&tickets);
    assert_eq!((verdict, world.kdc.asked()), (Verdict::Skipped, asked_by_kinit), "{told}");
    assert!(told.contains("not asked"), "{told}");
}

/// A service whose clock is not the KDC's is met by its own clock; that is a success with something to do.
#[test]
fn a_clock_that_was_made_up_for_is_told() {
    let world = ahead_by(-1000);
    let ca = RemoteCa::connect(world.target(), Some(alice())).unwrap();
    let findings = ca.logon_findings();
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!((finding.kind, finding.severity), (Kind::ServerClock, Severity::Warning));
    assert!(is_about(&finding.detail, 1000, "ahead of the KDC's"), "{finding}");
    assert!(finding.remedy.as_deref().unwrap().contains("set the clock"));
    drop(ca);
    let seen = examine(&world.target(), Some(alice()), false, &mut |_| {});
    assert!(seen.visits.iter().all(|visit| visit.verdict != Verdict::Shut));
    assert_eq!(seen.findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [Kind::ServerClock]);

    let world = ahead_by(100);
    assert_eq!(RemoteCa::connect(world.target(), Some(alice())).unwrap().logon_findings(), []);
    assert_eq!(examine(&world.target(), Some(alice()), false, &mut |_| {}).findings, []);
}

#[test]
fn ntlm_in_the_place_of_kerberos_is_told() {
    let world = Domain::new();
    let users = UserFile::in_folder(Folder::new(world.path("ca")).path());
    users.add(User::new("local", NtHash::from_password("A-local-Pa55"), Roles::OPERATOR).unwrap()).unwrap();
    let by = |mechanism, kerberos: &KerberosTarget| {
        let target = Target { mechanism, kerberos: kerberos.clone(), ..world.target() };
        let ca = RemoteCa::connect(target, Some(password("local", "A-local-Pa55"))).unwrap();
        assert_eq!(ca.mechanism(), Some("NTLM"));
        ca.logon_findings()
    };
    // A KDC that does not know the account, and one that is not there.
    let own = world.target().kerberos;
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dead = KerberosTarget { kdc: vec![closed.into()], ..own.clone() };
    for (kerberos, word) in [(&own, "C_PRINCIPAL_UNKNOWN"), (&dead, "no KDC of TOY.TEST answers")] {
        let findings = by(Mechanism::Negotiate, kerberos);
        let [finding] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!((finding.kind, finding.severity), (Kind::NtlmTaken, Severity::Warning));
        assert!(finding.detail.contains(word), "{finding}");
        assert!(finding.remedy.as_deref().unwrap().contains("--mechanism ntlm"));
        // Who asks for it is not told so.
        assert_eq!(by(Mechanism::Ntlm, kerberos), []);
    }
    // Nothing says that there is Kerberos at all: this machine by its own name for itself.
    assert_eq!(by(Mechanism::Negotiate, &KerberosTarget::default()), []);
}
