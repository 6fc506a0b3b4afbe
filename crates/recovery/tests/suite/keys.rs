//! Key files as openssl writes them.

use std::fs;

use certadm_ca::Passphrase;
use certadm_recovery::{Error, KeyFile};

use crate::openssl::Openssl;

const PASSPHRASE: &str = "pä$$wörd €";

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.as_bytes().to_vec()).unwrap()
}

#[test]
fn keys_in_pkcs12_are_opened_whatever_encrypts_them() {
    let openssl = Openssl::new();
    let triple_des = "-certpbe PBE-SHA1-3DES -keypbe PBE-SHA1-3DES -macalg sha1";
    for (key, flavours) in [
        (
            "-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
            ["", "-macalg sha1", triple_des, "-certpbe NONE -keypbe AES-128-CBC", "-macalg sha512", "-nomac"],
        ),
        ("-algorithm EC -pkeyopt ec_paramgen_curve:P-384", ["", "-iter 1", triple_des, "", "", "-nomac"]),
    ] {
        let made = openssl.key("ca", key);
        openssl.ca("ca", "ca", None, "");
        fs::write(openssl.path("pass"), PASSPHRASE).unwrap();
        for flavour in flavours {
            openssl.good(&format!(
                "pkcs12 -export -inkey ca.key -in ca.pem -out ca.pfx -passout file:pass {flavour}"
            ));
            let path = openssl.path("ca.pfx");
            let found = KeyFile::open(&path, &passphrase(PASSPHRASE)).unwrap();
            assert_eq!(found.keys.len(), 1, "{flavour}");
            assert_eq!(found.keys[0].public_key(), made.public_key(), "{flavour}");
            assert_eq!(found.unprotected, flavour == "-nomac", "{flavour}");
            let error = KeyFile::open(&path, &passphrase("another")).unwrap_err();
            let is_passphrase = matches!(&error, Error::Ca(certadm_ca::Error::WrongPassphrase { .. }));
            assert!(is_passphrase, "{flavour}: {error}");
        }
    }
}

