//! The rows are those of a Windows CA.

use certadm_ca::rows::{CertificateRow, CrlRow, Disposition, ExtensionRow, RequestRow};
use certadm_ca::{
    Config, Error, KeyType, Reason, RevocationOrder, SanKind, SubjectAttribute, Terms, attributes,
    certificates, crls, extensions, requests, revoke, revoked,
};

use crate::support::{P256, RSA2048, TestCa, der_of, openssl, request, text};

/// One issued, one revoked and one denied request, below the CA's own certificate.
fn some() -> TestCa {
    let mut config = Config::new("Test CA".parse().unwrap(), KeyType::P256);
    let server = config.profiles.get_mut("server").unwrap();
    server.subject_attributes.push(SubjectAttribute::EMAIL_ADDRESS);
    server.subject_alternative_names.push(SanKind::Email);
    let mut ca = TestCa::with(config);
    let terms = Terms::new("EXAMPLE\\alice");
    let subject =
        "/C=DE/O=Example/OU=outer/OU=inner/L=Berlin/ST=Berlin/CN=a.example/emailAddress=a@a.example";
    let first = request(RSA2048, subject, &["-addext", "subjectAltName=DNS:a.example,email:a@a.example"]);
    ca.issue(&first, &terms).unwrap();
    let client = Terms { profile: Some("client"), ..terms };
    let upn = "subjectAltName=otherName:1.3.6.1.4.1.311.20.2.3;UTF8:bob@corp.example";
    let second = ca.issue(&request(P256, "/CN=bob", &["-addext", upn]), &client).unwrap();
    ca.issue(&request(P256, "/CN=x", &["-addext", "subjectAltName=DNS:*"]), &terms).unwrap_err();
    let order = RevocationOrder {
        serial: &second.serial,
        reason: Reason::SUPERSEDED,
        by: "EXAMPLE\\officer",
        now: certadm_store::now(),
        effective: None,
    };
    ca.writer.commit(|transaction| revoke(transaction, &order)).unwrap();
    ca
}

fn all<T>(list: impl FnOnce(&mut dyn FnMut(T) -> Result<(), Error>) -> Result<(), Error>) -> Vec<T> {
    let mut rows = Vec::new();
    list(&mut |row| {
        rows.push(row);
        Ok(())
    })
    .unwrap();
    rows
}

#[test]
fn requests_and_what_became_of_them() {
    let ca = some();
    let rows: Vec<RequestRow> = all(|visit| requests(ca.writer.connection(), visit));
    let dispositions: Vec<_> = rows.iter().map(|row| row.disposition).collect();
    assert_eq!(
        dispositions,
        [Disposition::CA_CERTIFICATE, Disposition::ISSUED, Disposition::REVOKED, Disposition::DENIED]
    );
    let ids: Vec<_> = rows.iter().map(|row| row.request_id).collect();
    assert_eq!(ids, [1, 2, 3, 4]);
    let issued = &rows[1];
    assert_eq!(issued.request_type, Some(0x100));
    assert_eq!(issued.status_code, Some(0));
    assert_eq!(issued.disposition_message.as_deref(), Some("Issued"));
    assert_eq!(issued.requester_name.as_deref(), Some("EXAMPLE\\alice"));
    assert_eq!(issued.common_name.as_deref(), Some("a.example"));
    assert!(issued.serial_number.is_some());
    assert_eq!(rows[2].disposition_message.as_deref(), Some("Revoked by EXAMPLE\\officer"));
    assert_eq!(rows[3].serial_number, None);
    assert_eq!(rows[3].status_code, Some(0x8009_4001_u32.cast_signed()));
}

