//! Online backup: the image with its trailer, the logs that make it whole, truncation, marks (certbcli.md 8).
//!
//! The order of calls is not decided here: `certadm-session` puts the sequence machine in front. What is decided here
//! is which generations a backup lists and deletes, and what its bytes are.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use certadm_files::{AlignedBuffer, Checksum, IoContext};
use certadm_rules::ranges::{LogPosition, check_logs_only};
use certadm_rules::{BackupKind, BackupType, Generation, GenerationRange, Hresult};
use rusqlite::TransactionBehavior;

use crate::connect::DatabaseFile;
use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::log_file::{LogFile, Signature};
use crate::marks::{self, Mark};
use crate::owner::{RunningBackup, Shared, Store};
use crate::schema;
use crate::trailer::Trailer;

/// A running backup. There is one at a time; dropping it frees the store for the next without writing a mark.
#[derive(Debug)]
pub struct Backup {
    shared: Arc<Shared>,
    kind: BackupType,
    /// The checkpoint generation at Prepare, or the one before it where nothing was committed since: the first log that the
    /// image needs.
    pinned: Generation,
    /// The stream of logs at Prepare. Where another one has begun since, a stranger has checkpointed the write-ahead log: commits went
    /// into the file behind the reader's back and are in no log, and the new stream has logs of the same numbers.
    stream: Signature,
    listed: Option<Listed>,
    _claim: Claim,
}

/// The place of the one backup that may run. Dropping it makes room for the next.
#[derive(Debug)]
struct Claim(Arc<Shared>);

/// The log range of a backup, fixed at GetBackupLogs.
#[derive(Clone, Debug)]
struct Listed {
    range: GenerationRange,
    deletable: Option<GenerationRange>,
}

impl Store {
    /// Begins a backup: full, or of the logs since the last truncation. `by` says who takes it, to others who want to.
    ///
    /// # Errors
    /// [`Error::Backup`]: 0xC80001F9 while another runs; logs only: 0xC800020E with circular logging, 0xC8000230
    /// without a full backup as base, 0xC8000239 when logs since that base are gone.
    pub fn begin_backup_by(&self, kind: BackupType, by: &str) -> Result<Backup> {
        // Claimed before anything is looked at: what a roll keeps from now on is kept for this backup.
        let claim = Claim::take(&self.shared, by)?;
        let (pinned, stream) = self.shared.first_needed()?;
        if kind == BackupType::LogsOnly {
            self.check_base()?;
        }
        Ok(Backup { shared: Arc::clone(&self.shared), kind, pinned, stream, listed: None, _claim: claim })
    }

    /// Begins a backup for this process.
    ///
    /// # Errors
    /// As [`Store::begin_backup_by`].
    pub fn begin_backup(&self, kind: BackupType) -> Result<Backup> {
        self.begin_backup_by(kind, "this process")
    }

    fn check_base(&self) -> Result<()> {
        if self.shared.options.circular_logging {
            return Err(Error::Backup(Hresult::INVALID_BACKUP));
        }
        // The generation is read first: a roll after it only adds logs, and these are passed over.
        let current = self.current_generation();
        let mut archived = self.shared.folder.archived_logs()?;
        archived.retain(|(generation, _)| *generation < current);
        let first = archived.first().map_or(current, |(generation, _)| *generation);
        let unbroken = archived
            .iter()
            .zip(first.number()..)
            .all(|((generation, _), expected)| generation.number() == expected)
            && archived.last().is_none_or(|(last, _)| last.next() == Some(current));
        let marks = self.marks()?;
        let high = |mark: Option<Mark>| mark.map(|mark| mark.range.high());
        check_logs_only(first, high(marks.full), high(marks.incremental)).map_err(Error::Backup)?;
        if !unbroken {
            return Err(Error::Backup(Hresult::MISSING_FILE_TO_BACKUP));
        }
        Ok(())
    }
}

impl Backup {
    /// The CA's folder.
    pub fn folder(&self) -> &Folder {
        &self.shared.folder
    }

    /// Opens the image: the database file at its present size and one trailer page.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Sqlite`].
    pub fn open_image(&self) -> Result<ImageReader> {
        let file = self.shared.database_file();
        let page_size = crate::schema::PAGE_SIZE;
        let mut first = [0; 100];
        file.read_exact_at(&mut first, 0)?;
        let page_size = crate::trailer::sqlite_page_size(&first).unwrap_or(page_size);
        let image_pages = file.len()? / u64::from(page_size);
        file.will_read_sequentially();
        Ok(ImageReader {
            file,
            shared: Arc::clone(&self.shared),
            low: self.pinned,
            stream: self.stream,
            page_size,
            image_pages,
            offset: 0,
            sum: Checksum::new(),
            ahead: Ahead::default(),
            trailer: Vec::new(),
        })
    }

