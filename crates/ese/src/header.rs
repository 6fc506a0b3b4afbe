//! The database header and its shadow copy (ese.md 3.2).

use core::fmt;

use crate::bytes::{Fields, put};
use crate::checksum::xor_checksum;
use crate::error::Error;
use crate::lgpos::Lgpos;
use crate::numbered::numbered;
use crate::pager::Pager;
use crate::pagesize::PageSize;
use crate::stamps::{BackupInfo, LogTime, Signature};

const MAGIC: u32 = 0x89AB_CDEF;
const FORMAT_VERSION: u32 = 0x620;
/// Offset of the file type, the same in every kind of file (ese.md 1).
pub(crate) const FILE_TYPE: usize = 667;

/// Offsets of the other fields (ese.md 3.2). A log position and a time stamp have 8 bytes, a signature 28, a backup 24.
mod at {
    pub(super) const CHECKSUM: usize = 0;
    pub(super) const MAGIC: usize = 4;
    pub(super) const FORMAT_VERSION: usize = 8;
    pub(super) const DBTIME: usize = 16;
    pub(super) const DATABASE_SIGNATURE: usize = 24;
    pub(super) const STATE: usize = 52;
    pub(super) const CONSISTENT_POSITION: usize = 56;
    pub(super) const CONSISTENT_TIME: usize = 64;
    pub(super) const ATTACH_TIME: usize = 72;
    pub(super) const ATTACH_POSITION: usize = 80;
    pub(super) const DETACH_TIME: usize = 88;
    pub(super) const DETACH_POSITION: usize = 96;
    pub(super) const DATABASE_NUMBER: usize = 104;
    pub(super) const LOG_SIGNATURE: usize = 108;
    pub(super) const PREVIOUS_FULL: usize = 136;
    pub(super) const PREVIOUS_INCREMENTAL: usize = 160;
    pub(super) const CURRENT_FULL: usize = 184;
    pub(super) const LAST_OBJECT: usize = 212;
    pub(super) const WINDOWS_MAJOR: usize = 216;
    pub(super) const WINDOWS_MINOR: usize = 220;
    pub(super) const WINDOWS_BUILD: usize = 224;
    pub(super) const WINDOWS_SERVICE_PACK: usize = 228;
    pub(super) const UPDATE: usize = 232;
    pub(super) const PAGE_SIZE: usize = 236;
    pub(super) const REPAIR_COUNT: usize = 240;
    pub(super) const REQUIRED_LOW: usize = 296;
    pub(super) const REQUIRED_HIGH: usize = 300;
    pub(super) const CREATED_VERSION: usize = 340;
    pub(super) const CREATED_UPDATE: usize = 344;
    pub(super) const REQUIRED_HIGH_CREATED: usize = 348;
    pub(super) const CORRECTED_COUNT: usize = 368;
    pub(super) const NOT_CORRECTED_COUNT: usize = 384;
    pub(super) const BAD_CHECKSUM_COUNT: usize = 400;
    pub(super) const COMMITTED_HIGH: usize = 416;
    pub(super) const PREVIOUS_COPY: usize = 420;
    pub(super) const PREVIOUS_DIFFERENTIAL: usize = 444;
    pub(super) const MINOR_UPDATE: usize = 644;
}

const DIRTY_SHUTDOWN: u32 = 2;
const CLEAN_SHUTDOWN: u32 = 3;

const NO_POSITION: [u8; 8] = [0; 8];
const NEVER: [u8; 8] = [0; 8];

