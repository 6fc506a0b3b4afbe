//! `certadm repository import` and `export`: sets as folders go in and come out.

use std::path::PathBuf;

use certadm_files::durable;
use certadm_repository::{Error, Imported};
use certadm_rules::finding::Severity;
use certadm_set::Neighbours;
use clap::Args;
use serde_json::json;

use super::info;
use super::named::{address, repository};
use crate::failure::{Exit, Failure};
use crate::output::{Done, Output, human_bytes, path_text};
use crate::verbs::beside::with_their_chains;
use crate::verbs::each::Each;
use crate::verbs::files::refuse_wrong_place;
use crate::verbs::places;
use crate::{findings, interrupt};

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Sets that are folders. With a log set come the sets beside it that it needs; what certutil wrote gets its manifest on the way
    #[arg(value_name = "SET", required = true)]
    sets: Vec<PathBuf>,
    /// The repository: vault: or vault:CA
    #[arg(long, value_name = "ADDRESS")]
    to: PathBuf,
}

pub(super) fn import(args: &ImportArgs, output: Output) -> Result<Done, Failure> {
    let repository = repository(&args.to)?;
    interrupt::watch();
    let mut each = Each::default();
    let mut found = Vec::new();
    let mut neighbours = Neighbours::default();
    for set in &with_their_chains(&args.sets, &mut neighbours)? {
        let imported = {
            let mut progress = output.progress();
            repository.import(set, &mut neighbours, &mut progress)
        };
        let imported = match imported {
            Ok(imported) => imported,
            Err(error) => {
                // Logs that continue nothing keep no other set from its place.
                let is_loose = matches!(error, Error::ContinuesNothing { .. });
                let (result, failure) = (json!({ "set": path_text(set) }), Failure::from(error));
                if !is_loose {
                    each.ends(result, failure);
                    break;
                }
                output.result(format!("Not stored: {}: {}", set.display(), failure.message));
                each.fails(result, failure);
                continue;
            }
        };
        let (address, stored) = match imported {
            Imported::Stored(committed, findings) => {
                found.extend(findings);
                (path_text(&committed.set), true)
            }
            Imported::There(point) => (format!("{}/{}", repository.address(), point.short_id()), false),
        };
        output.line(match stored {
            true => format!("Stored {} as {address}, read back and compared.", set.display()),
            false => format!("{} is there already: {address}.", set.display()),
        });
        each.results.push(json!({ "set": path_text(set), "address": address, "stored": stored }));
    }
    let Each { results, failed } = each;
    findings::print(&found, output);
    let is_grave = found.iter().any(|finding| finding.severity != Severity::Note);
    let exit = if is_grave { Exit::Finding } else { Exit::Good };
    let findings = findings::list(&found);
    let result = json!({ "repository": repository.address(), "sets": results, "findings": findings });
    Done { exit, result }.unless(failed)
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The address of a set: vault:CA/POINT
    #[arg(value_name = "ADDRESS")]
    set: PathBuf,
    /// A new folder, which gets a folder for each set
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

pub(super) fn export(args: &ExportArgs, output: Output) -> Result<Done, Failure> {
    refuse_wrong_place(&args.to)?;
    let address = address(&args.set)?;
    let repository = places::open(&address)?;
    let points = repository.select(&address.point)?;
    interrupt::watch();
    durable::create_dir(&args.to)?;
    let mut results = Vec::new();
    let mut failed = None;
    for point in &points {
        let (low, high) = point.generations;
        let folder = args.to.join(format!("{}-{low:x}-{high:x}", point.kind));
        let exported = {
            let mut progress = output.progress();
            repository.export(point, &folder, &mut progress)
        };
        if let Err(error) = exported {
            failed = Some(Failure::from(error));
            break;
        }
        output.line(format!(
            "Wrote {} as {}, {}, every file compared with its manifest.",
            point.short_id(),
            folder.display(),
            human_bytes(point.bytes)
        ));
        let mut result = info::to_json(point);
        result["folder"] = json!(path_text(&folder));
        results.push(result);
    }
    places::tell_passed_over(&repository);
    Done::good(json!({ "repository": repository.address(), "sets": results })).unless(failed)
}
