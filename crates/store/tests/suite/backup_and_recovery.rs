//! Commit, roll, back up while committing goes on, lose everything, recover.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use certadm_rules::registration::{MapEntry, RestoreRecord};
use certadm_rules::{BackupKind, BackupType, Diagnosis, Generation, GenerationRange, Hresult};
use certadm_store::backup::Backup;
use certadm_store::chain::{check_chain, check_image, read_trailer};
use certadm_store::record::Form;
use certadm_store::{Adopted, Error, Folder, Options, Store, Writer, record};

const SMALL_LOGS: Options = Options { log_size: 128 * 1024, circular_logging: false, backup_rate: 0 };

pub(crate) fn insert(writer: &mut Writer, serial: u32) {
    writer
        .commit(|transaction| {
            transaction
                .execute("INSERT INTO Requests (Disposition, RequesterName) VALUES (20, 'test')", [])
                .map_err(Error::from)?;
            let id = transaction.last_insert_rowid();
            transaction
                .execute(
                    "INSERT INTO Certificates (RequestID, SerialNumber, RawCertificate) VALUES (?1, ?2, randomblob(900))",
                    rusqlite::params![id, format!("{:08x}{serial:08x}", serial.wrapping_mul(2_654_435_761))],
                )
                .map_err(Error::from)?;
            Ok::<_, Error>(())
        })
        .unwrap();
}

pub(crate) fn serials(folder: &Folder) -> Vec<u32> {
    let writer = Writer::open(folder).unwrap();
    let mut statement = writer.connection().prepare("SELECT SerialNumber FROM Certificates").unwrap();
    let mut serials: Vec<u32> = statement
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap()
        .map(|serial| u32::from_str_radix(&serial.unwrap()[8..], 16).unwrap())
        .collect();
    serials.sort_unstable();
    serials
}

/// Waits until `done`, for up to two minutes: the machine may be busy.
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !done() {
        assert!(began.elapsed() < std::time::Duration::from_secs(120), "{what}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Reads the image slowly, so that commits and rolls go on meanwhile.
fn copy_image(backup: &Backup, to: &Path) {
    let mut image = backup.open_image().unwrap();
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 40_000];
    loop {
        let len = image.read(&mut buffer).unwrap();
        if len == 0 {
            break;
        }
        bytes.extend_from_slice(&buffer[..len]);
        std::thread::sleep(std::time::Duration::from_millis(3));
    }
    assert_eq!(bytes.len() as u64, image.size());
    fs::write(to.join("ca.db"), bytes).unwrap();
}

pub(crate) fn copy_backup(backup: &mut Backup, to: &Path) {
    copy_image(backup, to);
    copy_logs(backup, to);
}

fn copy_logs(backup: &mut Backup, to: &Path) {
    for (generation, path) in backup.logs().unwrap() {
        let mut log = backup.open_log(generation).unwrap();
        let mut bytes = vec![0; usize::try_from(log.size()).unwrap() + 1];
        let len = log.read(&mut bytes).unwrap();
        bytes.truncate(len);
        fs::write(to.join(path.file_name().unwrap()), bytes).unwrap();
    }
}

/// Puts a copied backup into a new CA folder and registers it by hand.
pub(crate) fn restore(from: &Path, to: &Path, low: u32, high: u32) -> Folder {
    let folder = Folder::new(to);
    for dir in [folder.database_dir(), folder.log_dir(), folder.crl_dir()] {
        fs::create_dir_all(dir).unwrap();
    }
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        let dir = if name == "ca.db" { folder.database_dir() } else { folder.log_dir() };
        fs::copy(entry.path(), dir.join(name)).unwrap();
    }
    let database = folder.database_dir().join("ca.db").to_str().unwrap().to_owned();
    record::write(
        &folder,
        &RestoreRecord {
            backup_log_directory: None,
            checkpoint_directory: None,
            log_directory: None,
            range: GenerationRange::new(Generation::new(low).unwrap(), Generation::new(high).unwrap())
                .unwrap(),
            map: vec![MapEntry { database: database.clone(), new_database: database }],
            database_recovered: false,
            status: Hresult::S_OK,
        },
    )
    .unwrap();
    folder
}

