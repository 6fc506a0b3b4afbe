//! Sets of the Windows engine: what is sound is found restorable and recovers to a clean file, and every kind of damage has
//! its own finding and code (ese.md 13, certbcli.md 9.2).

use std::fs;
use std::path::{Path, PathBuf};

use crate::windows_files::{backup, ca_database, fixture, restore_map};
use certadm_ese::Database;
use certadm_ese::checksum::xor_checksum;
use certadm_ese::header::{Copies, State};
use certadm_files::scratch::for_test as scratch;
use certadm_rules::{Diagnosis, Generation, Hresult};
use certadm_set::finding::Severity;
use certadm_set::hashes::Hashing;
use certadm_set::manifest::{CaIdentity, FileEntry, Generations, Manifest, Role, SetKind};
use certadm_set::progress::Silent;
use certadm_set::seal::seal;
use certadm_set::verify::{Report, verify};
use certadm_set::windows::{WindowsSet, open_database, recover, salvage_database};
use certadm_set::{Error, Opened, Until, open};

fn check(paths: &[&PathBuf]) -> Report {
    let paths: Vec<PathBuf> = paths.iter().map(|path| (*path).clone()).collect();
    verify(&paths, &mut Silent)
}

fn errors(report: &Report) -> Vec<Hresult> {
    let grave = report.findings.iter().filter(|finding| finding.severity == Severity::Error);
    grave.map(|finding| finding.code).collect()
}

fn sets(paths: &[&PathBuf]) -> Vec<WindowsSet> {
    let paths: Vec<PathBuf> = paths.iter().map(|path| (*path).clone()).collect();
    match open(&paths).unwrap() {
        Opened::Windows(sets) => sets,
        other => panic!("{other:?}"),
    }
}

/// Changes a field of a header of `size` bytes at `start` and makes its checksum right again.
fn edit_header(file: &Path, start: usize, size: usize, offset: usize, bytes: &[u8]) {
    let mut all = fs::read(file).unwrap();
    let header = &mut all[start..start + size];
    header[offset..offset + bytes.len()].copy_from_slice(bytes);
    let checksum = xor_checksum(header);
    header[..4].copy_from_slice(&checksum.to_le_bytes());
    fs::write(file, all).unwrap();
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 0x10;
    fs::write(file, bytes).unwrap();
}

/// One bit of the octets that say what a file is turns a database into a temporary one, and a log into a flush map. Neither vanishes.
#[test]
fn what_has_the_name_of_a_part_is_one_whatever_its_header_says() {
    let dir = scratch();
    let file = dir.path().join("CertLog.edb");
    let mut bytes = ca_database();
    let mut found = |at: usize| {
        bytes[at] ^= 4;
        fs::write(&file, &bytes).unwrap();
        bytes[at] ^= 4;
        sets(&[&dir.path().to_owned()])[0].database.is_some()
    };
    assert!(found(667));
    // A log among them, whose header is that of a flush map.
    let log = dir.path().join("edb00001.log");
    let mut header = vec![0; 8192];
    header[667] = 7;
    fs::write(&log, header).unwrap();
    fs::write(&file, ca_database()).unwrap();
    assert_eq!(sets(&[&dir.path().to_owned()])[0].logs.len(), 1);
}

#[test]
fn a_database_whose_pages_in_use_are_zero_is_not_restorable() {
    let dir = scratch();
    let file = dir.path().join("CertLog.edb");
    let mut bytes = ca_database();
    // Every page of the CA's own tables.
    bytes[32 * 4096..120 * 4096].fill(0);
    fs::write(&file, bytes).unwrap();
    let report = check(&[&file]);
    let never_written = Hresult::PAGE_NOT_INITIALIZED;
    assert!(errors(&report).contains(&never_written), "{:?}", report.findings);
    assert!(report.verdict().starts_with("NOT restorable: "), "{}", report.verdict());
    let to = dir.path().join("recovered");
    let error = recover(&sets(&[&file]), &to, &mut Silent).unwrap_err();
    assert_eq!(error.hresult(), never_written);
    assert!(!to.join("CertLog.edb").exists());
}

