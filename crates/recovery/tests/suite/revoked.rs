//! A Windows database with revoked certificates: what the CRL lists, in which order, with which dates.

use certadm_ca::Serial;
use certadm_recovery::{
    CrlKind, Deltas, Error, Issuers, Options, Origin, Plan, PublishedCrl, Reading, Records, Revocation, Row,
    merged,
};
use certadm_recovery::{CrlRow, Maker};
use certadm_rules::{Diagnosis, FileTime};

use crate::patch::{Patch, date, revoke};
use crate::support::{certlog, now, records};

/// Three revocations: superseded with a later date, a hold, a compromise.
fn patches() -> [Patch; 3] {
    let day = "2025-10-01T12:00:00Z";
    [Patch::new(10, 4, day, "2025-10-02T08:30:00Z"), Patch::new(9, 6, day, day), Patch::new(4, 1, day, day)]
}

fn revoked() -> Vec<u8> {
    let mut database = certlog();
    revoke(&mut database, &patches());
    database
}

fn plan(records: &Records, published: &[PublishedCrl], options: &Options) -> Result<Plan, Error> {
    Plan::new(Issuers::of(records).unwrap(), Some(records), published, options)
}

#[test]
fn entries_come_newest_first_with_reason_and_effective_date() {
    let records = records(revoked());
    let plan = plan(&records, &[], &Options::new(now())).unwrap();
    let listed: Vec<_> = plan.crls[0]
        .entries
        .iter()
        .map(|entry| (entry.request_id, entry.reason, entry.when.to_rfc3339(), entry.origin))
        .collect();
    let entry = |id, reason, when: &str| (Some(id), reason, when.to_owned(), Origin::Database);
    assert_eq!(
        listed,
        [
            entry(10, 4, "2025-10-02T08:30:00Z"),
            entry(9, 6, "2025-10-01T12:00:00Z"),
            entry(4, 1, "2025-10-01T12:00:00Z"),
        ]
    );
    assert!(plan.findings.is_empty(), "{:?}", plan.findings);
    // A base CRL without a pointer to delta CRLs, and an empty delta CRL that leads to it.
    let kinds: Vec<_> = plan.crls.iter().map(|crl| (crl.kind, crl.file_name.as_str())).collect();
    let number = plan.number.number;
    assert_eq!(kinds, [(CrlKind::Base, "SEVENKINGDOMS-CA"), (CrlKind::Delta(number), "SEVENKINGDOMS-CA+")]);
    assert!(plan.crls[1].entries.is_empty());
    assert!(plan.number.highest_known + 16 < number, "{:?}", plan.number);
    let urls: Vec<_> = plan.destinations.iter().map(|place| (place.delta, place.certificates)).collect();
    assert_eq!(urls, [(false, 7), (true, 0)], "{:?}", plan.destinations);
}

#[test]
fn a_revocation_that_takes_effect_later_is_told_and_not_listed() {
    let mut database = certlog();
    revoke(&mut database, &[Patch::new(4, 1, "2025-10-01T12:00:00Z", "2035-01-01T00:00:00Z")]);
    let records = records(database);
    let plan = plan(&records, &[], &Options::new(now())).unwrap();
    assert!(plan.crls[0].entries.is_empty());
    assert_eq!(plan.findings.len(), 1, "{:?}", plan.findings);
}

/// The CA entered it before this clock gets there: it is revoked. A CRL that ends before it begins is none.
#[test]
fn a_clock_that_is_behind_leaves_no_revocation_out() {
    let mut database = certlog();
    let later = "2025-10-20T12:00:00Z";
    revoke(&mut database, &[Patch::new(4, 1, later, later)]);
    let records = records(database);
    let late = plan(&records, &[], &Options::new(now())).unwrap();
    assert_eq!(late.crls[0].entries.len(), 1);
    assert_eq!(late.findings[0].kind, certadm_rules::finding::Kind::Clock, "{:?}", late.findings);
    // So long before the certificate of the CA begins that the CRL would have ended.
    let error = plan(&records, &[], &Options::new(date("2000-01-01T00:00:00Z"))).unwrap_err();
    assert!(matches!(error, Error::Ended { .. }), "{error}");
    let near = FileTime(records.crls()[0].this_update.unwrap().0 - 3600 * 10_000_000);
    let told = plan(&records, &[], &Options::new(near)).unwrap().findings;
    assert!(told.iter().any(|finding| finding.detail.contains("the CRL number")), "{told:?}");
}

