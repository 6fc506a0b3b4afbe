//! Tickets for services, also through other realms.

use certadm_kerberos::Principal;
use certadm_kerberos::client::{ClientError, Logon, Step, TicketRequest};
use certadm_kerberos::crypto::Etype;
use certadm_kerberos::message::{ErrorCode, KdcKind, KdcReply};
use certadm_rules::Diagnosis;
use certadm_toy_kdc::{Kdc, Network, World};

use crate::stage::{HOST, PASSWORD, REALM, alice, get_ticket, log_on, password, realm, service, ticket};

fn granting(network: &Network, world: &World) -> certadm_kerberos::Credential {
    log_on(Logon::new(alice(), password(PASSWORD)), network, world).0.unwrap().credential
}

#[test]
fn a_ticket_in_one_question() {
    let network = Network::of([realm(Etype::Aes256Sha1).0]);
    let world = World::noon();
    let request = TicketRequest::new(granting(&network, &world), &service(), 0).unwrap();
    let (granted, asked) = get_ticket(request, &network, &world);
    let credential = granted.unwrap().credential;
    assert_eq!((asked, &credential.service, &credential.client), (1, &service(), &alice()));
    for etype in Etype::ALL {
        let request = TicketRequest::new(granting(&network, &world), &service(), 0).unwrap();
        let (granted, _) = get_ticket(request.with_etypes(&[etype]), &network, &world);
        assert_eq!(granted.unwrap().credential.session_key.etype(), etype);
    }
}

#[test]
fn a_service_that_nobody_knows() {
    let network = Network::of([realm(Etype::Aes256Sha1).0]);
    let world = World::noon();
    let unknown = Principal::service("RPCSS", "127.0.0.1", REALM);
    let request = TicketRequest::new(granting(&network, &world), &unknown, 0).unwrap();
    let error = get_ticket(request, &network, &world).0.unwrap_err();
    assert!(error.to_string().contains("RPCSS/127.0.0.1@TOY.TEST: 7 (S_PRINCIPAL_UNKNOWN)"), "{error}");
    assert!(error.remedy().contains("setspn"), "{}", error.remedy());
}

#[test]
fn a_ticket_for_a_service_gives_no_tickets() {
    let network = Network::of([realm(Etype::Aes256Sha1).0]);
    let (credential, _) = ticket(&network, &World::noon());
    assert!(matches!(TicketRequest::new(credential, &service(), 0), Err(ClientError::NotGranting { .. })));
}