#[test]
fn a_clean_ca_database_is_sound_and_counted() {
    let dir = scratch();
    let file = dir.path().join("CertLog.edb");
    fs::write(&file, ca_database()).unwrap();
    let report = check(&[&file]);
    assert_eq!(report.findings, []);
    assert!(report.is_restorable());
    assert_eq!(report.verdict(), "restorable: the database is clean and needs no log");
    let content = report.content.unwrap();
    assert_eq!((content.requests, content.crls), (11, 2));
    let pages = report.windows.unwrap().pages.unwrap();
    assert_eq!((pages.damaged, pages.correctable, pages.total()), (0, 0, 254));
}

#[test]
fn a_backup_and_the_logs_after_it_replay() {
    let dir = scratch();
    let Some((full, logs)) = backup(dir.path()) else { return };
    let report = check(&[&full]);
    assert_eq!(errors(&report), []);
    assert_eq!(
        report.verdict(),
        "restorable: replay reached 0x1:2:ccf, 0 mismatches, 0 transactions rolled back"
    );
    assert!(report.findings.iter().any(|finding| finding.detail.contains("incomplete")));

    let report = check(&[&full, &logs]);
    assert_eq!(
        report.verdict(),
        "restorable: replay reached 0x2:9:644, 0 mismatches, 0 transactions rolled back"
    );
    let range = report.range.unwrap();
    assert_eq!((range.low().number(), range.high().number()), (1, 2));

    // Logs alone are sound, and not restorable.
    let report = check(&[&logs]);
    assert!(report.is_good() && !report.is_restorable(), "{report:?}");
    // A set of ours does not mix with them.
    let ours = dir.path().join("ours");
    fs::create_dir(&ours).unwrap();
    fs::write(ours.join("ca.db"), b"SQLite format 3\0").unwrap();
    assert_eq!(errors(&check(&[&full, &ours])), [Hresult::ERROR_DIRECTORY]);
    assert_eq!(errors(&check(&[&full, &full])), [Hresult::HR_RESTORE_MAP_EXISTS], "two databases");
}

#[test]
fn logs_that_create_their_database_are_replayed_without_one() {
    let Some(log) = fixture("secedit-v8/edb.log") else { return };
    let dir = scratch();
    let file = dir.path().join("edb.log");
    fs::write(&file, log).unwrap();
    let report = check(&[&file]);
    assert_eq!(
        report.verdict(),
        "restorable: replay reached 0x1:9d:a9b, 0 mismatches, 0 transactions rolled back"
    );
    let to = dir.path().join("new");
    let recovered = recover(&sets(&[&file]), &to, &mut Silent).unwrap();
    assert_eq!(recovered.database, to.join("recovered.edb"));
    assert_eq!(errors(&check(&[&recovered.database])), []);
}

#[test]
fn a_recovered_database_is_clean_and_a_second_replay_changes_nothing() {
    let dir = scratch();
    let Some((full, logs)) = backup(dir.path()) else { return };
    let before = fs::read(full.join("DataBase/Store.edb")).unwrap();
    let to = dir.path().join("to");
    let recovered = recover(&sets(&[&full, &logs]), &to, &mut Silent).unwrap();
    assert_eq!(fs::read(full.join("DataBase/Store.edb")).unwrap(), before, "never in place");
    assert_eq!(fs::read_dir(&to).unwrap().count(), 1, "nothing but the database is left");
    let bytes = fs::read(&recovered.database).unwrap();
    let database = Database::open(bytes.clone()).unwrap();
    assert_eq!(database.header().state(), State::CleanShutdown);
    assert_eq!(database.header_copies(), Copies::Equal);
    assert_eq!(database.verify(&mut |_| {}).unwrap().findings, []);
    let report = check(&[&recovered.database]);
    assert_eq!(report.verdict(), "restorable: the database is clean and needs no log");

    let again = dir.path().join("again");
    fs::create_dir_all(&again).unwrap();
    for (from, name) in [(&full, "edb00001.log"), (&logs, "edb00002.log")] {
        fs::copy(from.join("DataBase").join(name), again.join(name)).unwrap();
    }
    fs::copy(&recovered.database, again.join("Store.edb")).unwrap();
    let twice = recover(&sets(&[&again]), &dir.path().join("twice"), &mut Silent).unwrap();
    assert_eq!(twice.outcome.counts.applied, 0);
    let page = database.page_size().bytes();
    assert!(fs::read(&twice.database).unwrap()[2 * page..] == bytes[2 * page..], "no page changes");

    let error = recover(&sets(&[&full, &logs]), &to, &mut Silent).unwrap_err();
    assert!(matches!(error, Error::WouldOverwrite { .. }), "{error}");
    assert_eq!(fs::read(&recovered.database).unwrap(), bytes);
}