#[test]
fn certificates_have_what_openssl_sees() {
    let ca = some();
    let connection = ca.writer.connection();
    let rows: Vec<CertificateRow> = all(|visit| certificates(connection, visit));
    assert_eq!(rows.len(), 3);
    let row = &rows[1];
    let der: Vec<u8> = connection
        .query_row("SELECT RawCertificate FROM Certificates WHERE RequestID = 2", [], |row| row.get(0))
        .unwrap();
    let path = ca.scratch.path().join("certificate.der");
    std::fs::write(&path, der).unwrap();
    let shown = openssl(&[
        "x509",
        "-inform",
        "DER",
        "-in",
        text(&path),
        "-noout",
        "-serial",
        "-fingerprint",
        "-sha1",
        "-ext",
        "subjectKeyIdentifier",
        "-enddate",
        "-dateopt",
        "iso_8601",
    ]);
    let serial = row.serial_number.as_ref().unwrap();
    assert!(shown.contains(&format!("serial={}", serial.to_uppercase())), "{shown}");
    let colons = |text: &Option<String>| text.as_ref().unwrap().replace(' ', ":").to_uppercase();
    assert!(shown.contains(&format!("Fingerprint={}", colons(&row.certificate_hash))), "{shown}");
    assert!(shown.contains(&colons(&row.subject_key_identifier)), "{shown}");
    let end = row.not_after.unwrap().to_rfc3339().replace('T', " ");
    assert!(shown.contains(&format!("notAfter={end}")), "{end}: {shown}");
    assert_eq!(row.public_key_algorithm.as_deref(), Some("1.2.840.113549.1.1.1"));
    assert_eq!(row.public_key_length, Some(2048));
    assert_eq!(row.certificate_template.as_deref(), Some("server"));
    assert_eq!(row.revocation, None);
    let bob = &rows[2];
    assert_eq!(bob.upn.as_deref(), Some("bob@corp.example"));
    assert_eq!(bob.public_key_length, Some(256));
    assert_eq!(bob.revocation.unwrap().reason, Reason::SUPERSEDED);
    let only: Vec<CertificateRow> = all(|visit| revoked(connection, visit));
    assert_eq!(only, rows[2..]);
}

#[test]
fn names_stand_in_their_columns() {
    let ca = some();
    let columns = "Country, Organization, OrganizationalUnit, Locality, StateOrProvince, CommonName, EMail";
    for table in ["Requests", "Certificates"] {
        let row: Vec<Option<String>> = ca
            .writer
            .connection()
            .query_row(
                &format!("SELECT {columns}, DistinguishedName FROM {table} WHERE RequestID = 2"),
                [],
                |row| (0..8).map(|column| row.get(column)).collect(),
            )
            .unwrap();
        let row: Vec<&str> = row.iter().map(|text| text.as_deref().unwrap()).collect();
        assert_eq!(
            row[..7],
            ["DE", "Example", "outer\ninner", "Berlin", "Berlin", "a.example", "a@a.example"]
        );
        assert!(row[7].contains("CN=a.example,ST=Berlin,L=Berlin,OU=inner,OU=outer"), "{}", row[7]);
    }
}

