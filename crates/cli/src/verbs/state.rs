//! A state of a CA that is looked at row by row: what a restore of sets would give, a database alone, or a CA that runs.

use std::path::PathBuf;

use certadm_ese::Database;
use certadm_ese::overlay::Overlay;
use certadm_ese::pager::FilePager;
use certadm_files::IoContext;
use certadm_recovery::{Damage, Inventory, WindowsInventory};
use certadm_rules::Hresult;
use certadm_rules::finding::{Finding, Kind, Severity};
use certadm_set::scratch::Recovered;
use certadm_set::signing::AllowedSigners;
use certadm_set::verify::{Report, verify};
use certadm_set::windows::{open_database, salvage_database};
use certadm_set::{Opened, Set};
use certadm_store::Writer;

use crate::failure::{Exit, Failure};
use crate::output::Output;

/// A database that can be read.
pub(super) enum State {
    Windows(Box<Database<Overlay<FilePager>>>, Damage),
    /// Recovered while it is looked at, and no longer: SQLite takes two databases over one image for the same, with one log,
    /// if one process has both open.
    Ours(Vec<Set>),
    Live(Box<Writer>),
}

/// What a check found of sets that are damaged, where that is accepted; and of sets that can be used the ones without a manifest.
pub(super) fn accepted(report: Report, damage: Damage) -> Result<Vec<Finding>, Failure> {
    if report.is_restorable() {
        // Those of a Windows CA have none by themselves.
        let ours = report.windows.is_none();
        return Ok(report
            .findings
            .iter()
            .filter(|finding| ours && finding.kind == Kind::Incomplete)
            .map(unsealed)
            .collect());
    }
    if damage == Damage::Accepted {
        return Ok(report.findings);
    }
    let code = report.findings.first().map_or(Hresult::DATABASE_CORRUPTED, |finding| finding.code);
    let first = report.findings.first().map(|finding| format!(": {finding}")).unwrap_or_default();
    Err(Failure {
        message: format!("{}{first}", report.verdict()),
        code: if code.is_failure() { code } else { Hresult::DATABASE_CORRUPTED },
        remedy: "run `certadm verify` on it and take another set; --force-damaged uses what can be read"
            .to_owned(),
        exit: Exit::Damaged,
        done: None,
        set: None,
    })
}

/// A set without a manifest may lack its last logs, and nothing tells. `verify` has a note of it, because `certadm seal` begins
/// with such sets; who uses what is in it is warned.
fn unsealed(note: &Finding) -> Finding {
    let mut warning = note.clone();
    warning.severity = Severity::Warning;
    warning.remedy("use a set that has its manifest, if there is one: this one may lack logs, with what was revoked in them")
}

impl State {
    /// Opens what lies at the paths: a full set and the log sets that continue it, a Windows database, or a CA's folder.
    /// Where signers are named, what none of them signed is refused, and so is a CA's folder: whoever can put files in the place
    /// of a set can make them look like one. Damage ends it, or is accepted: then what can be read is.
    pub(super) fn open(
        paths: &[PathBuf],
        allowed: Option<&AllowedSigners>,
        damage: Damage,
        found: &mut Vec<Finding>,
        output: Output,
    ) -> Result<Self, Failure> {
        for path in paths {
            std::fs::metadata(path).during("look at", path)?;
        }
        let mut progress = output.progress_on_stderr();
        let opened = certadm_set::open(paths)?;
        if let Some(allowed) = allowed {
            allowed.check_files(&opened, &mut progress)?;
        }
        Ok(match opened {
            Opened::Ours(sets) => Self::Ours(sets),
            Opened::Folder(folder) => Self::Live(Box::new(Writer::open(&folder)?)),
            Opened::Windows(sets) if damage == Damage::Refused => {
                Self::Windows(Box::new(open_database(&sets, &mut progress)?.database), damage)
            }
            Opened::Windows(sets) => {
                let salvaged = salvage_database(&sets, &mut progress)?;
                let mut lost = |kind, text: String| {
                    found.push(Finding::error(kind, Hresult::DATABASE_CORRUPTED, text));
                };
                if let Some(reason) = &salvaged.not_replayed {
                    lost(Kind::Replay, format!("not all of the logs were replayed: {reason}"));
                }
                let skipped = salvaged.database.skipped_pages();
                if skipped != 0 {
                    lost(Kind::DatabaseUnreadable, format!("{skipped} pages in use cannot be read"));
                }
                Self::Windows(Box::new(salvaged.database), damage)
            }
        })
    }

    /// Checks sets of our own as `certadm verify` does; every other kind was checked while it was opened. `paths` are those of
    /// [`State::open`]. Returns what is damaged, where that is accepted.
    pub(super) fn check(
        &self,
        paths: &[PathBuf],
        damage: Damage,
        output: Output,
    ) -> Result<Vec<Finding>, Failure> {
        if !matches!(self, Self::Ours(_)) {
            return Ok(Vec::new());
        }
        let report = verify(paths, &mut output.progress_on_stderr());
        certadm_files::cancel::check()?;
        accepted(report, damage)
    }

    /// Whether the CA is running, or can: its present is the present.
    pub(super) fn is_live(&self) -> bool {
        matches!(self, Self::Live(_))
    }

    /// Uses its rows. Two states are not to be used at once.
    pub(super) fn with<R, E: Into<Failure>>(
        &self,
        look: impl FnOnce(&dyn Inventory) -> Result<R, E>,
    ) -> Result<R, Failure> {
        let looked = match self {
            Self::Windows(database, damage) => {
                look(&WindowsInventory { database: database.as_ref(), damage: *damage })
            }
            Self::Ours(sets) => look(Recovered::of(sets)?.connection()),
            Self::Live(writer) => look(writer.connection()),
        };
        looked.map_err(Into::into)
    }
}