    /// The logs that belong to this backup. The first call rolls if anything was committed since the last roll, so that all
    /// that was committed before it is in them; later calls return the same list.
    ///
    /// # Errors
    /// The store's errors; 0xC8000239 when a log of the range is gone.
    pub fn logs(&mut self) -> Result<Vec<(Generation, PathBuf)>> {
        let listed = match &self.listed {
            Some(listed) => listed.clone(),
            None => self.listed.insert(self.roll_and_list()?).clone(),
        };
        let folder = self.folder();
        Ok(listed.range.iter().map(|generation| (generation, folder.log_path(generation))).collect())
    }

    fn roll_and_list(&self) -> Result<Listed> {
        let needed = match self.kind {
            BackupType::Full => self.pinned,
            BackupType::LogsOnly => Generation::FIRST,
        };
        let rolled = self.shared.roll_for_backup(needed)?;
        // Where the chain was found broken, what has been read cannot be made whole. An earlier roll may have found it, too.
        let log = rolled.log.filter(|_| rolled.now.stream == self.stream);
        let log = log.ok_or(Error::Backup(Hresult::MISSING_FILE_TO_BACKUP))?;
        let archived = self.folder().archived_logs()?;
        let first = archived.first().map_or(log.generation, |(generation, _)| *generation);
        let position = LogPosition {
            checkpoint_at_prepare: self.pinned,
            checkpoint: rolled.now.checkpoint,
            first_archived: first,
            current: rolled.now.current,
        };
        let gone = || Error::Backup(Hresult::MISSING_FILE_TO_BACKUP);
        let range = position.listed(self.kind).ok_or_else(gone)?;
        let present = archived.iter().filter(|(generation, _)| range.contains(*generation)).count();
        if u32::try_from(present).ok() != Some(range.count()) {
            return Err(gone());
        }
        Ok(Listed { range, deletable: position.deletable(None) })
    }

    /// The range of [`Backup::logs`], once it has been listed.
    pub fn range(&self) -> Option<GenerationRange> {
        self.listed.as_ref().map(|listed| listed.range)
    }

    /// Opens one listed log, after checking every byte of it.
    ///
    /// # Errors
    /// [`Error::Backup`] with 0xC8000239 when the file is gone and 0xC8000264 when it is damaged, [`Error::File`].
    pub fn open_log(&self, generation: Generation) -> Result<LogReader> {
        let path = self.folder().log_path(generation);
        if !path.exists() {
            return Err(Error::Backup(Hresult::MISSING_FILE_TO_BACKUP));
        }
        let log =
            LogFile::open(&path).and_then(|log| log.check().map(|()| log)).map_err(|error| match error {
                Error::File(_) => error,
                _ => Error::Backup(Hresult::LOG_READ_VERIFY_FAILURE),
            })?;
        let len = log.header().file_len();
        Ok(LogReader { file: log.into_file()?.take(len), shared: Arc::clone(&self.shared), len, path })
    }

    /// Deletes the logs that this backup makes redundant, lowest first. Returns generations and bytes freed.
    ///
    /// The caller answers for every listed byte being durable, read back and verified before (invariant 4).
    ///
    /// # Errors
    /// 0xC8000209 before the list was fetched; 0xC8000239 where another stream of logs has begun since Prepare; [`Error::File`] when a
    /// deletion fails; the logs above it then stay.
    pub fn truncate(&self) -> Result<Vec<(Generation, u64)>> {
        let listed = self.listed.as_ref().ok_or(Error::Backup(Hresult::INVALID_BACKUP_SEQUENCE))?;
        if self.shared.stream() != self.stream {
            return Err(Error::Backup(Hresult::MISSING_FILE_TO_BACKUP));
        }
        let Some(limit) = listed.deletable.and_then(|range| range.high().next()) else {
            return Ok(Vec::new());
        };
        let deleted = self.shared.delete_logs_below(limit);
        self.shared.keep_reserve();
        deleted
    }

    /// Ends the backup and writes its mark, if it left one, in one durable commit. Where another stream of logs has begun since
    /// Prepare, it is no base for backups of these logs and leaves no mark.
    ///
    /// # Errors
    /// [`Error::Sqlite`] when the mark cannot be written; the backup has ended all the same.
    pub fn end(self, mark: Option<BackupKind>) -> Result<()> {
        let (Some(kind), Some(listed)) = (mark, &self.listed) else {
            return Ok(());
        };
        let mark = Mark { range: listed.range, taken: crate::time::now() };
        self.shared.commit(&|transaction: &rusqlite::Transaction<'_>| {
            if schema::state(transaction)?.stream != self.stream {
                return Ok(());
            }
            let mut marks = marks::marks(transaction)?;
            marks.record(kind, mark);
            marks::write(transaction, &marks)
        })
    }
}

