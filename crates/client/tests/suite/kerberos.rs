//! Our client with tickets of a KDC in memory, against our service: whole backups, and every way in which one is refused.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use certadm_auth::{AccountName, NtHash};
use certadm_client::{
    Credentials, Endpoint, Error, KerberosError, KerberosTarget, Mechanism, RemoteCa, Target,
};
use certadm_kerberos::crypto::{Etype, Key, string_to_key};
use certadm_kerberos::{Keytab, Principal};
use certadm_rules::flags::Roles;
use certadm_rules::{Diagnosis, Hresult};
use certadm_server::{Settings, User, UserFile};
use certadm_session::Source;
use certadm_store::Folder;
use certadm_toy_kdc::Kdc;

use crate::domain::{Changes, Domain, GROUP, HOST, PASSWORD, REALM, alice, kinit, password, ticket};
use crate::stores::{write_cache, write_keytab};

#[test]
fn a_backup_with_a_password_by_every_framing() {
    let world = Domain::new();
    for mechanism in [Mechanism::Kerberos, Mechanism::Negotiate] {
        world.back_up(Target { mechanism, ..world.target() }, alice(), mechanism.name()).unwrap();
        let mut ca = RemoteCa::connect(Target { mechanism, ..world.target() }, Some(alice())).unwrap();
        assert_eq!(ca.mechanism(), Some("Kerberos"));
        assert!(ca.is_online().unwrap());
    }
    // Two questions for the logon, and one for each of two services; whatever the number of connections.
    let before = world.kdc.asked();
    world.back_up(world.target(), alice(), "counted").unwrap();
    assert_eq!(world.kdc.asked() - before, 4);
}

#[test]
fn a_backup_with_a_keytab_and_with_tickets() {
    let world = Domain::new();
    let account = Principal::account("alice", REALM);
    let key: Key =
        string_to_key(Etype::Aes256Sha1, PASSWORD, b"TOY.TESTalice", &64_u32.to_be_bytes()).unwrap();
    let entry = certadm_kerberos::KeytabEntry {
        principal: account.clone(),
        key_version: 1,
        etype: Etype::Aes256Sha1.to_wire(),
        key: Some(key),
    };
    let path = world.path("alice.keytab");
    write_keytab(&path, &Keytab::new(vec![entry]));
    for (name, user) in [("keytab", None), ("keytab-named", Some(AccountName::new("", "alice")))] {
        let credentials = Credentials::Keytab { account: user, path: path.clone() };
        world.back_up(world.target(), credentials, name).unwrap();
    }
    let other = Credentials::Keytab { account: Some(AccountName::new("", "bob")), path };
    assert!(world.refusal(world.target(), other).1.contains("no key of bob"));

    let cache = world.path("cache");
    write_cache(&cache, &account, &[kinit(&world)]);
    for mechanism in [Mechanism::Kerberos, Mechanism::Negotiate] {
        let credentials = Credentials::Cache { path: Some(cache.clone()) };
        let name = format!("cache-{mechanism}");
        world.back_up(Target { mechanism, ..world.target() }, credentials, &name).unwrap();
    }
    let mut old = kinit(&world);
    (old.start_time, old.end_time) = (old.start_time.plus(-9000), old.start_time.plus(-60));
    write_cache(&cache, &account, &[old]);
    let cached = || Credentials::Cache { path: Some(cache.clone()) };
    let (code, told, remedy) = world.refusal(world.target(), cached());
    assert_eq!(code, Hresult::E_ACCESSDENIED);
    assert!(told.contains("the last one ended at") && remedy.contains("kinit -c FILE:"), "{told}: {remedy}");
    // Nothing but a password is good for NTLM, and nobody falls back to it.
    for mechanism in [Mechanism::Ntlm, Mechanism::Spnego] {
        let (_, told, _) = world.refusal(Target { mechanism, ..world.target() }, cached());
        assert!(told.contains("logs on with a password"), "{told}");
    }
    let elsewhere = Credentials::Cache { path: Some("KCM:".into()) };
    let (_, told, remedy) = world.refusal(world.target(), elsewhere);
    assert!(told.contains("KCM:") && remedy.contains("kinit -c FILE:"), "{told}: {remedy}");
}

