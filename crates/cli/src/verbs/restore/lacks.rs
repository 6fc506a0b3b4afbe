//! What the restored database lacks that the replaced one knew: the replaced one is the best witness of the gap.

use std::path::Path;

use certadm_ca::Reason;
use certadm_files::Found;
use certadm_recovery::diff::{Change, Difference, diff};
use certadm_rules::words::counted;
use certadm_set::restore::Plan;
use certadm_set::scratch::Recovered;
use certadm_store::{Folder, Writer};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::Output;

/// So many of them are named.
const NAMED: usize = 20;

/// What was compared.
pub(super) struct Lacks {
    certificates: u64,
    revocations: u64,
    /// Certificates that differ; one may be lacking with its revocation.
    differences: u64,
    first: Vec<Difference>,
    /// Why the two could not be compared.
    problem: Option<String>,
}

impl Lacks {
    /// Compares the database that was moved aside with the restored one: that of the folder where it was recovered, else
    /// what the sets give. A database that was replaced because it is damaged is no failure of the restore.
    pub(super) fn of(plan: &Plan, aside: &Path, is_recovered: bool) -> Self {
        let mut lacks =
            Self { certificates: 0, revocations: 0, differences: 0, first: Vec::new(), problem: None };
        if let Err(failure) = lacks.compare(plan, aside, is_recovered) {
            lacks.problem = Some(failure.message);
        }
        lacks
    }

    fn compare(&mut self, plan: &Plan, aside: &Path, is_recovered: bool) -> Result<(), Failure> {
        let database = Folder::new(aside).database_path()?;
        let replaced = Recovered::left(&Found::named(database))?;
        let mut visit = |difference: Difference| {
            match difference.change {
                Change::Missing => {
                    self.certificates += 1;
                    self.revocations += u64::from(is_revoked(&difference));
                }
                // The earlier state has them revoked.
                Change::Unrevoked => self.revocations += 1,
                Change::Reason if difference.falls_back_to_hold() => self.revocations += 1,
                _ => return Ok(()),
            }
            self.differences += 1;
            if self.first.len() < NAMED {
                self.first.push(difference);
            }
            Ok(())
        };
        if is_recovered {
            let restored = Writer::open(&plan.folder)?;
            diff(replaced.connection(), restored.connection(), None, &mut visit)?;
        } else {
            let restored = Recovered::of(&plan.sets)?;
            diff(replaced.connection(), restored.connection(), None, &mut visit)?;
        }
        Ok(())
    }

    /// Whether anything is lacking.
    fn is_something(&self) -> bool {
        self.differences != 0
    }

    pub(super) fn tell(&self, aside: &Path, output: Output) {
        if let Some(problem) = &self.problem {
            output.line(format!("What the replaced database knew cannot be told: {problem}."));
            return;
        }
        if !self.is_something() {
            output.line("The restored database lacks no certificate and no revocation of the replaced one.");
            return;
        }
        output.result(format!(
            "The restored database lacks {} and {} of the replaced one, which is in {}:",
            counted(self.certificates, "certificate"),
            counted(self.revocations, "revocation"),
            aside.display()
        ));
        for difference in &self.first {
            let (what, reason) = match (difference.change, difference.reason) {
                (Change::Missing, Some(reason)) if is_revoked(difference) => {
                    ("revoked certificate", format!(" ({reason})"))
                }
                (Change::Missing, _) => ("certificate", String::new()),
                (Change::Reason, _) => ("revocation for good of", " (on hold now)".to_owned()),
                _ => ("revocation of", String::new()),
            };
            let name = difference.common_name.as_deref().unwrap_or("no common name");
            output.result(format!("  {what} {}, {name}{reason}", difference.serial_number));
        }
        let more = self.differences.saturating_sub(self.first.len() as u64);
        if more != 0 {
            output.result(format!("  and {more} more"));
        }
        output.result(
            "Until they are revoked or have expired, these certificates stay valid: `certadm emergency-crl --revoke` \
             lists them in a CRL.",
        );
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "certificates": self.certificates,
            "revocations": self.revocations,
            "first": self.first,
            "problem": self.problem,
        })
    }
}

/// Whether a certificate that is lacking was revoked.
fn is_revoked(difference: &Difference) -> bool {
    difference.reason.is_some_and(Reason::is_in_effect)
}
