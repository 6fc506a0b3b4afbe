//! The life of a generation: settle what a crash left, roll the WAL into a log, notice a foreign checkpoint.
//!
//! Everything here runs under the commit lock. docs/store-format.md tells the protocol and why each order is as it is.
//!
//! # One roll, worked through
//!
//! Generation 7 is current. The WAL has 100 frames. The first 60 are in log 6 already, because SQLite did not begin
//! the WAL anew since; the other 40 are the commits of generation 7. They change 12 different pages. `edb.chk` says
//! "steady, current 7, archived to frame 60". Each step is durable before the next one, and after a crash the next
//! committer or owner finds one of these states:
//!
//! 1. `edb.chk` says "rolling". There is no log 7, so [`settle`] says "steady" again and generation 7 goes on.
//! 2. Frames 61 to 100 have become log 7: 12 pages, each as the last of its frames has it. Since log 7 stands,
//!    [`settle`] begins generation 8 and links it to log 7.
//! 3. SQLite has copied the WAL into the database file. The same; the file holds nothing that is in no log.
//! 4. The first commit of generation 8 stands in the database, with the link to log 7. There is no log 8, so [`settle`]
//!    says "steady, current 8".
//! 5. `edb.chk` says "steady, current 8, archived to frame 100", or to frame 0 of a WAL that began anew.
//!
//! "Rolling" comes before log 7 gets its name, since any process may commit as soon as the lock is free. After a crash
//! between the two, a commit would otherwise become part of generation 7, whose log is closed and does not hold it. A
//! reader of the database may keep SQLite from copying all frames. Then log 7 is still needed, and the checkpoint in
//! `edb.chk` stays below it.

use std::path::Path;

use certadm_rules::{Generation, Hresult};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::checkpoint::{Checkpoint, CheckpointFile, Phase};
use crate::connect::DatabaseConnection;
use crate::error::{Error, Result};
use crate::folder::{Folder, wal_path};
use crate::log_file::{self, Link, LogFile, LogHeader, NewLog, Signature};
use crate::reserve::is_no_space;
use crate::schema;
use crate::wal::{self, Position, WalReader};

/// Makes an interrupted roll whole before anything else is committed: if the current generation is archived already,
/// the next one begins now. Any committer may do this; it checkpoints nothing.
pub(crate) fn settle(
    folder: &Folder,
    database: &Path,
    connection: &mut DatabaseConnection,
    file: &CheckpointFile,
) -> Result<Checkpoint> {
    let before = file.read()?;
    refuse_lost_commits(folder, connection, before.as_ref())?;
    if let Some(steady) = before.filter(|checkpoint| checkpoint.phase == Phase::Steady) {
        return Ok(steady);
    }
    let state = schema::state(connection)?;
    if let Some(header) = archived_as(folder, state.generation, &state)? {
        begin_generation(connection, next(state.generation)?, header.own)?;
    }
    let state = schema::state(connection)?;
    let last =
        state.generation.previous().map(|last| archived_as(folder, last, &state)).transpose()?.flatten();
    let archived = match last {
        Some(header) => header.wal_end,
        None => before.map(|checkpoint| checkpoint.archived).unwrap_or_default(),
    };
    let settled = Checkpoint {
        database: state.database,
        stream: state.stream,
        current: state.generation,
        checkpoint: match before {
            Some(before) => before.checkpoint,
            None => lowest_archived(folder, &state)?,
        },
        phase: Phase::Steady,
        archived: resume(database, archived)?,
    };
    file.write(&settled)?;
    Ok(settled)
}

/// The log of a generation, if the folder has the one of this database and stream. One of another stream may have the same number, such
/// as one that somebody left there before a restore.
fn archived_as(folder: &Folder, generation: Generation, state: &schema::State) -> Result<Option<LogHeader>> {
    let path = folder.log_path(generation);
    if !path.exists() {
        return Ok(None);
    }
    let header = *LogFile::open(&path)?.header();
    Ok(Some(header).filter(|header| (header.database, header.stream) == (state.database, state.stream)))
}

/// The number of the highest log of this database and stream; 0 where there is none.
fn highest_archived(folder: &Folder, state: &schema::State) -> Result<u32> {
    for (generation, _) in folder.archived_logs()?.into_iter().rev() {
        if archived_as(folder, generation, state)?.is_some() {
            return Ok(generation.number());
        }
    }
    Ok(0)
}

/// The lowest generation from which on every log of the stream up to the current generation is there. No log that the
/// database file needs is ever deleted, so where the checkpoint is not known this one is not above it.
fn lowest_archived(folder: &Folder, state: &schema::State) -> Result<Generation> {
    let mut lowest = state.generation;
    for (generation, _) in folder.archived_logs()?.into_iter().rev() {
        if generation.next() == Some(lowest) {
            if archived_as(folder, generation, state)?.is_none() {
                break;
            }
            lowest = generation;
        }
    }
    Ok(lowest)
}

