//! The length of every record type (ese.md 8.4).

use crate::bytes::{Fields, index};
use crate::error::Error;

/// Length of the log record that starts these bytes; `None` for a type this version does not know.
///
/// # Errors
/// [`Error::Malformed`] when the bytes end before the fields that say the length.
pub fn record_length(bytes: &[u8]) -> Result<Option<usize>, Error> {
    let fields = Fields::new(bytes, "a log record");
    let half = |offset| fields.u16(offset).map(usize::from);
    let word = |offset| fields.u32(offset).map(index);
    let sum = |base: usize, offsets: &[usize]| -> Result<usize, Error> {
        let mut total = base;
        for offset in offsets {
            total += half(*offset)?;
        }
        Ok(total)
    };
    let length = match fields.u8(0)? {
        0 | 4 | 17 | 23 => 1,
        1 => 568,
        49 => 576,
        2 | 18 => 18,
        50 | 52 | 80 => 26,
        5..=7 | 21 | 79 => 4,
        8 | 9 | 53 => 8,
        10 => 7,
        11..=13 => 11,
        14 => {
            let version = if fields.u8(42)? & 4 != 0 { 4 } else { 0 };
            sum(43 + version, &[40])?
        }
        15 => sum(75, &[72])?,
        16 => sum(7, &[4])?,
        51 => 9,
        19 | 20 | 45 | 59 => sum(3, &[1])?,
        22 | 46 | 61 => sum(5, &[3])?,
        24 => 56,
        25 => 48,
        26 => 60,
        58 => 68,
        27 => sum(102, &[96, 98, 100])?,
        62 => sum(110, &[96, 98, 100])?.saturating_add(word(106)?),
        28 => sum(88, &[86])?,
        63 => sum(96, &[86])?.saturating_add(word(92)?),
        29 => sum(50, &[44, 46, 48])?,
        30 => sum(48, &[44, 46])?,
        31 => sum(52, &[44, 46])?,
        32 | 35 => 44,
        33 | 34 => 50 + (half(44)? & 0x7FFF),
        36 => sum(56, &[44, 46, 54])?,
        37 => sum(54, &[44, 46])?,
        93 => sum(58, &[44, 46])?,
        38 | 48 => sum(46, &[44])?,
        39 => sum(51, &[44, 46])?,
        42 => 22,
        54 => 7usize.saturating_add(word(3)?),
        55 | 57 => 3,
        60 => sum(35, &[33])?,
        64 => sum(54, &[52])?,
        65 => 96usize.saturating_add(word(88)?).saturating_add(word(92)?),
        66 => 46,
        67..=75 | 82..=91 => 5usize.saturating_add(word(1)?),
        76 => sum(7, &[5])?,
        77 => sum(3, &[1])?,
        78 | 81 | 94 => 10,
        99 => 18,
        92 => 14,
        95 => 20,
        96 => 16,
        97 => 2,
        98 => 27,
        100 => 11,
        101 => 19,
        _ => return Ok(None),
    };
    Ok(Some(length))
}

/// What an administrator may call a record of this type.
pub fn record_name(kind: u8) -> &'static str {
    match kind {
        0 => "Nop",
        1 | 49 => "Init",
        2 | 50 => "Term",
        4 => "End",
        5 => "Begin",
        6 => "Commit",
        7 => "Rollback",
        8 => "Begin0",
        53 => "BeginDT",
        9 => "Commit0",
        10 => "Refresh",
        11 => "MacroBegin",
        12 => "MacroCommit",
        13 => "MacroAbort",
        14 => "CreateDB",
        15 => "AttachDB",
        16 => "DetachDB",
        17 | 51 => "RecoveryUndo",
        18 | 52 | 80 => "RecoveryQuit",
        21 => "JetOp",
        22 => "Trace",
        61 => "ForceLogRollover",
        23 => "ShutDownMark",
        24 => "CreateMultipleExtentFDP",
        25 => "CreateSingleExtentFDP",
        26 | 58 => "ConvertFDP",
        27 | 62 => "Split",
        28 | 63 => "Merge",
        29 => "Insert",
        30 => "FlagInsert",
        31 => "FlagInsertAndReplaceData",
        32 => "FlagDelete",
        33 => "Replace",
        34 => "ReplaceD",
        35 => "Delete",
        36 => "UndoInfo",
        37 | 93 => "Delta",
        38 => "SetExternalHeader",
        39 => "Undo",
        42 => "Checksum",
        45 | 59 => "ExtRestore",
        46 | 60 | 19 | 20 => "Backup",
        48 => "EmptyTree",
        54 => "PrepCommit",
        55 => "PrepRollback",
        57 => "ForceWriteLog",
        64 => "Scrub",
        65 => "PageMove",
        66 => "PagePatchRequest",
        67 | 73 => "MacroInfo",
        68 => "ExtendDB",
        69 => "CommitCtx",
        70 | 98 => "ScanCheck",
        71 => "Nop2",
        72 => "ReAttach",
        74 => "FreeFDP",
        75 | 82..=91 => "Ignored",
        76 | 77 => "Fragment",
        78 | 94 | 99 => "ShrinkDB",
        79 => "CreateDBFinish",
        81 => "TrimDB",
        92 => "SetDbVersion",
        95 => "NewPage",
        96 => "RootPageMove",
        97 => "SignalAttachDb",
        100 | 101 => "ExtentFreed",
        _ => "unknown",
    }
}
