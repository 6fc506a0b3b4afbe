//! The sequence table of certbcli.md 7.1 once more, through a real store, and the codes that need one.

use std::sync::Arc;

use certadm_rules::unc::UncRoot;
use certadm_rules::{BackupType, Hresult, Tag};
use certadm_session::{CallResult, LocalSource, Logs, Loss, Session, Source};
use certadm_store::{Error, Folder, Options, Store};

fn store(dir: &tempfile::TempDir) -> Arc<Store> {
    let folder = Folder::new(dir.path().join("ca"));
    let options = Options { log_size: 64 * 1024, circular_logging: false, backup_rate: 0 };
    let store = Store::create(&folder, "Test CA", options).unwrap();
    issue(&store, 1);
    Arc::new(store)
}

fn issue(store: &Store, number: u32) {
    let mut writer = store.writer().unwrap();
    writer
        .commit(|transaction| {
            transaction.execute(
                "INSERT INTO Requests (Disposition, RequesterName) VALUES (20, ?1)",
                [number.to_string()],
            )?;
            Ok::<_, Error>(())
        })
        .unwrap();
}

fn source(store: &Arc<Store>) -> LocalSource {
    LocalSource::new(Arc::clone(store), UncRoot::new("ca1.example").unwrap())
}

fn code<T>(result: CallResult<T>) -> Hresult {
    result.map_or_else(|error| error.code, |_| Hresult::S_OK)
}

fn read_all(source: &mut LocalSource, name: &str) -> u64 {
    let size = source.open_file(name, 0).unwrap();
    let mut buffer = vec![0; 10_000];
    let mut delivered = 0;
    loop {
        let len = source.read(&mut buffer).unwrap();
        if len == 0 {
            break;
        }
        delivered += len as u64;
    }
    assert_eq!(delivered, size);
    assert_eq!(source.read(&mut buffer).unwrap(), 0);
    source.close_file().unwrap();
    size
}

fn names(list: &certadm_rules::TaggedList, tag: Tag) -> Vec<String> {
    list.paths(tag).map(str::to_owned).collect()
}

#[test]
fn a_full_backup_call_by_call() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let mut ca = source(&store);
    assert!(ca.is_online().unwrap());

    // No session.
    assert_eq!(code(ca.database_names()), Hresult::INVALID_BACKUP_SEQUENCE);
    assert_eq!(code(ca.open_file("x", 0)), Hresult::E_UNEXPECTED);
    assert_eq!(code(ca.read(&mut [0; 10])), Hresult::E_UNEXPECTED);
    assert_eq!(code(ca.close_file()), Hresult::E_UNEXPECTED);
    assert_eq!(code(ca.backup_logs()), Hresult::E_UNEXPECTED);
    assert_eq!(code(ca.truncate_logs()), Hresult::E_UNEXPECTED);
    assert_eq!(code(ca.end()), Hresult::E_UNEXPECTED);
    let locations = ca.database_locations().unwrap();
    assert!(locations.database().unwrap().starts_with(r"\\ca1.example\root$\"));
    assert!(locations.log_directory().is_some() && locations.checkpoint_directory().is_some());

    // Databases.
    ca.prepare(BackupType::Full).unwrap();
    assert_eq!(code(ca.prepare(BackupType::Full)), Hresult::E_UNEXPECTED);
    assert_eq!(code(source(&store).prepare(BackupType::Full)), Hresult::BACKUP_IN_PROGRESS);
    let databases = names(&ca.database_names().unwrap(), Tag::Database);
    assert_eq!(databases.len(), 1);
    assert_eq!(code(ca.open_file("", 0)), Hresult::E_INVALIDARG);
    assert_eq!(code(ca.open_file(r"\\ca1.example\root$\etc\passwd", 0)), Hresult::E_INVALIDARG);
    assert_eq!(code(ca.open_file(&format!("D{}", databases[0]), 0)), Hresult::E_INVALIDARG);
    assert_eq!(code(ca.open_file(r"\\x\y\edb00001.log", 0)), Hresult::INVALID_BACKUP_SEQUENCE);
    assert_eq!(code(ca.truncate_logs()), Hresult::INVALID_BACKUP_SEQUENCE);
    let size = ca.open_file(&databases[0].to_uppercase(), 0).unwrap();
    assert_eq!(code(ca.open_file(&databases[0], 0)), Hresult::E_UNEXPECTED);
    assert_eq!(code(ca.backup_logs()), Hresult::INVALID_BACKUP_SEQUENCE);
    assert_eq!(code(ca.read(&mut [])), Hresult::E_INVALIDARG);
    ca.close_file().unwrap(); // unread
    assert_eq!(read_all(&mut ca, &databases[0]), size);

    // Logs.
    let logs = names(&ca.backup_logs().unwrap(), Tag::Log);
    assert_eq!(names(&ca.backup_logs().unwrap(), Tag::Log), logs);
    assert!(!logs.is_empty());
    assert_eq!(code(ca.open_file(&databases[0], 0)), Hresult::INVALID_BACKUP_SEQUENCE);
    assert_eq!(code(ca.truncate_logs()), Hresult::LOG_FILE_NOT_COPIED);
    for log in &logs {
        read_all(&mut ca, log);
    }
    ca.truncate_logs().unwrap();
    ca.truncate_logs().unwrap();
    assert_eq!(code(ca.open_file(&logs[0], 0)), Hresult::MISSING_FILE_TO_BACKUP);
    ca.end().unwrap();
    assert!(store.marks().unwrap().full.is_some());

    // The next may begin.
    ca.prepare(BackupType::LogsOnly).unwrap();
    assert_eq!(code(ca.database_names()), Hresult::INVALID_BACKUP_SEQUENCE);
    assert_eq!(code(ca.open_file(&databases[0], 0)), Hresult::INVALID_BACKUP_SEQUENCE);
    assert_eq!(code(ca.truncate_logs()), Hresult::INVALID_BACKUP_SEQUENCE);
    ca.end().unwrap(); // allowed, and writes no mark
    assert!(store.marks().unwrap().differential.is_none());
}

#[test]
fn truncation_decides_what_counts_as_a_base() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    assert_eq!(code(source(&store).prepare(BackupType::LogsOnly)), Hresult::MISSING_FULL_BACKUP);
    let mut ca = source(&store);
    full(&mut ca, false);
    assert!(store.marks().unwrap().copy.is_some());
    assert_eq!(code(source(&store).prepare(BackupType::LogsOnly)), Hresult::MISSING_FULL_BACKUP);
    full(&mut ca, true);
    let mut session = Session::prepare_logs_only(&mut ca).unwrap().logs().unwrap();
    for log in session.1 {
        let mut file = session.0.open(&log, 0).unwrap();
        while file.read(&mut vec![0; 65536]).unwrap() > 0 {}
        session.0 = file.close().unwrap();
    }
    session.0.truncate().unwrap().end().unwrap();
    assert!(store.marks().unwrap().incremental.is_some());
}

