//! Public keys of requests: which ones are refused, and that a shared prime is found.

use certadm_ca::{Config, DenialReason, Error, Issued, KeyType, Request, Terms};
use certadm_store::{GroupCommit, Writer};
use der::asn1::{Any, BitString, ObjectIdentifier, SetOfVec, Uint};
use der::{Decode, Encode, Sequence, Tag};
use num_bigint::BigUint;
use pkcs8::PrivateKeyInfoRef;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use std::str::FromStr;
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, Version};

use crate::support::{P256, PASSPHRASE, TestCa, der_of, openssl, request, text};

const TERMS: Terms<'static> =
    Terms { profile: Some("client"), days: None, requester: "tests", allow_ca: false };

const EC: &str = "1.2.840.10045.2.1";
const RSA: &str = "1.2.840.113549.1.1.1";
const SECP256R1: &str = "1.2.840.10045.3.1.7";
const SECP384R1: &str = "1.3.132.0.34";
const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";
const RSA_SHA256: &str = "1.2.840.113549.1.1.11";

fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new(text).unwrap()
}

fn curve(name: &str) -> Option<Any> {
    Some(Any::encode_from(&oid(name)).unwrap())
}

fn info(algorithm: &str, parameters: Option<Any>, bits: &[u8]) -> SubjectPublicKeyInfoOwned {
    SubjectPublicKeyInfoOwned {
        algorithm: AlgorithmIdentifierOwned { oid: oid(algorithm), parameters },
        subject_public_key: BitString::from_bytes(bits).unwrap(),
    }
}

/// A request for a key, with what `sign` makes of it.
fn request_for(
    public_key: SubjectPublicKeyInfoOwned,
    algorithm: &str,
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> Vec<u8> {
    let info = CertReqInfo {
        version: Version::V1,
        subject: Name::from_str("CN=someone").unwrap(),
        public_key,
        attributes: SetOfVec::default(),
    };
    let signature = sign(&info.to_der().unwrap());
    let request = CertReq {
        info,
        algorithm: AlgorithmIdentifierOwned { oid: oid(algorithm), parameters: None },
        signature: BitString::from_bytes(&signature).unwrap(),
    };
    request.to_der().unwrap()
}

/// Why a request for a key is denied; its signature is never looked at.
fn denial(ca: &mut TestCa, public_key: SubjectPublicKeyInfoOwned) -> String {
    let request = request_for(public_key, ECDSA_SHA256, |_| vec![0; 64]);
    let Err(Error::Denied(denial)) = ca.issue(&request, &TERMS) else { panic!("not denied") };
    assert_ne!(denial.reason, DenialReason::BadSignature);
    denial.reason.to_string()
}

#[test]
fn points_that_are_not_on_their_curve_are_refused() {
    let mut ca = TestCa::new();
    for (name, size) in [(SECP256R1, 32), (SECP384R1, 48)] {
        let good = match name {
            SECP256R1 => p256::ecdsa::SigningKey::from_slice(&[7; 32])
                .unwrap()
                .verifying_key()
                .to_sec1_point(false)
                .as_bytes()
                .to_vec(),
            _ => p384::ecdsa::SigningKey::from_slice(&[7; 48])
                .unwrap()
                .verifying_key()
                .to_sec1_point(false)
                .as_bytes()
                .to_vec(),
        };
        assert_eq!(good.len(), 1 + 2 * size);
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bits = good.clone();
            change(&mut bits);
            bits
        };
        // One in two numbers is no x of a point; the first of these that is none.
        let no_point: Vec<u8> = (0..=255_u8)
            .map(|last| [&[2][..], &good[1..size], &[last]].concat())
            .find(|bits| match name {
                SECP256R1 => p256::ecdsa::VerifyingKey::from_sec1_bytes(bits).is_err(),
                _ => p384::ecdsa::VerifyingKey::from_sec1_bytes(bits).is_err(),
            })
            .unwrap();
        let cases: Vec<(&str, Vec<u8>)> = vec![
            ("infinity", vec![0]),
            ("infinity, filled up", vec![0; 1 + 2 * size]),
            ("nothing", vec![]),
            ("the origin", with(&|bits| bits[1..].fill(0))),
            ("y changed", with(&|bits| *bits.last_mut().unwrap() ^= 1)),
            ("x changed", with(&|bits| bits[1] ^= 1)),
            ("x beyond the field", with(&|bits| bits[1..=size].fill(0xff))),
            ("y beyond the field", with(&|bits| bits[1 + size..].fill(0xff))),
            ("hybrid", with(&|bits| bits[0] = 6 + (bits.last().unwrap() & 1))),
            ("compact", [&[5], &good[1..=size]].concat()),
            ("too short", good[..2 * size].to_vec()),
            ("too long", [&good[..], &[0]].concat()),
            ("compressed with y", with(&|bits| bits[0] = 2)),
            ("compressed, no point", no_point),
            ("compressed, beyond the field", [&[3][..], &vec![0xff; size]].concat()),
        ];
        for (what, bits) in cases {
            let reason = denial(&mut ca, info(EC, curve(name), &bits));
            assert!(reason.contains("cannot be used"), "{name} {what}: {reason}");
        }
        let other = if name == SECP256R1 { SECP384R1 } else { SECP256R1 };
        let reason = denial(&mut ca, info(EC, curve(other), &good));
        assert!(reason.contains("not a point of its curve"), "{reason}");
        let explicit = Some(Any::new(Tag::Sequence, [2, 1, 1]).unwrap());
        for parameters in [None, Some(Any::null()), explicit] {
            let reason = denial(&mut ca, info(EC, parameters, &good));
            assert!(reason.contains("does not name its curve"), "{reason}");
        }
        let mut odd = info(EC, curve(name), &good);
        odd.subject_public_key = BitString::new(4, [&good[..], &[0]].concat()).unwrap();
        assert!(denial(&mut ca, odd).contains("whole octets"));
    }
    // The curves that it does not know, named ones too.
    for name in ["1.3.132.0.35", "1.3.132.0.10", "1.3.36.3.3.2.8.1.1.7"] {
        let reason = denial(&mut ca, info(EC, curve(name), &[4; 65]));
        assert!(reason.contains("not supported"), "{reason}");
    }
}

