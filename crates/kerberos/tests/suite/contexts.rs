//! A client and a server, with tickets of a KDC of the tests' own, and everybody who is not let in.

use std::sync::Arc;

use certadm_kerberos::crypto::{Etype, Key, KeyUsage};
use certadm_kerberos::message::{
    ApOptions, ApReply, ApRequest, Authenticator, Checksum, EncApReplyPart, EncTicketPart, EncryptedData,
    ErrorCode, KrbError, Ticket, TicketFlags,
};
use certadm_kerberos::{
    AcceptError, Acceptor, Credential, Demand, InitiateError, Initiator, Keytab, KeytabEntry, Message,
    Moment, Principal, ReplayCache,
};
use certadm_rules::Diagnosis;
use certadm_toy_kdc::{Network, World};

use crate::stage::{HOST, REALM, alice, realm, service, ticket};

struct Stage {
    world: World,
    credential: Credential,
    keytab: Keytab,
    acceptor: Acceptor,
}

fn stage(etype: Etype) -> Stage {
    let (kdc, keytab) = realm(etype);
    let world = World::noon();
    let (credential, _) = ticket(&Network::of([kdc]), &world);
    let acceptor = Acceptor::new(Arc::new(keytab.clone()), Arc::default());
    Stage { world, credential, keytab, acceptor }
}

impl Stage {
    fn first(&self) -> (Initiator, Vec<u8>) {
        Initiator::start(self.credential.clone(), 0, &self.world).unwrap()
    }

    fn refusal(&self, token: &[u8]) -> AcceptError {
        self.acceptor.accept(token, Demand::Privacy, &self.world).map(|_| ()).unwrap_err()
    }

    fn service_key(&self) -> &Key {
        self.keytab.entries()[0].key.as_ref().unwrap()
    }

    /// The ticket with another inside.
    fn with_ticket(&self, change: impl FnOnce(&mut EncTicketPart)) -> Credential {
        let mut ticket = Ticket::decode(&self.credential.ticket).unwrap();
        let plain = ticket.enc_part.open(self.service_key(), KeyUsage::TICKET).unwrap();
        let mut part = EncTicketPart::decode(&plain).unwrap();
        change(&mut part);
        ticket.enc_part =
            EncryptedData::seal(self.service_key(), KeyUsage::TICKET, Some(2), &part.encode(), &self.world)
                .unwrap();
        Credential { ticket: ticket.encode(), ..self.credential.clone() }
    }

    /// A first message with another authenticator.
    fn with_authenticator(&self, change: impl FnOnce(&mut Authenticator)) -> Vec<u8> {
        let (_, token) = self.first();
        let mut request = ApRequest::decode(&token).unwrap();
        let key = &self.credential.session_key;
        let usage = KeyUsage::AP_AUTHENTICATOR;
        let plain = request.authenticator.open(key, usage).unwrap();
        let mut authenticator = Authenticator::decode(&plain).unwrap();
        change(&mut authenticator);
        let plain = authenticator.encode();
        request.authenticator = EncryptedData::seal(key, usage, None, &plain, &self.world).unwrap();
        request.encode()
    }
}

#[test]
fn both_ends_agree_and_talk() {
    for etype in Etype::ALL {
        let stage = stage(etype);
        let (initiator, first) = stage.first();
        let (pending, answer) = stage.acceptor.accept(&first, Demand::Privacy, &stage.world).unwrap();
        let mut ours = initiator.finish(&answer, &stage.world).unwrap();
        let mut theirs = pending.finish(&ours.third).unwrap();
        assert_eq!((&theirs.client, &theirs.service, theirs.key_version), (&alice(), &service(), 2));
        assert_eq!(theirs.end().unix_seconds(), stage.credential.end_time.unix_seconds());
        let logon = theirs.pac.as_ref().unwrap().logon.as_ref().unwrap();
        assert_eq!(logon.user.to_string(), "S-1-5-21-1-2-3-1105");

        for (seal, unseal) in [(&mut ours.seal, &mut theirs.unseal), (&mut theirs.seal, &mut ours.unseal)] {
            for round in 0..3 {
                let mut body = [round; 48];
                let mut token = vec![0; seal.sealed_token_size()];
                seal.seal(Message { header: b"h", body: &mut body, trailer: b"t" }, &mut token).unwrap();
                assert_ne!(body, [round; 48]);
                unseal.unseal(Message { header: b"h", body: &mut body, trailer: b"t" }, &token).unwrap();
                assert_eq!(body, [round; 48]);
                let mut token = vec![0; seal.signed_token_size()];
                seal.sign(&[b"signed"], &mut token).unwrap();
                unseal.verify(&[b"signed"], &token).unwrap();
            }
        }
    }
}

