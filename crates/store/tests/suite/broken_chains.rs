//! Logs that go missing and databases that are none: what the store makes of them.

use std::fs;

use certadm_rules::{BackupKind, BackupType, Diagnosis, Generation, Hresult};
use certadm_store::{Adopted, Error, Folder, Options, Store, Writer, stated_checkpoint};

use crate::backup_and_recovery::{insert, serials};

/// The tests alone roll.
const NEVER_ROLL: Options = Options { log_size: 8 << 20, circular_logging: false, backup_rate: 0 };

/// A CA with one certificate in each of some archived logs.
fn with_logs(dir: &tempfile::TempDir, logs: u32) -> (Folder, Store) {
    let folder = Folder::new(dir.path().join("ca"));
    let store = Store::create(&folder, "ca", NEVER_ROLL).unwrap();
    let mut writer = store.writer().unwrap();
    for serial in 1..=logs {
        insert(&mut writer, serial);
        store.roll().unwrap();
    }
    (folder, store)
}

/// What an administrator's sqlite3 does on leaving.
fn checkpoint_by_a_stranger(folder: &Folder) {
    let stranger = rusqlite::Connection::open(folder.database_path().unwrap()).unwrap();
    stranger.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

#[test]
fn names_that_are_paths_and_a_second_ca_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path().join("ca"));
    for name in ["", "a/b", "a\\b", ".ca", "a\0b"] {
        assert!(matches!(Store::create(&folder, name, NEVER_ROLL), Err(Error::BadName { .. })), "{name:?}");
    }
    Store::create(&folder, "ca", NEVER_ROLL).unwrap().close().unwrap();
    let error = Store::create(&folder, "other", NEVER_ROLL).unwrap_err();
    assert!(matches!(error, Error::AlreadyExists { .. }), "{error}");
    assert_eq!(error.hresult(), Hresult::ERROR_DIR_NOT_EMPTY);
}

#[test]
fn a_file_that_is_no_database_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path().join("ca"));
    Store::create(&folder, "ca", NEVER_ROLL).unwrap().close().unwrap();
    let database = folder.database_path().unwrap();
    let whole = fs::read(&database).unwrap();
    let mut other = whole.clone();
    other[..16].fill(b'x');
    for (bytes, what) in [(&whole[..50], "half a header"), (&other[..], "another kind of file")] {
        fs::write(&database, bytes).unwrap();
        let error = Store::open(&folder, NEVER_ROLL).unwrap_err();
        assert_eq!(error.hresult(), Hresult::DATABASE_CORRUPTED, "{what}: {error}");
    }
    let mut other = whole.clone();
    for at in [18, 19] {
        other[at] = 0xfd;
        fs::write(&database, &other).unwrap();
        let error = Store::open(&folder, NEVER_ROLL).unwrap_err();
        assert_eq!(
            error.hresult(),
            Hresult::DATABASE_CORRUPTED,
            "a version that SQLite does not write: {error}"
        );
        other[at] = whole[at];
    }
    fs::write(&database, &whole[..200]).unwrap();
    assert!(Store::open(&folder, NEVER_ROLL).is_err(), "less than a page");
}

#[test]
fn a_database_that_another_program_took_out_of_wal_mode_has_its_logs_again() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, store) = with_logs(&dir, 2);
    store.close().unwrap();
    let database = folder.database_path().unwrap();
    let stranger = rusqlite::Connection::open(&database).unwrap();
    stranger.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).unwrap();
    drop(stranger);
    assert_eq!(fs::read(&database).unwrap()[18..20], [1, 1]);

    // Without an owner, too.
    insert(&mut Writer::open(&folder).unwrap(), 3);
    assert_eq!(fs::read(&database).unwrap()[18..20], [2, 2]);
    let store = Store::open(&folder, NEVER_ROLL).unwrap();
    let before = store.current_generation();
    insert(&mut store.writer().unwrap(), 4);
    assert!(before < store.roll().unwrap(), "what was committed is in a log");
}

#[test]
fn a_backup_lists_its_logs_once() {
    let dir = tempfile::tempdir().unwrap();
    let (_, store) = with_logs(&dir, 2);
    let mut backup = store.begin_backup(BackupType::Full).unwrap();
    let listed = backup.logs().unwrap();
    insert(&mut store.writer().unwrap(), 3);
    store.roll().unwrap();
    assert_eq!(backup.logs().unwrap(), listed, "what came later is not in it");
}

#[test]
fn a_log_that_is_gone_ends_the_backup() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, store) = with_logs(&dir, 1);
    let mut backup = store.begin_backup(BackupType::Full).unwrap();
    let mut writer = store.writer().unwrap();
    let mut during: Vec<Generation> = Vec::new();
    for serial in 2..5 {
        during.push(store.current_generation());
        insert(&mut writer, serial);
        store.roll().unwrap();
    }
    fs::remove_file(folder.log_path(during[1])).unwrap();
    let error = backup.logs().unwrap_err();
    assert_eq!(error.hresult(), Hresult::MISSING_FILE_TO_BACKUP, "{error}");
    let error = backup.truncate().unwrap_err();
    assert_eq!(error.hresult(), Hresult::INVALID_BACKUP_SEQUENCE, "nothing goes before the list: {error}");
}

