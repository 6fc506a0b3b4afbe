//! An own reading of a CA's database, with SQLite alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::issue::content;
use crate::ledger::Entries;

/// Serial and request number of every issued certificate.
pub type Rows = BTreeMap<u64, i64>;

/// The one database file of a CA's folder.
///
/// # Panics
/// When there is none or more than one.
pub fn database_of(ca: &Path) -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir(ca.join("database"))
        .expect("the database folder can be listed")
        .map(|entry| entry.expect("and read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "db"))
        .collect();
    assert_eq!(found.len(), 1, "one database file in {}: {found:?}", ca.display());
    found.remove(0)
}

/// Reads every issued certificate of the CA in `ca` and checks its bytes, SQLite's integrity check, foreign keys.
///
/// The connection neither writes nor checkpoints.
///
/// # Panics
/// When anything is wrong with the database.
pub fn rows(ca: &Path) -> Rows {
    let path = database_of(ca);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&path, flags).expect("the database opens");
    connection
        .set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .expect("no checkpoint on close");
    connection.pragma_update(None, "wal_autocheckpoint", 0).expect("no checkpoint");
    connection.busy_timeout(std::time::Duration::from_secs(60)).expect("a timeout");
    let integrity: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("integrity_check runs");
    assert_eq!(integrity, "ok", "integrity_check of {}", path.display());
    let broken: usize = connection
        .prepare("PRAGMA foreign_key_check")
        .and_then(|mut statement| Ok(statement.query_map([], |_| Ok(()))?.count()))
        .expect("foreign_key_check runs");
    assert_eq!(broken, 0, "foreign keys of {}", path.display());
    let mut statement = connection
        .prepare("SELECT RequestID, SerialNumber, RawCertificate FROM Certificates")
        .expect("the certificates can be read");
    let mut rows = Rows::new();
    let found = statement
        .query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?)))
        .expect("the certificates can be read");
    for row in found {
        let (request, serial, bytes) = row.expect("a row can be read");
        let serial = u64::from_str_radix(&serial, 16).expect("a serial is hex");
        assert!(bytes == content(serial), "the certificate of serial {serial:016x} has other bytes");
        assert!(rows.insert(serial, request).is_none(), "serial {serial:016x} is there twice");
    }
    rows
}

/// Compares the database's rows with a ledger: all that was acknowledged is there, and nothing that nobody tried.
///
/// # Panics
/// With `context`, when a serial is missing or a stranger's.
pub fn compare(rows: &Rows, entries: &Entries, context: &str) {
    contains(rows, &entries.acknowledged, context);
    for serial in rows.keys() {
        assert!(entries.tried.contains(serial), "{context}: serial {serial:016x} was never tried");
    }
}

/// Checks that every acknowledged serial is there under its request number.
///
/// # Panics
/// With `context`, naming the first that is not.
pub fn contains(rows: &Rows, acknowledged: &Rows, context: &str) {
    for (serial, request) in acknowledged {
        let found = rows.get(serial);
        assert_eq!(
            found,
            Some(request),
            "{context}: serial {serial:016x} was acknowledged as request {request} and is lost; {} of {} are there",
            acknowledged.keys().filter(|serial| rows.contains_key(serial)).count(),
            acknowledged.len()
        );
    }
}