/// What peers put around their tokens: `60 L OID id token`.
fn framed(id: [u8; 2], token: &[u8]) -> Vec<u8> {
    let content = [&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2][..], &id, token].concat();
    let [.., high, low] = content.len().to_be_bytes();
    let length = match (high, low) {
        (0, 0..=0x7f) => vec![low],
        (0, _) => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [&[0x60][..], &length, &content].concat()
}

#[test]
fn tokens_may_be_framed() {
    let stage = stage(Etype::Aes256Sha1);
    let (initiator, first) = stage.first();
    assert!(matches!(stage.refusal(&framed([2, 0], &first)), AcceptError::Malformed(_)));
    let mut other = framed([1, 0], &first);
    let oid = other.windows(3).position(|window| window == [0x12, 1, 2]).unwrap();
    other[oid] ^= 1;
    assert!(matches!(stage.refusal(&other), AcceptError::Malformed(_)));
    let (pending, answer) =
        stage.acceptor.accept(&framed([1, 0], &first), Demand::Privacy, &stage.world).unwrap();
    let ours = initiator.finish(&framed([2, 0], &answer), &stage.world).unwrap();
    pending.finish(&framed([2, 0], &ours.third)).unwrap();
}

#[test]
fn nobody_is_believed_before_the_third_message() {
    let stage = stage(Etype::Aes256Sha1);
    let pending = || {
        let (initiator, first) = stage.first();
        let (pending, answer) = stage.acceptor.accept(&first, Demand::Privacy, &stage.world).unwrap();
        (pending, initiator.finish(&answer, &stage.world).unwrap().third, answer)
    };
    let (_, of_another, _) = pending();
    let (one, third, answer) = pending();
    assert_eq!(one.finish(&of_another).unwrap_err(), AcceptError::Third { client: alice() }, "another's");
    let (two, ..) = pending();
    assert_eq!(two.finish(&third).unwrap_err(), AcceptError::Third { client: alice() }, "an older one");
    let (_, _, own_answer) = pending();
    let (three, ..) = pending();
    assert!(three.finish(&own_answer).is_err() && !answer.is_empty(), "an answer sent back");
    let (four, ..) = pending();
    let wrong = Key::new(Etype::Aes256Sha1, &[9; 32]).unwrap();
    let part =
        EncApReplyPart { moment: Moment::from(certadm_rules::FileTime(0)), subkey: None, sequence: Some(1) };
    let forged = ApReply::seal(&part, &wrong, &stage.world).unwrap().encode();
    assert_eq!(four.finish(&forged).unwrap_err(), AcceptError::Third { client: alice() });
    assert!(matches!(pending().0.finish(b""), Err(AcceptError::Malformed(_))));
    assert_eq!(format!("{:?}", pending().0), "Pending(..)", "nobody reads a name there");
}

