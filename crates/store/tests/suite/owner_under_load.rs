//! The owner beside readers that stay long, strangers that checkpoint, and backups that begin while logs roll.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use certadm_rules::{BackupKind, BackupType, Diagnosis, Hresult};
use certadm_store::{Error, Folder, Options, Store, Writer};

const SMALL_LOGS: Options = Options { log_size: 64 * 1024, circular_logging: false, backup_rate: 0 };

fn insert(writer: &mut Writer) {
    writer
        .commit(|transaction| {
            let sql = "INSERT INTO Requests (Disposition, RawRequest) VALUES (20, randomblob(3000))";
            transaction.execute(sql, []).map_err(Error::from)
        })
        .unwrap();
}

#[test]
fn a_reader_that_stays_does_not_make_an_idle_store_roll_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path().join("ca"));
    let store = Store::create(&folder, "ca", SMALL_LOGS).unwrap();
    let mut writer = store.writer().unwrap();
    insert(&mut writer);
    let reader = Writer::open(&folder).unwrap();
    reader.connection().execute_batch("BEGIN; SELECT count(*) FROM Requests").unwrap();
    for _ in 0..20 {
        insert(&mut writer);
    }
    // What was committed is archived, sooner or later; then the store has to keep still.
    let began = Instant::now();
    let mut settled = store.current_generation();
    loop {
        std::thread::sleep(Duration::from_millis(400));
        let now = store.current_generation();
        if now == settled {
            break;
        }
        settled = now;
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "nothing was committed, so there was nothing to archive"
        );
    }
    assert!(settled.number() < 10, "21 small commits filled {settled} logs");
    drop(reader);
    store.roll().unwrap();
    assert_eq!(store.checkpoint_generation(), store.current_generation());
}

#[test]
fn backups_begin_while_a_circular_log_rolls() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path().join("ca"));
    let options = Options { circular_logging: true, ..SMALL_LOGS };
    let store = Store::create(&folder, "ca", options).unwrap();
    let stop = AtomicBool::new(false);
    let (done, watched) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // A deadlock would hang this process for ever; it is to fail instead.
        if watched.recv_timeout(Duration::from_secs(300)).is_err() {
            eprintln!("the store hangs");
            std::process::abort();
        }
    });
    std::thread::scope(|scope| {
        let roller = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                store.roll().unwrap();
            }
        });
        while store.current_generation().number() < 60 {
            drop(store.begin_backup(BackupType::Full).unwrap());
            let refused = store.begin_backup(BackupType::LogsOnly).map(|_| ()).unwrap_err();
            assert_eq!(refused.hresult(), Hresult::INVALID_BACKUP);
        }
        stop.store(true, Ordering::Relaxed);
        roller.join().unwrap();
    });
    done.send(()).unwrap();
}

#[test]
fn backups_of_logs_begin_while_logs_roll() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path().join("ca"));
    let store = Store::create(&folder, "ca", SMALL_LOGS).unwrap();
    let mut full = store.begin_backup(BackupType::Full).unwrap();
    full.logs().unwrap();
    full.end(Some(BackupKind::Full)).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let roller = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                store.roll().unwrap();
            }
        });
        let refused = loop {
            match store.begin_backup(BackupType::LogsOnly) {
                Ok(_) if 200 <= store.current_generation().number() || roller.is_finished() => break None,
                Ok(_) => {}
                Err(error) => break Some(error),
            }
        };
        stop.store(true, Ordering::Relaxed);
        roller.join().unwrap();
        assert!(refused.is_none(), "no log is missing, and none was deleted: {refused:?}");
    });
}

/// What kept logs from being rolled while the CA ran is gone when it ends: nothing of that is left to be told.
#[test]
fn a_roll_that_failed_is_made_up_for_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path().join("ca"));
    let store = Store::create(&folder, "ca", SMALL_LOGS).unwrap();
    let current = store.current_generation();
    let log = folder.log_path(current);
    std::fs::create_dir(&log).unwrap();
    let mut writer = store.writer().unwrap();
    // From four logs on the one who commits rolls.
    for _ in 0..100 {
        insert(&mut writer);
    }
    drop(writer);
    assert_eq!(store.current_generation(), current);
    std::fs::remove_dir(&log).unwrap();
    store.close().unwrap();
    assert!(log.is_file());
}

/// Another program writes to the database and knows nothing of the commit lock.
#[test]
fn who_keeps_the_right_to_write_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path().join("ca"));
    let store = Store::create(&folder, "ca", SMALL_LOGS).unwrap();
    let mut writer = store.writer().unwrap();
    let other = rusqlite::Connection::open(writer.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    writer.connection().busy_timeout(Duration::from_millis(20)).unwrap();
    let error = writer.commit(|_| Ok::<_, Error>(())).unwrap_err();
    let Error::LockHeld { path, holder, .. } = &error else { panic!("{error}") };
    assert_eq!((path.as_path(), error.hresult()), (writer.database(), Hresult::ERROR_SHARING_VIOLATION));
    // Not every system tells.
    let own = format!("(process {})", std::process::id());
    assert!(holder.as_ref().is_none_or(|holder| holder.ends_with(&own)), "{holder:?}");
    if std::fs::read_to_string("/proc/locks").is_ok_and(|locks| locks.contains("POSIX")) {
        assert!(holder.is_some(), "{error}");
    }
    other.execute_batch("ROLLBACK").unwrap();
    insert(&mut writer);
}
