//! The engine's events of what goes wrong in a backup (certbcli.md 15): each appears when its cause does, and not before.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use certadm_rules::unc::UncRoot;
use certadm_rules::{BackupType, Generation, Tag};
use certadm_session::{LocalSource, Source};
use certadm_store::{Folder, Options, Store};

/// The file with what was logged by this thread.
struct Log(PathBuf);

impl Log {
    fn has(&self, event: u32) -> bool {
        let text = std::fs::read_to_string(&self.0).unwrap();
        text.split_whitespace().any(|field| field == format!("event={event}"))
    }
}

/// A CA with a log of its own for each of three backups, and what is logged from now on.
fn ca() -> (tempfile::TempDir, Arc<Store>, LocalSource, Log, tracing::subscriber::DefaultGuard) {
    let dir = tempfile::tempdir().unwrap();
    let log = Log(dir.path().join("events"));
    let writer = Arc::new(File::create(&log.0).unwrap());
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(writer).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let options = Options { log_size: 64 * 1024, circular_logging: false, backup_rate: 0 };
    let store = Arc::new(Store::create(&Folder::new(dir.path().join("ca")), "Test CA", options).unwrap());
    let mut source = LocalSource::new(Arc::clone(&store), UncRoot::new("ca1.example").unwrap());
    for _ in 0..3 {
        back_up(&mut source);
        source.end().unwrap();
    }
    for event in [217, 219, 227] {
        assert!(!log.has(event), "{event} without a cause");
    }
    (dir, store, source, log, guard)
}

/// A full backup up to its end, every byte of it read.
fn back_up(source: &mut LocalSource) {
    source.prepare(BackupType::Full).unwrap();
    let databases = source.database_names().unwrap();
    databases.paths(Tag::Database).for_each(|name| read(source, name));
    let logs = source.backup_logs().unwrap();
    logs.paths(Tag::Log).for_each(|name| read(source, name));
}

fn read(source: &mut LocalSource, name: &str) {
    source.open_file(name, 0).unwrap();
    let mut buffer = vec![0; 1 << 16];
    while source.read(&mut buffer).unwrap() > 0 {}
    source.close_file().unwrap();
}

#[test]
fn a_database_that_cannot_be_read_is_event_217() {
    let (_dir, store, mut source, log, _guard) = ca();
    source.prepare(BackupType::Full).unwrap();
    let databases = source.database_names().unwrap();
    let whole = std::fs::metadata(store.database()).unwrap().len();
    source.open_file(databases.paths(Tag::Database).next().unwrap(), 0).unwrap();
    let database = std::fs::OpenOptions::new().write(true).open(store.database()).unwrap();
    database.set_len(whole / 2).unwrap();
    let mut buffer = vec![0; usize::try_from(whole).unwrap()];
    assert!(source.read(&mut buffer).is_err());
    assert!(log.has(217));
}

#[test]
fn a_mark_that_cannot_be_written_is_event_219() {
    let (_dir, store, mut source, log, _guard) = ca();
    back_up(&mut source);
    let other = rusqlite::Connection::open(store.database()).unwrap();
    other.execute_batch("DROP TABLE store_marks").unwrap();
    assert!(source.end().is_err());
    assert!(log.has(219));
}

#[test]
fn a_log_that_is_gone_when_logs_are_deleted_is_event_227() {
    let (_dir, store, mut source, log, _guard) = ca();
    back_up(&mut source);
    let folder = store.folder();
    let gone = folder.log_path(Generation::new(2).unwrap());
    assert!(folder.log_path(Generation::FIRST).exists());
    std::fs::remove_file(gone).unwrap();
    source.truncate_logs().unwrap();
    assert!(log.has(227) && log.has(224));
    source.end().unwrap();
    assert!(log.has(213));
}