#[test]
fn a_checkpoint_by_another_program_ends_the_backup() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, store) = with_logs(&dir, 1);
    insert(&mut store.writer().unwrap(), 2);
    let mut backup = store.begin_backup(BackupType::Full).unwrap();
    checkpoint_by_a_stranger(&folder);
    let error = backup.logs().unwrap_err();
    assert_eq!(error.hresult(), Hresult::MISSING_FILE_TO_BACKUP, "{error}");
    drop(backup);
    assert_eq!(serials(&folder), [1, 2], "nothing is lost, only the chain");
    let mut backup = store.begin_backup(BackupType::Full).unwrap();
    backup.logs().unwrap();
}

/// The roll of a commit finds it, and not the backup's own: what was read before belongs to another stream than what comes after.
#[test]
fn a_checkpoint_that_somebody_else_finds_ends_the_backup() {
    for kind in [BackupType::Full, BackupType::LogsOnly] {
        let dir = tempfile::tempdir().unwrap();
        let (folder, store) = with_logs(&dir, 1);
        let mut base = store.begin_backup(BackupType::Full).unwrap();
        base.logs().unwrap();
        base.end(Some(BackupKind::Full)).unwrap();
        insert(&mut store.writer().unwrap(), 2);
        let mut backup = store.begin_backup(kind).unwrap();
        let mut image = backup.open_image().unwrap();
        image.read(&mut [0; 4096]).unwrap();
        checkpoint_by_a_stranger(&folder);
        insert(&mut store.writer().unwrap(), 3);
        store.roll().unwrap();
        let end =
            std::iter::repeat_with(|| image.read(&mut [0; 65536])).find(|read| !matches!(read, Ok(1..)));
        assert_eq!(end.unwrap().unwrap_err().hresult(), Hresult::MISSING_FILE_TO_BACKUP);
        let error = backup.logs().unwrap_err();
        assert_eq!(error.hresult(), Hresult::MISSING_FILE_TO_BACKUP, "{error}");
        drop(backup);
        assert_eq!(serials(&folder), [1, 2, 3], "nothing is lost, only the chain");
    }
}

#[test]
fn a_backup_whose_chain_broke_behind_its_list_deletes_nothing_and_is_no_base() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, store) = with_logs(&dir, 2);
    let mut backup = store.begin_backup(BackupType::Full).unwrap();
    let logs = backup.logs().unwrap();
    insert(&mut store.writer().unwrap(), 3);
    checkpoint_by_a_stranger(&folder);
    store.roll().unwrap();
    let error = backup.truncate().unwrap_err();
    assert_eq!(error.hresult(), Hresult::MISSING_FILE_TO_BACKUP, "{error}");
    backup.end(Some(BackupKind::Full)).unwrap();
    assert!(logs.iter().all(|(_, path)| path.exists()));
    assert_eq!(store.marks().unwrap().full, None);
    assert!(store.begin_backup(BackupType::LogsOnly).is_err());
}

#[test]
fn logs_that_the_database_file_needs_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, store) = with_logs(&dir, 0);
    // A reader that stays keeps what is committed after it out of the database file.
    let reader = rusqlite::Connection::open(folder.database_path().unwrap()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM Requests;").unwrap();
    insert(&mut store.writer().unwrap(), 1);
    let mut backup = store.begin_backup(BackupType::Full).unwrap();
    let logs = backup.logs().unwrap();
    assert_eq!(backup.truncate().unwrap(), [], "no log is redundant");
    backup.end(Some(BackupKind::Full)).unwrap();
    assert!(logs.iter().all(|(_, path)| path.exists()));
}

#[test]
fn without_a_checkpoint_file_no_log_above_a_gap_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, store) = with_logs(&dir, 4);
    let archived = folder.archived_logs().unwrap();
    store.close().unwrap();
    fs::remove_file(folder.checkpoint_path()).unwrap();
    fs::remove_file(&archived[1].1).unwrap();
    let store = Store::open(&folder, NEVER_ROLL).unwrap();
    assert_eq!(store.opened().adopted, Adopted::Intact);
    let stated = stated_checkpoint(&folder.checkpoint_path()).unwrap();
    assert_eq!(stated, Some(archived[2].0), "from there on every log is there");
    assert_eq!(serials(&folder), [1, 2, 3, 4]);
}

#[test]
fn nobody_commits_where_the_write_ahead_log_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, store) = with_logs(&dir, 2);
    insert(&mut store.writer().unwrap(), 3);
    drop(store);
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(folder.database_dir().join(format!("ca.db{suffix}"))).unwrap();
    }
    for error in [Writer::open(&folder).unwrap_err(), Store::open(&folder, NEVER_ROLL).unwrap_err()] {
        assert_eq!(error.hresult(), Hresult::MISSING_LOG_FILE, "{error}");
        assert!(error.remedy().contains("write-ahead log"));
    }
}

#[test]
fn a_writer_outlives_its_owner() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, store) = with_logs(&dir, 1);
    let mut writer = store.writer().unwrap();
    drop(store);
    insert(&mut writer, 2);
    drop(writer);
    assert_eq!(serials(&folder), [1, 2]);
    insert(&mut Writer::open(&folder).unwrap(), 3);
    assert_eq!(Store::open(&folder, NEVER_ROLL).unwrap().opened().adopted, Adopted::Intact);
}