#[test]
fn every_etype_carries_a_backup() {
    for etype in Etype::ALL {
        let world = Domain::with(Changes {
            kdc: Some(Box::new(move |kdc| kdc.session_etypes = vec![etype])),
            ..Changes::default()
        });
        world.back_up(world.target(), alice(), "set").unwrap();
    }
}

/// Roles come from the ticket: by the SID of a group, by the account's name in its realm, and never from an account of the
/// service that has the same name.
#[test]
fn roles_are_those_of_the_ticket() {
    let roles = |operator: &str| {
        let operator = vec![operator.to_owned()];
        let change = move |settings: &mut Settings| {
            settings.roles = certadm_ca::RolesConfig { operator, ..Default::default() };
        };
        Domain::with(Changes { settings: Some(Box::new(change)), ..Changes::default() })
    };
    for operator in [GROUP, "sid:S-1-5-21-1-2-3-1105", "krb:alice@TOY.TEST"] {
        let world = roles(operator);
        world.back_up(world.target(), alice(), "set").unwrap();
    }
    for other in ["uid:0", "krb:alice@OTHER.TEST", "sid:S-1-5-21-9-2-3-1106"] {
        let world = roles(other);
        assert_eq!(world.denial(alice()), Hresult::E_ACCESSDENIED, "{other}");
    }
    // The account of the service with that name has a role, and the one of the realm has it not.
    let world = roles("uid:0");
    let users = UserFile::in_folder(Folder::new(world.path("ca")).path());
    users.add(User::new("bob", NtHash::from_password(PASSWORD), Roles::OPERATOR).unwrap()).unwrap();
    users.remove("alice").unwrap();
    users.add(User::new("alice", NtHash::from_password(PASSWORD), Roles::OPERATOR).unwrap()).unwrap();
    assert_eq!(world.denial(alice()), Hresult::E_ACCESSDENIED);
}

#[test]
fn negotiate_takes_ntlm_where_kerberos_cannot_be_had_and_kerberos_alone_does_not() {
    let world = Domain::new();
    let users = UserFile::in_folder(Folder::new(world.path("ca")).path());
    users.add(User::new("local", NtHash::from_password("A-local-Pa55"), Roles::OPERATOR).unwrap()).unwrap();
    let local = || password("local", "A-local-Pa55");
    // The KDC knows no such account.
    let negotiated = Target { mechanism: Mechanism::Negotiate, ..world.target() };
    let ca = RemoteCa::connect(negotiated.clone(), Some(local())).unwrap();
    assert_eq!(ca.mechanism(), Some("NTLM"));
    drop(ca);
    let (_, told, _) = world.refusal(world.target(), local());
    assert!(told.contains("6 (C_PRINCIPAL_UNKNOWN)"), "{told}");
    // No KDC there.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let kerberos = KerberosTarget { kdc: vec![closed.into()], ..negotiated.kerberos.clone() };
    let without = Target { kerberos, ..negotiated.clone() };
    assert_eq!(RemoteCa::connect(without.clone(), Some(local())).unwrap().mechanism(), Some("NTLM"));
    let (code, told, _) = world.refusal(Target { mechanism: Mechanism::Kerberos, ..without }, local());
    assert_eq!(code, Hresult::RPC_S_SERVER_UNAVAILABLE);
    assert!(told.contains(&closed.to_string()), "{told}");
    // A wrong password is not tried a second time by NTLM, where it would count again.
    let (_, told, remedy) = world.refusal(negotiated.clone(), password("alice", "wrong"));
    assert!(told.contains("24 (PREAUTH_FAILED)") && remedy.contains("password"), "{told}");
    // An address has no ticket.
    let Endpoint::Tcp { port, .. } = negotiated.endpoint else { panic!("over TCP") };
    let endpoint = Endpoint::Tcp { host: "127.0.0.1".into(), port };
    let by_address = Target { endpoint, ..negotiated };
    assert_eq!(RemoteCa::connect(by_address.clone(), Some(local())).unwrap().mechanism(), Some("NTLM"));
    let (_, told, _) = world.refusal(Target { mechanism: Mechanism::Kerberos, ..by_address }, alice());
    assert!(told.contains("127.0.0.1 is an address"), "{told}");
}