#[test]
fn a_compressed_point_is_certified_as_it_is() {
    let mut ca = TestCa::new();
    let key = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
    let bits = key.verifying_key().to_sec1_point(true);
    let request = request_for(info(EC, curve(SECP256R1), bits.as_bytes()), ECDSA_SHA256, |message| {
        let signature: p256::ecdsa::DerSignature = signature::Signer::sign(&key, message);
        signature.as_bytes().to_vec()
    });
    let issued = ca.issue(&request, &TERMS).unwrap();
    ca.verify(&issued, &["-purpose", "sslclient"]);
}

#[derive(Sequence)]
struct RsaPublic {
    modulus: Uint,
    exponent: Uint,
}

/// RFC 8017 A.1.2, of two primes.
#[derive(Clone, Sequence)]
struct RsaPrivate {
    version: u8,
    modulus: Uint,
    exponent: Uint,
    private_exponent: Uint,
    first_prime: Uint,
    second_prime: Uint,
    first_exponent: Uint,
    second_exponent: Uint,
    coefficient: Uint,
}

fn uint(number: &BigUint) -> Uint {
    Uint::new(&number.to_bytes_be()).unwrap()
}

fn big(number: &Uint) -> BigUint {
    BigUint::from_bytes_be(number.as_bytes())
}

fn rsa_info(modulus: &BigUint, exponent: &BigUint) -> SubjectPublicKeyInfoOwned {
    let key = RsaPublic { modulus: uint(modulus), exponent: uint(exponent) };
    info(RSA, Some(Any::null()), &key.to_der().unwrap())
}

/// A new key, taken apart.
fn rsa_key(bits: u32) -> RsaPrivate {
    parts_of(&der_of(
        openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", &format!("rsa_keygen_bits:{bits}")]).as_bytes(),
    ))
}

