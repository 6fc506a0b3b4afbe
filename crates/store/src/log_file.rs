//! The archived log of one generation, `edbXXXXX.log`.
//!
//! A header of [`HEADER_LEN`] bytes, then the page numbers (u32 each, ascending), then the pages in the same order:
//! each page that the generation changed, once, as it was at the generation's end. docs/store-format.md has the table.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use certadm_files::{AlignedBuffer, Found, IoContext, OffsetIo, durable};
use certadm_rules::Generation;
use certadm_rules::hex::Hex;

use crate::error::{Error, Result};
use crate::fields::{Put, Take};
use crate::wal::{Position, WalReader};
use certadm_rules::FileTime;

/// The length of a log's header in bytes.
pub const HEADER_LEN: usize = 512;
const MAGIC: [u8; 8] = *b"CADMLOG\x01";
const VERSION: u32 = 1;
const BUFFER_LEN: usize = 256 * 1024;

/// Sixteen random bytes that name a database or one stream of its logs.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature(pub [u8; 16]);

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::fmt::Display for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl Signature {
    /// A new signature from the system's random source.
    ///
    /// # Errors
    /// [`Error::File`] when the system gives no random bytes.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)
            .map_err(|error| std::io::Error::other(error.to_string()))
            .during("read random bytes from", Path::new("the system"))?;
        Ok(Self(bytes))
    }

    /// The signature written in 16 bytes, `None` for another length.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }
}

/// What ties a log to the one before it: that one's creation time and the hash of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// When the log was created.
    pub created: FileTime,
    /// BLAKE3 of its page table and pages.
    pub content: [u8; 32],
}

impl Link {
    /// The link of the first log of a stream: there is none before it.
    pub const NONE: Self = Self { created: FileTime(0), content: [0; 32] };
}

/// A log's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHeader {
    /// The generation it archives.
    pub generation: Generation,
    /// The database it belongs to.
    pub database: Signature,
    /// The stream of logs it belongs to; a restore or a break begins a new one.
    pub stream: Signature,
    /// Page size of the database in bytes.
    pub page_size: u32,
    /// How many pages it holds.
    pub page_count: u32,
    /// The database's size in pages at the generation's end.
    pub database_pages: u32,
    /// Its own creation time and content hash: what the next log's `previous` must equal.
    pub own: Link,
    /// The log before it, [`Link::NONE`] for the first of a stream.
    pub previous: Link,
    /// Where in SQLite's WAL the generation ended.
    pub(crate) wal_end: Position,
}

impl LogHeader {
    /// The file's whole length in bytes: header, page numbers, pages.
    pub fn file_len(&self) -> u64 {
        HEADER_LEN as u64 + u64::from(self.page_count) * (4 + u64::from(self.page_size))
    }

    fn encode(&self) -> Vec<u8> {
        Put::new(MAGIC)
            .u32(VERSION)
            .u32(self.generation.number())
            .raw(&self.database.0)
            .raw(&self.stream.0)
            .u32(self.page_size)
            .u32(self.page_count)
            .u32(self.database_pages)
            .u32(0)
            .i64(self.own.created.0)
            .raw(&self.own.content)
            .i64(self.previous.created.0)
            .raw(&self.previous.content)
            .salts(self.wal_end.salts)
            .u32(self.wal_end.frames)
            .checksum(self.wal_end.checksum)
            .checksummed(HEADER_LEN)
    }

    /// Reads a header from a file's first [`HEADER_LEN`] bytes; `path` only names it in errors.
    ///
    /// # Errors
    /// [`Error::LogDamaged`] when it is short or its checksum does not fit, [`Error::LogVersion`] for another version.
    pub fn decode(bytes: &[u8], path: &Path) -> Result<Self> {
        if bytes.len() < HEADER_LEN {
            return Err(damaged(path, "it is shorter than its header", true));
        }
        let Some(mut take) = Take::checksummed(&bytes[..HEADER_LEN], MAGIC) else {
            return Err(damaged(path, "its header does not check", false));
        };
        let version = take.u32();
        if version != VERSION {
            return Err(Error::LogVersion { path: path.to_owned(), version });
        }
        let generation = Generation::new(take.u32());
        let database = Signature(take.raw());
        let stream = Signature(take.raw());
        let page_size = take.u32();
        let page_count = take.u32();
        let database_pages = take.u32();
        let _reserved = take.u32();
        let own = Link { created: FileTime(take.i64()), content: take.raw() };
        let previous = Link { created: FileTime(take.i64()), content: take.raw() };
        let wal_end = Position { salts: take.salts(), frames: take.u32(), checksum: take.checksum() };
        let generation = generation.ok_or_else(|| damaged(path, "its generation is zero", false))?;
        if !page_size.is_power_of_two() || !(512..=65536).contains(&page_size) {
            return Err(damaged(path, "its page size is impossible", false));
        }
        Ok(Self {
            generation,
            database,
            stream,
            page_size,
            page_count,
            database_pages,
            own,
            previous,
            wal_end,
        })
    }
}

