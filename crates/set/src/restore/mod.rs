//! Restoring: everything is checked first, then the CA's files are exchanged in one step; the CA's next start recovers
//! (certbcli.md 9.1).
//!
//! 1. [`plan`] opens the sets and looks at the target. It reads no database and no log to its end.
//! 2. The files are copied into a staging folder inside the CA's folder and hashed on the way. What was copied is then
//!    recovered in a scratch copy and checked: SQLite's integrity check, and whether the database is of this CA. Until here
//!    the target is as it was, and a failure removes the staging folder.
//! 3. The restore is registered, what was there is moved aside, the staged files get their names by rename, and the
//!    registration is completed. A failure puts back what was moved aside.
//! 4. CRLs and certificates are put back where they are published, as far as there is room. No failure there undoes anything.
//!
//! [`Plan::check`] makes the same checks for a dry run, on the sets themselves.

mod check;
mod dynamic;
mod journal;
mod plan;
mod replaced;
mod stage;
mod swap;

use std::path::PathBuf;

use certadm_ca::identity::DatabaseIdentity;
use certadm_rules::registration::{MapArgument, Registration};
use certadm_rules::unc::{UncRoot, host_of};
use certadm_rules::{GenerationRange, RestoreType};
use certadm_session::restore::RestoreContext;

use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::scratch::Content;

pub use dynamic::dynamic_bytes;
pub use plan::{Options, Plan, check_target, plan};
pub use swap::{Abandoned, abandon};

/// What the checks found in the database that a restore gives.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What it holds.
    pub content: Content,
    /// Which CA it is of.
    pub identity: DatabaseIdentity,
    /// What a restore would not put back and is not needed for the CA to work. Of a restore that was carried out,
    /// [`Restored::warnings`] has it.
    pub warnings: Vec<String>,
}

/// What a restore did; recovery is the next start's.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The registered range.
    pub range: GenerationRange,
    /// Bytes copied.
    pub bytes: u64,
    /// Where files that were in the way are now: in folders `database` and `log` as they were.
    pub moved_aside: Option<PathBuf>,
    /// What the checks found.
    pub checked: Checked,
    /// What could not be put back and is not needed for the CA to work.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Carries the plan out. The sets are never touched, and the target only after every check. Killed while the files are
    /// exchanged, the CA does not start before the restore is repeated or given up ([`abandon`]); killed before, it
    /// starts as if nothing had been.
    ///
    /// # Errors
    /// 0x80070420 while the CA runs, [`Error::NoSpace`], [`Error::NotOneFileSystem`], [`Error::Damaged`] when a file is not
    /// what its manifest says or the recovered database is not sound, [`Error::Ca`] with 0xC800022B when it is another
    /// CA's, [`Error::Store`]. The target is then as it was; [`Error::NotPutBack`] says where it is not. Where the exchange
    /// itself fails, a restore that had waited until then is gone, and the CA does not start before one is made or given up.
    pub fn execute(&self, host: &str, progress: &mut dyn Progress) -> Result<Restored> {
        let names = self.names(host)?;
        // Before the context, so that its locks are released when the folders go away.
        let mut made = stage::MadeFolders::of(&self.folder)?;
        let mut context = RestoreContext::prepare(self.folder.clone(), names, RestoreType::Full);
        let outcome = self.execute_in(&mut context, progress);
        if matches!(outcome, Ok(_) | Err(Error::NotPutBack { .. })) {
            made.keep();
        }
        outcome
    }

    fn execute_in(&self, context: &mut RestoreContext, progress: &mut dyn Progress) -> Result<Restored> {
        context.own()?;
        self.check_target()?;
        let staging = stage::Staging::fill(self, progress)?;
        let checked = self.check_staged(&staging, progress)?;
        let moved_aside = swap::exchange(self, context, &staging)?;
        let warnings = dynamic::put_back(self, &staging);
        Ok(Restored { range: self.combined.range, bytes: self.bytes, moved_aside, checked, warnings })
    }

    fn names(&self, host: &str) -> Result<UncRoot> {
        let names = UncRoot::of_this_system(host).map_err(|_| Error::BadName { name: host.to_owned() })?;
        match host_of(&self.original) {
            Some(original) => {
                names.accepting(original).map_err(|_| Error::BadName { name: self.original.clone() })
            }
            None => Ok(names),
        }
    }

    fn registration(&self, range: GenerationRange, full: bool) -> Registration {
        let map = full.then(|| {
            vec![MapArgument {
                database: Some(self.original.clone()),
                new_database: Some(self.database.to_string_lossy().into_owned()),
            }]
        });
        Registration {
            map_count: i32::from(full),
            map,
            low: range.low().number(),
            high: range.high().number(),
            ..Registration::default()
        }
    }
}