fn parts_of(pkcs8: &[u8]) -> RsaPrivate {
    RsaPrivate::from_der(PrivateKeyInfoRef::from_der(pkcs8).unwrap().private_key.as_bytes()).unwrap()
}

/// The key of one prime of each.
fn of_primes(one: &RsaPrivate, other: &RsaPrivate) -> RsaPrivate {
    let (first, second) = (big(&one.first_prime), big(&other.second_prime));
    let (first, second) = if first < second { (second, first) } else { (first, second) };
    let exponent = BigUint::from(65_537_u32);
    let (below_first, below_second) = (&first - 1_u32, &second - 1_u32);
    let private = exponent.modinv(&(&below_first * &below_second)).unwrap();
    RsaPrivate {
        version: 0,
        modulus: uint(&(&first * &second)),
        exponent: uint(&exponent),
        first_exponent: uint(&(&private % &below_first)),
        second_exponent: uint(&(&private % &below_second)),
        coefficient: uint(&second.modinv(&first).unwrap()),
        private_exponent: uint(&private),
        first_prime: uint(&first),
        second_prime: uint(&second),
    }
}

fn rsa_request(key: &RsaPrivate) -> Vec<u8> {
    let signer = RsaKeyPair::from_der(&key.to_der().unwrap()).unwrap();
    request_for(rsa_info(&big(&key.modulus), &big(&key.exponent)), RSA_SHA256, |message| {
        let mut signature = vec![0; signer.public().modulus_len()];
        signer.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    })
}

fn shared(result: certadm_ca::Result<Issued>) -> String {
    let Err(Error::Denied(denial)) = result else { panic!("not denied") };
    assert!(denial.request_id.is_some(), "the denial has a row");
    match denial.reason {
        DenialReason::SharedPrime { with } => with,
        other => panic!("{other}"),
    }
}

#[test]
fn a_prime_that_another_certified_key_has_is_found() {
    let mut ca = TestCa::new();
    let (one, other, third) = (rsa_key(2048), rsa_key(2048), rsa_key(3072));
    ca.issue(&request(P256, "/CN=between", &[]), &TERMS).unwrap();
    let first = ca.issue(&rsa_request(&one), &TERMS).unwrap();
    let longer = ca.issue(&rsa_request(&third), &TERMS).unwrap();
    ca.issue(&request(P256, "/CN=between", &[]), &TERMS).unwrap();
    let mixed = rsa_request(&of_primes(&one, &other));
    assert_eq!(shared(ca.issue(&mixed, &TERMS)), format!("the certificate {}", first.serial));
    let mixed_with_longer = rsa_request(&of_primes(&third, &rsa_key(3072)));
    assert_eq!(shared(ca.issue(&mixed_with_longer, &TERMS)), format!("the certificate {}", longer.serial));
    // Through shared commits, too.
    let group = GroupCommit::new(Writer::open(&ca.folder).unwrap());
    let parsed = Request::parse(&mixed).unwrap();
    let grouped = ca.authority.issue_grouped(&group, &parsed, &TERMS, certadm_store::now());
    assert_eq!(shared(grouped), format!("the certificate {}", first.serial));
    // The same key is a renewal, and a key that was denied is none of the CA's.
    ca.issue(&rsa_request(&one), &TERMS).unwrap();
    ca.issue(&rsa_request(&other), &TERMS).unwrap();
    // The same modulus under another exponent is not the same key.
    let mut again = one.clone();
    again.exponent = uint(&BigUint::from(65_539_u32));
    let exponent = big(&again.exponent);
    let (first, second) = (big(&one.first_prime) - 1_u32, big(&one.second_prime) - 1_u32);
    if let Some(private) = exponent.modinv(&(&first * &second)) {
        again.private_exponent = uint(&private);
        again.first_exponent = uint(&(&private % &first));
        again.second_exponent = uint(&(&private % &second));
        shared(ca.issue(&rsa_request(&again), &TERMS));
    }
}

