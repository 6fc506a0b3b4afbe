//! The database header and its shadow copy (ese.md 3.2).

use core::fmt;

use crate::bytes::{Fields, put};
use crate::checksum::xor_checksum;
use crate::error::Error;
use crate::lgpos::{BackupInfo, Lgpos, LogTime, Signature};
use crate::pager::Pager;
use crate::pagesize::PageSize;

const MAGIC: u32 = 0x89AB_CDEF;
const FORMAT_VERSION: u32 = 0x620;
/// Offset of the file type, the same in every kind of file (ese.md 1).
pub(crate) const FILE_TYPE: usize = 667;

/// Whether the file is self-contained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum State {
    /// 1: just created.
    JustCreated,
    /// 2: some pages are older than the logs say; the state of every running database and backup copy.
    DirtyShutdown,
    /// 3: self-contained, needs no log.
    CleanShutdown,
    /// 4: being converted.
    BeingConverted,
    /// 5: force detach.
    ForceDetach,
    /// 6: incremental reseed in progress.
    IncrementalReseed,
    /// 7: dirty and patched.
    DirtyAndPatched,
    /// 8: revert in progress.
    Reverting,
    /// Anything else.
    Unknown(u32),
}

impl From<u32> for State {
    fn from(value: u32) -> Self {
        match value {
            1 => Self::JustCreated,
            2 => Self::DirtyShutdown,
            3 => Self::CleanShutdown,
            4 => Self::BeingConverted,
            5 => Self::ForceDetach,
            6 => Self::IncrementalReseed,
            7 => Self::DirtyAndPatched,
            8 => Self::Reverting,
            other => Self::Unknown(other),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::JustCreated => "just created",
            Self::DirtyShutdown => "dirty shutdown",
            Self::CleanShutdown => "clean shutdown",
            Self::BeingConverted => "being converted",
            Self::ForceDetach => "force detach",
            Self::IncrementalReseed => "incremental reseed in progress",
            Self::DirtyAndPatched => "dirty and patched shutdown",
            Self::Reverting => "revert in progress",
            Self::Unknown(_) => "unknown",
        })
    }
}

/// How the two copies of the header look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Copies {
    /// Both are right and equal.
    Equal,
    /// Both are right but they differ: a write was cut short between them; the first one counts.
    Differ,
    /// Only the first is right.
    ShadowDamaged,
    /// Only the second is right; it was used.
    PrimaryDamaged,
}

/// A database header whose checksum, magic and page size were right.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseHeader {
    raw: Vec<u8>,
    page_size: PageSize,
}

impl DatabaseHeader {
    /// Reads the header, from the shadow copy where the first one is damaged.
    ///
    /// # Errors
    /// [`Error::NotADatabase`] (HRESULT 0xC80004B6) when neither copy is right, [`Error::Io`] when the file cannot
    /// be read.
    pub fn read(file: &dyn Pager) -> Result<(Self, Copies), Error> {
        let primary = Self::read_first(file);
        let candidates = match &primary {
            Ok(header) => vec![header.page_size],
            Err(Error::Io(_)) => return primary.map(|header| (header, Copies::Equal)),
            Err(_) => PageSize::ALL.to_vec(),
        };
        let shadow = candidates.into_iter().find_map(|size| {
            let bytes = read_block(file, size.bytes64(), size).ok()?;
            let header = Self::parse(bytes).ok()?;
            (header.page_size == size).then_some(header)
        });
        match (primary, shadow) {
            (Ok(header), Some(shadow)) if header == shadow => Ok((header, Copies::Equal)),
            (Ok(header), Some(_)) => Ok((header, Copies::Differ)),
            (Ok(header), None) => Ok((header, Copies::ShadowDamaged)),
            (Err(_), Some(shadow)) => Ok((shadow, Copies::PrimaryDamaged)),
            (Err(error), None) => Err(error),
        }
    }

    fn read_first(file: &dyn Pager) -> Result<Self, Error> {
        let smallest = PageSize::ALL[0];
        let start = read_block(file, 0, smallest)?;
        let field = Fields::new(&start, "the database header").u32(236)?;
        let size = PageSize::from_field(field)
            .ok_or(Error::NotADatabase { problem: "the page size is none that exists" })?;
        Self::parse(read_block(file, 0, size)?)
    }

