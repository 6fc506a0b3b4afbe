//! What a KDC answers to a logon and to a request for a ticket, and a service to a ticket (kerberos.md 2.1, 2.3).
//!
//! Nobody who does not know the key can end an exchange well; a KDC can, and its insides are tried too.

use certadm_kerberos::client::{Logon, Secret, Step, TicketRequest};
use certadm_kerberos::crypto::{Etype, Key, KeyUsage};
use certadm_kerberos::message::{EncryptedData, KdcKind, KdcReply, KrbError, TicketFlags};
use certadm_kerberos::{Credential, InitiateError, Initiator, KerberosTime, Principal};
use certadm_toy_kdc::{NOON, World};

const REALM: &str = "TOY.TEST";

pub(crate) fn run(data: &[u8]) {
    let world = World::noon();
    logon(data);
    assert!(!ticket(data), "a ticket without a key");

    // The insides of answers, encrypted as a KDC would.
    let inside = |kind, usage| {
        let reply = KdcReply {
            kind,
            padata: Vec::new(),
            client: alice(),
            ticket: b"\x61\x00".to_vec(),
            enc_part: EncryptedData::seal(&key(), usage, None, data, &world).expect("random bytes"),
        };
        reply.encode()
    };
    logon(&inside(KdcKind::As, KeyUsage::AS_REPLY));
    ticket(&inside(KdcKind::Tgs, KeyUsage::TGS_REPLY_SESSION));

    let (initiator, _) = Initiator::start(credential("HOST"), 0, &world).expect("random bytes");
    match initiator.finish(data, &world) {
        Ok(_) => panic!("a service without a key proved its identity"),
        Err(error) => {
            let _ = error.to_string();
            if let InitiateError::Refused { error, .. } = error {
                let _ = error.nt_status();
            }
        }
    }
}

fn key() -> Key {
    Key::new(Etype::Aes256Sha1, &[0x33; 32]).expect("32 bytes")
}

fn alice() -> Principal {
    Principal::account("alice", REALM)
}

fn credential(class: &str) -> Credential {
    let noon = KerberosTime::from_unix_seconds(NOON);
    Credential {
        client: alice(),
        service: Principal::service(class, REALM, REALM),
        session_key: key(),
        flags: TicketFlags::default(),
        start_time: noon,
        end_time: noon.plus(600),
        ticket: b"\x61\x00".to_vec(),
    }
}

/// A logon that gets this answer, and then once more.
fn logon(answer: &[u8]) {
    let world = &World::noon(); // at the same point each time, so that a stored answer has the right nonce
    let mut logon = Logon::new(alice(), Secret::Keys(vec![key()]));
    logon.start(world).expect("random bytes");
    for _ in 0..2 {
        match logon.answer(answer, world) {
            Ok(Step::Ask(question)) => {
                assert!(KrbError::is_one(answer), "only an error leads to a question");
                assert!(!question.message.is_empty());
            }
            Ok(Step::Done(done)) => {
                let service = done.credential.service;
                assert_eq!(service.granted_realm(), Some(service.realm()));
                return;
            }
            Err(error) => {
                let _ = error.to_string();
                return;
            }
        }
    }
}

/// Whether a request for a ticket that gets this answer ends well.
fn ticket(answer: &[u8]) -> bool {
    let world = &World::noon();
    let service = Principal::service("HOST", "ca1.toy.test", REALM);
    let mut request = TicketRequest::new(credential("krbtgt"), &service, 0).expect("a granting ticket");
    request.start(world).expect("random bytes");
    match request.answer(answer, world) {
        Ok(Step::Done(done)) => {
            assert!(done.credential.service.is_named_like(&service), "a ticket for another service");
            true
        }
        Ok(Step::Ask(question)) => {
            assert!(question.realm != REALM || KrbError::is_one(answer), "the same realm again");
            false
        }
        Err(error) => {
            let _ = error.to_string();
            false
        }
    }
}
