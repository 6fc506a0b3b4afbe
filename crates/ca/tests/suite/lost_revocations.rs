//! A database of before the CRL that was published last: what that one lists stays revoked.

use certadm_ca::health::unrecorded;
use certadm_ca::{CrlOptions, Issued, Publication, Reason, RevocationOrder, Terms, revoke};
use certadm_rules::FileTime;
use certadm_rules::finding::{Finding, Kind, Severity};

use crate::support::{TestCa, openssl, server_request, text};

fn issue(ca: &mut TestCa) -> Issued {
    ca.issue(&server_request("a.example"), &Terms::new("tests")).unwrap()
}

fn revoke_as(ca: &mut TestCa, issued: &Issued, reason: Reason) {
    let order = RevocationOrder {
        serial: &issued.serial,
        reason,
        by: "an officer",
        now: certadm_store::now(),
        effective: None,
    };
    ca.writer.commit(|transaction| revoke(transaction, &order)).unwrap();
}

fn publish(ca: &mut TestCa) -> Publication {
    ca.authority.publish_crl(&mut ca.writer, certadm_store::now()).unwrap()
}

fn listed(ca: &TestCa, issued: &Issued) -> bool {
    let crl = ca.authority.crl_path();
    let shown = openssl(&["crl", "-inform", "DER", "-in", text(&crl), "-noout", "-text"]);
    shown.contains(&issued.serial.as_str().to_uppercase())
}

fn run(ca: &mut TestCa, statements: &[&str]) {
    ca.writer
        .commit(|transaction| {
            statements.iter().try_for_each(|sql| transaction.execute_batch(sql))?;
            Ok::<_, certadm_ca::Error>(())
        })
        .unwrap();
}

/// The database knows neither the CRLs above this number nor any revocation, as after a restore.
fn forget(ca: &mut TestCa, above: i64) {
    run(
        ca,
        &[
            "UPDATE Requests SET Disposition = 20, DispositionMessage = 'Issued', RevokedWhen = NULL, \
             RevokedEffectiveWhen = NULL, RevokedReason = NULL WHERE Disposition = 21",
            &format!("DELETE FROM CRLs WHERE Number > {above}"),
            "UPDATE store_state SET crl_number_floor = 1000",
        ],
    );
}

fn kinds(findings: &[Finding]) -> Vec<(Kind, Severity)> {
    findings.iter().map(|finding| (finding.kind, finding.severity)).collect()
}

fn told(ca: &TestCa) -> Vec<(Kind, Severity)> {
    let database = ca.folder.database_path().unwrap();
    kinds(&unrecorded(ca.writer.connection(), &ca.folder, &database).unwrap())
}

#[test]
fn what_the_published_crl_lists_is_revoked_again() {
    let mut ca = TestCa::new();
    let (one, held, lifted, good) = (issue(&mut ca), issue(&mut ca), issue(&mut ca), issue(&mut ca));
    revoke_as(&mut ca, &lifted, Reason::CERTIFICATE_HOLD);
    publish(&mut ca);
    revoke_as(&mut ca, &lifted, Reason::REMOVE_FROM_CRL);
    revoke_as(&mut ca, &one, Reason::KEY_COMPROMISE);
    revoke_as(&mut ca, &held, Reason::CERTIFICATE_HOLD);
    // The end of a hold needs no word.
    assert_eq!(told(&ca), []);
    let before = publish(&mut ca);
    assert_eq!((before.entries, before.findings), (2, vec![]));
    forget(&mut ca, 2);

    let lacking = [(Kind::CrlContradiction, Severity::Warning)];
    assert_eq!(told(&ca), lacking);
    let after = publish(&mut ca);
    assert_eq!((after.number, after.entries, kinds(&after.findings)), (1001, 2, lacking.to_vec()));
    assert!(listed(&ca, &one) && listed(&ca, &held) && !listed(&ca, &lifted) && !listed(&ca, &good));
    // The database has them, with date and reason.
    let row = |issued: &Issued| -> (i32, i64, i32) {
        let sql =
            "SELECT Disposition, RevokedEffectiveWhen, RevokedReason FROM Requests WHERE RequestID = ?1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        ca.writer.connection().query_row(sql, [issued.request_id], read).unwrap()
    };
    let (disposition, effective, reason) = row(&one);
    assert_eq!((disposition, reason, row(&held).2), (21, 1, 6));
    assert!(effective <= certadm_store::now().0);
    assert_eq!(told(&ca), []);
    // A hold that is entered again can be taken back.
    revoke_as(&mut ca, &held, Reason::REMOVE_FROM_CRL);
    let last = publish(&mut ca);
    assert_eq!((last.entries, last.findings), (1, vec![]));
    assert!(!listed(&ca, &held));
}

