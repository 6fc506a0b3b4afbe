//! The database's tables: the CA's own (modelled on the Windows CA's, ese.md section 12) and the store's two.

use certadm_rules::Generation;
use rusqlite::{Connection, params};

use crate::error::{Error, Result};
use crate::log_file::{Link, Signature};
use crate::used_numbers::UsedNumbers;
use certadm_rules::FileTime;

/// Page size of every database this crate creates, in bytes.
pub const PAGE_SIZE: u32 = 8192;
/// `PRAGMA application_id` of a CA database: "CADM".
const APPLICATION_ID: i32 = 0x4341_444d;

const STORE_TABLES: &str = "
CREATE TABLE store_state (
    id                  INTEGER PRIMARY KEY CHECK (id = 1),
    database_signature  BLOB NOT NULL,
    stream_signature    BLOB NOT NULL,
    generation          INTEGER NOT NULL, -- the generation being written; the first commit of each sets it
    previous_created    INTEGER NOT NULL, -- the log before it: creation time (FILETIME, 0 for none)
    previous_content    BLOB NOT NULL,    -- and the hash of its content
    crl_number_floor    INTEGER NOT NULL, -- CRL numbers up to here may have been used by a lost CA
    created_when        INTEGER NOT NULL, -- FILETIME, 0 until the first start
    recovered_when      INTEGER           -- FILETIME of the last recovery
) STRICT;
CREATE TABLE store_marks (
    kind            TEXT PRIMARY KEY, -- full, copy, incremental, differential
    generation_low  INTEGER NOT NULL,
    generation_high INTEGER NOT NULL,
    taken_when      INTEGER NOT NULL  -- FILETIME
) STRICT;";

/// How far recovery raises `crl_number_floor` and the next request number: room for what a lost CA may have used
/// after its last backup.
const RECOVERY_GAP: i64 = 1000;

/// What `store_state` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) database: Signature,
    pub(crate) stream: Signature,
    pub(crate) generation: Generation,
    /// What the log of this generation will name as its predecessor.
    pub(crate) previous: Link,
    pub(crate) recovered: Option<FileTime>,
}

/// Creates all tables in an empty database; generation 1 is current.
pub(crate) fn create(connection: &Connection, database: Signature, stream: Signature) -> Result<()> {
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    create_tables(connection)?;
    connection.execute(
        "INSERT INTO store_state VALUES (1, ?1, ?2, 1, 0, zeroblob(32), 0, 0, NULL)",
        params![database.0, stream.0],
    )?;
    Ok(())
}

/// Creates the tables, empty.
pub(crate) fn create_tables(connection: &Connection) -> Result<()> {
    connection.execute_batch(STORE_TABLES)?;
    Ok(connection.execute_batch(include_str!("ca_schema.sql"))?)
}

pub(crate) fn state(connection: &Connection) -> Result<State> {
    type Row = (Vec<u8>, Vec<u8>, u32, i64, Vec<u8>, Option<i64>);
    let row: Row = connection
        .prepare_cached(
            "SELECT database_signature, stream_signature, generation, previous_created, previous_content, recovered_when
             FROM store_state",
        )?
        .query_row([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        })?;
    let malformed = || Error::Image {
        detail: "the database's store_state row is malformed".to_owned(),
        code: certadm_rules::Hresult::DATABASE_CORRUPTED,
    };
    Ok(State {
        database: Signature::from_slice(&row.0).ok_or_else(malformed)?,
        stream: Signature::from_slice(&row.1).ok_or_else(malformed)?,
        generation: Generation::new(row.2).ok_or_else(malformed)?,
        previous: Link { created: FileTime(row.3), content: row.4.try_into().map_err(|_| malformed())? },
        recovered: row.5.map(FileTime),
    })
}

/// Makes `generation` the current one, `previous` its predecessor's link: the first commit of every generation.
pub(crate) fn set_generation(connection: &Connection, generation: Generation, previous: Link) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE store_state SET generation = ?1, previous_created = ?2, previous_content = ?3",
        )?
        .execute(params![generation.number(), previous.created.0, previous.content])?;
    Ok(())
}

/// Dates a new database: the first commit of generation 1, and as such one that must change a page.
pub(crate) fn set_created(connection: &Connection) -> Result<()> {
    connection.execute("UPDATE store_state SET created_when = ?1", [crate::time::now().0])?;
    Ok(())
}

/// Begins a new stream of logs: no log of another stream continues it, and no earlier backup is a base any more.
pub(crate) fn begin_stream(connection: &Connection, stream: Signature) -> Result<()> {
    connection.execute(
        "UPDATE store_state SET stream_signature = ?1, previous_created = 0, previous_content = zeroblob(32)",
        [stream.0],
    )?;
    connection.execute("DELETE FROM store_marks", [])?;
    Ok(())
}

/// What a recovered database needs before it serves: a new stream, its generation, and numbers that neither a lost CA nor the database
/// in whose place it comes, with the numbers `used`, can have given.
pub(crate) fn after_recovery(
    connection: &Connection,
    stream: Signature,
    generation: Generation,
    used: UsedNumbers,
) -> Result<()> {
    begin_stream(connection, stream)?;
    set_generation(connection, generation, Link::NONE)?;
    // A database may hold any number. The highest there is stays the highest: beyond it SQLite would make a fraction of it.
    let highest = i64::MAX - RECOVERY_GAP;
    connection.execute(
        "UPDATE store_state SET recovered_when = ?1, crl_number_floor =
            max(min(max(crl_number_floor, (SELECT coalesce(max(Number), 0) FROM CRLs)), ?3) + ?2, ?4)",
        params![crate::time::now().0, RECOVERY_GAP, highest, used.crls.min(highest)],
    )?;
    // SQLite makes the row with the first request: a CA that waits for its parent's answer has none.
    connection.execute(
        "INSERT INTO sqlite_sequence (name, seq) SELECT 'Requests', (SELECT coalesce(max(RequestID), 0) FROM Requests)
            WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'Requests')",
        [],
    )?;
    connection.execute(
        "UPDATE sqlite_sequence SET seq = max(min(seq, ?2) + ?1, ?3) WHERE name = 'Requests'",
        [RECOVERY_GAP, highest, used.requests.min(highest)],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_requests_jump_also_where_there_was_none_yet() {
        let connection = Connection::open_in_memory().unwrap();
        let (database, stream) = (Signature::random().unwrap(), Signature::random().unwrap());
        create(&connection, database, stream).unwrap();
        let insert = "INSERT INTO Requests (Disposition, RequesterName) VALUES (20, 'test')";
        for expected in [RECOVERY_GAP + 1, 2 * RECOVERY_GAP + 2] {
            after_recovery(&connection, stream, Generation::FIRST, UsedNumbers::default()).unwrap();
            connection.execute(insert, []).unwrap();
            assert_eq!(connection.last_insert_rowid(), expected);
        }
        // What comes in the place of a database that has given higher numbers goes on above these.
        let used = UsedNumbers { requests: 5 * RECOVERY_GAP, crls: 7 * RECOVERY_GAP };
        after_recovery(&connection, stream, Generation::FIRST, used).unwrap();
        connection.execute(insert, []).unwrap();
        assert_eq!(connection.last_insert_rowid(), used.requests + 1);
        assert_eq!(
            UsedNumbers::of(&connection).unwrap(),
            UsedNumbers { requests: used.requests + 1, ..used }
        );
    }
}
