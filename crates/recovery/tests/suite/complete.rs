//! Whether everything is there: what the verdict says of CRLs and certificates.

use certadm_ca::rows::Disposition;
use certadm_identity::{Attachments, Configuration, Part, Role, Value, registry};
use certadm_recovery::complete::{Check, Facts, Question, Verdict};
use certadm_recovery::{Anchors, CrlRow, Error, Flaw, Issuers, Maker, Options, Plan, Reading, Records};
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

/// A CA that was renewed with a key of another kind long ago: its first certificate has expired.
#[test]
fn a_key_of_an_unsupported_kind_stops_nothing_but_its_own_crl() {
    for kind in ["-algorithm Ed25519", "-algorithm EC -pkeyopt ec_paramgen_curve:brainpoolP256r1"] {
        let openssl = Openssl::new();
        openssl.key_of_any_kind("ca", kind);
        let private = openssl.key("new", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
        openssl.ca("ca", "ca", Some(0), "");
        openssl.ca("new", "new", Some(0x1_0001), "");
        openssl.leaf("leaf", "new", "new", 3, "");
        openssl.leaf("of-old", "ca", "ca", 4, "");
        let mut reading = Reading::new(Maker::Windows, now(), [].into());
        reading.row(openssl.row("ca", 1, Disposition::CA_CERTIFICATE)).unwrap();
        reading.row(openssl.row("new", 2, Disposition::CA_CERTIFICATE)).unwrap();
        reading.row(openssl.row("leaf", 3, Disposition::REVOKED)).unwrap();
        reading.row(openssl.row("of-old", 4, Disposition::REVOKED)).unwrap();
        if kind.contains("brainpool") {
            let crl = openssl.generated_crl("05", ("300310000000Z", "300330000000Z"), "", "", &[]);
            reading.crl(crl_row(1, 5, 0, 0, Some(crl)));
        }
        let records = reading.finish();
        let of_crls = checks(&records, &[], "crl");
        assert!(named(&of_crls, "same CA").is_none_or(|check| check.ok.is_none()), "{of_crls:?}");
        assert!(!checks(&records, &[], "ca-certificates").is_empty());
        let issuers = Issuers::of(&records).unwrap();
        assert_eq!(issuers.place_of_key(private.public_key(), "new").unwrap(), 1);
        let plan = Plan::new(issuers, Some(&records), &[], &Options::new(now())).unwrap();
        let made: Vec<_> = plan.crls.iter().map(|crl| (crl.issuer, crl.entries.len())).collect();
        assert_eq!((made, plan.unsupported.as_slice()), (vec![(1, 1)], &[0][..]));
        assert!(plan.findings.iter().any(|finding| finding.detail.contains("not supported")));
        let anchors = Anchors::of(&records).unwrap();
        let soon = certadm_ca::dates::plus_minutes(crate::openssl::now(), 5);
        assert!(anchors.judge(&openssl.der("leaf"), soon).unwrap().in_force);
        assert_eq!(anchors.judge(&openssl.der("of-old"), soon), Err(Flaw::NotChecked { in_force: true }));
    }
    // The key alone, and its CRL is needed.
    let openssl = Openssl::new();
    openssl.key_of_any_kind("ca", "-algorithm Ed25519");
    openssl.ca("ca", "ca", None, "");
    let mut reading = Reading::new(Maker::Windows, now(), [].into());
    reading.row(openssl.row("ca", 1, Disposition::CA_CERTIFICATE)).unwrap();
    let records = reading.finish();
    let error = Plan::new(Issuers::of(&records).unwrap(), Some(&records), &[], &Options::new(now()));
    assert!(matches!(error.unwrap_err(), Error::Signing { index: 0, .. }));
}

/// A root whose signatures cannot be checked is there all the same; and a root that another CA has signed, too, is a root.
#[test]
fn the_chain_ends_at_a_root_whatever_its_key_and_whoever_signed_it_besides() {
    for (kind, ok) in
        [("-algorithm Ed25519", None), ("-algorithm EC -pkeyopt ec_paramgen_curve:P-384", Some(true))]
    {
        let openssl = Openssl::new();
        for name in ["root", "other"] {
            openssl.key_of_any_kind(name, kind);
            openssl.good(&format!(
                "req -x509 -new -config openssl.cnf -extensions ca -key {name}.key -subj /CN={name} -days 3650 -out {name}.pem"
            ));
        }
        openssl.key("ca", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
        for (subject, key, signer, out) in [("Sub", "ca", "root", "ca"), ("root", "root", "other", "cross")] {
            openssl.good(&format!(
                "req -new -config openssl.cnf -key {key}.key -subj /CN={subject} -out {out}.csr"
            ));
            openssl.good(&format!(
                "x509 -req -in {out}.csr -CA {signer}.pem -CAkey {signer}.key -set_serial 5 -days 3650 -extfile openssl.cnf -extensions ca -out {out}.pem"
            ));
        }
        let mut reading = Reading::new(Maker::Windows, now(), [].into());
        reading.row(openssl.row("ca", 1, Disposition::CA_CERTIFICATE)).unwrap();
        let records = reading.finish();
        let with = |names: &[&str]| {
            let mut attachments = Attachments::default();
            for name in names {
                attachments.file(Role::Certificate, &openssl.path(&format!("{name}.pem"))).unwrap();
            }
            let set = openssl.path(&format!("set-{}", names.join("-")));
            std::fs::create_dir(&set).unwrap();
            let checks = checks(&records, &[attachments.write(&set, "", now()).unwrap()], "ca-certificates");
            named(&checks, "chain to a root").unwrap().ok
        };
        assert_eq!(with(&["cross", "root"]), ok, "{kind}");
        assert_eq!(with(&["other"]), Some(false), "{kind}");
    }
}

/// Each partition has a CRL of its own. What else the database says is no less true.
#[test]
fn partitions_stop_nothing_but_the_crl() {
    let openssl = Openssl::new();
    openssl.key("ca", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    openssl.ca("ca", "ca", None, "");
    let mut reading = Reading::new(Maker::Windows, now(), [].into());
    reading.row(openssl.row("ca", 1, Disposition::CA_CERTIFICATE)).unwrap();
    reading.partition(0, "Requests");
    reading.partition(3, "CRLs");
    let records = reading.finish();
    assert!(!checks(&records, &[], "ca-certificates").is_empty());
    let error = Plan::new(Issuers::of(&records).unwrap(), Some(&records), &[], &Options::new(now()));
    assert!(matches!(error.unwrap_err(), Error::Partitions { index: 3, table: "CRLs" }));
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

/// What was attached before the CA's newest certificate began was made before it; of what came later nothing says when it was made.
#[test]
fn an_attached_configuration_that_is_older_than_the_newest_certificate_is_told() {
    let openssl = Openssl::new();
    openssl.key("ca", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    openssl.ca("ca", "ca", None, "");
    let mut reading = Reading::new(Maker::Windows, now(), [].into());
    reading.row(openssl.row("ca", 1, Disposition::CA_CERTIFICATE)).unwrap();
    let records = reading.finish();
    let mut configuration = Configuration::default();
    configuration.set("", "Active", Value::Text("Renewed".into()));
    configuration.set("Renewed", "CommonName", Value::Text("Renewed".into()));
    let written = registry::to_text(&configuration, &registry::root(registry::CERTSVC));
    let path = openssl.path("certsvc.reg");
    std::fs::write(&path, registry::to_bytes(&written.text)).unwrap();
    let age = |name: &str, attached: FileTime| {
        let mut attachments = Attachments::default();
        attachments.file(Role::Registry, &path).unwrap();
        let set = openssl.path(name);
        std::fs::create_dir(&set).unwrap();
        let checks = checks(&records, &[attachments.write(&set, "", attached).unwrap()], "configuration");
        let ages: Vec<_> = checks.into_iter().filter(|check| check.name == "age").collect();
        let [age] = ages.as_slice() else { panic!("{ages:?}") };
        age.clone()
    };
    let old = age("old", FileTime::from_unix_seconds(1_500_000_000));
    assert_eq!(old.ok, None, "{old:?}");
    assert!(old.detail.starts_with("it was attached at 2017-07-14T02:40:00Z, and the CA has"), "{old:?}");
    assert!(old.remedy.as_deref().is_some_and(|remedy| remedy.contains("certadm identity")), "{old:?}");
    let new = age("new", now());
    assert!(new.detail.contains("nothing says when it was made") && new.remedy.is_none(), "{new:?}");
}
