//! A set of a Windows CA, recovered: its logs are replayed into a clean copy of its database; and what stands beside it.

use std::path::Path;

use certadm_ese::Database;
use certadm_ese::pager::FilePager;
use certadm_files::Found;
use certadm_files::IoContext;
use certadm_identity::{Part, found_at};
use certadm_recovery::complete::{Component, Facts, Question, State, Verdict};
use certadm_recovery::{Issuers, Records};
use certadm_rules::Hresult;
use certadm_set::Opened;
use certadm_set::progress::Progress;
use certadm_set::windows::{WindowsSet, recover};

use crate::error::{Error, Result};
use crate::latest::Chain;
use crate::step::{Notes, Trouble};
use crate::wishes::Wishes;

/// The clean copy, open for reading.
pub(crate) struct Windows {
    pub(crate) database: Database<FilePager>,
}

impl Windows {
    pub(crate) fn recover(
        sets: &[WindowsSet],
        dir: &Path,
        progress: &mut dyn Progress,
        notes: &mut Notes,
    ) -> Result<Self, Trouble> {
        let recovered = recover(sets, dir, progress).map_err(Error::from)?;
        notes.detail = match recovered.outcome.reached.is_none() {
            true => "the database was clean and needed no log; every page of the copy was checked".to_owned(),
            false => format!(
                "{} records were replayed up to {}; every page of the copy was checked",
                recovered.outcome.counts.records, recovered.outcome.reached
            ),
        };
        notes.findings.extend(recovered.outcome.findings);
        let file = Found::named(&recovered.database);
        let pager = FilePager::new(file.open()?).during("look at", &recovered.database)?;
        Ok(Self { database: Database::open(pager)? })
    }

    /// Whether what the CA needs beside its database is in an identity part, by the rules of `certadm complete`. Its key has steps of
    /// its own.
    pub(crate) fn complete(
        &self,
        chain: &Chain,
        wishes: &Wishes,
        (records, issuers): (&Records, &Issuers),
        notes: &mut Notes,
    ) -> Result<(), Trouble> {
        let parts = parts(chain, wishes)?;
        if parts.is_empty() {
            return Err(Trouble::skipped(
                match wishes.allowed_signers {
                    Some(_) => {
                        "no signature speaks for what stands beside the set, so nothing was looked at but the database"
                    }
                    None => "no identity part is beside the set, so nothing was looked at but the database",
                },
                "fetch it with certadm identity, or attach an export of the configuration with certadm attach --registry; --identity DIR names one that is elsewhere",
            ));
        }
        notes.findings.extend(parts.iter().flat_map(Part::check));
        let facts = Facts::of_windows(&self.database, wishes.now)?;
        let first = match &chain.opened {
            Opened::Windows(sets) => sets.first(),
            Opened::Ours(_) | Opened::Folder(_) => None,
        };
        let locations = first.and_then(|set| set.read_locations().ok().flatten());
        let verdict = Verdict::on(&Question {
            records,
            issuers,
            facts: &facts,
            source: chain.paths.first().map(|path| path.display().to_string()).unwrap_or_default(),
            original: locations.as_ref().and_then(|list| list.database()).map(str::to_owned),
            parts: &parts,
            keys: &[],
            now: wishes.now,
        });
        let judged =
            || verdict.components.iter().filter(|component| !["key", "database"].contains(&component.id));
        let needed = || judged().filter(|component| component.needed);
        let contradiction = judged().flat_map(|component| &component.checks).find(|check| check.contradicts);
        if let Some(check) = contradiction {
            let remedy = check.remedy.clone().unwrap_or_default();
            return Err(Trouble::fail(Hresult::ERROR_INVALID_DATA, check.detail.clone(), remedy));
        }
        let missing: Vec<String> = needed().filter_map(fault).collect();
        if !missing.is_empty() {
            let remedy = "look at it with certadm complete, which says what to do about each";
            return Err(Trouble::skipped(missing.join("; "), remedy));
        }
        let there: Vec<&str> =
            needed().filter(|component| component.state == State::Present).map(|one| one.name).collect();
        notes.detail = format!("beside the database: {}", there.join(", "));
        Ok(())
    }
}

/// What is wrong with something that the CA needs.
fn fault(component: &Component) -> Option<String> {
    let bad = component.checks.iter().find(|check| check.ok == Some(false));
    match (bad, component.state) {
        (Some(check), _) => Some(format!("{}: {}", component.name, check.detail)),
        (None, State::Absent | State::CannotTell) => Some(format!("{}: {}", component.name, component.state)),
        (None, _) => None,
    }
}

/// The identity part that was named, or those in and beside the sets, unless signatures are asked for.
fn parts(chain: &Chain, wishes: &Wishes) -> Result<Vec<Part>, Trouble> {
    let dirs: Vec<_> = match &wishes.identity {
        Some(dir) => found_at(dir),
        None if wishes.allowed_signers.is_some() => Vec::new(),
        None => chain.paths.iter().flat_map(|path| found_at(path)).collect(),
    };
    let open = |dir: &std::path::PathBuf| {
        Part::open(dir).map_err(|error| {
            let remedy = "take the folder Identity from another copy of the set";
            Trouble::fail(Hresult::ERROR_INVALID_DATA, error.to_string(), remedy)
        })
    };
    dirs.iter().map(open).collect()
}
