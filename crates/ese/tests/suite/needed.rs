//! Which logs a recovery needs, and what damage in the others does. All files are made, but for one real backup.

use certadm_ese::checksum::xor_checksum;
use certadm_ese::finding::{Finding, Kind, Severity};
use certadm_ese::pager::Pager;
use certadm_ese::recovery::{LogInput, Plan};
use certadm_ese::{Code, Error};

use crate::closed::{committed, created, last_of, log, recover};
use crate::writer::{attach, detach};

const SEGMENT: usize = 4096;

/// What verification and recovery say: the findings, and the code of a refusal.
fn judged(database: Option<&Vec<u8>>, logs: &[(&str, &Vec<u8>)]) -> (Vec<Finding>, Result<Vec<u8>, Error>) {
    let inputs: Vec<_> = logs.iter().map(|(name, file)| LogInput { name, file: *file }).collect();
    let plan = Plan::new(database.map(|bytes| bytes as &dyn Pager), &inputs).unwrap();
    let mut findings = plan.findings.clone();
    findings.extend(plan.inspect_logs(&mut |_| {}).unwrap());
    let mut output = Vec::new();
    let recovered = plan.recover(&mut output, &mut |_| {}).map(|_| output);
    (findings, recovered)
}

fn worst(findings: &[Finding]) -> Severity {
    findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Note)
}

/// Changes both copies of the header of a database.
fn with_header(database: &[u8], change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut database = database.to_vec();
    for copy in [0, SEGMENT] {
        let header = &mut database[copy..copy + SEGMENT];
        change(header);
        let checksum = xor_checksum(header);
        header[..4].copy_from_slice(&checksum.to_le_bytes());
    }
    database
}

/// The database was in use, and needs these generations.
fn in_use(header: &mut [u8], low: u32, high: u32) {
    header[52..56].copy_from_slice(&2u32.to_le_bytes());
    header[296..300].copy_from_slice(&low.to_le_bytes());
    header[300..304].copy_from_slice(&high.to_le_bytes());
    header[416..420].copy_from_slice(&high.to_le_bytes());
}

/// A log whose last write was torn, and has left its shadow behind it.
fn torn(log: &[u8]) -> Vec<u8> {
    let mut log = log.to_vec();
    log.copy_within(SEGMENT..2 * SEGMENT, 2 * SEGMENT);
    log[SEGMENT + 300] ^= 1;
    log[SEGMENT + 700] ^= 8;
    log
}

fn of_another_sequence(log: &[u8]) -> Vec<u8> {
    let mut log = log.to_vec();
    log[44..72].fill(3);
    let checksum = xor_checksum(&log[..SEGMENT]);
    log[..4].copy_from_slice(&checksum.to_le_bytes());
    log
}

