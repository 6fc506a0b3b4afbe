//! What `verify` says of a Windows set and what `recover` does with it agree: both look at the database that the replay gives.

use std::fs;
use std::path::{Path, PathBuf};

use certadm_ese::checksum::{checksum_page, ecc_checksum, xor_checksum};
use certadm_rules::Diagnosis;
use certadm_rules::finding::{Finding, Kind};
use certadm_set::finding::Severity;
use certadm_set::progress::Silent;
use certadm_set::verify::{Report, verify};
use certadm_set::windows::recover;
use certadm_set::{Opened, open};

use crate::common::{edit, scratch};
use crate::windows_files::{backup, ca_database};

fn check(paths: &[PathBuf]) -> Report {
    verify(paths, &mut Silent)
}

/// Verifies and recovers, and compares the answers; the findings of the verification, and the error of the recovery.
fn both(paths: &[PathBuf], to: &Path) -> (Report, Option<certadm_set::Error>) {
    let report = check(paths);
    let Opened::Windows(sets) = open(paths).unwrap() else { panic!("they are of Windows") };
    let recovered = recover(&sets, to, &mut Silent);
    assert_eq!(report.is_restorable(), recovered.is_ok(), "{}: {recovered:?}", report.verdict());
    let _ = fs::remove_dir_all(to);
    (report, recovered.err())
}

fn words(report: &Report) -> Vec<&Finding> {
    report.findings.iter().filter(|finding| finding.severity == Severity::Error).collect()
}

/// Puts fields into a header of 4096 bytes and makes its checksum right.
fn header(bytes: &mut [u8], fields: &[(usize, &[u8])]) {
    for (at, field) in fields {
        bytes[*at..at + field.len()].copy_from_slice(field);
    }
    let sum = xor_checksum(bytes);
    bytes[..4].copy_from_slice(&sum.to_le_bytes());
}

/// A log of version 8 of these records, in one segment, of the sequence with this signature.
fn log(signature: &[u8], records: &[u8]) -> Vec<u8> {
    let mut log = vec![0; 6 * 4096];
    let numbers: [(usize, &[u8]); 12] = [
        (4, &1_u32.to_le_bytes()),
        (8, &4096_u16.to_le_bytes()),
        (10, &1_u16.to_le_bytes()),
        (12, &6_u16.to_le_bytes()),
        (14, &4096_u16.to_le_bytes()),
        (16, &[1, 0, 0, 1, 12, 125, 1, 0]),
        (32, &8_u32.to_le_bytes()),
        (36, &4000_u32.to_le_bytes()),
        (40, &5_u32.to_le_bytes()),
        (44, signature),
        (648, &16_u32.to_le_bytes()),
        (667, &3_u32.to_le_bytes()),
    ];
    header(&mut log[..4096], &numbers);
    let segment = &mut log[4096..8192];
    segment[10..12].copy_from_slice(&1_u16.to_le_bytes());
    segment[12..16].copy_from_slice(&1_u32.to_le_bytes());
    segment[36..40].copy_from_slice(&0x2000_u32.to_le_bytes());
    segment[40..40 + records.len()].copy_from_slice(records);
    let sum = ecc_checksum(segment, 1, true);
    segment[..8].copy_from_slice(&sum.to_le_bytes());
    log
}

