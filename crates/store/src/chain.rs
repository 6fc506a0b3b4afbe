//! The chain of a backup: an image with its trailer and the logs that make it whole (certbcli.md 9.2).
//!
//! Everything is checked here before anybody writes a byte; `recover`, `verify` and `restore --dry-run` share it.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use certadm_files::{AlignedBuffer, Checksum, Found, IoContext, OffsetIo, durable};
use certadm_rules::{Generation, GenerationRange, Hresult};

use crate::error::{Error, Result};
use crate::log_file::{LogFile, LogHeader, Signature};
use crate::trailer::{Trailer, check_writable, sqlite_page_size};
use crate::wal::{Salts, WalWriter};

/// A chain that has been checked from end to end.
#[derive(Debug)]
pub struct Chain {
    /// The image's trailer.
    pub trailer: Trailer,
    /// The logs to apply, ascending without a gap, from the trailer's low generation on.
    pub logs: Vec<LogFile>,
    /// Logs above the range that continued it and are applied as well.
    pub rolled_forward: usize,
    /// A log above the range where the replay ends because it is damaged, and what is wrong with it.
    pub stopped_at: Option<String>,
}

impl Chain {
    /// The last generation that will be applied.
    pub fn last(&self) -> Generation {
        self.logs.last().map_or(self.trailer.high, |log| log.header().generation)
    }

    /// The database's size in pages after the last log.
    pub fn final_pages(&self) -> u32 {
        self.logs.last().map_or(0, |log| log.header().database_pages)
    }
}

/// Where a log lies: in a folder of our own, or in a set of somebody's.
pub trait LogPlace: AsRef<Path> + Clone + Into<Found> {}

impl<P: AsRef<Path> + Clone + Into<Found>> LogPlace for P {}

/// Reads the trailer of the image at `path`.
///
/// # Errors
/// [`Error::Image`]: 0xC80004B6 when it is no SQLite database, or one that SQLite does not write to, 0xC8000231 when its length is no multiple of the page
/// size, 0xC8000267 without a trailer, 0xC8000228 when the trailer does not fit.
pub fn read_trailer(image_file: impl Into<Found>) -> Result<Trailer> {
    let found = image_file.into();
    let path = found.path();
    let file = found.open()?;
    let len = file.metadata().during("look at", path)?.len();
    let mut first = Vec::with_capacity(100);
    (&file).take(100).read_to_end(&mut first).during("read", path)?;
    trailer_of(path, len, &first, |page_size| {
        let mut page = vec![0; page_size as usize];
        file.read_exact_at(&mut page, len - u64::from(page_size)).during("read", path)?;
        Ok(page)
    })
}

/// The trailer of an image of `len` bytes that begins with `first`; `last_page` gives its last page, of the length asked for.
/// `path` only names it in errors.
///
/// # Errors
/// As [`read_trailer`], and whatever `last_page` returns.
pub fn trailer_of(
    path: &Path,
    len: u64,
    first: &[u8],
    last_page: impl FnOnce(u32) -> Result<Vec<u8>>,
) -> Result<Trailer> {
    let Some(page_size) = sqlite_page_size(first) else {
        return Err(image(format!("{} is not a database", path.display()), Hresult::DATABASE_CORRUPTED));
    };
    check_writable(path, first)?;
    if !len.is_multiple_of(u64::from(page_size)) {
        let detail =
            format!("{} has {len} bytes, which is no multiple of its page size {page_size}", path.display());
        return Err(image(detail, Hresult::BAD_BACKUP_DATABASE_SIZE));
    }
    let trailer = Trailer::decode(&last_page(page_size)?)?;
    if (trailer.image_pages + 1).checked_mul(u64::from(page_size)) != Some(len) {
        let detail = format!(
            "{} has {len} bytes, its trailer counts {} pages before itself",
            path.display(),
            trailer.image_pages
        );
        return Err(image(detail, Hresult::DATABASE_PATCH_FILE_MISMATCH));
    }
    Ok(trailer)
}

/// Length of one buffer in bytes where a whole image is read.
const MOST_AT_ONCE: usize = 1 << 20;

/// Compares every page of the image with the checksum in its trailer; what is longer than one buffer is read on a thread of its
/// own. `progress` gets the bytes compared so far.
///
/// # Errors
/// [`Error::Image`] with 0xC80003FA when they differ, [`Error::File`].
pub fn check_image(
    image_file: impl Into<Found>,
    trailer: &Trailer,
    mut progress: impl FnMut(u64),
) -> Result<()> {
    let found = image_file.into();
    let path = found.path();
    let file = found.open()?;
    let len = trailer.pages_len();
    let mut sum = Checksum::new();
    if len <= MOST_AT_ONCE as u64 {
        // A thread would take longer to start than all of this does.
        let mut all = AlignedBuffer::new(usize::try_from(len).unwrap_or(MOST_AT_ONCE));
        file.read_exact_at(&mut all, 0).during("read", path)?;
        sum.update(&all);
        progress(len);
    } else {
        sum_beside(file, len, &mut sum, progress).during("read", path)?;
    }
    compare_sum(path, trailer, &sum)
}

