//! What the restored database lacks that the replaced one knew: the replaced one is the best witness of the gap.

use std::path::Path;

use certadm_ca::Reason;
use certadm_ca::health::unrecorded;
use certadm_files::Found;
use certadm_recovery::diff::{Change, Difference, diff};
use certadm_rules::finding::Finding;
use certadm_rules::words::counted;
use certadm_set::restore::Plan;
use certadm_set::scratch::Recovered;
use certadm_store::{Folder, Writer};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::Output;

/// So many of them are named.
const NAMED: usize = 20;

/// What was compared.
#[derive(Default)]
pub(super) struct Lacks {
    certificates: u64,
    revocations: u64,
    /// Certificates that differ; one may be lacking with its revocation.
    differences: u64,
    first: Vec<Difference>,
    /// Why the two could not be compared.
    problem: Option<String>,
}

/// What the restored database is compared with. It is recovered once for both: that may take long.
#[derive(Default)]
pub(super) struct Compared {
    /// What it lacks. `None` where it replaces no database.
    pub(super) lacks: Option<Lacks>,
    /// What the published CRL in the folder lists and it does not have as revoked. What keeps that from being told is no failure of
    /// the restore: the next CRL is compared all the same.
    pub(super) published: Vec<Finding>,
}

impl Compared {
    /// Compares after a restore. `aside` is where the database was moved that is replaced, a database that may be damaged.
    pub(super) fn after(plan: &Plan, aside: Option<&Path>, is_recovered: bool) -> Self {
        if aside.is_none() && !has_crls(plan) {
            return Self::default();
        }
        let lacks = |restored: &Connection, aside: &Path| {
            Lacks::between(|| {
                let database = Folder::new(aside).database_path()?;
                let replaced = Recovered::left(&Found::named(database))?;
                Lacks::compare(replaced.connection(), restored)
            })
        };
        let look = |restored: &Connection| {
            let lacks = aside.map(|aside| lacks(restored, aside));
            Ok(Self { lacks, published: published_alone(plan, restored) })
        };
        with_restored(plan, is_recovered, look).unwrap_or_else(|failure| Self {
            lacks: aside.map(|_| Lacks::between(|| Err(failure))),
            published: Vec::new(),
        })
    }

    /// The same before a restore, for a dry run: compares what is there with the database that its check has recovered.
    pub(super) fn would_be(plan: &Plan, restored: &Recovered) -> Self {
        let restored = restored.connection();
        let is_replaced = plan.folder.database_path().is_ok_and(|path| plan.in_the_way.contains(&path));
        let lacks = is_replaced
            .then(|| Lacks::between(|| Lacks::compare(Writer::open(&plan.folder)?.connection(), restored)));
        Self { lacks, published: published_alone(plan, restored) }
    }
}

fn published_alone(plan: &Plan, restored: &Connection) -> Vec<Finding> {
    match has_crls(plan) {
        true => unrecorded(restored, &plan.folder, &plan.database).unwrap_or_default(),
        false => Vec::new(),
    }
}

fn has_crls(plan: &Plan) -> bool {
    plan.folder.crl_dir().is_dir()
}

impl Lacks {
    /// A database that was replaced because it is damaged is no failure of the restore.
    fn between(compare: impl FnOnce() -> Result<Self, Failure>) -> Self {
        compare().unwrap_or_else(|failure| Self { problem: Some(failure.message), ..Self::default() })
    }

    fn compare(replaced: &Connection, restored: &Connection) -> Result<Self, Failure> {
        let mut lacks = Self::default();
        diff(replaced, restored, None, &mut |difference: Difference| {
            match difference.change {
                Change::Missing => {
                    lacks.certificates += 1;
                    lacks.revocations += u64::from(is_revoked(&difference));
                }
                // The earlier state has them revoked.
                Change::Unrevoked => lacks.revocations += 1,
                Change::Reason if difference.falls_back_to_hold() => lacks.revocations += 1,
                _ => return Ok(()),
            }
            lacks.differences += 1;
            if lacks.first.len() < NAMED {
                lacks.first.push(difference);
            }
            Ok(())
        })?;
        Ok(lacks)
    }

    /// Whether anything is lacking.
    fn is_something(&self) -> bool {
        self.differences != 0
    }

    /// A warning where revocations are lacking: certificates that were revoked are valid again.
    pub(super) fn warning(&self) -> Option<String> {
        (self.revocations != 0).then(|| {
            format!(
                "the restored database lacks {} of the one that it replaces; `certadm ca crl` enters those again that the published CRL \
                 lists, and `certadm ca revoke --list` the others",
                counted(self.revocations, "revocation")
            )
        })
    }

    /// `replaced` says where the replaced database is.
    pub(super) fn tell(&self, replaced: &Path, output: Output) {
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
            replaced.display()
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
            "Until they are revoked or have expired, these certificates stay valid: `certadm ca revoke` revokes those that the restored \
             database knows, and `certadm emergency-crl --revoke` lists the others in a CRL.",
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

/// What `look` gives of the restored database: that of the folder where it was recovered, else what the sets give.
fn with_restored<T>(
    plan: &Plan,
    is_recovered: bool,
    look: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    if is_recovered {
        look(Writer::open(&plan.folder)?.connection())
    } else {
        look(Recovered::of(&plan.sets)?.connection())
    }
}

/// Whether a certificate that is lacking was revoked.
fn is_revoked(difference: &Difference) -> bool {
    difference.reason.is_some_and(Reason::is_in_effect)
}
