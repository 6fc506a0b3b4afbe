//! What lies ready on this machine, as a client meets it: caches with and without the tickets that are needed, and a krb5.conf
//! that is not there.

use certadm_client::doctor::{Gate, Verdict, Visit, examine};
use certadm_client::{Credentials, KerberosTarget, Mechanism, RemoteCa, Target};
use certadm_kerberos::{Credential, Principal};
use certadm_rules::Hresult;
use certadm_rules::diagnosis::{Class, Diagnosis};

use crate::domain::{Domain, REALM, alice, kinit, ticket};
use crate::stores::write_cache;

/// A cache of alice's with these tickets.
fn cache(world: &Domain, tickets: &[Credential]) -> Credentials {
    let path = world.path("cache");
    write_cache(&path, &Principal::account("alice", REALM), tickets);
    Credentials::Cache { path: Some(path) }
}

/// What a walk of doctor finds at a gate.
fn at(gate: Gate, target: &Target, credentials: Credentials) -> Visit {
    let seen = examine(target, Some(credentials), false, &mut |_| {});
    seen.visits.into_iter().find(|visit| visit.gate == gate).unwrap()
}

/// Where a backup passes, the walk passes.
#[test]
fn tickets_for_the_server_need_none_to_get_others_with() {
    let world = Domain::new();
    let (resolver, host) = (ticket(&world, "RPCSS"), ticket(&world, "HOST"));
    let both = [resolver.clone(), host.clone()];
    let asked = world.kdc.asked();
    for gate in [Gate::Ticket, Gate::ServiceTickets, Gate::State] {
        let visit = at(gate, &world.target(), cache(&world, &both));
        assert_eq!(visit.verdict, Verdict::Open, "{visit:?}");
    }
    world.back_up(world.target(), cache(&world, &both), "set").unwrap();
    assert_eq!(world.kdc.asked(), asked, "all tickets are there");
    // One of them is not enough, for both.
    for alone in [resolver, host] {
        let alone = [alone];
        let visit = at(Gate::ServiceTickets, &world.target(), cache(&world, &alone));
        assert_eq!(visit.verdict, Verdict::Shut, "{visit:?}");
        assert!(visit.finding.detail.contains("none to get others with"), "{visit:?}");
        assert!(RemoteCa::connect(world.target(), Some(cache(&world, &alone))).is_err());
    }
}

/// A ticket that has ended, one that begins later and one of another realm want different things done.
#[test]
fn a_cache_says_what_it_lacks() {
    let world = Domain::new();
    let good = kinit(&world);
    let shifted = |seconds: i64| Credential {
        start_time: good.start_time.plus(seconds),
        end_time: good.end_time.plus(seconds),
        ..good.clone()
    };
    let lasting = good.end_time.since(good.start_time);
    let abroad = Principal::ticket_granting("OTHER.TEST", REALM);
    let elsewhere = Credential { service: abroad, ..good.clone() };
    for (tickets, words, remedy) in [
        (vec![shifted(-lasting - 60)], "the last one ended at", "log on again"),
        (vec![shifted(-lasting - 60), shifted(7200)], "the next one begins at", "wait until then"),
        (vec![elsewhere.clone()], "krbtgt/TOY.TEST), but for krbtgt/OTHER.TEST@TOY.TEST", "log on again"),
        (vec![elsewhere, shifted(-lasting - 60)], "the last one ended at", "log on again"),
        (vec![], "no ticket that is good now", "log on again"),
    ] {
        let (code, told, advice) = world.refusal(world.target(), cache(&world, &tickets));
        assert_eq!(code, Hresult::E_ACCESSDENIED);
        assert!(told.contains(words) && advice.contains(remedy), "{told}: {advice}");
        assert_eq!(words.contains("ended"), told.contains("ended"), "{told}");
        let visit = at(Gate::Ticket, &world.target(), cache(&world, &tickets));
        assert!(visit.verdict == Verdict::Shut && visit.finding.detail.contains(words), "{visit:?}");
    }
}

/// A mistyped path would let the realm and the KDCs of another file count, or NTLM.
#[test]
fn a_krb5_conf_that_is_named_has_to_be_there() {
    let world = Domain::new();
    let given = KerberosTarget { krb5_conf: Some(world.path("typo")), ..world.target().kerberos };
    let kerberos = KerberosTarget { realm: None, ..given.clone() };
    for mechanism in [Mechanism::Kerberos, Mechanism::Negotiate] {
        let target = Target { mechanism, kerberos: kerberos.clone(), ..world.target() };
        let error = RemoteCa::connect(target.clone(), Some(alice())).map(|_| ()).unwrap_err();
        assert_eq!((error.hresult(), error.class()), (Hresult::E_INVALIDARG, Class::Usage), "{error}");
        let (_, told, remedy) = world.refusal(target.clone(), alice());
        assert!(told.contains("typo") && remedy.contains("krb5_conf"), "{told}: {remedy}");
        // The account is not read before the gate.
        let seen = examine(&target, Some(alice()), false, &mut |_| {});
        let shut = seen.visits.iter().find(|visit| visit.verdict == Verdict::Shut).unwrap();
        assert_eq!(shut.class, Class::Usage, "{shut:?}");
    }
    // By NTLM nobody reads it.
    let target = Target { mechanism: Mechanism::Ntlm, kerberos, ..world.target() };
    let (_, told, _) = world.refusal(target, alice());
    assert!(!told.contains("typo"), "{told}");
    // What it could say is given beside it.
    assert!(given.realm.is_some() && !given.kdc.is_empty());
    let target = Target { kerberos: given, ..world.target() };
    RemoteCa::connect(target, Some(alice())).unwrap();
    // The device that holds nothing is a file that says nothing.
    let nothing = KerberosTarget { krb5_conf: Some("/dev/null".into()), ..world.target().kerberos };
    let target = Target { kerberos: nothing.clone(), ..world.target() };
    RemoteCa::connect(target, Some(alice())).unwrap();
    let target = Target { kerberos: KerberosTarget { realm: None, ..nothing }, ..world.target() };
    let (_, told, _) = world.refusal(target, alice());
    assert!(told.contains("no realm is known"), "{told}");
}
