//! A scratch recovery: SQLite looks at the recovered database while the set stays as it is.
//!
//! The image gets a second name in a scratch folder, the logs are laid down beside it as a write-ahead log, and SQLite
//! reads the two together, read-only. Nothing is copied but the logs; where a second name cannot be had, the image is.

use std::io::Read;
use std::path::{Path, PathBuf};

use certadm_ca::identity::{DatabaseIdentity, Identity};
use certadm_rules::Hresult;
use certadm_store::chain::{Chain, write_overlay};
use certadm_store::{foreign, run_nothing};
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::aside::SHORT;
use crate::chain::combine;
use crate::copy::yielding;
use crate::error::{Error, Result};
use crate::reader::Set;
use certadm_files::scratch::{self, ScratchFolder};
use certadm_files::{Access, Found, IoContext, cancel, durable, second_name, unfinished};

/// What the scratch recovery found in the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Rows of requests in the database, those of the CA's own certificates among them.
    pub requests: u64,
    /// Certificates issued, revoked ones among them.
    pub certificates: u64,
    /// Certificates revoked.
    pub revoked: u64,
    /// CRLs published.
    pub crls: u64,
    /// Rows of the certificates of the CA itself, of its chain and of its key recovery agents, which nobody requested.
    pub own: u64,
    /// The CA by its newest certificate; nothing where there is none, or none that can be read.
    pub identity: Option<Identity>,
    /// What SQLite's integrity check complains about; empty when the database is sound.
    pub complaints: Vec<String>,
}

impl Content {
    /// Requests that became no certificate: pending, denied and failed ones.
    #[must_use]
    pub const fn others(&self) -> u64 {
        self.requests.saturating_sub(self.certificates).saturating_sub(self.own)
    }

    /// Certificates that are issued and not revoked.
    #[must_use]
    pub const fn issued(&self) -> u64 {
        self.certificates.saturating_sub(self.revoked)
    }

    /// What is wrong with the database, one sentence for each complaint.
    pub fn unsound(&self) -> impl Iterator<Item = String> {
        self.complaints.iter().map(|complaint| format!("the recovered database is not sound: {complaint}"))
    }
}

/// A recovered database, open for reading. The scratch folder goes away with it.
#[derive(Debug)]
pub struct Recovered {
    // Declared first, so closed before the folder below is removed.
    connection: Connection,
    /// Bytes of the database, with the log that is laid over it.
    len: u64,
    scratch: Scratch,
}

impl Recovered {
    /// Recovers in a scratch folder beside the image; the image stays as it is.
    ///
    /// # Errors
    /// [`Error::Damaged`] (0xC80004B6) when SQLite cannot read the result at all; [`certadm_store::Error::Foreign`] when
    /// its schema is not that of a CA, or it says of itself what no CA starts on; [`Error::Store`].
    pub fn open(image: &Found, chain: &Chain) -> Result<Self> {
        tracing::debug!(image = %image.display(), "recovering in a scratch folder");
        let scratch = Scratch::create(image)?;
        write_overlay(chain, &scratch.dir.path().join("image.db-wal"))?;
        let (connection, len) = scratch.connect().map_err(|error| unreadable(image, &error))?;
        foreign::check(&connection, image)
            .and_then(|()| foreign::check_state(&connection, &chain.trailer, image))
            .map_err(|error| match error {
                certadm_store::Error::Sqlite(error) => unreadable(image, &error),
                other => other.into(),
            })?;
        Ok(Self { connection, len, scratch })
    }

    /// Recovers what a restore of these sets would give: a full set, and the log sets that continue it.
    ///
    /// # Errors
    /// As [`combine`], [`Combined::check`](crate::chain::Combined::check) and [`Recovered::open`].
    pub fn of(sets: &[Set]) -> Result<Self> {
        let combined = combine(sets)?;
        Self::open(&combined.image, &combined.check()?)
    }

    /// Opens a database that a CA has left, with the write-ahead log beside it. Both stay as they are.
    ///
    /// # Errors
    /// As [`Recovered::open`].
    pub fn left(database: &Found) -> Result<Self> {
        let scratch = Scratch::create(database)?;
        let mut log = database.path().as_os_str().to_owned();
        log.push("-wal");
        let log = Found::named(PathBuf::from(log));
        if log.is_there() {
            let mut copy = durable::open_new(&scratch.dir.path().join("image.db-wal"), Access::Owner)?;
            std::io::copy(&mut log.open_up_to(None)?, &mut copy).during("copy", &log)?;
        }
        let (connection, len) = scratch.connect().map_err(|error| unreadable(database, &error))?;
        foreign::check(&connection, database)?;
        Ok(Self { connection, len, scratch })
    }

