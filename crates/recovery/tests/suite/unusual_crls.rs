//! Published CRLs with content that is lawful and rare: it is carried over as it is, or the CRL is refused.

use std::fs;

use certadm_ca::rows::Disposition;
use certadm_recovery::{Error, Issuers, Maker, Options, Plan, PrivateKey, PublishedCrl, Reading, Row};
use certadm_rules::{Diagnosis, FileTime};

use crate::openssl::Openssl;

/// ecdsa-with-SHA256.
const ALGORITHM: [u8; 12] = [0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const DISTRIBUTION_POINT: [u8; 3] = [0x55, 0x1d, 0x1c];
const NUMBER: [u8; 3] = [0x55, 0x1d, 0x14];
const DELTA_BASE: [u8; 3] = [0x55, 0x1d, 0x1b];

fn at() -> FileTime {
    FileTime::from_unix_seconds(1_900_000_000)
}

/// A value in DER of less than 64 KiB.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let head = match content.len() {
        0..128 => vec![tag, length[1]],
        128..256 => vec![tag, 0x81, length[1]],
        _ => vec![tag, 0x82, length[0], length[1]],
    };
    [head, content].concat()
}

fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { tlv(1, &[&[0xff]]) } else { Vec::new() };
    tlv(0x30, &[&tlv(6, &[oid]), &critical, &tlv(4, &[value])])
}

fn entry(serial: &[u8], when: &[u8], extensions: &[u8]) -> Vec<u8> {
    let extensions = if extensions.is_empty() { Vec::new() } else { tlv(0x30, &[extensions]) };
    tlv(0x30, &[&tlv(2, &[serial]), &tlv(0x17, &[when]), &extensions])
}

struct Ca {
    openssl: Openssl,
    key: PrivateKey,
}