/// A server that does not speak Kerberos, though the KDC has a ticket for it.
#[test]
fn a_server_without_a_keytab_is_told_and_met_by_ntlm_where_that_is_asked_for() {
    let without = Box::new(|settings: &mut Settings| settings.kerberos = None);
    let world = Domain::with(Changes { settings: Some(without), ..Changes::default() });
    let users = UserFile::in_folder(Folder::new(world.path("ca")).path());
    users.set_password("alice", NtHash::from_password(PASSWORD)).unwrap();
    let by = |mechanism| Target { mechanism, ..world.target() };
    assert_eq!(RemoteCa::connect(by(Mechanism::Ntlm), Some(alice())).unwrap().mechanism(), Some("NTLM"));
    // The KDC has given tickets. That the service takes none may be the word of somebody between the hosts.
    for mechanism in [Mechanism::Negotiate, Mechanism::Kerberos] {
        let (code, told, remedy) = world.refusal(by(mechanism), alice());
        assert_eq!(code, Hresult::E_ACCESSDENIED);
        assert!(told.contains("does not speak Kerberos") && remedy.contains("keytab"), "{told}: {remedy}");
    }
}

#[test]
fn a_service_without_ntlm_takes_tickets_alone() {
    let without = Box::new(|settings: &mut Settings| settings.ntlm = false);
    let world = Domain::with(Changes { settings: Some(without), ..Changes::default() });
    world.back_up(world.target(), alice(), "set").unwrap();
    for mechanism in [Mechanism::Ntlm, Mechanism::Spnego] {
        let target = Target { mechanism, ..world.target() };
        let (code, told, _) = world.refusal(target, password("alice", "Other-Pa55"));
        assert_eq!(code, Hresult::E_ACCESSDENIED, "{told}");
    }
}

#[test]
fn clocks_that_differ_are_bridged_where_that_can_be() {
    let ahead_by = |seconds: i64| {
        Domain::with(Changes {
            kdc: Some(Box::new(move |kdc| kdc.clock_offset = seconds)),
            ..Changes::default()
        })
    };
    // The KDC's clock is late: the service sees a clock that is wrong, and says which would be right.
    let world = ahead_by(-1000);
    world.back_up(world.target(), alice(), "set").unwrap();
    // It is early: the tickets are not good yet, and nobody can help that.
    let world = ahead_by(1000);
    for mechanism in [Mechanism::Kerberos, Mechanism::Negotiate] {
        let (code, told, remedy) = world.refusal(Target { mechanism, ..world.target() }, alice());
        assert_eq!(code, Hresult::E_ACCESSDENIED, "{told}");
        assert!(told.contains("33 (TKT_NYV)") && told.contains(" s behind the KDC's"), "{told}");
        assert!(remedy.contains("set the clocks"), "{remedy}");
    }
    // Tickets that have ended for the service.
    let world = ahead_by(-11 * 3600);
    let (code, told, remedy) = world.refusal(world.target(), alice());
    assert_eq!(code, Hresult::E_ACCESSDENIED, "{told}");
    assert!(told.contains("32 (TKT_EXPIRED)") && told.contains(" s ahead of the KDC's"), "{told}");
    assert!(remedy.contains("set the clocks"), "{remedy}");
}

