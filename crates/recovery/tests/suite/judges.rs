//! What other programs make of our CRLs.

use std::fs;
use std::path::Path;
use std::process::Command;

use certadm_ca::rows::Disposition;
use certadm_recovery::{CrlKind, CrlRow, Issuers, Maker, Options, Plan, PrivateKey, Reading, Records};
use certadm_rules::FileTime;

use crate::openssl::{Openssl, now};
use crate::patch::{Patch, revoke};
use crate::support::{certlog, records};

/// Rows of a CA with one key: its certificate, one that is in force, one that is revoked.
fn small_ca(openssl: &Openssl) -> Records {
    let mut reading = Reading::new(Maker::Windows, now(), [].into());
    reading.row(openssl.row("ca", 1, Disposition::CA_CERTIFICATE)).unwrap();
    reading.row(openssl.row("good", 2, Disposition::ISSUED)).unwrap();
    reading.row(openssl.row("bad", 3, Disposition::REVOKED)).unwrap();
    reading.finish()
}

fn certificates(openssl: &Openssl, key: &str, signing: &str) -> PrivateKey {
    let key = openssl.key("ca", key);
    openssl.ca("ca", "ca", None, signing);
    openssl.leaf("good", "ca", "ca", 2, signing);
    openssl.leaf("bad", "ca", "ca", 3, signing);
    key
}

/// The base CRL, and a delta CRL if one is made, signed.
fn signed(records: &Records, key: &PrivateKey, options: &Options) -> Vec<(CrlKind, Vec<u8>)> {
    let plan = Plan::new(Issuers::of(records).unwrap(), Some(records), &[], options).unwrap();
    plan.crls.iter().map(|crl| (crl.kind, crl.sign(&plan, key).unwrap())).collect()
}

#[test]
fn openssl_accepts_crls_of_every_algorithm_and_finds_what_is_revoked() {
    let rsa = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
    let curve = |name: &str| format!("-algorithm EC -pkeyopt ec_paramgen_curve:{name}");
    let pss = |salt: &str, hash: &str| {
        format!("-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:{salt} -sigopt rsa_mgf1_md:{hash}")
    };
    for (key, signing, algorithm) in [
        (rsa.to_owned(), "-sha256".to_owned(), "sha256WithRSAEncryption"),
        (rsa.to_owned(), "-sha512".to_owned(), "sha512WithRSAEncryption"),
        (rsa.to_owned(), format!("-sha384 {}", pss("digest", "sha384")), "rsassaPss"),
        // What ring does not have: another salt than the hash is long, SHA-1, a key of more than 4096 bits.
        (rsa.to_owned(), format!("-sha256 {}", pss("20", "sha256")), "rsassaPss"),
        (rsa.to_owned(), "-sha1".to_owned(), "sha1WithRSAEncryption"),
        (rsa.to_owned(), format!("-sha1 {}", pss("digest", "sha1")), "rsassaPss"),
        (
            "-algorithm RSA -pkeyopt rsa_keygen_bits:5120".to_owned(),
            "-sha256".to_owned(),
            "sha256WithRSAEncryption",
        ),
        (curve("P-256"), "-sha256".to_owned(), "ecdsa-with-SHA256"),
        (curve("P-384"), "-sha384".to_owned(), "ecdsa-with-SHA384"),
        (curve("P-521"), "-sha512".to_owned(), "ecdsa-with-SHA512"),
    ] {
        let openssl = Openssl::new();
        let private = certificates(&openssl, &key, &signing);
        let options = Options { allow_sha1: true, ..Options::new(now()) };
        let crls = signed(&small_ca(&openssl), &private, &options);
        assert_eq!(crls.len(), 1, "there was no delta CRL");
        openssl.write_crl("crl.pem", &crls[0].1);
        let text = openssl.good("crl -in crl.pem -CAfile ca.pem -noout -text");
        assert!(text.contains("verify OK") && text.contains(algorithm), "{algorithm}: {text}");
        assert!(text.contains("Serial Number: 03") && text.contains("Key Compromise"), "{text}");
        let verify = |name: &str| {
            openssl.run(&format!("verify -crl_check -CAfile ca.pem -CRLfile crl.pem {name}.pem"))
        };
        assert!(verify("good").0, "{:?}", verify("good"));
        let (accepted, why) = verify("bad");
        assert!(!accepted && why.contains("error 23"), "{why}");
    }
}

