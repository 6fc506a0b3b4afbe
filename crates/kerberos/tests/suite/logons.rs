//! Logons at a KDC of the tests' own.

use certadm_kerberos::Principal;
use certadm_kerberos::client::{ClientError, Logon, MAX_ANSWER, Question, Secret, Step, answer_size};
use certadm_kerberos::crypto::{Etype, Key, string_to_key};
use certadm_kerberos::message::{
    EncKdcReplyPart, ErrorCode, KdcKind, KdcReply, KdcRequest, KrbError, RequestBody,
};
use certadm_rules::{Diagnosis, Hresult};
use certadm_toy_kdc::{Kdc, Network, Status, World};

use crate::stage::{PASSWORD, REALM, alice, log_on, password, realm};

fn refused(result: Result<certadm_kerberos::client::LoggedOn, ClientError>) -> (ErrorCode, ClientError) {
    match result {
        Err(error @ ClientError::Refused { .. }) => {
            let ClientError::Refused { error: said, .. } = &error else { unreachable!() };
            (said.code, error)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_password_gives_a_ticket_in_two_questions() {
    let (kdc, _) = realm(Etype::Aes256Sha1);
    let network = Network::of([kdc]);
    let world = World::noon();
    let (done, asked) = log_on(Logon::new(alice(), password(PASSWORD)), &network, &world);
    let done = done.unwrap();
    assert_eq!((asked, done.clock_offset), (2, 0));
    assert_eq!(done.credential.client, alice());
    assert_eq!(done.credential.service, Principal::ticket_granting(REALM, REALM));
    assert_eq!(done.credential.end_time, world.time().plus(36_000));
    assert!(done.credential.is_good(world.time(), 300));
    assert!(!done.credential.is_good(world.time().plus(35_800), 300));
    assert!(!done.credential.is_good(world.time().plus(-301), 0));
}

#[test]
fn keys_give_a_ticket_and_only_their_etypes_are_asked_for() {
    let network = Network::of([realm(Etype::Aes256Sha1).0]);
    for etype in Etype::ALL {
        let key = string_to_key(etype, PASSWORD, b"TOY.TESTalice", &64_u32.to_be_bytes()).unwrap();
        let mut logon = Logon::new(alice(), Secret::Keys(vec![key]));
        let question = logon.start(&World::noon()).unwrap();
        let request = KdcRequest::decode(&question.message).unwrap();
        assert_eq!(RequestBody::decode(&request.body).unwrap().etypes, [etype.to_wire()]);
        let (done, asked) = log_on(logon, &network, &World::noon());
        assert_eq!((done.is_ok(), asked), (true, 2), "{etype}");
    }
}

#[test]
fn an_account_without_proof_gets_its_ticket_at_once() {
    let (mut kdc, _) = realm(Etype::Aes256Sha1);
    kdc.accounts.get_mut("alice").unwrap().needs_proof = false;
    let network = Network::of([kdc]);
    let (done, asked) = log_on(Logon::new(alice(), password(PASSWORD)), &network, &World::noon());
    assert_eq!((done.is_ok(), asked), (true, 1));
    let (done, _) = log_on(Logon::new(alice(), password("wrong")), &network, &World::noon());
    assert!(matches!(done, Err(ClientError::WrongKey { .. })), "{done:?}");
}

#[test]
fn a_kdc_that_wants_another_proof_is_told_with_the_command_that_gives_it() {
    use certadm_kerberos::message::PaType;
    let log_on_where = |proofs: Vec<PaType>| {
        let (mut kdc, _) = realm(Etype::Aes256Sha1);
        kdc.accounts.get_mut("alice").unwrap().proofs = proofs;
        log_on(Logon::new(alice(), password(PASSWORD)), &Network::of([kdc]), &World::noon())
    };
    // `kinit` armours a logon only with tickets that it is given (-T), and takes a certificate only where it is told which (-X).
    let certificate = "kinit -X X509_user_identity=PKCS11:MODULE -c FILE:PATH user@REALM";
    for (proofs, word, command) in [
        (vec![PaType::FAST], "FAST", "kinit -T FILE:ARMOR -c FILE:PATH user@REALM"),
        (vec![PaType::CERTIFICATE], "smart card", certificate),
        (vec![PaType::OLD_CERTIFICATE, PaType::CERTIFICATE], "smart card", certificate),
    ] {
        let (result, asked) = log_on_where(proofs);
        let error = result.map(|_| ()).unwrap_err();
        assert_eq!((asked, error.hresult()), (1, Hresult::E_ACCESSDENIED));
        assert!(error.to_string().contains(word) && error.remedy().contains(command), "{error}");
    }
    for proofs in [vec![], vec![PaType::FAST, PaType::CERTIFICATE, PaType::ENCRYPTED_TIMESTAMP]] {
        assert!(log_on_where(proofs).0.is_ok());
    }
}

#[test]
fn the_salt_is_the_kdcs() {
    let (mut kdc, _) = realm(Etype::Aes256Sha1);
    kdc.accounts.get_mut("alice").unwrap().salt = "TOY.TESTher-old-name".to_owned();
    let (done, _) = log_on(Logon::new(alice(), password(PASSWORD)), &Network::of([kdc]), &World::noon());
    assert!(done.is_ok());
}

#[test]
fn clocks_may_be_days_apart() {
    for offset in [1200, -3 * 86_400] {
        let (mut kdc, _) = realm(Etype::Aes256Sha1);
        kdc.clock_offset = offset;
        let (done, asked) =
            log_on(Logon::new(alice(), password(PASSWORD)), &Network::of([kdc]), &World::noon());
        assert_eq!((done.unwrap().clock_offset, asked), (offset, 2));
    }
}

/// The clock is set between the KDC's question and the proof: the KDC says SKEW once, and it is followed once.
#[test]
fn a_clock_that_jumps_is_followed_once() {
    let network = Network::of([realm(Etype::Aes256Sha1).0]);
    let world = World::noon();
    let mut logon = Logon::new(alice(), password(PASSWORD));
    let first = network.ask(&logon.start(&world).unwrap(), &world);
    let Step::Ask(proof) = logon.answer(&first, &world).unwrap() else { panic!("a proof") };
    world.pass(400);
    let skew = network.ask(&proof, &world);
    assert_eq!(KrbError::decode(&skew).unwrap().code, ErrorCode::SKEW);
    let Step::Ask(again) = logon.answer(&skew, &world).unwrap() else { panic!("another proof") };
    assert!(matches!(logon.answer(&network.ask(&again, &world), &world), Ok(Step::Done(_))));

    let mut logon = Logon::new(alice(), password(PASSWORD));
    logon.start(&world).unwrap();
    assert!(matches!(logon.answer(&first, &world), Ok(Step::Ask(_))));
    assert!(matches!(logon.answer(&skew, &world), Ok(Step::Ask(_))));
    let (code, error) = match logon.answer(&skew, &world) {
        Err(error) => refused(Err(error)),
        Ok(step) => panic!("{step:?}"),
    };
    assert_eq!(
        (code, error.remedy().as_ref()),
        (ErrorCode::SKEW, "set the clocks of this machine, of the service and of the KDC")
    );
}

#[test]
fn refusals_say_what_to_do() {
    let (mut kdc, _) = realm(Etype::Aes256Sha1);
    for (name, code, status) in [
        ("disabled", ErrorCode::CLIENT_REVOKED, 0xC000_0072),
        ("locked", ErrorCode::CLIENT_REVOKED, 0xC000_0234),
        ("expired", ErrorCode::CLIENT_REVOKED, 0xC000_0193),
        ("must-change", ErrorCode::KEY_EXPIRED, 0xC000_0224),
        ("odd", ErrorCode::POLICY, 0xC000_1234),
    ] {
        kdc.add_account(name, PASSWORD).status = Status::Refused(code, status);
    }
    kdc.add_account("old", PASSWORD).etypes = vec![];
    let network = Network::of([kdc]);
    for (name, secret, code, text, remedy) in [
        (
            "alice",
            "wrong",
            ErrorCode::PREAUTH_FAILED,
            "refused alice@TOY.TEST: 24 (PREAUTH_FAILED)",
            "check the password",
        ),
        ("nobody", PASSWORD, ErrorCode::CLIENT_UNKNOWN, "6 (C_PRINCIPAL_UNKNOWN)", "check account and realm"),
        ("disabled", PASSWORD, ErrorCode::CLIENT_REVOKED, "the account is disabled", "enabled or unlocked"),
        ("locked", PASSWORD, ErrorCode::CLIENT_REVOKED, "the account is locked", "enabled or unlocked"),
        ("expired", PASSWORD, ErrorCode::CLIENT_REVOKED, "the account has expired", "enabled or unlocked"),
        (
            "must-change",
            PASSWORD,
            ErrorCode::KEY_EXPIRED,
            "the password must be changed",
            "change the account's password",
        ),
        ("odd", PASSWORD, ErrorCode::POLICY, "status 0xC0001234", "kinit -T FILE:ARMOR -c FILE:PATH"),
        ("old", PASSWORD, ErrorCode::ETYPE_UNSUPPORTED, "14 (ETYPE_NOSUPP)", "msDS-SupportedEncryptionTypes"),
    ] {
        let logon = Logon::new(Principal::account(name, REALM), password(secret));
        let (found, error) = refused(log_on(logon, &network, &World::noon()).0);
        assert_eq!(found, code, "{name}");
        assert!(error.to_string().contains(text), "{error}");
        assert!(error.remedy().contains(remedy), "{name}: {}", error.remedy());
        assert_eq!(error.hresult(), Hresult::E_ACCESSDENIED);
        assert!(!error.to_string().contains(PASSWORD));
    }
}

#[test]
fn a_key_that_nobody_takes_is_named() {
    let (mut kdc, _) = realm(Etype::Aes256Sha1);
    kdc.accounts.get_mut("alice").unwrap().needs_proof = false;
    let key = Key::new(Etype::Aes256Sha1, &[1; 32]).unwrap();
    let (done, _) = log_on(Logon::new(alice(), Secret::Keys(vec![key])), &Network::of([kdc]), &World::noon());
    assert!(matches!(done, Err(ClientError::WrongKey { .. })));

    // A KDC that describes no key of the etype that there is.
    let (mut kdc, _) = realm(Etype::Aes256Sha1);
    kdc.accounts.get_mut("alice").unwrap().etypes = vec![Etype::Aes128Sha1];
    let network = Network::of([kdc]);
    let mut logon = Logon::new(alice(), password(PASSWORD));
    let answer = network.ask(&logon.start(&World::noon()).unwrap(), &World::noon());
    let mut other = Logon::new(alice(), Secret::Keys(vec![Key::new(Etype::Aes256Sha1, &[1; 32]).unwrap()]));
    other.start(&World::noon()).unwrap();
    match other.answer(&answer, &World::noon()) {
        Err(error @ ClientError::NoCommonEtype { .. }) => {
            assert!(error.to_string().contains("(17)"), "{error}");
        }
        unexpected => panic!("{unexpected:?}"),
    }
}

#[test]
fn enterprise_names_are_resolved_or_taken_apart() {
    let (mut kdc, _) = realm(Etype::Aes256Sha1);
    kdc.enterprise_names.insert("alice@corp.example".to_owned(), "alice".to_owned());
    let network = Network::of([kdc]);
    let name = Principal::enterprise("alice@corp.example", REALM);
    let (done, asked) = log_on(Logon::new(name, password(PASSWORD)), &network, &World::noon());
    assert_eq!((done.unwrap().credential.client, asked), (alice(), 2));
    // A KDC that knows no enterprise names: the suffix is its realm.
    let name = Principal::enterprise("alice@toy.test", REALM);
    let (done, asked) = log_on(Logon::new(name, password(PASSWORD)), &network, &World::noon());
    assert_eq!((done.unwrap().credential.client, asked), (alice(), 3));
    let name = Principal::enterprise("nobody@toy.test", REALM);
    assert_eq!(
        refused(log_on(Logon::new(name, password(PASSWORD)), &network, &World::noon()).0).0,
        ErrorCode::CLIENT_UNKNOWN
    );
}

/// A chain of realms, each of which says that the account lives in the next; the last one knows it.
fn chain(length: usize) -> Network {
    let name = |number: usize| if number == 0 { REALM.to_owned() } else { format!("R{number}.TEST") };
    Network::of((0..=length).map(|number| {
        let mut kdc = Kdc::new(&name(number));
        if number == length {
            kdc.add_account("alice", PASSWORD);
        } else {
            kdc.moved.insert("alice".to_owned(), name(number + 1));
        }
        kdc
    }))
}

#[test]
fn an_account_is_followed_through_ten_realms() {
    for length in [1, 10] {
        let (done, asked) = log_on(Logon::new(alice(), password(PASSWORD)), &chain(length), &World::noon());
        let realm = format!("R{length}.TEST");
        assert_eq!(done.unwrap().credential.service, Principal::ticket_granting(&realm, &realm));
        assert_eq!(asked, length + 2);
    }
    let (done, _) = log_on(Logon::new(alice(), password(PASSWORD)), &chain(11), &World::noon());
    assert_eq!(done.unwrap_err(), ClientError::TooManyReferrals { realm: "R11.TEST".to_owned() });
}

#[test]
fn an_account_is_not_followed_in_a_circle() {
    let mut network = chain(3);
    network.kdc("R2.TEST").moved.insert("alice".to_owned(), REALM.to_owned());
    let (done, asked) = log_on(Logon::new(alice(), password(PASSWORD)), &network, &World::noon());
    assert_eq!((done.unwrap_err(), asked), (ClientError::ReferralLoop { realm: REALM.to_owned() }, 3));
}

/// Whoever sits in between can send any message, but cannot make an answer.
#[test]
fn altered_answers_are_refused() {
    let network = Network::of([realm(Etype::Aes256Sha1).0]);
    let world = World::noon();
    let question = |world: &World| {
        let mut logon = Logon::new(alice(), password(PASSWORD));
        let first = network.ask(&logon.start(world).unwrap(), world);
        let Ok(Step::Ask(proof)) = logon.answer(&first, world) else { panic!("a proof") };
        (logon, network.ask(&proof, world))
    };
    let (mut logon, answer) = question(&World::noon());
    let Ok(Step::Done(right)) = logon.answer(&answer, &world) else { panic!("a ticket") };
    for at in (0..answer.len()).step_by(3) {
        let fresh = World::noon();
        let (mut logon, mut answer) = question(&fresh);
        answer[at] ^= 1;
        if let Ok(Step::Done(done)) = logon.answer(&answer, &fresh) {
            // What stands outside of the encrypted part is not protected; the KDC and the service will notice.
            let (right, done) = (&right.credential, &done.credential);
            assert_eq!(done.session_key.expose(), right.session_key.expose(), "byte {at}");
            assert_eq!((&done.service, done.end_time), (&right.service, right.end_time), "byte {at}");
        }
        assert!(Logon::new(alice(), password(PASSWORD)).answer(&answer[..at], &fresh).is_err());
    }
    // The answer to another question.
    question(&world);
    let (mut logon, _) = question(&world);
    match logon.answer(&answer, &world) {
        Err(ClientError::OtherAnswer { what, .. }) => assert_eq!(what, "its nonce is another one"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_ticket_for_another_service_is_no_logon() {
    let network = Network::of([realm(Etype::Aes256Sha1).0]);
    let world = World::noon();
    let mut logon = Logon::new(alice(), password(PASSWORD));
    let first = network.ask(&logon.start(&world).unwrap(), &world);
    let Ok(Step::Ask(proof)) = logon.answer(&first, &world) else { panic!("a proof") };
    let mut reply = KdcReply::decode(&network.ask(&proof, &world), KdcKind::As).unwrap();
    let etype = Etype::from_wire(reply.enc_part.etype).unwrap();
    let key = string_to_key(etype, PASSWORD, b"TOY.TESTalice", &64_u32.to_be_bytes()).unwrap();
    let usage = certadm_kerberos::crypto::KeyUsage::AS_REPLY;
    let mut part = EncKdcReplyPart::decode(&reply.enc_part.open(&key, usage).unwrap()).unwrap();
    part.service = Principal::service("kadmin", "changepw", REALM);
    let plain = part.encode(KdcKind::As);
    reply.enc_part =
        certadm_kerberos::message::EncryptedData::seal(&key, usage, None, &plain, &world).unwrap();
    assert!(matches!(logon.answer(&reply.encode(), &world), Err(ClientError::OtherAnswer { .. })));
}

#[test]
fn without_random_bytes_nothing_begins() {
    let world = World::noon();
    world.run_dry();
    assert!(matches!(Logon::new(alice(), password("")).start(&world), Err(ClientError::NoRandomness(_))));
}

#[test]
fn messages_are_framed_and_answers_bounded() {
    let question = Question { realm: REALM.to_owned(), message: vec![7; 300] };
    assert_eq!(question.framed()[..5], [0, 0, 1, 44, 7]);
    assert_eq!(answer_size([0, 0, 1, 44]), Ok(300));
    assert_eq!(answer_size([0, 0x10, 0, 0]), Ok(MAX_ANSWER));
    assert!(answer_size([0, 0x10, 0, 1]).is_err() && answer_size([0x80, 0, 0, 0]).is_err());
    assert_eq!(format!("{:?}", password("secret")), "Password(..)");
}