    /// The connection, for reading.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Lets SQLite check the database; what it holds is counted meanwhile, as far as the check and whoever hashes the files
    /// leave time for it. A short database is counted afterwards.
    ///
    /// # Errors
    /// [`Error::Damaged`] (0xC80004B6) when SQLite cannot read it; `image` names it there.
    pub(crate) fn examine(&self, image: &Path) -> Result<Content> {
        self.look().map_err(|error| unreadable(image, &error))
    }

    fn look(&self) -> rusqlite::Result<Content> {
        if self.len <= SHORT {
            let complaints = complaints(&self.connection)?;
            return Ok(Content { complaints, ..content(&self.connection)? });
        }
        let (counting, _) = self.scratch.connect()?;
        counting.pragma_update(None, "cache_size", -1024)?;
        std::thread::scope(|scope| {
            let counted = scope.spawn(move || yielding(|| content(&counting)));
            let complaints = complaints(&self.connection)?;
            let mut content = counted.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            content.complaints = complaints;
            Ok(content)
        })
    }
}

/// Recovers in a scratch folder beside the image and lets SQLite check the result.
///
/// # Errors
/// As [`Recovered::open`].
pub fn examine(image: &Found, chain: &Chain) -> Result<Content> {
    Recovered::open(image, chain)?.examine(image)
}

/// So many steps of SQLite's machine are made before it is asked whether to go on.
const STEPS_AT_ONCE: i32 = 100_000;
/// What queries of a small database may take, in steps: some seconds.
const STEPS_OF_ANY: u64 = 100_000_000;
/// What they may take beyond that for each byte of the database. The integrity check takes less than one, a row of a few bytes
/// some hundred.
const STEPS_A_BYTE: u64 = 100;

/// The database may be anybody's: its schema runs nothing, its cells are checked before they are believed. Answers how many bytes
/// it has.
fn distrust(connection: &mut Connection) -> rusqlite::Result<u64> {
    run_nothing(connection)?;
    let ask = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs);
    let len = ask("PRAGMA page_count")?.saturating_mul(ask("PRAGMA page_size")?);
    let most = STEPS_OF_ANY + STEPS_A_BYTE.saturating_mul(len);
    let mut done: u64 = 0;
    let stop = move || {
        done = done.saturating_add(STEPS_AT_ONCE.unsigned_abs().into());
        done > most || cancel::requested().is_some()
    };
    connection.progress_handler(STEPS_AT_ONCE, Some(stop))?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "cache_size", -32768)?;
    Ok(len)
}

fn unreadable(image: &Path, error: &rusqlite::Error) -> Error {
    if let Err(cancelled) = cancel::check() {
        return Error::File(cancelled);
    }
    let detail = match error.sqlite_error_code() {
        // The disk of the copy has failed, which says nothing of the set.
        Some(rusqlite::ErrorCode::SystemIoFailure) => {
            let detail = format!("the disk of its copy has failed: {error}");
            return Error::Damaged { path: image.to_owned(), detail, code: Hresult::DISK_IO };
        }
        Some(rusqlite::ErrorCode::OperationInterrupted) => {
            "with its logs applied, reading it takes more steps than a database of its size needs".to_owned()
        }
        _ => format!("with its logs applied it cannot be read: {error}"),
    };
    Error::Damaged { path: image.to_owned(), detail, code: Hresult::DATABASE_CORRUPTED }
}

/// Enters every index at its root. SQLite's check takes an inner page without an entry for an empty tree, and looks for nothing in the
/// index of an empty table; whoever does finds the database damaged, and that is the CA when it starts or issues.
fn enter_indexes(connection: &Connection) -> rusqlite::Result<()> {
    let mut indexes =
        connection.prepare("SELECT tbl_name, name, sql FROM sqlite_schema WHERE type = 'index'")?;
    let mut rows = indexes.query([])?;
    while let Some(row) = rows.next()? {
        let quoted = |name: String| format!("\"{}\"", name.replace('"', "\"\""));
        let (table, index, statement) =
            (quoted(row.get(0)?), quoted(row.get(1)?), row.get::<_, Option<String>>(2)?);
        // An index of some rows serves only questions about these.
        let some = statement.as_deref().and_then(|sql| sql.find("WHERE").map(|at| &sql[at..]));
        // A count would be taken of whichever index is the smallest, not of the one that is named.
        let ask = format!("SELECT 1 FROM {table} INDEXED BY {index} {} LIMIT 1", some.unwrap_or_default());
        match connection.query_row(&ask, [], |_| Ok(())).optional() {
            // `Unknown` is a statement with a remark where nobody expects one: it cannot be asked, and that is no damage.
            Err(error) if error.sqlite_error_code() != Some(rusqlite::ErrorCode::Unknown) => {
                return Err(error);
            }
            _ => {}
        }
    }
    Ok(())
}

