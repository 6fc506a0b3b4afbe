//! Key files: `openssl` opens ours, we open those of `openssl`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use certadm_ca::{CaKey, Error, KeyType, Passphrase};
use certadm_rules::Diagnosis;
use certadm_rules::diagnosis::Class;
use der::Decode;
use pkcs8::EncryptedPrivateKeyInfoRef;
use tempfile::TempDir;

use crate::support::{PASSPHRASE, openssl, passphrase, run_openssl, text};

/// A key of P-256 in the file `ca.key` of a new folder.
fn saved_key() -> (TempDir, PathBuf) {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("ca.key");
    CaKey::generate(KeyType::P256).unwrap().save(&path, &passphrase()).unwrap();
    (scratch, path)
}

fn expected(kind: KeyType) -> &'static str {
    match kind {
        KeyType::P256 => "NIST CURVE: P-256",
        KeyType::P384 => "NIST CURVE: P-384",
        KeyType::Rsa3072 => "Private-Key: (3072 bit",
        KeyType::Rsa4096 => "Private-Key: (4096 bit",
    }
}

#[test]
fn every_kind_opens_here_and_in_openssl() {
    let scratch = tempfile::tempdir().unwrap();
    for kind in KeyType::ALL {
        let path = scratch.path().join(format!("{kind}.key"));
        let key = CaKey::generate(kind).unwrap();
        key.save(&path, &passphrase()).unwrap();
        let password = format!("pass:{PASSPHRASE}");
        let shown = openssl(&["pkey", "-check", "-text", "-noout", "-passin", &password, "-in", text(&path)]);
        assert!(shown.contains(expected(kind)), "{shown}");
        assert!(shown.contains("Key is valid"), "{shown}");
        let again = CaKey::open(&path, &passphrase()).unwrap();
        assert_eq!(again.kind(), kind);
        assert_eq!(again.public_key_info(), key.public_key_info());
        let parsed = openssl(&["asn1parse", "-in", text(&path)]);
        for algorithm in ["PBES2", "PBKDF2", "hmacWithSHA256", "aes-256-cbc"] {
            assert!(parsed.contains(algorithm), "{parsed}");
        }
    }
}

#[test]
fn keys_of_openssl_open() {
    let scratch = tempfile::tempdir().unwrap();
    let password = format!("pass:{PASSPHRASE}");
    for (name, algorithm, option) in [
        ("p256", "EC", "ec_paramgen_curve:P-256"),
        ("p384", "EC", "ec_paramgen_curve:P-384"),
        ("rsa", "RSA", "rsa_keygen_bits:3072"),
    ] {
        let clear = scratch.path().join(format!("{name}.clear"));
        openssl(&["genpkey", "-algorithm", algorithm, "-pkeyopt", option, "-out", text(&clear)]);
        for encryption in
            [&["-v2", "aes-256-cbc"][..], &["-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512"], &["-scrypt"]]
        {
            let path = scratch.path().join(format!("{name}.{}", encryption.join("")));
            let mut arguments =
                vec!["pkcs8", "-topk8", "-passout", &password, "-in", text(&clear), "-out", text(&path)];
            arguments.extend(encryption);
            openssl(&arguments);
            CaKey::open(&path, &passphrase())
                .unwrap_or_else(|error| panic!("{name} {encryption:?}: {error}"));
        }
        let refused = CaKey::open(&clear, &passphrase()).unwrap_err();
        assert!(matches!(refused, Error::KeyNotEncrypted { .. }), "{refused}");
    }
}