/// A clean database of a CA that is sound, and a log that goes on with it where it was closed: it takes one row out of the table of
/// certificates, and no entry out of its indexes.
#[test]
fn a_clean_database_is_judged_by_what_logs_make_of_it() {
    const CERTIFICATES: u32 = 42;
    let dir = scratch();
    let mut database = ca_database();
    let field = |database: &[u8], at: usize, length: usize| database[at..at + length].to_vec();
    let (log_signature, signature) = (field(&database, 108, 28), field(&database, 24, 28));
    // It was closed at this position of the log.
    let closed = [40, 0, 1, 0, 1, 0, 0, 0];
    for copy in [0, 4096] {
        header(&mut database[copy..copy + 4096], &[(56, &closed), (96, &closed)]);
    }
    let page = (CERTIFICATES as usize + 1) * 4096;
    let time = u64::from_le_bytes(field(&database, page + 8, 8).try_into().unwrap());
    fs::write(dir.path().join("CertLog.edb"), &database).unwrap();
    let paths = [dir.path().to_owned()];
    let to = dir.path().join("to");
    let closing = [23];
    let opening = [&[15, 1, 0, 1, 0, 0, 0, 0][..], &closed, &signature, &log_signature, &[0, 0, 0]].concat();
    let with_log = |records: &[&[u8]]| {
        fs::write(dir.path().join("edb00001.log"), log(&log_signature, &records.concat())).unwrap();
        both(&paths, &to)
    };
    let (report, error) = with_log(&[&closing, &opening]);
    assert!(report.is_restorable() && error.is_none(), "{}", report.verdict());
    // Flags the node 2 of the page deleted, in no transaction.
    let deletion = [
        &[32, 1, 0, 1][..],
        &CERTIFICATES.to_le_bytes(),
        &(time + 1_000_000).to_le_bytes(),
        &time.to_le_bytes(),
        &[0, 0, 0, 0, 0, 2, 0, 4],
        &[0; 4],
        &31_u32.to_le_bytes(),
        &8_u32.to_le_bytes(),
    ]
    .concat();
    let (report, error) = with_log(&[&closing, &opening, &deletion]);
    assert!(words(&report).iter().any(|finding| finding.kind == Kind::IndexMismatch), "{report:?}");
    let error = error.unwrap().to_string();
    assert!(error.contains("entries for") && !error.contains("before"), "{error}");
}

/// A log that creates a database, and nothing in it.
#[test]
fn a_database_that_its_logs_create_is_looked_at() {
    let dir = scratch();
    let created = [&[14, 0, 0, 1][..], &[0; 8], &[7; 28], &[1, 0, 0, b'x']].concat();
    let file = dir.path().join("edb00001.log");
    fs::write(&file, log(&[7; 28], &created)).unwrap();
    let (report, error) = both(&[file], &dir.path().join("to"));
    assert_eq!(words(&report)[0].code, error.unwrap().hresult());
    assert!(words(&report).iter().any(|finding| finding.kind == Kind::Catalog), "{report:?}");
}

/// Each page of a backup copy in turn, with bytes that changed, and with a right checksum over what is no page. Its logs make some of
/// these pages anew.
#[test]
fn a_damaged_page_counts_if_it_is_there_after_the_replay() {
    const PAGE: usize = 8192;
    let dir = scratch();
    let Some((full, logs)) = backup(dir.path()) else { return };
    let file = full.join("DataBase/Store.edb");
    let whole = fs::read(&file).unwrap();
    let paths = [full, logs];
    let to = dir.path().join("to");
    let (mut made_anew, mut lost) = (None, 0);
    for number in 1..u32::try_from(whole.len() / PAGE - 2).unwrap() {
        let start = (number as usize + 1) * PAGE;
        if whole[start..start + PAGE].iter().all(|byte| *byte == 0) {
            continue;
        }
        for malformed in [false, true] {
            edit(&file, |bytes| {
                bytes.clone_from(&whole);
                let page = &mut bytes[start..start + PAGE];
                if malformed {
                    // More nodes than a page has room for.
                    page[34..36].copy_from_slice(&0xFFF_u16.to_le_bytes());
                    checksum_page(page, number);
                } else {
                    page[100..110].fill(0x5A);
                }
            });
            let (report, error) = both(&paths, &to);
            let of_page = report.findings.iter().filter(|finding| {
                matches!(finding.kind, Kind::PageChecksum | Kind::PageStructure | Kind::MisplacedPage)
            });
            let told: Vec<_> = of_page.map(|finding| finding.severity).collect();
            match error {
                None if told.is_empty() => {}
                None => {
                    assert_eq!(told, [Severity::Warning], "{number}: {report:?}");
                    made_anew = Some(number);
                }
                Some(_) => lost += 1,
            }
        }
    }
    assert!(0 < lost, "pages that its logs do not make anew");
    let start = (made_anew.expect("a page that its logs make anew") as usize + 1) * PAGE;
    // Without its logs nothing does.
    edit(&file, |bytes| {
        bytes.clone_from(&whole);
        bytes[start + 100..start + 110].fill(0x5A);
    });
    fs::remove_file(paths[0].join("DataBase/edb00001.log")).unwrap();
    let report = check(&paths);
    assert!(words(&report).iter().any(|finding| finding.kind == Kind::PageChecksum), "{report:?}");
}