#[test]
fn numbers_and_deltas_can_be_chosen() {
    let records = records(revoked());
    let with = |deltas, number| {
        let options = Options { deltas, number, ..Options::new(now()) };
        plan(&records, &[], &options)
    };
    assert_eq!(with(Deltas::None, None).unwrap().crls.len(), 1);
    let normal = with(Deltas::Normal, Some(500)).unwrap();
    assert_eq!((normal.number.number, normal.crls.len()), (500, 2));
    let shadow = with(Deltas::Shadow, Some(500)).unwrap();
    // With deltas the base CRL has one extension more.
    assert!(shadow.crls[0].to_be_signed.len() < normal.crls[0].to_be_signed.len());
    let highest = normal.number.highest_known;
    assert!(matches!(with(Deltas::None, Some(highest)), Err(Error::Number { .. })));
}

/// The two CRLs of the database, as somebody would have fetched them.
fn published(records: &Records) -> Vec<PublishedCrl> {
    let raw = records.crls().iter().filter_map(|row| row.raw.as_deref());
    raw.map(|der| PublishedCrl::parse("fetched.crl", der).unwrap()).collect()
}

#[test]
fn the_cas_own_crls_are_accepted_and_those_of_another_key_are_not() {
    let records = records(revoked());
    let options = Options::new(now());
    let plan = plan(&records, &published(&records), &options).unwrap();
    // They are as old as the table, so the database decides.
    assert_eq!(plan.crls[0].entries.len(), 3);
    let mut changed = records.crls()[0].raw.clone().unwrap();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    let changed = PublishedCrl::parse("changed.crl", &changed).unwrap();
    let error = self::plan(&records, &[changed], &options).unwrap_err();
    assert!(matches!(error, Error::PublishedElsewhere { .. }), "{error}");
    let pem = certadm_rules::pem::encode("X509 CRL", records.crls()[0].raw.as_deref().unwrap());
    assert!(PublishedCrl::parse("pem", pem.as_bytes()).is_ok());
    for wrong in [&b""[..], b"no CRL", &certlog()[..100], b"-----BEGIN X-----\n-----END X-----\n"] {
        assert!(matches!(PublishedCrl::parse("wrong", wrong), Err(Error::Published { .. })));
    }
}

#[test]
fn orders_are_added_and_end_holds() {
    let records = records(revoked());
    let of_request = |id: i64| {
        let entries = plan(&records, &[], &Options::new(now())).unwrap().crls[0].entries.clone();
        entries.into_iter().find(|entry| entry.request_id == Some(id)).unwrap().serial
    };
    let (hold, compromised) = (of_request(9), of_request(4));
    let order =
        |serial: &Serial, reason: &str| Revocation::parse(&format!("{serial}:{reason}"), now()).unwrap();
    let after_last: Serial = "6500000fff0000000000000000000000000fff".parse().unwrap();
    let with = |revocations| plan(&records, &[], &Options { revocations, ..Options::new(now()) }).unwrap();
    let plan = with(vec![
        order(&hold, "removeFromCRL"),
        order(&compromised, "removeFromCRL"),
        order(&after_last, "keyCompromise"),
    ]);
    let listed: Vec<_> = plan.crls[0].entries.iter().map(|entry| (entry.request_id, entry.origin)).collect();
    assert_eq!(listed, [(None, Origin::Order), (Some(10), Origin::Database), (Some(4), Origin::Database)]);
    // That a compromised key is not taken off the list is told.
    assert_eq!(plan.findings.len(), 1, "{:?}", plan.findings);
    // A hold becomes final; a serial number that cannot be one of the gap is told.
    let strange: Serial = "6500000000000000000000000000000000aa00".parse().unwrap();
    assert!(strange.as_str().ends_with("aa00"));
    let plan = with(vec![order(&hold, "superseded"), order(&"01".parse().unwrap(), "superseded")]);
    let of_hold = plan.crls[0].entries.iter().find(|entry| entry.serial == hold).unwrap();
    assert_eq!((of_hold.reason, of_hold.origin), (4, Origin::Order));
    assert_eq!(plan.findings.len(), 1, "{:?}", plan.findings);
}

#[test]
fn partitions_are_refused_by_name() {
    let error = Error::Partitions { index: 3, table: "CRLs" };
    let text = error.to_string();
    assert!(text.contains("partitions (index 3 occurs in the table CRLs)"), "{text}");
}