#[test]
fn a_revocation_for_good_does_not_become_a_hold_again() {
    let mut ca = TestCa::new();
    let one = issue(&mut ca);
    revoke_as(&mut ca, &one, Reason::CERTIFICATE_HOLD);
    publish(&mut ca);
    revoke_as(&mut ca, &one, Reason::KEY_COMPROMISE);
    publish(&mut ca);
    run(
        &mut ca,
        &[
            "UPDATE Requests SET RevokedReason = 6 WHERE Disposition = 21",
            "DELETE FROM CRLs WHERE Number > 2",
        ],
    );
    assert_eq!(kinds(&publish(&mut ca).findings), [(Kind::CrlContradiction, Severity::Warning)]);
    let crl = ca.authority.crl_path();
    let shown = openssl(&["crl", "-inform", "DER", "-in", text(&crl), "-noout", "-text"]);
    assert!(shown.contains("Key Compromise") && !shown.contains("Hold"), "{shown}");
}

/// Issued and revoked after the backup: there is no row that could be revoked.
#[test]
fn an_unknown_certificate_stays_listed_until_it_is_dropped() {
    let mut ca = TestCa::new();
    let (gone, known) = (issue(&mut ca), issue(&mut ca));
    revoke_as(&mut ca, &gone, Reason::KEY_COMPROMISE);
    revoke_as(&mut ca, &known, Reason::SUPERSEDED);
    publish(&mut ca);
    run(
        &mut ca,
        &[
            &format!("UPDATE Certificates SET SerialNumber = '77' WHERE RequestID = {}", gone.request_id),
            &format!("UPDATE Requests SET Disposition = 20 WHERE RequestID = {}", gone.request_id),
            "DELETE FROM CRLs WHERE Number > 1",
        ],
    );
    let unknown = |severity| vec![(Kind::CrlUnknownCertificate, severity)];
    assert_eq!(told(&ca), unknown(Severity::Warning));
    let published = publish(&mut ca);
    assert_eq!((published.entries, kinds(&published.findings)), (2, unknown(Severity::Warning)));
    assert!(listed(&ca, &gone));
    // From then on it is no news, and it does not go with the file.
    assert_eq!(told(&ca), unknown(Severity::Note));
    std::fs::remove_file(ca.authority.crl_path()).unwrap();
    let published = publish(&mut ca);
    assert_eq!((published.entries, kinds(&published.findings)), (2, unknown(Severity::Note)));
    // Who wants to can leave it out, once and for all.
    let options = CrlOptions { drop_published: true, ..CrlOptions::default() };
    let dropped = ca.authority.publish_crl_with(&mut ca.writer, certadm_store::now(), options).unwrap();
    assert_eq!((dropped.entries, kinds(&dropped.findings)), (1, vec![(Kind::CrlLeftOut, Severity::Note)]));
    let last = publish(&mut ca);
    assert_eq!((last.entries, last.findings), (1, vec![]));
    assert!(!listed(&ca, &gone) && listed(&ca, &known));
}

#[test]
fn dropped_revocations_are_not_entered() {
    let mut ca = TestCa::new();
    let one = issue(&mut ca);
    revoke_as(&mut ca, &one, Reason::KEY_COMPROMISE);
    publish(&mut ca);
    forget(&mut ca, 1);
    let options = CrlOptions { drop_published: true, ..CrlOptions::default() };
    let dropped = ca.authority.publish_crl_with(&mut ca.writer, certadm_store::now(), options).unwrap();
    assert_eq!(dropped.entries, 0);
    assert!(!listed(&ca, &one));
    assert_eq!((publish(&mut ca).entries, told(&ca)), (0, vec![]));
}

/// An expired certificate that was left out after one more CRL does not come back.
#[test]
fn what_has_expired_leaves_as_before() {
    let mut ca = TestCa::new();
    let day = |n: i64| FileTime::from_unix_seconds(certadm_store::now().unix_seconds() + n * 86_400);
    let terms = Terms { days: Some(2), ..Terms::new("tests") };
    let short = ca.issue(&server_request("a.example"), &terms).unwrap();
    revoke_as(&mut ca, &short, Reason::SUPERSEDED);
    for (when, expected) in [(0, true), (3, true), (4, false), (5, false)] {
        let published = ca.authority.publish_crl(&mut ca.writer, day(when)).unwrap();
        assert_eq!((listed(&ca, &short), published.findings), (expected, vec![]), "day {when}");
    }
}
