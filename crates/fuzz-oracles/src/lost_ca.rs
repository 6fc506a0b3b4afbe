//! What a lost CA's CRL is made from: CRLs that were fetched, certificates of a database, lists of revocations.

use certadm_recovery::{Issuers, Maker, Options, Plan, PublishedCrl, Reading, Revocation, Row};
use certadm_rules::{FileTime, pem};

/// The first octet says what the rest is: 0 a CRL, 1 the certificate of a CA, 2 a list of revocations.
pub(crate) fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind {
        0 => crl(rest),
        1 => certificate(rest),
        _ => list(rest),
    }
}

/// A CRL that is accepted is accepted in PEM, too, and lists the same.
fn crl(data: &[u8]) {
    let Ok(crl) = PublishedCrl::parse("input", data) else { return };
    let again = PublishedCrl::parse("input", pem::encode("X509 CRL", &crl.der).as_bytes());
    let again = again.expect("the same in PEM");
    assert_eq!((again.number(), again.next_update()), (crl.number(), crl.next_update()));
    if let (Ok(serials), Ok(once_more)) = (crl.serials(), again.serials()) {
        assert_eq!(serials, once_more);
    }
}

/// A CA whose certificate is accepted gets its CRL, if it needs one.
fn certificate(data: &[u8]) {
    let now = FileTime::from_unix_seconds(1_800_000_000);
    let mut reading = Reading::new(Maker::Windows, now, [].into());
    for (request_id, disposition) in [(1, 15), (2, 20), (3, 21)] {
        let row = Row {
            request_id,
            disposition: certadm_ca::rows::Disposition(disposition),
            revoked_when: None,
            revoked_effective_when: Some(now),
            revoked_reason: Some(1),
            serial: Some("4f3a".parse().expect("a serial number")),
            not_after: None,
            publish_expired: false,
            issuer_name_id: None,
            certificate: Some(data.to_vec()),
        };
        if reading.row(row).is_err() {
            return;
        }
    }
    let records = reading.finish();
    let Ok(issuers) = Issuers::of(&records) else { return };
    match Plan::new(issuers, Some(&records), &[], &Options { allow_sha1: true, ..Options::new(now) }) {
        // None where the CA's certificate has expired and signed nothing that is in force.
        Ok(plan) => assert!(plan.crls.len() <= 1),
        // Such as a name that cannot be written again, or a date before 1970.
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A list that is accepted is kept, and read again the same.
fn list(data: &[u8]) {
    let now = FileTime::from_unix_seconds(1_800_000_000);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut notes = Vec::new();
    let lists = [
        Revocation::parse_csv(text, now, &mut notes).ok(),
        Revocation::parse_json(text, now, &mut notes).ok(),
    ];
    for list in lists.into_iter().flatten() {
        let kept = Revocation::to_json(&list);
        assert_eq!(Revocation::parse_json(&kept, now, &mut notes), Ok(list));
    }
}