/// What a roll did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rolled {
    /// The log that was written; `None` when the chain was found broken and a new stream begun instead.
    pub(crate) log: Option<LogHeader>,
    pub(crate) now: Checkpoint,
    /// The database as the current generation began; none where that is not known.
    pub(crate) begun: Option<Seen>,
}

/// The database as one connection saw it. It is equal later exactly if nobody has committed anything since: neither
/// another connection, nor this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    data_version: i64,
    changed_rows: i64,
}

impl Seen {
    pub(crate) fn by(connection: &Connection) -> Result<Self> {
        let ask = |sql| connection.prepare_cached(sql)?.query_row([], |row| row.get(0));
        Ok(Self { data_version: ask("PRAGMA data_version")?, changed_rows: ask("SELECT total_changes()")? })
    }
}

/// Archives the current generation, checkpoints it, and begins the next.
pub(crate) fn roll(
    folder: &Folder,
    database: &Path,
    writer: &mut DatabaseConnection,
    checkpointer: &DatabaseConnection,
    file: &CheckpointFile,
) -> Result<Rolled> {
    let before = settle(folder, database, writer, file)?;
    let state = schema::state(writer)?;
    let following = next(state.generation)?;

    // The write lock keeps everybody out, also those who know nothing of the commit lock.
    let exclusive = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (last, _) = checkpoint_pragma(checkpointer, "NOOP")?.ok_or_else(busy)?;
    let wal = WalReader::open(&wal_path(database))?.filter(|wal| wal.salts() == before.archived.salts);
    let Some(mut wal) = wal else {
        drop(exclusive);
        let now = break_chain(database, writer, file, &before)?;
        return Ok(Rolled { log: None, now, begun: None });
    };
    file.write(&Checkpoint { phase: Phase::Rolling, ..before })?;
    let new = NewLog {
        generation: state.generation,
        database: state.database,
        stream: state.stream,
        previous: state.previous,
    };
    let archived = wal
        .resume(before.archived, Some(last))
        .and_then(|from| log_file::archive(&mut wal, from, last, &new, &folder.log_path(state.generation)));
    let header = match archived {
        Ok(header) => header,
        Err(error) => {
            drop(exclusive);
            // If this fails too, the next committer settles it; the error to report is the first.
            file.write(&before).ok();
            return Err(error);
        }
    };
    let checkpointed = match checkpoint_pragma(checkpointer, "PASSIVE") {
        // The database file cannot grow. What is archived is safe in the log, and the WAL stays until there is room.
        Err(error) if is_no_space(&error) => None,
        other => other?,
    };
    drop(exclusive);

    let begun = begin_generation(writer, following, header.own)?;
    let now = Checkpoint {
        current: following,
        // A long reader may hold pages back, or a stranger's checkpoint keeps ours out; then the log just written is
        // still needed.
        checkpoint: if checkpointed.is_some_and(|(frames, copied)| frames == copied) {
            following
        } else {
            before.checkpoint
        },
        phase: Phase::Steady,
        archived: resume(database, header.wal_end)?,
        ..before
    };
    file.write(&now)?;
    Ok(Rolled { log: Some(header), now, begun: Some(begun) })
}

/// At the owner's start: settles, then compares the WAL with the one expected. A WAL that vanished or was replaced
/// held commits that are in no log (somebody checkpointed it): a new stream begins and no backup is a base any more.
pub(crate) fn adopt(
    folder: &Folder,
    database: &Path,
    connection: &mut DatabaseConnection,
    file: &CheckpointFile,
) -> Result<(Checkpoint, Adopted)> {
    let before = file.read()?;
    refuse_lost_commits(folder, connection, before.as_ref())?;
    if let Some(steady) = before.filter(|checkpoint| checkpoint.phase == Phase::Steady) {
        let expected =
            WalReader::open(&wal_path(database))?.is_some_and(|wal| wal.salts() == steady.archived.salts);
        return if expected {
            Ok((steady, Adopted::Intact))
        } else {
            Ok((break_chain(database, connection, file, &steady)?, Adopted::ForeignCheckpoint))
        };
    }
    if let Some(rolling) = before {
        // Once the generation is archived, the WAL may have begun anew; the database file then holds what is archived
        // and nothing newer. Before, it is the WAL that the roll found.
        let intact = if archived_as(folder, rolling.current, &schema::state(connection)?)?.is_some() {
            generation_in_file(database)? <= rolling.current.number()
        } else {
            WalReader::open(&wal_path(database))?.is_some_and(|wal| wal.salts() == rolling.archived.salts)
        };
        let settled = settle(folder, database, connection, file)?;
        return if intact {
            Ok((settled, Adopted::Intact))
        } else {
            Ok((break_chain(database, connection, file, &settled)?, Adopted::ForeignCheckpoint))
        };
    }
    let highest = highest_archived(folder, &schema::state(connection)?)?;
    let in_file = generation_in_file(database)?;
    if highest == 0 && in_file == 1 {
        // A new database: its WAL begins here.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        schema::set_created(&transaction)?;
        transaction.commit()?;
        return Ok((settle(folder, database, connection, file)?, Adopted::Intact));
    }
    let settled = settle(folder, database, connection, file)?;
    // No checkpoint file to go by: the database file may hold what is archived and nothing newer.
    if in_file > highest {
        return Ok((break_chain(database, connection, file, &settled)?, Adopted::ForeignCheckpoint));
    }
    Ok((settled, Adopted::Intact))
}