#[test]
fn what_a_recovery_would_give_opens_without_writing_it() {
    let dir = scratch();
    let Some((full, logs)) = backup(dir.path()) else { return };
    let opened = open_database(&sets(&[&full, &logs]), &mut Silent).unwrap();
    assert_eq!(opened.database.header().state(), State::CleanShutdown);
    assert_eq!(opened.outcome.unwrap().reached.to_string(), "0x2:9:644");
    let alone = full.join("DataBase/Store.edb");
    let opened = open_database(&sets(&[&alone]), &mut Silent).unwrap();
    assert!(opened.is_stale && opened.outcome.is_none());
}

/// Damages a copy of the backup, and compares the codes of the findings.
fn damaged(change: impl FnOnce(&Path, &Path), expected: &[Hresult]) -> Option<Report> {
    let dir = scratch();
    let (full, logs) = backup(dir.path())?;
    change(&full.join("DataBase"), &logs.join("DataBase"));
    let report = check(&[&full, &logs]);
    let mut codes = errors(&report);
    codes.dedup();
    assert_eq!(codes, expected, "{:#?}", report.findings);
    assert_eq!(report.is_restorable(), expected.is_empty());
    // A recovery meets the same code and leaves nothing behind.
    if let [first, ..] = expected {
        let to = dir.path().join("to");
        if let Ok(Opened::Windows(sets)) = open(&[full, logs]) {
            let error = recover(&sets, &to, &mut Silent).unwrap_err();
            assert_eq!(error.hresult(), *first, "{error}");
            assert_eq!(fs::read_dir(&to).map_or(0, Iterator::count), 0);
        }
    }
    Some(report)
}

fn rename(dir: &Path, from: &str, to: &str) {
    fs::rename(dir.join(from), dir.join(to)).unwrap();
}

#[test]
fn wrong_logs_have_codes_of_their_own() {
    let first = "edb00001.log";
    let second = "edb00002.log";
    damaged(|full, _| fs::remove_file(full.join(first)).unwrap(), &[Hresult::STARTING_RESTORE_LOG_TOO_HIGH]);
    damaged(
        |full, logs| {
            let (one, other) = (full.join(first), logs.join(second));
            let bytes = fs::read(&one).unwrap();
            fs::copy(&other, &one).unwrap();
            fs::write(other, bytes).unwrap();
        },
        &[Hresult::LOG_GENERATION_MISMATCH],
    );
    damaged(|_, logs| rename(logs, second, "edb00007.log"), &[Hresult::LOG_GENERATION_MISMATCH]);
    // Generation 3 without generation 2; the checksums inside a log of version 7 cover its number.
    damaged(
        |_, logs| {
            rename(logs, second, "edb00003.log");
            edit_header(&logs.join("edb00003.log"), 0, 4096, 4, &3u32.to_le_bytes());
        },
        &[Hresult::MISSING_RESTORE_LOG_FILES, Hresult::LOG_CORRUPT_DURING_HARD_RESTORE],
    );
    damaged(
        |_, logs| edit_header(&logs.join(second), 0, 4096, 44, &[1, 2, 3]),
        &[Hresult::GIVEN_LOG_FILE_HAS_BAD_SIGNATURE],
    );
    damaged(
        |full, logs| {
            edit_header(&full.join(first), 0, 4096, 44, &[1, 2, 3]);
            edit_header(&logs.join(second), 0, 4096, 44, &[1, 2, 3]);
        },
        &[Hresult::DATABASE_LOG_SET_MISMATCH],
    );
    damaged(
        |_, logs| edit_header(&logs.join(second), 0, 4096, 24, &[9]),
        &[Hresult::GIVEN_LOG_FILE_IS_NOT_CONTIGUOUS],
    );
    damaged(|full, _| flip(&full.join(first), 4096 + 600), &[Hresult::LOG_CORRUPT_DURING_HARD_RESTORE]);
    damaged(|_, logs| flip(&logs.join(second), 7 * 4096 + 600), &[Hresult::LOG_CORRUPT_DURING_HARD_RESTORE]);
    damaged(
        |_, logs| {
            let log = logs.join(second);
            let bytes = fs::read(&log).unwrap();
            fs::write(log, &bytes[..6 * 4096 + 100]).unwrap();
        },
        &[Hresult::LOG_FILE_SIZE_MISMATCH, Hresult::LOG_CORRUPT_DURING_HARD_RESTORE],
    );
    damaged(|_, logs| flip(&logs.join(second), 100), &[Hresult::LOG_CORRUPT_DURING_HARD_RESTORE]);
    damaged(
        |full, _| edit_header(&full.join(first), 0, 4096, 32, &9u32.to_le_bytes()),
        &[Hresult::BAD_LOG_VERSION, Hresult::STARTING_RESTORE_LOG_TOO_HIGH],
    );
}

