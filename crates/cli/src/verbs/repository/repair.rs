//! `certadm repository repair`: the index made anew from the packs, and what is lost named.

use std::path::PathBuf;

use certadm_repository::{RepairOptions, Repaired};
use certadm_rules::Hresult;
use certadm_rules::finding::{Finding, Kind};
use certadm_rules::words::counted;
use clap::Args;
use serde_json::{Value, json};

use super::info::to_json;
use super::keys;
use super::named::repository;
use crate::failure::{Exit, Failure};
use crate::output::{Done, Output};
use crate::terminal::Tone;
use crate::{findings, interrupt};

#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    /// The repository: vault: or vault:CA
    #[arg(value_name = "ADDRESS")]
    repository: PathBuf,
    /// Read every pack, and leave those out of the index whose bytes have changed, and indexes that say otherwise than the packs what
    /// lies in them
    #[arg(long)]
    read: bool,
    /// Delete the sets that lack something, after each pack was asked what lies in it. They cannot be restored whole; try `repository
    /// export` before
    #[arg(long)]
    forget_lost: bool,
    /// Begin although an expiry or repair has not ended: it was killed
    #[arg(long)]
    take_over: bool,
}

pub(super) fn run(args: &RepairArgs, output: Output) -> Result<Done, Failure> {
    let repository = repository(&args.repository)?;
    interrupt::watch();
    let options = RepairOptions { read: args.read, forget_lost: args.forget_lost, take_over: args.take_over };
    let repaired = {
        let mut progress = output.progress();
        repository.repair(&options, &mut progress)?
    };
    for text in &repaired.left_out {
        output.line(format!("Left out: {text}."));
    }
    if 0 < repaired.taken_in {
        output.line(format!(
            "{} that no index named are in the index now.",
            counted(repaired.taken_in, "pack")
        ));
    }
    let lacking = lost(&repaired, &repository.address());
    // No repair brings a password back, and whoever repairs must not take the repository for sound.
    let dead = keys::dead(&repository, &repository.keys()?);
    let is_whole = lacking.is_empty();
    let found: Vec<Finding> = lacking.into_iter().chain(dead).collect();
    findings::print(&found, output);
    let (verdict, tone) = match (is_whole, repaired.forgotten) {
        (true, _) if args.read => ("Every set is whole. Backups can go on.", Tone::Good),
        (true, _) => (
            "Every set has its packs. Backups can go on. The bytes of packs were not read: --read does that.",
            Tone::Good,
        ),
        (false, true) => ("The sets above were deleted. Backups can go on; take a full one.", Tone::Warn),
        (false, false) => ("The sets above lack something. Backups can go on; take a full one.", Tone::Bad),
    };
    output.verdict(verdict, tone);
    let lost: Vec<Value> = repaired
        .lost
        .iter()
        .map(|(point, detail)| {
            let mut shown = to_json(point);
            shown["lacks"] = json!(detail);
            shown
        })
        .collect();
    let result = json!({
        "repository": repository.address(),
        "taken_in": repaired.taken_in,
        "left_out": repaired.left_out,
        "lost": lost,
        "unreadable": repaired.unreadable,
        "forgotten": repaired.forgotten,
        "findings": findings::list(&found),
    });
    Ok(Done { exit: if found.is_empty() { Exit::Good } else { Exit::Damaged }, result })
}

fn lost(repaired: &Repaired, repository: &str) -> Vec<Finding> {
    let remedy = match repaired.forgotten {
        true => "it was deleted, as --forget-lost asked",
        false => {
            "take a full backup; bring what is missing back from a copy of the vault's files and repair again (a vault that `repository copy` \
             filled is none: its objects have another key), or delete the set by --forget-lost"
        }
    };
    let finding = |kind, text: String| {
        Finding::error(kind, Hresult::ERROR_INVALID_DATA, text).in_file(repository).remedy(remedy)
    };
    let sets = repaired.lost.iter().map(|(point, detail)| {
        let (low, high) = point.generations;
        let set = format!("the {} set {} (generations {low:#x} to {high:#x})", point.kind, point.short_id());
        finding(Kind::FileMissing, format!("{set} lacks something: {detail}"))
    });
    let unreadable = repaired.unreadable.iter().map(|name| {
        finding(
            Kind::Unreadable,
            format!("{name} has other bytes than were stored: nobody can tell which set it was"),
        )
    });
    sets.chain(unreadable).collect()
}
