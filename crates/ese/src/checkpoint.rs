//! The checkpoint file and the flush map (ese.md 1, 2.2, 11.1): hints, never needed for a recovery.

use crate::bytes::Fields;
use crate::checksum::{PageCheck, check_page, ecc_checksum, xor_checksum};
use crate::error::Error;
use crate::header::FILE_TYPE;
use crate::lgpos::Lgpos;
use crate::pager::Pager;
use crate::stamps::{LogTime, Signature};

const COPY: usize = 4096;

/// What a checkpoint says: from where the logs are needed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Recovery would start at this position.
    pub position: Lgpos,
    /// Checkpoint of the last full backup; none without one.
    pub backup_position: Lgpos,
    /// Identity of the log sequence.
    pub log_signature: Signature,
    /// The last full backup: mark and time.
    pub full_backup: (Lgpos, LogTime),
    /// The last incremental backup: mark and time.
    pub incremental_backup: (Lgpos, LogTime),
    /// True when the first copy was damaged and the second one was read.
    pub from_second_copy: bool,
}

impl Checkpoint {
    /// Reads a checkpoint file, from its second copy where the first is damaged.
    ///
    /// # Errors
    /// [`Error::Refused`] with -533 (HRESULT 0xC8000215) when neither copy is right, [`Error::Io`].
    pub fn read(file: &dyn Pager) -> Result<Self, Error> {
        for (index, from_second_copy) in [(0, false), (1, true)] {
            let mut bytes = vec![0; COPY];
            if file.size() < (index + 1) * COPY as u64 {
                break;
            }
            file.read_at(index * COPY as u64, &mut bytes)?;
            if let Ok(mut checkpoint) = Self::parse(&bytes) {
                checkpoint.from_second_copy = from_second_copy;
                return Ok(checkpoint);
            }
        }
        Err(Error::Refused {
            code: crate::Code::CHECKPOINT_CORRUPT,
            problem: "both copies of the checkpoint are damaged: ignore the file, because it is only a hint"
                .to_owned(),
        })
    }

    /// Judges one 4096-byte copy.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let fields = Fields::new(bytes, "the checkpoint");
        let refuse = |problem| Err(Error::Malformed { what: "the checkpoint", problem });
        if bytes.len() != COPY || fields.u32(0)? != xor_checksum(bytes) {
            return refuse("the checksum is wrong");
        }
        if !matches!(fields.u32(FILE_TYPE)?, 0 | 4) {
            return refuse("the file type is not that of a checkpoint");
        }
        Ok(Self {
            backup_position: fields.position(4)?,
            position: fields.position(12)?,
            log_signature: Signature::read(&fields, 20)?,
            full_backup: (fields.position(615)?, LogTime::read(&fields, 623)?),
            incremental_backup: (fields.position(631)?, LogTime::read(&fields, 639)?),
            from_second_copy: false,
        })
    }
}

/// What the checksums of a flush map say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlushMapCheck {
    /// The header's checksum is right and its type is that of a flush map.
    pub header_valid: bool,
    /// Data pages whose checksum is right.
    pub valid_pages: u32,
    /// Data pages never written.
    pub zero_pages: u32,
    /// Data pages with a wrong checksum.
    pub damaged_pages: u32,
}

const FLUSH_MAP_PAGE: usize = 8192;

/// Checks a flush map: header by the legacy checksum, 8192-byte data pages by the new one, numbered from 0.
///
/// # Errors
/// [`Error::Io`].
pub fn check_flush_map(file: &dyn Pager) -> Result<FlushMapCheck, Error> {
    let mut page = vec![0; FLUSH_MAP_PAGE];
    let mut result = FlushMapCheck { header_valid: false, valid_pages: 0, zero_pages: 0, damaged_pages: 0 };
    for number in 0..file.size() / FLUSH_MAP_PAGE as u64 {
        file.read_at(number * FLUSH_MAP_PAGE as u64, &mut page)?;
        let fields = Fields::new(&page, "the flush map");
        if number == 0 {
            result.header_valid = fields.u32(0)? == xor_checksum(&page) && fields.u32(FILE_TYPE)? == 7;
            continue;
        }
        let number = u32::try_from(number - 1).unwrap_or(u32::MAX);
        if check_page(&page, number) == PageCheck::Zero {
            result.zero_pages += 1;
        } else if fields.u64(0)? == ecc_checksum(&page, number, true) {
            result.valid_pages += 1;
        } else {
            result.damaged_pages += 1;
        }
    }
    Ok(result)
}
