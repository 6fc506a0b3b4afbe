//! `certadm repository expire`: sets that no rule keeps go, with the packs that no set needs any more.

use std::collections::BTreeSet;
use std::path::PathBuf;

use certadm_repository::{CaRepository, ExpiryOptions, Keep, Point, Pruned};
use certadm_rules::FileTime;
use certadm_rules::words::counted;
use clap::Args;
use serde_json::{Value, json};

use super::info::{line, to_json};
use super::named::{each, repositories};
use crate::failure::Failure;
use crate::interrupt;
use crate::output::{Done, Output, human_bytes};
use crate::verbs::each::Each;
use crate::verbs::keep::KeepArgs;

#[derive(Debug, Args)]
pub(crate) struct ExpireArgs {
    /// The repository vault:CA, or all of a vault
    #[arg(value_name = "ADDRESS")]
    repository: PathBuf,
    #[command(flatten)]
    keep: KeepArgs,
    /// Delete nothing, and say of each set which rules keep it
    #[arg(long)]
    dry_run: bool,
    /// Begin although an expiry or repair has not ended: it was killed
    #[arg(long)]
    take_over: bool,
}

pub(super) fn run(args: &ExpireArgs, output: Output) -> Result<Done, Failure> {
    let (vault, addresses) = repositories(&args.repository)?;
    let keep = args.keep.get().unwrap_or(*vault.keep());
    interrupt::watch();
    let Each { results, failed } =
        each(&addresses, output, |repository| expire(repository, keep, args, output));
    Done::good(json!({ "dry_run": args.dry_run, "repositories": results })).unless(failed)
}

fn expire(
    repository: &CaRepository,
    keep: Keep,
    args: &ExpireArgs,
    output: Output,
) -> Result<Value, Failure> {
    let expiry = repository.expiry(&ExpiryOptions { keep, take_over: args.take_over, rest: None })?;
    let going: Vec<&Point> =
        expiry.fates().iter().filter(|fate| fate.kept_by.is_empty()).map(|fate| &fate.set).collect();
    output.result(format!(
        "{}: {} of {} {}.",
        repository.address(),
        going.len(),
        counted(expiry.fates().len() as u64, "set"),
        if args.dry_run { "would expire" } else { "expire" },
    ));
    for fate in expiry.fates() {
        let why = match fate.kept_by.as_slice() {
            [] => "expires".to_owned(),
            rules => format!("kept: {}", rules.join(", ")),
        };
        output.result(format!("{}  {why}", line(&fate.set)));
    }
    let mut deleted = BTreeSet::new();
    let pruned = match args.dry_run {
        true => Ok(None),
        false => expiry
            .carry_out(&mut |point| {
                output.line(format!("Deleted {}/{}.", repository.address(), point.short_id()));
                deleted.insert(point.id.clone());
            })
            .map(Some),
    };
    let points: Vec<Value> = expiry
        .fates()
        .iter()
        .map(|fate| {
            let mut point = to_json(&fate.set);
            point["kept_by"] = json!(fate.kept_by);
            point["deleted"] = json!(deleted.contains(&fate.set.id));
            point
        })
        .collect();
    let mut result = json!({
        "repository": repository.address(),
        "now": FileTime::from_unix_seconds(expiry.now()).to_rfc3339(),
        "points": points,
        "pruned": null,
    });
    match pruned {
        Err(error) => Err(Failure::from(error).having(result)),
        Ok(None) => Ok(result),
        Ok(Some(pruned)) => {
            tell(&pruned, output);
            result["pruned"] = json!({
                "packs_deleted": pruned.deleted,
                "bytes_freed": pruned.bytes,
                "packs_repacked": pruned.repacked,
                "packs_waiting": pruned.waiting,
            });
            Ok(result)
        }
    }
}

fn tell(pruned: &Pruned, output: Output) {
    let packs = |count| counted(count, "pack");
    output.line(format!(
        "{} deleted, {} freed, {} packed anew. {} that no set needs: they are deleted by an expiry in two days or later.",
        packs(pruned.deleted),
        human_bytes(pruned.bytes),
        packs(pruned.repacked),
        packs(pruned.waiting),
    ));
}
