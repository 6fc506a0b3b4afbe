//! `certadm repository copy`: the sets of a repository in a second one.

use std::path::PathBuf;

use certadm_repository::{Address, Copied, Error};
use certadm_rules::Diagnosis;
use certadm_rules::diagnosis::Class;
use certadm_rules::words::counted;
use clap::Args;
use serde_json::json;

use super::info::to_json;
use super::named::address;
use crate::failure::Failure;
use crate::interrupt;
use crate::output::{Done, Output, human_bytes};
use crate::verbs::each::Each;
use crate::verbs::places;

#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    /// The repository whose sets are copied: vault: or vault:CA; or the address of one state, vault:CA/POINT
    #[arg(value_name = "FROM")]
    from: PathBuf,
    /// The vault that they are copied into, such as other:, or other:CA. The repository there must have been made
    #[arg(value_name = "TO")]
    to: PathBuf,
}

pub(super) fn run(args: &CopyArgs, output: Output) -> Result<Done, Failure> {
    let from = address(&args.from)?;
    let source = places::open(&from)?;
    let to = address(&args.to)?;
    let target = places::open(&Address { ca: to.ca.clone().or_else(|| Some(source.ca().to_owned())), ..to })?;
    if source.address() == target.address() {
        let text = format!("{} is both what is copied and where to", source.address());
        return Err(Failure::usage(text, "name another vault of repositories.toml"));
    }
    // Without a point all sets are meant, the oldest first, so that no log set comes before its full set.
    let points = if from.names_point { source.select(&from.point)? } else { source.points()? };
    interrupt::watch();
    let (mut each, mut stored) = (Each::default(), 0);
    for point in &points {
        let copied = match target.copy_from(&source, point, &mut output.progress()) {
            Ok(copied) => copied,
            // One that is damaged, or there with other things attached, keeps no other one from being copied.
            Err(error) => {
                let goes_on = error.class() == Class::Damaged || matches!(error, Error::OtherThings { .. });
                let failure = Failure::from(error);
                if !goes_on {
                    each.ends(to_json(point), failure);
                    break;
                }
                output.result(format!("Not copied: {}: {}", point.short_id(), failure.message));
                each.fails(to_json(point), failure);
                continue;
            }
        };
        let (id, is_new) = match &copied {
            Copied::Stored(id) => (id, true),
            Copied::There(id) => (id, false),
        };
        let there = format!("{}/{}", target.address(), id.get(..8).unwrap_or(id));
        if is_new {
            stored += 1;
            output.line(format!(
                "Copied {} to {there}, {}, every file compared with its manifest there.",
                point.short_id(),
                human_bytes(point.bytes)
            ));
        }
        let mut result = to_json(point);
        result["copy"] = json!(id);
        result["stored"] = json!(is_new);
        each.results.push(result);
    }
    places::tell_passed_over(&source);
    let Each { results, failed } = each;
    if failed.is_none() {
        output.line(format!(
            "{} of {} copied; the others are in {} already.",
            stored,
            counted(points.len() as u64, "set"),
            target.address()
        ));
    }
    Done::good(json!({ "from": source.address(), "to": target.address(), "sets": results })).unless(failed)
}