#[test]
fn a_current_log_beside_a_backup_is_behind_its_range() {
    let as_current = |_: &Path, logs: &Path| rename(logs, "edb00002.log", "edb.log");
    damaged(as_current, &[]);
    let with = |change: &dyn Fn(&Path), expected: &[Hresult]| {
        damaged(
            |full, logs| {
                as_current(full, logs);
                change(&logs.join("edb.log"));
            },
            expected,
        )
    };
    // One that does not belong to the set is left out, and said with the code that Windows has for it.
    let left_out = |change: &dyn Fn(&Path), code: Hresult| {
        let Some(report) = with(change, &[]) else { return };
        assert_eq!(report.severity(), Severity::Warning);
        assert!(report.findings.iter().any(|finding| finding.code == code), "{report:?}");
        assert!(report.verdict().contains("reached 0x1:"), "{}", report.verdict());
    };
    left_out(&|log| edit_header(log, 0, 4096, 44, &[1]), Hresult::EXISTING_LOG_FILE_HAS_BAD_SIGNATURE);
    left_out(&|log| edit_header(log, 0, 4096, 24, &[9]), Hresult::EXISTING_LOG_FILE_IS_NOT_CONTIGUOUS);
    left_out(&|log| edit_header(log, 0, 4096, 4, &[3]), Hresult::MISSING_CURRENT_LOG_FILES);
    // Damage inside only ends the replay, and is said.
    if let Some(report) = with(&|log| flip(log, 7 * 4096 + 600), &[]) {
        assert_eq!(report.severity(), Severity::Warning);
    }
}

#[test]
fn a_damaged_database_has_codes_of_its_own() {
    const PAGE: usize = 8192;
    let store = "Store.edb";
    // The catalog, a few bytes of it: no single bit explains that.
    damaged(
        |full, _| {
            let file = full.join(store);
            let mut bytes = fs::read(&file).unwrap();
            bytes[5 * PAGE + 4000..5 * PAGE + 4020].fill(0xA5);
            fs::write(file, bytes).unwrap();
        },
        &[Hresult::READ_VERIFY_FAILURE],
    );
    // One bit: nothing is lost, and a recovery turns it back.
    let dir = scratch();
    if let Some((full, logs)) = backup(dir.path()) {
        flip(&full.join("DataBase").join(store), 5 * PAGE + 4000);
        let report = check(&[&full, &logs]);
        assert_eq!(report.severity(), Severity::Warning, "{report:?}");
        let recovered = recover(&sets(&[&full, &logs]), &dir.path().join("to"), &mut Silent).unwrap();
        assert_eq!(check(&[&recovered.database]).findings, [], "the bit is right again");
    }
    // Cut short by the patch page, and by half a page.
    damaged(
        |full, _| {
            let file = fs::OpenOptions::new().write(true).open(full.join(store)).unwrap();
            file.set_len(file.metadata().unwrap().len() - PAGE as u64).unwrap();
        },
        &[Hresult::RESTORE_OF_NON_BACKUP_DATABASE],
    );
    // The patch page of another backup.
    damaged(
        |full, _| {
            let file = full.join(store);
            let start = fs::read(&file).unwrap().len() - PAGE;
            edit_header(&file, start, PAGE, 92, &[9, 9]);
        },
        &[Hresult::DATABASE_PATCH_FILE_MISMATCH],
    );
    // Both headers.
    damaged(
        |full, _| {
            flip(&full.join(store), 100);
            flip(&full.join(store), PAGE + 100);
        },
        &[Hresult::DATABASE_CORRUPTED],
    );
    // One header: the other is used.
    if let Some(report) = damaged(|full, _| flip(&full.join(store), 100), &[]) {
        assert_eq!(report.severity(), Severity::Warning);
    }
}

