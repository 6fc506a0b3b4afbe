//! Reading around damage: with any page of a CA database destroyed, everything that is not on it is read.

use std::collections::{BTreeMap, BTreeSet};

use certadm_ese::Database;
use certadm_ese::ca::{View, ViewName};
use certadm_ese::page::flag;

const PAGE: usize = 4096;

fn destroyed(original: &[u8], page: u32, zero: bool) -> Vec<u8> {
    let mut bytes = original.to_vec();
    let start = (page as usize + 1) * PAGE;
    for (place, byte) in bytes[start..start + PAGE].iter_mut().enumerate() {
        *byte = if zero { 0 } else { byte.wrapping_mul(7).wrapping_add(u8::try_from(place % 251).unwrap()) };
    }
    bytes
}

/// The certificates by request, and the rows of requests.
fn readable(database: &Database<Vec<u8>>) -> (BTreeMap<i32, Vec<u8>>, BTreeSet<String>) {
    let certificates = database.certificates().map(|all| {
        all.into_iter().flatten().map(|certificate| (certificate.request_id, certificate.der)).collect()
    });
    let requests = View::open(database, ViewName::Requests)
        .map(|view| view.rows().flatten().map(|row| row[0].to_string()).collect());
    (certificates.unwrap_or_default(), requests.unwrap_or_default())
}

/// The pages that hold the row of each request, and its certificate with all its parts.
fn pages_of(database: &Database<Vec<u8>>) -> BTreeMap<i32, BTreeSet<u32>> {
    let table = database.table("Certificates").unwrap();
    let long_values = database.tree(table.definition().long_values.unwrap()).pages().unwrap();
    let mut pages = BTreeMap::new();
    for row in table.rows() {
        let row = row.unwrap();
        let id = i32::try_from(row.by_name("RequestID").unwrap().integer().unwrap()).unwrap();
        let (page, _) = row.position();
        pages.insert(id, BTreeSet::from([page]));
    }
    // Which of the long values is on which page does not matter here: all of them count.
    let leaves: BTreeSet<u32> =
        long_values.into_iter().filter(|page| database.page(*page).unwrap().has(flag::LEAF)).collect();
    for of_row in pages.values_mut() {
        of_row.extend(&leaves);
    }
    pages
}

#[test]
fn every_certificate_that_is_not_on_a_destroyed_page_is_read() {
    let original = crate::common::fixture("certlog/CertLog.edb").unwrap();
    let whole = Database::open(original.clone()).unwrap();
    let (certificates, requests) = readable(&whole);
    let pages = pages_of(&whole);
    assert!(8 <= certificates.len() && requests.len() == 11);
    let salvaged = Database::open(original.clone()).unwrap().salvaging(&mut |_| {}).unwrap();
    assert_eq!(readable(&salvaged), (certificates.clone(), requests.clone()));
    assert_eq!(salvaged.skipped_pages(), 0);
    let used = (1..120).filter(|page| whole.page(*page).is_ok());
    let (mut all, mut some, mut without) = (0, 0, 0);
    for page in used {
        for zero in [false, true] {
            let bytes = destroyed(&original, page, zero);
            let (ordinary, _) = readable(&Database::open(bytes.clone()).unwrap());
            let database = Database::open(bytes).unwrap().salvaging(&mut |_| {}).unwrap();
            let (found, found_requests) = readable(&database);
            for (id, der) in &certificates {
                match found.get(id) {
                    Some(found) => assert_eq!(found, der, "page {page}"),
                    None => assert!(pages[id].contains(&page), "page {page}: request {id} is not on it"),
                }
            }
            if found_requests.len() < requests.len() {
                let table = whole.table("Requests").unwrap();
                assert!(table.rows().any(|row| row.unwrap().position().0 == page), "page {page}");
            }
            assert!(found.len() <= certificates.len());
            if !zero && found.len() < certificates.len() {
                assert_eq!(database.skipped_pages(), 1, "page {page}");
            }
            all += u32::from(found.len() == certificates.len());
            some += u32::from(found.len() < certificates.len());
            without += u32::from(ordinary.len() < found.len());
        }
    }
    println!("{all} times every certificate, {some} times some; {without} times more than without salvage");
    assert!(10 < without);
}
