//! `certadm repository extend-locks` and `undelete`: objects that nobody can delete before their time, and the way back after a
//! deletion that only hid them.

use std::path::PathBuf;

use certadm_repository::{CaRepository, LockEnd, LockEnds};
use certadm_rules::diagnosis::chain_of;
use certadm_rules::finding::{Finding, Kind};
use certadm_rules::words::{counted, shell_word};
use certadm_rules::{Diagnosis, FileTime};
use clap::Args;
use serde_json::{Value, json};

use super::named::{each, repositories, repository};
use crate::failure::{Exit, Failure};
use crate::interrupt;
use crate::output::{Done, Output};
use crate::verbs::each::Each;
use crate::verbs::until::moment;

#[derive(Debug, Args)]
pub(crate) struct ExtendLocksArgs {
    /// The repository vault:CA, or all of a vault
    #[arg(value_name = "ADDRESS")]
    repository: PathBuf,
    /// Lock nothing, and say what would be locked
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn extend(args: &ExtendLocksArgs, output: Output) -> Result<Done, Failure> {
    let (_, addresses) = repositories(&args.repository)?;
    interrupt::watch();
    let Each { results, failed } =
        each(&addresses, output, |repository| extend_one(repository, args.dry_run, output));
    Done::good(json!({ "dry_run": args.dry_run, "repositories": results })).unless(failed)
}

fn extend_one(repository: &CaRepository, dry_run: bool, output: Output) -> Result<Value, Failure> {
    let extended = repository.extend_locks(dry_run)?;
    let earliest = moment_of(extended.earliest);
    output.result(format!(
        "{}: the sets need {}; {} of them {} longer. The first lock ends {}.",
        repository.address(),
        counted(extended.objects, "object"),
        extended.extended,
        if dry_run { "would be locked" } else { "are locked" },
        earliest.as_deref().unwrap_or("at no time"),
    ));
    Ok(json!({
        "repository": repository.address(),
        "objects": extended.objects,
        "extended": extended.extended,
        "earliest_end": earliest,
    }))
}

/// When the locks end. What keeps that from being told is a finding: the check has found other things, which must be told, too.
pub(super) fn ends(repository: &CaRepository) -> Result<(Option<LockEnds>, Option<Finding>), Failure> {
    let error = match repository.lock_ends() {
        Ok(ends) => return Ok((ends, None)),
        Err(error) => error,
    };
    let (text, remedy) =
        (format!("when the locks end cannot be told: {}", chain_of(&error)), error.remedy().into_owned());
    let failure = Failure::from(error);
    if matches!(failure.exit, Exit::Interrupted | Exit::Terminated) {
        return Err(failure);
    }
    Ok((None, Some(Finding::warning(Kind::LockEnds, text).in_file(repository.address()).remedy(remedy))))
}

/// What `repository check` says of locks that nobody has prolonged.
pub(super) fn neglected(ends: &LockEnds, repository: &str) -> Vec<Finding> {
    let finding = |end: &LockEnd| {
        let set = format!("the {} set {}", end.point.kind, end.point.short_id());
        let text = match (end.unlocked, moment_of(end.earliest)) {
            (0, earliest) => {
                format!("the first lock of what {set} needs ends {}", earliest.unwrap_or_default())
            }
            (unlocked, _) => format!(
                "{unlocked} of the {} that {set} needs have no lock: whoever may write can hide or delete them for good",
                counted(end.objects, "object")
            ),
        };
        Finding::warning(Kind::LockEnds, text).in_file(repository).remedy(format!(
            "run `certadm repository extend-locks {}`, each night after the backup",
            shell_word(repository)
        ))
    };
    ends.neglected().map(finding).collect()
}

/// When the first of all locks ends.
pub(super) fn first_end(ends: &LockEnds) -> Option<String> {
    moment_of(ends.sets.iter().filter_map(|end| end.earliest).min())
}

/// When the locks end, as JSON has it.
pub(super) fn ends_to_json(ends: &LockEnds) -> Value {
    let set = |end: &LockEnd| {
        json!({
            "id": end.point.id,
            "objects": end.objects,
            "unlocked": end.unlocked,
            "earliest_end": moment_of(end.earliest),
        })
    };
    json!({ "days": ends.days, "sets": ends.sets.iter().map(set).collect::<Vec<_>>() })
}

fn moment_of(seconds: Option<i64>) -> Option<String> {
    seconds.map(|seconds| FileTime::from_unix_seconds(seconds).to_rfc3339())
}

#[derive(Debug, Args)]
pub(crate) struct UndeleteArgs {
    /// The repository: vault:CA
    #[arg(value_name = "ADDRESS")]
    repository: PathBuf,
    /// The moment before the deletion, such as 2026-11-27T10:00:00Z, by the clock of the storage
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: FileTime,
    /// Change nothing, and say what would be brought back
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn undelete(args: &UndeleteArgs, output: Output) -> Result<Done, Failure> {
    let repository = repository(&args.repository)?;
    interrupt::watch();
    let undeleted = repository.undelete(args.at.unix_seconds(), args.dry_run)?;
    let would = if args.dry_run { "would be" } else { "are" };
    output.result(format!(
        "{}: {} that had been deleted {would} there again, and {} that had been written over.",
        repository.address(),
        counted(undeleted.deleted.len() as u64, "object"),
        undeleted.overwritten.len(),
    ));
    if !args.dry_run {
        output.line("Look at it now: certadm repository check --read all. Whoever deleted it may still have its credentials.");
    }
    Ok(Done::good(json!({
        "repository": repository.address(),
        "dry_run": args.dry_run,
        "deleted": undeleted.deleted,
        "overwritten": undeleted.overwritten,
    })))
}