fn full(ca: &mut LocalSource, truncate: bool) {
    let session = read_full(ca);
    if truncate { session.truncate().unwrap().end().unwrap() } else { session.end().unwrap() }
}

/// A full backup of which everything was read.
fn read_full(ca: &mut LocalSource) -> Session<&mut LocalSource, Logs> {
    let mut session = Session::prepare_full(&mut *ca).unwrap();
    for name in session.database_names().unwrap() {
        let mut file = session.open(&name, 0).unwrap();
        while file.read(&mut vec![0; 65536]).unwrap() > 0 {}
        session = file.close().unwrap();
    }
    let (mut session, logs) = session.logs().unwrap();
    for name in logs {
        let mut file = session.open(&name, 0).unwrap();
        while file.read(&mut vec![0; 65536]).unwrap() > 0 {}
        session = file.close().unwrap();
    }
    session
}

#[test]
fn a_session_dropped_in_the_middle_frees_the_ca() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let mut ca = source(&store);
    drop(Session::prepare_full(&mut ca).unwrap());
    let session = Session::prepare_full(&mut ca).unwrap();
    assert_eq!(session.abort().unwrap_err().code, Hresult::BACKUP_ABORT_BY_CALLER);
    ca.prepare(BackupType::Full).unwrap();
    ca.give_up(Loss::Client);
    assert_eq!(code(ca.backup_logs()), Hresult::BACKUP_ABORT_BY_SERVER);
    // The store is free for another object at once, before the failed one has ended.
    let mut other = source(&store);
    other.prepare(BackupType::Full).unwrap();
    assert_eq!(code(ca.end()), Hresult::BACKUP_ABORT_BY_SERVER);
}

/// Everything was read, and the set was not stored: the CA must not take the backup for one that is there.
#[test]
fn a_backup_that_is_given_up_after_its_last_byte_is_not_noted() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let mut ca = source(&store);
    let marks = || store.marks().unwrap();
    let before = marks();
    drop(read_full(&mut ca));
    assert_eq!(marks(), before);
    assert_eq!(read_full(&mut ca).abort().unwrap_err().code, Hresult::BACKUP_ABORT_BY_CALLER);
    assert_eq!(marks(), before);
    full(&mut ca, true);
    let full = marks();
    assert_ne!(full, before);
    issue(&store, 2);
    let (mut session, logs) = Session::prepare_logs_only(&mut ca).unwrap().logs().unwrap();
    for name in &logs {
        let mut file = session.open(name, 0).unwrap();
        while file.read(&mut vec![0; 65536]).unwrap() > 0 {}
        session = file.close().unwrap();
    }
    drop(session);
    assert_eq!(marks(), full);
    // Where the logs are gone the set stands, however the session ends.
    drop(read_full(&mut ca).truncate().unwrap());
    assert_ne!(marks(), full);
}

#[test]
fn a_damaged_log_ends_the_backup() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let mut ca = source(&store);
    full(&mut ca, true);
    issue(&store, 2);
    ca.prepare(BackupType::LogsOnly).unwrap();
    let logs = names(&ca.backup_logs().unwrap(), Tag::Log);
    let path = store.folder().archived_logs().unwrap()[0].1.clone();
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(code(ca.open_file(&logs[0], 0)), Hresult::LOG_READ_VERIFY_FAILURE);
    assert_eq!(code(ca.backup_logs()), Hresult::BACKUP_ABORT_BY_SERVER);
    assert_eq!(code(ca.end()), Hresult::BACKUP_ABORT_BY_SERVER);
}
