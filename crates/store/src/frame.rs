//! One zstd frame within a file: written once, and read in bounded memory whatever its bytes are.

use std::fs::File;
use std::io;

use certadm_files::OffsetIo;
use zstd::stream::raw::{CParameter, DParameter, Decoder, Encoder, InBuffer, Operation, OutBuffer};

/// How the pages are packed. Higher levels take several times as long and save a tenth (BENCHMARKS.md).
const LEVEL: i32 = 1;
/// A reader keeps as much of what it unpacked as a frame may refer to: 8 MiB at most. A frame that asks for more is refused.
const WINDOW_LOG: u32 = 23;
/// What a frame begins with. The library also reads the formats before it, whose memory nobody bounds.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// How much of the frame is in memory at a time.
const PIECE: usize = 128 * 1024;

/// What a header says of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its length in bytes.
    pub(crate) len: u64,
    /// BLAKE3 of its bytes. The content has a hash of its own, but several frames have one content.
    pub(crate) hash: [u8; 32],
}

/// Why a frame was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// The file could not be read.
    #[error("the frame cannot be read")]
    File(#[source] io::Error),
    /// The bytes are not what they have to be.
    #[error("{0}")]
    Damaged(&'static str),
}

/// Reads a frame from its place in a file.
pub(crate) struct Reader<'f> {
    file: &'f File,
    /// Where the next piece lies, and how many bytes of the frame are from there on.
    offset: u64,
    left: u64,
    decoder: Decoder<'static>,
    piece: Vec<u8>,
    used: usize,
    hasher: blake3::Hasher,
    expected: [u8; 32],
    /// Whether the decoder has come to the frame's end.
    ended: bool,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("offset", &self.offset)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl<'f> Reader<'f> {
    /// Begins to read the frame at `offset`.
    ///
    /// # Errors
    /// [`FrameError::Damaged`] when there is no frame there, [`FrameError::File`].
    pub(crate) fn new(file: &'f File, offset: u64, frame: Frame) -> Result<Self, FrameError> {
        let mut decoder = Decoder::new().map_err(FrameError::File)?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).map_err(FrameError::File)?;
        let mut reader = Self {
            file,
            offset,
            left: frame.len,
            decoder,
            piece: Vec::new(),
            used: 0,
            hasher: blake3::Hasher::new(),
            expected: frame.hash,
            ended: false,
        };
        reader.next_piece()?;
        if reader.piece.starts_with(&MAGIC) {
            Ok(reader)
        } else {
            Err(FrameError::Damaged("its pages are no frame"))
        }
    }

    /// Fills `bytes` with what comes next.
    ///
    /// # Errors
    /// [`FrameError::Damaged`] when the frame ends before or is none, [`FrameError::File`].
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) -> Result<(), FrameError> {
        let mut filled = 0;
        while filled < bytes.len() {
            if self.ended {
                return Err(FrameError::Damaged("its frame holds too few pages"));
            }
            filled += self.step(&mut bytes[filled..])?;
        }
        Ok(())
    }

    /// Checks that nothing is left, and every byte of the frame.
    ///
    /// # Errors
    /// As [`Reader::fill`].
    pub(crate) fn finish(&mut self) -> Result<(), FrameError> {
        while !self.ended {
            if self.step(&mut [0])? > 0 {
                return Err(FrameError::Damaged("its frame holds too many pages"));
            }
        }
        if self.left > 0 || self.used < self.piece.len() {
            return Err(FrameError::Damaged("something stands behind its frame"));
        }
        if *self.hasher.finalize().as_bytes() == self.expected {
            Ok(())
        } else {
            Err(FrameError::Damaged("its frame does not fit its hash"))
        }
    }

    /// Unpacks some bytes; answers how many.
    fn step(&mut self, bytes: &mut [u8]) -> Result<usize, FrameError> {
        if self.used == self.piece.len() {
            self.next_piece()?;
        }
        let at_end = self.piece.is_empty();
        let mut input = InBuffer::around(&self.piece[self.used..]);
        let mut output = OutBuffer::around(bytes);
        let hint = self.decoder.run(&mut input, &mut output);
        let hint = hint.map_err(|_| FrameError::Damaged("its frame cannot be unpacked"))?;
        self.used += input.pos();
        self.ended = hint == 0;
        if at_end && output.pos() == 0 && !self.ended {
            return Err(FrameError::Damaged("its frame ends too soon"));
        }
        Ok(output.pos())
    }

    /// Reads the next piece of the frame; an empty one at its end.
    fn next_piece(&mut self) -> Result<(), FrameError> {
        let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(PIECE);
        self.piece.resize(len, 0);
        self.file.read_exact_at(&mut self.piece, self.offset).map_err(FrameError::File)?;
        self.hasher.update(&self.piece);
        self.offset += len as u64;
        self.left -= len as u64;
        self.used = 0;
        Ok(())
    }
}

/// Writes a frame to a place in a file.
pub(crate) struct Writer<'f> {
    file: &'f File,
    offset: u64,
    len: u64,
    encoder: Encoder<'static>,
    piece: Vec<u8>,
    hasher: blake3::Hasher,
}

impl<'f> Writer<'f> {
    /// Begins a frame for `content` bytes at `offset`.
    pub(crate) fn new(file: &'f File, offset: u64, content: u64) -> io::Result<Self> {
        let mut encoder = Encoder::new(LEVEL)?;
        encoder.set_parameter(CParameter::ContentSizeFlag(true))?;
        encoder.set_pledged_src_size(Some(content))?;
        Ok(Self { file, offset, len: 0, encoder, piece: vec![0; PIECE], hasher: blake3::Hasher::new() })
    }

    /// Packs what comes next.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            let mut input = InBuffer::around(&bytes[done..]);
            let mut output = OutBuffer::around(&mut self.piece[..]);
            self.encoder.run(&mut input, &mut output)?;
            done += input.pos();
            let len = output.pos();
            self.put(len)?;
        }
        Ok(())
    }

    /// Ends the frame; answers what a header is to say of it.
    pub(crate) fn finish(mut self) -> io::Result<Frame> {
        loop {
            let mut output = OutBuffer::around(&mut self.piece[..]);
            let left = self.encoder.finish(&mut output, true)?;
            let len = output.pos();
            self.put(len)?;
            if left == 0 {
                return Ok(Frame { len: self.len, hash: *self.hasher.finalize().as_bytes() });
            }
        }
    }

    fn put(&mut self, len: usize) -> io::Result<()> {
        let bytes = &self.piece[..len];
        self.hasher.update(bytes);
        self.file.write_all_at(bytes, self.offset + self.len)?;
        self.len += len as u64;
        Ok(())
    }
}