#[test]
fn the_connection_ends_with_the_ticket() {
    let world = Domain::with(Changes {
        kdc: Some(Box::new(|kdc| kdc.lifetime = 4)),
        settings: Some(Box::new(|settings| {
            if let Some(kerberos) = &mut settings.kerberos {
                kerberos.skew_seconds = 1;
            }
        })),
        ..Changes::default()
    });
    // A slow machine may use up the time before the connection stands.
    let Ok(mut ca) = RemoteCa::connect(world.target(), Some(alice())) else { return };
    let began = std::time::Instant::now();
    while ca.is_online().is_ok() {
        assert!(began.elapsed() < Duration::from_secs(120), "the service still answers");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_stale_keytab_and_another_realm_are_refused() {
    let stale = |kdc: &mut Kdc| {
        for service in kdc.services.values_mut() {
            service.key = string_to_key(Etype::Aes256Sha1, "new", b"salt", &[0, 0, 0, 1]).unwrap();
            service.key_version = 3;
        }
    };
    let world = Domain::with(Changes { kdc: Some(Box::new(stale)), ..Changes::default() });
    let (code, told, remedy) = world.refusal(world.target(), alice());
    assert_eq!(code, Hresult::E_ACCESSDENIED);
    assert!(told.contains("does not take the ticket for RPCSS/localhost"), "{told}");
    assert!(remedy.contains("keytab"), "{remedy}");

    let only = Box::new(|settings: &mut Settings| {
        settings.kerberos.as_mut().unwrap().realms = vec!["OTHER.TEST".into()];
    });
    let world = Domain::with(Changes { settings: Some(only), ..Changes::default() });
    assert_eq!(world.refusal(world.target(), alice()).0, Hresult::E_ACCESSDENIED);

    let world = Domain::new();
    let nowhere = KerberosTarget { realm: Some("NOWHERE.TEST".into()), ..world.target().kerberos };
    let (_, told, _) = world.refusal(Target { kerberos: nowhere, ..world.target() }, alice());
    assert!(told.contains("NOWHERE.TEST"), "{told}");
}

/// An account of another realm gets in over the trust between the two, where the service allows that realm.
#[test]
fn a_referral_is_followed() {
    let mut other = Kdc::new("OTHER.TEST");
    other.add_account("carol", "Car0l-Pa55");
    other.routes.insert(HOST.into(), REALM.into());
    // Both directions of the trust are made at once; the KDC of the service is made anew from this one.
    let mut copy = Kdc::new(REALM);
    copy.trust(&mut other);
    let trusts = copy.trusts.clone();
    let world = Domain::with(Changes {
        kdc: Some(Box::new(move |kdc| kdc.trusts = trusts)),
        settings: Some(Box::new(|settings| {
            settings.kerberos.as_mut().unwrap().realms = vec![REALM.into(), "OTHER.TEST".into()];
        })),
        others: vec![other],
    });
    let conf = format!(
        "[realms]\n{REALM} = {{\nkdc = {0}\n}}\nOTHER.TEST = {{\nkdc = {0}\n}}\n",
        world.kdc.address()
    );
    std::fs::write(world.path("krb5.conf"), conf).unwrap();
    let kerberos = KerberosTarget {
        realm: Some("OTHER.TEST".into()),
        kdc: Vec::new(),
        krb5_conf: Some(world.path("krb5.conf")),
    };
    let target = Target { kerberos, ..world.target() };
    world.back_up(target.clone(), password("carol", "Car0l-Pa55"), "set").unwrap();
}

/// What a client sent, to send it again.
type Recorded = Arc<Mutex<BTreeMap<usize, Vec<u8>>>>;

/// Carries bytes between a client and the service's resolver, and keeps what the client sent on each connection.
fn recorder(service: SocketAddr) -> (SocketAddr, Recorded) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, recorded) = (listener.local_addr().unwrap(), Recorded::default());
    let kept = Arc::clone(&recorded);
    std::thread::spawn(move || {
        for (number, client) in listener.incoming().flatten().enumerate() {
            let server = TcpStream::connect(service).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || {
                let mut buffer = vec![0; 65536];
                while let Ok(count @ 1..) = from.read(&mut buffer) {
                    kept.lock().unwrap().entry(number).or_default().extend(&buffer[..count]);
                    if to.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
                to.shutdown(Shutdown::Write).ok();
            });
            let (mut from, mut to) = (server, client);
            std::thread::spawn(move || {
                std::io::copy(&mut from, &mut to).ok();
                to.shutdown(Shutdown::Both).ok();
            });
        }
    });
    (address, recorded)
}

