//! What is not issued, and what the database says of it.

use std::time::Duration;

use certadm_ca::{DenialReason, Error, Request, Terms};

use crate::support::{P256, TestCa, der_of, request, request_from_config, server_request};

const TERMS: Terms<'static> = Terms { profile: None, days: None, requester: "tests", allow_ca: false };

/// Asks for a certificate, which must be denied with a row of disposition 31 that says why.
fn denied(ca: &mut TestCa, pem: &[u8], terms: &Terms<'_>) -> DenialReason {
    let error = ca.issue(pem, terms).unwrap_err();
    let Error::Denied(denial) = error else {
        panic!("not denied but {error}");
    };
    let id = denial.request_id.expect("the denial has a row");
    let row: (i32, i32, String, String, Option<Vec<u8>>) = ca
        .writer
        .connection()
        .query_row(
            "SELECT Disposition, StatusCode, DispositionMessage, RequesterName, RawCertificate \
             FROM Requests JOIN Certificates USING (RequestID) WHERE RequestID = ?1",
            [id],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
        )
        .unwrap();
    let status = denial.reason.status_code().cast_signed();
    let message = format!("Denied: {}", denial.reason);
    assert_eq!(row, (31, status, message, "tests".into(), None));
    assert!(status < 0);
    denial.reason
}

#[test]
fn weak_and_unknown_keys() {
    let mut ca = TestCa::new();
    let weak = request(&["-newkey", "rsa:1024"], "/CN=a.example", &[]);
    assert_eq!(denied(&mut ca, &weak, &TERMS), DenialReason::WeakKey { bits: 1024 });
    for key in [
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"][..],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"],
        &["-newkey", "ed25519"],
    ] {
        let unknown = request(key, "/CN=a.example", &[]);
        let reason = denied(&mut ca, &unknown, &TERMS);
        assert!(matches!(reason, DenialReason::UnsupportedKey { .. }), "{reason}");
    }
    let small = request(&["-newkey", "rsa:2048", "-pkeyopt", "rsa_keygen_pubexp:3"], "/CN=a.example", &[]);
    let reason = denied(&mut ca, &small, &TERMS);
    assert!(matches!(&reason, DenialReason::UnusableKey { reason } if reason.contains("65537")), "{reason}");
    let old_hash = request(P256, "/CN=a.example", &["-sha1"]);
    let reason = denied(&mut ca, &old_hash, &TERMS);
    assert!(matches!(reason, DenialReason::UnsupportedSignature { .. }), "{reason}");
    let pss = request(&["-newkey", "rsa:2048", "-sigopt", "rsa_padding_mode:pss"], "/CN=a.example", &[]);
    let reason = denied(&mut ca, &pss, &TERMS);
    assert!(matches!(reason, DenialReason::UnsupportedSignature { .. }), "{reason}");
}

#[test]
fn names_that_do_not_belong() {
    let mut ca = TestCa::new();
    let with_names = |names: &str| {
        let extension = format!("subjectAltName={names}");
        request(P256, "/CN=a.example", &["-addext", &extension])
    };
    for names in
        ["email:me@example.com", "URI:http://a.example", "RID:1.2.3", "DNS:a.example,email:a@b.example"]
    {
        let reason = denied(&mut ca, &with_names(names), &TERMS);
        assert!(matches!(reason, DenialReason::NameKind { .. }), "{names}: {reason}");
    }
    for names in ["DNS:a b", "DNS:*", "DNS:a..b", "DNS:*.com"] {
        let reason = denied(&mut ca, &with_names(names), &TERMS);
        assert!(matches!(reason, DenialReason::BadName { .. }), "{names}: {reason}");
    }
    let client = Terms { profile: Some("client"), ..TERMS };
    for names in [
        "email:nobody",
        "email:a@b@c",
        "URI:relative",
        "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:nobody",
        "otherName:1.3.6.1.4.1.311.20.2.3;INTEGER:1",
    ] {
        let reason = denied(&mut ca, &with_names(names), &client);
        assert!(matches!(reason, DenialReason::BadName { .. }), "{names}: {reason}");
    }
    let reason = denied(&mut ca, &with_names("otherName:1.2.3;UTF8:x"), &client);
    assert!(matches!(reason, DenialReason::NameKind { .. }), "{reason}");

    let nameless = request(P256, "/", &[]);
    assert_eq!(denied(&mut ca, &nameless, &TERMS), DenialReason::NoName);
}

#[test]
fn nobody_becomes_a_ca_by_asking() {
    let mut ca = TestCa::new();
    let wants = request(P256, "/CN=a.example", &["-addext", "basicConstraints=critical,CA:TRUE"]);
    assert_eq!(denied(&mut ca, &wants, &TERMS), DenialReason::RequestsCa);
    let allowed_but_other_profile = Terms { allow_ca: true, ..TERMS };
    assert_eq!(denied(&mut ca, &wants, &allowed_but_other_profile), DenialReason::RequestsCa);
    // The CA's own name, in the encoding the CA itself uses.
    let same_name = request(P256, "/CN=Test CA", &["-utf8"]);
    assert_eq!(denied(&mut ca, &same_name, &TERMS), DenialReason::SubjectIsIssuer);
    // And in every other that a relying party takes for the same (RFC 5280 7.1).
    let plain = |name: &str| {
        request_from_config(
            P256,
            &format!("[req]\nprompt=no\nstring_mask=default\ndistinguished_name=dn\n[dn]\nCN={name}\n"),
        )
    };
    for name in ["Test CA", "TEST ca", "Test   CA", "test  ca"] {
        assert_eq!(denied(&mut ca, &plain(name), &TERMS), DenialReason::SubjectIsIssuer, "{name}");
    }
    let undecodable = request(P256, "/CN=a.example", &["-addext", "2.5.29.19=DER:040101"]);
    let reason = denied(&mut ca, &undecodable, &TERMS);
    assert!(matches!(reason, DenialReason::BadExtension { .. }), "{reason}");
}

