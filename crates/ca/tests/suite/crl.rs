//! Revocation and the CRL, as `openssl` sees them.

use certadm_ca::health::clock_doubts;
use certadm_ca::{CrlOptions, Error, Issued, Publication, Reason, RevocationOrder, Terms, revoke};
use certadm_rules::FileTime;
use der::Decode;

use crate::support::{TestCa, openssl, run_openssl, server_request, text};

fn issue(ca: &mut TestCa) -> Issued {
    ca.issue(&server_request("a.example"), &Terms::new("tests")).unwrap()
}

fn order<'a>(issued: &'a Issued, reason: Reason) -> RevocationOrder<'a> {
    RevocationOrder {
        serial: &issued.serial,
        reason,
        by: "an officer",
        now: certadm_store::now(),
        effective: None,
    }
}

fn revoke_as(ca: &mut TestCa, issued: &Issued, reason: Reason) -> Result<(), Error> {
    ca.writer.commit(|transaction| revoke(transaction, &order(issued, reason))).map(|_| ())
}

fn publish(ca: &mut TestCa) -> certadm_ca::Publication {
    ca.authority.publish_crl(&mut ca.writer, certadm_store::now()).unwrap()
}

/// The CRL as `openssl crl` shows it, after it has verified it.
fn shown(ca: &TestCa) -> String {
    let crl = ca.authority.crl_path();
    let own = ca.folder.certificate_path();
    let verified =
        run_openssl(&["crl", "-inform", "DER", "-in", text(&crl), "-CAfile", text(&own), "-noout"]);
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(said.contains("verify OK"), "{said}");
    openssl(&["crl", "-inform", "DER", "-in", text(&crl), "-noout", "-text"])
}

fn listed(ca: &TestCa, issued: &Issued) -> bool {
    shown(ca).contains(&issued.serial.as_str().to_uppercase())
}

#[test]
fn a_new_ca_has_an_empty_crl() {
    let ca = TestCa::new();
    let shown = shown(&ca);
    for part in [
        "Version 2 (0x1)",
        "Issuer: CN = Test CA",
        "X509v3 CRL Number: \n                1\n",
        "X509v3 Authority Key Identifier",
        "No Revoked Certificates",
        "Next Update: ",
    ] {
        assert!(shown.contains(part), "no {part:?} in {shown}");
    }
    assert_eq!(ca.authority.crl_path(), ca.folder.crl_dir().join("Test CA.crl"));
}

#[test]
fn every_reason_reaches_the_crl() {
    let mut ca = TestCa::new();
    let reasons = [
        ("unspecified", ""),
        ("keyCompromise", "Key Compromise"),
        ("cACompromise", "CA Compromise"),
        ("affiliationChanged", "Affiliation Changed"),
        ("superseded", "Superseded"),
        ("cessationOfOperation", "Cessation Of Operation"),
        ("certificateHold", "Certificate Hold"),
        ("privilegeWithdrawn", "Privilege Withdrawn"),
        ("aACompromise", "AA Compromise"),
    ];
    let mut serials = Vec::new();
    for (name, _) in reasons {
        let issued = issue(&mut ca);
        revoke_as(&mut ca, &issued, name.parse().unwrap()).unwrap();
        serials.push(issued.serial);
    }
    let good = issue(&mut ca);
    let publication = publish(&mut ca);
    assert_eq!((publication.number, publication.entries), (2, reasons.len()));
    let shown = shown(&ca);
    for ((name, words), serial) in reasons.iter().zip(&serials) {
        let start = shown.find(&serial.as_str().to_uppercase()).unwrap_or_else(|| panic!("{name}: {shown}"));
        let entry = &shown[start..];
        let entry = &entry[..entry.find("Serial Number").unwrap_or(entry.len())];
        let entry = &entry[..entry.find("Signature Algorithm").unwrap_or(entry.len())];
        assert_eq!(entry.contains("Reason Code"), !words.is_empty(), "{name}: {entry}");
        assert!(entry.contains(words), "{name}: {entry}");
    }
    assert!(!listed(&ca, &good));
}