#[test]
fn what_was_sent_once_is_refused_when_it_comes_again() {
    let world = Domain::new();
    let (address, recorded) = recorder(world.resolver);
    let endpoint = Endpoint::Tcp { host: HOST.into(), port: address.port() };
    RemoteCa::connect(Target { endpoint, ..world.target() }, Some(alice())).unwrap();
    let sent = recorded.lock().unwrap()[&0].clone();
    let mut stream = TcpStream::connect(world.resolver).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(&sent).unwrap();
    let mut answer = [0; 16];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[2], 13, "bind_nak");
}

/// Carries messages between a client and the service's resolver, and takes the flag of header signing from the answers to a bind.
fn stripper(service: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(service).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                std::io::copy(&mut from, &mut to).ok();
                to.shutdown(Shutdown::Write).ok();
            });
            let (mut from, mut to) = (server, client);
            std::thread::spawn(move || {
                let mut header = [0; 16];
                while from.read_exact(&mut header).is_ok() {
                    let length = usize::from(u16::from_le_bytes([header[8], header[9]]));
                    let mut rest = vec![0; length - header.len()];
                    if header[2] == 12 {
                        header[3] &= !4;
                    }
                    if from.read_exact(&mut rest).is_err()
                        || to.write_all(&[&header, &*rest].concat()).is_err()
                    {
                        break;
                    }
                }
                to.shutdown(Shutdown::Both).ok();
            });
        }
    });
    address
}

#[test]
fn a_connection_whose_headers_nobody_signs_ends() {
    let world = Domain::new();
    for mechanism in [Mechanism::Kerberos, Mechanism::Negotiate] {
        let endpoint = Endpoint::Tcp { host: HOST.into(), port: stripper(world.resolver).port() };
        let (code, told, remedy) = world.refusal(Target { endpoint, mechanism, ..world.target() }, alice());
        assert_eq!(code, Hresult::E_ACCESSDENIED);
        assert!(
            told.contains("headers of messages signed") && remedy.contains("between the hosts"),
            "{told}: {remedy}"
        );
    }
}

