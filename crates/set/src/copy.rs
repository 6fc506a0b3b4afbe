//! Storing a stream: reading, hashing, writing, flushing and reading back overlap, with a fixed number of buffers
//! between them.

use std::fs::File;
use std::io::Read;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use certadm_files::{
    Access, AlignedBuffer, Checksum, Found, IoContext, OffsetIo, background, cancel, durable,
};
use certadm_rules::{Hresult, hex};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::hashes::{Hasher, Hashes, Hashing, PagesSum};
use crate::stream::Stream;

/// Length of one buffer in bytes.
pub(crate) const BUFFER_LEN: usize = 512 * 1024;
/// The most buffers in flight. A short file has fewer: a buffer costs time, because its memory is zero at first.
const BUFFERS: usize = 8;
/// How many bytes are written before they are flushed and read back: at first few, so that a short file is not written to its
/// end before its flush begins, then as many again as have been flushed, and at last this many.
const WINDOW: u64 = 16 << 20;
/// The first of these windows.
const FIRST_WINDOW: u64 = 2 << 20;
/// How many windows may be before each of flushing and reading back, the one at work among them. What waits for the medium
/// here stands in the way of the CA's own commits, if both share it.
const WINDOWS: usize = 2;

/// What a stored file is compared with after it has been flushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadBack {
    /// With what the system holds of it, in its cache or on the medium.
    #[default]
    System,
    /// With what the medium gives back: the system's cached copy is dropped first. Takes as long again as writing.
    Medium,
    /// With nothing: somebody else reads every byte before it is relied on.
    Skip,
}

/// A buffer on its way, and how much of it is filled.
struct Chunk {
    bytes: AlignedBuffer,
    len: usize,
}

/// Stores what `stream` delivers as a new file at `path`, flushes it, reads it back and compares.
/// Returns size and hashes of what was delivered. What is `announced` of its length only decides how long the buffers are.
///
/// # Errors
/// Whatever the stream returns, [`Error::Store`], [`Error::Damaged`] when what is read back differs; a file that was begun
/// is left for the caller to remove with its folder.
pub(crate) fn store(
    path: &Path,
    read_back: ReadBack,
    announced: Option<u64>,
    hashing: Hashing,
    stream: &mut dyn Stream,
) -> Result<Hashes> {
    let file = durable::open_new(path, Access::Public)?;
    let due = announced.and_then(|len| usize::try_from(len.saturating_add(1)).ok());
    let buffer_len = due.unwrap_or(BUFFER_LEN).min(BUFFER_LEN);
    let mut begun = Vec::new();
    // Two buffers tell whether there is anything that could overlap.
    while begun.len() < 2 {
        cancel::check()?;
        let mut bytes = AlignedBuffer::new(buffer_len);
        match stream.read(&mut bytes)? {
            0 => return store_short(&file, path, read_back, hashing, begun.pop()),
            len => begun.push(Chunk { bytes, len }),
        }
    }
    store_long(&file, path, read_back, hashing, begun, stream)
}

/// Stores what fits into one buffer: four threads would take longer to start than all of this does.
fn store_short(
    file: &File,
    path: &Path,
    read_back: ReadBack,
    hashing: Hashing,
    all: Option<Chunk>,
) -> Result<Hashes> {
    let bytes = all.as_ref().map_or(&[][..], |chunk| &chunk.bytes[..chunk.len]);
    let size = bytes.len() as u64;
    let mut sum = Checksum::new();
    sum.update(bytes);
    let mut hasher = Hasher::new(hashing);
    hasher.update(bytes);
    file.write_all_at(bytes, 0).during("write", path)?;
    durable::flush_data(file, path)?;
    let mut again = Checker::new(file, path, read_back);
    again.read_to(size)?;
    compare(path, again.finish(), sum.finish())?;
    Ok(hasher.finish())
}

/// Compares the checksum of what was read back, if anything was, with that of what was delivered.
fn compare(path: &Path, read: Option<[u8; 16]>, delivered: [u8; 16]) -> Result<()> {
    if read.is_none_or(|read| read == delivered) {
        return Ok(());
    }
    let detail = "what was read back is not what was written".to_owned();
    Err(Error::Damaged { path: path.to_owned(), detail, code: Hresult::DISK_IO })
}