#[test]
fn openssl_refuses_a_revoked_certificate() {
    let mut ca = TestCa::new();
    let (bad, good) = (issue(&mut ca), issue(&mut ca));
    revoke_as(&mut ca, &bad, Reason::KEY_COMPROMISE).unwrap();
    publish(&mut ca);
    let pem = ca.scratch.path().join("crl.pem");
    let crl = ca.authority.crl_path();
    openssl(&["crl", "-inform", "DER", "-in", text(&crl), "-out", text(&pem)]);
    ca.verify(&good, &["-crl_check", "-CRLfile", text(&pem)]);
    let own = ca.folder.certificate_path();
    let path = ca.save(&bad);
    let refused =
        run_openssl(&["verify", "-CAfile", text(&own), "-crl_check", "-CRLfile", text(&pem), text(&path)]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("certificate revoked"), "{said}");
}

#[test]
fn a_hold_ends_and_nothing_else_does() {
    let mut ca = TestCa::new();
    let held = issue(&mut ca);
    let not_on_hold = revoke_as(&mut ca, &held, Reason::REMOVE_FROM_CRL).unwrap_err();
    assert!(matches!(not_on_hold, Error::NotOnHold { .. }));
    revoke_as(&mut ca, &held, Reason::CERTIFICATE_HOLD).unwrap();
    publish(&mut ca);
    assert!(listed(&ca, &held));
    let again = revoke_as(&mut ca, &held, Reason::CERTIFICATE_HOLD).unwrap_err();
    assert!(matches!(again, Error::AlreadyRevoked { .. }));
    revoke_as(&mut ca, &held, Reason::REMOVE_FROM_CRL).unwrap();
    publish(&mut ca);
    assert!(!listed(&ca, &held));

    // on hold again, and then for good
    revoke_as(&mut ca, &held, Reason::CERTIFICATE_HOLD).unwrap();
    revoke_as(&mut ca, &held, Reason::SUPERSEDED).unwrap();
    let final_one = revoke_as(&mut ca, &held, Reason::REMOVE_FROM_CRL).unwrap_err();
    assert!(matches!(final_one, Error::NotOnHold { .. }));
    let twice = revoke_as(&mut ca, &held, Reason::KEY_COMPROMISE).unwrap_err();
    let Error::AlreadyRevoked { reason, .. } = &twice else {
        panic!("{twice}");
    };
    assert_eq!(*reason, Reason::SUPERSEDED);
    assert!(twice.to_string().contains("superseded"), "{twice}");
}

#[test]
fn only_issued_certificates_are_revoked() {
    let mut ca = TestCa::new();
    let issued = issue(&mut ca);
    let unknown = Issued { serial: "abcdef".parse().unwrap(), ..issued.clone() };
    let error = revoke_as(&mut ca, &unknown, Reason::SUPERSEDED).unwrap_err();
    assert!(matches!(error, Error::UnknownSerial { .. }));
    let own = Issued { serial: ca.authority.serial().clone(), ..issued };
    let error = revoke_as(&mut ca, &own, Reason::CA_COMPROMISE).unwrap_err();
    assert!(matches!(error, Error::OwnCertificate { .. }));
}

#[test]
fn an_effective_date_counts() {
    let mut ca = TestCa::new();
    let (past, future) = (issue(&mut ca), issue(&mut ca));
    let now = certadm_store::now();
    let at = |days: i64| FileTime::from_unix_seconds(now.unix_seconds() + days * 86_400);
    for (issued, days) in [(&past, -3), (&future, 3)] {
        let order = RevocationOrder { effective: Some(at(days)), ..order(issued, Reason::SUPERSEDED) };
        ca.writer.commit(|transaction| revoke(transaction, &order)).unwrap();
    }
    publish(&mut ca);
    assert!(listed(&ca, &past));
    assert!(!listed(&ca, &future));
    ca.authority.publish_crl(&mut ca.writer, at(4)).unwrap();
    assert!(listed(&ca, &future));
}

