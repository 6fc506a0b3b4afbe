//! The owner of a store: the one who checkpoints, rolls, backs up and recovers.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use certadm_files::{IoContext, durable};
use certadm_rules::diagnosis::chain_of;
use certadm_rules::{BackupMarks, Diagnosis, FileTime, Generation};
use rusqlite::TransactionBehavior;

use crate::checkpoint::{Checkpoint, CheckpointFile};
use crate::connect::{DatabaseConnection, DatabaseFile, refuse_unregistered_image};
use crate::error::{Error, Result};
use crate::folder::{Folder, wal_path};
use crate::generation::{self, Adopted, Rolled, Seen};
use crate::holder::Serving;
use crate::locks::{self, CommitLock, Held};
use crate::log_file::{LogFile, LogHeader, Signature};
use crate::marks::{self, Mark};
use crate::pace::{Commits, Pace};
use crate::pack::{self, Rolls};
use crate::recovery::Recovered;
use crate::reserve::{Reserve, is_no_space};
use crate::writer::{AfterCommit, Writer};
use crate::{record, recovery, schema};

/// How often the owner looks whether committers of other processes have filled a log.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);

/// How often a packer that has something to do looks whether the backup has ended that it makes way for.
const PACK_INTERVAL: Duration = Duration::from_millis(200);
/// A committer rolls by itself when the WAL is so many logs long: the thread that does it otherwise does not keep up.
const LOGS_BEHIND: u64 = 4;

/// How a store is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Roll when the WAL is longer than this, in bytes.
    pub log_size: u64,
    /// Delete logs as soon as the database file does not need them. Logs-only backups are then refused (0xC800020E).
    pub circular_logging: bool,
    /// While certificates are being issued, a backup reads no more than this many bytes a second, so that issuing keeps
    /// most of processor and disk; 0 for as fast as it goes. It may make up for a tenth of a second that it spent otherwise. A CA that does not issue at the time is always read
    /// as fast as it goes.
    pub backup_rate: u64,
}

impl Default for Options {
    /// 4 MiB logs, no circular logging, 64 MiB a second while the CA issues. A Windows CA has logs of 1 MiB; here, where a log holds
    /// whole pages, those take more space for each certificate, and a CA that issues all the time rolls four times as often.
    fn default() -> Self {
        Self { log_size: 4 << 20, circular_logging: false, backup_rate: 64 << 20 }
    }
}

/// What the owner found at its start.
#[derive(Clone, Debug)]
pub struct Opened {
    /// A registered restore that was carried out before anything else.
    pub recovered: Option<Recovered>,
    /// Whether log chain and WAL are as they were left.
    pub adopted: Adopted,
}

/// A backup that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningBackup {
    /// Who takes it, in words.
    pub by: String,
    /// When it began.
    pub since: FileTime,
}

impl std::fmt::Display for RunningBackup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, since {}", self.by, self.since.to_rfc3339())
    }
}

/// The owner's hold on a store. Dropping it leaves everything consistent; [`Store::close`] also rolls and checkpoints.
#[derive(Debug)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    opened: Opened,
    owned: Held,
}

/// What owner, watcher, backups and nudging committers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) folder: Folder,
    pub(crate) database: PathBuf,
    pub(crate) options: Options,
    core: Mutex<Core>,
    /// Space for a backup on a full disk.
    reserve: Reserve,
    commits: Commits,
    /// Of the one backup that runs.
    pace: Mutex<Pace>,
    /// One backup at a time (certbcli.md D25).
    pub(crate) backup_running: Mutex<Option<RunningBackup>>,
    signals: Mutex<Signals>,
    wake: Condvar,
    /// Held by whoever deletes logs, or gives another file the name of one.
    log_names: Mutex<()>,
}

/// What the threads of a store are told.
#[derive(Debug)]
struct Signals {
    stop: bool,
    /// A committer has filled the log.
    roll: bool,
    /// The generation that is current since the last roll.
    current: Generation,
    /// The packer has looked at all logs below.
    packed: Option<Generation>,
}