#[test]
fn each_certificate_of_a_renewed_ca_is_in_the_crl_of_its_own_key() {
    let openssl = Openssl::new();
    let curve = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
    let (first, second) = (openssl.key("key0", curve), openssl.key("key1", curve));
    openssl.ca("ca0", "key0", Some(0), "");
    openssl.ca("ca1", "key0", Some(1), ""); // renewed with the same key
    openssl.ca("ca2", "key1", Some(0x1_0002), ""); // and with a new one
    let signers = [("ca0", "key0"), ("ca1", "key0"), ("ca2", "key1")];
    let mut reading = Reading::new(Maker::Windows, now(), [].into());
    for (place, (ca, key)) in (0u32..).zip(signers) {
        reading.row(openssl.row(ca, i64::from(place) + 1, Disposition::CA_CERTIFICATE)).unwrap();
        openssl.leaf(&format!("of-{ca}"), ca, key, 0x10 + place, "");
    }
    for (place, (ca, _)) in (0i64..).zip(signers) {
        reading.row(openssl.row(&format!("of-{ca}"), 0x10 + place, Disposition::REVOKED)).unwrap();
    }
    let records = reading.finish();
    let issuers = Issuers::of(&records).unwrap();
    let plan = Plan::new(issuers, Some(&records), &[], &Options::new(now())).unwrap();
    assert!(plan.findings.is_empty(), "{:?}", plan.findings);
    let listed: Vec<Vec<_>> = plan
        .crls
        .iter()
        .map(|crl| crl.entries.iter().map(|entry| entry.request_id.unwrap()).collect())
        .collect();
    assert_eq!(listed, [vec![0x11, 0x10], vec![0x12]]);
    let names: Vec<_> = plan.crls.iter().map(|crl| crl.file_name.as_str()).collect();
    assert_eq!(names, ["Renewed", "Renewed(1)"]);
    for (crl, key, ca) in [(0, &first, "ca1"), (1, &second, "ca2")] {
        let name = format!("crl{crl}.pem");
        openssl.write_crl(&name, &plan.crls[crl].sign(&plan, key).unwrap());
        let text = openssl.good(&format!("crl -in {name} -CAfile {ca}.pem -noout -text"));
        assert!(text.contains("verify OK"), "{text}");
        let version = if crl == 0 { "020101" } else { "0203010002" };
        let der = certadm_rules::hex::encode(&plan.crls[crl].to_be_signed);
        assert!(der.contains(version), "the version of the newest certificate");
    }
    // The key of one does not sign for the other.
    assert!(plan.crls[0].sign(&plan, &second).is_ok_and(|der| {
        openssl.write_crl("wrong.pem", &der);
        openssl.run("crl -in wrong.pem -CAfile ca0.pem -noout").1.contains("verify failure")
    }));
}

/// The Debian package gnutls-bin.
#[test]
#[ignore = "needs certtool"]
fn gnutls_accepts_them() {
    let openssl = Openssl::new();
    let key = certificates(&openssl, "-algorithm RSA -pkeyopt rsa_keygen_bits:2048", "-sha256");
    let crls = signed(&small_ca(&openssl), &key, &Options::new(now()));
    let crl = openssl.write_crl("crl.pem", &crls[0].1);
    let output = Command::new("certtool")
        .args(["--verify-crl", "--load-ca-certificate"])
        .arg(openssl.path("ca.pem"))
        .arg("--infile")
        .arg(&crl)
        .output()
        .expect("certtool");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("Verified"), "{text}");
}

/// The Debian package libnss3-tools.
#[test]
#[ignore = "needs crlutil"]
fn nss_accepts_them() {
    let openssl = Openssl::new();
    let key = certificates(&openssl, "-algorithm RSA -pkeyopt rsa_keygen_bits:2048", "-sha256");
    let crls = signed(&small_ca(&openssl), &key, &Options::new(now()));
    let crl = openssl.path("crl.der");
    fs::write(&crl, &crls[0].1).unwrap();
    let store = format!("sql:{}", openssl.path("nss").display());
    fs::create_dir(openssl.path("nss")).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().expect(program);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(output.status.success(), "{program} {arguments:?}: {text}");
        text
    };
    let ca = openssl.path("ca.pem");
    run("certutil", &["-N", "-d", &store, "--empty-password"]);
    run("certutil", &["-A", "-d", &store, "-n", "ca", "-t", "CT,C,C", "-i", ca.to_str().unwrap()]);
    // It checks the signature while it imports.
    run("crlutil", &["-I", "-d", &store, "-i", crl.to_str().unwrap()]);
    let text = run("crlutil", &["-L", "-d", &store]);
    assert!(text.contains("Renewed") || text.contains("ca"), "{text}");
    let good = openssl.path("bad.pem");
    run("certutil", &["-A", "-d", &store, "-n", "bad", "-t", ",,", "-i", good.to_str().unwrap()]);
    let output = Command::new("certutil")
        .args(["-V", "-d", &store, "-n", "bad", "-u", "V"])
        .output()
        .expect("certutil");
    let text = [output.stdout, output.stderr].concat();
    assert!(String::from_utf8_lossy(&text).contains("revoked"), "{}", String::from_utf8_lossy(&text));
}

