//! Tickets and authenticators shown to a service (kerberos.md 4.1).
//!
//! Nobody who does not know the service's key gets in. And whoever does, a KDC, can put anything into a ticket: the input
//! is also tried as the inside of a ticket and of an authenticator, encrypted with the right keys.

use std::sync::Arc;

use certadm_kerberos::crypto::{Etype, Key, KeyUsage};
use certadm_kerberos::message::{
    ApOptions, ApRequest, Authenticator, Checksum, EncTicketPart, EncryptedData, Ticket, TicketFlags,
};
use certadm_kerberos::{Acceptor, Demand, Environment, Keytab, KeytabEntry, Moment, Principal};
use certadm_toy_kdc::World;

const REALM: &str = "TOY.TEST";

pub(crate) fn run(data: &[u8]) {
    let world = World::noon();
    assert!(accept(data, &world).is_none(), "somebody got in without a key");

    let moment = Moment::from(world.now());
    let authenticator = Authenticator {
        client: Principal::account("alice", REALM),
        checksum: Some(Checksum { kind: 0x8003, value: [&[0; 20][..], &[0x3e, 0x10, 0, 0]].concat() }),
        moment,
        subkey: None,
        sequence: Some(1),
    }
    .encode();
    let part = EncTicketPart {
        flags: TicketFlags::default(),
        session_key: key(),
        client: Principal::account("alice", REALM),
        transited: Vec::new(),
        auth_time: moment.time,
        start_time: None,
        end_time: moment.time.plus(600),
        authorization: Vec::new(),
    }
    .encode();
    assert!(accept(&request(&part, &authenticator, &world), &world).is_some(), "a good ticket is refused");

    if accept(&request(data, &authenticator, &world), &world).is_some() {
        let inside = EncTicketPart::decode(data).expect("what was accepted parses");
        assert_eq!(inside.client, Principal::account("alice", REALM), "a ticket of somebody else");
        assert!(moment.time.since(inside.end_time) <= 300, "an old ticket");
    }
    if accept(&request(&part, data, &world), &world).is_some() {
        let inside = Authenticator::decode(data).expect("what was accepted parses");
        assert_eq!(inside.client, Principal::account("alice", REALM), "an authenticator of somebody else");
        assert!(inside.moment.time.since(moment.time).abs() <= 300, "an old authenticator");
    }
}

fn key() -> Key {
    Key::new(Etype::Aes256Sha1, &[0x33; 32]).expect("32 bytes")
}

fn service_key() -> Key {
    Key::new(Etype::Aes256Sha1, &[0x44; 32]).expect("32 bytes")
}

/// Whether an acceptor answers a token.
fn accept(token: &[u8], world: &World) -> Option<()> {
    let entry = KeytabEntry {
        principal: Principal::service("HOST", "ca1.toy.test", REALM),
        key_version: 1,
        etype: Etype::Aes256Sha1.to_wire(),
        key: Some(service_key()),
    };
    let acceptor = Acceptor::new(Arc::new(Keytab::new(vec![entry])), Arc::default());
    let (pending, _) = acceptor.accept(token, Demand::Privacy, world).ok()?;
    assert!(pending.finish(token).is_err(), "the first message is not the third");
    Some(())
}

/// AP-REQ with these insides.
fn request(part: &[u8], authenticator: &[u8], world: &World) -> Vec<u8> {
    let seal = |key: &Key, usage, plain: &[u8]| {
        EncryptedData::seal(key, usage, None, plain, world).expect("the world has random bytes")
    };
    let ticket = Ticket {
        service: Principal::service("HOST", "ca1.toy.test", REALM),
        enc_part: seal(&service_key(), KeyUsage::TICKET, part),
    };
    let request = ApRequest {
        options: ApOptions(ApOptions::MUTUAL_REQUIRED),
        ticket: ticket.encode(),
        authenticator: seal(&key(), KeyUsage::AP_AUTHENTICATOR, authenticator),
    };
    request.encode()
}
