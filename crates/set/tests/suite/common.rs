//! Small CAs and sets of them, made with the store alone, in memory where the system has such a place.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use certadm_files::scratch::for_test as scratch;
use certadm_rules::registration::{MapEntry, RestoreRecord};
use certadm_rules::unc::UncRoot;
use certadm_rules::{BackupKind, BackupType, Diagnosis, Generation, GenerationRange, Hresult};
use certadm_session::{LocalSource, Source};
use certadm_store::backup::Backup;
use certadm_store::{Error, Folder, Options, Store, Writer, record};
pub(crate) use certadm_tests::plain_set::copy_folder as copy_dir;

/// Logs are rolled by the tests alone.
/// Allows sets without a manifest, as a plain copy of the files of a CA is one.
pub(crate) const INCOMPLETE: certadm_set::restore::Options = certadm_set::restore::Options {
    force: false,
    renewed_key: false,
    incomplete: true,
    allowed_signers: None,
    until: None,
    own_copies: false,
};

const NEVER_ROLL: Options = Options { log_size: 8 << 20, circular_logging: false, backup_rate: 0 };

/// One row with `serial`, committed.
pub(crate) fn insert(writer: &mut Writer, serial: u32) {
    writer
        .commit(|transaction| {
            let request = "INSERT INTO Requests (Disposition, RequesterName) VALUES (20, 'test')";
            transaction.execute(request, []).map_err(Error::from)?;
            let id = transaction.last_insert_rowid();
            let row =
                "INSERT INTO Certificates (RequestID, SerialNumber, RawCertificate) VALUES (?1, ?2, ?3)";
            let content = vec![serial.to_le_bytes()[0]; 600];
            transaction
                .execute(row, rusqlite::params![id, format!("{serial:08x}"), content])
                .map_err(Error::from)?;
            Ok::<_, Error>(())
        })
        .unwrap();
}

/// Every serial number, ascending.
pub(crate) fn serials(folder: &Folder) -> Vec<u32> {
    let writer = Writer::open(folder).unwrap();
    let mut statement =
        writer.connection().prepare("SELECT SerialNumber FROM Certificates ORDER BY SerialNumber").unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(|serial| u32::from_str_radix(&serial.unwrap(), 16).unwrap()).collect()
}

/// A running CA.
pub(crate) struct Ca {
    pub(crate) folder: Folder,
    pub(crate) store: Arc<Store>,
    pub(crate) writer: Writer,
    next: u32,
}

impl Ca {
    pub(crate) fn create(dir: &Path) -> Self {
        let folder = Folder::new(dir);
        Self::over(Store::create(&folder, "ca", NEVER_ROLL).unwrap(), 1)
    }

    /// Opens a CA again, which goes on with serial number `next`.
    pub(crate) fn open(dir: &Path, next: u32) -> Self {
        Self::over(Store::open(&Folder::new(dir), NEVER_ROLL).unwrap(), next)
    }

    fn over(store: Store, next: u32) -> Self {
        let writer = store.writer().unwrap();
        Self { folder: store.folder().clone(), store: Arc::new(store), writer, next }
    }

    pub(crate) fn insert(&mut self) {
        insert(&mut self.writer, self.next);
        self.next += 1;
    }

    /// Begins a new generation.
    pub(crate) fn roll(&mut self) {
        self.insert();
        self.store.roll().unwrap();
    }

    /// A set that needs several logs: the image is read while two generations pass. Its folder gets image, logs and
    /// restore map, as a Windows tool would leave them; no manifest. Truncates.
    pub(crate) fn full_set(&mut self, set: &Path) {
        let files = set.join("DataBase");
        fs::create_dir_all(&files).unwrap();
        self.roll();
        self.roll();
        let mut backup = self.store.begin_backup(BackupType::Full).unwrap();
        let mut image = backup.open_image().unwrap();
        let mut bytes = vec![0; usize::try_from(image.size()).unwrap()];
        let mut filled = image.read(&mut bytes[..8192]).unwrap();
        self.roll();
        self.roll();
        while filled < bytes.len() {
            filled += image.read(&mut bytes[filled..]).unwrap();
        }
        fs::write(files.join("ca.db"), bytes).unwrap();
        copy_logs(&mut backup, &files);
        backup.truncate().unwrap();
        backup.end(Some(BackupKind::Full)).unwrap();
        let names = UncRoot::new("host".to_owned()).unwrap();
        let locations = LocalSource::new(Arc::clone(&self.store), names).database_locations().unwrap();
        fs::write(files.join("certbkxp.dat"), locations.to_bytes()).unwrap();
    }

    /// Adds the logs since the last truncation to a set, and truncates.
    pub(crate) fn add_logs(&mut self, set: &Path) {
        let files = set.join("DataBase");
        fs::create_dir_all(&files).unwrap();
        self.insert();
        let mut backup = self.store.begin_backup(BackupType::LogsOnly).unwrap();
        copy_logs(&mut backup, &files);
        backup.truncate().unwrap();
        backup.end(Some(BackupKind::Incremental)).unwrap();
    }
}

fn copy_logs(backup: &mut Backup, to: &Path) {
    for (generation, path) in backup.logs().unwrap() {
        let mut log = backup.open_log(generation).unwrap();
        let mut bytes = vec![0; usize::try_from(log.size()).unwrap()];
        assert_eq!(log.read(&mut bytes).unwrap(), bytes.len());
        fs::write(to.join(path.file_name().unwrap()), bytes).unwrap();
    }
}

/// The log of a generation in a set.
pub(crate) fn log(set: &Path, generation: u32) -> PathBuf {
    set.join("DataBase").join(Generation::new(generation).unwrap().log_file_name())
}

/// The image of a set.
pub(crate) fn image(set: &Path) -> PathBuf {
    set.join("DataBase/ca.db")
}

/// Changes a file's bytes.
pub(crate) fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Puts a set's files into a new CA folder and writes a completed registration of `low..=high` by hand.
pub(crate) fn lay_down(set: &Path, dir: &Path, (low, high): (u32, u32)) -> Folder {
    let folder = Folder::new(dir);
    for dir in [folder.database_dir(), folder.log_dir(), folder.crl_dir()] {
        fs::create_dir_all(dir).unwrap();
    }
    for entry in fs::read_dir(set.join("DataBase")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        match name.rsplit_once('.') {
            Some((_, "db")) => fs::copy(&path, folder.database_dir().join(name)).map(|_| ()).unwrap(),
            Some((_, "log")) => fs::copy(&path, folder.log_dir().join(name)).map(|_| ()).unwrap(),
            _ => {}
        }
    }
    let database = folder.database_path_for("ca").to_str().unwrap().to_owned();
    let generation = |number| Generation::new(number).unwrap();
    let registration = RestoreRecord {
        backup_log_directory: None,
        checkpoint_directory: None,
        log_directory: None,
        range: GenerationRange::new(generation(low), generation(high)).unwrap(),
        map: vec![MapEntry { database: database.clone(), new_database: database }],
        database_recovered: false,
        status: Hresult::S_OK,
    };
    record::write(&folder, &registration).unwrap();
    folder
}

/// The code with which the CA's start fails.
pub(crate) fn start(folder: &Folder) -> Result<(), Hresult> {
    Store::open(folder, NEVER_ROLL).map(|_| ()).map_err(|error| error.hresult())
}