#[test]
fn everything_committed_before_the_logs_were_listed_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path().join("ca"));
    let store = Store::create(&folder, "ca", SMALL_LOGS).unwrap();
    assert_eq!(store.opened().adopted, Adopted::Intact);
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let next = Arc::new(AtomicU32::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|number| {
            let mut writer =
                if number == 0 { Writer::open(&folder).unwrap() } else { store.writer().unwrap() };
            let (acknowledged, next, stop) =
                (Arc::clone(&acknowledged), Arc::clone(&next), Arc::clone(&stop));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let serial = next.fetch_add(1, Ordering::Relaxed);
                    insert(&mut writer, serial);
                    acknowledged.lock().unwrap().push(serial);
                }
            })
        })
        .collect();
    let committed = || acknowledged.lock().unwrap().len();
    wait_until("the writers commit", || committed() > 100);

    let set = dir.path().join("set");
    fs::create_dir(&set).unwrap();
    let mut backup = store.begin_backup(BackupType::Full).unwrap();
    assert!(
        matches!(store.begin_backup(BackupType::Full), Err(Error::Backup(code)) if code == Hresult::BACKUP_IN_PROGRESS)
    );
    let begun_in = store.current_generation().number();
    let mut image_then_logs = backup.open_image().unwrap();
    image_then_logs.read(&mut [0; 8192]).unwrap();
    wait_until("logs roll beside the backup", || store.current_generation().number() > begun_in + 4);
    copy_backup_logs_checked(&mut backup, &set, &acknowledged);
    let must_be_there: Vec<u32> = {
        let mut list = fs::read_to_string(set.join("ledger"))
            .unwrap()
            .lines()
            .map(|line| line.parse().unwrap())
            .collect::<Vec<_>>();
        list.sort_unstable();
        list
    };
    fs::remove_file(set.join("ledger")).unwrap();
    let range = backup.range().unwrap();
    assert!(!backup.truncate().unwrap().is_empty());
    backup.end(Some(BackupKind::Full)).unwrap();
    assert!(
        range.high().number() - range.low().number() > 3,
        "the load should have rolled several logs: {range:?}"
    );

    // More commits, then logs only.
    let before = committed();
    wait_until("the writers go on", || committed() > before + 50);
    let mut incremental = store.begin_backup(BackupType::LogsOnly).unwrap();
    let before: Vec<u32> = acknowledged.lock().unwrap().clone();
    copy_logs(&mut incremental, &set);
    let high = incremental.range().unwrap().high();
    incremental.end(Some(BackupKind::Differential)).unwrap();
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.join().unwrap();
    }
    store.close().unwrap();
    let original = serials(&folder);

    let logs = Folder::logs_in(&set).unwrap();
    let trailer = read_trailer(set.join("ca.db")).unwrap();
    check_image(set.join("ca.db"), &trailer, |_| ()).unwrap();
    check_chain(&trailer, &logs, GenerationRange::new(range.low(), high).unwrap()).unwrap();

    let back = restore(&set, &dir.path().join("back"), range.low().number(), high.number());
    assert!(matches!(Writer::open(&back), Err(Error::RestorePending { .. })));
    let store = Store::open(&back, SMALL_LOGS).unwrap();
    let recovered = store.opened().recovered.clone().unwrap();
    assert_eq!((recovered.low, recovered.high), (trailer.low, high));
    assert!(!back.restore_record_path().exists());
    let restored = serials(&back);
    for serial in must_be_there.iter().chain(&before) {
        assert!(restored.binary_search(serial).is_ok(), "serial {serial} was acknowledged and is lost");
    }
    assert!(restored.iter().all(|serial| original.binary_search(serial).is_ok()));
    let integrity: String = store
        .writer()
        .unwrap()
        .connection()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(integrity, "ok");
    assert_eq!(store.marks().unwrap().full, None);
    assert!(
        matches!(store.begin_backup(BackupType::LogsOnly), Err(Error::Backup(code)) if code == Hresult::MISSING_FULL_BACKUP)
    );
    insert(&mut store.writer().unwrap(), 4_000_000_000);
    store.close().unwrap();
}

