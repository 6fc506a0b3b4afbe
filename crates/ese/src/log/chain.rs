//! Whether logs follow each other (ese.md 7; codes: certbcli.md 9.2).

use certadm_rules::finding::{Finding, Kind, Spot};

use crate::code::Code;
use crate::log::file::LogFile;
use crate::log::frames::LogEnd;
use crate::log::header::LogHeader;

/// The codes for a wrong log: the two columns of certbcli.md 9.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ChainCodes {
    pub(crate) missing: Code,
    pub(crate) foreign_log: Code,
    pub(crate) foreign_database: Code,
    pub(crate) link: Code,
    pub(crate) damaged: Code,
    pub(crate) torn: Code,
}

impl ChainCodes {
    /// For the logs of a backup copy, or logs without a database.
    pub(crate) const RESTORE: Self = Self {
        missing: Code::MISSING_RESTORE_LOGS,
        foreign_log: Code::GIVEN_LOG_BAD_SIGNATURE,
        foreign_database: Code::DATABASE_LOG_SET_MISMATCH,
        link: Code::GIVEN_LOG_NOT_CONTIGUOUS,
        damaged: Code::LOG_CORRUPT_IN_RESTORE,
        torn: Code::LOG_TORN,
    };

    /// For a log behind the range of a restore: found in the log directory, not part of the backup.
    pub(crate) const EXISTING: Self = Self {
        missing: Code::MISSING_CURRENT_LOGS,
        foreign_log: Code::EXISTING_LOG_BAD_SIGNATURE,
        link: Code::EXISTING_LOG_NOT_CONTIGUOUS,
        ..Self::RESTORE
    };

    /// For the logs of a database that was in use.
    pub(crate) const START: Self = Self {
        missing: Code::REQUIRED_LOGS_MISSING,
        foreign_log: Code::BAD_LOG_SIGNATURE,
        foreign_database: Code::BAD_DATABASE_SIGNATURE,
        link: Code::INVALID_LOG_SEQUENCE,
        damaged: Code::LOG_CORRUPT,
        torn: Code::LOG_CORRUPT,
    };
}

/// The generation that a log's file name stands for: `edb` and 5 or 8 hexadecimal digits before `.log`
/// (certbcli.md 8.5). `None` for `edb.log`, the current log, and for other names. Case is ignored, and folders before the name.
pub fn generation_of_name(name: &str) -> Option<u32> {
    let file = name.rsplit(['/', '\\']).next()?;
    let (stem, extension) = file.rsplit_once('.')?;
    let known = ["log", "jtx"].iter().any(|known| extension.eq_ignore_ascii_case(known));
    // The base name has three characters.
    let digits = stem.get(3..)?;
    let is_number = matches!(digits.len(), 5 | 8) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if !known || !is_number {
        return None;
    }
    u32::from_str_radix(digits, 16).ok()
}

/// Judges a log against its name.
pub(crate) fn check_name(name: &str, header: &LogHeader) -> Option<Finding> {
    let named = generation_of_name(name)?;
    (named != header.generation).then(|| {
        Finding::error(Kind::LogName, Code::LOG_GENERATION_MISMATCH, "its name is that of another generation")
            .in_file(name)
            .at(Spot::Log(header.generation))
            .remedy("give the file the name of its generation, or take it from the backup again")
    })
}

/// Judges a log against its predecessor's header: creation times must link. Signatures are judged over all logs at
/// once, because a single foreign one is another fault than a foreign database.
pub(crate) fn check_link(previous: &LogHeader, next: &LogHeader, codes: ChainCodes) -> Option<Finding> {
    if next.previous_created != previous.created {
        let text = format!(
            "its predecessor was created {}, but the one given was created {}",
            next.previous_created, previous.created
        );
        return Some(
            Finding::error(Kind::LogChain, codes.link, text)
                .at(Spot::Log(next.generation))
                .remedy("one of the two is an older copy of the same number: take both from one backup"),
        );
    }
    None
}

/// What of a log its successor is judged against, so that only one log at a time is in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Predecessor {
    generation: u32,
    segments_xor: u64,
}

impl Predecessor {
    pub(crate) fn of(log: &LogFile) -> Self {
        Self { generation: log.header().generation, segments_xor: log.segments_xor() }
    }

    /// Judges a successor's header against the contents of this log: the XOR of its segment checksums (version 8).
    pub(crate) fn check(self, next: &LogHeader, codes: ChainCodes) -> Option<Finding> {
        let follows = self.generation.checked_add(1) == Some(next.generation);
        let differs = next.has_previous_xor() && next.previous_xor != self.segments_xor;
        (follows && differs).then(|| {
            let text = "its contents are not those that its successor was made after";
            Finding::error(Kind::LogChain, codes.link, text)
                .at(Spot::Log(self.generation))
                .remedy("the log was cut short or changed: take it from the backup again")
        })
    }
}

/// Judges size and inner state of one log. `closed`: a later generation exists, so its end must be clean.
pub(crate) fn check_inside(log: &LogFile, closed: bool, codes: ChainCodes) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !log.has_stated_size() {
        let text = format!("the file should have {} bytes", log.header().file_size());
        findings.push(
            Finding::error(Kind::LogSize, Code::LOG_SIZE_MISMATCH, text)
                .at(Spot::Log(log.header().generation))
                .remedy("the copy was cut short or extended: take it from the backup again"),
        );
    }
    findings.extend(log.corrected().map(|(segment, bit)| {
        let text = format!("bit {} of byte {} of this segment is flipped", bit % 8, bit / 8);
        Finding::warning(Kind::FlippedBit, text)
            .code(codes.damaged)
            .at(Spot::from(segment))
            .remedy("reading corrects it, as the engine does; check the disk")
    }));
    let end = Spot::from(log.end_position());
    let damaged = |kind, code: Code, text: &str| {
        Finding::error(kind, code, text)
            .at(end)
            .remedy("take the log from another backup; without it only what lies before can be recovered")
    };
    match log.end() {
        LogEnd::Full | LogEnd::Reached => {}
        LogEnd::Torn(text) if closed => findings.push(damaged(Kind::LogTorn, codes.torn, text)),
        LogEnd::Torn(text) => findings.push(Finding::note(Kind::LogTorn, text).at(end)),
        LogEnd::Damaged(text) => findings.push(damaged(Kind::LogDamaged, codes.damaged, text)),
    }
    findings
}

impl LogFile {
    /// Judges size and end of this log alone, as that of a restore whose last log it may be.
    pub fn judge(&self) -> Vec<Finding> {
        check_inside(self, false, ChainCodes::RESTORE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_lengths_and_any_case() {
        assert_eq!(generation_of_name("edb0001a.log"), Some(0x1a));
        assert_eq!(generation_of_name("EDB0001A.LOG"), Some(0x1a));
        assert_eq!(generation_of_name("edb00100000.log"), Some(0x0010_0000));
        assert_eq!(generation_of_name("/sets/a/edb0001a.log"), Some(0x1a));
        for other in ["edb.log", "edbtmp.log", "edbres00001.jrs", "edb001.log", "", "é0001.log"] {
            assert_eq!(generation_of_name(other), None, "{other}");
            assert_eq!(generation_of_name(&format!("/sets/a/edb0001a.log/{other}")), None, "{other}");
        }
    }
}
