//! The engine's events of what goes wrong in a backup (certbcli.md 15): each appears when its cause does, and not before.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use certadm_rules::unc::UncRoot;
use certadm_rules::{BackupType, Generation, Tag};
use certadm_session::{Caller, LocalSource, Loss, Source};
use certadm_store::{Folder, Options, Store};

/// The file with what was logged by this thread.
struct Log(PathBuf);

impl Log {
    /// The numbers of all events and audit records, in their order.
    fn numbers(&self) -> Vec<u32> {
        let text = std::fs::read_to_string(&self.0).unwrap();
        let number =
            |field: &str| field.strip_prefix("event=").or(field.strip_prefix("audit="))?.parse().ok();
        text.split_whitespace().filter_map(number).collect()
    }

    fn has(&self, event: u32) -> bool {
        self.numbers().contains(&event)
    }

    /// The numbers of what `work` does.
    fn of(&self, work: impl FnOnce()) -> Vec<u32> {
        let before = self.numbers().len();
        work();
        self.numbers().split_off(before)
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
    // The failed read has closed the file, so that nothing is copied any more.
    let before = log.numbers();
    assert_eq!(before[before.len() - 2..], [217, 218]);
    assert!(source.read(&mut buffer).is_err());
    assert!(source.close_file().is_err());
    assert_eq!(log.numbers(), before);
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

#[test]
fn a_backup_is_told_from_its_beginning_to_its_end() {
    let (_dir, _store, mut source, log, _guard) = ca();
    let numbers = log.of(|| {
        back_up(&mut source);
        source.truncate_logs().unwrap();
        source.end().unwrap();
    });
    // The database and the one log that it needs, each of them whole.
    assert_eq!(numbers, [210, 4876, 221, 223, 221, 224, 213, 4877]);
    source = source.with_audits(false);
    source.called_by(Caller::remote("backup", Some([192, 0, 2, 1].into())));
    let numbers = log.of(|| {
        source.prepare(BackupType::LogsOnly).unwrap();
        let logs = source.backup_logs().unwrap();
        // A list that is asked for again is told no second time.
        assert_eq!(source.backup_logs().unwrap(), logs);
        logs.paths(Tag::Log).for_each(|name| read(&mut source, name));
        source.end().unwrap();
    });
    assert_eq!(numbers, [211, 223, 221, 213]);
    let text = std::fs::read_to_string(&log.0).unwrap();
    assert!(text.contains("event=211 caller=backup address=192.0.2.1"), "{text}");
}

#[test]
fn a_context_without_any_opened_file_is_no_backup() {
    let (_dir, _store, mut source, log, _guard) = ca();
    back_up(&mut source);
    source.truncate_logs().unwrap();
    source.end().unwrap();
    let numbers = log.of(|| {
        source.prepare(BackupType::LogsOnly).unwrap();
        source.end().unwrap();
    });
    assert_eq!(numbers, [211, 4876]);
    let numbers = log.of(|| {
        source.prepare(BackupType::Full).unwrap();
        source.end().unwrap_err();
    });
    assert_eq!(numbers, [210, 4876, 215, 214]);
}

#[test]
fn a_backup_that_is_given_up_is_told_once_and_a_file_is_copied_whole_or_not() {
    let (_dir, _store, mut source, log, _guard) = ca();
    let mut buffer = vec![0; 1 << 20];
    assert!(log.of(|| source.give_up(Loss::Client)).is_empty(), "there is no backup");
    for (loss, event) in [(Loss::Client, 215), (Loss::Service, 226)] {
        for (reads_on, closing) in [(false, vec![221]), (true, vec![])] {
            source.prepare(BackupType::Full).unwrap();
            let databases = source.database_names().unwrap();
            source.open_file(databases.paths(Tag::Database).next().unwrap(), 0).unwrap();
            while source.read(&mut buffer).unwrap() > 0 {}
            assert_eq!(log.of(|| source.give_up(loss)), [event]);
            if reads_on {
                // The first refused read is told, the next one is not.
                assert_eq!(log.of(|| drop(source.read(&mut buffer).unwrap_err())), [218]);
                assert!(log.of(|| drop(source.read(&mut buffer).unwrap_err())).is_empty());
            }
            assert_eq!(log.of(|| source.close_file().unwrap()), closing);
            assert_eq!(log.of(|| drop(source.end().unwrap_err())), [215, 214]);
        }
    }
}

#[test]
fn a_file_that_is_closed_early_is_event_222() {
    let (_dir, _store, mut source, log, _guard) = ca();
    source.prepare(BackupType::Full).unwrap();
    let databases = source.database_names().unwrap();
    source.open_file(databases.paths(Tag::Database).next().unwrap(), 0).unwrap();
    source.read(&mut [0; 512]).unwrap();
    assert_eq!(log.of(|| source.close_file().unwrap()), [222]);
}

#[cfg(unix)]
fn names_without_unc_form() -> Vec<std::ffi::OsString> {
    use std::os::unix::ffi::OsStringExt;
    vec![r"x\y.crl".into(), std::ffi::OsString::from_vec(b"x\xFF.crl".to_vec())]
}

#[cfg(windows)]
fn names_without_unc_form() -> Vec<std::ffi::OsString> {
    use std::os::windows::ffi::OsStringExt;
    vec![std::ffi::OsString::from_wide(&[0x78, 0xD800])]
}

#[test]
fn a_dynamic_file_that_no_list_can_name_is_told_and_the_others_are_listed() {
    let (_dir, store, mut source, log, _guard) = ca();
    let crls = store.folder().crl_dir();
    let odd = names_without_unc_form();
    for name in &odd {
        std::fs::write(crls.join(name), "a CRL").unwrap();
    }
    std::fs::write(crls.join("good.crl"), "a CRL").unwrap();
    let list = source.dynamic_files().unwrap();
    assert!(list.paths().iter().all(|path| path.ends_with(".crl")), "{:?}", list.paths());
    assert!(list.paths().iter().any(|path| path.ends_with(r"\good.crl")), "{:?}", list.paths());
    assert_eq!(source.unlisted_files().len(), odd.len());
    let text = std::fs::read_to_string(&log.0).unwrap();
    for name in &odd {
        let path = format!("{:?}", crls.join(name));
        assert!(text.contains(&path) && source.unlisted_files().contains(&path), "{path} in {text}");
        std::fs::remove_file(crls.join(name)).unwrap();
    }
    source.dynamic_files().unwrap();
    assert!(source.unlisted_files().is_empty());
}

/// Whoever may write to the folder may read less than whoever takes the backup.
#[cfg(unix)]
#[test]
fn what_a_link_leads_to_is_not_listed_and_the_link_is_told() {
    use std::os::unix::fs::{lchown, symlink};
    let given_away = |link: &std::path::Path| lchown(link, Some(65_534), None).is_ok();
    let (dir, store, mut source, _log, _guard) = ca();
    let (crls, secret) = (store.folder().crl_dir(), dir.path().join("secret"));
    std::fs::write(&secret, "SECRET").unwrap();
    std::fs::write(crls.join("good.crl"), "a CRL").unwrap();
    symlink(&secret, crls.join("planted.crl")).unwrap();
    // Only root can make links of others; its own are followed.
    if !given_away(&crls.join("planted.crl")) {
        return;
    }
    let list = source.dynamic_files().unwrap();
    assert!(list.paths().iter().all(|path| !path.contains("planted")), "{:?}", list.paths());
    assert_eq!(source.unlisted_files(), [format!("{:?}", crls.join("planted.crl"))]);
    std::fs::rename(&crls, dir.path().join("aside")).unwrap();
    symlink(dir.path(), &crls).unwrap();
    assert!(given_away(&crls));
    assert!(source.dynamic_files().unwrap().is_empty());
    assert_eq!(source.unlisted_files(), [format!("{crls:?}")]);
}

/// The set could not be stored: 213 and 4877 would say that there is one.
#[test]
fn a_backup_that_is_given_up_after_its_last_byte_is_not_told_as_completed() {
    let (_dir, store, mut source, log, _guard) = ca();
    let before = store.marks().unwrap();
    back_up(&mut source);
    assert_eq!(log.of(|| drop(source.abort().unwrap_err())), [215, 214]);
    assert_eq!(store.marks().unwrap(), before);
    back_up(&mut source);
    source.truncate_logs().unwrap();
    assert_eq!(log.of(|| source.abort().unwrap()), [213, 4877], "its logs are gone, so its set stands");
    assert_ne!(store.marks().unwrap(), before);
}