numbered! {
    /// Whether the file is self-contained.
    pub enum State: u32 {
        /// Just created.
        JustCreated = 1,
        /// Some pages are older than the logs say; the state of every running database and backup copy.
        DirtyShutdown = 2,
        /// Self-contained: it needs no log.
        CleanShutdown = 3,
        /// Being converted.
        BeingConverted = 4,
        /// Force detach.
        ForceDetach = 5,
        /// Incremental reseed in progress.
        IncrementalReseed = 6,
        /// Dirty and patched.
        DirtyAndPatched = 7,
        /// Revert in progress.
        Reverting = 8,
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
        let field = Fields::new(&start, "the database header").u32(at::PAGE_SIZE)?;
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
        if fields.u32(at::MAGIC)? != MAGIC {
            return refuse("the magic number is missing");
        }
        if fields.u32(at::CHECKSUM)? != xor_checksum(&bytes) {
            return refuse("the header checksum is wrong");
        }
        if !matches!(fields.u32(FILE_TYPE)?, 0 | 1) {
            return refuse("the file type is not that of a database");
        }
        if fields.u32(at::FORMAT_VERSION)? != FORMAT_VERSION {
            return refuse("the format version is not 0x620");
        }
        if PageSize::from_field(fields.u32(at::PAGE_SIZE)?) != Some(page_size) {
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
            (at::MAGIC, MAGIC),
            (at::FORMAT_VERSION, FORMAT_VERSION),
            (at::STATE, DIRTY_SHUTDOWN),
            (at::DATABASE_NUMBER, 1),
            (at::UPDATE, update),
            (at::PAGE_SIZE, crate::bytes::count32(page_size.bytes())),
            (at::CREATED_VERSION, version),
            (at::CREATED_UPDATE, update),
            (FILE_TYPE, 1),
        ] {
            put(&mut raw, offset, &value.to_le_bytes());
        }
        put(&mut raw, at::DATABASE_SIGNATURE, &sign_db.0);
        put(&mut raw, at::LOG_SIGNATURE, &sign_log.0);
        let mut header = Self { raw, page_size };
        header.put_checksum();
        header
    }

    // The buffer is a whole page (at least 2048 bytes) and every offset below is under 748.
    fn field(&self, offset: usize) -> u32 {
        Fields::new(&self.raw, "the database header").u32(offset).unwrap_or(0)
    }

    fn position(&self, offset: usize) -> Lgpos {
        Fields::new(&self.raw, "the database header").position(offset).unwrap_or_default()
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
        State::from(self.field(at::STATE))
    }

    /// Highest database time given out so far, as far as the header knows.
    pub fn dbtime(&self) -> u64 {
        u64::from(self.field(at::DBTIME)) | u64::from(self.field(at::DBTIME + 4)) << 32
    }

    /// Identity of the database.
    pub fn database_signature(&self) -> Signature {
        self.signature(at::DATABASE_SIGNATURE)
    }

    /// Identity of the log sequence it belongs to.
    pub fn log_signature(&self) -> Signature {
        self.signature(at::LOG_SIGNATURE)
    }

    /// Position of the record that made it clean; none while dirty.
    pub fn consistent_position(&self) -> Lgpos {
        self.position(at::CONSISTENT_POSITION)
    }

    /// When it was last made clean.
    pub fn consistent_time(&self) -> LogTime {
        self.log_time(at::CONSISTENT_TIME)
    }

    /// Position of the last attach.
    pub fn attach_position(&self) -> Lgpos {
        self.position(at::ATTACH_POSITION)
    }

    /// When it was last attached.
    pub fn attach_time(&self) -> LogTime {
        self.log_time(at::ATTACH_TIME)
    }

    /// Position of the last detach; none while attached.
    pub fn detach_position(&self) -> Lgpos {
        self.position(at::DETACH_POSITION)
    }

    /// When it was last detached.
    pub fn detach_time(&self) -> LogTime {
        self.log_time(at::DETACH_TIME)
    }

    /// The last full backup (bkinfoFullPrev).
    pub fn previous_full_backup(&self) -> BackupInfo {
        self.backup(at::PREVIOUS_FULL)
    }

    /// The last incremental backup (bkinfoIncPrev).
    pub fn previous_incremental_backup(&self) -> BackupInfo {
        self.backup(at::PREVIOUS_INCREMENTAL)
    }

    /// Set in a backup copy only: the backup this file came out of (bkinfoFullCur).
    pub fn current_full_backup(&self) -> BackupInfo {
        self.backup(at::CURRENT_FULL)
    }

    /// The last copy backup, a full one without truncation (bkinfoCopyPrev).
    pub fn previous_copy_backup(&self) -> BackupInfo {
        self.backup(at::PREVIOUS_COPY)
    }

    /// The last differential backup (bkinfoDiffPrev).
    pub fn previous_differential_backup(&self) -> BackupInfo {
        self.backup(at::PREVIOUS_DIFFERENTIAL)
    }

    /// Highest object identifier in use.
    pub fn last_object_id(&self) -> u32 {
        self.field(at::LAST_OBJECT)
    }

    /// Windows version of the last attach: major, minor, build, service pack.
    pub fn windows_version(&self) -> [u32; 4] {
        [at::WINDOWS_MAJOR, at::WINDOWS_MINOR, at::WINDOWS_BUILD, at::WINDOWS_SERVICE_PACK]
            .map(|offset| self.field(offset))
    }

    /// Format version and update ("revision"), and the update's minor number (ese.md 3.5).
    pub fn format_version(&self) -> [u32; 3] {
        [at::FORMAT_VERSION, at::UPDATE, at::MINOR_UPDATE].map(|offset| self.field(offset))
    }

    /// Lowest log generation needed to bring it clean; 0 when clean.
    pub fn required_low(&self) -> u32 {
        self.field(at::REQUIRED_LOW)
    }

    /// Highest log generation needed for consistency.
    pub fn required_high(&self) -> u32 {
        self.field(at::REQUIRED_HIGH)
    }

    /// Highest generation with committed work; replaying less loses transactions.
    pub fn committed_high(&self) -> u32 {
        self.field(at::COMMITTED_HIGH)
    }

    /// How often it was repaired with loss.
    pub fn repair_count(&self) -> u32 {
        self.field(at::REPAIR_COUNT)
    }

    /// How often the engine corrected a flipped bit, failed to, and met a bad checksum.
    pub fn checksum_counters(&self) -> [u32; 3] {
        [at::CORRECTED_COUNT, at::NOT_CORRECTED_COUNT, at::BAD_CHECKSUM_COUNT]
            .map(|offset| self.field(offset))
    }

    fn set_u32(&mut self, offset: usize, value: u32) {
        put(&mut self.raw, offset, &value.to_le_bytes());
    }

    fn set_bytes(&mut self, offset: usize, value: &[u8]) {
        put(&mut self.raw, offset, value);
    }

    /// Notes the number that the records give the database.
    pub(crate) fn set_database_number(&mut self, number: u8) {
        self.set_u32(at::DATABASE_NUMBER, u32::from(number));
        self.put_checksum();
    }

    /// Notes another update of the format, and its minor number.
    pub(crate) fn set_update(&mut self, update: u32, minor: u32) {
        self.set_u32(at::UPDATE, update);
        self.set_u32(at::MINOR_UPDATE, minor);
        self.put_checksum();
    }

    /// Marks the file as attached and needing its logs from `low` on.
    pub(crate) fn set_dirty(&mut self, attach: Lgpos, low: u32) {
        self.set_u32(at::STATE, DIRTY_SHUTDOWN);
        self.set_bytes(at::CONSISTENT_POSITION, &NO_POSITION);
        self.set_bytes(at::CONSISTENT_TIME, &NEVER);
        self.set_bytes(at::ATTACH_POSITION, &attach.to_bytes());
        self.set_bytes(at::DETACH_TIME, &NEVER);
        self.set_bytes(at::DETACH_POSITION, &NO_POSITION);
        self.set_u32(at::REQUIRED_LOW, low);
        self.set_u32(at::REQUIRED_HIGH, low);
        self.set_u32(at::COMMITTED_HIGH, low);
        self.put_checksum();
    }

    /// Marks the file as self-contained: what the end of a recovery writes (ese.md 10).
    pub(crate) fn set_clean(&mut self, position: Lgpos, time: LogTime, dbtime: u64, last_object: u32) {
        self.set_u32(at::STATE, CLEAN_SHUTDOWN);
        self.set_bytes(at::DBTIME, &dbtime.max(self.dbtime()).to_le_bytes());
        self.set_bytes(at::CONSISTENT_POSITION, &position.to_bytes());
        self.set_bytes(at::CONSISTENT_TIME, &time.0);
        self.set_bytes(at::DETACH_TIME, &time.0);
        self.set_bytes(at::DETACH_POSITION, &position.to_bytes());
        self.set_u32(at::LAST_OBJECT, last_object.max(self.last_object_id()));
        self.set_bytes(at::CURRENT_FULL, &[0; 24]);
        self.set_u32(at::REQUIRED_LOW, 0);
        self.set_u32(at::REQUIRED_HIGH, 0);
        self.set_bytes(at::REQUIRED_HIGH_CREATED, &NEVER);
        self.set_u32(at::COMMITTED_HIGH, 0);
        self.put_checksum();
    }

    fn put_checksum(&mut self) {
        let checksum = xor_checksum(&self.raw);
        put(&mut self.raw, at::CHECKSUM, &checksum.to_le_bytes());
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