/// Copies a whole backup; what had been acknowledged when the logs were asked for goes into `ledger`.
fn copy_backup_logs_checked(backup: &mut Backup, set: &Path, acknowledged: &Mutex<Vec<u32>>) {
    copy_image(backup, set);
    let ledger: Vec<String> = acknowledged.lock().unwrap().iter().map(u32::to_string).collect();
    fs::write(set.join("ledger"), ledger.join("\n")).unwrap();
    copy_logs(backup, set);
}

#[test]
fn a_foreign_checkpoint_is_noticed_and_ends_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path().join("ca"));
    let store = Store::create(&folder, "ca", SMALL_LOGS).unwrap();
    let mut writer = store.writer().unwrap();
    insert(&mut writer, 1);
    let set = dir.path().join("set");
    fs::create_dir(&set).unwrap();
    let mut backup = store.begin_backup(BackupType::Full).unwrap();
    copy_backup(&mut backup, &set);
    backup.truncate().unwrap();
    backup.end(Some(BackupKind::Full)).unwrap();
    insert(&mut writer, 2);
    drop(writer);
    store.close().unwrap();
    insert(&mut Writer::open(&folder).unwrap(), 3);

    // What an administrator's sqlite3 does on leaving.
    let stranger = rusqlite::Connection::open(folder.database_path().unwrap()).unwrap();
    stranger.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(stranger);

    let store = Store::open(&folder, SMALL_LOGS).unwrap();
    assert_eq!(store.opened().adopted, Adopted::ForeignCheckpoint);
    assert_eq!(serials(&folder), [1, 2, 3]);
    assert!(
        matches!(store.begin_backup(BackupType::LogsOnly), Err(Error::Backup(code)) if code == Hresult::MISSING_FULL_BACKUP)
    );
    store.close().unwrap();
    let store = Store::open(&folder, SMALL_LOGS).unwrap();
    assert_eq!(store.opened().adopted, Adopted::Intact);
}

#[test]
fn a_deleted_write_ahead_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path().join("ca"));
    let store = Store::create(&folder, "ca", SMALL_LOGS).unwrap();
    insert(&mut store.writer().unwrap(), 1);
    store.close().unwrap();
    insert(&mut Writer::open(&folder).unwrap(), 2);
    let database = folder.database_path().unwrap();
    for suffix in ["-wal", "-shm"] {
        let mut name = database.clone().into_os_string();
        name.push(suffix);
        fs::remove_file(name).unwrap();
    }
    let error = Store::open(&folder, SMALL_LOGS).unwrap_err();
    assert_eq!(error.hresult(), Hresult::MISSING_LOG_FILE);
}

#[test]
fn circular_logging_keeps_no_logs_and_refuses_logs_only() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path().join("ca"));
    let options = Options { circular_logging: true, ..SMALL_LOGS };
    let store = Store::create(&folder, "ca", options).unwrap();
    let mut writer = store.writer().unwrap();
    for serial in 0..200 {
        insert(&mut writer, serial);
    }
    assert!(store.current_generation().number() > 3);
    assert!(folder.archived_logs().unwrap().is_empty());
    assert!(
        matches!(store.begin_backup(BackupType::LogsOnly), Err(Error::Backup(code)) if code == Hresult::INVALID_BACKUP)
    );
    let set = dir.path().join("set");
    fs::create_dir(&set).unwrap();
    let mut backup = store.begin_backup(BackupType::Full).unwrap();
    copy_backup(&mut backup, &set);
    let range = backup.range().unwrap();
    backup.end(Some(BackupKind::Copy)).unwrap();
    let back = restore(&set, &dir.path().join("back"), range.low().number(), range.high().number());
    drop(Store::open(&back, options).unwrap());
    assert_eq!(serials(&back).len(), 200);
}

