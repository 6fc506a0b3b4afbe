//! The archived log of one generation, `edbXXXXX.log`.
//!
//! A header of [`HEADER_LEN`] bytes, then the page numbers (u32 each, ascending), then the pages in the same order:
//! each page that the generation changed, once, as it was at the generation's end. docs/store-format.md has the table.
//!
//! A log has two forms. A roll writes the plain one, because committers wait for it; later the pages are packed into one
//! zstd frame (`pack.rs`). Both forms are the same log: the content's hash is that of the plain pages.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use certadm_files::{AlignedBuffer, Found, IoContext, OffsetIo, durable};
use certadm_rules::Generation;
use certadm_rules::hex::Hex;

use crate::error::{Error, Result};
use crate::fields::{Put, Take};
use crate::frame::{self, Frame, FrameError};
use crate::wal::{Position, WalReader};
use certadm_rules::FileTime;

/// The length of a log's header in bytes.
pub const HEADER_LEN: usize = 512;
const MAGIC: [u8; 8] = *b"CADMLOG\x01";
/// The format version of a log whose pages lie there as they are.
const PLAIN: u32 = 1;
/// The format version of a log whose pages are one zstd frame.
const PACKED: u32 = 2;
/// The versions that this program reads, in words.
pub const VERSIONS: &str = "1 and 2";
/// So many times as long as its file, at most, may a packed log's content be: whoever reads one does no more work than its
/// length allows for.
const MOST_PACKED: u64 = 256;
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
    /// The frame that the pages were packed into; `None` where they lie there as they are.
    pub(crate) packed: Option<Frame>,
}

impl LogHeader {
    /// The file's whole length in bytes: header, page numbers, pages or the frame that holds them.
    pub fn file_len(&self) -> u64 {
        let pages = self.packed.map_or_else(|| self.pages_len(), |frame| frame.len);
        (HEADER_LEN as u64 + self.table_len()).saturating_add(pages)
    }

    /// The file's length in bytes where its pages lie there as they are.
    pub fn plain_len(&self) -> u64 {
        HEADER_LEN as u64 + self.table_len() + self.pages_len()
    }

    /// Whether the pages are packed.
    pub fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    /// Whether both headers are of one log, in the same or another form.
    pub fn is_same_log(&self, other: &Self) -> bool {
        Self { packed: None, ..*self } == Self { packed: None, ..*other }
    }

    fn table_len(&self) -> u64 {
        4 * u64::from(self.page_count)
    }

    fn pages_len(&self) -> u64 {
        u64::from(self.page_count) * u64::from(self.page_size)
    }

    /// Whether a reader takes the log in this form.
    fn is_packed_too_much(&self) -> bool {
        self.packed.is_some() && self.pages_len() / MOST_PACKED > self.file_len()
    }