#[test]
fn tickets_are_accepted_by_key_and_not_by_name() {
    let stage = stage(Etype::Aes256Sha1);
    let key = stage.service_key().clone();
    let entry = |name: &str, version, key: Option<Key>| KeytabEntry {
        principal: Principal::service("host", name, REALM),
        key_version: version,
        etype: 18,
        key,
    };
    let other = Key::new(Etype::Aes256Sha1, &[1; 32]);
    let keytab = Keytab::new(vec![
        entry(HOST, 3, other.clone()),
        entry("alias.toy.test", 1, Some(key)),
        entry("x", 2, None),
    ]);
    let acceptor = Acceptor::new(Arc::new(keytab), Arc::default());
    let (pending, _) = acceptor.accept(&stage.first().1, Demand::Privacy, &stage.world).unwrap();
    drop(pending);

    let accept = |entries| {
        let acceptor =
            Acceptor::new(Arc::new(Keytab::new(entries)), Arc::default()).with_realms([REALM.to_owned()]);
        acceptor.accept(&stage.first().1, Demand::Privacy, &stage.world).map(|_| ()).unwrap_err()
    };
    let stale = accept(vec![entry(HOST, 2, other.clone())]);
    assert_eq!((stale.code(), stale.answer(&stage.world)), (ErrorCode::MODIFIED, None));
    assert!(stale.remedy().contains("make its keytab anew"), "{}", stale.remedy());
    assert_eq!(accept(vec![entry("other.toy.test", 2, other)]).code(), ErrorCode::NOT_US);
    assert_eq!(accept(vec![entry(HOST, 2, None)]).code(), ErrorCode::NO_KEY);
    assert_eq!(accept(vec![]).code(), ErrorCode::NO_KEY);
}

/// A KDC may give an RC4 session key in a ticket under an AES key. Nothing is damaged then.
#[test]
fn a_session_key_of_another_etype_is_named() {
    let stage = stage(Etype::Aes256Sha1);
    let mut ticket = Ticket::decode(&stage.credential.ticket).unwrap();
    let mut plain = ticket.enc_part.open(stage.service_key(), KeyUsage::TICKET).unwrap().to_vec();
    // EncryptionKey: the etype stands before the octets of the key.
    let place = plain.windows(5).position(|bytes| bytes == [0xA0, 3, 2, 1, 18]).unwrap();
    plain[place + 4] = 23;
    ticket.enc_part =
        EncryptedData::seal(stage.service_key(), KeyUsage::TICKET, Some(2), &plain, &stage.world).unwrap();
    let credential = Credential { ticket: ticket.encode(), ..stage.credential.clone() };
    let (_, token) = Initiator::start(credential, 0, &stage.world).unwrap();
    let refusal = stage.refusal(&token);
    assert!(matches!(refusal, AcceptError::SessionKey { etype: 23, .. }), "{refusal}");
    assert_eq!(refusal.code(), ErrorCode::ETYPE_UNSUPPORTED);
}

/// An account may have many names and many old keys. The keys of the ticket's version come first, whatever their names.
#[test]
fn the_right_key_is_tried_among_many() {
    let stage = stage(Etype::Aes256Sha1);
    let entry = |name: &str, key_version: u32, key: Key| KeytabEntry {
        principal: Principal::service("host", name, REALM),
        key_version,
        etype: 18,
        key: Some(key),
    };
    let wrong = |number: u8| Key::new(Etype::Aes256Sha1, &[number; 32]).unwrap();
    let right = || entry("alias.toy.test", 2, stage.service_key().clone());
    let accepts = |mut entries: Vec<KeytabEntry>| {
        entries.push(right());
        let acceptor = Acceptor::new(Arc::new(Keytab::new(entries)), Arc::default());
        acceptor.accept(&stage.first().1, Demand::Privacy, &stage.world).is_ok()
    };
    // Older versions of the same account's key.
    assert!(accepts((0..100).map(|number| entry(HOST, 100 + u32::from(number), wrong(number))).collect()));
    // One key under many names.
    assert!(accepts((0..100).map(|number| entry(&format!("a{number}.toy.test"), 2, wrong(1))).collect()));
    // The work for one ticket is bounded all the same.
    assert!(!accepts((0..100).map(|number| entry(HOST, 2, wrong(number))).collect()));
}