/// What the owner found when it opened the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// Log chain and WAL are as they were left.
    Intact,
    /// Somebody else checkpointed the WAL: the log chain is broken, a full backup is needed before logs-only ones.
    ForeignCheckpoint,
}

/// Refuses a database that has lost commits with its write-ahead log, and one that `edb.chk` does not speak of. Who went on with it
/// would write over the log that holds them. `stated` must have been read before: whoever rolls meanwhile commits first and writes
/// `edb.chk` then, so that a whole database never knows less than it.
pub(crate) fn refuse_lost_commits(
    folder: &Folder,
    connection: &Connection,
    stated: Option<&Checkpoint>,
) -> Result<()> {
    let state = schema::state(connection)?;
    if stated.is_some_and(|stated| stated.database != state.database) {
        return Err(Error::Chain {
            detail: "the database is not the one that the checkpoint file and the logs speak of".to_owned(),
            code: Hresult::BAD_DB_SIGNATURE,
        });
    }
    let lost = match stated {
        Some(stated) => Some(stated.current).filter(|current| state.generation < *current),
        // The log of a generation is written after its first commit.
        None => match state.generation.next() {
            Some(next) => archived_as(folder, next, &state)?.map(|log| log.generation),
            None => None,
        },
    };
    lost.map_or(Ok(()), |generation| {
        Err(Error::Chain {
            detail: format!("the write-ahead log of generation {generation} is gone: its commits are lost"),
            code: Hresult::MISSING_LOG_FILE,
        })
    })
}

fn break_chain(
    database: &Path,
    connection: &mut DatabaseConnection,
    file: &CheckpointFile,
    before: &Checkpoint,
) -> Result<Checkpoint> {
    let stream = Signature::random()?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    schema::begin_stream(&transaction, stream)?;
    let generation = schema::state(&transaction)?.generation;
    transaction.commit()?;
    let now = Checkpoint {
        stream,
        current: generation,
        checkpoint: generation,
        phase: Phase::Steady,
        archived: resume(database, Position::default())?,
        ..*before
    };
    file.write(&now)?;
    tracing::warn!(
        // not covered: this number is read only when events are listened to.
        generation = generation.number(),
        "another program checkpointed the write-ahead log: take a full backup"
    );
    Ok(now)
}

/// The first commit of a generation. Answers what its connection saw before anybody else could commit.
fn begin_generation(
    connection: &mut DatabaseConnection,
    generation: Generation,
    previous: Link,
) -> Result<Seen> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    schema::set_generation(&transaction, generation, previous)?;
    let seen = Seen::by(&transaction)?;
    transaction.commit()?;
    Ok(seen)
}

/// Where the WAL beside `database` is to be read on from.
pub(crate) fn resume(database: &Path, archived: Position) -> Result<Position> {
    match WalReader::open(&wal_path(database))? {
        Some(wal) => wal.resume(archived, None),
        // not covered: a commit comes before every call, so another program would have to delete the file in between.
        None => Ok(Position::default()),
    }
}

/// How many bytes the WAL holds that are in no log yet, its own header left out. Any connection can tell.
pub(crate) fn unarchived_len(database: &Path, connection: &Connection, archived: Position) -> Result<u64> {
    let Some((last, _)) = checkpoint_pragma(connection, "NOOP")? else { return Ok(0) };
    let Some(wal) = WalReader::open(&wal_path(database))? else { return Ok(0) };
    let unarchived = last.saturating_sub(wal.resume(archived, Some(last))?.frames);
    Ok(wal::frames_len(wal.page_size() as u64, unarchived))
}

