//! Logs that were rolled get another form, and stay the same logs.

use std::fs;
use std::path::PathBuf;

use certadm_rules::{BackupType, Generation};
use certadm_store::log_file::LogFile;
use certadm_store::{Error, Folder, Options, Store};

use crate::backup_and_recovery::{copy_backup, insert, restore, serials};

/// Nothing rolls but what a test rolls.
const LARGE_LOGS: Options = Options { log_size: 64 << 20, circular_logging: false, backup_rate: 0 };

/// Fills a log and rolls it; what it holds is `serials`. Certificates of before are in their pages again.
fn log_of(store: &Store, serials: std::ops::Range<u32>) -> PathBuf {
    let mut writer = store.writer().unwrap();
    for serial in serials {
        insert(&mut writer, serial);
    }
    let generation = store.current_generation();
    store.roll().unwrap();
    store.folder().log_path(generation)
}

fn is_packed(log: &PathBuf) -> bool {
    let log = LogFile::open(log).unwrap();
    log.check().unwrap();
    log.header().is_packed()
}

#[test]
fn rolled_logs_are_packed_and_come_back() {
    let dir = certadm_files::scratch::for_test();
    let folder = Folder::new(dir.path().join("ca"));
    let store = Store::create(&folder, "ca", LARGE_LOGS).unwrap();
    let logs = [log_of(&store, 0..50), log_of(&store, 50..100)];
    store.wait_until_packed();
    assert!(logs.iter().all(is_packed));

    // A set holds the packed logs, and the logs continue each other whatever their form is.
    let set = dir.path().join("set");
    fs::create_dir(&set).unwrap();
    let mut backup = store.begin_backup(BackupType::Full).unwrap();
    copy_backup(&mut backup, &set);
    let range = backup.range().unwrap();
    drop(backup);
    store.close().unwrap();

    let restored = restore(&set, &dir.path().join("restored"), range.low().number(), range.high().number());
    Store::open(&restored, LARGE_LOGS).unwrap().close().unwrap();
    assert_eq!(serials(&restored), (0..100).collect::<Vec<_>>());
}

#[test]
fn what_a_crash_or_an_older_program_left_is_packed_at_the_next_start() {
    let dir = certadm_files::scratch::for_test();
    let folder = Folder::new(dir.path().join("ca"));
    let store = Store::create(&folder, "ca", LARGE_LOGS).unwrap();
    let backup = store.begin_backup(BackupType::Full).unwrap(); // nothing is packed meanwhile
    let log = log_of(&store, 0..50);
    drop(store);
    drop(backup);
    assert!(!is_packed(&log));
    let mut unfinished = log.clone().into_os_string();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    fs::write(&unfinished, b"half").unwrap();
    let store = Store::open(&folder, LARGE_LOGS).unwrap();
    store.wait_until_packed();
    assert!(is_packed(&log));
    assert!(!unfinished.exists());
    assert_eq!(serials(&folder), (0..50).collect::<Vec<_>>());
}

#[test]
fn a_damaged_log_stays_as_it_is_and_those_after_it_are_packed() {
    let dir = certadm_files::scratch::for_test();
    let folder = Folder::new(dir.path().join("ca"));
    let store = Store::create(&folder, "ca", LARGE_LOGS).unwrap();
    let backup = store.begin_backup(BackupType::Full).unwrap(); // nothing is packed meanwhile
    let logs = [log_of(&store, 0..50), log_of(&store, 50..100)];
    assert!(!logs.iter().any(is_packed));
    let mut bytes = fs::read(&logs[0]).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&logs[0], &bytes).unwrap();
    drop(backup);
    store.wait_until_packed();
    assert_eq!(fs::read(&logs[0]).unwrap(), bytes);
    assert!(matches!(LogFile::open(&logs[0]).unwrap().check(), Err(Error::LogDamaged { .. })));
    assert!(is_packed(&logs[1]));
}

#[test]
fn a_log_that_was_truncated_does_not_come_back() {
    let dir = certadm_files::scratch::for_test();
    let folder = Folder::new(dir.path().join("ca"));
    let store = Store::create(&folder, "ca", LARGE_LOGS).unwrap();
    for round in 0..30 {
        log_of(&store, 50 * round..50 * (round + 1));
        let mut backup = store.begin_backup(BackupType::Full).unwrap();
        backup.logs().unwrap();
        backup.truncate().unwrap();
        let left = folder.archived_logs().unwrap().first().map(|(generation, _)| *generation);
        let lowest = left.unwrap_or(Generation::FIRST);
        drop(backup);
        // Until the next round the packer may finish whatever it was at.
        store.wait_until_packed();
        assert!(folder.archived_logs().unwrap().iter().all(|(generation, _)| lowest <= *generation));
    }
    drop(store);
    let unfinished = fs::read_dir(folder.log_dir()).unwrap();
    let unfinished =
        unfinished.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "new"));
    assert_eq!(unfinished.count(), 0);
}

/// POSIX lets a listing leave out a name that gets another file meanwhile. The system reads some thousand names at a time, so
/// there are more.
#[test]
fn a_listing_is_whole_while_logs_are_replaced() {
    let dir = certadm_files::scratch::for_test();
    let folder = Folder::new(dir.path());
    fs::create_dir(folder.log_dir()).unwrap();
    let generations: Vec<_> = (5..5005).filter_map(Generation::new).collect();
    for generation in &generations {
        fs::write(folder.log_path(*generation), b"plain").unwrap();
    }
    let ended = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let temporary = dir.path().join("packed");
            for generation in generations.iter().cycle() {
                if ended.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                fs::write(&temporary, b"packed").unwrap();
                fs::rename(&temporary, folder.log_path(*generation)).unwrap();
            }
        });
        let listed: Vec<_> = (0..40).map(|_| folder.archived_logs()).collect();
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        for listed in listed {
            let listed: Vec<_> = listed.unwrap().into_iter().map(|(generation, _)| generation).collect();
            assert!(listed == generations, "{} of {} logs", listed.len(), generations.len());
        }
    });
}