/// What openssl can open is no damaged file: it is refused, with the line that converts it.
#[test]
fn a_key_that_is_encrypted_or_made_otherwise_is_refused_and_not_called_damaged() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let password = format!("pass:{PASSPHRASE}");
    let generate = |name: &str, arguments: &[&str]| {
        let path = at(name);
        openssl(&[&["genpkey"], arguments, &["-out", text(&path)]].concat());
        path
    };
    let rsa = generate("rsa", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let odd_curve = generate("p521", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"]);
    let edwards = generate("ed25519", &["-algorithm", "ED25519"]);
    let pkcs8 = ["pkcs8", "-topk8", "-passout", &password];
    let old = ["rsa", "-aes256", "-traditional", "-passout", &password];
    for (name, arguments, key, converts) in [
        ("3des", &[&pkcs8[..], &["-v2", "des3"]].concat(), &rsa, true),
        ("pbes1", &[&pkcs8[..], &["-v1", "PBE-SHA1-3DES"]].concat(), &rsa, true),
        ("old", &old.to_vec(), &rsa, true),
        ("costly", &[&pkcs8[..], &["-v2", "aes-256-cbc", "-iter", "10000001"]].concat(), &rsa, true),
        ("curve", &pkcs8.to_vec(), &odd_curve, false),
        ("edwards", &pkcs8.to_vec(), &edwards, false),
    ] {
        let path = at(name);
        openssl(&[arguments.as_slice(), &["-in", text(key), "-out", text(&path)]].concat());
        let error = CaKey::open(&path, &passphrase()).unwrap_err();
        assert!(matches!(error, Error::KeyUnsupported { .. }), "{name}: {error}");
        assert_eq!(
            (error.class(), error.remedy().contains("openssl pkcs8")),
            (Class::Refused, converts),
            "{name}"
        );
    }
    // The line works.
    let new = at("new");
    let (old, passwords) = (at("3des"), ["-passin", &password, "-passout", &password]);
    openssl(
        &[
            &["pkcs8", "-topk8", "-v2", "aes-256-cbc"],
            &passwords[..],
            &["-in", text(&old), "-out", text(&new)],
        ]
        .concat(),
    );
    CaKey::open(&new, &passphrase()).unwrap();
}

/// What stands around a key, and how its lines are broken, makes no damage of it.
#[test]
fn a_key_is_found_in_whatever_stands_around_it() {
    let (_scratch, path) = saved_key();
    let plain = std::fs::read_to_string(&path).unwrap();
    let base64: String = plain.lines().filter(|line| !line.starts_with('-')).collect();
    let lines = |width: usize, indent: &str| {
        let lines = base64.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap());
        let body: String = lines.map(|line| format!("{indent}{line}\n")).collect();
        format!(
            "{indent}-----BEGIN ENCRYPTED PRIVATE KEY-----\n{body}{indent}-----END ENCRYPTED PRIVATE KEY-----\n"
        )
    };
    let certificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    for text in [
        format!("{plain}\n"),
        format!("\n\n{plain}"),
        format!("\u{feff}{plain}"),
        format!("the key of the CA\n{plain}kept since 2019\n"),
        format!(
            "Bag Attributes\n    localKeyID: 01\n{certificate}{certificate}Bag Attributes: <No Attributes>\n{plain}"
        ),
        format!("{plain}{certificate}"),
        format!("{parameters}{plain}"),
        plain.replace('\n', "\r\n"),
        plain.trim_end().to_owned(),
        lines(76, ""),
        lines(base64.len(), ""),
        lines(64, "    "),
        format!("{plain}-----BEGIN CERTIFICATE-----\ncut off"),
    ] {
        std::fs::write(&path, &text).unwrap();
        CaKey::open(&path, &passphrase()).unwrap_or_else(|error| panic!("{error}: {text}"));
    }
    // Text in Latin-1 before it.
    std::fs::write(&path, [b"Schl\xfcssel\n", plain.as_bytes()].concat()).unwrap();
    CaKey::open(&path, &passphrase()).unwrap();
    // Of two keys the first counts here.
    std::fs::write(&path, plain.repeat(2)).unwrap();
    CaKey::open(&path, &passphrase()).unwrap();
    assert_eq!(
        certadm_ca::decrypted_keys_in(&path, plain.repeat(2).as_bytes(), &passphrase()).unwrap().keys.len(),
        2
    );
}

/// A key in another form is told apart from a damaged one, with what helps.
#[test]
fn a_key_in_another_form_is_told_with_what_converts_it() {
    let (scratch, path) = saved_key();
    let plain = std::fs::read_to_string(&path).unwrap();
    let wide = |wide: fn(u16) -> [u8; 2]| -> Vec<u8> { plain.encode_utf16().flat_map(wide).collect() };
    let der = scratch.path().join("ca.der");
    let password = format!("pass:{PASSPHRASE}");
    let document = plain
        .replace("-----BEGIN ENCRYPTED PRIVATE KEY-----", "")
        .replace("-----END ENCRYPTED PRIVATE KEY-----", "");
    let mut document = document.into_bytes();
    std::fs::write(&der, certadm_rules::pem::decode_in_place(&mut document).unwrap()).unwrap();
    for (content, help) in [
        ([&[0xff, 0xfe][..], &wide(u16::to_le_bytes)].concat(), "iconv"),
        (wide(u16::to_le_bytes), "iconv"),
        ([&[0xfe, 0xff][..], &wide(u16::to_be_bytes)].concat(), "iconv"),
        ([&[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2][..], &[0; 40]].concat(), "keytool -importkeystore"),
        (std::fs::read(&der).unwrap(), "openssl pkcs8 -topk8 -v2 aes-256-cbc -inform der"),
    ] {
        std::fs::write(&path, content).unwrap();
        let error = CaKey::open(&path, &passphrase()).unwrap_err();
        assert!(matches!(error, Error::KeyUnsupported { .. }), "{help}: {error}");
        assert!(error.remedy().contains(help), "{help}: {}", error.remedy());
    }
    // A file with a key that is not encrypted says so, whatever stands before the key.
    for label in ["EC PRIVATE KEY", "PRIVATE KEY"] {
        let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
        std::fs::write(&path, format!("{parameters}-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n"))
            .unwrap();
        assert!(matches!(CaKey::open(&path, &passphrase()), Err(Error::KeyNotEncrypted { .. })));
    }
    // The line works.
    let (new, passwords) = (scratch.path().join("new"), ["-passin", &password, "-passout", &password]);
    openssl(
        &[
            &["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-inform", "der"],
            &passwords[..],
            &["-in", text(&der), "-out", text(&new)],
        ]
        .concat(),
    );
    CaKey::open(&new, &passphrase()).unwrap();
}