/// Compares the checksum of an image's pages, all that is before the trailer, with the one in the trailer. For callers who read the
/// image anyway; `path` only names it in the error.
///
/// # Errors
/// [`Error::Image`] with 0xC80003FA when they differ.
pub fn compare_sum(path: &Path, trailer: &Trailer, sum: &Checksum) -> Result<()> {
    if sum.finish() == trailer.image {
        return Ok(());
    }
    let detail = format!("{} differs from what its backup delivered", path.display());
    Err(image(detail, Hresult::READ_VERIFY_FAILURE))
}

/// Adds the first `len` bytes of the file to a checksum, and reads ahead on a thread of its own.
fn sum_beside(
    file: File,
    len: u64,
    sum: &mut Checksum,
    mut progress: impl FnMut(u64),
) -> std::io::Result<()> {
    std::thread::scope(|scope| {
        let (to_hash, filled) = sync_channel(1);
        let (to_fill, empty) = sync_channel(2);
        for _ in 0..2 {
            // There is room for both, and the other end is held below.
            to_fill.send(AlignedBuffer::new(MOST_AT_ONCE)).ok();
        }
        let reader = scope.spawn(move || read_through(&file, len, &empty, &to_hash));
        let mut done = 0;
        for (buffer, taken) in filled {
            sum.update(&buffer[..taken]);
            done += taken as u64;
            progress(done);
            to_fill.send(buffer).ok(); // the reader that has come to the end takes none back
        }
        reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Reads the first `len` bytes of the file into whatever buffers come, and hands them on in their order with how much of each is
/// filled.
fn read_through(
    file: &File,
    len: u64,
    empty: &Receiver<AlignedBuffer>,
    filled: &SyncSender<(AlignedBuffer, usize)>,
) -> std::io::Result<()> {
    let mut offset = 0;
    while offset < len {
        let Ok(mut buffer) = empty.recv() else { break };
        let take = usize::try_from(len - offset).unwrap_or(usize::MAX).min(buffer.len());
        file.read_exact_at(&mut buffer[..take], offset)?;
        offset += take as u64;
        if filled.send((buffer, take)).is_err() {
            break;
        }
    }
    Ok(())
}

/// Checks that `logs` make the image of `trailer` whole over `range`, and reads every byte of them.
///
/// Logs below the range are passed over. Those above it are rolled forward while they continue the chain.
///
/// # Errors
/// One code for each wrong chain, as certbcli.md 9.2 lists them, in [`Error::Chain`] and the log errors.
pub fn check_chain<P: LogPlace>(
    trailer: &Trailer,
    logs: &[(Generation, P)],
    range: GenerationRange,
) -> Result<Chain> {
    let mut chain = Chain {
        trailer: *trailer,
        logs: check_headers(trailer, logs, range)?,
        rolled_forward: 0,
        stopped_at: None,
    };
    chain.logs.retain(|log| log.header().generation >= trailer.low);
    for log in &chain.logs {
        log.check()?;
    }
    roll_forward(&mut chain, logs, range)?;
    Ok(chain)
}

/// Checks by their headers alone that `logs` are those of the image over `range`: all there, of its database, each the
/// next one's predecessor. Returns those of the range.
///
/// # Errors
/// As [`check_chain`], but for damage of a log's content.
pub fn check_headers<P: LogPlace>(
    trailer: &Trailer,
    logs: &[(Generation, P)],
    range: GenerationRange,
) -> Result<Vec<LogFile>> {
    if range.low() > trailer.low {
        let detail =
            format!("the logs begin with {}, the image needs {} and later", range.low(), trailer.low);
        return Err(chain(detail, Hresult::STARTING_RESTORE_LOG_TOO_HIGH));
    }
    if range.high() < trailer.high {
        let detail =
            format!("the logs end with {}, the image needs all up to {}", range.high(), trailer.high);
        return Err(chain(detail, Hresult::ENDING_RESTORE_LOG_TOO_LOW));
    }
    let within = required(logs, range)?;
    check_identity(trailer, &within)?;
    check_links(&within)?;
    Ok(within)
}

/// Opens every generation of the range.
fn required<P: LogPlace>(logs: &[(Generation, P)], range: GenerationRange) -> Result<Vec<LogFile>> {
    let mut found = Vec::new();
    let mut expected = Some(range.low());
    for (generation, path) in logs.iter().filter(|(generation, _)| range.contains(*generation)) {
        if Some(*generation) != expected {
            break;
        }
        expected = generation.next();
        found.push(path);
    }
    let present = u32::try_from(found.len()).unwrap_or(u32::MAX);
    if present != range.count() {
        let missing = range.low().number().saturating_add(present);
        let detail = format!("log generation {missing} is missing from {} to {}", range.low(), range.high());
        return Err(chain(detail, Hresult::MISSING_RESTORE_LOG_FILES));
    }
    found.into_iter().map(|path| LogFile::open(path.clone()).map(LogFile::closed)).collect()
}

fn check_identity(trailer: &Trailer, logs: &[LogFile]) -> Result<()> {
    let identity = |header: &LogHeader| (header.database, header.stream, header.page_size);
    let expected: (Signature, Signature, u32) = (trailer.database, trailer.stream, trailer.page_size);
    let Some(stranger) = logs.iter().find(|log| identity(log.header()) != expected) else {
        return Ok(());
    };
    let first = identity(logs[0].header());
    if logs.iter().all(|log| identity(log.header()) == first) {
        let detail =
            "the logs agree with each other but belong to another database than the image".to_owned();
        return Err(chain(detail, Hresult::DATABASE_LOG_SET_MISMATCH));
    }
    let detail = format!("log {} belongs to another sequence", stranger.path().display());
    Err(chain(detail, Hresult::GIVEN_LOG_FILE_HAS_BAD_SIGNATURE))
}

fn check_links(logs: &[LogFile]) -> Result<()> {
    for pair in logs.windows(2) {
        if pair[1].header().previous != pair[0].header().own {
            let detail = format!("log {} does not continue the one before it", pair[1].path().display());
            return Err(chain(detail, Hresult::GIVEN_LOG_FILE_IS_NOT_CONTIGUOUS));
        }
    }
    Ok(())
}

/// Takes the logs above the range that continue it (certbcli.md 9.2): a foreign or missing one is an error, a damaged
/// one only ends the replay.
fn roll_forward<P: LogPlace>(
    chain_so_far: &mut Chain,
    logs: &[(Generation, P)],
    range: GenerationRange,
) -> Result<()> {
    let mut expected = range.high().next();
    for (generation, path) in logs.iter().filter(|(generation, _)| *generation > range.high()) {
        if Some(*generation) != expected {
            let detail = format!(
                "log generations before {} are missing above the restored range",
                path.as_ref().display()
            );
            return Err(chain(detail, Hresult::MISSING_CURRENT_LOG_FILES));
        }
        expected = generation.next();
        let log = match LogFile::open(path.clone()).and_then(|log| log.check().map(|()| log)) {
            Ok(log) => log,
            Err(error @ Error::LogDamaged { .. }) => {
                chain_so_far.stopped_at = Some(error.to_string());
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let header = log.header();
        if (header.database, header.stream) != (chain_so_far.trailer.database, chain_so_far.trailer.stream) {
            let detail = format!(
                "log {} above the restored range belongs to another sequence",
                path.as_ref().display()
            );
            return Err(chain(detail, Hresult::EXISTING_LOG_FILE_HAS_BAD_SIGNATURE));
        }
        if chain_so_far.logs.last().is_some_and(|last| last.header().own != header.previous) {
            let detail =
                format!("log {} above the restored range does not continue it", path.as_ref().display());
            return Err(chain(detail, Hresult::EXISTING_LOG_FILE_IS_NOT_CONTIGUOUS));
        }
        chain_so_far.logs.push(log.closed());
        chain_so_far.rolled_forward += 1;
    }
    Ok(())
}

/// Writes the chain's pages as a write-ahead log, so that SQLite sees the recovered database through it while the image
/// stays as it is.
///
/// # Errors
/// [`Error::Image`] with 0xC80004B6 when a log has a first page that SQLite does not write to, [`Error::File`], and the log errors
/// should a log have changed since it was checked.
pub fn write_overlay(chain: &Chain, wal: &Path) -> Result<()> {
    let file = durable::open_emptied(wal)?;
    let out = std::io::BufWriter::with_capacity(512 << 10, file);
    let mut writer = WalWriter::new(out, chain.trailer.page_size, Salts(1, 1)).during("write", wal)?;
    for log in &chain.logs {
        let (mut left, pages) = (log.header().page_count, log.header().database_pages);
        log.pages(|number, page| {
            left -= 1;
            if number == 1 {
                check_writable(log.path(), page)?;
            }
            Ok(writer.frame(number, if left == 0 { pages } else { 0 }, page).during("write", wal)?)
        })?;
    }
    writer.finish().during("write", wal)?;
    Ok(())
}

fn chain(detail: String, code: Hresult) -> Error {
    Error::Chain { detail, code }
}

fn image(detail: String, code: Hresult) -> Error {
    Error::Image { detail, code }
}