/// Stores with a thread for each stage. `begun` are the buffers that have been filled already.
fn store_long(
    file: &File,
    path: &Path,
    read_back: ReadBack,
    hashing: Hashing,
    begun: Vec<Chunk>,
    stream: &mut dyn Stream,
) -> Result<Hashes> {
    std::thread::scope(|scope| {
        let (to_write, write_from) = sync_channel(BUFFERS);
        let (to_pool, pool) = sync_channel(BUFFERS);
        let (to_flush, flush_from) = sync_channel(WINDOWS - 1);
        let (to_check, check_from) = sync_channel(WINDOWS - 1);
        let (first, hasher) = match hashing {
            Hashing::Blake3 => (to_write, None),
            Hashing::Both => {
                let (to_hash, hash_from) = sync_channel(BUFFERS);
                (to_hash, Some(scope.spawn(move || yielding(|| hash(&hash_from, &to_write)))))
            }
        };
        let writer = scope.spawn(move || yielding(|| write(file, path, &write_from, &to_pool, &to_flush)));
        let flusher = scope.spawn(move || yielding(|| flush(file, path, &flush_from, &to_check)));
        let checker = scope.spawn(move || yielding(|| read_again(file, path, read_back, &check_from)));
        let produced = produce(begun, stream, &pool, &first);
        drop((first, pool));
        let sha256 = hasher.map(|hasher| hasher.join().map_err(|_| panicked(path))).transpose()?;
        let written = writer.join().map_err(|_| panicked(path))?;
        let flushed = flusher.join().map_err(|_| panicked(path))?;
        let checked = checker.join().map_err(|_| panicked(path))?;
        // A failed write stops the stages before it, so it is the cause and comes first.
        let written = written?;
        produced?;
        flushed?;
        compare(path, checked?, written.sum.finish())?;
        Ok(Hashes { sha256, ..written.hasher.finish() })
    })
}

/// Runs `work` on a thread of its own that yields to others: those of a backup to the CA that issues on the same machine.
pub(crate) fn yielding<T>(work: impl FnOnce() -> T) -> T {
    background::give_way();
    work()
}

/// Runs `work` on a thread that yields to others, and waits for it: the calling thread could not take its turn back afterwards.
pub(crate) fn yielding_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let working = scope.spawn(|| yielding(work));
        working.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn produce(
    begun: Vec<Chunk>,
    stream: &mut dyn Stream,
    pool: &Receiver<AlignedBuffer>,
    to_hash: &SyncSender<Chunk>,
) -> Result<()> {
    let mut made = begun.len();
    let buffer_len = begun.first().map_or(BUFFER_LEN, |chunk| chunk.bytes.len());
    for chunk in begun {
        if to_hash.send(chunk).is_err() {
            return Ok(());
        }
    }
    let mut next = || match pool.try_recv() {
        Err(TryRecvError::Empty) if made < BUFFERS => {
            made += 1;
            Some(AlignedBuffer::new(buffer_len))
        }
        Err(TryRecvError::Empty) => pool.recv().ok(),
        taken => taken.ok(),
    };
    // The pool or the hasher gone means that a later stage failed; it has the reason.
    while let Some(mut bytes) = next() {
        cancel::check()?;
        let len = stream.read(&mut bytes)?;
        if len == 0 || to_hash.send(Chunk { bytes, len }).is_err() {
            break;
        }
    }
    Ok(())
}

/// Hashes what comes and hands it on. This hash takes as long as everything else does, so a thread has nothing but it to do.
fn hash(from: &Receiver<Chunk>, to_write: &SyncSender<Chunk>) -> String {
    let mut sha256 = Sha256::new();
    while let Ok(chunk) = from.recv() {
        sha256.update(&chunk.bytes[..chunk.len]);
        if to_write.send(chunk).is_err() {
            break;
        }
    }
    hex::encode(&sha256.finalize())
}

/// What a writer knows of what it wrote.
struct Written {
    /// Its length, and the hash that no other thread takes.
    hasher: Hasher,
    /// The checksum that what is read back must have.
    sum: Checksum,
}

fn write(
    file: &File,
    path: &Path,
    from: &Receiver<Chunk>,
    to_pool: &SyncSender<AlignedBuffer>,
    to_flush: &SyncSender<u64>,
) -> Result<Written> {
    let mut written = Written { hasher: Hasher::new(Hashing::Blake3), sum: Checksum::new() };
    let mut told = 0;
    while let Ok(chunk) = from.recv() {
        let bytes = &chunk.bytes[..chunk.len];
        // At its place, whatever reading back does to the file's own position.
        file.write_all_at(bytes, written.hasher.size()).during("write", path)?;
        written.hasher.update(bytes);
        written.sum.update(bytes);
        let size = written.hasher.size();
        if size - told >= told.clamp(FIRST_WINDOW, WINDOW) {
            told = size;
            to_flush.send(told).ok(); // a flush that failed has its reason to tell
        }
        // The producer has stopped when nobody takes buffers any more.
        to_pool.send(chunk.bytes).ok();
    }
    to_flush.send(written.hasher.size()).ok();
    Ok(written)
}