/// Each step has its line, and the first that fails is the one that is told.
#[test]
fn doctor_walks_the_gates_of_kerberos() {
    use certadm_client::doctor::{Gate, Verdict, examine};
    const GATES: [Gate; 4] = [Gate::Kdc, Gate::Clock, Gate::Ticket, Gate::ServiceTickets];
    let walk =
        |target: &Target, credentials: Credentials| examine(target, Some(credentials), true, &mut |_| {});
    let world = Domain::new();
    let seen = walk(&world.target(), alice());
    let at = |gate: Gate| seen.visits.iter().find(|visit| visit.gate == gate).unwrap();
    for (gate, word) in [
        (Gate::Kdc, world.kdc.address().to_string()),
        (Gate::Ticket, "alice@TOY.TEST".into()),
        (Gate::ServiceTickets, "RPCSS/localhost@TOY.TEST".into()),
        (Gate::Authentication, "Kerberos".into()),
    ] {
        assert_eq!(at(gate).verdict, Verdict::Open, "{gate:?}");
        assert!(at(gate).finding.detail.contains(&word), "{}", at(gate).finding.detail);
    }
    assert_eq!(at(Gate::Clock).verdict, Verdict::Open);
    assert_eq!(at(Gate::Role).verdict, Verdict::Open);

    let shut = |target: &Target, credentials: Credentials| {
        let seen = walk(target, credentials);
        let shut = seen.visits.into_iter().find(|visit| visit.verdict == Verdict::Shut).unwrap();
        (shut.gate, shut.finding.detail, shut.finding.remedy.unwrap_or_default().into_owned())
    };
    let (gate, told, remedy) = shut(&world.target(), password("alice", "wrong"));
    assert_eq!(gate, Gate::Ticket);
    assert!(told.contains("PREAUTH_FAILED") && remedy.contains("password"), "{told}: {remedy}");
    let nowhere = KerberosTarget { kdc: Vec::new(), ..world.target().kerberos };
    let (gate, told, _) = shut(&Target { kerberos: nowhere.clone(), ..world.target() }, alice());
    assert_eq!(gate, Gate::Kdc, "{told}");
    let unknown = Box::new(|kdc: &mut Kdc| {
        kdc.services.remove("host/localhost");
    });
    let without = Domain::with(Changes { kdc: Some(unknown), ..Changes::default() });
    let (gate, told, remedy) = shut(&without.target(), alice());
    assert_eq!(gate, Gate::ServiceTickets);
    assert!(told.contains("7 (S_PRINCIPAL_UNKNOWN)") && remedy.contains("setspn"), "{told}: {remedy}");

    // With negotiate the walk goes on by NTLM, and says why.
    let negotiated = Target { mechanism: Mechanism::Negotiate, kerberos: nowhere, ..world.target() };
    let seen = walk(&negotiated, password("alice", "Other-Pa55"));
    let at = |gate: Gate| seen.visits.iter().find(|visit| visit.gate == gate).unwrap();
    assert_eq!(at(Gate::Kdc).verdict, Verdict::Unknown);
    assert!(at(Gate::Kdc).finding.detail.contains("NTLM is used"), "{}", at(Gate::Kdc).finding.detail);
    assert_eq!(at(Gate::Authentication).verdict, Verdict::Open);
    assert!(at(Gate::Authentication).finding.detail.contains("NTLM"));
    let ntlm = walk(&Target { mechanism: Mechanism::Ntlm, ..negotiated }, password("alice", "Other-Pa55"));
    for gate in GATES {
        let visit = ntlm.visits.iter().find(|visit| visit.gate == gate).unwrap();
        assert_eq!(visit.verdict, Verdict::Skipped);
    }
}