/// A log opened for reading, its header checked and its length and name compared with it.
#[derive(Debug)]
pub struct LogFile {
    header: LogHeader,
    found: Found,
    /// None after [`LogFile::closed`].
    file: Option<File>,
}

impl LogFile {
    /// Opens a log and checks header, length and name; the content is checked by [`LogFile::pages`].
    ///
    /// # Errors
    /// [`Error::LogDamaged`], [`Error::LogVersion`], [`Error::LogMisnamed`] (0xC8000201) when the name stands for
    /// another generation than the header, [`Error::File`].
    pub fn open(log: impl Into<Found>) -> Result<Self> {
        let log = log.into();
        let path = log.path();
        let mut file = log.open()?;
        let len = file.metadata().during("look at", path)?.len();
        let mut bytes = Vec::with_capacity(HEADER_LEN);
        (&mut file).take(HEADER_LEN as u64).read_to_end(&mut bytes).during("read", path)?;
        let header = LogHeader::decode(&bytes, path)?;
        let named = path.file_name().and_then(|name| name.to_str()).and_then(Generation::from_log_file_name);
        if named.is_some_and(|named| named != header.generation) {
            return Err(Error::LogMisnamed { path: path.to_owned(), found: header.generation });
        }
        if len != header.file_len() {
            let detail = format!("it has {len} bytes where its header promises {}", header.file_len());
            return Err(damaged(path, &detail, len < header.file_len()));
        }
        Ok(Self { header, file: Some(file), found: log })
    }

    /// Closes the file until its content is asked for: a set may have more logs than a process may have files open. Whether
    /// it is still the same log is then asked again.
    #[must_use]
    pub fn closed(self) -> Self {
        Self { file: None, ..self }
    }

    /// The checked header.
    pub fn header(&self) -> &LogHeader {
        &self.header
    }

    /// Where the log lies.
    pub fn path(&self) -> &Path {
        self.found.path()
    }

    /// Reads every page in ascending order of page number and hands it to `visit`; afterwards the content's hash is
    /// compared. A caller that writes must therefore have checked the log once before.
    ///
    /// # Errors
    /// [`Error::LogDamaged`] when the content differs from its hash or the page numbers are not ascending from 1 to
    /// the database's size, [`Error::File`], and whatever `visit` returns.
    pub fn pages(&self, mut visit: impl FnMut(u32, &[u8]) -> Result<()>) -> Result<()> {
        let (header, path) = (&self.header, self.path());
        let mut file = self.handle()?;
        let table_len = 4 * u64::from(header.page_count);
        let mut hasher = blake3::Hasher::new();
        let mut numbers = Vec::new();
        let table_start = HEADER_LEN as u64;
        file.seek(SeekFrom::Start(table_start)).during("seek in", path)?;
        (&mut file).take(table_len).read_to_end(&mut numbers).during("read", path)?;
        hasher.update(&numbers);
        let page_size = header.page_size as usize;
        let pages_per_read = (BUFFER_LEN / page_size).max(1);
        let mut buffer = AlignedBuffer::new(pages_per_read * page_size);
        let mut offset = HEADER_LEN as u64 + table_len;
        let mut previous = 0;
        for chunk in numbers.chunks(4 * pages_per_read) {
            let bytes = &mut buffer[..chunk.len() / 4 * page_size];
            file.read_exact_at(bytes, offset).during("read", path)?;
            offset += bytes.len() as u64;
            hasher.update(bytes);
            for (number, page) in chunk.chunks_exact(4).zip(bytes.chunks_exact(page_size)) {
                let number = u32::from_le_bytes([number[0], number[1], number[2], number[3]]);
                if number <= previous || number > header.database_pages {
                    return Err(damaged(path, "its page numbers are out of order", false));
                }
                previous = number;
                visit(number, page)?;
            }
        }
        if *hasher.finalize().as_bytes() == header.own.content {
            Ok(())
        } else {
            Err(damaged(path, "its content does not fit its hash", false))
        }
    }