/// The owner's connections; whoever holds the mutex may roll.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) writer: DatabaseConnection,
    checkpointer: DatabaseConnection,
    commit_lock: CommitLock,
    checkpoint: CheckpointFile,
    now: Checkpoint,
    /// The database as the current generation began, if that was in this process.
    begun: Option<Seen>,
    _in_use: Held,
}

impl Core {
    /// Whether nothing was committed in the current generation but its own first commit.
    fn is_untouched(&self) -> Result<bool> {
        match self.begun {
            Some(begun) => Ok(Seen::by(&self.writer)? == begun),
            None => Ok(false),
        }
    }
}

impl Store {
    /// Creates the database of a new CA in `folder`; `name` becomes the database file's name.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] (0x80070091) when the folder holds a database or logs, [`Error::BadName`],
    /// [`Error::File`].
    pub fn create(folder: &Folder, name: &str, options: Options) -> Result<Self> {
        if name.is_empty() || name.contains(['/', '\\', '\0']) || name.starts_with('.') {
            return Err(Error::BadName { name: name.to_owned() });
        }
        folder.create_parts()?;
        let owned = locks::own(folder)?;
        let already = folder.database_path().is_ok() || !folder.archived_logs()?.is_empty();
        if already || record::read(folder)?.is_some() {
            return Err(Error::AlreadyExists { folder: folder.path().to_owned() });
        }
        // Built under another name, so that a crash leaves no half-made database where a whole one is expected.
        let database = folder.database_path_for(name);
        let building = database.with_extension("new");
        for path in [building.clone(), wal_path(&building), crate::folder::shm_path(&building)] {
            durable::remove_if_present(&path)?;
        }
        let mut connection = DatabaseConnection::create(&building)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        schema::create(&transaction, Signature::random()?, Signature::random()?)?;
        transaction.commit()?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        drop(connection);
        for path in [wal_path(&building), crate::folder::shm_path(&building)] {
            durable::remove_if_present(&path)?;
        }
        durable::rename(&building, &database)?;
        durable::sync_dir(&folder.database_dir())?;
        Self::open_owned(folder, options, owned)
    }

    /// Opens the CA's database as its owner. A completed restore registration is carried out first.
    ///
    /// # Errors
    /// [`Error::Owned`] (0x80070420) when another process owns it, [`Error::RestorePending`] for a registration that
    /// is not complete, the errors of [`recovery::recover`], and 0xC8000220 for a restored image that nobody
    /// registered.
    pub fn open(folder: &Folder, options: Options) -> Result<Self> {
        folder.check()?;
        let owned = locks::own(folder)?;
        Self::open_owned(folder, options, owned)
    }

    fn open_owned(folder: &Folder, options: Options, owned: Held) -> Result<Self> {
        let reserve = Reserve::of(folder, options.log_size);
        let (core, database, opened) = reserve.lend(|| Core::open(folder))?;
        let current = core.now.current;
        let shared = Arc::new(Shared {
            folder: folder.clone(),
            database,
            options,
            core: Mutex::new(core),
            reserve,
            commits: Commits::default(),
            pace: Mutex::new(Pace::new(options.backup_rate)),
            backup_running: Mutex::new(None),
            signals: Mutex::new(Signals { stop: false, roll: false, current, packed: None }),
            wake: Condvar::new(),
            log_names: Mutex::new(()),
        });
        match shared.roll_if_due() {
            // A backup can roll with the reserve, and then free space; the log may wait for it.
            Err(error) if is_no_space(&error) => tell_roll_error(Err(error)),
            other => other?,
        }
        shared.reserve.keep();
        let (watched, packed) = (Arc::downgrade(&shared), Arc::downgrade(&shared));
        let mut threads = vec![std::thread::spawn(move || watch(&watched))];
        if !options.circular_logging {
            threads.push(std::thread::spawn(move || pack::run(&packed)));
        }
        Ok(Self { shared, threads, opened, owned })
    }

    /// What was found and done when the store was opened.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// A committing connection of this process; its commits also trigger rolls.
    ///
    /// # Errors
    /// As [`Writer::open`].
    pub fn writer(&self) -> Result<Writer> {
        Writer::watched(&self.shared.folder, Box::new(Nudge(Arc::downgrade(&self.shared))))
    }