#[test]
fn an_unregistered_image_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path().join("ca"));
    let store = Store::create(&folder, "ca", SMALL_LOGS).unwrap();
    let set = dir.path().join("set");
    fs::create_dir(&set).unwrap();
    let mut backup = store.begin_backup(BackupType::Full).unwrap();
    copy_backup(&mut backup, &set);
    let range = backup.range().unwrap();
    let back = restore(&set, &dir.path().join("back"), range.low().number(), range.high().number());
    fs::remove_file(back.restore_record_path()).unwrap();
    let error = Store::open(&back, SMALL_LOGS).unwrap_err();
    assert_eq!(error.hresult(), Hresult::SOFT_RECOVERY_ON_BACKUP_DATABASE);
}

/// Whoever may restore may write to the request, and not to the record: a start in between leaves the request where it is.
#[test]
fn a_request_is_taken_over_when_it_is_completed_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path().join("ca"));
    let store = Store::create(&folder, "ca", SMALL_LOGS).unwrap();
    let set = dir.path().join("set");
    fs::create_dir(&set).unwrap();
    insert(&mut store.writer().unwrap(), 1);
    let mut backup = store.begin_backup(BackupType::Full).unwrap();
    copy_backup(&mut backup, &set);
    let range = backup.range().unwrap();
    let back = restore(&set, &dir.path().join("back"), range.low().number(), range.high().number());
    let whole = record::read(&back).unwrap().unwrap();
    fs::remove_file(back.restore_record_path()).unwrap();
    for status in [Hresult::E_PENDING, Hresult::E_ABORT] {
        let waits = RestoreRecord { status, ..whole.clone() };
        record::register(&back, Form::Request, &waits).unwrap();
        let error = Store::open(&back, SMALL_LOGS).unwrap_err();
        assert!(matches!(error, Error::RestorePending { state, .. } if state == status), "{error}");
        assert_eq!((record::form(&back), record::read(&back).unwrap()), (Form::Request, Some(waits)));
        assert!(!back.restore_record_path().exists());
    }
    record::register(&back, Form::Request, &whole).unwrap();
    drop(Store::open(&back, SMALL_LOGS).unwrap());
    assert_eq!((serials(&back), record::read(&back).unwrap()), (vec![1], None));
}

#[test]
fn a_second_owner_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path().join("ca"));
    let _store = Store::create(&folder, "ca", SMALL_LOGS).unwrap();
    let error = Store::open(&folder, SMALL_LOGS).unwrap_err();
    assert_eq!(error.hresult(), Hresult::ERROR_SERVICE_ALREADY_RUNNING);
}

/// Reading ahead changes nothing of what is delivered, whatever the reads are, nor of what the trailer says of it.
#[test]
fn reading_ahead_delivers_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path().join("ca"));
    let store = Store::create(&folder, "ca", SMALL_LOGS).unwrap();
    let mut writer = Writer::open(&folder).unwrap();
    (0..200).for_each(|serial| insert(&mut writer, serial));
    let backup = store.begin_backup(BackupType::Full).unwrap();
    for (len, ahead) in [(4096, 4096), (8192, 100_000), (40_000, 8192), (1 << 22, 1 << 22), (777, 1)] {
        let mut image = backup.open_image().unwrap();
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; len]);
        loop {
            let count = image.read(&mut buffer).unwrap();
            bytes.extend_from_slice(&buffer[..count]);
            if count == 0 {
                break;
            }
            assert!(count == len || bytes.len() as u64 == image.size());
            image.read_ahead(ahead);
        }
        assert_eq!(bytes.len() as u64, image.size());
        let path = dir.path().join("copy.db");
        fs::write(&path, &bytes).unwrap();
        check_image(&path, &read_trailer(&path).unwrap(), |_| ()).unwrap();
    }
}