    fn encode(&self) -> Vec<u8> {
        let (version, frame) = match self.packed {
            None => (PLAIN, Frame { len: 0, hash: [0; 32] }),
            Some(frame) => (PACKED, frame),
        };
        Put::new(MAGIC)
            .u32(version)
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
            .u64(frame.len)
            .raw(&frame.hash)
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
        if ![PLAIN, PACKED].contains(&version) {
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
        let packed = (version == PACKED).then(|| Frame { len: take.u64(), hash: take.raw() });
        let generation = generation.ok_or_else(|| damaged(path, "its generation is zero", false))?;
        if !page_size.is_power_of_two() || !(512..=65536).contains(&page_size) {
            return Err(damaged(path, "its page size is impossible", false));
        }
        let header = Self {
            generation,
            database,
            stream,
            page_size,
            page_count,
            database_pages,
            own,
            previous,
            wal_end,
            packed,
        };
        if header.is_packed_too_much() {
            return Err(damaged(path, "it promises far more pages than a file of its length holds", false));
        }
        Ok(header)
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
        let path = self.path();
        let (mut file, header) = self.handle()?;
        let table_start = HEADER_LEN as u64;
        let mut hasher = blake3::Hasher::new();
        let mut numbers = Vec::new();
        file.seek(SeekFrom::Start(table_start)).during("seek in", path)?;
        (&mut file).take(header.table_len()).read_to_end(&mut numbers).during("read", path)?;
        hasher.update(&numbers);
        let page_size = header.page_size as usize;
        let pages_per_read = (BUFFER_LEN / page_size).max(1);
        let mut buffer = AlignedBuffer::new(pages_per_read * page_size);
        let mut offset = table_start + header.table_len();
        let framed = |error| frame_error(path, error);
        let mut packed = match header.packed {
            Some(frame) => Some(frame::Reader::new(&file, offset, frame).map_err(framed)?),
            None => None,
        };
        let mut previous = 0;
        for chunk in numbers.chunks(4 * pages_per_read) {
            let bytes = &mut buffer[..chunk.len() / 4 * page_size];
            match &mut packed {
                Some(frame) => frame.fill(bytes).map_err(framed)?,
                None => file.read_exact_at(bytes, offset).during("read", path)?,
            }
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
        if let Some(mut frame) = packed {
            frame.finish().map_err(framed)?;
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
        let (mut file, _) = self.handle()?;
        file.seek(SeekFrom::Start(0)).during("seek in", self.path())?;
        Ok(file)
    }

    /// The open file and its header. Where it was closed it is opened again, and may have been packed meanwhile.
    fn handle(&self) -> Result<(File, LogHeader)> {
        let path = self.path();
        match &self.file {
            Some(file) => Ok((file.try_clone().during("open again", path)?, self.header)),
            None => match Self::open(self.found.clone())? {
                Self { header, file: Some(file), .. } if header.is_same_log(&self.header) => {
                    Ok((file, header))
                }
                _ => Err(damaged(path, "it is another log than it was before", false)),
            },
        }
    }

    /// Writes this log, whose pages lie there as they are, to `path` with its pages packed, and flushes it. Every byte of both
    /// is checked. `visit` is asked with every page, and ends it by an error. Returns the new header; where packing saves
    /// nothing or a reader would refuse the result, the old one.
    ///
    /// # Errors
    /// As [`LogFile::pages`].
    pub(crate) fn write_packed(
        &self,
        path: &Path,
        mut visit: impl FnMut() -> Result<()>,
    ) -> Result<LogHeader> {
        let plain = self.header;
        let file = durable::open_emptied(path)?;
        let frame_start = HEADER_LEN as u64 + plain.table_len();
        let mut frame =
            frame::Writer::new(&file, frame_start, plain.pages_len()).during("pack into", path)?;
        let mut numbers = Vec::new();
        self.pages(|number, page| {
            visit()?;
            numbers.extend_from_slice(&number.to_le_bytes());
            Ok(frame.write(page).during("write", path)?)
        })?;
        let packed = Some(frame.finish().during("write", path)?);
        let header = LogHeader { packed, ..plain };
        if header.file_len() >= plain.file_len() || header.is_packed_too_much() {
            return Ok(plain);
        }
        file.write_all_at(&numbers, HEADER_LEN as u64).during("write", path)?;
        file.write_all_at(&header.encode(), 0).during("write", path)?;
        durable::flush(&file, path)?;
        let written = Self::open(path)?;
        if written.header != header {
            return Err(damaged(path, "it differs from what was written", false));
        }
        written.pages(|_, _| visit())?;
        Ok(header)
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
        packed: None,
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

fn frame_error(path: &Path, error: FrameError) -> Error {
    match error {
        FrameError::Damaged(detail) => damaged(path, detail, false),
        FrameError::File(source) => {
            certadm_files::Error::Io { action: "read", path: path.to_owned(), source }.into()
        }
    }
}

fn damaged(path: &Path, detail: &str, torn: bool) -> Error {
    Error::LogDamaged { path: path.to_owned(), detail: detail.to_owned(), torn }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 512;

    fn page(number: u32) -> Vec<u8> {
        (0..PAGE)
            .map(|place| if place % 8 == 0 { number.to_le_bytes()[place / 8 % 4] } else { b'x' })
            .collect()
    }

    fn header(page_count: u32, content: &[u8], packed: Option<Frame>) -> LogHeader {
        LogHeader {
            generation: Generation::new(7).unwrap(),
            database: Signature([1; 16]),
            stream: Signature([2; 16]),
            page_size: 512,
            page_count,
            database_pages: 3 * page_count,
            own: Link { created: FileTime(5), content: *blake3::hash(content).as_bytes() },
            previous: Link::NONE,
            wal_end: Position::default(),
            packed,
        }
    }

    /// A plain log of so many pages.
    fn plain(dir: &Path, page_count: u32) -> LogFile {
        let numbers = (1..=page_count).flat_map(|number| (3 * number).to_le_bytes());
        let pages = (1..=page_count).flat_map(page);
        let content: Vec<u8> = numbers.chain(pages).collect();
        let path = dir.join("edb00007.log");
        std::fs::write(&path, [header(page_count, &content, None).encode(), content].concat()).unwrap();
        LogFile::open(path).unwrap()
    }

    fn pages_of(log: &LogFile) -> Result<Vec<(u32, Vec<u8>)>> {
        let mut pages = Vec::new();
        log.pages(|number, page| {
            pages.push((number, page.to_vec()));
            Ok(())
        })?;
        Ok(pages)
    }

    #[test]
    fn a_packed_log_holds_the_same_pages_and_is_the_same_log() {
        let dir = tempfile::tempdir().unwrap();
        let plain = plain(dir.path(), 2000);
        let path = dir.path().join("edb00007.log.new");
        let header = plain.write_packed(&path, || Ok(())).unwrap();
        let packed = LogFile::open(&path).unwrap();
        assert!(header.is_packed() && packed.header() == &header);
        assert!(header.is_same_log(plain.header()) && header != *plain.header());
        assert!(header.file_len() < plain.header().file_len() / 4, "{}", header.file_len());
        assert_eq!(header.file_len(), std::fs::metadata(&path).unwrap().len());
        assert_eq!(pages_of(&packed).unwrap(), pages_of(&plain).unwrap());

        // Whoever has looked at the plain log and closed it reads the packed one instead.
        let closed = plain.closed();
        std::fs::rename(&path, closed.path()).unwrap();
        assert_eq!(pages_of(&closed).unwrap().len(), 2000);
        // It is not packed a second time; that is the packer's to know.
        assert!(packed.header().is_packed());
    }

    #[test]
    fn packing_that_saves_nothing_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("edb00007.log");
        let mut page = vec![0; PAGE];
        getrandom::fill(&mut page).unwrap();
        let content = [&3_u32.to_le_bytes()[..], &page].concat();
        std::fs::write(&path, [header(1, &content, None).encode(), content].concat()).unwrap();
        let log = LogFile::open(&path).unwrap();
        assert_eq!(log.write_packed(&dir.path().join("new"), || Ok(())).unwrap(), *log.header());
        // Nor is one that a reader would refuse for its ratio.
        let numbers: Vec<u8> = (1..=40_000_u32).flat_map(u32::to_le_bytes).collect();
        let frame = Some(Frame { len: 30, hash: [0; 32] });
        let many = LogHeader { page_size: 65536, ..header(40_000, &numbers, frame) };
        let refused = LogHeader::decode(&many.encode(), &path);
        assert!(matches!(refused, Err(Error::LogDamaged { .. })), "{refused:?}");
    }

    #[test]
    fn every_bit_of_a_packed_log_is_protected() {
        let dir = certadm_files::scratch::for_test();
        let plain = plain(dir.path(), 20);
        let path = dir.path().join("packed");
        plain.write_packed(&path, || Ok(())).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        let check = || LogFile::open(&path).and_then(|log| log.check());
        check().unwrap();
        for bit in 0..8 * whole.len() {
            let place = (bit / 8) as u64;
            file.write_all_at(&[whole[bit / 8] ^ 1 << (bit % 8)], place).unwrap();
            assert!(matches!(check(), Err(Error::LogDamaged { .. })), "bit {bit}");
            file.write_all_at(&[whole[bit / 8]], place).unwrap();
        }
        check().unwrap();
        std::fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
        assert!(check().is_err(), "a byte too many");
        for len in (0..whole.len()).rev() {
            file.set_len(len as u64).unwrap();
            assert!(check().is_err(), "cut to {len} bytes");
        }
    }

    /// Frames that a stranger makes, whose headers fit: none is taken for something else, and none gets more memory than
    /// its length and the window.
    #[test]
    fn frames_of_strangers_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stranger");
        let pages: Vec<u8> = (1..=100).flat_map(page).collect();
        let numbers: Vec<u8> = (1..=100_u32).flat_map(|number| (3 * number).to_le_bytes()).collect();
        let content = [&numbers[..], &pages].concat();
        let told = |frame: &[u8]| {
            let described = Frame { len: frame.len() as u64, hash: *blake3::hash(frame).as_bytes() };
            let header = header(100, &content, Some(described)).encode();
            std::fs::write(&path, [&header, &numbers[..], frame].concat()).unwrap();
            match LogFile::open(&path).and_then(|log| log.check()) {
                Ok(()) => "sound".to_owned(),
                Err(Error::LogDamaged { detail, .. }) => detail,
                Err(error) => panic!("{error}"),
            }
        };
        let framed = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
        let windowed = |log: u32| {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(log).unwrap();
            encoder.write_all(&pages).unwrap();
            encoder.finish().unwrap()
        };
        assert_eq!(told(&framed(&pages)), "sound");
        assert_eq!(told(&framed(&pages[..99 * PAGE])), "its frame holds too few pages");
        assert_eq!(told(&framed(&[&pages[..], b"x"].concat())), "its frame holds too many pages");
        assert_eq!(told(&[framed(&pages), framed(b"")].concat()), "something stands behind its frame");
        let whole = framed(&pages);
        assert_eq!(told(&whole[..whole.len() - 1]), "its frame ends too soon");
        assert_eq!(told(&windowed(23)), "sound");
        assert_eq!(told(&windowed(24)), "its frame cannot be unpacked", "it asks for 16 MiB");
        // The magic number of zstd 0.7, which the library would read.
        assert_eq!(told(&[&[0x27, 0xb5, 0x2f, 0xfd], &whole[4..]].concat()), "its pages are no frame");
        assert_eq!(told(b""), "its pages are no frame");
    }
}