    /// The CA's folder.
    pub fn folder(&self) -> &Folder {
        &self.shared.folder
    }

    /// The backup that runs, if one does.
    pub fn running_backup(&self) -> Option<RunningBackup> {
        self.shared.running_backup()
    }

    /// Leaves word in the lock file where this owner serves the CA, for those who find it owned ([`locks::holder`]).
    pub fn serves(&self, serving: &Serving) {
        self.owned.say(serving);
    }

    /// The database file's path.
    pub fn database(&self) -> &Path {
        &self.shared.database
    }

    /// Rolls now, whatever the WAL's length. Returns the generation that is current afterwards.
    ///
    /// # Errors
    /// The store's errors; the state before the roll then stands.
    pub fn roll(&self) -> Result<Generation> {
        Ok(self.shared.roll()?.now.current)
    }

    /// Waits until every log that has been rolled is packed, or was found to stay as it is. While a backup runs nothing is
    /// packed. With circular logging there is nothing to wait for.
    pub fn wait_until_packed(&self) {
        if self.shared.options.circular_logging {
            return;
        }
        let mut signals = self.shared.signals();
        while signals.packed != Some(signals.current) && !self.threads.iter().any(JoinHandle::is_finished) {
            let waited = self.shared.wake.wait_timeout(signals, PACK_INTERVAL);
            signals = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The generation being written.
    pub fn current_generation(&self) -> Generation {
        self.shared.core().now.current
    }

    /// The oldest generation that the database file alone may lack.
    pub fn checkpoint_generation(&self) -> Generation {
        self.shared.core().now.checkpoint
    }

    /// The backups that the database remembers.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn marks(&self) -> Result<BackupMarks<Mark>> {
        marks::marks(&self.shared.core().writer)
    }

    /// Rolls, checkpoints and lets go. A roll in the background that failed is made up for by this one: what kept it from its work is
    /// gone, or is met again.
    ///
    /// # Errors
    /// The roll's error.
    pub fn close(mut self) -> Result<()> {
        self.stop_threads();
        self.shared.roll().map(|_| ())
    }

    fn stop_threads(&mut self) {
        self.shared.signals().stop = true;
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            thread.join().ok(); // a panic there was reported by its own thread
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.stop_threads();
    }
}

impl Core {
    /// Carries a registered restore out, opens the database, and settles what a crash has left.
    fn open(folder: &Folder) -> Result<(Self, PathBuf, Opened)> {
        let recovered = record::carry_out(folder, recovery::recover)?;
        let in_use = locks::use_database(folder)?;
        let database = folder.database_path()?;
        refuse_unregistered_image(&database)?;
        let mut writer = DatabaseConnection::open(&database)?;
        let commit_lock = CommitLock::open(folder)?;
        let checkpoint = CheckpointFile::open(&folder.checkpoint_path())?;
        let (now, adopted) = commit_lock.hold(|| {
            // SQLite goes on read-only where it cannot open its shared memory; an owner must not.
            drop(writer.transaction_with_behavior(TransactionBehavior::Immediate)?);
            generation::adopt(folder, &database, &mut writer, &checkpoint)
        })?;
        recovery::check_required_logs(folder, &now)?;
        let core = Self {
            checkpointer: DatabaseConnection::open(&database)?,
            writer,
            commit_lock,
            checkpoint,
            now,
            begun: None,
            _in_use: in_use,
        };
        Ok((core, database, Opened { recovered, adopted }))
    }
}

impl Shared {
    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn database_file(&self) -> Arc<DatabaseFile> {
        self.core().writer.file().clone()
    }

    /// Reads for the backup, which is held back while the CA issues; `read` answers how many bytes it got.
    pub(crate) fn read_in_turn(&self, read: impl FnOnce() -> Result<usize>) -> Result<usize> {
        let pace = || self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace().wait(&self.commits);
        let len = read()?;
        pace().has_read(len);
        Ok(len)
    }

    pub(crate) fn roll(&self) -> Result<Rolled> {
        self.roll_locked(&mut self.core())
    }

