//! A restore beside which the CA's own folder still has logs: those of after the backup, and those of a stranger.

use std::fs;
use std::path::{Path, PathBuf};

use certadm_rules::registration::{MapEntry, RestoreRecord};
use certadm_rules::{BackupType, Diagnosis, Generation, GenerationRange, Hresult};
use certadm_store::{Folder, Options, Store, record};

use crate::backup_and_recovery::{copy_backup, insert, serials};

const NEVER_ROLL: Options = Options { log_size: 8 << 20, circular_logging: false, backup_rate: 0 };

/// A CA with two certificates in a backup, and two more in logs above it.
struct Lost {
    dir: tempfile::TempDir,
    folder: Folder,
    backed_up: GenerationRange,
}

impl Lost {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("ca"));
        let store = Store::create(&folder, "ca", NEVER_ROLL).unwrap();
        let mut writer = store.writer().unwrap();
        insert(&mut writer, 1);
        store.roll().unwrap();
        insert(&mut writer, 2);
        let set = dir.path().join("set");
        fs::create_dir(&set).unwrap();
        let mut backup = store.begin_backup(BackupType::Full).unwrap();
        copy_backup(&mut backup, &set);
        let backed_up = backup.range().unwrap();
        backup.end(None).unwrap();
        for serial in 3..5 {
            insert(&mut writer, serial);
            store.roll().unwrap();
        }
        drop(writer);
        store.close().unwrap();
        Self { dir, folder, backed_up }
    }

    fn set(&self) -> PathBuf {
        self.dir.path().join("set")
    }

    /// Puts the image in the place of the database and registers the logs where they lie.
    fn register(&self) {
        let database = self.folder.database_path().unwrap();
        for gone in ["db-wal", "db-shm"] {
            fs::remove_file(database.with_extension(gone)).ok();
        }
        fs::copy(self.set().join("ca.db"), &database).unwrap();
        let name = database.to_str().unwrap().to_owned();
        let logs = self.set().to_str().unwrap().to_owned();
        let restore = RestoreRecord {
            backup_log_directory: Some(logs),
            checkpoint_directory: None,
            log_directory: None,
            range: self.backed_up,
            map: vec![MapEntry { database: name.clone(), new_database: name }],
            database_recovered: false,
            status: Hresult::S_OK,
        };
        record::write(&self.folder, &restore).unwrap();
    }

    fn above(&self) -> Vec<(Generation, PathBuf)> {
        let mut logs = Folder::logs_in(&self.folder.log_dir()).unwrap();
        logs.retain(|(generation, _)| self.backed_up.high() < *generation);
        logs
    }
}

/// The log of another CA that has this number.
fn log_of_another_ca(dir: &Path, generation: Generation) -> PathBuf {
    let folder = Folder::new(dir.join("other"));
    let store = Store::create(&folder, "other", NEVER_ROLL).unwrap();
    while store.current_generation() <= generation {
        insert(&mut store.writer().unwrap(), store.current_generation().number());
        store.roll().unwrap();
    }
    store.close().unwrap();
    folder.log_path(generation)
}

#[test]
fn logs_that_continue_the_restored_ones_are_rolled_forward() {
    let ca = Lost::new();
    assert!(2 <= ca.above().len());
    ca.register();
    let store = Store::open(&ca.folder, NEVER_ROLL).unwrap();
    let recovered = store.opened().recovered.clone().unwrap();
    assert!(2 <= recovered.rolled_forward, "{recovered:?}");
    assert_eq!(serials(&ca.folder), [1, 2, 3, 4]);
    // The CA goes on above them, and starts again.
    insert(&mut store.writer().unwrap(), 5);
    store.roll().unwrap();
    store.close().unwrap();
    Store::open(&ca.folder, NEVER_ROLL).unwrap();
    assert_eq!(serials(&ca.folder), [1, 2, 3, 4, 5]);
}

#[test]
fn a_damaged_one_ends_the_roll_forward_and_does_not_stay_in_the_way() {
    let ca = Lost::new();
    let (_, last) = ca.above().pop().unwrap();
    let mut bytes = fs::read(&last).unwrap();
    let middle = bytes.len() - 100;
    bytes[middle] ^= 1;
    fs::write(&last, bytes).unwrap();
    ca.register();
    let store = Store::open(&ca.folder, NEVER_ROLL).unwrap();
    assert!(store.opened().recovered.clone().unwrap().stopped_at.is_some());
    assert!(!last.exists() && last.with_extension("log.not-applied").exists());
    insert(&mut store.writer().unwrap(), 5);
    store.roll().unwrap();
    store.close().unwrap();
    Store::open(&ca.folder, NEVER_ROLL).unwrap();
    let kept = serials(&ca.folder);
    assert!(kept.starts_with(&[1, 2]) && kept.ends_with(&[5]), "{kept:?}");
}

#[test]
fn a_log_of_a_stranger_is_refused_before_anything_is_changed() {
    let ca = Lost::new();
    let next = ca.backed_up.high().next().unwrap();
    let stranger = log_of_another_ca(ca.dir.path(), next);
    for (_, log) in ca.above() {
        fs::remove_file(log).unwrap();
    }
    fs::copy(&stranger, ca.folder.log_path(next)).unwrap();
    ca.register();
    let database = ca.folder.database_path().unwrap();
    let before = fs::read(&database).unwrap();
    let error = Store::open(&ca.folder, NEVER_ROLL).unwrap_err();
    assert_eq!(error.hresult(), Hresult::EXISTING_LOG_FILE_HAS_BAD_SIGNATURE, "{error}");
    assert_eq!(fs::read(&database).unwrap(), before);
    fs::remove_file(ca.folder.log_path(next)).unwrap();
    Store::open(&ca.folder, NEVER_ROLL).unwrap();
    assert_eq!(serials(&ca.folder), [1, 2]);
}

/// The process ends between the word "rolling" and the log: a log that somebody put there under its number is not that log.
#[test]
fn a_log_of_another_stream_is_not_taken_for_the_one_of_an_interrupted_roll() {
    let ca = Lost::new();
    let store = Store::open(&ca.folder, NEVER_ROLL).unwrap();
    let current = store.current_generation();
    insert(&mut store.writer().unwrap(), 5);
    // As a copy of the folder would be that was made by a crash.
    let copy = Folder::new(ca.dir.path().join("copy"));
    copy_folder(ca.folder.path(), copy.path());
    fs::copy(log_of_another_ca(ca.dir.path(), current), copy.log_path(current)).unwrap();
    // Without the word of the checkpoint file the logs alone tell how far the roll got.
    fs::remove_file(copy.checkpoint_path()).unwrap();
    let store = Store::open(&copy, NEVER_ROLL).unwrap();
    assert_eq!(store.current_generation(), current);
    store.roll().unwrap();
    store.close().unwrap();
    Store::open(&copy, NEVER_ROLL).unwrap();
    assert_eq!(serials(&copy), [1, 2, 3, 4, 5]);
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy_folder(&path, &target),
            // One that goes away meanwhile is a log that is being packed.
            kind if kind.is_file() => drop(fs::copy(path, target)),
            _ => {}
        }
    }
}