#[test]
fn what_is_no_key_file_is_refused_with_a_reason() {
    let openssl = Openssl::new();
    openssl.key("ca", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    openssl.ca("ca", "ca", None, "");
    fs::write(openssl.path("pass"), PASSPHRASE).unwrap();
    openssl.good("pkcs12 -export -nokeys -in ca.pem -out certificates.pfx -passout file:pass");
    openssl.good("x509 -in ca.pem -outform DER -out ca.der");
    let open = |name: &str, text: &str| KeyFile::open(&openssl.path(name), &passphrase(text)).unwrap_err();
    assert!(open("certificates.pfx", PASSPHRASE).to_string().contains("no private key"));
    let certificate = open("ca.der", PASSPHRASE);
    assert!(
        matches!(certificate, Error::Ca(_)) && certificate.to_string().contains("certificate"),
        "{certificate}"
    );
    assert!(open("certificates.pfx", "\u{1f511}").to_string().contains("basic plane"));
    assert!(matches!(open("ca.key", PASSPHRASE), Error::Ca(certadm_ca::Error::KeyNotEncrypted { .. })));
    // An encrypted key in PEM, as before.
    openssl.good("pkcs8 -topk8 -v2 aes-256-cbc -in ca.key -out encrypted.pem -passout file:pass");
    let found = KeyFile::open(&openssl.path("encrypted.pem"), &passphrase(PASSPHRASE)).unwrap();
    assert_eq!(found.keys.len(), 1);
}

/// Kinds of encryption that are not read are named, with a line that converts the file.
#[test]
fn the_line_that_converts_an_old_file_converts_it() {
    let openssl = Openssl::new();
    let made = openssl.key("ca", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048");
    openssl.ca("ca", "ca", None, "");
    fs::write(openssl.path("pass"), PASSPHRASE).unwrap();
    for (kind, number, name) in [
        ("-keypbe PBE-SHA1-2DES", 4, "2DES"),
        ("-keypbe PBE-SHA1-RC4-128", 1, "RC4-128"),
        ("-certpbe PBE-SHA1-RC2-128", 5, "RC2-128"),
    ] {
        openssl.good(&format!(
            "pkcs12 -export -legacy {kind} -inkey ca.key -in ca.pem -out old.pfx -passout file:pass"
        ));
        let error = KeyFile::open(&openssl.path("old.pfx"), &passphrase(PASSPHRASE)).unwrap_err().to_string();
        assert!(error.contains(&format!("{name} (1.2.840.113549.1.12.1.{number})")), "{error}");
        assert!(error.contains("openssl pkcs12 -legacy -in FILE -nocerts -nodes |"), "{error}");
        openssl.good("pkcs12 -legacy -in old.pfx -nocerts -nodes -passin file:pass -out clear.pem");
        openssl.good("pkcs8 -topk8 -v2 aes-256-cbc -in clear.pem -out new.pem -passout file:pass");
        let found = KeyFile::open(&openssl.path("new.pem"), &passphrase(PASSPHRASE)).unwrap();
        assert_eq!(found.keys[0].public_key(), made.public_key());
    }
    // One in DER begins as PKCS#12 does.
    openssl.good("pkcs8 -topk8 -v2 aes-256-cbc -in ca.key -outform DER -out ca.p8 -passout file:pass");
    let error = KeyFile::open(&openssl.path("ca.p8"), &passphrase(PASSPHRASE)).unwrap_err();
    let Error::Ca(error @ certadm_ca::Error::KeyUnsupported { .. }) = error else { panic!("{error}") };
    let remedy = certadm_rules::Diagnosis::remedy(&error).into_owned();
    assert!(remedy.contains("openssl pkcs8 -topk8 -v2 aes-256-cbc -inform der"), "{remedy}");
    // `openssl pkcs12 -out all.pem` writes certificates before the key. One file cannot give it both passphrases.
    fs::write(openssl.path("pass2"), PASSPHRASE).unwrap();
    openssl.good("pkcs12 -export -inkey ca.key -in ca.pem -out ca.pfx -passout file:pass");
    openssl.good("pkcs12 -in ca.pfx -passin file:pass -passout file:pass2 -out all.pem");
    let found = KeyFile::open(&openssl.path("all.pem"), &passphrase(PASSPHRASE)).unwrap();
    assert_eq!(found.keys[0].public_key(), made.public_key());
}

/// Without a MAC, once in some hundred times a wrong passphrase makes content of good padding.
#[test]
fn a_wrong_passphrase_of_a_file_without_a_mac_is_told_as_such() {
    let openssl = Openssl::new();
    openssl.key("ca", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    openssl.ca("ca", "ca", None, "");
    fs::write(openssl.path("pass"), PASSPHRASE).unwrap();
    for flavour in ["", "-certpbe PBE-SHA1-3DES -keypbe PBE-SHA1-3DES"] {
        openssl.good(&format!(
            "pkcs12 -export -nomac -iter 1 -nocerts -inkey ca.key -out ca.pfx -passout file:pass {flavour}"
        ));
        let content = fs::read(openssl.path("ca.pfx")).unwrap();
        for number in 0..2000 {
            let wrong = passphrase(&format!("wrong {number}"));
            let error = KeyFile::parse(&openssl.path("ca.pfx"), &content, &wrong).unwrap_err();
            let is_passphrase = matches!(&error, Error::Ca(certadm_ca::Error::WrongPassphrase { .. }));
            assert!(is_passphrase, "{flavour}: {error}");
        }
    }
}

/// A key of a kind that no CRL is signed with does not keep the key of the CA beside it from being used.
#[test]
fn a_further_key_of_another_kind_is_left_out() {
    let openssl = Openssl::new();
    let made = openssl.key("ca", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    openssl.key_of_any_kind("odd", "-algorithm ED25519");
    fs::write(openssl.path("pass"), PASSPHRASE).unwrap();
    let mut both = String::new();
    for name in ["odd", "ca"] {
        openssl
            .good(&format!("pkcs8 -topk8 -v2 aes-256-cbc -in {name}.key -out {name}.pem -passout file:pass"));
        both.push_str(&fs::read_to_string(openssl.path(&format!("{name}.pem"))).unwrap());
    }
    fs::write(openssl.path("both.pem"), both).unwrap();
    let found = KeyFile::open(&openssl.path("both.pem"), &passphrase(PASSPHRASE)).unwrap();
    assert_eq!((found.keys.len(), found.left_out.len()), (1, 1));
    assert_eq!(found.keys[0].public_key(), made.public_key());
    assert!(found.left_out[0].contains("1.3.101.112"), "{:?}", found.left_out);
    let error = KeyFile::open(&openssl.path("odd.pem"), &passphrase(PASSPHRASE)).unwrap_err();
    assert!(matches!(error, Error::UnusableKey { .. }), "{error}");
}

/// Nor does a key with another passphrase, with encryption that is not read, or in a block that is damaged.
#[test]
fn a_further_key_that_cannot_be_decrypted_is_left_out() {
    let openssl = Openssl::new();
    let made = openssl.key("ca", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    fs::write(openssl.path("pass"), PASSPHRASE).unwrap();
    fs::write(openssl.path("other"), "another").unwrap();
    let block = |name: &str, options: &str| {
        openssl.good(&format!("pkcs8 -topk8 -in ca.key -out {name} {options}"));
        fs::read_to_string(openssl.path(name)).unwrap()
    };
    let good = block("good", "-v2 aes-256-cbc -passout file:pass");
    let locked = block("locked", "-v2 aes-256-cbc -passout file:other");
    let unknown = block("unknown", "-v1 PBE-SHA1-3DES -passout file:pass");
    let costly = block("costly", "-v2 aes-256-cbc -iter 10000001 -passout file:pass");
    let broken =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=!\n-----END ENCRYPTED PRIVATE KEY-----\n".to_owned();
    let open = |text: &str| KeyFile::parse(&openssl.path("x.pem"), text.as_bytes(), &passphrase(PASSPHRASE));
    for (other, why) in [
        (&locked, "passphrase"),
        (&unknown, "1.2.840.113549.1.12.1.3"),
        (&costly, "10000001 rounds"),
        (&broken, "decoded"),
    ] {
        for text in [format!("{other}{good}"), format!("{good}{other}")] {
            let found = open(&text).unwrap();
            assert_eq!((found.keys.len(), found.left_out.len()), (1, 1), "{why}");
            assert_eq!(found.keys[0].public_key(), made.public_key());
            assert!(found.left_out[0].contains(why), "{:?}", found.left_out);
        }
        // None opens: the passphrase is what a person can do something about.
        let error = open(&format!("{other}{locked}")).unwrap_err();
        assert!(matches!(error, Error::Ca(certadm_ca::Error::WrongPassphrase { .. })), "{error}");
    }
    let error = open(&format!("{unknown}{broken}")).unwrap_err();
    assert!(matches!(error, Error::Ca(certadm_ca::Error::KeyUnsupported { .. })), "{error}");
}

/// A stranger may have written the file: all of its keys together take no longer than one may take.
#[test]
fn a_file_of_many_keys_takes_no_longer_than_one_key() {
    let openssl = Openssl::new();
    openssl.key("ca", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    fs::write(openssl.path("pass"), PASSPHRASE).unwrap();
    let keys = |options: &str, count: usize| {
        openssl.good(&format!("pkcs8 -topk8 -in ca.key -out key.pem -passout file:pass {options}"));
        let text = fs::read_to_string(openssl.path("key.pem")).unwrap().repeat(count);
        KeyFile::parse(&openssl.path("key.pem"), text.as_bytes(), &passphrase(PASSPHRASE))
    };
    let rounds = |rounds: u32, count: usize| keys(&format!("-v2 aes-256-cbc -iter {rounds}"), count);
    assert_eq!(rounds(1, 16).unwrap().keys.len(), 16);
    // Too many, and too many rounds together.
    for error in [rounds(1, 17).unwrap_err(), rounds(700_000, 16).unwrap_err()] {
        let Error::Ca(error @ certadm_ca::Error::KeyUnsupported { .. }) = error else { panic!("{error}") };
        let remedy = certadm_rules::Diagnosis::remedy(&error).into_owned();
        assert!(remedy.contains("file of its own"), "{error}: {remedy}");
    }
}

/// A PKCS#12 file without a MAC whose key is encrypted with scrypt, with a cost of 0.
const COST_ZERO: &str = "\
    3081d90201033081d306092a864886f70d010701a081c50481c23081bf3081bc06092a864886f70d010701a081ae0481ab3081a83081a5 \
    060b2a864886f70d010c0a0102a08195308192304e06092a864886f70d01050d3041302006092b06010401da47040b3013040873616c74 \
    73616c74020100020108020101301d060960864801650304012a0410000000000000000000000000000000000440000000000000000000 \
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn a_file_on_which_the_library_would_end_the_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pfx");
    let content = certadm_rules::hex::decode(&COST_ZERO.replace([' ', '\n'], "")).unwrap();
    fs::write(&path, content).unwrap();
    let error = KeyFile::open(&path, &passphrase(PASSPHRASE)).unwrap_err();
    assert!(error.to_string().contains("scrypt"), "{error}");
}