#[test]
fn expired_certificates_leave_after_one_more_crl() {
    let mut ca = TestCa::new();
    let day = |n: i64| FileTime::from_unix_seconds(certadm_store::now().unix_seconds() + n * 86_400);
    let request = server_request("a.example");
    let short = ca.issue(&request, &Terms { days: Some(2), ..Terms::new("tests") }).unwrap();
    let signing = crate::support::request(crate::support::P256, "/CN=signer", &[]);
    let kept = ca
        .issue(&signing, &Terms { days: Some(2), profile: Some("code-signing"), ..Terms::new("tests") })
        .unwrap();
    for issued in [&short, &kept] {
        revoke_as(&mut ca, issued, Reason::SUPERSEDED).unwrap();
    }
    for (when, expected) in [(0, true), (3, true), (4, false), (5, false)] {
        ca.authority.publish_crl(&mut ca.writer, day(when)).unwrap();
        assert_eq!(listed(&ca, &short), expected, "day {when}");
        assert!(listed(&ca, &kept), "day {when}");
    }
}

/// A CRL of a clock that was years ahead made every certificate look as if it had expired and had been listed once more.
/// Publishes a CRL although the last one is dated later.
fn after_wrong_clock(ca: &mut TestCa, now: FileTime) -> certadm_ca::Result<Publication> {
    let options = CrlOptions { after_wrong_clock: true, ..CrlOptions::default() };
    ca.authority.publish_crl_with(&mut ca.writer, now, options)
}

#[test]
fn a_crl_of_a_wrong_clock_makes_no_certificate_expire() {
    let mut ca = TestCa::new();
    let day = |n: i64| FileTime::from_unix_seconds(certadm_store::now().unix_seconds() + n * 86_400);
    let request = server_request("a.example");
    let short = ca.issue(&request, &Terms { days: Some(2), ..Terms::new("tests") }).unwrap();
    let before = issue(&mut ca);
    for issued in [&short, &before] {
        revoke_as(&mut ca, issued, Reason::KEY_COMPROMISE).unwrap();
    }
    publish(&mut ca);
    ca.authority.publish_crl(&mut ca.writer, day(3)).unwrap();
    ca.authority.publish_crl(&mut ca.writer, day(3_000)).unwrap();
    let after = issue(&mut ca);
    revoke_as(&mut ca, &after, Reason::KEY_COMPROMISE).unwrap();
    after_wrong_clock(&mut ca, day(4)).unwrap();
    assert!(listed(&ca, &before) && listed(&ca, &after));
    assert!(!listed(&ca, &short), "it has expired, and was in a CRL after that");
}

/// Our own rows have all dates. Those of a restored set may be anybody's.
#[test]
fn a_date_that_is_missing_leaves_no_certificate_out() {
    let columns = ["RevokedEffectiveWhen", "RevokedWhen", "NotAfter"];
    for missing in [&columns[..1], &columns[1..2], &columns[2..], &columns[..]] {
        let mut ca = TestCa::new();
        let issued = issue(&mut ca);
        revoke_as(&mut ca, &issued, Reason::KEY_COMPROMISE).unwrap();
        publish(&mut ca);
        ca.writer
            .commit(|transaction| {
                for column in missing {
                    let table = if *column == "NotAfter" { "Certificates" } else { "Requests" };
                    let sql = format!("UPDATE {table} SET {column} = NULL WHERE RequestID = ?1");
                    transaction.execute(&sql, [issued.request_id])?;
                }
                Ok::<_, Error>(())
            })
            .unwrap();
        publish(&mut ca);
        assert!(listed(&ca, &issued), "without {missing:?}");
    }
}