impl Claim {
    /// Does not hold on to the mutex: a roll takes it while it holds the core.
    fn take(shared: &Arc<Shared>, by: &str) -> Result<Self> {
        let mut running = shared.backup_running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_some() {
            return Err(Error::Backup(Hresult::BACKUP_IN_PROGRESS));
        }
        *running = Some(RunningBackup { by: by.to_owned(), since: crate::time::now() });
        Ok(Self(Arc::clone(shared)))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        *self.0.backup_running.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Shared {
    /// A commit of the owner's own, with the reserve where the disk is full.
    fn commit(&self, work: &dyn Fn(&rusqlite::Transaction<'_>) -> Result<()>) -> Result<()> {
        self.with_reserve(|writer| {
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            work(&transaction)?;
            Ok(transaction.commit()?)
        })
    }
}

/// Reads the image and its trailer, once, from beginning to end.
#[derive(Debug)]
pub struct ImageReader {
    file: Arc<DatabaseFile>,
    shared: Arc<Shared>,
    low: Generation,
    stream: Signature,
    page_size: u32,
    image_pages: u64,
    /// Where reading goes on, in the image or behind it in the trailer.
    offset: u64,
    /// Of the image, as far as it has been read.
    sum: Checksum,
    ahead: Ahead,
    /// Made when the last page of the image has been read.
    trailer: Vec<u8>,
}

/// What was read before it was asked for.
#[derive(Debug, Default)]
struct Ahead {
    buffer: AlignedBuffer,
    /// What of it has not been delivered.
    left: Range<usize>,
}

impl Ahead {
    /// Moves what fits to the front of `buffer`; answers how much that was.
    fn deliver(&mut self, buffer: &mut [u8]) -> usize {
        let len = self.left.len().min(buffer.len());
        let from = self.left.start;
        buffer[..len].copy_from_slice(&self.buffer[from..from + len]);
        self.left.start += len;
        len
    }
}

impl ImageReader {
    /// Bytes that will be delivered: the image and one page.
    pub fn size(&self) -> u64 {
        (self.image_pages + 1) * u64::from(self.page_size)
    }

    /// Fills `buffer` except at the end; 0 when everything has been delivered.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Sqlite`]; 0xC8000239 at the end where another stream of logs has begun since Prepare.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = self.ahead.deliver(buffer);
        if filled < buffer.len() {
            let shared = Arc::clone(&self.shared);
            filled += shared.read_in_turn(|| self.read_image(&mut buffer[filled..]))?;
        }
        let image_len = self.image_len();
        if self.offset >= image_len && filled < buffer.len() {
            if self.trailer.is_empty() {
                self.trailer = self.make_trailer()?;
            }
            let start =
                usize::try_from(self.offset - image_len).unwrap_or(usize::MAX).min(self.trailer.len());
            let rest = &self.trailer[start..];
            let len = rest.len().min(buffer.len() - filled);
            buffer[filled..filled + len].copy_from_slice(&rest[..len]);
            self.offset += len as u64;
            filled += len;
        }
        Ok(filled)
    }

    /// Reads and sums up as many as `len` bytes of the image, which the next [`ImageReader::read`] then only copies: for whoever has
    /// to wait for that read anyway. Does nothing while there are such bytes already. An error is left to that read, which
    /// finds it, too.
    pub fn read_ahead(&mut self, len: usize) {
        if !self.ahead.left.is_empty() || self.offset >= self.image_len() {
            return;
        }
        let mut buffer = std::mem::take(&mut self.ahead.buffer);
        if buffer.len() < len {
            buffer = AlignedBuffer::new(len);
        }
        let shared = Arc::clone(&self.shared);
        let read = shared.read_in_turn(|| self.read_image(&mut buffer[..len])).unwrap_or(0);
        self.ahead = Ahead { buffer, left: 0..read };
    }

    /// The next bytes of the image, as many as there are room and image for.
    fn read_image(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let left = self.image_len().saturating_sub(self.offset);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        self.file.read_exact_at(&mut buffer[..len], self.offset)?;
        self.sum.update(&buffer[..len]);
        self.offset += len as u64;
        Ok(len)
    }

    fn image_len(&self) -> u64 {
        self.image_pages * u64::from(self.page_size)
    }

    /// Made when the image has been read and nothing of the trailer.
    fn make_trailer(&self) -> Result<Vec<u8>> {
        let (database, stream, high) = self.shared.identity(self.low)?;
        if stream != self.stream {
            return Err(Error::Backup(Hresult::MISSING_FILE_TO_BACKUP));
        }
        let trailer = Trailer {
            page_size: self.page_size,
            image_pages: self.image_pages,
            database,
            stream,
            low: self.low,
            high,
            finished: crate::time::now(),
            image: self.sum.finish(),
        };
        Ok(trailer.encode())
    }
}

/// Reads one log, once, from beginning to end.
#[derive(Debug)]
pub struct LogReader {
    file: std::io::Take<File>,
    shared: Arc<Shared>,
    len: u64,
    path: PathBuf,
}

impl LogReader {
    /// The log's length in bytes.
    pub fn size(&self) -> u64 {
        self.len
    }

    /// Fills `buffer` except at the end; 0 when everything has been delivered.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let (file, path) = (&mut self.file, &self.path);
        self.shared.read_in_turn(|| {
            let mut filled = 0;
            while filled < buffer.len() {
                match file.read(&mut buffer[filled..]) {
                    Ok(0) => break,
                    Ok(len) => filled += len,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(error) => return Ok(Err(error).during("read", path)?),
                }
            }
            Ok(filled)
        })
    }
}
