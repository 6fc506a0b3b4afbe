//! Whether everything is there: what the verdict says of CRLs and certificates.

use certadm_ca::rows::Disposition;
use certadm_identity::{Attachments, Part, Role};
use certadm_recovery::complete::{Check, Facts, Question, Verdict};
use certadm_recovery::{CrlRow, Issuers, Maker, Reading, Records};
use certadm_rules::FileTime;

use crate::openssl::Openssl;

/// 2030-03-17T17:46:40Z.
fn now() -> FileTime {
    FileTime::from_unix_seconds(1_900_000_000)
}

fn crl_row(row_id: i64, number: i64, min_base: i64, name_id: i64, raw: Option<Vec<u8>>) -> CrlRow {
    let (this_update, next_update) = (Some(now()), None);
    let (this_publish, next_publish) = (this_update, None);
    CrlRow { row_id, number, min_base, name_id, this_update, next_update, this_publish, next_publish, raw }
}

/// The checks of a component.
fn checks(records: &Records, parts: &[Part], id: &str) -> Vec<Check> {
    let verdict = Verdict::on(&Question {
        records,
        issuers: &Issuers::of(records).unwrap(),
        facts: &Facts::default(),
        source: "here".into(),
        original: None,
        parts,
        keys: &[],
        now: now(),
    });
    verdict.components.into_iter().find(|component| component.id == id).unwrap().checks
}

fn named<'c>(checks: &'c [Check], name: &str) -> Option<&'c Check> {
    checks.iter().find(|check| check.name == name)
}

/// What the check asks for turns it good: the certificate of a renewal that the database lacks, put beside the set.
#[test]
fn a_ca_certificate_beside_the_set_counts() {
    let openssl = Openssl::new();
    for name in ["ca", "next", "other"] {
        openssl.key(name, "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
        openssl.ca(name, name, None, "");
    }
    openssl.leaf("leaf", "next", "next", 2, "");
    let mut reading = Reading::new(Maker::Windows, now(), [].into());
    reading.row(openssl.row("ca", 1, Disposition::CA_CERTIFICATE)).unwrap();
    reading.row(openssl.row("leaf", 2, Disposition::REVOKED)).unwrap();
    let records = reading.finish();
    let part = |name: &str| {
        let mut attachments = Attachments::default();
        attachments.file(Role::Certificate, &openssl.path(&format!("{name}.pem"))).unwrap();
        let set = openssl.path(&format!("set-{name}"));
        std::fs::create_dir(&set).unwrap();
        attachments.write(&set, "", now()).unwrap()
    };
    let is_good = |parts: &[Part]| {
        let checks = checks(&records, parts, "ca-certificates");
        named(&checks, "all are there").unwrap().ok == Some(true)
    };
    assert!(!is_good(&[]));
    assert!(!is_good(&[part("other")]));
    assert!(is_good(&[part("next")]));
}

/// A CA with delta CRLs: its base CRL of the week has a lower number than the delta CRLs of the days after it.
#[test]
fn a_base_crl_is_compared_with_the_base_crls_of_its_key() {
    let openssl = Openssl::new();
    openssl.key("ca", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    openssl.ca("ca", "ca", None, "");
    let dates = ("300316000000Z", "300330000000Z");
    let raw = openssl.generated_crl("5F", dates, "", "", &[]);
    let records = |highest_base: i64| {
        let mut reading = Reading::new(Maker::Windows, now(), [].into());
        reading.row(openssl.row("ca", 1, Disposition::CA_CERTIFICATE)).unwrap();
        reading.crl(crl_row(1, 95, 0, 0, Some(raw.clone())));
        reading.crl(crl_row(2, 100, 95, 0, None));
        reading.crl(crl_row(3, 100, 0, 1 << 16, None));
        reading.crl(crl_row(4, highest_base, 0, 0, None));
        reading.finish()
    };
    assert!(named(&checks(&records(95), &[], "crl"), "number").is_none());
    let told = checks(&records(96), &[], "crl");
    assert!(named(&told, "number").unwrap().detail.contains("knows number 96"), "{told:?}");
}
