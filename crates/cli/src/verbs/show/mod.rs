//! `certadm show`: what is inside a set or a CA's folder, and how it is, without changing anything.

mod charts;
mod completeness;
mod facts;
mod folder;
mod html;
mod months;
mod ours;
mod statistics;
mod taken;
mod windows;

use std::path::PathBuf;

use certadm_files::durable;
use certadm_set::Opened;
use certadm_store::Folder;
use clap::Args;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::output::{Done, Output, path_text};
use crate::verbs::files::{refuse_wrong_place, write_new};
use crate::verbs::lost::{Lost, parts_at};
use crate::verbs::places::{Places, ScratchArgs};
use crate::verbs::signing::AllowedArgs;
use crate::verbs::thresholds::ThresholdArgs;
use crate::verbs::until::{self, UntilArgs};
use statistics::Statistics;

/// `certadm show`
#[derive(Debug, Args)]
#[command(
    override_usage = "certadm show [OPTIONS] --dir <DIR>\n       certadm show [OPTIONS] <SET|EDB|LOG|CHK> [LOGSET]..."
)]
#[command(after_help = "Example: certadm show /backup/monday /backup/monday-noon --html ca.html --force\n\
    Example: certadm show --dir /srv/ca")]
pub(crate) struct ShowArgs {
    /// The CA's folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["set", "allowed_signers", "until_generation", "until_time"], required_unless_present = "set")]
    dir: Option<PathBuf>,
    /// A set and the log sets that continue it, or a database, log or checkpoint of a Windows CA
    #[arg(value_name = "SET")]
    set: Vec<PathBuf>,
    /// Also write a summary page with charts to this new file; it needs no network and runs no script
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Replace the page of an earlier run
    #[arg(long, requires = "html")]
    force: bool,
    #[command(flatten)]
    thresholds: ThresholdArgs,
    #[command(flatten)]
    until: UntilArgs,
    #[command(flatten)]
    allowed: AllowedArgs,
    #[command(flatten)]
    scratch: ScratchArgs,
}

pub(crate) fn run(args: &ShowArgs, output: Output) -> Result<Done, Failure> {
    args.html.as_deref().map_or(Ok(()), refuse_wrong_place)?;
    if let Some(file) = args.html.as_ref().filter(|file| file.symlink_metadata().is_ok() && !args.force) {
        let error = certadm_set::Error::WouldOverwrite { path: file.clone() };
        let remedy = "name another file, or add --force to replace it".to_owned();
        return Err(Failure { remedy, ..error.into() });
    }
    let places = Places::find(&args.set, &args.scratch, output)?;
    let opened = match (&args.dir, args.set.as_slice()) {
        (Some(dir), _) => Opened::Folder(Folder::new(dir)),
        (None, [_, ..]) => certadm_set::open(places.paths())?,
        (None, []) => {
            let remedy = "name a set, a Windows database, or a CA's folder by --dir DIR";
            return Err(Failure::usage("there is nothing to show", remedy));
        }
    };
    let allowed = args.allowed.read()?;
    let allowed = allowed.as_ref();
    let is_loose = match &opened {
        Opened::Ours(_) => false,
        Opened::Windows(sets) => sets.iter().any(|set| set.complete.is_none()),
        Opened::Folder(_) => true,
    };
    if let (Some(allowed), true) = (allowed, is_loose) {
        allowed.check(&opened)?;
    }
    let (opened, cut) = args.until.cut(opened, |text| output.result(text))?;
    let shown = match &opened {
        Opened::Ours(sets) => each(sets, output, |set| ours::show(set, allowed, output)),
        Opened::Windows(sets) => each(sets, output, |set| windows::show(set, allowed, output)),
        Opened::Folder(folder) => {
            folder::show(folder.path(), &args.thresholds.get(), output).map(|done| vec![done])
        }
    }?;
    let exit = if shown.iter().all(|done| done.exit == Exit::Good) { Exit::Good } else { Exit::Finding };
    let mut results: Vec<Value> = shown.into_iter().map(|done| done.result).collect();
    let mut html = Value::Null;
    if let Some(file) = &args.html {
        // A set that cannot be recovered still has a page, which says why there are no charts.
        let statistics = Statistics::of(&opened, output).map_err(|failure| failure.to_string());
        let completeness = completeness_of(&opened, places.paths(), output);
        let page = html::page(&results, &statistics, &completeness, certadm_store::now());
        if args.force {
            durable::replace(file, page.as_bytes())?;
        } else {
            write_new(file, page.as_bytes())?;
        }
        output.line(format!("Summary page: {}", file.display()));
        html = json!(path_text(file));
    }
    let mut result = match results.len() {
        1 => results.remove(0),
        _ => json!({ "what": "sets", "sets": results }),
    };
    result["html"] = html;
    result["until"] = until::to_json(cut.as_ref());
    Ok(Done { exit, result })
}

/// The section on what the CA needs beside this database; nothing for what is no full set.
fn completeness_of(opened: &Opened, paths: &[PathBuf], output: Output) -> String {
    let is_full = match opened {
        Opened::Ours(sets) => sets.first().is_some_and(|set| set.image.is_some()),
        Opened::Windows(sets) => sets.first().is_some_and(|set| set.database.is_some()),
        Opened::Folder(_) => false,
    };
    if !is_full {
        return String::new();
    }
    let now = certadm_store::now();
    let verdict = parts_at(paths)
        .and_then(|parts| Ok(Lost::read(opened, now, output)?.judge(&paths[0], &parts, &[], now)));
    completeness::section(&verdict.map_err(|failure| failure.to_string()))
}

/// Shows each of several sets, with an empty line between them.
fn each<S>(
    sets: &[S],
    output: Output,
    mut show: impl FnMut(&S) -> Result<Done, Failure>,
) -> Result<Vec<Done>, Failure> {
    let mut all = Vec::new();
    for set in sets {
        if !all.is_empty() {
            output.result("");
        }
        all.push(show(set)?);
    }
    Ok(all)
}
