//! The kinds of log records: number, name and length of each, in one table (ese.md 8.4).

use crate::bytes::{Fields, index};
use crate::error::Error;

/// How long a record is: a fixed part, and parts whose lengths are fields of the fixed part.
#[derive(Clone, Copy, Debug)]
enum Length {
    /// Always so many bytes.
    Fixed(usize),
    /// A fixed part, and parts whose lengths are the u16 at these offsets.
    Parts(usize, &'static [usize]),
    /// The same with one more part, the last, whose length is the u32 at this offset.
    PartsAndLong(usize, &'static [usize], usize),
    /// A fixed part, and parts whose lengths are the u32 at these offsets.
    Long(usize, &'static [usize]),
    /// The record of a new database: its fixed part is longer where a version is logged.
    NewDatabase,
    /// A replacement: the top bit of the length field belongs to the form of the data.
    Replacement,
}

impl Length {
    /// The length of the record with these fields.
    fn of(self, fields: &Fields<'_>) -> Result<usize, Error> {
        let half = |offset| fields.u16(offset).map(usize::from);
        let halves = |fixed: usize, offsets: &[usize]| -> Result<usize, Error> {
            let mut total = fixed;
            for offset in offsets {
                total += half(*offset)?;
            }
            Ok(total)
        };
        Ok(match self {
            Fixed(length) => length,
            Parts(fixed, offsets) => halves(fixed, offsets)?,
            PartsAndLong(fixed, offsets, last) => {
                halves(fixed, offsets)?.saturating_add(index(fields.u32(last)?))
            }
            Long(fixed, offsets) => {
                let mut total = fixed;
                for offset in offsets {
                    total = total.saturating_add(index(fields.u32(*offset)?));
                }
                total
            }
            NewDatabase => {
                let has_version = fields.u8(NEW_DATABASE_FLAGS)? & NEW_DATABASE_HAS_VERSION != 0;
                (if has_version { 47 } else { 43 }) + half(40)?
            }
            Replacement => 50 + usize::from(fields.u16(REPLACEMENT_LENGTH)? & REPLACEMENT_LENGTH_BITS),
        })
    }
}

use Length::{Fixed, Long, NewDatabase, Parts, PartsAndLong, Replacement};

/// Five bytes (type and u32 length) and what the length says: the engine skips such a record even where it does not
/// know its type, so new types could be added without a new version of the log.
const SELF_DESCRIBING: Length = Long(5, &[1]);

/// Where the length of the data of a replacement is, and the bits that count.
pub(super) const REPLACEMENT_LENGTH: usize = 44;
pub(super) const REPLACEMENT_LENGTH_BITS: u16 = 0x7FFF;

/// Where the flags of a new database are, and the flag that says that a version is logged behind them.
pub(super) const NEW_DATABASE_FLAGS: usize = 42;
pub(super) const NEW_DATABASE_HAS_VERSION: u8 = 4;

/// Makes the enumeration and its tables out of rows `Kind = number, name, length`.
macro_rules! record_kinds {
    ($($kind:ident = $number:literal, $name:literal, $length:expr;)*) => {
        /// What a log record is about.
        ///
        /// The discriminant is the type byte. Several kinds have one name where the engine only changed the layout.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        #[repr(u8)]
        #[allow(missing_docs, reason = "the names are those of the format; ese.md 8.4 has a line on each")]
        pub enum RecordKind {
            $($kind = $number,)*
        }

        impl RecordKind {
            /// All kinds, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The kind with this type byte; `None` for one that this version does not know.
            pub fn from_byte(byte: u8) -> Option<Self> {
                const KINDS: [Option<RecordKind>; 256] = {
                    let mut kinds = [None; 256];
                    $(kinds[$number] = Some(RecordKind::$kind);)*
                    kinds
                };
                KINDS[usize::from(byte)]
            }

            /// What an administrator may call a record of this kind.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            fn length(self) -> Length {
                match self {
                    $(Self::$kind => $length,)*
                }
            }
        }
    };
}

record_kinds! {
    Nop = 0, "Nop", Fixed(1);
    Init = 1, "Init", Fixed(568);
    Term = 2, "Term", Fixed(18);
    End = 4, "End", Fixed(1);
    Begin = 5, "Begin", Fixed(4);
    Commit = 6, "Commit", Fixed(4);
    Rollback = 7, "Rollback", Fixed(4);
    Begin0 = 8, "Begin0", Fixed(8);
    Commit0 = 9, "Commit0", Fixed(8);
    Refresh = 10, "Refresh", Fixed(7);
    MacroBegin = 11, "MacroBegin", Fixed(11);
    MacroCommit = 12, "MacroCommit", Fixed(11);
    MacroAbort = 13, "MacroAbort", Fixed(11);
    CreateDatabase = 14, "CreateDB", NewDatabase;
    AttachDatabase = 15, "AttachDB", Parts(75, &[72]);
    DetachDatabase = 16, "DetachDB", Parts(7, &[4]);
    RecoveryUndo = 17, "RecoveryUndo", Fixed(1);
    RecoveryQuit = 18, "RecoveryQuit", Fixed(18);
    OldFullBackup = 19, "Backup", Parts(3, &[1]);
    OldIncrementalBackup = 20, "Backup", Parts(3, &[1]);
    JetOperation = 21, "JetOp", Fixed(4);
    Trace = 22, "Trace", Parts(5, &[3]);
    ShutDownMark = 23, "ShutDownMark", Fixed(1);
    CreateMultipleExtentTree = 24, "CreateMultipleExtentFDP", Fixed(56);
    CreateSingleExtentTree = 25, "CreateSingleExtentFDP", Fixed(48);
    ConvertTree = 26, "ConvertFDP", Fixed(60);
    Split = 27, "Split", Parts(102, &[96, 98, 100]);
    Merge = 28, "Merge", Parts(88, &[86]);
    Insert = 29, "Insert", Parts(50, &[44, 46, 48]);
    FlagInsert = 30, "FlagInsert", Parts(48, &[44, 46]);
    FlagInsertAndReplace = 31, "FlagInsertAndReplaceData", Parts(52, &[44, 46]);
    FlagDelete = 32, "FlagDelete", Fixed(44);
    Replace = 33, "Replace", Replacement;
    ReplaceDifference = 34, "ReplaceD", Replacement;
    Delete = 35, "Delete", Fixed(44);
    UndoInfo = 36, "UndoInfo", Parts(56, &[44, 46, 54]);
    Delta = 37, "Delta", Parts(54, &[44, 46]);
    SetExternalHeader = 38, "SetExternalHeader", Parts(46, &[44]);
    Undo = 39, "Undo", Parts(51, &[44, 46]);
    Checksum = 42, "Checksum", Fixed(22);
    ExternalRestore = 45, "ExtRestore", Parts(3, &[1]);
    OldBackup = 46, "Backup", Parts(5, &[3]);
    EmptyTree = 48, "EmptyTree", Parts(46, &[44]);
    Init2 = 49, "Init", Fixed(576);
    Term2 = 50, "Term", Fixed(26);
    RecoveryUndo2 = 51, "RecoveryUndo", Fixed(9);
    RecoveryQuit2 = 52, "RecoveryQuit", Fixed(26);
    BeginDistributed = 53, "BeginDT", Fixed(8);
    PrepareCommit = 54, "PrepCommit", Long(7, &[3]);
    PrepareRollback = 55, "PrepRollback", Fixed(3);
    ForceWriteLog = 57, "ForceWriteLog", Fixed(3);
    ConvertTree2 = 58, "ConvertFDP", Fixed(68);
    ExternalRestore2 = 59, "ExtRestore", Parts(3, &[1]);
    Backup = 60, "Backup", Parts(35, &[33]);
    ForceLogRollover = 61, "ForceLogRollover", Parts(5, &[3]);
    Split2 = 62, "Split", PartsAndLong(110, &[96, 98, 100], 106);
    Merge2 = 63, "Merge", PartsAndLong(96, &[86], 92);
    Scrub = 64, "Scrub", Parts(54, &[52]);
    PageMove = 65, "PageMove", Long(96, &[88, 92]);
    PagePatchRequest = 66, "PagePatchRequest", Fixed(46);
    MacroInfo = 67, "MacroInfo", SELF_DESCRIBING;
    ExtendDatabase = 68, "ExtendDB", SELF_DESCRIBING;
    CommitContext = 69, "CommitCtx", SELF_DESCRIBING;
    ScanCheck = 70, "ScanCheck", SELF_DESCRIBING;
    Nop2 = 71, "Nop2", SELF_DESCRIBING;
    ReAttach = 72, "ReAttach", SELF_DESCRIBING;
    MacroInfo2 = 73, "MacroInfo", SELF_DESCRIBING;
    FreeTree = 74, "FreeFDP", SELF_DESCRIBING;
    Ignored75 = 75, "Ignored", SELF_DESCRIBING;
    FragmentBegin = 76, "Fragment", Parts(7, &[5]);
    Fragment = 77, "Fragment", Parts(3, &[1]);
    ShrinkDatabase = 78, "ShrinkDB", Fixed(10);
    CreateDatabaseFinish = 79, "CreateDBFinish", Fixed(4);
    RecoveryQuitKeepAttachments = 80, "RecoveryQuit", Fixed(26);
    TrimDatabase = 81, "TrimDB", Fixed(10);
    Ignored82 = 82, "Ignored", SELF_DESCRIBING;
    Ignored83 = 83, "Ignored", SELF_DESCRIBING;
    Ignored84 = 84, "Ignored", SELF_DESCRIBING;
    Ignored85 = 85, "Ignored", SELF_DESCRIBING;
    Ignored86 = 86, "Ignored", SELF_DESCRIBING;
    Ignored87 = 87, "Ignored", SELF_DESCRIBING;
    Ignored88 = 88, "Ignored", SELF_DESCRIBING;
    Ignored89 = 89, "Ignored", SELF_DESCRIBING;
    Ignored90 = 90, "Ignored", SELF_DESCRIBING;
    Ignored91 = 91, "Ignored", SELF_DESCRIBING;
    SetDatabaseVersion = 92, "SetDbVersion", Fixed(14);
    Delta64 = 93, "Delta", Parts(58, &[44, 46]);
    ShrinkDatabase2 = 94, "ShrinkDB", Fixed(10);
    NewPage = 95, "NewPage", Fixed(20);
    RootPageMove = 96, "RootPageMove", Fixed(16);
    SignalAttachDatabase = 97, "SignalAttachDb", Fixed(2);
    ScanCheck2 = 98, "ScanCheck", Fixed(27);
    ShrinkDatabase3 = 99, "ShrinkDB", Fixed(18);
    ExtentFreed = 100, "ExtentFreed", Fixed(11);
    ExtentFreed2 = 101, "ExtentFreed", Fixed(19);
}

/// Length of the log record that starts these bytes; `None` for a kind this version does not know.
///
/// # Errors
/// [`Error::Malformed`] when the bytes end before the fields that say the length.
pub fn record_length(bytes: &[u8]) -> Result<Option<usize>, Error> {
    let fields = Fields::new(bytes, "a log record");
    let Some(kind) = RecordKind::from_byte(fields.u8(0)?) else {
        return Ok(None);
    };
    kind.length().of(&fields).map(Some)
}

/// What an administrator may call a record with this type byte.
pub fn record_name(byte: u8) -> &'static str {
    RecordKind::from_byte(byte).map_or("unknown", RecordKind::name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_its_own_kind_and_the_reserved_ones_say_their_length() {
        for byte in 0..=u8::MAX {
            assert!(RecordKind::from_byte(byte).is_none_or(|kind| kind as u8 == byte), "{byte}");
        }
        assert_eq!(RecordKind::ALL.len(), 95);
        for byte in (67..=75).chain(82..=91) {
            assert_eq!(record_length(&[byte, 9, 0, 0, 0]).unwrap(), Some(14), "{byte}");
        }
        assert_eq!(record_length(&[102, 9, 0, 0, 0]).unwrap(), None);
        assert_eq!(record_name(102), "unknown");
    }
}