/// The service's own doctor: a key that is right, one that is stale, and one that no account has.
#[test]
fn a_keytab_is_proven_against_the_kdc() {
    use certadm_client::doctor::{Gate, Verdict};
    use certadm_client::{OwnService, examine_service};
    let world = Domain::new();
    let entry = |principal: Principal, version: u32, key: Key| certadm_kerberos::KeytabEntry {
        principal,
        key_version: version,
        etype: Etype::Aes256Sha1.to_wire(),
        key: Some(key),
    };
    let alice_key =
        string_to_key(Etype::Aes256Sha1, PASSWORD, b"TOY.TESTalice", &64_u32.to_be_bytes()).unwrap();
    let service = |name: &str| Principal::service("HOST", HOST, name);
    let service_key =
        string_to_key(Etype::Aes256Sha1, &service(REALM).to_string(), b"toy", &[0, 0, 0, 1]).unwrap();
    let folder = world.path("folder");
    std::fs::create_dir(&folder).unwrap();
    let walk_by =
        |name: &str, entries: Vec<certadm_kerberos::KeytabEntry>, realms: &[&str], realm: Option<&str>| {
            let keytab = folder.join(name);
            if !entries.is_empty() || !keytab.exists() {
                write_keytab(&keytab, &Keytab::new(entries));
            }
            let realms = realms.iter().map(ToString::to_string).collect();
            let own =
                OwnService { keytab, folder: folder.clone(), host: HOST.into(), realms, skew_seconds: 300 };
            let target = KerberosTarget { realm: realm.map(str::to_owned), ..world.target().kerberos };
            let visits = examine_service(&own, &target, Duration::from_secs(60), &mut |_| {});
            let last = visits.iter().rev().find(|visit| visit.verdict != Verdict::Skipped).unwrap();
            let remedy = last.finding.remedy.clone().unwrap_or_default().into_owned();
            (last.gate, last.verdict, last.finding.detail.clone(), remedy)
        };
    let walk = |name: &str, entries| walk_by(name, entries, &[], None);
    let account = || entry(Principal::account("alice", REALM), 1, alice_key.clone());
    let own = |version, key: &Key| entry(service(REALM), version, key.clone());
    let (gate, verdict, detail, _) = walk("good", vec![own(2, &service_key), account()]);
    assert_eq!((gate, verdict), (Gate::Acceptance, Verdict::Open), "{detail}");
    assert!(detail.contains("version 2"), "{detail}");
    let (gate, verdict, detail, remedy) = walk("stale", vec![own(1, &alice_key), account()]);
    assert_eq!((gate, verdict), (Gate::Acceptance, Verdict::Shut), "{detail}");
    assert!(remedy.contains("keytab"), "{remedy}");
    let (gate, verdict, detail, _) = walk("alone", vec![own(2, &service_key)]);
    assert_eq!((gate, verdict), (Gate::Ticket, Verdict::Unknown), "{detail}");
    let (gate, verdict, detail, _) = walk("empty", Vec::new());
    assert_eq!((gate, verdict), (Gate::Keytab, Verdict::Shut), "{detail}");

    // The key is right, and the service lets nobody in all the same.
    let good = || vec![own(2, &service_key), account()];
    let (gate, verdict, detail, _) = walk_by("good", good(), &["OTHER.TEST", REALM], None);
    assert_eq!((gate, verdict), (Gate::Acceptance, Verdict::Open), "{detail}");
    let (gate, verdict, detail, remedy) = walk_by("good", good(), &["toy.elsewhere"], None);
    assert_eq!((gate, verdict), (Gate::Acceptance, Verdict::Shut), "{detail}");
    assert!(detail.contains("`realms` in [kerberos] of ca.toml leave out TOY.TEST"), "{detail}");
    assert!(remedy.contains("add \"TOY.TEST\""), "{remedy}");
    // A realm that is named chooses among the keytab's accounts.
    let (gate, verdict, detail, _) = walk_by("good", good(), &[], Some("toy.test"));
    assert_eq!((gate, verdict), (Gate::Acceptance, Verdict::Open), "{detail}");
    let (gate, verdict, detail, remedy) = walk_by("good", good(), &[], Some("OTHER.TEST"));
    assert_eq!((gate, verdict), (Gate::Keytab, Verdict::Shut), "{detail}");
    assert!(detail.contains("no key of the realm OTHER.TEST") && remedy.contains("--realm"), "{remedy}");
    // Root can read what the service cannot. Accounts other than root may give nothing away.
    if std::os::unix::fs::chown(&folder, Some(4711), None).is_ok() {
        let (gate, verdict, detail, remedy) = walk_by("good", Vec::new(), &[], None);
        assert_eq!((gate, verdict), (Gate::Keytab, Verdict::Shut), "{detail}");
        assert!(detail.contains("belongs to 4711") && remedy.contains("`chown 4711 "), "{detail}: {remedy}");
    }
}