#[test]
fn clocks_that_differ_are_followed_once() {
    let (mut kdc, _) = realm(Etype::Aes256Sha1);
    kdc.clock_offset = 4000;
    let network = Network::of([kdc]);
    let world = World::noon();
    // A credential cache without an offset: the KDC says SKEW, and its clock.
    let request = TicketRequest::new(granting(&network, &world), &service(), 0).unwrap();
    let (granted, asked) = get_ticket(request, &network, &world);
    assert_eq!((granted.unwrap().clock_offset, asked), (4000, 2));

    let mut request = TicketRequest::new(granting(&network, &world), &service(), 0).unwrap();
    let skew = network.ask(&request.start(&world).unwrap(), &world);
    assert!(matches!(request.answer(&skew, &world), Ok(Step::Ask(_))));
    match request.answer(&skew, &world) {
        Err(ClientError::Refused { error, .. }) => assert_eq!(error.code, ErrorCode::SKEW),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_old_granting_ticket_is_refused_by_the_kdc() {
    let network = Network::of([realm(Etype::Aes256Sha1).0]);
    let world = World::noon();
    let old = granting(&network, &world);
    world.pass(40_000);
    let error = get_ticket(TicketRequest::new(old, &service(), 0).unwrap(), &network, &world).0.unwrap_err();
    assert!(error.to_string().contains("32 (TKT_EXPIRED)") && error.remedy().contains("kinit"), "{error}");
}

/// Realms in a row: each trusts its neighbours and sends on to the next one.
fn chain(length: usize) -> Network {
    let name = |number: usize| if number == 0 { REALM.to_owned() } else { format!("R{number}.TEST") };
    let mut kdcs: Vec<_> = (0..=length).map(|number| Kdc::new(&name(number))).collect();
    kdcs[0].add_account("alice", PASSWORD);
    kdcs[length].add_service("HOST", HOST, Etype::Aes256Sha1);
    for number in 0..length {
        let (left, right) = kdcs.split_at_mut(number + 1);
        left[number].trust(&mut right[0]);
        left[number].routes.insert(HOST.to_owned(), name(number + 1));
    }
    Network::of(kdcs)
}

#[test]
fn a_service_is_followed_through_ten_realms() {
    let world = World::noon();
    for length in [1, 2, 10] {
        let network = chain(length);
        let request = TicketRequest::new(granting(&network, &world), &service(), 0).unwrap();
        let (granted, asked) = get_ticket(request, &network, &world);
        let credential = granted.unwrap().credential;
        assert_eq!((credential.service.realm(), asked), (&*format!("R{length}.TEST"), length + 1));
        assert_eq!(credential.client, alice());
    }
    let network = chain(11);
    let request = TicketRequest::new(granting(&network, &world), &service(), 0).unwrap();
    let (granted, asked) = get_ticket(request, &network, &world);
    assert_eq!(granted.unwrap_err(), ClientError::TooManyReferrals { realm: "R11.TEST".to_owned() });
    assert_eq!(asked, 11);
}

#[test]
fn a_service_is_not_followed_in_a_circle() {
    let mut network = chain(3);
    network.kdc("R2.TEST").routes.insert(HOST.to_owned(), "R1.TEST".to_owned());
    let world = World::noon();
    let request = TicketRequest::new(granting(&network, &world), &service(), 0).unwrap();
    let (granted, _) = get_ticket(request, &network, &world);
    assert_eq!(granted.unwrap_err(), ClientError::ReferralLoop { realm: "R1.TEST".to_owned() });
}

/// Whoever sits in between can neither alter an answer nor give that to another question.
#[test]
fn altered_answers_are_refused() {
    let network = Network::of([realm(Etype::Aes256Sha384).0]);
    let world = World::noon();
    let granting = granting(&network, &world);
    let mut request = TicketRequest::new(granting.clone(), &service(), 0).unwrap();
    let answer = network.ask(&request.start(&world).unwrap(), &world);
    let reply = KdcReply::decode(&answer, KdcKind::Tgs).unwrap();
    let same_question = || {
        // Random bytes can be repeated, so a world at the same point asks the same.
        let world = World::noon();
        let network = Network::of([realm(Etype::Aes256Sha384).0]);
        let granting = self::granting(&network, &world);
        let mut request = TicketRequest::new(granting, &service(), 0).unwrap();
        request.start(&world).unwrap();
        request
    };
    assert!(matches!(same_question().answer(&answer, &world), Ok(Step::Done(_))));
    for at in (0..answer.len()).step_by(7) {
        let mut altered = answer.clone();
        altered[at] ^= 1;
        if let Ok(Step::Done(done)) = same_question().answer(&altered, &world) {
            assert_ne!(
                done.credential.ticket, reply.ticket,
                "byte {at}: only the ticket is not ours to check"
            );
        }
    }
    let mut other = TicketRequest::new(granting, &service(), 0).unwrap();
    other.start(&world).unwrap();
    assert!(matches!(
        other.answer(&answer, &world),
        Err(ClientError::WrongKey { .. } | ClientError::OtherAnswer { .. })
    ));
    let mut twice = same_question();
    assert!(twice.answer(&answer, &world).is_ok());
    assert!(matches!(twice.answer(&answer, &world), Err(ClientError::OtherAnswer { .. })));
}
