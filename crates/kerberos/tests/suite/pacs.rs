//! PACs: right, wrong, of somebody else, and altered.

use certadm_kerberos::crypto::{Etype, Key};
use certadm_kerberos::{Pac, PacError, Principal, Sid};
use certadm_toy_kdc::{PacMaker, World};

use crate::stage::{REALM, alice};

fn key(etype: Etype) -> Key {
    Key::new(etype, &[4; 32][..etype.key_size()]).unwrap()
}

fn kdc_key() -> Key {
    Key::new(Etype::Aes256Sha1, &[5; 32]).unwrap()
}

fn maker() -> PacMaker {
    PacMaker::new("alice", World::noon().time())
}

fn sid(text: &str) -> Sid {
    text.parse().unwrap()
}

fn open(maker: &PacMaker) -> Result<Pac, PacError> {
    let key = key(Etype::Aes256Sha1);
    Pac::open(&maker.sign(&key, &kdc_key()), &key, &alice(), World::noon().time())
}

#[test]
fn groups_of_all_kinds_are_read_and_disabled_ones_dropped() {
    let mut maker = maker();
    maker.groups = vec![(1106, 7), (1107, 3), (512, 4)];
    maker.extra = vec![(sid("S-1-18-1"), 7), (sid("S-1-5-21-9-9-9-500"), 0), (sid("S-1-5-21-9-9-9-501"), 7)];
    maker.resource = Some((sid("S-1-5-21-7-7-7"), vec![(1200, 7), (1201, 0)]));
    for etype in Etype::ALL {
        let key = key(etype);
        let pac = Pac::open(&maker.sign(&key, &kdc_key()), &key, &alice(), World::noon().time()).unwrap();
        let logon = pac.logon.unwrap();
        assert_eq!(
            (&*logon.user_name, &*logon.domain, logon.user),
            ("alice", "TOY", sid("S-1-5-21-1-2-3-1105"))
        );
        let groups: Vec<_> = logon.groups.iter().map(Sid::to_string).collect();
        assert_eq!(
            groups,
            [
                "S-1-5-21-1-2-3-512",
                "S-1-5-21-1-2-3-513",
                "S-1-5-21-1-2-3-1106",
                "S-1-5-21-7-7-7-1200",
                "S-1-5-21-9-9-9-501",
                "S-1-18-1"
            ]
        );
    }
}

#[test]
fn a_pac_without_sids_is_no_fault() {
    let mut maker = maker();
    maker.domain = None;
    assert_eq!(open(&maker), Ok(Pac { logon: None }));
}

#[test]
fn a_pac_belongs_to_its_ticket() {
    assert!(open(&maker()).is_ok());
    let mut other = maker();
    other.client_name = "bob".to_owned();
    assert_eq!(open(&other), Err(PacError::OtherClient { name: "bob".to_owned() }));
    let mut other = maker();
    other.auth_time = other.auth_time.plus(1);
    assert_eq!(open(&other), Err(PacError::OtherLogon));
    let mut other = maker();
    other.requestor = Some(sid("S-1-5-21-1-2-3-500"));
    assert!(matches!(open(&other), Err(PacError::OtherRequestor { .. })));
    other.requestor = None;
    assert!(open(&other).is_ok(), "older domain controllers send none");
    let machine = Principal::service("host", "ca2.toy.test", REALM);
    let mut other = maker();
    other.client_name = "host/ca2.toy.test".to_owned();
    let key = key(Etype::Aes256Sha1);
    assert!(Pac::open(&other.sign(&key, &kdc_key()), &key, &machine, World::noon().time()).is_ok());
}

#[test]
fn a_signature_must_be_there_and_be_that_of_the_ticket() {
    let mut unsigned = maker();
    unsigned.is_signed = false;
    assert_eq!(open(&unsigned), Err(PacError::Unsigned));
    for (kind, error) in [
        (-138, PacError::OtherSignature { kind: -138 }), // RC4
        (15, PacError::OtherSignature { kind: 15 }),
        (1, PacError::OtherSignature { kind: 1 }),
    ] {
        let mut other = maker();
        other.signature_kind = Some(kind);
        assert_eq!(open(&other), Err(error));
    }
    let (right, wrong) = (key(Etype::Aes256Sha1), kdc_key());
    let signed = maker().sign(&wrong, &wrong);
    assert_eq!(Pac::open(&signed, &right, &alice(), World::noon().time()), Err(PacError::BadSignature));
}

/// Only the KDC's own key verifies its signature, whatever its kind: Camellia here, with and without the number of a read-only
/// domain controller behind it. All else is covered by the service's.
#[test]
fn the_signature_of_the_kdc_may_be_of_a_kind_that_is_not_spoken_here() {
    for behind in [vec![], vec![7, 0]] {
        let mut other = maker();
        other.foreign_kdc = Some((17, vec![0xAB; 16], behind.clone()));
        assert!(open(&other).is_ok(), "{behind:?}");
        let key = key(Etype::Aes256Sha1);
        let mut signed = other.sign(&key, &kdc_key());
        let kind = signed.len() - (4 + 16 + behind.len()).next_multiple_of(8);
        assert_eq!(signed[kind], 17);
        signed[kind] = 18;
        let altered = Pac::open(&signed, &key, &alice(), World::noon().time());
        assert_eq!(altered, Err(PacError::BadSignature));
    }
}

#[test]
fn buffers_come_once() {
    for kind in [1, 6, 7, 10, 18] {
        let mut twice = maker();
        twice.others.push((kind, vec![16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
        assert!(matches!(open(&twice), Err(PacError::Malformed(_))), "{kind}: {:?}", open(&twice));
    }
    let mut newer = maker();
    newer.others.extend([(19, vec![1; 20]), (1000, vec![]), (16, vec![2; 16])]);
    assert!(open(&newer).is_ok(), "unknown buffers are skipped");
}

#[test]
fn no_byte_can_be_altered_and_none_be_missing() {
    let mut maker = maker();
    maker.extra = vec![(sid("S-1-18-1"), 7)];
    maker.others.clear();
    let key = key(Etype::Aes256Sha384);
    let signed = maker.sign(&key, &kdc_key());
    let noon = World::noon().time();
    let right = Pac::open(&signed, &key, &alice(), noon).unwrap();
    for at in 0..signed.len() {
        for bit in [0x01, 0x80] {
            let mut altered = signed.clone();
            altered[at] ^= bit;
            if let Ok(pac) = Pac::open(&altered, &key, &alice(), noon) {
                // The signature of the KDC is zero while the server's is made.
                assert_eq!(pac, right, "byte {at}");
                let sum = signed.len() - 16..signed.len();
                assert!(sum.contains(&at), "byte {at} of {}", signed.len());
            }
        }
        assert!(Pac::open(&signed[..at], &key, &alice(), noon).is_err(), "{at}");
    }
}