/// How many bytes the WAL's present life takes: never less than [`unarchived_len`], and asked in microseconds.
pub(crate) fn wal_len(connection: &Connection) -> Result<u64> {
    let frames = checkpoint_pragma(connection, "NOOP")?.map_or(0, |(frames, _)| frames);
    let page_size: u32 = connection.prepare_cached("PRAGMA page_size")?.query_row([], |row| row.get(0))?;
    Ok(wal::frames_len(u64::from(page_size), frames))
}

/// The generation that the database file alone knows, without its WAL; 0 when it has no tables yet.
fn generation_in_file(database: &Path) -> Result<u32> {
    let path = database.to_str().unwrap_or_default();
    let escaped: String = path
        .bytes()
        .map(|byte| match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02x}"),
        })
        .collect();
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)?;
    Ok(connection.query_row("SELECT generation FROM store_state", [], |row| row.get(0)).unwrap_or(0))
}

/// Runs a checkpoint of the given mode; returns frames in the WAL and frames copied into the database file, `None` when
/// somebody else is checkpointing and SQLite says neither.
fn checkpoint_pragma(connection: &Connection, mode: &str) -> Result<Option<(u32, u32)>> {
    let (frames, copied): (i64, i64) = connection
        .prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?
        .query_row([], |row| Ok((row.get(1)?, row.get(2)?)))?;
    Ok(u32::try_from(frames).ok().zip(u32::try_from(copied).ok()))
}

// not covered: another program would have to checkpoint at the very moment of a roll.
fn busy() -> Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None).into()
}

fn next(generation: Generation) -> Result<Generation> {
    generation.next().ok_or(Error::Chain {
        detail: "the log generations are used up".to_owned(),
        code: Hresult::LOG_SEQUENCE_END,
    })
}

#[cfg(test)]
mod tests {
    use certadm_rules::Diagnosis;

    use super::*;
    use crate::{Options, Store};

    #[test]
    fn a_foreign_checkpoint_after_an_interrupted_roll_ends_the_chain() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("ca"));
        let store = Store::create(&folder, "ca", Options::default()).unwrap();
        let mut writer = store.writer().unwrap();
        let insert = "INSERT INTO Requests (Disposition, RequesterName) VALUES (20, 'test')";
        writer.commit(|transaction| transaction.execute(insert, []).map_err(Error::from)).unwrap();
        drop((writer, store));
        // The owner was killed when it had begun to roll and the log had no name yet.
        let file = CheckpointFile::open(&folder.checkpoint_path()).unwrap();
        let steady = file.read().unwrap().unwrap();
        file.write(&Checkpoint { phase: Phase::Rolling, ..steady }).unwrap();
        let stranger = Connection::open(folder.database_path().unwrap()).unwrap();
        stranger.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        drop((file, stranger));

        let store = Store::open(&folder, Options::default()).unwrap();
        assert_eq!(store.opened().adopted, Adopted::ForeignCheckpoint);
        store.close().unwrap();
        assert_eq!(
            Store::open(&folder, Options::default()).unwrap().opened().adopted,
            Adopted::Intact,
            "the chain begins anew"
        );
    }

    #[test]
    fn a_roll_whose_wal_is_lost_is_not_settled() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("ca"));
        let store = Store::create(&folder, "ca", Options::default()).unwrap();
        store.roll().unwrap();
        let mut writer = store.writer().unwrap();
        let insert = "INSERT INTO Requests (Disposition, RequesterName) VALUES (20, 'test')";
        writer.commit(|transaction| transaction.execute(insert, []).map_err(Error::from)).unwrap();
        let database = folder.database_path().unwrap();
        let before = std::fs::read(&database).unwrap();
        let file = CheckpointFile::open(&folder.checkpoint_path()).unwrap();
        let rolling = Checkpoint { phase: Phase::Rolling, ..file.read().unwrap().unwrap() };
        store.roll().unwrap();
        drop((writer, store));
        // The log stands; the machine stopped before anything of it was in the database file, and the WAL is lost.
        std::fs::write(&database, before).unwrap();
        for path in [wal_path(&database), crate::folder::shm_path(&database)] {
            std::fs::remove_file(path).unwrap();
        }
        let mut connection = DatabaseConnection::open(&database).unwrap();
        for stated in [Some(rolling), None] {
            match stated {
                Some(stated) => file.write(&stated).unwrap(),
                None => std::fs::write(folder.checkpoint_path(), b"").unwrap(),
            }
            let errors = [
                settle(&folder, &database, &mut connection, &file).unwrap_err(),
                crate::Writer::open(&folder).unwrap_err(),
                Store::open(&folder, Options::default()).unwrap_err(),
            ];
            for error in errors {
                assert_eq!(error.hresult(), Hresult::MISSING_LOG_FILE, "{error}");
            }
            assert_eq!(
                file.read().unwrap(),
                stated,
                "the log with the only copy is still the one to be archived"
            );
        }
    }
}