/// Some of those who check certificates take an entry of a later date for none.
#[test]
fn no_entry_is_dated_later_than_the_crl() {
    let mut ca = TestCa::new();
    let issued = issue(&mut ca);
    let now = certadm_store::now();
    let ahead = FileTime::from_unix_seconds(now.unix_seconds() + 365 * 86_400);
    let doubts = |ca: &TestCa, now| clock_doubts(ca.writer.connection(), &ca.folder, now).unwrap().len();
    assert_eq!(doubts(&ca, now), 0);
    // The last CRL ended long ago, by that clock.
    assert_eq!(doubts(&ca, ahead), 1);
    assert_eq!(doubts(&ca, FileTime::from_unix_seconds(now.unix_seconds() - 86_400)), 2);
    // So it does while a CA is down: one that was restored after its last CRL has no wrong clock for that.
    let recovered = |ca: &mut TestCa, when: Option<FileTime>| {
        let set = |transaction: &rusqlite::Transaction<'_>| {
            let when = when.map(|when| when.0);
            transaction.execute("UPDATE store_state SET recovered_when = ?1", [when])?;
            Ok::<_, Error>(())
        };
        ca.writer.commit(set).unwrap();
    };
    recovered(&mut ca, Some(FileTime::from_unix_seconds(now.unix_seconds() - 86_400)));
    assert_eq!(doubts(&ca, ahead), 1, "the CRL is newer");
    recovered(&mut ca, Some(ahead));
    assert_eq!(doubts(&ca, ahead), 0);
    recovered(&mut ca, None);
    let order = RevocationOrder { now: ahead, ..order(&issued, Reason::KEY_COMPROMISE) };
    ca.writer.commit(|transaction| revoke(transaction, &order)).unwrap();
    let published = publish(&mut ca);
    let entry = x509_cert::crl::CertificateList::<x509_cert::certificate::Rfc5280>::from_der(&published.der);
    let entry = entry.unwrap().tbs_cert_list.revoked_certificates.unwrap().remove(0);
    assert!(certadm_ca::dates::from_x509(entry.revocation_date) <= certadm_store::now());
}

#[test]
fn numbers_only_grow() {
    let mut ca = TestCa::new();
    assert_eq!(publish(&mut ca).number, 2);
    // recovery from an older backup: the floor is raised
    ca.writer
        .commit(|transaction| {
            transaction.execute("UPDATE store_state SET crl_number_floor = 1000", [])?;
            Ok::<_, Error>(())
        })
        .unwrap();
    assert_eq!(publish(&mut ca).number, 1001);
    assert_eq!(publish(&mut ca).number, 1002);
    // the database is older than the CRL in the folder
    ca.writer
        .commit(|transaction| {
            transaction.execute("UPDATE store_state SET crl_number_floor = 0", [])?;
            transaction.execute("DELETE FROM CRLs WHERE Number > 2", [])?;
            Ok::<_, Error>(())
        })
        .unwrap();
    assert_eq!(publish(&mut ca).number, 1003);
    // a file that is not our CRL says nothing, and is replaced
    std::fs::write(ca.authority.crl_path(), b"nonsense").unwrap();
    assert_eq!(publish(&mut ca).number, 1004);
    let other = TestCa::new();
    std::fs::copy(other.authority.crl_path(), ca.authority.crl_path()).unwrap();
    assert_eq!(publish(&mut ca).number, 1005);
    std::fs::remove_file(ca.authority.crl_path()).unwrap();
    std::fs::remove_dir(ca.folder.crl_dir()).unwrap();
    assert_eq!(publish(&mut ca).number, 1006);
    assert!(shown(&ca).contains("1006"));
    // and the numbers end without turning over
    ca.writer
        .commit(|transaction| {
            transaction.execute("UPDATE store_state SET crl_number_floor = ?1", [i64::MAX])?;
            Ok::<_, Error>(())
        })
        .unwrap();
    let end = ca.authority.publish_crl(&mut ca.writer, certadm_store::now());
    assert!(matches!(end, Err(Error::CrlNumbersExhausted)));
    assert!(shown(&ca).contains("1006"));
}