    /// Checks every byte.
    ///
    /// # Errors
    /// As [`LogFile::pages`].
    pub fn check(&self) -> Result<()> {
        self.pages(|_, _| Ok(()))
    }

    /// The open file at its first byte, so that what was checked is what is read, whatever gets the name in between.
    pub(crate) fn into_file(self) -> Result<File> {
        let mut file = self.handle()?;
        file.seek(SeekFrom::Start(0)).during("seek in", self.path())?;
        Ok(file)
    }

    /// The open file, opened again where it was closed.
    fn handle(&self) -> Result<File> {
        let path = self.path();
        match &self.file {
            Some(file) => Ok(file.try_clone().during("open again", path)?),
            None => match Self::open(self.found.clone())? {
                Self { header, file: Some(file), .. } if header == self.header => Ok(file),
                _ => Err(damaged(path, "it is another log than it was before", false)),
            },
        }
    }
}

/// What a new log is to say of itself; the rest comes from the WAL.
pub(crate) struct NewLog {
    pub(crate) generation: Generation,
    pub(crate) database: Signature,
    pub(crate) stream: Signature,
    pub(crate) previous: Link,
}

/// Archives the frames of the WAL after `from` up to `last` as the log at `path`: written aside, flushed, renamed,
/// folder flushed. An existing file of that name is replaced: it can only be a crashed roll's own.
///
/// # Errors
/// [`Error::LogDamaged`] when the WAL does not check, [`Error::File`]; then nothing stands at `path` that did not before.
pub(crate) fn archive(
    wal: &mut WalReader,
    from: Position,
    last: u32,
    new: &NewLog,
    path: &Path,
) -> Result<LogHeader> {
    // The last frame of each page is the page as the generation left it.
    let mut latest = BTreeMap::new();
    let mut database_pages = 0;
    let wal_end = wal.scan(from, last, |index, frame, _| {
        latest.insert(frame.page, index);
        if frame.commit_pages != 0 {
            database_pages = frame.commit_pages;
        }
        Ok(())
    })?;
    // A page beyond the end was cut off again within the generation.
    latest.retain(|&page, _| page <= database_pages);
    let too_large = |_| damaged(path, "it would hold more pages than the format can count", false);
    let page_count = u32::try_from(latest.len()).map_err(too_large)?;
    let page_size_field = u32::try_from(wal.page_size()).map_err(too_large)?;

    let temporary = durable::temporary_beside(path);
    let written = write_archive(&temporary, &latest, wal, |content| LogHeader {
        generation: new.generation,
        database: new.database,
        stream: new.stream,
        page_size: page_size_field,
        page_count,
        database_pages,
        own: Link { created: crate::time::now(), content },
        previous: new.previous,
        wal_end,
    });
    if written.is_err() {
        std::fs::remove_file(&temporary).ok(); // best effort: the write's own error is the one to report
    }
    let header = written?;
    durable::rename(&temporary, path)?;
    durable::sync_parent(path)?;
    Ok(header)
}

/// Writes page table and pages, then the header that `describe` makes of their hash, and flushes the file.
fn write_archive(
    path: &Path,
    latest: &BTreeMap<u32, u32>,
    wal: &mut WalReader,
    describe: impl FnOnce([u8; 32]) -> LogHeader,
) -> Result<LogHeader> {
    let file = durable::open_emptied(path)?;
    let mut out = std::io::BufWriter::with_capacity(BUFFER_LEN, &file);
    let mut hasher = blake3::Hasher::new();
    out.write_all(&[0; HEADER_LEN]).during("write", path)?;
    for page in latest.keys() {
        hasher.update(&page.to_le_bytes());
        out.write_all(&page.to_le_bytes()).during("write", path)?;
    }
    let mut page = vec![0; wal.page_size()];
    for &index in latest.values() {
        wal.read_page(index, &mut page)?;
        hasher.update(&page);
        out.write_all(&page).during("write", path)?;
    }
    out.flush().during("write", path)?;
    drop(out);
    let header = describe(*hasher.finalize().as_bytes());
    file.write_all_at(&header.encode(), 0).during("write", path)?;
    durable::flush(&file, path)?;
    Ok(header)
}

fn damaged(path: &Path, detail: &str, torn: bool) -> Error {
    Error::LogDamaged { path: path.to_owned(), detail: detail.to_owned(), torn }
}
