//! Whether logs are those of one sequence, and of this database (codes: certbcli.md 9.2).

use std::collections::{BTreeSet, HashMap};

use certadm_rules::finding::{Finding, Kind, Spot};
use certadm_rules::names::last_component;

use crate::code::Code;
use crate::header::{DatabaseHeader, State};
use crate::log::LogHeader;
use crate::log::chain::ChainCodes;
use crate::stamps::Signature;

/// Databases named of a log; it may have more.
const MOST_NAMES: usize = 3;

/// What the signatures of all logs say.
pub(super) struct Judged {
    /// The logs are those of one sequence, so that gaps between them mean something.
    pub(super) alike: bool,
    /// The database is clean, and none of the logs is its own: they are left out.
    pub(super) left_out: bool,
    pub(super) findings: Vec<Finding>,
}

/// Judges the signatures of all logs together. `codes_of` gives the codes for one generation.
pub(super) fn judge(
    database: Option<&DatabaseHeader>,
    logs: &[&LogHeader],
    codes_of: impl Fn(u32) -> ChainCodes,
) -> Judged {
    let mut judged = Judged { alike: true, left_out: false, findings: Vec::new() };
    let own = database.map(DatabaseHeader::log_signature);
    let Some(first) = logs.first() else {
        return judged;
    };
    let agree = logs.iter().all(|log| log.signature == first.signature);
    let clean = database.is_some_and(|header| header.state() == State::CleanShutdown);
    if let Some(own) = own.filter(|own| agree && *own != first.signature) {
        if clean {
            let findings = vec![not_its_own(logs.len())];
            return Judged { alike: false, left_out: true, findings };
        }
        if !own.is_none() {
            let text = format!("the logs are of the sequence {}, the database of {own}", sequence(first));
            judged.findings.push(
                Finding::error(Kind::LogForeign, codes_of(first.generation).foreign_database, text)
                    .remedy("take the database and its logs from one CA, made after its last restore"),
            );
            return Judged { alike: false, ..judged };
        }
    }
    let reference = own
        .filter(|own| logs.iter().any(|log| log.signature == *own))
        .unwrap_or_else(|| most_common(logs).unwrap_or(first.signature));
    let one = logs.iter().find(|log| log.signature == reference);
    let reference_name = one.map(|log| sequence(log)).unwrap_or_default();
    for log in logs.iter().filter(|log| log.signature != reference) {
        judged.alike = false;
        let text = format!("it is of the sequence {}, the others of {reference_name}", sequence(log));
        judged.findings.push(
            Finding::error(Kind::LogForeign, codes_of(log.generation).foreign_log, text)
                .at(Spot::Log(log.generation))
                .remedy("take all logs from the backups of one CA, made after its last restore"),
        );
    }
    judged
}

fn most_common(logs: &[&LogHeader]) -> Option<Signature> {
    let mut counts: HashMap<Signature, usize> = HashMap::new();
    for log in logs {
        *counts.entry(log.signature).or_default() += 1;
    }
    logs.iter().map(|log| log.signature).max_by_key(|signature| counts.get(signature))
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

/// A log from before the database that is of another sequence than those from it on.
pub(super) fn from_before(log: &LogHeader, codes: ChainCodes) -> Finding {
    let text =
        format!("it is of the sequence {}, and from before the logs that the database needs", sequence(log));
    Finding::warning(Kind::LogForeign, text)
        .code(codes.foreign_log)
        .at(Spot::Log(log.generation))
        .remedy("take it out of the folder: it is from before a restore of this CA, or from another CA")
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