    /// Judges one copy of the header; `bytes` is one page.
    ///
    /// # Errors
    /// [`Error::NotADatabase`] (HRESULT 0xC80004B6).
    pub fn parse(bytes: Vec<u8>) -> Result<Self, Error> {
        let refuse = |problem| Err(Error::NotADatabase { problem });
        let fields = Fields::new(&bytes, "the database header");
        let Some(page_size) = PageSize::new(bytes.len()) else {
            return refuse("the header is no whole page");
        };
        if fields.u32(4)? != MAGIC {
            return refuse("the magic number is missing");
        }
        if fields.u32(0)? != xor_checksum(&bytes) {
            return refuse("the header checksum is wrong");
        }
        if !matches!(fields.u32(FILE_TYPE)?, 0 | 1) {
            return refuse("the file type is not that of a database");
        }
        if fields.u32(8)? != FORMAT_VERSION {
            return refuse("the format version is not 0x620");
        }
        if PageSize::from_field(fields.u32(236)?) != Some(page_size) {
            return refuse("the page size is none that exists");
        }
        Ok(Self { raw: bytes, page_size })
    }

    /// A new header for a database that a log creates from nothing.
    pub(crate) fn create(
        page_size: PageSize,
        version: u32,
        update: u32,
        sign_db: Signature,
        sign_log: Signature,
    ) -> Self {
        let mut raw = vec![0; page_size.bytes()];
        for (offset, value) in [
            (4, MAGIC),
            (8, FORMAT_VERSION),
            (52, 2),
            (104, 1),
            (232, update),
            (236, crate::bytes::count32(page_size.bytes())),
            (340, version),
            (344, update),
            (FILE_TYPE, 1),
        ] {
            put(&mut raw, offset, &value.to_le_bytes());
        }
        put(&mut raw, 24, &sign_db.0);
        put(&mut raw, 108, &sign_log.0);
        let mut header = Self { raw, page_size };
        header.seal();
        header
    }

    // The buffer is a whole page (at least 2048 bytes) and every offset below is under 748.
    fn field(&self, offset: usize) -> u32 {
        Fields::new(&self.raw, "the database header").u32(offset).unwrap_or(0)
    }

    fn position(&self, offset: usize) -> Lgpos {
        Lgpos::read(&Fields::new(&self.raw, "the database header"), offset).unwrap_or_default()
    }

    fn log_time(&self, offset: usize) -> LogTime {
        LogTime::read(&Fields::new(&self.raw, "the database header"), offset).unwrap_or_default()
    }

    fn signature(&self, offset: usize) -> Signature {
        Signature::read(&Fields::new(&self.raw, "the database header"), offset).unwrap_or(Signature([0; 28]))
    }

    fn backup(&self, offset: usize) -> BackupInfo {
        BackupInfo::read(&Fields::new(&self.raw, "the database header"), offset).unwrap_or_default()
    }

    /// Bytes of a page.
    pub fn page_size(&self) -> PageSize {
        self.page_size
    }

    /// The bytes of the header page, checksum included.
    pub fn bytes(&self) -> &[u8] {
        &self.raw
    }

    /// Clean, dirty or something rarer.
    pub fn state(&self) -> State {
        State::from(self.field(52))
    }

    /// Highest database time given out so far, as far as the header knows.
    pub fn dbtime(&self) -> u64 {
        u64::from(self.field(16)) | u64::from(self.field(20)) << 32
    }

    /// Identity of the database.
    pub fn database_signature(&self) -> Signature {
        self.signature(24)
    }

    /// Identity of the log sequence it belongs to.
    pub fn log_signature(&self) -> Signature {
        self.signature(108)
    }

    /// Position of the record that made it clean; none while dirty.
    pub fn consistent_position(&self) -> Lgpos {
        self.position(56)
    }

    /// When it was last made clean.
    pub fn consistent_time(&self) -> LogTime {
        self.log_time(64)
    }

    /// Position of the last attach.
    pub fn attach_position(&self) -> Lgpos {
        self.position(80)
    }

    /// When it was last attached.
    pub fn attach_time(&self) -> LogTime {
        self.log_time(72)
    }

    /// Position of the last detach; none while attached.
    pub fn detach_position(&self) -> Lgpos {
        self.position(96)
    }

    /// When it was last detached.
    pub fn detach_time(&self) -> LogTime {
        self.log_time(88)
    }

    /// The last full backup (bkinfoFullPrev).
    pub fn previous_full_backup(&self) -> BackupInfo {
        self.backup(136)
    }