/// No cache of tickets can take the place of the keys that this test is about, so none is advised.
#[test]
fn a_keytab_that_the_kdc_wants_another_proof_for_stays_unknown() {
    use certadm_client::doctor::{Gate, Verdict};
    use certadm_client::{OwnService, examine_service};
    use certadm_kerberos::message::PaType;
    for proof in [PaType::FAST, PaType::CERTIFICATE] {
        let change = Box::new(move |kdc: &mut Kdc| {
            kdc.accounts.get_mut("alice").unwrap().proofs = vec![proof];
        });
        let world = Domain::with(Changes { kdc: Some(change), ..Changes::default() });
        let key =
            string_to_key(Etype::Aes256Sha1, PASSWORD, b"TOY.TESTalice", &64_u32.to_be_bytes()).unwrap();
        let entry = certadm_kerberos::KeytabEntry {
            principal: Principal::account("alice", REALM),
            key_version: 1,
            etype: Etype::Aes256Sha1.to_wire(),
            key: Some(key),
        };
        let keytab = world.path("keytab");
        write_keytab(&keytab, &Keytab::new(vec![entry]));
        let folder = keytab.parent().unwrap().to_owned();
        let own = OwnService { keytab, folder, host: HOST.into(), realms: Vec::new(), skew_seconds: 300 };
        let visits = examine_service(&own, &world.target().kerberos, Duration::from_secs(60), &mut |_| {});
        let ticket = visits.iter().find(|visit| visit.gate == Gate::Ticket).unwrap();
        let remedy = ticket.finding.remedy.clone().unwrap_or_default();
        assert_eq!(ticket.verdict, Verdict::Unknown, "{}", ticket.finding.detail);
        assert!(ticket.finding.detail.contains("stays unknown"), "{}", ticket.finding.detail);
        assert!(remedy.contains("certadm doctor --server") && !remedy.contains("kinit"), "{remedy}");
    }
}

#[test]
fn an_error_of_kerberos_says_whose_fault_it_is() {
    let error = KerberosError::NoRealm { account: "alice".into() };
    assert!(error.remedy().contains("--realm"));
    let error = Error::Kerberos(error);
    assert_eq!(error.hresult(), Hresult::E_INVALIDARG);
}

/// impacket as the client, with tickets out of a cache, so that it asks no KDC. Off by default: it needs a Python that has it.
///
/// ```text
/// CERTADM_PYTHON=V/bin/python cargo test -p certadm-client --test suite impacket -- --ignored
/// ```
#[test]
#[ignore = "needs a Python with tests/interop/requirements.txt; run with --ignored"]
fn impacket_backs_up_with_tickets() {
    let open = |is_open: bool| {
        let change = move |settings: &mut Settings| {
            settings.kerberos.as_mut().unwrap().danger_unsigned_headers = is_open;
            settings.ntlm = false;
        };
        let world = Domain::with(Changes { settings: Some(Box::new(change)), ..Changes::default() });
        let tickets = [kinit(&world), ticket(&world, "HOST"), ticket(&world, "RPCSS")];
        write_cache(&world.path("cache"), &Principal::account("alice", REALM), &tickets);
        let python = std::env::var_os("CERTADM_PYTHON")
            .expect("CERTADM_PYTHON names a Python with tests/interop/requirements.txt installed");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/interop/csra_impacket.py");
        let mut child = Command::new(python)
            .args(["-B", script])
            .env("KRB5CCNAME", world.path("cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::fs::create_dir(world.path("set")).unwrap();
        let orders = format!(
            "{{\"do\": \"login\", \"port\": {}, \"user\": \"alice\", \"password\": \"\", \"host\": \"{HOST}\", \"realm\": \"{REALM}\"}}\n\
             {{\"do\": \"full\", \"folder\": {:?}}}\n",
            world.resolver.port(),
            world.path("set"),
        );
        child.stdin.take().unwrap().write_all(orders.as_bytes()).unwrap();
        let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let lines: Vec<String> = said.lines().map(str::to_owned).collect();
        (world, lines)
    };
    let (world, lines) = open(true);
    assert!(lines.len() == 2 && lines.iter().all(|line| line.contains("\"ok\"")), "{lines:?}");
    assert!(std::fs::read_dir(world.path("set")).unwrap().count() > 0);
    // It does not sign headers, and is not let in unless that is allowed.
    let (_, lines) = open(false);
    assert!(!lines[0].contains("\"ok\""), "{lines:?}");
}