    /// Rolls for a backup, which frees space afterwards: with the reserve where the disk is full. `needed` is the first log that
    /// the backup needs.
    pub(crate) fn roll_for_backup(&self, needed: Generation) -> Result<Rolled> {
        self.reserve.lend(|| self.roll_if_committed(needed))
    }

    pub(crate) fn running_backup(&self) -> Option<RunningBackup> {
        self.backup_running.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps space for the next full disk, after some was freed.
    pub(crate) fn keep_reserve(&self) {
        self.reserve.keep();
    }

    /// The first log that an image of now needs. Where nothing was committed since the last roll that is the log that the roll
    /// closed: its pages stand in the database file, and applying them again changes nothing. And the stream that it belongs to.
    pub(crate) fn first_needed(&self) -> Result<(Generation, Signature)> {
        let core = self.core();
        let closed = if core.is_untouched()? { self.closed_log(&core)? } else { None };
        let first = closed.map_or(core.now.checkpoint, |log| log.generation.min(core.now.checkpoint));
        Ok((first, core.now.stream))
    }

    /// The stream that logs belong to now.
    pub(crate) fn stream(&self) -> Signature {
        self.core().now.stream
    }

    /// Rolls, unless nothing was committed since the last roll and the log that it closed is `needed` or a later one. Otherwise a
    /// caller who begins backups and ends them again would fill the disk with logs that hold nothing.
    fn roll_if_committed(&self, needed: Generation) -> Result<Rolled> {
        let mut core = self.core();
        if core.is_untouched()?
            && let Some(log) = self.closed_log(&core)?.filter(|log| needed <= log.generation)
        {
            return Ok(Rolled { log: Some(log), now: core.now, begun: core.begun });
        }
        self.roll_locked(&mut core)
    }

    /// The log before the current generation, if it is there and of this stream.
    fn closed_log(&self, core: &Core) -> Result<Option<LogHeader>> {
        let path = core.now.current.previous().map(|closed| self.folder.log_path(closed));
        let Some(path) = path.filter(|path| path.exists()) else { return Ok(None) };
        let header = *LogFile::open(&path)?.header();
        Ok(Some(header).filter(|log| (log.database, log.stream) == (core.now.database, core.now.stream)))
    }

    fn roll_locked(&self, core: &mut Core) -> Result<Rolled> {
        let Core { writer, checkpointer, commit_lock, checkpoint, now, begun, .. } = core;
        let rolled = commit_lock
            .hold(|| generation::roll(&self.folder, &self.database, writer, checkpointer, checkpoint))?;
        *now = rolled.now;
        *begun = rolled.begun;
        self.signals().current = rolled.now.current;
        self.wake.notify_all();
        if self.options.circular_logging && self.running_backup().is_none() {
            self.delete_logs_below(rolled.now.checkpoint)?;
        }
        self.reserve.keep();
        Ok(rolled)
    }

    /// Runs `work` on the owner's connection under the commit lock, and again with the reserve where the disk is full.
    pub(crate) fn with_reserve<T>(&self, work: impl Fn(&mut DatabaseConnection) -> Result<T>) -> Result<T> {
        let mut core = self.core();
        let Core { writer, commit_lock, .. } = &mut *core;
        self.reserve.lend(|| commit_lock.hold(|| work(writer)))
    }

    /// Database, stream and the last log that an image of now needs, which needs no log below `low`, as one consistent
    /// statement.
    pub(crate) fn identity(&self, low: Generation) -> Result<(Signature, Signature, Generation)> {
        let core = self.core();
        let state = schema::state(&core.writer)?;
        let closed = state.generation.previous().filter(|closed| low <= *closed);
        let high = if core.is_untouched()? { closed.unwrap_or(state.generation) } else { state.generation };
        Ok((state.database, state.stream, high))
    }

    /// Rolls if the WAL holds more that is in no log yet than a log should hold.
    pub(crate) fn roll_if_due(&self) -> Result<()> {
        let mut core = self.core();
        let Core { checkpointer, now, .. } = &*core;
        // While a long reader keeps the WAL from beginning anew, its length alone would make every look a roll.
        if generation::wal_len(checkpointer)? > self.options.log_size
            && generation::unarchived_len(&self.database, checkpointer, now.archived)? > self.options.log_size
        {
            self.roll_locked(&mut core)?;
        }
        Ok(())
    }

    /// Deletes archived logs below `limit`, lowest first, so that what stays has no hole. Returns what was deleted and
    /// the bytes it freed.
    ///
    /// # Errors
    /// The first failure other than "not found"; the logs above it then stay.
    pub(crate) fn delete_logs_below(&self, limit: Generation) -> Result<Vec<(Generation, u64)>> {
        let _names = self.log_names();
        delete_logs_below(&self.folder, limit)
    }

    fn signals(&self) -> MutexGuard<'_, Signals> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rolls for Shared {
    fn folder(&self) -> &Folder {
        &self.folder
    }

    fn rolled_to(&self) -> Generation {
        self.signals().current
    }

    fn wait_for_packing(&self, looked: Option<Generation>) -> Option<Generation> {
        let mut signals = self.signals();
        loop {
            if signals.stop {
                return None;
            }
            if looked != Some(signals.current) && self.running_backup().is_none() {
                return Some(signals.current);
            }
            // Rolls and the stop say so; nobody says that a backup has ended.
            signals = if looked == Some(signals.current) {
                self.wake.wait(signals).unwrap_or_else(PoisonError::into_inner)
            } else {
                let waited = self.wake.wait_timeout(signals, PACK_INTERVAL);
                waited.unwrap_or_else(PoisonError::into_inner).0
            };
        }
    }

    fn is_backed_up(&self) -> bool {
        self.running_backup().is_some()
    }

    fn go_on_packing(&self) -> Result<()> {
        if self.signals().stop { Err(Error::Closed) } else { Ok(()) }
    }

    fn log_names(&self) -> MutexGuard<'_, ()> {
        self.log_names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn packed_below(&self, current: Generation) {
        self.signals().packed = Some(current);
        self.wake.notify_all();
    }
}

/// Tells the watcher as soon as a commit of the owner's process has filled the log, so that whoever committed does not wait for
/// the roll.
#[derive(Debug)]
struct Nudge(Weak<Shared>);

impl AfterCommit for Nudge {
    /// The connection that committed tells the WAL's length without waiting for the owner's.
    fn after_commit(&self, writer: &DatabaseConnection) {
        if let Some(shared) = self.0.upgrade() {
            shared.commits.happened();
            let log_size = shared.options.log_size;
            match generation::wal_len(writer) {
                Ok(len) if len > log_size.saturating_mul(LOGS_BEHIND) => {
                    tell_roll_error(shared.roll_if_due());
                }
                Ok(len) if len > log_size => {
                    shared.signals().roll = true;
                    shared.wake.notify_all();
                }
                other => tell_roll_error(other.map(drop)),
            }
        }
    }
}

fn watch(shared: &Weak<Shared>) {
    while let Some(shared) = shared.upgrade() {
        let (mut signals, _) = shared
            .wake
            .wait_timeout_while(shared.signals(), WATCH_INTERVAL, |signals| !signals.stop && !signals.roll)
            .unwrap_or_else(PoisonError::into_inner);
        if signals.stop {
            return;
        }
        signals.roll = false;
        drop(signals);
        tell_roll_error(shared.roll_if_due());
    }
}

/// Tells in the log of a roll that failed without a caller to tell. The next one takes its work over.
fn tell_roll_error(rolled: Result<()>) {
    if let Err(error) = rolled {
        tracing::error!(error = %chain_of(&error), code = %error.hresult(), "the log could not be rolled");
    }
}

fn delete_logs_below(folder: &Folder, limit: Generation) -> Result<Vec<(Generation, u64)>> {
    let mut deleted = Vec::new();
    for (generation, path) in
        folder.archived_logs()?.into_iter().filter(|(generation, _)| *generation < limit)
    {
        let bytes = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        match std::fs::remove_file(&path) {
            Ok(()) => deleted.push((generation, bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Ok(Err(error).during("remove", &path)?),
        }
    }
    durable::sync_dir(&folder.log_dir())?;
    Ok(deleted)
}