#[test]
fn raw_columns_hold_what_was_there() {
    let mut ca = TestCa::new();
    let pem = request(P256, "/CN=a.example", &["-addext", "subjectAltName=DNS:a.example"]);
    let issued = ca.issue(&pem, &Terms::new("tests")).unwrap();
    let (request, certificate, key, parameters): (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>) = ca
        .writer
        .connection()
        .query_row(
            "SELECT RawRequest, RawCertificate, PublicKey, PublicKeyParams \
             FROM Requests JOIN Certificates USING (RequestID) WHERE RequestID = ?1",
            [issued.request_id],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .unwrap();
    assert_eq!(request, der_of(&pem));
    assert_eq!(certificate, issued.der);
    assert_eq!((key.len(), key[0]), (65, 4)); // an uncompressed point
    assert_eq!(parameters, [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]); // P-256
}

#[test]
fn extensions_attributes_and_crls() {
    let ca = some();
    let connection = ca.writer.connection();
    let rows: Vec<ExtensionRow> = all(|visit| extensions(connection, visit));
    let of_first: Vec<_> = rows
        .iter()
        .filter(|row| row.request_id == 2)
        .map(|row| (row.name.as_str(), row.origin(), row.is_critical(), row.is_disabled()))
        .collect();
    assert_eq!(
        of_first,
        [
            ("2.5.29.14", "server", false, false),
            ("2.5.29.15", "policy", true, false),
            ("2.5.29.17", "request", false, false),
            ("2.5.29.35", "server", false, false),
            ("2.5.29.37", "policy", false, false),
        ]
    );
    assert!(rows.iter().any(|row| row.request_id == 1 && row.origin() == "CA certificate"));
    let names = all(|visit| attributes(connection, visit));
    assert!(names.iter().any(|row| row.request_id == 4 && row.name == "CertificateTemplate"));
    let lists: Vec<CrlRow> = all(|visit| crls(connection, visit));
    assert_eq!(lists.len(), 1);
    assert_eq!((lists[0].number, lists[0].min_base, lists[0].count), (1, Some(0), Some(0)));
    assert_eq!(lists[0].publish_flags, Some(5));
    assert!(lists[0].this_update < lists[0].next_publish);
    assert!(lists[0].next_publish < lists[0].next_update);
}

#[test]
fn a_listing_ends_when_its_reader_does() {
    let ca = some();
    let mut seen = 0;
    let ended = requests(ca.writer.connection(), |row| {
        seen += 1;
        Err(Error::UnknownRequest { request_id: row.request_id })
    });
    assert!(matches!(ended, Err(Error::UnknownRequest { request_id: 1 })));
    assert_eq!(seen, 1);
}

/// The database of a stranger may undo what is written (attack H4). Triggers of a file are off; one of the connection plays its
/// part here.
#[test]
fn nothing_is_said_to_be_done_that_the_database_does_not_say() {
    let mut ca = TestCa::new();
    let san = ["-addext", "subjectAltName=DNS:a.example"];
    let asked = |name: &str| request(P256, &format!("/CN={name}"), &san);
    let issued = ca.issue(&asked("a.example"), &Terms::new("tests")).unwrap();
    let trigger = |ca: &TestCa, text: &str| ca.writer.connection().execute_batch(text).unwrap();
    let count = |ca: &TestCa| -> i64 {
        ca.writer.connection().query_row("SELECT count(*) FROM Requests", [], |row| row.get(0)).unwrap()
    };
    let before = count(&ca);
    trigger(
        &ca,
        "CREATE TEMP TRIGGER undo AFTER UPDATE ON Requests WHEN new.Disposition = 21 BEGIN \
         UPDATE Requests SET Disposition = 20 WHERE RequestID = new.RequestID; END",
    );
    let order = RevocationOrder {
        serial: &issued.serial,
        reason: Reason::KEY_COMPROMISE,
        by: "EXAMPLE\\alice",
        now: certadm_store::now(),
        effective: None,
    };
    let refused = ca.writer.commit(|transaction| revoke(transaction, &order)).unwrap_err();
    assert!(matches!(refused, Error::NotRecorded { .. }), "{refused}");
    trigger(
        &ca,
        "DROP TRIGGER temp.undo; CREATE TEMP TRIGGER undo AFTER UPDATE ON Certificates BEGIN \
         DELETE FROM Certificates WHERE RequestID = new.RequestID; END; \
         CREATE TEMP TRIGGER undo_new AFTER INSERT ON Certificates BEGIN \
         DELETE FROM Certificates WHERE RequestID = new.RequestID; END",
    );
    let refused = ca.issue(&asked("a.example"), &Terms::new("tests")).unwrap_err();
    assert!(matches!(refused, Error::NotRecorded { .. }), "{refused}");
    assert_eq!(count(&ca), before, "nothing stays of what was refused");
    trigger(&ca, "DROP TRIGGER temp.undo; DROP TRIGGER temp.undo_new");
    ca.writer.commit(|transaction| revoke(transaction, &order)).unwrap();
}
