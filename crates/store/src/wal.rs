//! SQLite's write-ahead log as bytes: read the committed frames of a live one, write one for a scratch copy.
//!
//! The layout is SQLite's own file format document, section 4: a 32-byte header, then frames of a 24-byte header
//! and one page each; salts and a cumulative checksum tie a frame to all before it. Numbers are big-endian.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use certadm_files::{IoContext, OffsetIo};

const HEADER_LEN: usize = 32;
const FRAME_HEADER_LEN: usize = 24;
/// Checksums over little-endian words; SQLite on this kind of machine writes this one. The other ends in 3.
const MAGIC_LITTLE: u32 = 0x377f_0682;
const FORMAT: u32 = 3_007_000;

/// The two salts that every frame of one life of a WAL repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Salts(pub(crate) u32, pub(crate) u32);

/// SQLite's cumulative checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checksum(pub(crate) u32, pub(crate) u32);

impl Checksum {
    fn update(self, bytes: &[u8], big_endian: bool) -> Self {
        let Self(mut s0, mut s1) = self;
        for pair in bytes.chunks_exact(8) {
            let (a, b) = if big_endian {
                (be32(&pair[0..4]), be32(&pair[4..8]))
            } else {
                (le32(&pair[0..4]), le32(&pair[4..8]))
            };
            s0 = s0.wrapping_add(a).wrapping_add(s1);
            s1 = s1.wrapping_add(b).wrapping_add(s0);
        }
        Self(s0, s1)
    }
}

/// A place in a WAL: so many frames of that life have been read, with that checksum so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) salts: Salts,
    pub(crate) frames: u32,
    pub(crate) checksum: Checksum,
}

/// How many bytes a number of frames takes, with pages of `page_size` bytes.
pub(crate) fn frames_len(page_size: u64, frames: u32) -> u64 {
    u64::from(frames) * (FRAME_HEADER_LEN as u64 + page_size)
}

/// One frame's header: which page it holds, and the database's size in pages when it ends a transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) page: u32,
    pub(crate) commit_pages: u32,
}

/// A live WAL, opened for reading. SQLite holds no locks on this file, so opening and closing it is harmless.
pub(crate) struct WalReader {
    file: File,
    path: PathBuf,
    page_size: usize,
    big_endian: bool,
    start: Position,
}

