//! Engine result codes and the HRESULT each becomes (certbcli.md 14.1, 14.5).

use core::fmt;

use certadm_rules::hresult::Hresult;

/// An error number of the database engine, without its minus sign.
///
/// The engine calls its errors `-n`; every Windows interface shows them as the HRESULT `0xC8000000 | n`
/// (certbcli.md 14.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u16);

impl Code {
    /// -327: a page does not name its neighbours.
    pub const BAD_PAGE_LINK: Self = Self(327);
    /// -338: a page does not fit the page above it.
    pub const BAD_PARENT_PAGE_LINK: Self = Self(338);
    /// -501: a log file is damaged.
    pub const LOG_CORRUPT: Self = Self(501);
    /// -513: a log file's name and the generation in its header disagree.
    pub const LOG_GENERATION_MISMATCH: Self = Self(513);
    /// -514: a log of another engine version, or with a record this version does not know.
    pub const BAD_LOG_VERSION: Self = Self(514);
    /// -515: the creation times of two neighbouring logs do not link.
    pub const INVALID_LOG_SEQUENCE: Self = Self(515);
    /// -528: the current log is missing.
    pub const MISSING_LOG: Self = Self(528);
    /// -530: a log of a foreign sequence.
    pub const BAD_LOG_SIGNATURE: Self = Self(530);
    /// -531: a foreign database.
    pub const BAD_DATABASE_SIGNATURE: Self = Self(531);
    /// -532: a checkpoint of a foreign log sequence.
    pub const BAD_CHECKPOINT_SIGNATURE: Self = Self(532);
    /// -533: both copies of the checkpoint are damaged.
    pub const CHECKPOINT_CORRUPT: Self = Self(533);
    /// -539: the database and the logs do not belong together.
    pub const DATABASE_LOG_SET_MISMATCH: Self = Self(539);
    /// -541: a log file has another size than its header says.
    pub const LOG_SIZE_MISMATCH: Self = Self(541);
    /// -543: logs that recovery needs are missing.
    pub const REQUIRED_LOGS_MISSING: Self = Self(543);
    /// -550: the database was not closed cleanly and needs its logs.
    pub const DIRTY_SHUTDOWN: Self = Self(550);
    /// -551: the logs go on with another state of the database.
    pub const CONSISTENT_TIME_MISMATCH: Self = Self(551);
    /// -552: the patch page of a backup copy does not fit its header.
    pub const PATCH_PAGE_MISMATCH: Self = Self(552);
    /// -553: the range of logs ends too early.
    pub const ENDING_LOG_TOO_LOW: Self = Self(553);
    /// -554: the range of logs starts too late.
    pub const STARTING_LOG_TOO_HIGH: Self = Self(554);
    /// -555: a log of the range belongs to another sequence.
    pub const GIVEN_LOG_BAD_SIGNATURE: Self = Self(555);
    /// -556: a log of the range does not continue its predecessor.
    pub const GIVEN_LOG_NOT_CONTIGUOUS: Self = Self(556);
    /// -557: a generation of the range is missing.
    pub const MISSING_RESTORE_LOGS: Self = Self(557);
    /// -561: the size of a backup copy is no multiple of the page size.
    pub const BAD_BACKUP_SIZE: Self = Self(561);
    /// -565: a gap above the range of a restore.
    pub const MISSING_CURRENT_LOGS: Self = Self(565);
    /// -566: a page is older than a log record expects.
    pub const DBTIME_TOO_OLD: Self = Self(566);
    /// -567: a page is newer than a log record allows.
    pub const DBTIME_TOO_NEW: Self = Self(567);
    /// -570: the last write to a log was torn.
    pub const LOG_TORN: Self = Self(570);
    /// -573: a log of a restore is damaged.
    pub const LOG_CORRUPT_IN_RESTORE: Self = Self(573);
    /// -610: a log after the restored range belongs to another sequence.
    pub const EXISTING_LOG_BAD_SIGNATURE: Self = Self(610);
    /// -611: a log after the restored range does not continue it.
    pub const EXISTING_LOG_NOT_CONTIGUOUS: Self = Self(611);
    /// -615: the file was not made by a streaming backup.
    pub const NOT_A_BACKUP: Self = Self(615);
    /// -1003: an argument the engine would refuse.
    pub const INVALID_PARAMETER: Self = Self(1003);
    /// -1011: a stated memory cap was reached.
    pub const OUT_OF_MEMORY: Self = Self(1011);
    /// -1018: a page's checksum is wrong.
    pub const PAGE_CHECKSUM: Self = Self(1018);
    /// -1019: a page in use was never written.
    pub const PAGE_NOT_INITIALIZED: Self = Self(1019);
    /// -1022: reading or writing failed.
    pub const DISK_IO: Self = Self(1022);
    /// -1069: open transactions have changed more than can be remembered.
    pub const VERSION_STORE_OUT_OF_MEMORY: Self = Self(1069);
    /// -1206: not a database, or its structure is damaged.
    pub const DATABASE_CORRUPTED: Self = Self(1206);
    /// -1216: the database is not the one the logs speak of.
    pub const ATTACHED_DATABASE_MISMATCH: Self = Self(1216);
    /// -1305: a table of that name does not exist.
    pub const OBJECT_NOT_FOUND: Self = Self(1305);
    /// -1414: an index does not fit its table.
    pub const SECONDARY_INDEX_CORRUPTED: Self = Self(1414);
    /// -1507: a column of that name does not exist.
    pub const COLUMN_NOT_FOUND: Self = Self(1507);
    /// -1526: a long value lacks a part, or is not there.
    pub const LONG_VALUE_CORRUPTED: Self = Self(1526);
    /// -1532: data stored in a form this reader does not open (a compression scheme, an encryption).
    pub const NOT_SUPPORTED: Self = Self(1532);

    /// The engine's number, negative as the engine writes it.
    pub fn engine_error(self) -> i32 {
        -i32::from(self.0)
    }

    /// The code that an HRESULT carries; nothing for one of another origin.
    pub fn from_hresult(hresult: Hresult) -> Option<Self> {
        u16::try_from(hresult.jet_error()?.unsigned_abs()).ok().map(Self)
    }

    /// The HRESULT that Windows tools show: `0xC8000000 | n`.
    pub fn hresult(self) -> Hresult {
        Hresult::from_jet(self.0)
    }
}

impl From<Code> for Hresult {
    fn from(code: Code) -> Self {
        code.hresult()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (ESE: {})", self.hresult().hex(), self.engine_error())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composition_follows_the_table() {
        assert_eq!(Code::BAD_LOG_SIGNATURE.hresult().to_bits(), 0xC800_0212);
        assert_eq!(Code::PAGE_CHECKSUM.hresult().to_bits(), 0xC800_03FA);
        assert_eq!(Code::ATTACHED_DATABASE_MISMATCH.hresult().to_bits(), 0xC800_04C0);
        assert_eq!(Code::LOG_CORRUPT_IN_RESTORE.to_string(), "0xc800023d (ESE: -573)");
        assert_eq!(Code::from_hresult(Code::PAGE_CHECKSUM.hresult()), Some(Code::PAGE_CHECKSUM));
        assert_eq!(Code::from_hresult(Hresult::E_FAIL), None);
    }
}
