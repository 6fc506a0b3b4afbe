//! A backup while three processes issue: the image is read slowly, logs roll meanwhile, and the restored CA has every
//! serial that was acknowledged before the last log list was asked for.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use certadm_rules::{BackupKind, BackupType};
use certadm_store::{Error, Folder, Store};
use certadm_tests::case::{OPTIONS, Template};
use certadm_tests::issue::{Serials, insert};
use certadm_tests::ledger::{Entries, Ledger};
use certadm_tests::process::Process;
use certadm_tests::{inspect, plain_set};

const WRITERS: usize = 3;

fn ledgers(dir: &Path) -> Vec<PathBuf> {
    (0..WRITERS).map(|number| dir.join(format!("ledger-{number}"))).collect()
}

/// What all ledgers say now.
fn entries(dir: &Path) -> Entries {
    let mut entries = Entries::read(&dir.join("ledger"));
    for ledger in ledgers(dir) {
        entries.add(&ledger);
    }
    entries
}

#[test]
fn a_slow_backup_under_load_has_everything_acknowledged_before_it_ended() {
    let scratch = certadm_tests::scratch();
    let dir = scratch.path();
    Template::running().place(dir);
    let folder = Folder::new(dir.join("ca"));
    let store = Store::open(&folder, OPTIONS).unwrap();
    fill(&store, &dir.join("ledger"));
    store.roll().unwrap();

    let driver = Path::new(env!("CARGO_BIN_EXE_store_driver"));
    let writers: Vec<Process> = ledgers(dir)
        .into_iter()
        .map(|ledger| Process::start(driver, ["issuer".into(), dir.join("ca"), ledger, dir.join("sets")]))
        .collect();
    let full = dir.join("sets").join("1-full");
    std::fs::create_dir(&full).unwrap();
    let mut backup = store.begin_backup(BackupType::Full).unwrap();
    let first = store.current_generation();
    let rolled = || store.current_generation().number() - first.number();
    // On a busy machine the writers may need longer for three logs than the image does: the next block waits for them.
    let begun = Instant::now();
    plain_set::take_image(&backup, &full, || {
        std::thread::sleep(Duration::from_millis(8));
        while rolled() < 3 {
            assert!(begun.elapsed() < Duration::from_secs(120), "the logs do not roll beside the backup");
            std::thread::sleep(Duration::from_millis(5));
        }
    })
    .unwrap();
    let rolls = rolled();
    let before_full = entries(dir);
    plain_set::take_logs(&mut backup, &full).unwrap();
    assert!(!backup.truncate().unwrap().is_empty());
    backup.end(Some(BackupKind::Full)).unwrap();

    std::thread::sleep(Duration::from_millis(100));
    let logs = dir.join("sets").join("2-logs");
    std::fs::create_dir(&logs).unwrap();
    let mut backup = store.begin_backup(BackupType::LogsOnly).unwrap();
    let before_logs = entries(dir);
    plain_set::take_logs(&mut backup, &logs).unwrap();
    backup.truncate().unwrap();
    backup.end(Some(BackupKind::Incremental)).unwrap();
    for writer in writers {
        writer.stop();
    }
    store.close().unwrap();

    // The CA is lost with all its logs: only the sets are left.
    let image = full.join(plain_set::IMAGE);
    let all = entries(dir);
    for (name, folders, before) in
        [("full", vec![full.clone()], before_full), ("full and logs", vec![full.clone(), logs], before_logs)]
    {
        let back = dir.join(format!("back from {name}"));
        let restored = plain_set::restore(&image, &folders, &back);
        let store = Store::open(&restored, OPTIONS).unwrap();
        let rows = inspect::rows(&back);
        inspect::contains(&rows, &before.acknowledged, name);
        inspect::compare(&rows, &Entries { tried: all.tried.clone(), ..before.clone() }, name);
        store.close().unwrap();
        println!("{name}: {} acknowledged before, {} restored", before.acknowledged.len(), rows.len());
    }
    assert!(rolls < 1000, "{rolls} rolls");
}

/// Makes the image large enough to take its time.
fn fill(store: &Store, ledger: &Path) {
    let mut ledger = Ledger::open(ledger);
    let mut writer = store.writer().unwrap();
    let serials: Vec<u64> = Serials::new().take(2000).collect();
    let requests: Vec<i64> = writer
        .commit(|transaction| {
            serials.iter().map(|&serial| insert(transaction, serial)).collect::<Result<_, Error>>()
        })
        .unwrap();
    for (&serial, request) in serials.iter().zip(requests) {
        ledger.tried(serial);
        ledger.acknowledged(serial, request);
    }
}
