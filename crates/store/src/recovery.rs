//! Recovery: make a restored image whole with its logs, then let the CA start anew (certbcli.md 9.4, D22).

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use certadm_files::{IoContext, OffsetIo, durable};
use certadm_rules::{Generation, GenerationRange, Hresult};
use rusqlite::TransactionBehavior;

use crate::chain::{self, Chain};
use crate::checkpoint::{Checkpoint, CheckpointFile, Phase};
use crate::connect::DatabaseConnection;
use crate::error::{Error, Result};
use crate::folder::{Folder, found_at, shm_path, wal_path};
use crate::generation;
use crate::log_file::{LogFile, Signature};
use crate::schema;
use crate::trailer::Trailer;
use crate::used_numbers::UsedNumbers;
use crate::wal::Position;

/// What a recovery has to work on: a completed registration in the store's terms.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The restored image; it becomes the database.
    pub database: PathBuf,
    /// The folder of the restored logs.
    pub backup_logs: PathBuf,
    /// The folder of later logs (`pwszLogPath`), where one was named beside the CA's own.
    pub log_directory: Option<PathBuf>,
    /// The range that must be there in full. Logs above it, there or in the CA's own folder, are rolled forward.
    pub range: GenerationRange,
}

/// What a recovery did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The first generation applied.
    pub low: Generation,
    /// The last generation applied.
    pub high: Generation,
    /// How many logs above the registered range were applied too.
    pub rolled_forward: usize,
    /// Pages written over the image.
    pub pages_applied: u64,
    /// A damaged log above the range where the replay ended, in words.
    pub stopped_at: Option<String>,
}

/// Recovers the database in place. Everything is checked before anything is changed; run again after a crash, it
/// does the same work again to the same end.
///
/// # Errors
/// As [`chain::check_chain`] and [`chain::check_image`]; the image is then untouched.
pub fn recover(folder: &Folder, registered: &Registered) -> Result<Recovered> {
    let database = &registered.database;
    if found_at(database)?.is_none() {
        return Err(Error::Image {
            detail: format!("the restored database {} is not there", database.display()),
            code: Hresult::ATTACHED_DATABASE_MISMATCH,
        });
    }
    let trailer = trailer_or_saved(folder, database)?;
    let chain = chain::check_chain(&trailer, &logs_of(folder, registered)?, registered.range)?;

    // From here on the image changes. What is half done is done again from here.
    save_trailer(folder, &trailer)?;
    for stale in [wal_path(database), shm_path(database)] {
        durable::remove_if_present(&stale)?;
    }
    let pages_applied = apply(&chain, database)?;
    // Later folders hold higher logs alone: the damaged one is the last to go, wherever it lies.
    for logs in log_folders(folder, registered).iter().rev() {
        set_damaged_aside(logs, chain.last())?;
    }
    begin_anew(folder, database, &chain)?;
    Ok(Recovered {
        low: trailer.low,
        high: chain.last(),
        rolled_forward: chain.rolled_forward,
        pages_applied,
        stopped_at: chain.stopped_at,
    })
}

/// The folder of the restored logs, the one that was named for later ones, and the CA's own; each once.
fn log_folders(folder: &Folder, registered: &Registered) -> Vec<PathBuf> {
    let mut folders = vec![registered.backup_logs.clone()];
    for other in registered.log_directory.iter().cloned().chain([folder.log_dir()]) {
        let is_known = |known: &PathBuf| known.canonicalize().ok() == other.canonicalize().ok();
        if other.is_dir() && !folders.iter().any(is_known) {
            folders.push(other);
        }
    }
    folders
}

/// The restored logs, and those of the other folders above them: they hold what was committed after the backup, and are rolled
/// forward (certbcli.md 9.2). What does not continue the restored ones is refused, because the CA could not write logs of its own there.
fn logs_of(folder: &Folder, registered: &Registered) -> Result<Vec<(Generation, PathBuf)>> {
    let mut logs = Folder::logs_in(&registered.backup_logs)?;
    for own in log_folders(folder, registered).iter().skip(1) {
        let last =
            logs.last().map_or(registered.range.high(), |(last, _)| registered.range.high().max(*last));
        logs.extend(Folder::logs_in(own)?.into_iter().filter(|(generation, _)| last < *generation));
    }
    Ok(logs)
}

/// Writes the chain's pages over the image in order and cuts it to the database's size.
///
/// # Errors
/// [`Error::File`], and the log errors should a log have changed since it was checked.
pub fn apply(chain: &Chain, image: &Path) -> Result<u64> {
    let file = OpenOptions::new().write(true).open(image).during("open", image)?;
    let page_size = u64::from(chain.trailer.page_size);
    let mut written = 0;
    for log in &chain.logs {
        log.pages(|number, page| {
            written += 1;
            Ok(file.write_all_at(page, (u64::from(number) - 1) * page_size).during("write", image)?)
        })?;
    }
    file.set_len(u64::from(chain.final_pages()) * page_size).during("cut", image)?;
    durable::flush(&file, image)?;
    Ok(written)
}

