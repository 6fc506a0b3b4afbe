//! The header of a log file (ese.md 7).

use crate::bytes::Fields;
use crate::checksum::xor_checksum;
use crate::code::Code;
use crate::error::Error;
use crate::header::FILE_TYPE;
use crate::lgpos::Lgpos;
use crate::pagesize::PageSize;
use crate::stamps::{LogTime, Signature};

/// Bytes of a log header in every version.
pub const LOG_HEADER: usize = 4096;

/// Which of the two ways of framing records a log uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// Version 7: one stream with checksum records (ese.md 8.3).
    Stream,
    /// Version 8: 4096-byte segments (ese.md 8.2).
    Segments,
}

/// A database attached when the log was created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attachment {
    /// Number of the database in the records of this log.
    pub database: u8,
    /// Highest database time at that moment.
    pub dbtime: u64,
    /// Highest object identifier at that moment.
    pub last_object: u32,
    /// Identity of the database.
    pub signature: Signature,
    /// Position of its attach.
    pub attach: Lgpos,
    /// Its path, and further names the engine keeps with it.
    pub names: String,
}

/// A log header whose checksum, type and sizes were right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogHeader {
    /// Generation, from 1.
    pub generation: u32,
    /// Bytes of a sector; 4096 in version 8.
    pub sector_size: u16,
    /// Sectors of the header.
    pub header_sectors: u16,
    /// Sectors of the whole file.
    pub file_sectors: u16,
    /// Page size of the databases.
    pub page_size: PageSize,
    /// When it was created.
    pub created: LogTime,
    /// When its predecessor was created; "never" in generation 1.
    pub previous_created: LogTime,
    /// Version: major, minor, update, update minor.
    pub version: [u32; 4],
    /// Identity of the log sequence.
    pub signature: Signature,
    /// 1 reserve log in use, 2 circular logging, 4 circular logging was on.
    pub flags: u8,
    /// The checkpoint when it was created.
    pub checkpoint: Lgpos,
    /// XOR of the segment checksums of the predecessor; 0 when not available.
    pub previous_xor: u64,
    /// Databases attached when it was created.
    pub attachments: Vec<Attachment>,
}

impl LogHeader {
    /// Judges the first 4096 bytes of a log.
    ///
    /// # Errors
    /// [`Error::Log`]: -501 (HRESULT 0xC80001F5) for a damaged header, -514 (0xC8000202) for a version this crate does
    /// not read.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let refuse =
            |code, problem: &str| Err(Error::Log { generation: 0, code, problem: problem.to_owned() });
        let fields = Fields::new(bytes, "the log header");
        if bytes.len() != LOG_HEADER {
            return refuse(Code::LOG_CORRUPT, "the file is shorter than a log header");
        }
        if fields.u32(0)? != xor_checksum(bytes) {
            return refuse(
                Code::LOG_CORRUPT,
                "the header checksum is wrong: take the log from another backup",
            );
        }
        if fields.u32(FILE_TYPE)? != 3 {
            return refuse(Code::LOG_CORRUPT, "the file type is not that of a log");
        }
        let version = [fields.u32(32)?, fields.u32(36)?, fields.u32(40)?, fields.u32(648)?];
        if !matches!(version[0], 7 | 8) {
            return refuse(
                Code::BAD_LOG_VERSION,
                "another log version: recover it with the Windows that wrote it",
            );
        }
        let header = Self {
            generation: fields.u32(4)?,
            sector_size: fields.u16(8)?,
            header_sectors: fields.u16(10)?,
            file_sectors: fields.u16(12)?,
            page_size: match PageSize::from_field(u32::from(fields.u16(14)?)) {
                Some(size) => size,
                None => return refuse(Code::LOG_CORRUPT, "the page size is none that exists"),
            },
            created: LogTime::read(&fields, 16)?,
            previous_created: LogTime::read(&fields, 24)?,
            version,
            signature: Signature::read(&fields, 44)?,
            flags: fields.u8(639)?,
            checkpoint: fields.position(640)?,
            previous_xor: fields.u64(653)?,
            attachments: attachments(fields.slice(671, 2048)?),
        };
        let sizes_fit = match header.framing() {
            Framing::Segments => header.sector_size == 4096 && header.header_sectors == 1,
            Framing::Stream => {
                matches!(header.sector_size, 512 | 1024 | 2048 | 4096)
                    && usize::from(header.sector_size) * usize::from(header.header_sectors) == LOG_HEADER
            }
        };
        if !sizes_fit || header.generation == 0 {
            return refuse(Code::LOG_CORRUPT, "the header contradicts itself");
        }
        Ok(header)
    }

    /// How the records are framed.
    pub fn framing(&self) -> Framing {
        match self.version[0] {
            8 => Framing::Segments,
            _ => Framing::Stream,
        }
    }

    /// Bytes the file should have.
    pub fn file_size(&self) -> u64 {
        u64::from(self.sector_size) * u64::from(self.file_sectors)
    }

    /// True when a successor carries the XOR of this log's segment checksums.
    pub(crate) fn has_previous_xor(&self) -> bool {
        self.version[0] == 8 && 13 <= self.version[3] && self.previous_xor != 0
    }
}

/// The list ends at a zero byte; what does not parse ends it too, because it is only a help.
fn attachments(bytes: &[u8]) -> Vec<Attachment> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some((attachment, length)) = attachment(rest) {
        found.push(attachment);
        rest = &rest[length..];
    }
    found
}

fn attachment(bytes: &[u8]) -> Option<(Attachment, usize)> {
    let fields = Fields::new(bytes, "an attachment");
    let (database, flags) = (fields.u8(0).ok()?, fields.u8(1).ok()?);
    if database == 0 {
        return None;
    }
    let length = usize::from(fields.u16(2).ok()?);
    let names = fields.slice(64, length).ok()?;
    let attachment = Attachment {
        database,
        dbtime: fields.u64(4).ok()?,
        last_object: fields.u32(12).ok()?,
        attach: fields.position(20).ok()?,
        signature: Signature::read(&fields, 36).ok()?,
        names: names_text(names, flags & 0x20 != 0),
    };
    Some((attachment, 64 + length))
}

/// Names, each ended by a NUL; shown with `|` between them.
pub(crate) fn names_text(bytes: &[u8], wide: bool) -> String {
    let text: String = if wide {
        let units = bytes.as_chunks::<2>().0;
        let units = units.iter().map(|unit| u16::from_le_bytes(*unit));
        char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    } else {
        let narrow = bytes.iter();
        narrow.map(|byte| crate::column::windows_1252(*byte)).collect()
    };
    text.trim_end_matches('\0').replace('\0', "|")
}