#[test]
fn the_restore_map_is_checked() {
    let dir = scratch();
    let Some((full, logs)) = backup(dir.path()) else { return };
    let map = full.join("DataBase/certbkxp.dat");
    for (bytes, severity) in [
        (b"abc".to_vec(), Severity::Warning),
        (restore_map("Other.edb"), Severity::Warning),
        (restore_map("STORE.EDB"), Severity::Note),
    ] {
        fs::write(&map, bytes).unwrap();
        assert_eq!(check(&[&full, &logs]).severity(), severity);
    }
    fs::remove_file(map).unwrap();
    assert_eq!(check(&[&full, &logs]).severity(), Severity::Warning, "certutil needs it");
}

#[test]
fn a_dirty_database_without_its_logs() {
    let dir = scratch();
    let file = dir.path().join("CertLog.edb");
    fs::write(&file, ca_database()).unwrap();
    // As a copy of a running CA's file looks.
    for start in [0, 4096] {
        for (offset, value) in [(52, 2u32), (296, 0x21), (300, 0x22), (416, 0x22)] {
            edit_header(&file, start, 4096, offset, &value.to_le_bytes());
        }
    }
    let report = check(&[&file]);
    assert_eq!(errors(&report), [Hresult::DATABASE_DIRTY_SHUTDOWN]);
    assert!(report.verdict().contains("0x21 to 0x22"), "{}", report.verdict());
    // Where the logs are looked for and not there, that is the finding.
    assert_eq!(errors(&check(&[&dir.path().to_owned()])), [Hresult::REQUIRED_LOG_FILES_MISSING]);
}

/// Writes a manifest as `certadm backup` does for what it takes from a Windows CA.
fn complete(set: &Path, kind: SetKind, low: u32, high: u32) {
    let ca = CaIdentity {
        name: "Store".to_owned(),
        host: "ca1".to_owned(),
        database_signature: String::new(),
        stream_signature: "0a".repeat(28),
    };
    let mut manifest = Manifest::new(ca, kind, "2026-01-01T00:00:00Z".to_owned());
    manifest.generations = Generations { low, high };
    let mut files: Vec<_> =
        fs::read_dir(set.join("DataBase")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let bytes = fs::read(&file).unwrap();
        manifest.files.push(FileEntry {
            path: format!("DataBase/{name}"),
            role: match name.rsplit_once('.').unwrap().1 {
                "edb" | "bak" => Role::Database,
                "log" => Role::Log,
                _ => Role::Locations,
            },
            source: name.to_owned(),
            size: bytes.len() as u64,
            blake3: blake3::hash(&bytes).to_hex().to_string(),
            sha256: None,
        });
    }
    fs::write(set.join("manifest.json"), manifest.complete().unwrap()).unwrap();
}

/// As a backup of that CA notes it, so that logs of another CA of its name do not continue it.
#[test]
fn a_manifest_that_is_made_for_files_says_of_which_sequence_their_logs_are() {
    let dir = scratch();
    let Some((full, logs)) = backup(dir.path()) else { return };
    let stream = |set: &Path| {
        seal(set, Hashing::Blake3, None, &mut Silent).unwrap();
        let ca = Manifest::parse(&fs::read(set.join("manifest.json")).unwrap()).unwrap().ca;
        assert_eq!(ca.database_signature, "", "it would be taken for a set of our own");
        ca.stream_signature
    };
    fs::write(logs.join("DataBase/certbkxp.dat"), restore_map("Store.edb")).unwrap();
    let sealed = stream(&full);
    assert_eq!((sealed.len(), &stream(&logs)), (56, &sealed));
    assert!(check(&[&full, &logs]).is_restorable());
}