#[test]
fn time_decides() {
    let stage = stage(Etype::Aes256Sha1);
    let start = |credential| Initiator::start(credential, 0, &stage.world).unwrap().1;
    let now = stage.world.time();
    let expired = start(stage.with_ticket(|part| part.end_time = now.plus(-301)));
    let told = |token: &[u8]| {
        let refusal = stage.refusal(token);
        let answer = refusal.answer(&stage.world).map(|answer| KrbError::decode(&answer).unwrap());
        assert!(answer.iter().all(|said| said.code == refusal.code() && said.server_time.time == now));
        (refusal.code(), answer.is_some())
    };
    assert_eq!(told(&expired), (ErrorCode::TICKET_EXPIRED, true));
    let just = start(stage.with_ticket(|part| part.end_time = now.plus(-300)));
    assert!(stage.acceptor.accept(&just, Demand::Privacy, &stage.world).is_ok());
    let future = start(stage.with_ticket(|part| part.start_time = Some(now.plus(301))));
    assert_eq!(told(&future), (ErrorCode::TICKET_NOT_YET_VALID, true));
    let invalid = start(stage.with_ticket(|part| part.flags = TicketFlags(TicketFlags::INVALID)));
    assert_eq!(told(&invalid), (ErrorCode::TICKET_NOT_YET_VALID, false), "no clock is wrong");

    for offset in [301, -301] {
        let (initiator, token) = Initiator::start(stage.credential.clone(), offset, &stage.world).unwrap();
        let refusal = stage.refusal(&token);
        assert_eq!(refusal.code(), ErrorCode::SKEW);
        let answer = refusal.answer(&stage.world).unwrap();
        let said = KrbError::decode(&answer).unwrap();
        assert_eq!((said.code, said.server_time.time), (ErrorCode::SKEW, now));
        // Samba frames its refusal.
        match initiator.finish(&framed([3, 0], &answer), &stage.world) {
            Err(InitiateError::Refused { error, clocks }) => {
                assert_eq!((error.server_time.time, clocks.service, clocks.own), (now, now, now));
                assert_eq!(clocks.behind(), offset);
            }
            other => panic!("{other:?}"),
        }
    }
    let (_, token) = Initiator::start(stage.credential.clone(), 400, &stage.world).unwrap();
    let patient = stage.acceptor.clone().with_skew(400);
    assert!(patient.accept(&token, Demand::Privacy, &stage.world).is_ok());
}

/// Who has a ticket from somewhere, such as a record of the traffic, and not its session key, is told nothing: neither whether
/// it has ended, nor what the clock shows.
#[test]
fn who_does_not_know_the_session_key_is_told_no_time() {
    let stage = stage(Etype::Aes256Sha1);
    let now = stage.world.time();
    for credential in [
        stage.with_ticket(|part| part.end_time = now.plus(-301)),
        stage.with_ticket(|part| part.start_time = Some(now.plus(301))),
    ] {
        let session_key = Key::new(credential.session_key.etype(), &[3; 32]).unwrap();
        let thief = Credential { session_key, ..credential };
        let refusal = stage.refusal(&Initiator::start(thief, 0, &stage.world).unwrap().1);
        assert_eq!(refusal, AcceptError::WrongAuthenticator { client: alice() });
        assert_eq!(refusal.answer(&stage.world), None);
    }
}