#[test]
fn the_key_of_the_ca_is_certified_for_nobody() {
    for kind in [KeyType::P256, KeyType::P384, KeyType::Rsa3072] {
        let mut ca = TestCa::with(Config::new("Test CA".parse().unwrap(), kind));
        let clear = ca.scratch.path().join("clear.pem");
        let password = format!("pass:{PASSPHRASE}");
        openssl(&["pkey", "-in", text(&ca.folder.key_path()), "-passin", &password, "-out", text(&clear)]);
        let refused = |ca: &mut TestCa, request: &[u8]| match ca.issue(request, &TERMS) {
            Err(Error::Denied(denial)) => denial.reason,
            other => panic!("not denied: {other:?}"),
        };
        let own = openssl(&["req", "-new", "-key", text(&clear), "-subj", "/CN=someone"]);
        assert_eq!(refused(&mut ca, own.as_bytes()), DenialReason::KeyOfIssuer, "{kind}");
        if kind == KeyType::Rsa3072 {
            let der = der_of(openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", text(&clear)]).as_bytes());
            let mixed = rsa_request(&of_primes(&parts_of(&der), &rsa_key(3072)));
            let reason = refused(&mut ca, &mixed);
            assert_eq!(reason, DenialReason::SharedPrime { with: "this CA itself".into() });
            continue;
        }
        let compressed = ca.scratch.path().join("compressed.pem");
        openssl(&["ec", "-in", text(&clear), "-conv_form", "compressed", "-out", text(&compressed)]);
        let own = openssl(&["req", "-new", "-key", text(&compressed), "-subj", "/CN=someone"]);
        assert_eq!(refused(&mut ca, own.as_bytes()), DenialReason::KeyOfIssuer, "{kind}, compressed");
    }
}

#[test]
fn rsa_keys_that_are_none_or_weak() {
    let mut ca = TestCa::new();
    let modulus = big(&rsa_key(2048).modulus);
    let exponent = BigUint::from(65_537_u32);
    let number = |value: u64| BigUint::from(value);
    for (what, modulus, exponent, expected) in [
        ("exponent 0", modulus.clone(), number(0), "65537"),
        ("exponent 1", modulus.clone(), number(1), "65537"),
        ("exponent 3", modulus.clone(), number(3), "65537"),
        ("exponent 65535", modulus.clone(), number(65_535), "65537"),
        ("an even exponent", modulus.clone(), number(65_538), "even"),
        ("a long exponent", modulus.clone(), number(1 << 33), "33 bits"),
        ("an exponent as long as the modulus", modulus.clone(), &modulus - 2_u32, "33 bits"),
        ("an even modulus", &modulus + 1_u32, exponent.clone(), "small factor"),
        ("2047 bits", (number(1) << 2047) - 1_u32, exponent.clone(), "2047 bits"),
        ("8193 bits", (number(1) << 8192) + 1_u32, exponent.clone(), "8192"),
        ("a square", number(2).pow(1024).sqrt(), exponent.clone(), "bits"),
        ("nothing", number(0), exponent.clone(), "bits"),
    ] {
        let reason = denial(&mut ca, rsa_info(&modulus, &exponent));
        assert!(reason.contains(expected), "{what}: {reason}");
    }
    let near = &modulus * &modulus;
    assert!(denial(&mut ca, rsa_info(&near, &exponent)).contains("too near"));
    let good = RsaPublic { modulus: uint(&modulus), exponent: uint(&exponent) }.to_der().unwrap();
    let negative = {
        let mut bits = good.clone();
        // 30 82 .. .. 02 82 01 01 00 <modulus>: without its first octet it is negative.
        bits[3] -= 1;
        bits[7] -= 1;
        bits.remove(8);
        bits
    };
    for bits in [&good[..good.len() - 1], &[&good[..], &[0]].concat(), &negative, &[], &[0x30, 0]] {
        assert!(denial(&mut ca, info(RSA, Some(Any::null()), bits)).contains("not an RSA public key"));
    }
}
