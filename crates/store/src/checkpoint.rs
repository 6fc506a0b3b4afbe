//! The checkpoint file, `edb.chk`: which generation is current, which the database file needs, and which WAL is expected.
//!
//! One checksummed block of [`LEN`] bytes, written in place under the commit lock and flushed. A torn one does not check;
//! the owner then tells from the database and the logs (docs/store-format.md, "Foreign checkpoint").

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use certadm_files::{Found, IoContext, OffsetIo, durable};
use certadm_rules::Generation;

use crate::error::Result;
use crate::fields::{Put, Take};
use crate::log_file::Signature;
use crate::wal::Position;

/// The file's length in bytes.
const LEN: usize = 256;
const MAGIC: [u8; 8] = *b"CADMCHK\x01";

/// Whether a roll is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No roll: the WAL goes on from `archived`.
    Steady,
    /// The current generation is being archived. Whoever commits next must first settle what became of it.
    Rolling,
}

/// What the checkpoint file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) database: Signature,
    pub(crate) stream: Signature,
    /// The generation that is being written.
    pub(crate) current: Generation,
    /// The oldest generation whose pages may not be in the database file yet.
    pub(crate) checkpoint: Generation,
    pub(crate) phase: Phase,
    /// Up to where the WAL has been archived; its salts name the WAL that is expected.
    pub(crate) archived: Position,
}

/// The checkpoint generation that the checkpoint file of a CA states, for a report; `None` when the file is absent,
/// short or just being written. Nothing is locked or changed.
///
/// # Errors
/// [`crate::Error::File`].
pub fn stated_checkpoint(path: &Path) -> Result<Option<Generation>> {
    match Found::named(path).read(LEN as u64) {
        Ok(block) => Ok(block.get(..LEN).and_then(decode).map(|checkpoint| checkpoint.checkpoint)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(certadm_files::Error::TooLong { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The open checkpoint file.
#[derive(Debug)]
pub(crate) struct CheckpointFile {
    file: File,
    path: PathBuf,
}

impl CheckpointFile {
    /// Opens the file, creating an empty one where there is none.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self { file: durable::open_or_create(path)?, path: path.to_owned() })
    }

    /// What it says; `None` when it is empty, short or torn.
    pub(crate) fn read(&self) -> Result<Option<Checkpoint>> {
        let mut block = [0; LEN];
        match self.file.read_exact_at(&mut block, 0) {
            Ok(()) => Ok(decode(&block)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Ok(Err(error).during("read", &self.path)?),
        }
    }

    /// Writes it and flushes it.
    pub(crate) fn write(&self, checkpoint: &Checkpoint) -> Result<()> {
        self.file.write_all_at(&encode(checkpoint), 0).during("write", &self.path)?;
        Ok(durable::flush_data(&self.file, &self.path)?)
    }
}

fn encode(checkpoint: &Checkpoint) -> Vec<u8> {
    Put::new(MAGIC)
        .raw(&checkpoint.database.0)
        .raw(&checkpoint.stream.0)
        .u32(checkpoint.current.number())
        .u32(checkpoint.checkpoint.number())
        .u32(u32::from(checkpoint.phase == Phase::Rolling))
        .salts(checkpoint.archived.salts)
        .u32(checkpoint.archived.frames)
        .checksum(checkpoint.archived.checksum)
        .checksummed(LEN)
}

fn decode(block: &[u8]) -> Option<Checkpoint> {
    let mut take = Take::checksummed(block, MAGIC)?;
    Some(Checkpoint {
        database: Signature(take.raw()),
        stream: Signature(take.raw()),
        current: Generation::new(take.u32())?,
        checkpoint: Generation::new(take.u32())?,
        phase: if take.u32() == 0 { Phase::Steady } else { Phase::Rolling },
        archived: Position { salts: take.salts(), frames: take.u32(), checksum: take.checksum() },
    })
}