/// A service whose clock is slow gets tickets that are not good yet, one whose clock is fast gets such as have ended.
#[test]
fn a_refusal_about_clocks_shows_them() {
    let stage = stage(Etype::Aes256Sha1);
    let now = stage.world.time();
    let told = |credential, offset| {
        let (initiator, token) = Initiator::start(credential, offset, &stage.world).unwrap();
        let answer = stage.refusal(&token).answer(&stage.world).unwrap();
        let error = initiator.finish(&answer, &stage.world).map(|_| ()).unwrap_err();
        (error.to_string(), error.remedy().into_owned())
    };
    let slow = stage.with_ticket(|part| part.start_time = Some(now.plus(1200)));
    let (text, remedy) = told(slow, 1200);
    let clocks = "its clock shows 2026-11-27T12:00:00Z, 1200 s behind the KDC's (2026-11-27T12:20:00Z); this machine's shows \
                  2026-11-27T12:00:00Z";
    assert_eq!(text, format!("the service refused the ticket: 33 (TKT_NYV); {clocks}"));
    assert!(remedy.contains("set the clocks"), "{remedy}");
    let ended = || stage.with_ticket(|part| part.end_time = now.plus(-400));
    let (text, remedy) = told(ended(), -1200);
    assert!(text.contains("32 (TKT_EXPIRED)") && text.contains("1200 s ahead of the KDC's"), "{text}");
    assert!(remedy.contains("set the clocks"), "{remedy}");
    let (text, remedy) = told(ended(), 0);
    assert!(text.contains("as the KDC's does") && remedy.contains("kinit"), "{text}: {remedy}");
}

#[test]
fn an_authenticator_comes_once() {
    let stage = stage(Etype::Aes256Sha1);
    let (_, token) = stage.first();
    assert!(stage.acceptor.accept(&token, Demand::Privacy, &stage.world).is_ok());
    assert_eq!(stage.refusal(&token), AcceptError::Replay { client: alice() });
    let other = Acceptor::new(Arc::new(stage.keytab.clone()), Arc::new(ReplayCache::new(5)));
    assert!(other.accept(&token, Demand::Privacy, &stage.world).is_ok(), "each cache for itself");
}

#[test]
fn ticket_and_authenticator_belong_together() {
    let stage = stage(Etype::Aes256Sha1);
    for claimed in [Principal::account("bob", REALM), Principal::account("alice", "OTHER.TEST")] {
        let token = stage.with_authenticator(|authenticator| authenticator.client = claimed.clone());
        assert_eq!(stage.refusal(&token), AcceptError::Mismatch { client: alice(), claimed });
    }
    let mut thief = stage.credential.clone();
    thief.session_key = Key::new(thief.session_key.etype(), &[3; 32]).unwrap();
    let (_, token) = Initiator::start(thief, 0, &stage.world).unwrap();
    assert_eq!(stage.refusal(&token), AcceptError::WrongAuthenticator { client: alice() });
}

#[test]
fn other_realms_stay_out() {
    let stage = stage(Etype::Aes256Sha1);
    let visitor = Principal::account("alice", "OTHER.TEST");
    let mut credential = stage.with_ticket(|part| {
        part.client = visitor.clone();
        part.authorization.clear();
    });
    credential.client = visitor.clone();
    let start = || Initiator::start(credential.clone(), 0, &stage.world).unwrap().1;
    assert_eq!(stage.refusal(&start()), AcceptError::Realm { client: visitor });
    let open = stage.acceptor.clone().with_realms([REALM.to_owned(), "OTHER.TEST".to_owned()]);
    assert!(open.accept(&start(), Demand::Privacy, &stage.world).is_ok());
}

#[test]
fn a_context_does_what_is_demanded_or_is_refused() {
    let stage = stage(Etype::Aes256Sha1);
    let flags = |flags: u32| {
        stage.with_authenticator(|authenticator| {
            let value = [&16_u32.to_le_bytes()[..], &[0; 16], &flags.to_le_bytes()].concat();
            authenticator.checksum = Some(Checksum { kind: 0x8003, value });
        })
    };
    let accepts = |token: &[u8], demand| stage.acceptor.accept(token, demand, &stage.world).is_ok();
    assert!(accepts(&flags(0x1032), Demand::Privacy));
    assert!(!accepts(&flags(0x1022), Demand::Privacy) && accepts(&flags(0x1022), Demand::Integrity));
    assert!(accepts(&flags(0x1002), Demand::Nothing) && !accepts(&flags(0x0002), Demand::Nothing));
    for missing in [0x1012, 0x1030, 0x0032, 0] {
        assert!(!accepts(&flags(missing), Demand::Privacy), "{missing:x}");
        assert!(!accepts(&flags(missing & !0x10), Demand::Integrity), "{missing:x}");
    }
    for checksum in [
        None,
        Some(Checksum { kind: 16, value: vec![0xff; 24] }),
        Some(Checksum { kind: 0x8003, value: vec![0xff; 23] }),
    ] {
        let token = stage.with_authenticator(|authenticator| authenticator.checksum = checksum);
        assert!(matches!(stage.refusal(&token), AcceptError::Unsupported { .. }));
    }
    for options in [0, ApOptions::MUTUAL_REQUIRED | ApOptions::USE_SESSION_KEY] {
        let mut request = ApRequest::decode(&stage.first().1).unwrap();
        request.options = ApOptions(options);
        assert!(matches!(stage.refusal(&request.encode()), AcceptError::Unsupported { .. }));
    }
}

