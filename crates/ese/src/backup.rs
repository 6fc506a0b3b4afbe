//! The patch page at the end of a streaming backup (ese.md 11.3).

use certadm_rules::finding::{Finding, Kind};

use crate::bytes::Fields;
use crate::checksum::xor_checksum;
use crate::code::Code;
use crate::error::Error;
use crate::header::DatabaseHeader;
use crate::stamps::{BackupInfo, LogTime, Signature};

/// What to do about a file whose end is missing.
pub(crate) const CUT_SHORT: &str = "the copy was cut short: take it again";

/// What the patch page adds to the header of a backup copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PatchPage {
    /// The backup, with the last log generation filled in.
    pub backup: BackupInfo,
    /// Identity of the database.
    pub database_signature: Signature,
    /// Identity of the log sequence.
    pub log_signature: Signature,
    /// Lowest generation needed; 0 in backups of older engines.
    pub required_low: u32,
    /// Highest generation needed for consistency; 0 in backups of older engines.
    pub required_high: u32,
    /// Highest generation with committed work; 0 in backups of older engines.
    pub committed_high: u32,
    /// Creation time of the highest required generation.
    pub required_high_created: LogTime,
}

/// What to say of a backup copy whose patch page cannot be read: whether its bytes are there and changed, or are not there.
pub(crate) fn without_patch_page(is_damaged: bool, text: &'static str) -> Finding {
    let (text, remedy) = match is_damaged {
        true => (
            "the patch page at the end of the backup copy is damaged: its checksum is wrong",
            "take this file from another copy of the set, or take another backup",
        ),
        false => (text, CUT_SHORT),
    };
    Finding::error(Kind::PatchPage, Code::NOT_A_BACKUP, text).remedy(remedy)
}

impl PatchPage {
    /// Judges one page by its checksum and shape; `None` when it is no patch page.
    pub fn parse(page: &[u8]) -> Option<Self> {
        let fields = Fields::new(page, "the patch page");
        let right =
            fields.u32(0).ok()? == xor_checksum(page) && page.get(4..40)?.iter().all(|byte| *byte == 0);
        let patch = Self {
            backup: BackupInfo::read(&fields, 40).ok()?,
            database_signature: Signature::read(&fields, 64).ok()?,
            log_signature: Signature::read(&fields, 92).ok()?,
            required_low: fields.u32(120).ok()?,
            required_high: fields.u32(124).ok()?,
            committed_high: fields.u32(128).ok()?,
            required_high_created: LogTime::read(&fields, 132).ok()?,
        };
        (right && patch.backup.is_set()).then_some(patch)
    }

    /// Compares with the header of the same file (ese.md 11.5 step 2).
    ///
    /// # Errors
    /// [`Error::Refused`] with -552 (HRESULT 0xC8000228) when they do not belong together.
    pub fn check_against(&self, header: &DatabaseHeader) -> Result<(), Error> {
        let current = header.current_full_backup();
        let problem = if self.database_signature != header.database_signature() {
            "its database signature is another"
        } else if self.log_signature != header.log_signature() {
            "its log signature is another"
        } else if self.backup.mark != current.mark {
            "its backup mark is another"
        } else if self.backup.low != current.low {
            "its first log generation is another"
        } else if self.backup.high < self.backup.low {
            "its range of logs is empty"
        } else {
            return Ok(());
        };
        Err(Error::Refused {
            code: Code::PATCH_PAGE_MISMATCH,
            problem: format!(
                "the patch page at the end of the backup copy does not fit its header ({problem}): \
                 the file was put together from two backups"
            ),
        })
    }
}
