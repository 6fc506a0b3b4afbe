//! The views of a real CA database.

use certadm_ese::Database;
use certadm_ese::ca::{Cell, View, ViewName};

fn database() -> Database<Vec<u8>> {
    Database::open(crate::common::fixture("certlog/CertLog.edb").unwrap()).unwrap()
}

fn cell<'a>(view: &View<'_, Vec<u8>>, row: &'a [Cell], field: &str) -> &'a Cell {
    let index = view.fields().iter().position(|known| known.name == field);
    &row[index.unwrap_or_else(|| panic!("no field {field}"))]
}

#[test]
fn every_view_of_a_real_ca_is_complete_and_readable() {
    let database = database();
    let expected = [
        (ViewName::Requests, 11),
        (ViewName::Certificates, 8),
        (ViewName::Extensions, 92),
        (ViewName::Attributes, 26),
        (ViewName::Crls, 2),
    ];
    for (name, rows) in expected {
        let view = View::open(&database, name).unwrap();
        let found: Vec<_> = view.rows().map(Result::unwrap).collect();
        assert_eq!(found.len(), rows, "{name:?}");
        // No column of the table is hidden, and every one has a name an administrator knows.
        let columns = database.table(name.table()).unwrap().definition().columns.len();
        assert!(columns <= view.fields().len(), "{name:?}");
        for field in view.fields() {
            assert!(field.name.contains(' '), "{name:?} {}", field.name);
        }
        for row in &found {
            assert_eq!(row.len(), view.fields().len());
            for cell in row {
                assert!(!matches!(cell, Cell::Unreadable(_)), "{cell}");
                assert!(!matches!(cell, Cell::Word(_, None)), "{cell}");
            }
        }
    }
}

#[test]
fn a_certificate_is_shown_with_its_request() {
    let database = database();
    let view = View::open(&database, ViewName::Certificates).unwrap();
    let rows: Vec<_> = view.rows().map(Result::unwrap).collect();
    let show = |row: usize, field: &str| cell(&view, &rows[row], field).to_string();
    assert_eq!(show(0, "Request Disposition"), "CA certificate");
    assert_eq!(show(0, "Issued Common Name"), "SEVENKINGDOMS-CA");
    assert_eq!(show(1, "Request Disposition"), "issued");
    assert_eq!(show(1, "Serial Number"), "650000000259eefa38562a8363000000000002");
    assert_eq!(show(1, "Certificate Template"), "DomainController");
    assert_eq!(show(1, "Certificate Effective Date"), "2025-09-30T08:50:51.6376145Z");
    assert_eq!(show(1, "Requester Name"), "SEVENKINGDOMS\\KINGSLANDING$");
    assert_eq!(show(0, "Issued Domain Component"), "local\nsevenkingdoms");
    assert_eq!(show(0, "Revocation Reason"), "");
}

#[test]
fn extensions_and_lists_are_in_words() {
    let database = database();
    let view = View::open(&database, ViewName::Extensions).unwrap();
    let rows: Vec<_> = view.rows().map(Result::unwrap).collect();
    let flags = cell(&view, &rows[1], "Extension Flags");
    assert_eq!(flags.to_string(), "origin imported certificate, critical");
    let view = View::open(&database, ViewName::Crls).unwrap();
    let rows: Vec<_> = view.rows().map(Result::unwrap).collect();
    assert_eq!(cell(&view, &rows[0], "CRL Publish Flags").to_string(), "base");
    assert_eq!(cell(&view, &rows[1], "CRL Publish Flags").to_string(), "delta");
}

/// A column of another type than a CA has there.
#[test]
fn a_value_of_another_kind_is_text_for_a_person() {
    let original = crate::common::fixture("certlog/CertLog.edb").unwrap();
    let requests = database().table("Requests").unwrap().definition().clone();
    let column = (requests.object_id, 2, requests.column("RequestFlags").unwrap().id);
    let bytes = crate::common::with_catalog_row(&original, certadm_ese::catalog::CATALOG_ROOT, column, 6);
    let database = Database::open(bytes).unwrap();
    let view = View::open(&database, ViewName::Requests).unwrap();
    for row in view.rows().map(Result::unwrap) {
        let shown = cell(&view, &row, "Request Flags").to_string();
        assert!(shown.parse::<f32>().is_ok(), "{shown}");
    }
}

#[test]
fn every_certificate_comes_out_as_der_and_pem() {
    let database = database();
    let certificates: Vec<_> = database.certificates().unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(certificates.len(), 8);
    for certificate in &certificates {
        // SEQUENCE with a two-byte length that is the rest of the value.
        let [0x30, 0x82, high, low] = certificate.der[..4] else {
            panic!("no certificate: {:02x?}", &certificate.der[..4]);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        assert_eq!(length + 4, certificate.der.len());
        // The serial number in the database is the one in the certificate.
        let hex: String = certificate.der.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(hex.contains(&certificate.serial_number));
        assert!(certificate.to_pem().starts_with("-----BEGIN CERTIFICATE-----\nMII"));
    }
}

#[test]
fn a_row_is_found_by_its_number() {
    let database = database();
    let requests = database.table("requests").unwrap();
    let row = requests.row_by_number(10).unwrap().unwrap();
    assert_eq!(row.by_name("RequestID").unwrap().integer(), Some(10));
    assert!(requests.row_by_number(12).unwrap().is_none());
    assert!(requests.row_by_number(-1).unwrap().is_none());
}

/// The catalog says how long a value may be; what a long value says of itself is not believed beyond that.
#[test]
fn a_long_value_is_no_longer_than_its_column_allows() {
    let database = Database::open(crate::common::fixture("certlog/CertLog.edb").unwrap()).unwrap();
    let table = database.table("Certificates").unwrap();
    let column = table.column("RawCertificate").unwrap();
    let mut short = column.clone();
    short.max_length = 100;
    let mut refused = 0;
    for row in table.rows() {
        let row = row.unwrap();
        row.value(column).unwrap();
        if let Err(error) = row.value(&short) {
            assert!(error.to_string().contains("longer than its column allows"), "{error}");
            refused += 1;
        }
    }
    assert_ne!(refused, 0);
}
