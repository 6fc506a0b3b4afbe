//! Which logs a recovery may not do without. Damage in these is an error, behind them it only ends the replay
//! (certbcli.md 9.2).

use certadm_rules::finding::{Finding, Kind, Severity, Spot};

use super::{LogInput, Plan};
use crate::error::Error;
use crate::log::LogFile;
use crate::log::chain::{ChainCodes, check_inside, generation_of_name};

impl Plan<'_> {
    pub(super) fn is_behind_the_range(&self, generation: u32) -> bool {
        let needed = self.required.map_or(0, |required| required.high);
        self.is_copy() && needed < generation && self.last_numbered.is_some_and(|high| high < generation)
    }

    /// True for logs in which damage only ends the replay.
    fn is_dispensable(&self, generation: u32) -> bool {
        self.is_behind_the_range(generation) || self.is_needless(generation)
    }

    /// Logs that a recovery may not do without: those the database needs, and all that a restore names.
    pub(super) fn is_mandatory(&self, generation: u32) -> bool {
        match self.required {
            Some(_) if self.is_copy() => !self.is_behind_the_range(generation),
            Some(required) => generation <= required.high,
            None => self.is_clean() && !self.is_needless(generation),
        }
    }

    /// Whether the engine went on to another log after this one, so that its end must be whole. The name of a log gets its
    /// number then, and a backup has only such logs (ese.md 11.2). The last log of a database that was in use may have been
    /// given its number by a person.
    fn is_closed(&self, generation: u32, last: u32) -> bool {
        let numbered = |(_, log): &(_, LogInput<'_>)| generation_of_name(log.name).is_some();
        generation < last
            || (self.codes() != ChainCodes::START && self.logs.get(&generation).is_some_and(numbered))
    }

    /// Size and inner state of one log. Damage behind the range of a restore only ends the replay.
    pub(super) fn judge_inside(&self, log: &LogFile, last: u32) -> Vec<Finding> {
        let generation = log.header().generation;
        let closed = self.is_closed(generation, last);
        let mut findings = check_inside(log, closed, self.codes_of(generation));
        if self.is_dispensable(generation) {
            for finding in &mut findings {
                finding.severity = finding.severity.min(Severity::Warning);
            }
        }
        findings
    }

    /// A record that cannot be read. Damage behind the range of a restore only ends the replay.
    pub(super) fn damaged_record(&self, generation: u32, error: &Error) -> Finding {
        let spot = error.spot().unwrap_or(Spot::Log(generation));
        let mut finding = error.to_finding(Kind::LogDamaged, Some(spot));
        if self.only_ends_the_replay(generation, error) {
            finding.severity = Severity::Warning;
        }
        finding.remedy("take this log from the backup again")
    }

    pub(super) fn only_ends_the_replay(&self, generation: u32, error: &Error) -> bool {
        matches!(error, Error::Log { .. }) && self.is_dispensable(generation)
    }
}
