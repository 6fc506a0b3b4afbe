//! `certadm repository import` and `export`: sets as folders go in and come out.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use certadm_files::durable;
use certadm_repository::{Error, Imported};
use certadm_rules::finding::Severity;
use certadm_set::folder::{self, FolderSet};
use certadm_set::manifest::SetKind;
use certadm_set::stored::chains;
use clap::Args;
use serde_json::json;

use super::info;
use super::named::{Each, address, repository};
use crate::failure::{Exit, Failure};
use crate::output::{Done, Output, human_bytes, path_text};
use crate::verbs::files::refuse_home_sign;
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
    for set in &with_their_chains(&args.sets)? {
        let imported = {
            let mut progress = output.progress();
            repository.import(set, &mut progress)
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

/// The sets, each after those that lie beside it and that a restore needs with it; full sets first. A set that has no manifest, or
/// whose neighbours cannot be listed, stands for itself: whether its full set is there, the import looks up.
fn with_their_chains(sets: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let now = certadm_store::now().unix_seconds();
    let mut by_folder: Vec<(PathBuf, Vec<PathBuf>)> = Vec::new();
    for set in sets {
        let set = certadm_files::absolute(set)?;
        let parent = set.parent().unwrap_or(&set).to_owned();
        match by_folder.iter_mut().find(|(folder, _)| *folder == parent) {
            Some((_, sets)) => sets.push(set),
            None => by_folder.push((parent, vec![set])),
        }
    }
    let (mut fulls, mut others) = (Vec::new(), Vec::new());
    for (folder, sets) in by_folder {
        let beside = folder::list(&folder).unwrap_or_default().sets;
        let all: Vec<&FolderSet> = beside.iter().collect();
        let chains = chains(&all, now);
        let known: HashMap<&Path, (&FolderSet, _)> =
            all.iter().zip(&chains).map(|(set, chain)| (set.path.as_path(), (*set, chain))).collect();
        for set in sets {
            let (last, needed) = known.get(set.as_path()).copied().unzip();
            let needed = needed.and_then(|chain| chain.as_ref().ok()).into_iter().flatten();
            let is_full = last.is_none_or(|last| last.kind == SetKind::Full);
            let part = if is_full { &mut fulls } else { &mut others };
            part.extend(needed.map(|set| set.path.clone()).chain([set]));
        }
    }
    let mut seen = BTreeSet::new();
    Ok(fulls.into_iter().chain(others).filter(|path| seen.insert(path.clone())).collect())
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
    refuse_home_sign(&args.to)?;
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
    Done::good(json!({ "repository": repository.address(), "sets": results })).unless(failed)
}