#[test]
fn file_and_row_are_the_same() {
    let mut ca = TestCa::new();
    let publication = publish(&mut ca);
    let row: Vec<u8> = ca
        .writer
        .connection()
        .query_row("SELECT RawCRL FROM CRLs WHERE Number = 2", [], |row| row.get(0))
        .unwrap();
    assert_eq!(row, publication.der);
    assert_eq!(std::fs::read(&publication.path).unwrap(), publication.der);
    let names: Vec<_> = std::fs::read_dir(ca.folder.crl_dir()).unwrap().collect();
    assert_eq!(names.len(), 1);
}

#[test]
fn a_crl_that_cannot_be_written_leaves_no_row() {
    let mut ca = TestCa::new();
    std::fs::remove_file(ca.authority.crl_path()).unwrap();
    std::fs::create_dir(ca.authority.crl_path()).unwrap(); // nothing can be put in its place
    ca.authority.publish_crl(&mut ca.writer, certadm_store::now()).unwrap_err();
    let count: i64 =
        ca.writer.connection().query_row("SELECT count(*) FROM CRLs", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1);
}

/// What a clock may be off by, and what it may not: a CRL of a wrong date would end before the one that it replaces.
#[test]
fn a_crl_is_made_only_at_a_time_that_can_be_right() {
    let mut ca = TestCa::new();
    let at = |days: i64| FileTime::from_unix_seconds(certadm_store::now().unix_seconds() + days * 86_400);
    let number = |ca: &TestCa| -> i64 {
        ca.writer.connection().query_row("SELECT max(Number) FROM CRLs", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(number(&ca), 1);
    // Before the CA's own certificate and after its end: neither the usual way nor the one after a wrong clock.
    for days in [-7, 36_500] {
        for error in [
            ca.authority.publish_crl(&mut ca.writer, at(days)).unwrap_err(),
            after_wrong_clock(&mut ca, at(days)).unwrap_err(),
        ] {
            assert!(matches!(error, Error::CaNotValid { .. }), "{days} days: {error}");
        }
    }
    assert_eq!(number(&ca), 1, "no number is used up");
    // A clock that was ahead when the last CRL was made.
    ca.authority.publish_crl(&mut ca.writer, at(20)).unwrap();
    for days in [0, 19] {
        let error = ca.authority.publish_crl(&mut ca.writer, at(days)).unwrap_err();
        assert!(matches!(error, Error::ClockBehindCrl { .. }), "{days} days: {error}");
    }
    assert_eq!(number(&ca), 2);
    assert_eq!(after_wrong_clock(&mut ca, at(0)).unwrap().number, 3);
    assert_eq!(publish(&mut ca).number, 4, "the wrong date is history");
}

/// A Windows CA gives a base CRL and its delta CRL the same number.
#[test]
fn two_crls_may_share_a_number() {
    let mut ca = TestCa::new();
    ca.writer
        .commit(|transaction| {
            transaction.execute("INSERT INTO CRLs (Number, MinBase) VALUES (7, 0), (7, 5)", [])?;
            Ok::<_, Error>(())
        })
        .unwrap();
    assert_eq!(publish(&mut ca).number, 8);
}

/// What lies where the CRL goes is about to be replaced: a file that no CRL can be as long as must not keep the next one from being
/// made.
#[test]
fn a_file_that_is_too_long_for_a_crl_is_replaced() {
    let mut ca = TestCa::new();
    let path = ca.authority.crl_path();
    let before = publish(&mut ca).number;
    std::fs::File::create(&path).unwrap().set_len(certadm_ca::MAX_CRL + 1).unwrap();
    assert_eq!(publish(&mut ca).number, before + 1);
    assert!(shown(&ca).contains("No Revoked Certificates"));
}
