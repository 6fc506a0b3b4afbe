//! PACs (kerberos.md 4.2): without the key none is genuine; with the right signature every part is read.
//!
//! A fuzzer finds no signature, so the input is also put into a PAC as its logon information, and signed.

use certadm_kerberos::crypto::{Etype, Key};
use certadm_kerberos::{KerberosTime, Pac, PacError, Principal};
use certadm_toy_kdc::{NOON, PacMaker};

pub(crate) fn run(data: &[u8]) {
    let key = Key::new(Etype::Aes256Sha1, &[0x33; 32]).expect("32 bytes");
    let alice = Principal::account("alice", "TOY.TEST");
    let noon = KerberosTime::from_unix_seconds(NOON);
    assert!(Pac::open(data, &key, &alice, noon).is_err(), "a PAC that nobody signed");

    let mut maker = PacMaker::new("alice", noon);
    maker.domain = None;
    maker.requestor = None;
    maker.others = vec![(1, data.to_vec())];
    match Pac::open(&maker.sign(&key, &key), &key, &alice, noon) {
        Ok(Pac { logon: Some(logon) }) => {
            assert!(logon.groups.len() <= data.len() / 4, "more groups than bytes");
            for sid in logon.groups.iter().chain([&logon.user]) {
                assert_eq!(sid.to_string().parse().as_ref(), Ok(sid));
            }
        }
        Ok(Pac { logon: None }) => panic!("logon information was skipped"),
        Err(PacError::Malformed(_)) => {}
        Err(error) => panic!("{error}"),
    }
}