/// The service proves that it could read the ticket, for this very request.
#[test]
fn a_service_must_prove_its_identity() {
    let stage = stage(Etype::Aes256Sha1);
    let (initiator, first) = stage.first();
    let (_, answer) = stage.acceptor.accept(&first, Demand::Privacy, &stage.world).unwrap();
    let (other, _) = stage.first();
    stage.world.pass(1);
    let (later, _) = stage.first();
    assert_eq!(
        later.finish(&answer, &stage.world).unwrap_err(),
        InitiateError::NotProven,
        "another request's"
    );
    drop(other);
    let forged = |moment, sequence, key: &Key| {
        ApReply::seal(&EncApReplyPart { moment, subkey: None, sequence }, key, &stage.world).unwrap().encode()
    };
    let key = &stage.credential.session_key;
    let moment = Moment::from(certadm_kerberos::Environment::now(&stage.world));
    let finish = |answer: &[u8]| stage.first().0.finish(answer, &stage.world).map(|_| ());
    let wrong = Key::new(key.etype(), &[1; 32][..key.expose().len()]).unwrap();
    assert_eq!(finish(&forged(moment, Some(1), &wrong)), Err(InitiateError::NotProven));
    assert_eq!(finish(&forged(moment.plus(1), Some(1), key)), Err(InitiateError::NotProven));
    assert_eq!(finish(&forged(moment, None, key)), Err(InitiateError::NoSequence));
    assert_eq!(
        finish(&forged(moment, Some(1), key)),
        Ok(()),
        "without a subkey of the acceptor, ours counts"
    );
    assert!(matches!(finish(&answer[..20]), Err(InitiateError::Malformed(_))));
    drop(initiator);
}

#[test]
fn every_altered_byte_and_every_cut_is_noticed() {
    let stage = stage(Etype::Aes128Sha256);
    let (_, token) = stage.first();
    for at in 0..token.len() {
        let mut altered = token.clone();
        altered[at] ^= 1;
        let acceptor = Acceptor::new(Arc::new(stage.keytab.clone()), Arc::default());
        if let Ok((pending, _)) = acceptor.accept(&altered, Demand::Privacy, &stage.world) {
            // Only what is for information: the ticket's name and key version, and options that nobody asks for.
            let (before, after) = (ApRequest::decode(&token).unwrap(), ApRequest::decode(&altered).unwrap());
            assert_eq!(before.authenticator.cipher, after.authenticator.cipher, "byte {at}");
            let cipher = |ticket: &[u8]| Ticket::decode(ticket).unwrap().enc_part.cipher;
            assert_eq!(cipher(&before.ticket), cipher(&after.ticket), "byte {at}");
            drop(pending);
        }
        assert!(acceptor.accept(&token[..at], Demand::Privacy, &stage.world).is_err());
    }
}

#[test]
fn without_random_bytes_there_is_no_context() {
    let stage = stage(Etype::Aes256Sha1);
    let (_, token) = stage.first();
    stage.world.run_dry();
    assert!(matches!(stage.refusal(&token), AcceptError::NoRandomness(_)));
    assert!(Initiator::start(stage.credential.clone(), 0, &stage.world).is_err());
}