#[test]
fn a_complete_set_is_also_compared_with_its_hashes() {
    let dir = scratch();
    let Some((full, logs)) = backup(dir.path()) else { return };
    complete(&full, SetKind::Full, 1, 1);
    complete(&logs, SetKind::Logs, 2, 2);
    let report = check(&[&full, &logs]);
    assert_eq!(errors(&report), []);
    assert_eq!(
        report.verdict(),
        "restorable: replay reached 0x2:9:644, 0 mismatches, 0 transactions rolled back"
    );
    assert!(!report.findings.iter().any(|finding| finding.detail.contains("incomplete")));
    // Behind the last record nothing but the hash notices.
    let log = logs.join("DataBase/edb00002.log");
    flip(&log, fs::read(&log).unwrap().len() - 5);
    assert_eq!(errors(&check(&[&full, &logs])), [Hresult::LOG_CORRUPT_DURING_HARD_RESTORE]);
    // A database that the manifest names and nobody finds.
    fs::remove_file(full.join("DataBase/Store.edb")).unwrap();
    assert!(errors(&check(&[&full])).contains(&Hresult::ATTACHED_DATABASE_MISMATCH));
    // A map of another database.
    fs::write(full.join("DataBase/certbkxp.dat"), restore_map("Other.edb")).unwrap();
    assert!(errors(&check(&[&full])).contains(&Hresult::ERROR_INVALID_DATA));
}

/// The last log leaves no gap behind it: the database would come back as it was before, and nothing would say so.
#[test]
fn a_complete_set_is_not_recovered_without_its_last_log() {
    let dir = scratch();
    let Some((full, logs)) = backup(dir.path()) else { return };
    let (log, away) = (logs.join("DataBase/edb00002.log"), dir.path().join("away.log"));
    complete(&logs, SetKind::Logs, 2, 2);
    let refused = |named: &[&PathBuf]| {
        let report = check(named);
        assert!(!report.is_restorable() && !report.is_foreign(), "{}", report.verdict());
        assert!(errors(&report).contains(&Hresult::MISSING_RESTORE_LOG_FILES), "{report:?}");
        let sets = sets(named);
        let to = dir.path().join("refused");
        for error in
            [recover(&sets, &to, &mut Silent).unwrap_err(), open_database(&sets, &mut Silent).err().unwrap()]
        {
            assert!(
                matches!(&error, Error::Missing { path, .. } if path.ends_with("edb00002.log")),
                "{error}"
            );
            assert_eq!(error.hresult(), Hresult::MISSING_RESTORE_LOG_FILES);
        }
        assert!(!to.exists());
        // What is read around damage says what it lacks.
        let salvaged = salvage_database(&sets, &mut Silent).unwrap();
        assert!(matches!(salvaged.not_replayed, Some(Error::Missing { .. })));
        salvaged.outcome.unwrap().reached.to_string()
    };
    let reached = |sets: &[WindowsSet], name: &str| {
        recover(sets, &dir.path().join(name), &mut Silent).unwrap().outcome.reached.to_string()
    };
    let whole = sets(&[&full, &logs]);
    assert_eq!(reached(&whole, "whole"), "0x2:9:644");
    // The only log of a log set; the full set before it has a manifest, or none.
    fs::rename(&log, &away).unwrap();
    assert_eq!(refused(&[&full, &logs]), "0x1:2:ccf");
    // A current log of that generation may be an older copy.
    let current = dir.path().join("current");
    fs::create_dir(&current).unwrap();
    fs::copy(&away, current.join("edb.log")).unwrap();
    assert_eq!(refused(&[&full, &logs, &current]), "0x2:9:644");
    complete(&full, SetKind::Full, 1, 1);
    assert_eq!(refused(&[&full, &logs]), "0x1:2:ccf");
    // Another set has it, or an earlier state is asked for.
    fs::rename(current.join("edb.log"), current.join("edb00002.log")).unwrap();
    assert_eq!(reached(&sets(&[&full, &logs, &current]), "another"), "0x2:9:644");
    let until = Until::Generation(Generation::FIRST);
    let Opened::Windows(earlier) = Opened::Windows(sets(&[&full, &logs])).until(until).unwrap().0 else {
        panic!("another kind")
    };
    assert_eq!(reached(&earlier, "earlier"), "0x1:2:ccf");
    // The last one of a full set.
    fs::copy(&away, full.join("DataBase/edb00002.log")).unwrap();
    fs::remove_file(full.join("manifest.json")).unwrap();
    complete(&full, SetKind::Full, 1, 2);
    assert_eq!(reached(&sets(&[&full]), "alone"), "0x2:9:644");
    fs::remove_file(full.join("DataBase/edb00002.log")).unwrap();
    assert_eq!(refused(&[&full]), "0x1:2:ccf");
    // A log from before the database was closed is of no use to it, and may be gone.
    let closed = dir.path().join("closed");
    fs::create_dir_all(closed.join("DataBase")).unwrap();
    for (from, name) in [
        (dir.path().join("whole/Store.edb"), "Store.edb"),
        (full.join("DataBase/edb00001.log"), "edb00001.log"),
        (away, "edb00002.log"),
    ] {
        fs::copy(from, closed.join("DataBase").join(name)).unwrap();
    }
    complete(&closed, SetKind::Full, 1, 2);
    fs::remove_file(closed.join("DataBase/edb00001.log")).unwrap();
    assert_eq!(reached(&sets(&[&closed]), "of-closed"), "0x2:9:644");
}

