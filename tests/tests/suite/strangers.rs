//! SQLite's own locks, and strangers who use the database beside the store: an administrator's `sqlite3`.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use certadm_rules::{BackupKind, BackupType};
use certadm_store::{Store, Writer};
use certadm_tests::case::{OPTIONS, Template, restore_and_compare};
use certadm_tests::issue::{Serials, issue};
use certadm_tests::ledger::{Entries, Ledger};
use certadm_tests::{inspect, plain_set};

/// SQLite's checkpoint lock: the second byte of its lock range in the shared memory file.
const CHECKPOINT_LOCK: u64 = 121;

/// How many byte ranges of a file this process holds POSIX locks on.
///
/// `/proc/locks` comes in pieces: while other processes lock and unlock, an entry may be passed over or come twice. So
/// ranges are counted, and only when two looks agree.
fn posix_locks(path: &Path) -> usize {
    let mut before = locked_ranges(path);
    for _ in 0..1000 {
        let now = locked_ranges(path);
        if now == before {
            return now.len();
        }
        before = now;
    }
    panic!("no two looks at /proc/locks agree");
}

fn locked_ranges(path: &Path) -> BTreeSet<(String, String)> {
    let inode = format!(":{}", std::fs::metadata(path).unwrap().ino());
    let process = std::process::id().to_string();
    std::fs::read_to_string("/proc/locks")
        .unwrap()
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| {
            words.len() > 7 && words[1] == "POSIX" && words[4] == process && words[5].ends_with(&inode)
        })
        .map(|words| (words[6].to_owned(), words[7].to_owned()))
        .collect()
}

fn wal_of(database: &Path) -> std::path::PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

fn stranger_looks(dir: &Path) {
    let status = Command::new(env!("CARGO_BIN_EXE_store_driver"))
        .arg("stranger")
        .args(["ca", "stranger", "sets"].map(|name| dir.join(name)))
        .status()
        .unwrap();
    assert!(status.success());
}

/// docs/store-format.md, "The locks of SQLite": a descriptor of the database closed anywhere in the owner's process would
/// drop SQLite's locks.
#[test]
fn sqlites_locks_survive_a_whole_backup_and_keep_strangers_from_the_log() {
    let scratch = certadm_tests::scratch();
    let dir = scratch.path();
    Template::running().place(dir);
    let folder = certadm_store::Folder::new(dir.join("ca"));
    let store = Store::open(&folder, OPTIONS).unwrap();
    let database = store.database().to_owned();
    let mut writer = store.writer().unwrap();
    let mut ledger = Ledger::open(&dir.join("ledger"));
    let mut serials = Serials::new();
    issue(&mut writer, serials.next().unwrap(), &mut ledger).unwrap();
    let held = posix_locks(&database);
    assert!(held > 0, "SQLite holds a lock on a database in use");

    for kind in [BackupType::Full, BackupType::LogsOnly] {
        let mut backup = store.begin_backup(kind).unwrap();
        if kind == BackupType::Full {
            let mut image = backup.open_image().unwrap();
            let mut buffer = [0; 20_000];
            while image.read(&mut buffer).unwrap() > 0 {
                assert_eq!(posix_locks(&database), held, "while the image is read");
            }
            drop(image);
            assert_eq!(posix_locks(&database), held, "after the image was closed");
        }
        for (generation, _) in backup.logs().unwrap() {
            backup.open_log(generation).unwrap();
        }
        backup.truncate().unwrap();
        backup.end(Some(BackupKind::of(kind, true))).unwrap();
        assert_eq!(posix_locks(&database), held, "after the backup");
    }
    drop(Writer::open(&folder).unwrap());
    drop(store.writer().unwrap());
    store.roll().unwrap();
    assert_eq!(posix_locks(&database), held, "after other connections have come and gone");

    issue(&mut writer, serials.next().unwrap(), &mut ledger).unwrap();
    let wal = std::fs::metadata(wal_of(&database)).unwrap();
    stranger_looks(dir);
    let after = std::fs::metadata(wal_of(&database)).expect("a stranger who leaves does not delete the log");
    assert_eq!((after.ino(), after.len()), (wal.ino(), wal.len()));
    issue(&mut writer, serials.next().unwrap(), &mut ledger).unwrap();
    let rows = inspect::rows(folder.path());
    inspect::compare(&rows, &Entries::read(&dir.join("ledger")), "beside a stranger");
    drop(writer);
    store.close().unwrap();
}

/// The same look at /proc/locks does see the trap when somebody steps into it.
#[test]
fn a_closed_descriptor_would_be_seen() {
    let scratch = certadm_tests::scratch();
    Template::running().place(scratch.path());
    let folder = certadm_store::Folder::new(scratch.path().join("ca"));
    let store = Store::open(&folder, OPTIONS).unwrap();
    assert!(posix_locks(store.database()) > 0);
    drop(File::open(store.database()).unwrap());
    assert_eq!(posix_locks(store.database()), 0);
}

/// A stranger's checkpoint at the moment of a roll keeps the roll's own out: the database file then lacks pages that
/// only the logs have, and a backup that begins now must list them.
#[test]
fn a_roll_beside_a_strangers_checkpoint_does_not_count_as_checkpointed() {
    let scratch = certadm_tests::scratch();
    let dir = scratch.path();
    Template::running().place(dir);
    let folder = certadm_store::Folder::new(dir.join("ca"));
    let store = Store::open(&folder, OPTIONS).unwrap();
    let mut ledger = Ledger::open(&dir.join("ledger"));
    let mut serials = Serials::new();
    let mut writer = store.writer().unwrap();
    issue(&mut writer, serials.next().unwrap(), &mut ledger).unwrap();

    let mut shared_memory = store.database().as_os_str().to_owned();
    shared_memory.push("-shm");
    let mut stranger = Command::new(concat!(env!("OUT_DIR"), "/hold_lock"))
        .arg(shared_memory)
        .arg(CHECKPOINT_LOCK.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(stranger.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    assert_eq!(line, "held\n");

    store.roll().unwrap();
    assert!(store.checkpoint_generation() < store.current_generation());
    let mut backup = store.begin_backup(BackupType::Full).unwrap();
    let set = dir.join("sets").join("1-full");
    plain_set::take(&mut backup, true, &set, Duration::ZERO).unwrap();
    backup.truncate().unwrap();
    backup.end(Some(BackupKind::Full)).unwrap();
    drop(stranger.stdin.take());
    assert!(stranger.wait().unwrap().success());

    issue(&mut writer, serials.next().unwrap(), &mut ledger).unwrap();
    drop(writer);
    store.roll().unwrap();
    assert_eq!(store.checkpoint_generation(), store.current_generation());
    store.close().unwrap();
    let rows = inspect::rows(folder.path());
    restore_and_compare(&dir.join("sets"), &folder, &dir.join("back"), &rows);
}
