//! `certadm prune`: old sets in a folder go by the rules of `repository expire`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use certadm_rehearsal::Proof;
use certadm_rehearsal::evidence::{Folder, Kept};
use certadm_rules::finding::{Finding, Kind, Severity};
use certadm_rules::words::{counted, shell_word};
use certadm_set::folder::{FolderSet, Listed};
use certadm_set::nearby;
use certadm_set::prune::Prune;
use certadm_set::retain::Fate;
use clap::Args;
use serde_json::{Value, json};

use super::sets::{left_out, line, to_json};
use crate::failure::{Exit, Failure};
use crate::output::{Done, Output, path_text};
use crate::verbs::keep::KeepArgs;
use crate::{findings, interrupt};

/// `certadm prune`
#[derive(Debug, Args)]
#[command(
    after_help = "Example: certadm prune /backup --keep-last 2 --keep-daily 14 --keep-monthly 12 --dry-run\n\
    Whatever the rules, it never deletes what a kept set needs, the newest state or the newest proven one.\n\
    For a repository there is `certadm repository expire`."
)]
pub(crate) struct PruneArgs {
    /// The folder in which the sets lie
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    keep: KeepArgs,
    /// The folder of evidence of rehearsals: what they proved counts as proven. Can be given several times
    #[arg(long, value_name = "DIR")]
    evidence: Vec<PathBuf>,
    /// Delete nothing, and say of each set which rules keep it
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &PruneArgs, output: Output) -> Result<Done, Failure> {
    refuse_vault(&args.dir)?;
    let mut proven = BTreeSet::new();
    for dir in &args.evidence {
        proven.extend(proven_by(dir)?);
    }
    interrupt::watch();
    let mut is_proven = |set: &FolderSet| {
        !proven.is_empty() && set.manifest_sha256().is_some_and(|hash| proven.contains(&hash))
    };
    let now = certadm_store::now().unix_seconds();
    let prune = Prune::plan(&args.dir, &args.keep.get().unwrap_or_default(), &mut is_proven, now)?;
    tell(&prune, args.dry_run, output);
    let mut deleted = BTreeSet::new();
    let carried_out = prune.check().and_then(|()| match args.dry_run {
        true => Ok(Vec::new()),
        false => prune.carry_out(&mut |set| {
            output.line(format!("Deleted {}.", set.path.display()));
            deleted.insert(set.path.clone());
        }),
    });
    let (removed, failed) = match carried_out {
        Ok(removed) => (removed, None),
        Err(error) => (Vec::new(), Some(Failure::from(error))),
    };
    for path in &removed {
        output.line(format!("Removed {}, which a process that is gone has left.", path.display()));
    }
    let found = found(&prune);
    findings::print(&found, output);
    let sets: Vec<Value> = prune
        .fates()
        .iter()
        .map(|fate| {
            let mut set = to_json(&fate.set);
            set["path"] = json!(path_text(&fate.set.path));
            set["kept_by"] = json!(fate.kept_by);
            set["deleted"] = json!(deleted.contains(&fate.set.path));
            set
        })
        .collect();
    let exit = if found.iter().any(|finding| finding.severity != Severity::Note) {
        Exit::Finding
    } else {
        Exit::Good
    };
    let result = json!({
        "dry_run": args.dry_run,
        "dir": path_text(prune.dir()),
        "sets": sets,
        "removed": removed.iter().map(|path| path_text(path)).collect::<Vec<_>>(),
        "findings": findings::list(&found),
    });
    Done { exit, result }.unless(failed)
}

fn tell(prune: &Prune, dry_run: bool, output: Output) {
    let goes = |fate: &&Fate<FolderSet>| fate.kept_by.is_empty();
    output.result(format!(
        "{}: {} of {} {}.",
        prune.dir().display(),
        prune.fates().iter().filter(goes).count(),
        counted(prune.fates().len() as u64, "set"),
        if dry_run { "would be deleted" } else { "to be deleted" },
    ));
    if prune.fates().is_empty()
        && let Some(below) = nearby::with_sets_in(prune.dir())
    {
        output.result(format!("Sets lie in {}.", below.display()));
    }
    for fate in prune.fates() {
        let why = match fate.kept_by.as_slice() {
            [] => "goes".to_owned(),
            rules => format!("kept: {}", rules.join(", ")),
        };
        output.result(format!("{}  {why}", line(&fate.set)));
    }
}

/// What nobody should overlook: sets that were not judged, and sets that stay because something strange lies in them.
fn found(prune: &Prune) -> Vec<Finding> {
    let Listed { unsealed, unreadable, .. } = prune.listed();
    let mut found = left_out(unsealed, unreadable, "it stays");
    for (set, stranger) in prune.strangers() {
        let text = format!("it is not of the set {}, which would go: the set stays", set.display());
        let finding = Finding::warning(Kind::UnknownFile, text).in_file(stranger.clone());
        found.push(finding.remedy("move it elsewhere, or delete the set by hand"));
    }
    found
}

/// SHA-256 of the manifests that rehearsals have proven.
fn proven_by(dir: &Path) -> Result<BTreeSet<String>, Failure> {
    if !dir.is_dir() {
        let text = format!("{} is not there, or no folder", dir.display());
        return Err(Failure::usage(text, "name the folder that `rehearse --evidence` has written"));
    }
    let is_proof = |kept: &Kept| kept.evidence.verdict.proof != Proof::NotProven;
    let all = Folder::at(dir).all()?;
    let sets = all.into_iter().filter(is_proof).flat_map(|kept| kept.evidence.set.paths);
    Ok(sets.filter_map(|set| set.manifest_sha256).collect())
}

/// Who names a vault is told the right verb.
fn refuse_vault(dir: &Path) -> Result<(), Failure> {
    #[cfg(feature = "repository")]
    if super::places::address(dir)?.is_some() {
        let remedy = format!("run `certadm repository expire {}`", shell_word(dir.display()));
        return Err(Failure::usage("prune is for folders of sets", remedy));
    }
    let _ = dir;
    Ok(())
}