#[test]
fn what_is_typed_is_read_or_refused() {
    let now = date("2026-11-27T10:00:00Z");
    let good = Revocation::parse("0x4F3A:superseded:2026-11-01T01:02:03Z", now).unwrap();
    assert_eq!((good.serial.as_str(), good.reason.code()), ("4f3a", 4));
    assert_eq!(good.when.to_rfc3339(), "2026-11-01T01:02:03Z");
    assert_eq!(Revocation::parse("4f", now).unwrap().when, now);
    for wrong in [
        "",
        ":superseded",
        "4f:none",
        "4f:superseded:yesterday",
        "4f:superseded:2027-01-01",
        "4f:superseded:1969-12-31",
        "xy",
    ] {
        assert!(matches!(Revocation::parse(wrong, now), Err(Error::Revocation { .. })), "{wrong}");
    }
    let mut notes = Vec::new();
    let text = "serial,reason,when\r\n# a remark\r\n\r\n4f,keyCompromise,2026-01-01\r\n\"5f\"\r\n";
    let list = Revocation::parse_csv(text, now, &mut notes).unwrap();
    assert_eq!(list.len(), 2);
    // As openssl writes a serial number; a heading is a whole cell.
    for (text, expected) in [
        ("serial=4F\nserial=5F,keyCompromise\n", &["4f", "5f"][..]),
        ("Serial Number,Reason\n4f\n", &["4f"]),
        ("\"serial_number\"\n4f\n", &["4f"]),
    ] {
        let list = Revocation::parse_csv(text, now, &mut notes).unwrap();
        assert_eq!(list.iter().map(|one| one.serial.as_str()).collect::<Vec<_>>(), expected, "{text}");
    }
    assert!(Revocation::parse_csv("serial=\n4f\n", now, &mut notes).is_err());
    let error = Revocation::parse_csv("4f\n5f,nonsense\n", now, &mut notes).unwrap_err();
    assert!(error.to_string().contains("line 2"), "{error}");
    assert!(error.remedy().contains("SERIAL,REASON,WHEN"), "{error}");
    // What is revoked for good stays so, whatever a later list says.
    let one = |text: &str| Revocation::parse(text, now).unwrap();
    let lists = [one("4f:certificateHold"), one("4f:keyCompromise"), one("4f:removeFromCRL"), one("4f:6")];
    assert_eq!(merged(lists), [one("4f:keyCompromise")]);
    assert_eq!(merged([one("4f:certificateHold"), one("4f:removeFromCRL")]), [one("4f:removeFromCRL")]);
    let kept = Revocation::to_json(&list);
    assert_eq!(Revocation::parse_json(&kept, now, &mut notes).unwrap(), list);
    assert!(Revocation::parse_json("{}", now, &mut notes).is_err());
    assert!(notes.is_empty());
    // The clocks of two machines differ; what one of them has dated ahead by more keeps nothing else out of the CRL.
    let near = Revocation::parse("4f:superseded:2026-11-27T10:01:30Z", now).unwrap();
    assert_eq!(near.when, now);
    let near = r#"{"revocations":[{"serial_number":"4f","when":"2026-11-27T10:01:30Z"}]}"#;
    assert_eq!(Revocation::parse_json(near, now, &mut notes).unwrap()[0].when, now);
    assert!(notes.is_empty());
    let far = "4f,keyCompromise,2099-01-01\n5f,superseded,2026-01-01\n";
    let ahead = Revocation::parse_csv(far, now, &mut notes).unwrap();
    assert_eq!((ahead[0].when, ahead.len(), notes.len()), (now, 2, 1));
    let commands = Revocation::to_return_cmd(&list);
    assert!(commands.contains("certutil -revoke 4f 1\r\nif not %errorlevel%==0 "), "{commands}");
    assert!(commands.ends_with("    exit /b 1\r\n)\r\ncertutil -crl\r\n"), "{commands}");
}

/// Rows without a database behind them.
fn rows(rows: Vec<Row>, crls: Vec<CrlRow>) -> Records {
    let mut reading = Reading::new(Maker::Windows, now(), [].into());
    for row in rows {
        reading.row(row).unwrap();
    }
    for crl in crls {
        reading.crl(crl);
    }
    reading.finish()
}

#[test]
fn a_database_without_its_ca_is_refused() {
    let error = Issuers::of(&rows(Vec::new(), Vec::new())).unwrap_err();
    assert!(matches!(error, Error::NoCaCertificate), "{error}");
    let row = Row {
        request_id: 1,
        disposition: certadm_ca::rows::Disposition::CA_CERTIFICATE,
        revoked_when: None,
        revoked_effective_when: None,
        revoked_reason: None,
        serial: None,
        not_after: None,
        publish_expired: false,
        issuer_name_id: None,
        certificate: Some(vec![0x30, 0]),
    };
    let error = Issuers::of(&rows(vec![row.clone()], Vec::new())).unwrap_err();
    assert!(matches!(error, Error::CaCertificate { request_id: 1, .. }), "{error}");
    let revoked = Row { disposition: certadm_ca::rows::Disposition::REVOKED, ..row };
    let mut reading = Reading::new(Maker::Windows, FileTime(0), [].into());
    assert!(matches!(reading.row(revoked), Err(Error::DamagedRow { request_id: 1, .. })));
}
