//! Committing: a connection of any process, and a thread that makes one flush serve many commits.

use certadm_rules::Diagnosis;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use crate::checkpoint::{CheckpointFile, Phase};
use crate::connect::{BUSY_TIMEOUT, DatabaseConnection, refuse_unregistered_image};
use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::generation;
use crate::locks::{self, CommitLock, Held};
use crate::record;

/// How many commits one flush may serve.
const BATCH: usize = 256;

/// Whom a writer tells of its commits: the owner of its process, which may have to roll.
pub(crate) trait AfterCommit: std::fmt::Debug + Send + Sync {
    /// `writer` is the connection that committed.
    fn after_commit(&self, writer: &DatabaseConnection);
}

/// One committing connection. Any process of the host may have one, whether or not an owner runs; it never
/// checkpoints.
#[derive(Debug)]
pub struct Writer {
    connection: DatabaseConnection,
    commit_lock: CommitLock,
    checkpoint: CheckpointFile,
    folder: Folder,
    database: PathBuf,
    owner: Option<Box<dyn AfterCommit>>,
    _in_use: Held,
}

impl Writer {
    /// Opens the database of the CA in `folder`.
    ///
    /// # Errors
    /// 0xC8000220 for a restored image that nobody registered, 0xC8000210 for a database whose write-ahead log is lost, 0xC8000213 for
    /// one that the checkpoint file does not speak of, [`Error::RestorePending`] while a registered restore waits to be carried out, [`Error::InUse`] while the
    /// database is being replaced, and as [`Folder::database_path`].
    pub fn open(folder: &Folder) -> Result<Self> {
        Self::connect(folder, None)
    }

    /// As [`Writer::open`], for a process that has the owner, too.
    pub(crate) fn watched(folder: &Folder, owner: Box<dyn AfterCommit>) -> Result<Self> {
        Self::connect(folder, Some(owner))
    }

    fn connect(folder: &Folder, owner: Option<Box<dyn AfterCommit>>) -> Result<Self> {
        let database = folder.database_path()?;
        let in_use = locks::use_database(folder)?;
        record::refuse_while_registered(folder)?;
        refuse_unregistered_image(&database)?;
        let connection = DatabaseConnection::open(&database)?;
        let checkpoint = CheckpointFile::open(&folder.checkpoint_path())?;
        let stated = checkpoint.read()?;
        generation::refuse_lost_commits(folder, &connection, stated.as_ref())?;
        Ok(Self {
            connection,
            commit_lock: CommitLock::open(folder)?,
            checkpoint,
            folder: folder.clone(),
            database,
            owner,
            _in_use: in_use,
        })
    }

    /// Runs `work` in one transaction. When this returns `Ok`, the transaction is durable; when it returns an error,
    /// nothing of it will ever be acknowledged.
    ///
    /// # Errors
    /// Whatever `work` returns, and the store's own errors when the commit fails.
    pub fn commit<T, E: From<Error>>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let Self { connection, commit_lock, checkpoint, folder, database, .. } = self;
        let result = commit_lock.hold(|| {
            if checkpoint.read()?.is_none_or(|checkpoint| checkpoint.phase == Phase::Rolling) {
                generation::settle(folder, database, connection, checkpoint)?;
            }
            let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
            let transaction = begun.map_err(|error| match error.sqlite_error_code() {
                // Another program, which knows nothing of the commit lock.
                Some(ErrorCode::DatabaseBusy) => locks::write_lock_held(database, BUSY_TIMEOUT),
                _ => Error::from(error),
            })?;
            let value = work(&transaction)?;
            transaction.commit().map_err(Error::from)?;
            Ok(value)
        });
        if let Some(owner) = &self.owner {
            owner.after_commit(&self.connection);
        }
        result
    }

    /// The connection, for reading.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The database file's path.
    pub fn database(&self) -> &Path {
        &self.database
    }
}

type Job = Box<dyn FnOnce(Option<&Transaction<'_>>) -> Box<dyn FnOnce(Result<(), Arc<Error>>) + Send> + Send>;

/// A thread that commits for many: whatever arrives while one commit is flushed shares the next flush.
///
/// Clones share the thread; it ends when the last one is dropped.
#[derive(Clone, Debug)]
pub struct GroupCommit {
    sender: Sender<Job>,
    _thread: Arc<Joined>,
}

#[derive(Debug)]
struct Joined(Mutex<Option<JoinHandle<()>>>);

impl GroupCommit {
    /// Starts the thread with its writer.
    pub fn new(writer: Writer) -> Self {
        let (sender, receiver) = channel();
        let thread = std::thread::spawn(move || serve(writer, &receiver));
        Self { sender, _thread: Arc::new(Joined(Mutex::new(Some(thread)))) }
    }

    /// Runs `work` inside a shared transaction and waits until it is durable. A `work` that fails leaves nothing
    /// behind and does not disturb the others.
    ///
    /// # Errors
    /// Whatever `work` returns, [`Error::Closed`] when the thread has ended, and the store's errors.
    pub fn commit<T, E>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (reply, answer) = channel();
        let job: Job = Box::new(move |transaction| {
            let outcome = match transaction {
                Some(transaction) => in_savepoint(transaction, work),
                None => Err(E::from(Error::Closed)),
            };
            Box::new(move |durable| {
                let outcome = durable.map_err(|error| E::from(shared_error(&error))).and(outcome);
                reply.send(outcome).ok(); // the caller may have gone; the commit stands either way
            })
        });
        self.sender.send(job).map_err(|_| E::from(Error::Closed))?;
        answer.recv().unwrap_or_else(|_| Err(E::from(Error::Closed)))
    }
}

fn in_savepoint<T, E: From<Error>>(
    transaction: &Transaction<'_>,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    transaction.execute_batch("SAVEPOINT job").map_err(Error::from)?;
    let outcome = work(transaction);
    let end = if outcome.is_ok() { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" };
    transaction.execute_batch(end).map_err(Error::from)?;
    outcome
}

fn serve(mut writer: Writer, jobs: &Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(job) = jobs.try_recv()
        {
            batch.push(job);
        }
        let mut replies = Vec::with_capacity(batch.len());
        let mut waiting = batch.into_iter();
        let durable = writer.commit(|transaction| {
            replies.extend(waiting.by_ref().map(|job| job(Some(transaction))));
            Ok::<_, Error>(())
        });
        let durable = durable.map_err(Arc::new);
        // Jobs that never ran because the transaction could not begin are answered too.
        replies.extend(waiting.map(|job| job(None)));
        for reply in replies {
            reply(durable.clone());
        }
    }
}

/// A commit's error as each of those who shared it gets it.
fn shared_error(error: &Error) -> Error {
    let source = std::error::Error::source(error);
    let detail = source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    Error::SharedCommit { detail, code: error.hresult() }
}

impl Drop for Joined {
    fn drop(&mut self) {
        // The sender is a field before this one, so the channel is closed and the thread on its way out.
        if let Some(thread) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            thread.join().ok(); // a panic there was reported by its own thread
        }
    }
}