#[test]
fn the_last_log_of_a_backup_is_closed() {
    let whole = log(1, &[created(), committed(12)]);
    let torn = torn(&whole);
    let (database, _) = recover(None, &[&whole]).unwrap();
    let backup = with_header(&database, |header| {
        in_use(header, 1, 1);
        header[192..208].copy_from_slice(&[1, 1, 1, 1, 1, 100, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
    });
    let (findings, recovered) = judged(Some(&backup), &[("edb00001.log", &whole)]);
    assert_eq!(worst(&findings), Severity::Note, "{findings:?}");
    recovered.unwrap();
    for database in [Some(&backup), None] {
        let (findings, recovered) = judged(database, &[("edb00001.log", &torn)]);
        let [finding] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!((finding.kind, finding.code), (Kind::LogTorn, Code::LOG_TORN.hresult()));
        assert_eq!(finding.severity, Severity::Error);
        assert!(database.is_none() || recovered.is_err_and(|error| error.code() == Code::LOG_TORN));
    }
    // The current log, and the last one of a database that was in use: the engine was writing it.
    let live = with_header(&database, |header| in_use(header, 1, 1));
    for (database, name) in [(None, "edb.log"), (Some(&live), "edb.log"), (Some(&live), "edb00001.log")] {
        let (findings, recovered) = judged(database, &[(name, &torn)]);
        assert_eq!(worst(&findings), Severity::Note, "{findings:?}");
        recovered.unwrap();
    }
}

#[test]
fn a_flipped_bit_in_the_last_log_of_a_real_backup_is_an_error() {
    let fixture = |name: &str| crate::common::fixture(&format!("winmail-v7-sec4096/Backup_new_{name}"));
    let (Some(database), Some(whole)) = (fixture("WindowsMail.MSMessageStore"), fixture("edb00001.log"))
    else {
        return;
    };
    let (findings, recovered) = judged(Some(&database), &[("edb00001.log", &whole)]);
    assert_eq!(findings, []);
    recovered.unwrap();
    let mut flipped = whole;
    flipped[20 * 512 + 363] ^= 4;
    let (findings, recovered) = judged(Some(&database), &[("edb00001.log", &flipped)]);
    assert_eq!(worst(&findings), Severity::Error, "{findings:?}");
    assert_eq!(recovered.unwrap_err().code(), Code::LOG_TORN);
}

/// It was closed in the second log.
fn clean() -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let first = log(1, &[created(), vec![detach()]]);
    let second = log(2, &[vec![attach(last_of(&first))], committed(12), vec![detach()]]);
    let (database, _) = recover(None, &[&first, &second]).unwrap();
    (database, first, second)
}

#[test]
fn a_clean_database_needs_none_of_its_logs() {
    let (database, first, second) = clean();
    let header_damaged = |log: &[u8]| {
        let mut log = log.to_vec();
        log[100] ^= 1;
        log
    };
    let cut = |log: &[u8]| log[..SEGMENT + 100].to_vec();
    let cases: Vec<Vec<(&str, Vec<u8>)>> = vec![
        vec![("edb.log", Vec::new())],
        vec![("edb.log", b"a text".to_vec())],
        vec![("edb00001.log", first.clone()), ("edb.log", header_damaged(&second))],
        vec![("edb00001.log", first.clone()), ("edb.log", cut(&second))],
        vec![("edb00001.log", header_damaged(&first)), ("edb.log", second.clone())],
        vec![("edb00001.log", cut(&first)), ("edb00002.log", second.clone())],
        vec![("edb00001.log", of_another_sequence(&first)), ("edb00002.log", second.clone())],
        vec![("edb00001.log", first.clone()), ("edb00002.log", header_damaged(&second))],
        vec![("edb00001.log", first.clone()), ("edb00002.log", torn(&second))],
    ];
    for (number, case) in cases.iter().enumerate() {
        let logs: Vec<_> = case.iter().map(|(name, log)| (*name, log)).collect();
        let (findings, recovered) = judged(Some(&database), &logs);
        assert_eq!(worst(&findings), Severity::Warning, "{number}: {findings:?}");
        let recovered = recovered.unwrap_or_else(|error| panic!("{number}: {error}"));
        assert!(recovered[2 * SEGMENT..] == database[2 * SEGMENT..], "{number}");
    }
    // Where a later log follows, the database is to go on with it.
    let third = log(3, &[vec![attach(last_of(&second))], committed(13)]);
    for damaged in [header_damaged(&second), cut(&second), torn(&second)] {
        let (findings, recovered) =
            judged(Some(&database), &[("edb00002.log", &damaged), ("edb00003.log", &third)]);
        assert!(worst(&findings) == Severity::Error || recovered.is_err(), "{findings:?}");
    }
    let (findings, recovered) = judged(Some(&database), &[("edb00003.log", &cut(&third))]);
    assert_eq!(worst(&findings), Severity::Error, "{findings:?}");
    assert!(recovered.is_err());
    // A log that has the name of a later one hides that it is missing.
    let (findings, _) = judged(Some(&database), &[("edb00002.log", &second), ("edb00003.log", &first)]);
    assert_eq!(worst(&findings), Severity::Error, "{findings:?}");
}

#[test]
fn what_lies_before_the_logs_that_are_needed_forbids_nothing() {
    let (third, fourth) = (log(3, &[created()]), log(4, &[committed(12)]));
    let (whole, _) = recover(None, &[&third, &fourth]).unwrap();
    let (database, _) = recover(None, &[&third]).unwrap();
    let live = with_header(&database, |header| in_use(header, 3, 4));
    let backup = with_header(&live, |header| {
        header[192..208].copy_from_slice(&[1, 1, 1, 1, 1, 100, 1, 0, 3, 0, 0, 0, 4, 0, 0, 0]);
    });
    let old = log(1, &[committed(12)]);
    let mut damaged = old.clone();
    damaged[SEGMENT + 300] ^= 1;
    damaged[SEGMENT + 700] ^= 8;
    for database in [&live, &backup] {
        for (old, expected) in [
            (old.clone(), Severity::Note),
            (damaged.clone(), Severity::Warning),
            (of_another_sequence(&old), Severity::Warning),
            (b"a text".to_vec(), Severity::Warning),
        ] {
            let logs = [("edb00001.log", &old), ("edb00003.log", &third), ("edb00004.log", &fourth)];
            let (findings, recovered) = judged(Some(database), &logs);
            assert_eq!(worst(&findings), expected, "{findings:?}");
            assert!(recovered.unwrap()[2 * SEGMENT..] == whole[2 * SEGMENT..]);
        }
        // One that is needed is another matter.
        let (findings, recovered) =
            judged(Some(database), &[("edb00001.log", &old), ("edb00004.log", &fourth)]);
        assert!(findings.iter().any(|finding| finding.kind == Kind::LogMissing), "{findings:?}");
        assert!(recovered.is_err());
    }
}

#[test]
fn a_finding_names_the_file_that_it_was_read_from() {
    let (first, second) = (log(1, &[created()]), log(2, &[committed(12)]));
    let cut = second[..SEGMENT + 100].to_vec();
    // Their names were swapped.
    let (findings, _) = judged(None, &[("edb00001.log", &cut), ("edb00002.log", &first)]);
    let damage: Vec<_> = findings.iter().filter(|finding| finding.kind != Kind::LogName).collect();
    assert!(!damage.is_empty());
    for finding in damage {
        assert_eq!(
            finding.place.file.as_deref().and_then(|file| file.to_str()),
            Some("edb00001.log"),
            "{finding}"
        );
    }
}