#[test]
fn a_wrong_passphrase_is_its_own_error() {
    let (_scratch, path) = saved_key();
    for text in ["correct hors", "correct horse ", "x"] {
        let wrong = Passphrase::new(text.into()).unwrap();
        let error = CaKey::open(&path, &wrong).unwrap_err();
        assert!(matches!(error, Error::WrongPassphrase { .. }), "{error}");
        assert!(!error.to_string().contains(PASSPHRASE));
    }
}

#[test]
fn damaged_files_are_refused_and_none_is_overwritten() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("ca.key");
    let key = CaKey::generate(KeyType::P256).unwrap();
    key.save(&path, &passphrase()).unwrap();
    let good = std::fs::read(&path).unwrap();
    let refused = key.save(&path, &passphrase()).unwrap_err();
    assert!(matches!(refused, Error::WouldOverwrite { .. }));
    assert_eq!(std::fs::read(&path).unwrap(), good);

    let damaged = |content: &[u8]| {
        let path = scratch.path().join("damaged.key");
        std::fs::write(&path, content).unwrap();
        CaKey::open(&path, &passphrase()).unwrap_err()
    };
    for content in [
        &b""[..],
        b"\xff\xfe",
        &good[..good.len() / 2],
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n",
        &vec![b'x'; 100_000],
    ] {
        let error = damaged(content);
        assert!(matches!(error, Error::KeyDamaged { .. } | Error::File(_)), "{error}");
    }
    let missing = CaKey::open(Path::new("/nonexistent/ca.key"), &passphrase()).unwrap_err();
    assert!(matches!(missing, Error::File(_)));
}

/// A key file may be a stranger's: `restore` puts the one of a set back.
#[test]
fn a_key_file_decides_neither_time_nor_memory_nor_ends_the_process() {
    use pkcs8::pkcs5::EncryptionScheme;
    use pkcs8::pkcs5::pbes2::{Kdf, Parameters};
    let (scratch, path) = saved_key();
    let (_, good) = der::SecretDocument::from_pem(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let good = EncryptedPrivateKeyInfoRef::from_der(good.as_bytes()).unwrap();
    let small = pkcs8::pkcs5::scrypt::Params::new(4, 8, 1).unwrap();
    let scrypt = Parameters::generate_scrypt_aes256cbc(small, b"salt of salts", [0; 16]).unwrap();
    let begun = Instant::now();
    for change in [
        |kdf: &mut Kdf| match kdf {
            Kdf::Pbkdf2(pbkdf2) => pbkdf2.iteration_count = u32::MAX,
            Kdf::Scrypt(scrypt) => scrypt.cost_parameter = 0,
            _ => unreachable!("there are two"),
        },
        |kdf: &mut Kdf| match kdf {
            Kdf::Pbkdf2(pbkdf2) => pbkdf2.iteration_count = 0,
            Kdf::Scrypt(scrypt) => scrypt.cost_parameter = 1 << 40,
            _ => unreachable!("there are two"),
        },
    ] {
        for parameters in [good.encryption_algorithm.pbes2().unwrap().clone(), scrypt.clone()] {
            let mut parameters = parameters;
            change(&mut parameters.kdf);
            let hostile = EncryptedPrivateKeyInfoRef {
                encryption_algorithm: EncryptionScheme::Pbes2(parameters),
                encrypted_data: good.encrypted_data,
            };
            let text =
                der::Document::encode_msg(&hostile).unwrap().to_pem(ENCRYPTED, der::pem::LineEnding::LF);
            let path = scratch.path().join("hostile.key");
            std::fs::write(&path, text.unwrap()).unwrap();
            let error = CaKey::open(&path, &passphrase()).unwrap_err();
            assert!(matches!(error, Error::KeyDamaged { .. } | Error::KeyUnsupported { .. }), "{error}");
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(60));
}

const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

#[cfg(unix)]
#[test]
fn the_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("ca.key");
    CaKey::generate(KeyType::P384).unwrap().save(&path, &passphrase()).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let wrong = run_openssl(&["pkey", "-noout", "-passin", "pass:wrong", "-in", text(&path)]);
    assert!(!wrong.status.success());
}
