//! Connections to the database, all opened the same way, and the one descriptor that reads its raw bytes.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use certadm_files::{Access, IoContext, OffsetIo, durable};
use certadm_rules::Hresult;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::{Error, Result};
use crate::trailer::{self, Trailer};
use crate::{foreign, schema};

/// How long SQLite waits for a lock that somebody outside this program holds.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The database file, open for raw reads for as long as any connection of this process is.
///
/// POSIX record locks belong to the process and the file: closing *any* descriptor of the database drops the locks
/// that SQLite holds on it (docs/store-format.md, "The locks of SQLite"). So there is one descriptor a file, shared
/// through a registry, and every [`DatabaseConnection`] holds it beyond its own SQLite connection.
#[derive(Debug)]
pub(crate) struct DatabaseFile {
    file: File,
    path: PathBuf,
}

/// What tells one file from another, whatever its name: device and inode.
#[cfg(unix)]
type Identity = (u64, u64);
/// What tells one file from another: its full path. Locks belong to the handle on Windows, so a second name of one file
/// does no harm there.
#[cfg(not(unix))]
type Identity = PathBuf;

#[cfg(unix)]
fn identity(path: &Path) -> std::io::Result<Identity> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> std::io::Result<Identity> {
    std::fs::canonicalize(path)
}

static OPEN_FILES: LazyLock<Mutex<HashMap<Identity, Weak<DatabaseFile>>>> = LazyLock::new(Mutex::default);

impl DatabaseFile {
    /// The process's descriptor of the file at `path`, opened now if there is none.
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>> {
        let mut open = OPEN_FILES.lock().unwrap_or_else(PoisonError::into_inner);
        let identity = identity(path).during("look at", path)?;
        if let Some(file) = open.get(&identity).and_then(Weak::upgrade) {
            return Ok(file);
        }
        let file = Arc::new(Self { file: File::open(path).during("open", path)?, path: path.to_owned() });
        open.retain(|_, file| file.strong_count() > 0);
        open.insert(identity, Arc::downgrade(&file));
        Ok(file)
    }

    /// The file's length in bytes.
    pub(crate) fn len(&self) -> Result<u64> {
        Ok(self.file.metadata().during("look at", &self.path)?.len())
    }

    /// Fills `buffer` from `offset`.
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        Ok(self.file.read_exact_at(buffer, offset).during("read", &self.path)?)
    }

    /// Tells the system that the file will be read from beginning to end.
    pub(crate) fn will_read_sequentially(&self) {
        // A hint; where it is not taken, reading is only slower.
        #[cfg(unix)]
        rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::Sequential).ok();
    }
}

/// Beyond this a WAL that begins anew is cut, in bytes.
const WAL_SIZE_LIMIT: i64 = 32 << 20;

/// An SQLite connection set up as every writer and owner needs it.
#[derive(Debug)]
pub(crate) struct DatabaseConnection {
    // Declared first, so dropped first: the descriptor below must outlive the connection.
    connection: Connection,
    file: Arc<DatabaseFile>,
}

impl DatabaseConnection {
    /// Opens an existing CA database, and refuses one with another schema.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = DatabaseFile::open(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        prepare(&connection)?;
        foreign::check(&connection, path)?;
        use_wal(&connection, path)?;
        Ok(Self { connection, file })
    }

    /// Creates an empty database file in WAL mode, with no tables. Fails if the file exists.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        drop(durable::open_new(path, Access::Writers)?);
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "page_size", schema::PAGE_SIZE)?;
        drop(connection);
        let file = DatabaseFile::open(path)?;
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "page_size", schema::PAGE_SIZE)?;
        use_wal(&connection, path)?;
        prepare(&connection)?;
        Ok(Self { connection, file })
    }

    pub(crate) fn file(&self) -> &Arc<DatabaseFile> {
        &self.file
    }
}

impl std::ops::Deref for DatabaseConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl std::ops::DerefMut for DatabaseConnection {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// Has the database use a write-ahead log. Another program may have ended that (`PRAGMA journal_mode = DELETE`): what is committed
/// without it is in no log, and changes pages of the file while a backup reads it.
fn use_wal(connection: &Connection, path: &Path) -> Result<()> {
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode == "wal" {
        return Ok(());
    }
    Err(Error::Image {
        detail: format!("the file system of {} does not allow a write-ahead log", path.display()),
        code: Hresult::ERROR_NOT_SUPPORTED,
    })
}

/// The settings of every connection: commits are durable, and nobody checkpoints but the owner's roll.
fn prepare(connection: &Connection) -> Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    run_nothing(connection)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    // A WAL that begins anew is written over in place: a commit that does not lengthen the file is flushed without
    // the file system's journal. Only one that a very large commit has blown up is cut.
    connection.pragma_update(None, "journal_size_limit", WAL_SIZE_LIMIT)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -8192)?;
    // What a statement keeps aside is small here, and a confined service has no folder for it.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Zeros where a cell was: what it held would be in every log that has the page, and be kept by every backup. Pages that become
    // free keep what they held, because writing them would cost more.
    connection.pragma_update(None, "secure_delete", "FAST")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Keeps a connection from running what stands in its database: no trigger, no view, no function out of the schema, no write
/// to the schema's own tables.
///
/// # Errors
/// Those of SQLite.
pub fn run_nothing(connection: &Connection) -> rusqlite::Result<()> {
    for (setting, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
    ] {
        connection.set_db_config(setting, on)?;
    }
    Ok(())
}

/// A database file that ends with a trailer page is a backup's image, and nothing has made it whole yet.
pub(crate) fn refuse_unregistered_image(database: &Path) -> Result<()> {
    let file = DatabaseFile::open(database)?;
    let mut first = [0; 100];
    let len = file.len()?;
    if len < first.len() as u64 {
        return Err(not_a_database(database));
    }
    file.read_exact_at(&mut first, 0)?;
    let page_size = trailer::sqlite_page_size(&first).ok_or_else(|| not_a_database(database))?;
    trailer::check_writable(database, &first)?;
    let mut last = [0; 8];
    if len >= u64::from(page_size) {
        file.read_exact_at(&mut last, len - u64::from(page_size))?;
    }
    if Trailer::is_trailer(&last) {
        return Err(Error::Image {
            detail: format!(
                "{} was restored from a backup but no restore was registered",
                database.display()
            ),
            code: Hresult::SOFT_RECOVERY_ON_BACKUP_DATABASE,
        });
    }
    Ok(())
}

fn not_a_database(database: &Path) -> Error {
    Error::Image {
        detail: format!("{} is not a database", database.display()),
        code: Hresult::DATABASE_CORRUPTED,
    }
}