/// Flushes what has been written so far, window by window: never much at once, because the CA's own commits wait behind it.
fn flush(file: &File, path: &Path, written: &Receiver<u64>, to_check: &SyncSender<u64>) -> Result<()> {
    while let Ok(mut end) = written.recv() {
        // Another window may have been written meanwhile: one flush serves both.
        while let Ok(later) = written.try_recv() {
            end = later;
        }
        // The length goes with the data; times may wait.
        durable::flush_data(file, path)?;
        to_check.send(end).ok(); // a checker that stopped has its reason to tell
    }
    Ok(())
}

/// Reads back what has been flushed. Returns the checksum of what was read, if anything was to be.
fn read_again(
    file: &File,
    path: &Path,
    read_back: ReadBack,
    flushed: &Receiver<u64>,
) -> Result<Option<[u8; 16]>> {
    let mut checker = Checker::new(file, path, read_back);
    while let Ok(end) = flushed.recv() {
        checker.read_to(end)?;
    }
    Ok(checker.finish())
}

/// Reads a file back as far as it has been flushed.
struct Checker<'a> {
    file: &'a File,
    path: &'a Path,
    read_back: ReadBack,
    sum: Checksum,
    buffer: AlignedBuffer,
    checked: u64,
}

impl<'a> Checker<'a> {
    fn new(file: &'a File, path: &'a Path, read_back: ReadBack) -> Self {
        Self { file, path, read_back, sum: Checksum::new(), buffer: AlignedBuffer::default(), checked: 0 }
    }

    /// Reads what has been flushed since the last time, if anything is to be read back.
    fn read_to(&mut self, end: u64) -> Result<()> {
        let window = end - self.checked;
        let Some(window) = NonZeroU64::new(window).filter(|_| self.read_back != ReadBack::Skip) else {
            return Ok(());
        };
        if self.buffer.is_empty() {
            let len = usize::try_from(window.get()).unwrap_or(BUFFER_LEN).min(BUFFER_LEN);
            self.buffer = AlignedBuffer::new(len);
        }
        #[cfg(unix)]
        if self.read_back == ReadBack::Medium {
            // A hint; where it is not taken, the system's copy is compared.
            rustix::fs::fadvise(self.file, self.checked, Some(window), rustix::fs::Advice::DontNeed).ok();
        }
        while self.checked < end {
            let len = usize::try_from(end - self.checked).unwrap_or(usize::MAX).min(self.buffer.len());
            self.file.read_exact_at(&mut self.buffer[..len], self.checked).during("read back", self.path)?;
            self.sum.update(&self.buffer[..len]);
            self.checked += len as u64;
        }
        Ok(())
    }

    /// The checksum of what was read, if anything was to be.
    fn finish(self) -> Option<[u8; 16]> {
        (self.read_back != ReadBack::Skip).then(|| self.sum.finish())
    }
}

/// Reads a file and hashes it: no more of it than was announced and one byte. `progress` gets the bytes read so far.
///
/// # Errors
/// [`Error::Store`].
pub(crate) fn hash_file(
    file: &Found,
    announced: Option<u64>,
    hashing: Hashing,
    progress: impl FnMut(u64),
) -> Result<Hashes> {
    hash_and_sum(file, announced, hashing, &mut PagesSum::default(), progress)
}

/// As [`hash_file`], and adds what is read to the checksum of an image.
pub(crate) fn hash_and_sum(
    file: &Found,
    announced: Option<u64>,
    hashing: Hashing,
    sum: &mut PagesSum,
    mut progress: impl FnMut(u64),
) -> Result<Hashes> {
    let mut hasher = Hasher::new(hashing);
    each_chunk(file, announced, |chunk, done| {
        hasher.update(chunk);
        sum.update(chunk);
        progress(done);
    })?;
    Ok(hasher.finish())
}

