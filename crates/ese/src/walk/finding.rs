//! The faults of a walk as findings.

use certadm_rules::finding::{Finding, Kind, Severity, Spot};

use super::{Fault, Outcome, Problem};
use crate::code::Code;

/// What to do about what a lost write leaves behind.
const LOST: &str = "a lost write leaves this: check the disk, and take another backup or an older one";

impl Outcome {
    /// What is wrong, as findings.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<_> = self.faults.iter().map(finding).collect();
        if self.left_out != 0 {
            let text = format!("{} further faults of trees", self.left_out);
            findings.push(
                Finding::error(Kind::More, Code::DATABASE_CORRUPTED, text).remedy("take another backup"),
            );
        }
        findings
    }
}

fn finding(fault: &Fault) -> Finding {
    let problem = &fault.problem;
    let remedy = match problem {
        Problem::NeverWritten => {
            "what was on it is lost: take this file from another copy of the set, or use an older set"
        }
        Problem::Unreadable(_) => "check the disk, take another backup",
        Problem::ShadowCatalogRows => {
            "one of the two may be older: check the disk, and compare with `certadm verify` of another backup"
        }
        _ if problem.is_damage() => LOST,
        _ => "no row is lost; an offline defragmentation on Windows writes the database anew",
    };
    let mut finding = Finding::error(kind(problem), problem.code(), fault.to_string());
    if !problem.is_damage() {
        finding.severity = Severity::Warning;
    }
    finding.at(Spot::Page(fault.page)).remedy(remedy)
}

fn kind(problem: &Problem) -> Kind {
    match problem {
        Problem::NeverWritten => Kind::PageNotWritten,
        Problem::Unreadable(_) => Kind::PageChecksum,
        Problem::IndexCount { .. } | Problem::IndexRows | Problem::IndexValues => Kind::IndexMismatch,
        Problem::LongValueMissing { .. } | Problem::LongValueCut { .. } | Problem::LongValueCount { .. } => {
            Kind::LongValue
        }
        Problem::ShadowCatalog
        | Problem::ShadowCatalogRows
        | Problem::Objects
        | Problem::Unpaired { .. }
        | Problem::NoCertificate { .. } => Kind::TableMismatch,
        _ => Kind::Tree,
    }
}
