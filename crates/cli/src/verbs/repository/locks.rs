//! `certadm repository extend-locks` and `undelete`: objects that nobody can delete before their time, and the way back after a
//! deletion that only hid them.

use std::path::PathBuf;

use certadm_repository::CaRepository;
use certadm_rules::FileTime;
use certadm_rules::words::counted;
use clap::Args;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::named::{repositories, repository};
use crate::failure::Failure;
use crate::interrupt;
use crate::output::{Done, Output};

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
    let (_, repositories) = repositories(&args.repository)?;
    interrupt::watch();
    let results: Result<Vec<Value>, Failure> =
        repositories.iter().map(|repository| extend_one(repository, args.dry_run, output)).collect();
    Ok(Done::good(json!({ "dry_run": args.dry_run, "repositories": results? })))
}

fn extend_one(repository: &CaRepository, dry_run: bool, output: Output) -> Result<Value, Failure> {
    let extended = repository.extend_locks(dry_run)?;
    let earliest = extended.earliest.map(|earliest| FileTime::from_unix_seconds(earliest).to_rfc3339());
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

#[derive(Debug, Args)]
pub(crate) struct UndeleteArgs {
    /// The repository: vault:CA
    #[arg(value_name = "ADDRESS")]
    repository: PathBuf,
    /// The moment before the deletion, such as 2026-11-27T10:00:00Z, by the clock of the storage
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: i64,
    /// Change nothing, and say what would be brought back
    #[arg(long)]
    dry_run: bool,
}

fn moment(text: &str) -> Result<i64, String> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|error| error.to_string())?;
    Ok(moment.unix_timestamp())
}

pub(super) fn undelete(args: &UndeleteArgs, output: Output) -> Result<Done, Failure> {
    let repository = repository(&args.repository)?;
    interrupt::watch();
    let undeleted = repository.undelete(args.at, args.dry_run)?;
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
