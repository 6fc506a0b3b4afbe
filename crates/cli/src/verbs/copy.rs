//! `certadm copy`: sets in another folder of sets.

use std::path::{Path, PathBuf};

use certadm_files::{IoContext, durable};
use certadm_rules::finding::{Finding, Kind};
use certadm_rules::words::counted;
use certadm_set::folder::FolderSet;
use certadm_set::stored::chains;
use certadm_set::{Copies, Error, Neighbours, Readers, Second};
use clap::Args;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::output::{Done, Output, human_bytes, path_text};
use crate::verbs::beside::with_their_chains;
use crate::verbs::each::Each;
use crate::verbs::files::refuse_wrong_place;
use crate::{findings, interrupt};

/// `certadm copy`
#[derive(Debug, Args)]
#[command(after_help = "Example: certadm copy /backup/20261201T020000Z-full --to /mnt/second\n\
    All of a repository: certadm copy 'vault:Example CA' --to /mnt/second\n\
    Every file is compared with the manifest. A set that is there already stays as it is.")]
pub(crate) struct CopyArgs {
    /// The sets: folders, or addresses in a repository. With a log set come the sets that it needs; vault:CA is all sets of a CA,
    /// and vault:CA/latest its newest state
    #[arg(value_name = "SET", required = true)]
    sets: Vec<PathBuf>,
    /// The folder that gets a folder for each set. It is made where only its own name is missing
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

pub(crate) fn run(args: &CopyArgs, output: Output) -> Result<Done, Failure> {
    refuse_wrong_place(&args.to)?;
    let to = certadm_files::absolute(&args.to)?;
    make(&to)?;
    interrupt::watch();
    let mut copies = Copies::in_folder(&to)?;
    let mut each = Each::default();
    let mut plain = Vec::new();
    #[cfg(feature = "repository")]
    let mut stored = Vec::new();
    for word in &args.sets {
        #[cfg(feature = "repository")]
        if let Some(address) = super::places::address(word)? {
            stored.push(address);
            continue;
        }
        plain.push(word.clone());
    }
    let plain = with_their_chains(&plain, &mut Neighbours::default())?;
    let mut goes_on = true;
    #[cfg(feature = "repository")]
    for address in &stored {
        goes_on = goes_on && from_repository(address, &mut copies, &mut each, output);
    }
    goes_on = goes_on && from_folders(&plain, &mut copies, &mut each, output);
    let Each { results, failed } = each;
    let found = loose(copies.sets(), &results);
    findings::print(&found, output);
    if failed.is_none() && goes_on {
        tell_all(&results, &to, output);
    }
    let exit = if found.is_empty() { Exit::Good } else { Exit::Finding };
    let result = json!({ "to": path_text(&to), "sets": results, "findings": findings::list(&found) });
    Done { exit, result }.unless(failed)
}

/// Makes the folder, where the one around it is there: a disk may not be mounted.
fn make(to: &Path) -> Result<(), Failure> {
    let parent = to.parent().unwrap_or(to);
    let looked = parent.metadata().during("look at", parent);
    if looked.as_ref().is_err_and(certadm_files::Error::is_not_found) {
        let error = Error::NoFolder { path: parent.to_owned() };
        return Err(error.into());
    }
    looked?;
    Ok(durable::create_dir(to)?)
}

/// Copies sets that are folders, each after those that it needs.
/// Whether all of them had their turn.
fn from_folders(sets: &[PathBuf], copies: &mut Copies, each: &mut Each, output: Output) -> bool {
    let mut unsealed = Vec::new();
    for set in sets {
        let copied = {
            let mut progress = output.progress();
            copies.copy(set, Readers::Owner, &mut progress)
        };
        let second = match copied {
            Ok(second) => second,
            Err(error) => {
                let goes_on = is_of_one_set(&error);
                let is_unsealed = matches!(error, Error::Incomplete { is_of_certutil: true, .. });
                let (result, failure) = (json!({ "set": path_text(set) }), Failure::from(error));
                if !goes_on {
                    each.ends(result, failure);
                    return false;
                }
                match is_unsealed {
                    true => unsealed.push(set.display().to_string()),
                    false => output.result(format!("Not copied: {}: {}", set.display(), failure.message)),
                }
                each.fails(result, failure);
                continue;
            }
        };
        let Second { path, is_new, manifest, brought, left } = second;
        tell(&set.display().to_string(), &path, is_new, manifest.total_size(), output);
        tell_brought(&brought, &path, output);
        for stranger in &left {
            output.line(format!("Left alone: {}, which is no part of the set.", stranger.display()));
        }
        let left: Vec<String> = left.iter().map(|path| path_text(path)).collect();
        let mut told = told(&path_text(set), &path, is_new, &brought);
        told["left"] = json!(left);
        each.results.push(told);
    }
    // A log set brings its whole chain, and all of it lacks the same.
    if !unsealed.is_empty() {
        let unsealed = unsealed.join(", ");
        output.result(format!("Not copied, for want of the manifest that `certadm seal` makes: {unsealed}"));
    }
    true
}

/// Whether an error says something about one set, and nothing about the next one.
fn is_of_one_set(error: &Error) -> bool {
    matches!(
        error,
        Error::Damaged { .. }
            | Error::Missing { .. }
            | Error::Incomplete { .. }
            | Error::BadManifest { .. }
            | Error::NotASet { .. }
            | Error::OtherThings { .. }
            | Error::TargetNotEmpty { .. }
            | Error::File(certadm_files::Error::NotAFile { by_name: false, .. })
            | Error::DamagedCopy { .. }
    )
}

/// Copies the sets of a repository: those that an address leads to, or all where it names no point. Whether the others have their turn.
#[cfg(feature = "repository")]
fn from_repository(
    address: &certadm_repository::Address,
    copies: &mut Copies,
    each: &mut Each,
    output: Output,
) -> bool {
    use certadm_repository::Error::Set;
    use certadm_rules::Diagnosis;
    use certadm_rules::diagnosis::Class;
    let found =
        super::places::open(address).and_then(|repository| Ok((points(&repository, address)?, repository)));
    let (points, repository) = match found {
        Ok(found) => found,
        Err(failure) => {
            let name = format!("{}:{}", address.vault, address.ca.as_deref().unwrap_or_default());
            output.result(format!("Not copied: {name}: {}", failure.message));
            each.fails(json!({ "set": name }), failure);
            return true;
        }
    };
    for point in &points {
        let name = format!("{}/{}", repository.address(), point.short_id());
        match copy_point(&repository, point, copies, output) {
            Ok((path, is_new, brought)) => {
                tell(&name, &path, is_new, point.bytes, output);
                tell_brought(&brought, &path, output);
                each.results.push(told(&name, &path, is_new, &brought));
            }
            Err(error) => {
                let goes_on =
                    error.class() == Class::Damaged || matches!(&error, Set(error) if is_of_one_set(error));
                let (result, failure) = (json!({ "set": name }), Failure::from(error));
                if !goes_on {
                    each.ends(result, failure);
                    return false;
                }
                output.result(format!("Not copied: {name}: {}", failure.message));
                each.fails(result, failure);
            }
        }
    }
    super::places::tell_passed_over(&repository);
    true
}

/// The sets that an address names. Of one that is there in several versions the first is copied, and the later ones bring what was
/// attached.
#[cfg(feature = "repository")]
fn points(
    repository: &certadm_repository::CaRepository,
    address: &certadm_repository::Address,
) -> Result<Vec<certadm_repository::Point>, Failure> {
    Ok(match address.names_point {
        true => repository.select(&address.point)?,
        false => repository.points()?,
    })
}

/// Copies one set of a repository: where it stands, whether it is new there, and what was attached since.
#[cfg(feature = "repository")]
fn copy_point(
    repository: &certadm_repository::CaRepository,
    point: &certadm_repository::Point,
    copies: &mut Copies,
    output: Output,
) -> certadm_repository::Result<(PathBuf, bool, Vec<String>)> {
    if let Some(there) = copies.of(point) {
        let brought = copies.bring(&repository.attached_later(point)?, there)?;
        return Ok((there.path.clone(), false, brought));
    }
    let path = certadm_set::folder::new_set(copies.dir(), point.kind, point.time);
    repository.export(point, &path, &mut output.progress())?;
    copies.note(&path)?;
    Ok((path, true, Vec::new()))
}

/// How many were copied.
fn tell_all(results: &[Value], to: &Path, output: Output) {
    let new = results.iter().filter(|set| set["stored"] == true).count();
    let others = match results.len() == new {
        true => String::new(),
        false => format!("; the others are in {} already", to.display()),
    };
    output.line(format!("{new} of {} copied{others}.", counted(results.len() as u64, "set")));
}

fn tell(set: &str, copy: &Path, is_new: bool, bytes: u64, output: Output) {
    let copy = copy.display();
    output.line(match is_new {
        true => {
            format!("Copied {set} to {copy}, {}, every file compared with its manifest.", human_bytes(bytes))
        }
        false => format!("{set} is there already: {copy}."),
    });
}

fn tell_brought(brought: &[String], copy: &Path, output: Output) {
    for inside in brought {
        output.line(format!("Brought {inside} to {}: it was attached since.", copy.display()));
    }
}

fn told(set: &str, copy: &Path, is_new: bool, brought: &[String]) -> Value {
    json!({ "set": set, "copy": path_text(copy), "stored": is_new, "brought": brought, "left": [] })
}

/// Log sets that were named and whose chain does not lie in the folder: nothing can be restored from them there.
fn loose(there: &[FolderSet], results: &[Value]) -> Vec<Finding> {
    let all: Vec<&FolderSet> = there.iter().collect();
    let chains = chains(&all, certadm_store::now().unix_seconds());
    let is_named = |set: &FolderSet| results.iter().any(|result| result["copy"] == path_text(&set.path));
    let loose = all.iter().zip(&chains).filter(|(set, _)| is_named(set)).filter_map(|(set, chain)| {
        let text = format!("no state can be restored from it there: {}", chain.as_ref().err()?);
        let finding = Finding::warning(Kind::Combination, text).in_file(set.path.clone());
        Some(finding.remedy("copy the full set and the log sets that it continues into the same folder"))
    });
    loose.collect()
}