#[test]
fn a_request_with_any_bit_changed_is_refused() {
    let ca = TestCa::new();
    let now = certadm_store::now();
    let good = der_of(&server_request("a.example"));
    let judge = |der: &[u8]| {
        let request = Request::parse(der)?;
        ca.authority.prepare_issue(&request, &TERMS, now)
    };
    judge(&good).unwrap();
    let mut bad_signature = 0;
    for bit in 0..good.len() * 8 {
        let mut changed = good.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        match judge(&changed) {
            Ok(_) => panic!("bit {bit} was changed and nobody noticed"),
            Err(Error::BadRequest { .. }) => {}
            Err(Error::Denied(denial)) => {
                bad_signature += usize::from(denial.reason == DenialReason::BadSignature);
            }
            Err(other) => panic!("bit {bit}: {other}"),
        }
    }
    assert!(500 < bad_signature, "{bad_signature}");
    for length in 0..good.len() {
        assert!(judge(&good[..length]).is_err(), "cut at {length}");
    }
}

#[test]
fn a_tampered_request_leaves_its_row() {
    let mut ca = TestCa::new();
    let mut der = der_of(&server_request("aa.example"));
    let at = der.windows(10).position(|window| window == b"aa.example").unwrap();
    der[at] = b'b';
    assert_eq!(denied(&mut ca, &der, &TERMS), DenialReason::BadSignature);
}

#[test]
fn hostile_shapes_end_quickly() {
    use der::asn1::{Any, ObjectIdentifier};
    use der::{Decode, Encode, Tag, TagNumber};
    use x509_cert::request::CertReq;

    let wrap = |tag: Tag, content: Vec<u8>| Any::new(tag, content).unwrap().to_der().unwrap();
    let oid = |n: u32| ObjectIdentifier::new(&format!("1.3.6.1.4.1.{n}")).unwrap().to_der().unwrap();
    let good = CertReq::from_der(&der_of(&server_request("a.example"))).unwrap();
    // A request with the given subject and attributes; the library that reads sets sorts them, and so
    // they come in the order that takes it longest.
    let request = |subject: Vec<u8>, attributes: Vec<u8>| {
        let first = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };
        let key = good.info.public_key.to_der().unwrap();
        let info = [vec![2, 1, 0], subject, key, wrap(first, attributes)].concat();
        let (algorithm, signature) = (good.algorithm.to_der().unwrap(), good.signature.to_der().unwrap());
        wrap(Tag::Sequence, [wrap(Tag::Sequence, info), algorithm, signature].concat())
    };
    let subject = good.info.subject.to_der().unwrap();
    let value = |n: u32| [oid(n), vec![0x0c, 1, b'x']].concat();
    let rdn = |count: u32| {
        let parts = (0..count).rev().flat_map(|n| wrap(Tag::Sequence, value(n))).collect();
        wrap(Tag::Sequence, wrap(Tag::Set, parts))
    };
    let attributes = |count: u32| -> Vec<u8> {
        let one = |n| wrap(Tag::Sequence, [oid(n), wrap(Tag::Set, vec![5, 0])].concat());
        (0..count).rev().flat_map(one).collect()
    };
    let extensions = |count: u32| {
        let one = |n| wrap(Tag::Sequence, [oid(n), vec![4, 0]].concat());
        let list = wrap(Tag::Sequence, (0..count).flat_map(one).collect());
        let kind = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14").to_der().unwrap();
        wrap(Tag::Sequence, [kind, wrap(Tag::Set, list)].concat())
    };
    let started = processor_time();
    let parse = |der: Vec<u8>| Request::parse(&der).map(|_| ()).map_err(|error| error.to_string());
    assert_eq!(parse(request(subject.clone(), attributes(64))), Ok(()));
    assert_eq!(parse(request(rdn(200), Vec::new())), Ok(()));
    assert_eq!(parse(request(subject.clone(), extensions(64))), Ok(()));
    for (der, expected) in [
        (request(subject.clone(), attributes(3500)), "more than 64 attributes"),
        (request(rdn(3500), Vec::new()), "larger than 4 KiB"),
        (request(subject.clone(), extensions(3500)), "more than 64 extensions"),
        (request(subject, vec![0x30; 60_000]), ""),
        (vec![0x30; 60_000], ""),
        (b"-----BEGIN ".repeat(20_000), ""),
        ("-----BEGIN A-----\n-----END A-----\n".repeat(7_000).into_bytes(), ""),
    ] {
        let error = parse(der).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    assert!(processor_time() - started < Duration::from_secs(5));
}

/// What this thread has had of a processor: unlike the time of day, it does not grow while others are busy.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}