/// A log set of which the first log cannot tell whose it is.
#[test]
fn a_damaged_log_does_not_hide_whose_set_it_is() {
    let dir = scratch();
    let Some((full, logs)) = backup(dir.path()) else { return };
    complete(&logs, SetKind::Logs, 2, 2);
    fs::write(logs.join("DataBase/edb00002.log"), [0xFF; 9000]).unwrap();
    let report = check(&[&full, &logs]);
    assert!(!report.is_foreign(), "{}", report.verdict());
    assert!(errors(&report).contains(&Hresult::LOG_TORN_WRITE_DURING_HARD_RESTORE), "{report:?}");
    // The same for an image of another name.
    let data = full.join("DataBase");
    fs::rename(data.join("Store.edb"), data.join("Store.bak")).unwrap();
    complete(&full, SetKind::Full, 1, 1);
    let manifest = fs::read_to_string(full.join("manifest.json")).unwrap();
    assert!(manifest.contains("Store.bak"));
    fs::remove_file(data.join("Store.bak")).unwrap();
    assert_eq!(sets(&[&full]).len(), 1);
}

#[test]
fn hostile_folders_do_not_hang_or_fill_memory() {
    let dir = scratch();
    for (name, bytes) in [
        ("empty.edb", Vec::new()),
        ("short.edb", vec![0xEF, 0xCD, 0xAB, 0x89]),
        ("zero.edb", vec![0; 70_000]),
        ("edb00001.log", vec![0xFF; 9000]),
    ] {
        let folder = dir.path().join(name.replace('.', "-"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(name), &bytes).unwrap();
        // A log without a database, whose content is none, is a set of nothing we know.
        let report = check(&[&folder]);
        assert!(!report.is_good(), "{name}: {report:?}");
        assert!(errors(&report).iter().all(|code| code.is_failure()));
    }
}

/// What was not closed and names no logs, and what is being reverted, is not taken for clean by any command.
#[test]
fn a_database_that_is_not_clean_is_refused_by_all() {
    for state in [2u32, 8] {
        let dir = scratch();
        let set = dir.path().join("set");
        fs::create_dir(&set).unwrap();
        let file = set.join("CertLog.edb");
        fs::write(&file, ca_database()).unwrap();
        for start in [0, 4096] {
            edit_header(&file, start, 4096, 52, &state.to_le_bytes());
        }
        for path in [&set, &file] {
            let report = check(&[path]);
            assert_eq!(errors(&report), [Hresult::DATABASE_DIRTY_SHUTDOWN], "{state}: {:?}", report.findings);
            let error = recover(&sets(&[path]), &dir.path().join("to"), &mut Silent).unwrap_err();
            assert_eq!(error.hresult(), Hresult::DATABASE_DIRTY_SHUTDOWN, "{state}");
        }
        let error = open_database(&sets(&[&set]), &mut Silent).err().unwrap();
        assert_eq!(error.hresult(), Hresult::DATABASE_DIRTY_SHUTDOWN, "{state}");
    }
}
