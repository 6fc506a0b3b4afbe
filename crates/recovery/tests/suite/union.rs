//! The database and the CRLs that were published after it or before it: the newer source decides.

use std::collections::BTreeSet;

use certadm_ca::rows::Disposition;
use certadm_recovery::{
    CrlKind, CrlRow, Deltas, Entry, Error, Issuers, Maker, Options, Origin, Plan, PrivateKey, PublishedCrl,
    Reading, Records, Revocation, Row,
};
use certadm_rules::{Diagnosis, FileTime};

use crate::openssl::Openssl;

const DAY: i64 = 24 * 3600;
/// When the table's last CRL was published; the present is ten days later.
const PUBLISHED: i64 = 1_900_000_000;

const SUPERSEDED: i32 = 4;
const ON_HOLD: i32 = 6;
const RELEASED: i32 = -1;

fn at(days: i64) -> FileTime {
    FileTime::from_unix_seconds(PUBLISHED + days * DAY)
}

/// A CA whose certificates are all one, under serial numbers of their own: nobody looks at them but for the key.
struct Ca {
    openssl: Openssl,
    key: PrivateKey,
    number: i64,
}

impl Ca {
    fn new() -> Self {
        let openssl = Openssl::new();
        let key = openssl.key("ca", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
        openssl.ca("ca", "ca", None, "");
        openssl.leaf("leaf", "ca", "ca", 2, "");
        Self { openssl, key, number: 100 }
    }

    /// Rows of certificates: number, reason (none: in force) and the day of the revocation.
    fn records(&self, rows: &[(i64, Option<i32>, i64)], asked: &[PublishedCrl]) -> Records {
        let serials: BTreeSet<_> = asked.iter().flat_map(|crl| crl.serials().unwrap()).collect();
        let mut reading = Reading::new(Maker::Windows, at(10), serials);
        reading.row(self.openssl.row("ca", 1, Disposition::CA_CERTIFICATE)).unwrap();
        for (id, reason, day) in rows {
            let disposition = if reason.is_some() { Disposition::REVOKED } else { Disposition::ISSUED };
            let row = Row {
                revoked_effective_when: reason.map(|_| at(*day)),
                revoked_reason: *reason,
                ..self.openssl.row("leaf", *id, disposition)
            };
            reading.row(row).unwrap();
        }
        reading.crl(CrlRow {
            row_id: 1,
            number: self.number,
            min_base: 0,
            name_id: 0,
            this_update: Some(at(0)),
            next_update: Some(at(8)),
            this_publish: Some(at(0)),
            next_publish: Some(at(7)),
            raw: None,
        });
        reading.finish()
    }

    fn plan(&self, records: &Records, published: &[PublishedCrl], revocations: Vec<Revocation>) -> Plan {
        let options = Options { revocations, ..Options::new(at(10)) };
        Plan::new(Issuers::of(records).unwrap(), Some(records), published, &options).unwrap()
    }

    /// A CRL that the CA published on this day under this number, listing these.
    fn published(&self, number: i64, day: i64, rows: &[(i64, Option<i32>, i64)]) -> PublishedCrl {
        let mut reading = Reading::new(Maker::Windows, at(day), [].into());
        reading.row(self.openssl.row("ca", 1, Disposition::CA_CERTIFICATE)).unwrap();
        for (id, reason, day) in rows {
            let row = Row {
                revoked_effective_when: Some(at(*day)),
                revoked_reason: *reason,
                ..self.openssl.row("leaf", *id, Disposition::REVOKED)
            };
            reading.row(row).unwrap();
        }
        let records = reading.finish();
        let options = Options { number: Some(number), deltas: Deltas::None, ..Options::new(at(day)) };
        let plan = Plan::new(Issuers::of(&records).unwrap(), Some(&records), &[], &options).unwrap();
        PublishedCrl::parse("published", &plan.crls[0].sign(&plan, &self.key).unwrap()).unwrap()
    }
}

impl Ca {
    /// A delta CRL that the CA published some days after the last base CRL of its table.
    fn delta(&self, number: i64, base: i64, listed: &[(&str, &str)]) -> PublishedCrl {
        let when = "300323000000Z";
        let listed: Vec<_> = listed.iter().map(|(serial, reason)| (*serial, when, *reason)).collect();
        let base = format!("2.5.29.27 = critical,ASN1:INTEGER:{base}");
        let dates = (when, "300330000000Z");
        let der = self.openssl.generated_crl(&format!("{number:02X}"), dates, &base, "", &listed);
        PublishedCrl::parse(&format!("delta {number}"), &der).unwrap()
    }
}

/// Request, reason and origin of each entry.
fn told(entries: &[Entry]) -> Vec<(Option<i64>, i32, Origin)> {
    entries.iter().map(|entry| (entry.request_id, entry.reason, entry.origin)).collect()
}

fn severities(plan: &Plan) -> Vec<&str> {
    plan.findings.iter().map(|finding| finding.kind.key()).collect()
}

#[test]
fn a_newer_published_crl_decides() {
    let ca = Ca::new();
    // 2 on hold and 3 revoked in both, 4 in force here and revoked there, 5 unknown here.
    let newer = ca.published(
        101,
        5,
        &[(2, Some(ON_HOLD), 1), (3, Some(1), 2), (4, Some(SUPERSEDED), 4), (5, Some(SUPERSEDED), 4)],
    );
    let rows = [(2, Some(ON_HOLD), -1), (3, Some(SUPERSEDED), -1), (4, None, 0)];
    let published = [newer];
    let records = ca.records(&rows, &published);
    let plan = ca.plan(&records, &published, Vec::new());
    let there = Origin::Published;
    assert_eq!(
        told(&plan.crls[0].entries),
        [
            (None, SUPERSEDED, there),
            (Some(4), SUPERSEDED, there),
            (Some(3), 1, there),
            (Some(2), ON_HOLD, there)
        ]
    );
    assert_eq!(severities(&plan), ["crl-unknown-certificate"]);
    assert_eq!(plan.unknown.len(), 1);
    assert!(101 + 16 < plan.number.number);
}

#[test]
fn what_a_newer_published_crl_does_not_list_is_released_or_told() {
    let ca = Ca::new();
    let newer = [ca.published(101, 5, &[(9, Some(1), 1)])];
    // 2: the hold was taken back. 3: a revocation that cannot be taken back. 4: revoked after that CRL was made.
    let rows = [(2, Some(ON_HOLD), -1), (3, Some(SUPERSEDED), -1), (4, Some(ON_HOLD), 6), (9, Some(1), 1)];
    let plan = ca.plan(&ca.records(&rows, &newer), &newer, Vec::new());
    let here = Origin::Database;
    assert_eq!(
        told(&plan.crls[0].entries),
        [(Some(9), 1, Origin::Published), (Some(4), ON_HOLD, here), (Some(3), SUPERSEDED, here)]
    );
    assert_eq!(severities(&plan), ["crl-contradiction", "crl-contradiction"]);
}

#[test]
fn a_newer_database_decides() {
    let ca = Ca::new();
    let older = [ca.published(
        99,
        -5,
        &[
            (2, Some(ON_HOLD), -9),
            (3, Some(1), -9),
            (4, Some(ON_HOLD), -9),
            (5, Some(1), -9),
            (6, Some(1), -9),
        ],
    )];
    // 2 was released, 3 has another reason by now, 4 is in force again, 5 is in force although it was revoked for good.
    let rows = [(2, Some(RELEASED), -9), (3, Some(SUPERSEDED), -8), (4, None, 0), (5, None, 0)];
    let plan = ca.plan(&ca.records(&rows, &older), &older, Vec::new());
    assert_eq!(
        told(&plan.crls[0].entries),
        [
            (None, 1, Origin::Published),
            (Some(5), 1, Origin::Published),
            (Some(3), SUPERSEDED, Origin::Database)
        ]
    );
    assert_eq!(severities(&plan), ["crl-unknown-certificate", "crl-contradiction", "crl-contradiction"]);
}

#[test]
fn what_expired_before_the_last_crl_is_left_out_unless_it_is_kept_for_good() {
    let ca = Ca::new();
    // The last one of the second list was made while the clock was years ahead: nothing had expired by then.
    for made in [&[0][..], &[0, 3_000]] {
        let mut reading = Reading::new(Maker::Windows, at(10), [].into());
        reading.row(ca.openssl.row("ca", 1, Disposition::CA_CERTIFICATE)).unwrap();
        for (id, ends, kept) in [(2, -1, false), (3, -1, true), (4, 1, false)] {
            let row = Row {
                revoked_effective_when: Some(at(-9)),
                not_after: Some(at(ends)),
                publish_expired: kept,
                ..ca.openssl.row("leaf", id, Disposition::REVOKED)
            };
            reading.row(row).unwrap();
        }
        for (number, day) in (100..).zip(made) {
            reading.crl(CrlRow {
                row_id: number,
                number,
                min_base: 0,
                name_id: 0,
                this_update: Some(at(*day)),
                next_update: Some(at(day + 8)),
                this_publish: Some(at(*day)),
                next_publish: Some(at(day + 7)),
                raw: Some(ca.published(number, 0, &[]).der),
            });
        }
        let records = reading.finish();
        let plan = ca.plan(&records, &[], Vec::new());
        let listed: Vec<_> = plan.crls[0].entries.iter().map(|entry| entry.request_id.unwrap()).collect();
        assert_eq!(listed, [4, 3], "{made:?}");
        // The row says so. Nobody takes a CRL that is dated in the future.
        assert_eq!(plan.deadline(), Some(at(8)));
        assert_eq!(plan.number.unseen, 2, "the CA may have published twice since then");
    }
}

/// The certificate of a renewal is missing, or is damaged: its key is there, and has signed.
#[test]
fn a_signature_shows_the_key_where_its_identifier_does_not() {
    let ca = Ca::new();
    ca.openssl.key("other", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    ca.openssl.ca("other", "other", None, "");
    ca.openssl.leaf("foreign", "other", "other", 3, "");
    let mut own = ca.openssl.row("ca", 1, Disposition::CA_CERTIFICATE);
    let der = own.certificate.as_mut().unwrap();
    let subject_key_identifier = [0x06, 0x03, 0x55, 0x1d, 0x0e, 0x04, 0x16, 0x04, 0x14];
    let at_identifier = der.windows(9).position(|window| window == subject_key_identifier).unwrap() + 9;
    der[at_identifier] ^= 1;
    let mut reading = Reading::new(Maker::Windows, at(10), [].into());
    reading.row(own).unwrap();
    for (id, name) in [(2, "leaf"), (3, "foreign"), (4, "leaf")] {
        reading.row(ca.openssl.row(name, id, Disposition::REVOKED)).unwrap();
    }
    let plan = ca.plan(&reading.finish(), &[], Vec::new());
    let listed: Vec<_> = plan.crls[0].entries.iter().map(|entry| entry.request_id.unwrap()).collect();
    assert_eq!(listed, [4, 2]);
    assert_eq!(severities(&plan), ["crl-left-out"]);
}

#[test]
fn making_it_again_from_itself_keeps_every_entry_and_raises_the_number() {
    let ca = Ca::new();
    let rows = [(2, Some(ON_HOLD), -1), (3, Some(SUPERSEDED), -1), (4, None, 0)];
    let order = Revocation::parse("4f3a00:keyCompromise", at(10)).unwrap();
    let first = ca.plan(&ca.records(&rows, &[]), &[], vec![order.clone()]);
    let signed = first.crls[0].sign(&first, &ca.key).unwrap();
    let published = [PublishedCrl::parse("first", &signed).unwrap()];
    let second = ca.plan(&ca.records(&rows, &published), &published, vec![order]);
    let serials = |plan: &Plan| -> BTreeSet<_> {
        plan.crls[0].entries.iter().map(|entry| entry.serial.clone()).collect()
    };
    assert_eq!(serials(&first), serials(&second));
    assert_eq!(serials(&first).len(), 3);
    assert!(first.number.number < second.number.number);
    assert!(second.findings.is_empty(), "{:?}", second.findings);
}

/// The number of an emergency CRL lies above all others although its maker may have known less: what it lacks was released only where
/// a CRL of the CA itself shows that.
#[test]
fn what_an_emergency_crl_lacks_was_not_released() {
    let ca = Ca::new();
    let last = ca.published(100, 0, &[]);
    let made = |rows: &[(i64, Option<i32>, i64)], published: &[PublishedCrl]| {
        let plan = ca.plan(&ca.records(rows, published), published, Vec::new());
        let signed = plan.crls[0].sign(&plan, &ca.key).unwrap();
        PublishedCrl::parse("emergency", &signed).unwrap().of_emergency(plan.crls[0].compared)
    };
    let listed = |rows: &[(i64, Option<i32>, i64)], published: &[PublishedCrl]| -> Vec<(String, i32)> {
        let plan = ca.plan(&ca.records(rows, published), published, Vec::new());
        let entries = &plan.crls[0].entries;
        entries.iter().map(|entry| (entry.serial.as_str().to_owned(), entry.reason)).collect()
    };
    let hold = |serial: &str| (serial.to_owned(), ON_HOLD);
    // The log with the hold turns up after the first emergency CRL was made.
    let first = made(&[(2, None, 0)], std::slice::from_ref(&last));
    assert!(100 < first.number());
    for published in [vec![first.clone()], vec![first.clone(), last.clone()], vec![last.clone(), first]] {
        assert_eq!(listed(&[(2, Some(ON_HOLD), 6)], &published), [hold("02")]);
    }
    // A CRL of the CA, newer than the database, showed that the hold was taken back; the next emergency CRL still knows.
    let rows = [(2, Some(ON_HOLD), -1)];
    let newer = ca.published(101, 5, &[]);
    let second = made(&rows, std::slice::from_ref(&newer));
    let third = made(&rows, std::slice::from_ref(&second));
    for published in [[second.clone()], [third], [newer]] {
        assert!(listed(&rows, &published).is_empty());
    }
    assert_eq!(listed(&rows, &[second.of_emergency(None)]), [hold("02")]);
    // One that knew more than the database at hand: what it lists stays.
    let more = made(&[(2, Some(ON_HOLD), 6), (3, Some(SUPERSEDED), 6)], &[]);
    let kept = [("03".to_owned(), SUPERSEDED), hold("02")];
    assert_eq!(listed(&[(2, None, 0), (3, None, 0)], std::slice::from_ref(&more)), kept);
    // One that was made without the last CRL of the CA does not stand in for it.
    let last = ca.published(101, 5, &[(4, Some(SUPERSEDED), 4)]);
    let rows = [(2, None, 0), (3, None, 0), (4, None, 0)];
    assert_eq!(listed(&rows, &[more, last])[0], ("04".to_owned(), SUPERSEDED));
}

#[test]
fn a_delta_crl_goes_with_its_base_and_openssl_takes_both() {
    let ca = Ca::new();
    // openssl looks at it with the clock of this machine.
    let rows = [(2, Some(SUPERSEDED), -3000)];
    let records = ca.records(&rows, &[]);
    let options = Options { deltas: Deltas::Normal, ..Options::new(crate::openssl::now()) };
    let plan = Plan::new(Issuers::of(&records).unwrap(), Some(&records), &[], &options).unwrap();
    let number = plan.number.number;
    assert_eq!(plan.crls[1].kind, CrlKind::Delta(number));
    let mut both = String::new();
    for crl in &plan.crls {
        both.push_str(&certadm_rules::pem::encode("X509 CRL", &crl.sign(&plan, &ca.key).unwrap()));
    }
    std::fs::write(ca.openssl.path("both.pem"), both).unwrap();
    let (accepted, why) = ca
        .openssl
        .run("verify -crl_check -use_deltas -extended_crl -CAfile ca.pem -CRLfile both.pem leaf.pem");
    assert!(!accepted && why.contains("error 23"), "{why}");
    ca.openssl.leaf("other", "ca", "ca", 7, "");
    ca.openssl.good("verify -crl_check -use_deltas -extended_crl -CAfile ca.pem -CRLfile both.pem other.pem");
}

/// A delta CRL of the base CRL 101, and that was not given: 100 was. What was put on hold between the two stands in neither.
#[test]
fn a_delta_crl_is_not_laid_over_a_base_that_it_does_not_build_on() {
    let mut ca = Ca::new();
    ca.number = 99;
    let rows = [(2, Some(ON_HOLD), -1), (3, Some(ON_HOLD), -1), (4, Some(ON_HOLD), -1)];
    // 3 was listed by then. 4 is taken off the list by the delta CRL, and 5 is new in it.
    let base = ca.published(100, 3, &[(3, Some(ON_HOLD), 1), (4, Some(ON_HOLD), 1)]);
    let delta = ca.delta(102, 101, &[("04", "removeFromCRL"), ("05", "superseded")]);
    let between = ca.delta(101, 100, &[("06", "superseded")]);
    let ids = |plan: &Plan| -> Vec<_> {
        plan.crls[0].entries.iter().map(|entry| entry.serial.as_str().to_owned()).collect()
    };
    let published = [base.clone(), delta.clone()];
    let records = ca.records(&rows, &published);
    let plan = ca.plan(&records, &published, Vec::new());
    assert_eq!(ids(&plan), ["05", "03", "02"], "the hold stays");
    let told = plan.findings.iter().find(|finding| finding.kind.key() == "crl-not-compared").unwrap();
    assert!(told.detail.contains("delta 102 builds on the base CRL 101"), "{told}");
    // The delta CRL of 101 closes the gap, in whatever order they come. Then what is not listed was released.
    for published in [[base.clone(), between.clone(), delta.clone()], [delta.clone(), between, base.clone()]]
    {
        let plan = ca.plan(&records, &published, Vec::new());
        assert_eq!(ids(&plan), ["06", "05", "03"]);
        assert!(!severities(&plan).contains(&"crl-not-compared"));
    }
    // The same with the database of the moment between: it knows what 101 knew, and its 3 was released since 100.
    ca.number = 101;
    let rows = [(2, Some(ON_HOLD), -1), (3, Some(RELEASED), -1), (4, Some(ON_HOLD), -1)];
    let plan = ca.plan(&ca.records(&rows, &published), &published, Vec::new());
    assert_eq!(ids(&plan), ["05", "02"]);
    assert!(!severities(&plan).contains(&"crl-not-compared"), "{:?}", plan.findings);
    // And with no base CRL at all.
    ca.number = 99;
    let alone = [delta];
    let plan = ca.plan(&ca.records(&rows, &alone), &alone, Vec::new());
    assert_eq!(ids(&plan), ["05", "02"]);
    assert!(severities(&plan).contains(&"crl-not-compared"));
}

/// Without a database nothing but the base CRL knows what was revoked before the delta CRL.
#[test]
fn a_delta_crl_alone_is_no_crl_to_make_the_next_one_of() {
    let ca = Ca::new();
    let base = ca.published(101, 5, &[(2, Some(SUPERSEDED), 1), (3, Some(1), 1)]);
    let delta = ca.delta(102, 101, &[("04", "keyCompromise")]);
    let make = |published: &[PublishedCrl]| {
        let issuers = published[0].issuer(ca.key.public_key()).unwrap();
        Plan::new(issuers, None, published, &Options::new(at(10)))
    };
    let error = make(std::slice::from_ref(&delta)).unwrap_err();
    assert!(matches!(&error, Error::NoBase { base: 101, .. }), "{error}");
    assert!(error.remedy().contains("--from-crl"), "{}", error.remedy());
    // Which of the two is named first does not matter.
    for published in [[delta.clone(), base.clone()], [base, delta]] {
        let plan = make(&published).unwrap();
        assert_eq!(plan.crls[0].entries.len(), 3);
        assert!(102 < plan.number.number);
    }
}

/// Each of two partitions lists its own certificates alone.
#[test]
fn base_crls_of_two_partitions_are_not_put_together() {
    let ca = Ca::new();
    let partition = |number: &str, serial: &str| {
        let point = "2.5.29.28 = critical,ASN1:SEQUENCE:idp";
        let sections = format!(
            "[idp]\na = IMPLICIT:0,SEQUENCE:name\n[name]\nf = IMPLICIT:0,SEQUENCE:full\n[full]\nu = IMPLICIT:6,IA5STRING:http://crl.example/{number}.crl"
        );
        let dates = ("300323000000Z", "300330000000Z");
        let der = ca.openssl.generated_crl(
            "65",
            dates,
            point,
            &sections,
            &[(serial, "300323000000Z", "superseded")],
        );
        PublishedCrl::parse(number, &der).unwrap()
    };
    let both = [partition("one", "02"), partition("two", "03")];
    let issuers = || both[0].issuer(ca.key.public_key()).unwrap();
    let plan = Plan::new(issuers(), None, &both[..1], &Options::new(at(10))).unwrap();
    assert_eq!(plan.crls[0].entries.len(), 1);
    let error = Plan::new(issuers(), None, &both, &Options::new(at(10))).unwrap_err();
    assert!(matches!(error, Error::TwoScopes { .. }), "{error}");
}

/// A delta CRL of the CA takes a hold back by an entry removeFromCRL: neither CRL lists the certificate any more. What it adds
/// is kept.
#[test]
fn a_published_delta_crl_takes_a_hold_back() {
    let ca = Ca::new();
    let base =
        ca.published(101, 5, &[(2, Some(ON_HOLD), 1), (3, Some(SUPERSEDED), 1), (5, Some(ON_HOLD), 1)]);
    let dates = ("300323000000Z", "300330000000Z");
    let when = "300323000000Z";
    let listed = [("02", when, "removeFromCRL"), ("04", when, "keyCompromise")];
    let delta = ca.openssl.generated_crl("66", dates, "2.5.29.27 = critical,ASN1:INTEGER:101", "", &listed);
    let delta = PublishedCrl::parse("delta.crl", &delta).unwrap();
    assert_eq!(delta.number(), 102);
    let published = [base, delta];
    let rows = [(2, Some(ON_HOLD), -1), (3, Some(SUPERSEDED), -1), (4, None, 0), (5, Some(ON_HOLD), -1)];
    let plan = ca.plan(&ca.records(&rows, &published), &published, Vec::new());
    let there = Origin::Published;
    assert_eq!(
        told(&plan.crls[0].entries),
        [(Some(5), ON_HOLD, there), (Some(4), 1, there), (Some(3), SUPERSEDED, there)]
    );
    assert!(102 < plan.number.number);
    // openssl, too, finds no entry of it.
    let der = plan.crls[0].sign(&plan, &ca.key).unwrap();
    ca.openssl.write_crl("crl.pem", &der);
    let text = ca.openssl.good("crl -in crl.pem -CAfile ca.pem -noout -text");
    assert!(!text.contains("Serial Number: 02") && !text.contains("Remove From CRL"), "{text}");
    assert!(text.contains("Serial Number: 04"), "{text}");
}
