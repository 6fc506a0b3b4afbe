//! Whether logs are those of one sequence, and of this database (codes: certbcli.md 9.2).

use std::collections::BTreeSet;

use certadm_rules::finding::{Finding, Kind, Spot};
use certadm_rules::names::last_component;

use super::Plan;
use crate::code::Code;
use crate::header::{DatabaseHeader, State};
use crate::stamps::Signature;
use crate::log::LogHeader;
use crate::log::chain::ChainCodes;

/// Databases named of a log; it may have more.
const MOST_NAMES: usize = 3;

impl Plan<'_> {
    /// Judges the signatures of all logs together; true where they are those of one sequence, so that gaps between them
    /// mean something. Logs that a clean database does not need and that are not its own are left out.
    pub(super) fn judge_signatures(&mut self) -> bool {
        let own = self.header.as_ref().map(DatabaseHeader::log_signature);
        let Some((first, _)) = self.logs.values().next() else {
            return true;
        };
        let first = first.clone();
        let agree = self.logs.values().all(|(header, _)| header.signature == first.signature);
        let clean = self.header.as_ref().is_some_and(|header| header.state() == State::CleanShutdown);
        if let Some(own) = own.filter(|own| agree && *own != first.signature) {
            if clean {
                self.foreign = self.logs.len();
                self.logs.clear();
                self.findings.push(not_its_own(self.foreign));
                return false;
            }
            if !own.is_none() {
                let text =
                    format!("the logs are of the sequence {}, the database of {own}", sequence(&first));
                self.findings.push(
                    Finding::error(Kind::LogForeign, self.codes().foreign_database, text)
                        .remedy("take the database and its logs from one CA, made after its last restore"),
                );
                return false;
            }
        }
        let reference = own
            .filter(|own| self.logs.values().any(|(header, _)| header.signature == *own))
            .unwrap_or_else(|| self.most_common().unwrap_or(first.signature));
        let one = self.logs.values().find(|(header, _)| header.signature == reference);
        let reference_name = one.map(|(header, _)| sequence(header)).unwrap_or_default();
        let mut found = Vec::new();
        for (generation, (header, _)) in &self.logs {
            if header.signature != reference {
                let text =
                    format!("it is of the sequence {}, the others of {reference_name}", sequence(header));
                found.push(
                    Finding::error(Kind::LogForeign, self.codes_of(*generation).foreign_log, text)
                        .at(Spot::Log(*generation))
                        .remedy("take all logs from the backups of one CA, made after its last restore"),
                );
            }
        }
        let alike = found.is_empty() && !self.findings.iter().any(|known| known.kind == Kind::LogForeign);
        self.findings.extend(found);
        alike
    }

    fn most_common(&self) -> Option<Signature> {
        let all: Vec<_> = self.logs.values().map(|(header, _)| header.signature).collect();
        let count = |signature: &Signature| all.iter().filter(|other| *other == signature).count();
        all.iter().copied().max_by_key(count)
    }
}

/// A clean database with the logs of another one.
pub(super) fn not_its_own(logs: usize) -> Finding {
    let logs = match logs {
        1 => "the log given is not its own and was".to_owned(),
        logs => format!("the {logs} logs given are not its own and were"),
    };
    let text = format!("the database is clean and needs no log; {logs} not replayed");
    Finding::warning(Kind::LogForeign, text)
        .code(Code::ATTACHED_DATABASE_MISMATCH)
        .remedy("keep these logs apart from it: Windows refuses them together")
}

/// Logs of one generation that two sequences have.
pub(super) fn two_sequences(one: &LogHeader, other: &LogHeader, codes: ChainCodes) -> Finding {
    let text = format!(
        "two logs have this generation, one of the sequence {}, the other of {}",
        sequence(one),
        sequence(other)
    );
    Finding::error(Kind::LogForeign, codes.foreign_log, text)
        .at(Spot::Log(other.generation))
        .remedy("take all logs from the backups of one CA, made after its last restore")
}

/// The sequence of a log for a person: its signature, and the databases that were open.
fn sequence(log: &LogHeader) -> String {
    let names: BTreeSet<&str> = log
        .attachments
        .iter()
        .filter_map(|attachment| attachment.names.split('|').next())
        .map(|path| last_component(path.trim()))
        .filter(|name| !name.is_empty())
        .take(MOST_NAMES)
        .collect();
    if names.is_empty() {
        return log.signature.to_string();
    }
    let names: Vec<_> = names.into_iter().collect();
    format!("{} ({})", log.signature, names.join(", "))
}
