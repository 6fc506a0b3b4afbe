//! The anchor of everything here: CRLs that a real Windows CA signed come out of its database byte for byte.

use certadm_recovery::{Algorithm, Issuers, rebuild};

use crate::support::{certlog, records};

#[test]
fn both_crls_of_a_windows_ca_are_rebuilt_to_the_last_byte_and_its_signature_verifies_over_ours() {
    let records = records(certlog());
    let issuers = Issuers::of(&records).unwrap();
    let issuer = issuers.iter().next().unwrap();
    assert_eq!(issuers.iter().count(), 1);
    let sha256 = "300d06092a864886f70d01010b0500";
    let algorithm = Algorithm::from_der(&certadm_rules::hex::decode(sha256).unwrap()).unwrap();
    let mut sizes = Vec::new();
    for row in records.crls() {
        let ours = rebuild(&records, row, issuer, &[]).unwrap();
        // SEQUENCE { what was signed, algorithm, signature }: all three with lengths of two octets.
        let original = row.raw.as_deref().unwrap();
        let signed = &original[4..4 + ours.len()];
        assert_eq!(
            certadm_rules::hex::encode(&ours),
            certadm_rules::hex::encode(signed),
            "row {}",
            row.row_id
        );
        let signature = &original[original.len() - 256..];
        assert!(issuer.public_key().verifies(&algorithm, &ours, signature), "row {}", row.row_id);
        let mut changed = ours.clone();
        changed[100] ^= 1;
        assert!(!issuer.public_key().verifies(&algorithm, &changed, signature));
        sizes.push(ours.len());
    }
    assert_eq!(sizes, [680, 473]);
}
