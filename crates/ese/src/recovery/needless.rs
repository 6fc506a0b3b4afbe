//! Logs that a recovery does without: what is wrong with them is told, and forbids nothing.

use certadm_rules::finding::{Finding, Kind, Severity, Spot};

use super::{Plan, signatures};
use crate::header::State;
use crate::log::chain::generation_of_name;

/// What to do about a log that nobody needs.
const REMEDY: &str =
    "the database does not need this log: take it from the backup again, or out of the folder";

impl Plan<'_> {
    /// True for a database that was closed in good order, which needs no log.
    pub(super) fn is_clean(&self) -> bool {
        self.header.as_ref().is_some_and(|header| header.state() == State::CleanShutdown)
    }

    /// True for logs that the database does not need, whatever is in them: those from before it, and of a clean one also the
    /// last log that there is, where it was closed in that log, or where its name has no number.
    pub(super) fn is_needless(&self, generation: u32) -> bool {
        let closed = self.start();
        if generation < closed {
            return true;
        }
        let is_last = self.logs.keys().next_back().is_none_or(|last| *last <= generation);
        let is_current = self.last_numbered.is_none_or(|last| last < generation);
        let was_read = self.logs.contains_key(&generation);
        self.is_clean() && is_last && (generation == closed || (is_current && was_read))
    }

    /// Makes a warning of an error about a log that the database does not need. What is damaged in such a log ends the replay
    /// at most; what makes it another log than it should be counts only where it is not replayed.
    pub(super) fn weighed(&self, mut finding: Finding) -> Finding {
        let is_damage = matches!(
            finding.kind,
            Kind::LogHeader | Kind::LogVersion | Kind::LogSize | Kind::LogTorn | Kind::LogDamaged
        );
        let is_needless = |generation: u32| match is_damage {
            true => self.is_needless(generation),
            false => generation < self.start(),
        };
        let generation = finding.place.spot.and_then(Spot::generation);
        // A log that has the name of another one may stand in the place of one that is needed.
        let named = finding.place.file.as_deref().and_then(|file| generation_of_name(file.to_str()?));
        if finding.severity == Severity::Error
            && finding.kind != Kind::LogMissing
            && generation.is_some_and(is_needless)
            && named.is_none_or(is_needless)
        {
            finding.severity = Severity::Warning;
            finding = finding.remedy(REMEDY);
        }
        finding
    }

    /// A finding about a log, with the name of the file that the log was read from: other files may have its number in
    /// their name.
    pub(super) fn in_its_file(&self, finding: Finding) -> Finding {
        let generation = finding.place.spot.and_then(Spot::generation);
        let log = generation.and_then(|generation| self.logs.get(&generation));
        match log.filter(|_| finding.place.file.is_none()) {
            Some((_, log)) => finding.in_file(log.name),
            None => finding,
        }
    }

    /// Takes out logs from before the database that are of another sequence than those from it on: they are from before a
    /// restore. The findings say which.
    pub(super) fn leave_out_older_sequences(&mut self) -> Vec<Finding> {
        let start = self.start();
        let Some((used, _)) = self.logs.range(start..).next().map(|(_, log)| log) else { return Vec::new() };
        let used = used.signature;
        let is_older = |generation: u32, signature| generation < start && signature != used;
        let left_out: Vec<Finding> = self
            .logs
            .iter()
            .filter(|(generation, (header, _))| is_older(**generation, header.signature))
            .map(|(_, (header, log))| signatures::from_before(header, self.codes()).in_file(log.name))
            .collect();
        self.logs.retain(|generation, (header, _)| !is_older(*generation, header.signature));
        left_out
    }
}