fn content(connection: &Connection) -> rusqlite::Result<Content> {
    enter_indexes(connection)?;
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs);
    let requests = count("SELECT count(*) FROM Requests")?;
    // The index of dispositions leaves out the most frequent one: counting what it has spares reading the table again.
    let revoked = count("SELECT count(*) FROM Requests WHERE Disposition <> 20 AND Disposition = 21")?;
    let others = count("SELECT count(*) FROM Requests WHERE Disposition <> 20 AND Disposition <> 21")?;
    Ok(Content {
        requests,
        certificates: requests.saturating_sub(others),
        revoked,
        crls: count("SELECT count(*) FROM CRLs")?,
        own: count("SELECT count(*) FROM Requests WHERE Disposition <> 20 AND Disposition IN (15, 16, 17)")?,
        identity: DatabaseIdentity::read(connection).ok().and_then(|mut found| found.certificates.pop()),
        complaints: Vec::new(),
    })
}

/// What SQLite's check of every page, row and index entry complains about, the first of it.
fn complaints(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare("PRAGMA integrity_check(20)")?;
    let mut lines: Vec<String> =
        statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    lines.retain(|line| line != "ok");
    Ok(lines)
}

#[derive(Debug)]
struct Scratch {
    dir: ScratchFolder,
}

impl Scratch {
    /// A connection to the image and the log laid over it, read-only and on its guard; how many bytes both have together.
    fn connect(&self) -> rusqlite::Result<(Connection, u64)> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(self.dir.path().join("image.db"), flags)?;
        let len = distrust(&mut connection)?;
        Ok((connection, len))
    }

    fn create(image: &Found) -> Result<Self> {
        let file = image.open()?;
        let beside = image.parent().and_then(Path::parent).unwrap_or(Path::new("."));
        // What a verification that was killed has left. Where nothing can be removed, nothing can be made either.
        for removed in unfinished::remove_abandoned(beside).unwrap_or_default() {
            tracing::info!(path = %removed.display(), "removed what a killed verification had left");
        }
        if let Ok(dir) = scratch::folder_in(beside)
            && second_name::give(image, &dir.path().join("image.db"))?.is_some()
        {
            return Ok(Self { dir });
        }
        // A set on a read-only medium, or on a file system without second names.
        let dir = tempfile::tempdir().during("create", &std::env::temp_dir())?;
        let copy = dir.path().join("image.db");
        let (len, mut from) = (file.metadata().during("look at", image)?.len(), file);
        let mut to = durable::open_new(&copy, Access::Owner)?;
        std::io::copy(&mut (&mut from).take(len), &mut to).during("copy", image)?;
        Ok(Self { dir: dir.into() })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A query that never ends: without a limit `verify` of a stranger's set would not end, either.
    #[test]
    fn a_query_of_a_foreign_database_ends() {
        let mut connection = Connection::open_in_memory().unwrap();
        distrust(&mut connection).unwrap();
        let endless =
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
        let error = connection.query_row(endless, [], |row| row.get::<_, i64>(0)).unwrap_err();
        let error = unreadable(Path::new("image.db"), &error);
        assert!(error.to_string().contains("more steps than a database of its size needs"), "{error}");
        assert!(matches!(error, Error::Damaged { code: Hresult::DATABASE_CORRUPTED, .. }), "{error:?}");
    }

    /// The root of the index of an empty table as an inner page: for SQLite's check the tree is empty.
    #[test]
    fn an_index_that_cannot_be_entered_is_found_whichever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let folder = certadm_store::Folder::new(dir.path().join("ca"));
        certadm_store::Store::create(&folder, "ca", certadm_store::Options::default())
            .unwrap()
            .close()
            .unwrap();
        let path = folder.database_path().unwrap();
        let open = || Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        open().execute_batch("PRAGMA wal_checkpoint").ok();
        let sound = fs::read(&path).unwrap();
        enter_indexes(&open()).unwrap();
        let roots: Vec<(String, u32)> = open()
            .prepare("SELECT name, rootpage FROM sqlite_schema WHERE type = 'index'")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        assert!(5 <= roots.len(), "{roots:?}");
        for (name, root) in roots {
            let mut damaged = sound.clone();
            let page = (root as usize - 1) * certadm_store::PAGE_SIZE as usize;
            let is_empty = damaged[page + 3..page + 5] == [0, 0];
            damaged[page] ^= 8;
            fs::write(&path, damaged).unwrap();
            assert!(!is_empty || enter_indexes(&open()).is_err(), "{name}");
        }
    }
}