/// Every entry, its date and its reason, and every extension, as python-cryptography reads them.
#[test]
#[ignore = "needs CERTADM_PYTHON"]
fn python_reads_the_same_entries() {
    let mut database = certlog();
    let (early, late) = ("2025-10-01T12:00:00Z", "2025-10-02T08:30:00Z");
    revoke(
        &mut database,
        &[Patch::new(10, 4, early, late), Patch::new(9, 6, early, early), Patch::new(4, 1, early, early)],
    );
    let records = records(database);
    let options = Options::new(crate::support::now());
    let plan = Plan::new(Issuers::of(&records).unwrap(), Some(&records), &[], &options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (crl, entries) in plan.crls.iter().zip([3, 0]) {
        let path = folder.path().join("crl.tbs");
        fs::write(&path, &crl.to_be_signed).unwrap();
        let python = std::env::var("CERTADM_PYTHON").expect("CERTADM_PYTHON names the interpreter");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/read_crl.py");
        let output = Command::new(python).arg(script).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next().unwrap(), format!("number {}", plan.number.number));
        let listed: Vec<_> = lines.collect();
        let ours: Vec<_> = crl
            .entries
            .iter()
            .map(|entry| format!("{} {} {}", entry.serial, entry.when.to_rfc3339(), entry.reason))
            .collect();
        assert_eq!(listed, ours);
        assert_eq!(listed.len(), entries);
    }
}

/// The issuing distribution point says for which certificates a CRL counts. It comes into the new CRL as it was in the last one,
/// still critical and in its place.
#[test]
fn the_issuing_distribution_point_is_carried_over() {
    let openssl = Openssl::new();
    let key = certificates(&openssl, "-algorithm EC -pkeyopt ec_paramgen_curve:P-256", "-sha256");
    let point = "issuingDistributionPoint = critical,@point";
    let sections = "[point]\nfullname = URI:http://crl.example/ca.crl\nonlyuser = TRUE";
    let last = openssl.generated_crl("11", ("260101000000Z", "360101000000Z"), point, sections, &[]);
    let mut reading = Reading::new(Maker::Windows, now(), [].into());
    for (name, id, disposition) in [
        ("ca", 1, Disposition::CA_CERTIFICATE),
        ("good", 2, Disposition::ISSUED),
        ("bad", 3, Disposition::REVOKED),
    ] {
        reading.row(openssl.row(name, id, disposition)).unwrap();
    }
    reading.crl(CrlRow {
        row_id: 1,
        number: 0x11,
        min_base: 0,
        name_id: 0,
        this_update: Some(FileTime::from_unix_seconds(1_767_225_600)),
        next_update: None,
        this_publish: Some(FileTime::from_unix_seconds(1_767_225_600)),
        next_publish: None,
        raw: Some(last),
    });
    let crls = signed(&reading.finish(), &key, &Options::new(now()));
    openssl.write_crl("crl.pem", &crls[0].1);
    let extensions = |name: &str| {
        let text = openssl.good(&format!("crl -in {name}.pem -noout -text"));
        // What follows belongs to the entries.
        let text = text.split("Revoked Certificates").next().unwrap_or_default();
        let names = text
            .lines()
            .filter(|line| line.contains("X509v3 ") && !line.contains("Reason Code"))
            .map(|line| line.trim().to_owned());
        let point = text.split("Issuing Distribution Point:").nth(1).expect("the point").to_owned();
        let point: Vec<String> = point.lines().take(4).map(|line| line.trim().to_owned()).collect();
        (names.collect::<Vec<_>>(), point)
    };
    let (before, after) = (extensions("generated"), extensions("crl"));
    assert_eq!(before, after);
    assert!(
        after.1[0].contains("critical") && after.1.iter().any(|line| line.contains("crl.example")),
        "{after:?}"
    );
    let verify =
        |name: &str| openssl.run(&format!("verify -crl_check -CAfile ca.pem -CRLfile crl.pem {name}.pem"));
    assert!(verify("good").0, "{:?}", verify("good"));
    assert!(verify("bad").1.contains("error 23"), "{:?}", verify("bad"));
}