/// Whether a recovery has begun to change the image and did not end: only the start that goes on with it makes the database whole.
pub fn is_under_way(folder: &Folder) -> bool {
    saved_trailer_path(folder).exists()
}

/// What was kept of the image that a recovery works on no longer counts.
///
/// # Errors
/// [`Error::File`].
pub(crate) fn forget_trailer(folder: &Folder) -> Result<()> {
    Ok(durable::remove_if_present(&saved_trailer_path(folder))?)
}

/// Takes the leftovers of a recovery away once its record says it is done.
///
/// # Errors
/// [`Error::File`].
pub(crate) fn forget(folder: &Folder) -> Result<()> {
    // What an exchange of files moved aside is no longer to be put back: the database that took its place counts now.
    durable::remove_if_present(&folder.restore_swap_path())?;
    UsedNumbers::forget(folder)?;
    forget_trailer(folder)
}

/// At an ordinary start: the logs that the database still needs must be there and fit (certbcli.md 9.2, third column).
pub(crate) fn check_required_logs(folder: &Folder, now: &Checkpoint) -> Result<()> {
    let mut before: Option<LogFile> = None;
    for number in now.checkpoint.number()..now.current.number() {
        let Some(generation) = Generation::new(number) else { continue };
        let path = folder.log_path(generation);
        let refuse = |detail: &str, code| {
            Err(Error::Chain { detail: format!("log {} {detail}", path.display()), code })
        };
        if !path.exists() {
            return refuse("is missing", Hresult::REQUIRED_LOG_FILES_MISSING);
        }
        let log = match LogFile::open(&path).and_then(|log| log.check().map(|()| log)) {
            Ok(log) => log,
            Err(Error::LogDamaged { .. }) => return refuse("is damaged", Hresult::LOG_FILE_CORRUPT),
            Err(error) => return Err(error),
        };
        let header = log.header();
        if header.stream != now.stream {
            return refuse("belongs to another sequence", Hresult::BAD_LOG_SIGNATURE);
        }
        if header.database != now.database {
            return refuse("belongs to another database", Hresult::BAD_DB_SIGNATURE);
        }
        if before.is_some_and(|before| before.header().own != header.previous) {
            return refuse("does not continue the one before it", Hresult::INVALID_LOG_SEQUENCE);
        }
        before = Some(log);
    }
    Ok(())
}

fn saved_trailer_path(folder: &Folder) -> PathBuf {
    folder.restore_requests_dir().join("trailer.page")
}

/// The image's trailer; after an interrupted recovery, which may have cut it off, the copy saved before.
fn trailer_or_saved(folder: &Folder, database: &Path) -> Result<Trailer> {
    let saved = fs::read(saved_trailer_path(folder)).ok().and_then(|page| Trailer::decode(&page).ok());
    match chain::read_trailer(database) {
        Ok(trailer) => {
            // The same trailer saved means that pages may have been written over already.
            if saved != Some(trailer) {
                chain::check_image(database, &trailer, |_| ())?;
            }
            Ok(trailer)
        }
        Err(error) => saved.ok_or(error),
    }
}

fn save_trailer(folder: &Folder, trailer: &Trailer) -> Result<()> {
    durable::create_dir(&folder.restore_requests_dir())?;
    Ok(durable::replace(&saved_trailer_path(folder), &trailer.encode())?)
}

/// A damaged log above the range would stand where a new generation will be written: it gets another name, as do those
/// above it. The highest goes first, so that a recovery interrupted here still finds the damaged one to stop at.
fn set_damaged_aside(logs: &Path, last: Generation) -> Result<()> {
    for (generation, path) in Folder::logs_in(logs)?.into_iter().rev() {
        if generation > last {
            let aside = path.with_extension("log.not-applied");
            durable::rename(&path, &aside)?;
        }
    }
    Ok(durable::sync_dir(logs)?)
}

/// The first commit after recovery: a new stream of logs begins. It stays in the WAL, out of the image, so that a
/// recovery interrupted before the record says "recovered" can be run again.
fn begin_anew(folder: &Folder, database: &Path, chain: &Chain) -> Result<()> {
    let current = chain.last().next().ok_or(Error::Chain {
        detail: "the log generations are used up".to_owned(),
        code: Hresult::LOG_SEQUENCE_END,
    })?;
    let stream = Signature::random()?;
    let mut connection = DatabaseConnection::open(database)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    schema::after_recovery(&transaction, stream, current, UsedNumbers::kept(folder))?;
    transaction.commit()?;
    durable::create_dir(&folder.log_dir())?;
    CheckpointFile::open(&folder.checkpoint_path())?.write(&Checkpoint {
        database: chain.trailer.database,
        stream,
        current,
        checkpoint: current,
        phase: Phase::Steady,
        archived: generation::resume(database, Position::default())?,
    })
}