fn each_chunk(found: &Found, announced: Option<u64>, mut visit: impl FnMut(&[u8], u64)) -> Result<()> {
    let mut file = found.open_up_to(announced)?;
    let due = announced.and_then(|len| usize::try_from(len.saturating_add(1)).ok());
    let mut buffer = AlignedBuffer::new(due.unwrap_or(BUFFER_LEN).min(BUFFER_LEN));
    let mut done = 0;
    loop {
        let len = match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => len,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).during("read", found)?,
        };
        cancel::check()?;
        done += len as u64;
        visit(&buffer[..len], done);
    }
}

fn panicked(path: &Path) -> Error {
    let source = std::io::Error::other("a worker thread failed");
    certadm_files::Error::Io { action: "store", path: path.to_owned(), source }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of four buffers that, once its first one is stored, does `mischief` to the file. What has been delivered by then
    /// is less than the first window, so nothing has been read back.
    fn stored(mischief: impl Fn(&File)) -> Result<Hashes> {
        const { assert!(3 * (BUFFER_LEN as u64) < FIRST_WINDOW) }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        let mut reads = 0;
        store(&path, ReadBack::System, None, Hashing::Both, &mut |buffer: &mut [u8]| {
            reads += 1;
            if reads == 3 {
                let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
                while file.metadata().unwrap().len() < BUFFER_LEN as u64 {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                mischief(&file);
            }
            buffer.fill(reads);
            Ok(if reads <= 4 { buffer.len() } else { 0 })
        })
    }

    #[test]
    fn what_is_read_back_must_be_what_was_delivered() {
        let hashes = stored(|_| ()).unwrap();
        let bytes: Vec<u8> = (1..=4).flat_map(|byte| vec![byte; BUFFER_LEN]).collect();
        assert_eq!(hashes.size, bytes.len() as u64);
        assert_eq!(hashes.blake3, blake3::hash(&bytes).to_hex().as_str());
        assert_eq!(hashes.sha256.unwrap(), hex::encode(&Sha256::digest(&bytes)));
        for offset in [0, BUFFER_LEN as u64 - 1] {
            let error = stored(|file| file.write_all_at(&[0], offset).unwrap()).unwrap_err();
            assert!(matches!(error, Error::Damaged { code: Hresult::DISK_IO, .. }), "{error}");
        }
    }

    /// Short files and long ones, delivered in whole buffers and in pieces, with their length announced, wrongly announced and not.
    #[test]
    fn every_length_is_stored_whole() {
        let dir = tempfile::tempdir().unwrap();
        for len in [0, 1, 4096, BUFFER_LEN - 1, BUFFER_LEN, BUFFER_LEN + 1, 9 * BUFFER_LEN] {
            let bytes: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let of = |len: usize| Some(len as u64);
            for (number, announced) in [None, of(len), of(len / 3), of(len + 7)].into_iter().enumerate() {
                for (piece, read_back) in
                    [(usize::MAX, ReadBack::System), (100_000, ReadBack::Medium), (300_000, ReadBack::Skip)]
                {
                    let path = dir.path().join(format!("{len}-{number}-{piece}"));
                    let mut rest = bytes.as_slice();
                    let hashing = if number % 2 == 0 { Hashing::Both } else { Hashing::Blake3 };
                    let hashes = store(&path, read_back, announced, hashing, &mut |buffer: &mut [u8]| {
                        let taken = rest.len().min(buffer.len()).min(piece);
                        buffer[..taken].copy_from_slice(&rest[..taken]);
                        rest = &rest[taken..];
                        Ok(taken)
                    });
                    assert_eq!(
                        hashes.unwrap(),
                        hash_file(&Found::named(path.as_path()), None, hashing, |_| ()).unwrap()
                    );
                    assert!(std::fs::read(&path).unwrap() == bytes, "{len} bytes");
                    std::fs::remove_file(&path).unwrap();
                }
            }
        }
    }

    #[test]
    fn a_short_file_that_changed_is_not_what_was_delivered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let file = durable::open_new(&path, Access::Owner).unwrap();
        file.write_all_at(b"another", 0).unwrap();
        let mut sum = Checksum::new();
        sum.update(b"content");
        for (read_back, differs) in
            [(ReadBack::System, true), (ReadBack::Medium, true), (ReadBack::Skip, false)]
        {
            let mut again = Checker::new(&file, &path, read_back);
            again.read_to(7).unwrap();
            let compared = compare(&path, again.finish(), sum.clone().finish());
            assert_eq!(compared.is_err(), differs, "{read_back:?}");
        }
    }
}
