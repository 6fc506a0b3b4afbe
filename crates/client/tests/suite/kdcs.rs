//! KDCs as a client meets them: those that do not answer, those that know no account, and what their clocks show.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use certadm_client::{KerberosTarget, Target};
use certadm_kerberos::Moment;
use certadm_kerberos::message::{ErrorCode, KrbError};
use certadm_rules::{FileTime, Hresult};

use crate::domain::{Domain, alice, password};

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
    let kdc = vec![first.to_owned(), world.kdc.address().to_string()];
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
