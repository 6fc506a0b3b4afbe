//! A revocation that was ordered goes into the CRL of the key that signed the certificate, also where the database lacks it.

use certadm_ca::Serial;
use certadm_ca::rows::Disposition;
use certadm_recovery::{Issuers, Maker, Options, Plan, PublishedCrl, Reading, Records, Revocation};
use certadm_rules::FileTime;

use crate::openssl::Openssl;

fn now() -> FileTime {
    FileTime::from_unix_seconds(1_900_000_000)
}

/// A CA with two keys: `ca`, whose certificates have the indexes 0 and 1, and `next`, whose certificate has the index 2.
fn renewed(openssl: &Openssl) -> Records {
    for name in ["ca", "next"] {
        openssl.key(name, "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    }
    openssl.ca("ca", "ca", Some(0), "");
    openssl.ca("again", "ca", Some(1), "");
    openssl.ca("next", "next", Some(0x0002_0002), "");
    let mut reading = Reading::new(Maker::Windows, now(), [].into());
    for (name, id) in [("ca", 1), ("again", 2), ("next", 40)] {
        reading.row(openssl.row(name, id, Disposition::CA_CERTIFICATE)).unwrap();
    }
    reading.finish()
}

#[test]
fn an_order_for_a_certificate_that_the_database_lacks_goes_to_its_key() {
    let openssl = Openssl::new();
    let records = renewed(&openssl);
    // The CRL of the first key lists 09.
    let dates = ("300316000000Z", "300330000000Z");
    let der = openssl.generated_crl("5F", dates, "", "", &[("09", "300316000000Z", "certificateHold")]);
    let published = [PublishedCrl::parse("ca.crl", &der).unwrap()];
    let twice = |index: &str, request: &str| format!("1d{request}292fbe3c6cddafa2{index}{request}");
    for (serial, key) in [
        ("09".to_owned(), 0),
        // In the two ways that are usual, of requests before the last one and after it.
        ("61001122000000000007".to_owned(), 0),
        ("61001122000100000007".to_owned(), 0),
        ("61001122000200000007".to_owned(), 1),
        (twice("0001", "00000030"), 0),
        (twice("0002", "00000030"), 1),
        // Of no certificate that is known, and made in a way that is not.
        ("61001122000900000007".to_owned(), 1),
        ("4f3a0000000007".to_owned(), 1),
    ] {
        let order = Revocation::parse(&format!("{serial}:keyCompromise"), now()).unwrap();
        let options = Options { revocations: vec![order], ..Options::new(now()) };
        let issuers = Issuers::of(&records).unwrap();
        let plan = Plan::new(issuers, Some(&records), &published, &options).unwrap();
        let wanted: Serial = serial.parse().unwrap();
        let lists = plan
            .crls
            .iter()
            .filter(|crl| crl.entries.iter().any(|entry| entry.serial == wanted && entry.reason == 1));
        assert_eq!(lists.map(|crl| crl.issuer).collect::<Vec<_>>(), [key], "{serial}");
        let told: Vec<_> =
            plan.findings.iter().filter(|one| one.detail.starts_with("revoked as ordered")).collect();
        let is_later = serial.ends_with("00000030");
        assert_eq!(told.is_empty(), is_later, "{serial}: {told:?}");
        let index = if key == 0 { 0 } else { 2 };
        let named = format!("in the CRL of key {index},");
        assert!(told.iter().all(|one| one.detail.contains(&named)), "{serial}: {told:?}");
    }
}

/// Its certificate was renewed after the backup, or ended before what it signed: also what says neither where its CRL lies nor who signed
/// it has to be revocable.
#[test]
fn a_key_gets_a_crl_while_anything_that_it_signed_is_in_force() {
    let openssl = Openssl::new();
    for name in ["ca", "other"] {
        openssl.key(name, "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
        openssl.ca(name, name, None, "");
    }
    // The certificates of the CAs have ended by then, and those in the rows have not.
    let later = FileTime::from_unix_seconds(3_000_000_000);
    for extensions in ["leaf", "pointless", "bare"] {
        openssl.leaf("signed", "ca", "ca", 7, &format!("-extensions {extensions}"));
        let keys = |rows: &[(&str, Disposition)]| {
            let mut reading = Reading::new(Maker::Certadm, later, [].into());
            for (id, (name, disposition)) in (1..).zip(rows) {
                reading.row(openssl.row(name, id, *disposition)).unwrap();
            }
            let records = reading.finish();
            let issuers = Issuers::of(&records).unwrap();
            let plan = Plan::new(issuers, Some(&records), &[], &Options::new(later)).unwrap();
            plan.crls.iter().map(|crl| crl.issuer).collect::<Vec<_>>()
        };
        let own = [("ca", Disposition::CA_CERTIFICATE), ("other", Disposition::CA_CERTIFICATE)];
        assert!(keys(&own).is_empty());
        assert_eq!(keys(&[own[0], own[1], ("signed", Disposition::ISSUED)]), [0], "{extensions}");
        // Nothing tells whose they are, of very many.
        let many = [&own[..], &[("signed", Disposition::ISSUED); 80]].concat();
        let all = if extensions == "bare" { vec![0, 1] } else { vec![0] };
        assert_eq!(keys(&many), all, "{extensions}");
    }
}

/// The first key and all that it signed have ended, so it gets no CRL.
#[test]
fn an_order_that_no_crl_can_carry_is_told() {
    let openssl = Openssl::new();
    let records = renewed(&openssl);
    let order = Revocation::parse("61001122000000000007:keyCompromise", now()).unwrap();
    let never = FileTime::from_unix_seconds(4_000_000_000);
    let options = Options { revocations: vec![order], ..Options::new(never) };
    let plan = Plan::new(Issuers::of(&records).unwrap(), Some(&records), &[], &options).unwrap();
    assert!(plan.crls.is_empty());
    assert!(plan.findings.iter().any(|one| one.kind.key() == "crl-order"), "{:?}", plan.findings);
}