    /// The last incremental backup (bkinfoIncPrev).
    pub fn previous_incremental_backup(&self) -> BackupInfo {
        self.backup(160)
    }

    /// Set in a backup copy only: the backup this file came out of (bkinfoFullCur).
    pub fn current_full_backup(&self) -> BackupInfo {
        self.backup(184)
    }

    /// The last copy backup, a full one without truncation (bkinfoCopyPrev).
    pub fn previous_copy_backup(&self) -> BackupInfo {
        self.backup(420)
    }

    /// The last differential backup (bkinfoDiffPrev).
    pub fn previous_differential_backup(&self) -> BackupInfo {
        self.backup(444)
    }

    /// Highest object identifier in use.
    pub fn last_object_id(&self) -> u32 {
        self.field(212)
    }

    /// Windows version of the last attach: major, minor, build, service pack.
    pub fn windows_version(&self) -> [u32; 4] {
        [216, 220, 224, 228].map(|offset| self.field(offset))
    }

    /// Format version and update ("revision"), and the update's minor number (ese.md 3.5).
    pub fn format_version(&self) -> [u32; 3] {
        [8, 232, 644].map(|offset| self.field(offset))
    }

    /// Lowest log generation needed to bring it clean; 0 when clean.
    pub fn required_low(&self) -> u32 {
        self.field(296)
    }

    /// Highest log generation needed for consistency.
    pub fn required_high(&self) -> u32 {
        self.field(300)
    }

    /// Highest generation with committed work; replaying less loses transactions.
    pub fn committed_high(&self) -> u32 {
        self.field(416)
    }

    /// How often it was repaired with loss.
    pub fn repair_count(&self) -> u32 {
        self.field(240)
    }

    /// How often the engine corrected a flipped bit, failed to, and met a bad checksum.
    pub fn checksum_counters(&self) -> [u32; 3] {
        [368, 384, 400].map(|offset| self.field(offset))
    }

    pub(crate) fn set_u32(&mut self, offset: usize, value: u32) {
        put(&mut self.raw, offset, &value.to_le_bytes());
    }

    pub(crate) fn set_bytes(&mut self, offset: usize, value: &[u8]) {
        put(&mut self.raw, offset, value);
    }

    /// Marks the file as attached and needing its logs from `low` on.
    pub(crate) fn set_dirty(&mut self, attach: Lgpos, low: u32) {
        self.set_u32(52, 2);
        self.set_bytes(56, &[0; 16]);
        self.set_bytes(80, &attach.to_bytes());
        self.set_bytes(88, &[0; 16]);
        self.set_u32(296, low);
        self.set_u32(300, low);
        self.set_u32(416, low);
        self.seal();
    }

    /// Marks the file as self-contained: what the end of a recovery writes (ese.md 10).
    pub(crate) fn set_clean(&mut self, at: Lgpos, time: LogTime, dbtime: u64, last_object: u32) {
        self.set_u32(52, 3);
        self.set_bytes(16, &dbtime.max(self.dbtime()).to_le_bytes());
        self.set_bytes(56, &at.to_bytes());
        self.set_bytes(64, &time.0);
        self.set_bytes(88, &time.0);
        self.set_bytes(96, &at.to_bytes());
        self.set_u32(212, last_object.max(self.last_object_id()));
        self.set_bytes(184, &[0; 24]);
        self.set_u32(296, 0);
        self.set_u32(300, 0);
        self.set_bytes(348, &[0; 8]);
        self.set_u32(416, 0);
        self.seal();
    }

    pub(crate) fn seal(&mut self) {
        let checksum = xor_checksum(&self.raw);
        put(&mut self.raw, 0, &checksum.to_le_bytes());
    }
}

impl fmt::Debug for DatabaseHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseHeader")
            .field("page_size", &self.page_size.bytes())
            .field("state", &self.state())
            .field("dbtime", &self.dbtime())
            .field("required", &(self.required_low(), self.required_high()))
            .finish_non_exhaustive()
    }
}

fn read_block(file: &dyn Pager, offset: u64, size: PageSize) -> Result<Vec<u8>, Error> {
    if file.size() < offset + size.bytes64() {
        return Err(Error::NotADatabase { problem: "the file is shorter than a header" });
    }
    let mut bytes = vec![0; size.bytes()];
    file.read_at(offset, &mut bytes)?;
    Ok(bytes)
}