impl Ca {
    fn new() -> Self {
        let openssl = Openssl::new();
        let key = openssl.key("ca", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
        openssl.ca("ca", "ca", None, "");
        Self { openssl, key }
    }

    /// A CRL with these entries and extensions; of version 1 where it has none.
    fn crl(&self, entries: &[Vec<u8>], extensions: &[Vec<u8>]) -> Vec<u8> {
        let attribute = |last: u8, text: &str| {
            let pair = tlv(0x30, &[&tlv(6, &[&[0x55, 4, last]]), &tlv(0x0c, &[text.as_bytes()])]);
            tlv(0x31, &[&pair])
        };
        let issuer = tlv(0x30, &[&attribute(10, "Example"), &attribute(3, "Renewed")]);
        let (version, extensions) = match extensions {
            [] => (Vec::new(), Vec::new()),
            some => (tlv(2, &[&[1]]), tlv(0xa0, &[&tlv(0x30, &[&some.concat()])])),
        };
        let dates = [tlv(0x17, &[b"300310000000Z"]), tlv(0x17, &[b"300330000000Z"])].concat();
        let list = tlv(0x30, &[&entries.concat()]);
        let content = tlv(0x30, &[&version, &ALGORITHM, &issuer, &dates, &list, &extensions]);
        fs::write(self.openssl.path("content"), &content).unwrap();
        self.openssl.good("dgst -sha256 -sign ca.key -out signature content");
        let signature = fs::read(self.openssl.path("signature")).unwrap();
        tlv(0x30, &[&content, &ALGORITHM, &tlv(3, &[&[0], &signature])])
    }

    fn plan(&self, crls: &[Vec<u8>], number: Option<i64>) -> Result<Plan, Error> {
        let published: Result<Vec<_>, _> =
            crls.iter().map(|crl| PublishedCrl::parse("published.crl", crl)).collect();
        let published = published?;
        let issuers = published[0].issuer(self.key.public_key())?;
        Plan::new(issuers, None, &published, &Options { number, ..Options::new(at()) })
    }

    /// The text of the CRL that is made of these.
    fn text(&self, crls: &[Vec<u8>], number: Option<i64>) -> (String, Plan) {
        let plan = self.plan(crls, number).unwrap();
        self.openssl.write_crl("made.pem", &plan.crls[0].sign(&plan, &self.key).unwrap());
        (self.openssl.good("crl -in made.pem -CAfile ca.pem -noout -text"), plan)
    }
}

fn number(octets: &[u8]) -> Vec<u8> {
    extension(&NUMBER, false, &tlv(2, &[octets]))
}

const WHEN: &[u8] = b"300301000000Z";

#[test]
fn what_must_not_be_passed_over_is_refused_and_what_may_be_is_told() {
    let ca = Ca::new();
    // certificateIssuer: the entry is of another CA.
    let other = tlv(0x30, &[&tlv(0x82, &[b"other.example"])]);
    let of_another = entry(&[0x22], WHEN, &extension(&[0x55, 0x1d, 0x1d], true, &other));
    let indirect = extension(&DISTRIBUTION_POINT, true, &tlv(0x30, &[&tlv(0x84, &[&[0xff]])]));
    let unknown = entry(&[0x23], WHEN, &extension(&[0x55, 0x1d, 0x63], true, &[5, 0]));
    let plain = entry(&[0x24], WHEN, &[]);
    for (entries, extensions) in [
        (vec![of_another], vec![number(&[5])]),
        (vec![plain.clone()], vec![number(&[5]), indirect]),
        (vec![unknown], vec![number(&[5])]),
    ] {
        let error = ca.plan(&[ca.crl(&entries, &extensions)], None).unwrap_err();
        assert!(matches!(error, Error::NotUnderstood { .. }), "{error}");
        assert!(error.remedy().contains("--revoke-file"));
    }
    // invalidityDate
    let date = tlv(0x18, &[b"20300201000000Z"]);
    let dated = entry(&[0x25], WHEN, &extension(&[0x55, 0x1d, 0x18], false, &date));
    let (text, plan) = ca.text(&[ca.crl(&[dated, plain], &[number(&[5])])], None);
    assert!(text.contains("Serial Number: 25") && text.contains("Serial Number: 24"), "{text}");
    assert!(plan.findings.iter().any(|finding| finding.detail.contains("2.5.29.24 of 1 entry")));
}

#[test]
fn early_dates_negative_numbers_and_long_crl_numbers_are_read() {
    let ca = Ca::new();
    let entries = [
        entry(&[0x22], b"600229120000Z", &[]),
        entry(&[0xff, 0x01], WHEN, &[]),
        entry(&[0, 0x81], WHEN, &[]),
    ];
    let (text, plan) = ca.text(&[ca.crl(&entries, &[number(&[5])])], None);
    for line in ["Serial Number: 22", "Serial Number: -FF", "Serial Number: 81", "Jan  1 00:00:00 1970 GMT"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert_eq!(plan.crls[0].entries.len(), 3);
    let long = ca.crl(&entries, &[number(&[0x40; 19])]);
    let error = ca.plan(std::slice::from_ref(&long), None).unwrap_err();
    assert!(matches!(error, Error::LongNumber { .. }) && error.remedy().contains("--number"), "{error}");
    let (text, plan) = ca.text(&[long], Some(7));
    assert!(text.contains("Serial Number: 22"), "{text}");
    assert!(plan.findings.iter().any(|finding| finding.detail.contains("more than 63 bits")));
}

#[test]
fn the_crl_that_follows_one_of_version_1_has_a_number_and_names_its_key() {
    let ca = Ca::new();
    let (text, _) = ca.text(&[ca.crl(&[entry(&[0x22], WHEN, &[])], &[])], None);
    assert!(text.contains("X509v3 CRL Number") && text.contains("X509v3 Authority Key Identifier"), "{text}");
}

#[test]
fn a_delta_crl_goes_with_a_base_of_the_same_certificates_alone() {
    let ca = Ca::new();
    let point = |url: &str| {
        let names = tlv(0xa0, &[&tlv(0xa0, &[&tlv(0x86, &[url.as_bytes()])])]);
        extension(&DISTRIBUTION_POINT, true, &tlv(0x30, &[&names]))
    };
    let delta_base = extension(&DELTA_BASE, true, &tlv(2, &[&[5]]));
    let base = ca.crl(&[entry(&[0x22], WHEN, &[])], &[number(&[5]), point("http://crl.example/one.crl")]);
    let delta =
        |url: &str| ca.crl(&[entry(&[0x33], WHEN, &[])], &[number(&[6]), delta_base.clone(), point(url)]);
    let error = ca.plan(&[base.clone(), delta("http://crl.example/two.crl")], None).unwrap_err();
    assert!(matches!(error, Error::TwoScopes { .. }), "{error}");
    for url in ["http://crl.example/one.crl", "http://crl.example/one+.crl"] {
        let plan = ca.plan(&[base.clone(), delta(url)], None).unwrap();
        assert_eq!(plan.crls[0].entries.len(), 2, "{url}");
    }
    // A first delta CRL covers what the base CRL does, so that the next emergency CRL takes both.
    let freshest = extension(&[0x55, 0x1d, 0x2e], false, &tlv(0x30, &[]));
    let first = ca
        .plan(&[ca.crl(&[], &[number(&[5]), point("http://crl.example/one.crl"), freshest])], None)
        .unwrap();
    let made: Vec<_> = first.crls.iter().map(|crl| crl.sign(&first, &ca.key).unwrap()).collect();
    assert_eq!(made.len(), 2);
    ca.plan(&made, None).unwrap();
}

/// A certificate that begins before 1970 can be revoked.
#[test]
fn a_row_with_an_early_certificate_stops_nothing() {
    let ca = Ca::new();
    ca.openssl.leaf("leaf", "ca", "ca", 2, "");
    let mut row = ca.openssl.row("leaf", 2, Disposition::REVOKED);
    let der = row.certificate.as_mut().unwrap();
    // The first date is the beginning: UTCTime, 13 characters.
    let place = der.windows(2).position(|window| window == [0x17, 13]).unwrap();
    der[place + 2..place + 4].copy_from_slice(b"60");
    let mut reading = Reading::new(Maker::Windows, at(), [].into());
    reading.row(ca.openssl.row("ca", 1, Disposition::CA_CERTIFICATE)).unwrap();
    reading.row(Row { request_id: 2, ..row }).unwrap();
    let records = reading.finish();
    let plan = Plan::new(Issuers::of(&records).unwrap(), Some(&records), &[], &Options::new(at())).unwrap();
    assert_eq!(plan.crls[0].entries.len(), 1);
}

/// A name that gives no name of a file: files are not hidden, and the next emergency CRL finds them.
#[test]
fn the_files_of_a_ca_without_a_common_name_have_a_name() {
    let openssl = Openssl::new();
    openssl.key("ca", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    openssl.good(
        "req -x509 -new -config openssl.cnf -extensions ca -key ca.key -subj /O=Example/OU=Root -days 3650 -out ca.pem",
    );
    let mut reading = Reading::new(Maker::Windows, at(), [].into());
    reading.row(openssl.row("ca", 1, Disposition::CA_CERTIFICATE)).unwrap();
    let records = reading.finish();
    let plan = Plan::new(Issuers::of(&records).unwrap(), Some(&records), &[], &Options::new(at())).unwrap();
    assert_eq!(plan.crls[0].file_name, "ca");
}