impl WalReader {
    /// Opens the WAL beside a database; `None` when it is absent or holds no header yet.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Ok(Err(error).during("open", path)?),
        };
        let mut header = [0; HEADER_LEN];
        match file.read_exact(&mut header) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Ok(Err(error).during("read", path)?),
        }
        let magic = be32(&header[0..4]);
        let big_endian = magic == MAGIC_LITTLE + 1;
        let checksum = Checksum::default().update(&header[..24], big_endian);
        let stored = Checksum(be32(&header[24..28]), be32(&header[28..32]));
        let page_size = be32(&header[8..12]) as usize;
        let sound = (magic == MAGIC_LITTLE || big_endian)
            && be32(&header[4..8]) == FORMAT
            && checksum == stored
            && page_size.is_power_of_two()
            && (512..=65536).contains(&page_size);
        if !sound {
            return Ok(None);
        }
        let salts = Salts(be32(&header[16..20]), be32(&header[20..24]));
        let start = Position { salts, frames: 0, checksum };
        Ok(Some(Self { file, path: path.to_owned(), page_size, big_endian, start }))
    }

    /// The salts of the WAL's present life.
    pub(crate) fn salts(&self) -> Salts {
        self.start.salts
    }

    /// The database's page size in bytes.
    pub(crate) fn page_size(&self) -> usize {
        self.page_size
    }

    /// Where to read on from: `archived` if it is a place in this life of the WAL, whose `last` frame is the last one
    /// committed, else the beginning.
    ///
    /// Salts alone do not tell: when a crash tears the header of a WAL that begins anew, SQLite recovers the old salts
    /// from it and goes on with them. The frame that was archived last must still be there, too.
    ///
    /// # Errors
    /// [`Error::File`].
    pub(crate) fn resume(&self, archived: Position, last: Option<u32>) -> Result<Position> {
        let here = archived.salts == self.start.salts
            && archived.frames > 0
            && last.is_none_or(|last| archived.frames <= last)
            && self.frame_ends_in(archived)?;
        Ok(if here { archived } else { self.start })
    }

    /// Whether the frame at a place is of this life and carries the place's checksum.
    fn frame_ends_in(&self, place: Position) -> Result<bool> {
        let frame_len = (FRAME_HEADER_LEN + self.page_size) as u64;
        let offset = HEADER_LEN as u64 + u64::from(place.frames - 1) * frame_len;
        let mut header = [0; FRAME_HEADER_LEN];
        match self.file.read_exact_at(&mut header, offset) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Ok(Err(error).during("read", &self.path)?),
        }
        let salts = Salts(be32(&header[8..12]), be32(&header[12..16]));
        let checksum = Checksum(be32(&header[16..20]), be32(&header[20..24]));
        Ok(salts == place.salts && checksum == place.checksum)
    }

    /// Reads frames after `from` up to frame `last` (1-based, inclusive), checks each, and hands it to `visit` with
    /// its index. Returns the position after `last`.
    ///
    /// # Errors
    /// [`Error::LogDamaged`] when a frame that SQLite counts as committed does not check.
    pub(crate) fn scan(
        &mut self,
        from: Position,
        last: u32,
        mut visit: impl FnMut(u32, Frame, &[u8]) -> Result<()>,
    ) -> Result<Position> {
        let frame_len = FRAME_HEADER_LEN + self.page_size;
        let offset = HEADER_LEN as u64 + u64::from(from.frames) * frame_len as u64;
        self.file.seek(SeekFrom::Start(offset)).during("seek in", &self.path)?;
        let mut reader = io::BufReader::with_capacity(256 * 1024, &self.file);
        let mut buffer = vec![0; frame_len];
        let mut position = from;
        for index in from.frames + 1..=last {
            reader.read_exact(&mut buffer).during("read", &self.path)?;
            let (header, page) = buffer.split_at(FRAME_HEADER_LEN);
            let checksum =
                position.checksum.update(&header[..8], self.big_endian).update(page, self.big_endian);
            let salts = Salts(be32(&header[8..12]), be32(&header[12..16]));
            let stored = Checksum(be32(&header[16..20]), be32(&header[20..24]));
            if salts != self.start.salts || checksum != stored {
                return Err(Error::LogDamaged {
                    path: self.path.clone(),
                    detail: format!("frame {index} of the write-ahead log does not check"),
                    torn: false,
                });
            }
            position.checksum = checksum;
            position.frames = index;
            visit(index, Frame { page: be32(&header[0..4]), commit_pages: be32(&header[4..8]) }, page)?;
        }
        Ok(position)
    }

    /// Reads the page of one frame again (1-based index).
    pub(crate) fn read_page(&mut self, index: u32, page: &mut [u8]) -> Result<()> {
        let frame_len = (FRAME_HEADER_LEN + self.page_size) as u64;
        let offset = HEADER_LEN as u64 + u64::from(index - 1) * frame_len + FRAME_HEADER_LEN as u64;
        Ok(self.file.read_exact_at(page, offset).during("read", &self.path)?)
    }
}

/// Writes a WAL that SQLite will take for one of its own.
pub(crate) struct WalWriter<W: Write> {
    out: W,
    salts: Salts,
    checksum: Checksum,
}

impl<W: Write> WalWriter<W> {
    /// Writes the header for pages of `page_size` bytes.
    pub(crate) fn new(mut out: W, page_size: u32, salts: Salts) -> io::Result<Self> {
        let mut header = [0; HEADER_LEN];
        header[0..4].copy_from_slice(&MAGIC_LITTLE.to_be_bytes());
        header[4..8].copy_from_slice(&FORMAT.to_be_bytes());
        header[8..12].copy_from_slice(&page_size.to_be_bytes());
        header[16..20].copy_from_slice(&salts.0.to_be_bytes());
        header[20..24].copy_from_slice(&salts.1.to_be_bytes());
        let checksum = Checksum::default().update(&header[..24], false);
        header[24..28].copy_from_slice(&checksum.0.to_be_bytes());
        header[28..32].copy_from_slice(&checksum.1.to_be_bytes());
        out.write_all(&header)?;
        Ok(Self { out, salts, checksum })
    }

    /// Appends one frame; `commit_pages` is the database's size in pages after a transaction's last frame, else 0.
    pub(crate) fn frame(&mut self, page_number: u32, commit_pages: u32, page: &[u8]) -> io::Result<()> {
        let mut header = [0; FRAME_HEADER_LEN];
        header[0..4].copy_from_slice(&page_number.to_be_bytes());
        header[4..8].copy_from_slice(&commit_pages.to_be_bytes());
        self.checksum = self.checksum.update(&header[..8], false).update(page, false);
        header[8..12].copy_from_slice(&self.salts.0.to_be_bytes());
        header[12..16].copy_from_slice(&self.salts.1.to_be_bytes());
        header[16..20].copy_from_slice(&self.checksum.0.to_be_bytes());
        header[20..24].copy_from_slice(&self.checksum.1.to_be_bytes());
        self.out.write_all(&header)?;
        self.out.write_all(page)
    }

    /// Flushes what is buffered and gives the output back.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn le32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
