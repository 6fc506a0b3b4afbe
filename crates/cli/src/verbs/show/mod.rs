//! `certadm show`: what is inside a set or a CA's folder, and how it is, without changing anything.

mod charts;
mod facts;
mod folder;
mod html;
mod markup;
mod ours;
mod statistics;
mod windows;

use std::path::PathBuf;

use certadm_set::Opened;
use certadm_store::Folder;
use clap::Args;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Done, Output, path_text};
use crate::verbs::files::write_new;
use crate::verbs::thresholds::ThresholdArgs;
use statistics::Statistics;

/// `certadm show`
#[derive(Debug, Args)]
#[command(
    override_usage = "certadm show [OPTIONS] --dir <DIR>\n       certadm show [OPTIONS] <SET|EDB|LOG|CHK>"
)]
#[command(
    after_help = "Example: certadm show /backup/monday --html monday.html\nExample: certadm show --dir /srv/ca"
)]
pub(crate) struct ShowArgs {
    /// The CA's folder
    #[arg(long, value_name = "DIR", conflicts_with = "set", required_unless_present = "set")]
    dir: Option<PathBuf>,
    /// A set, or a database, log or checkpoint of a Windows CA
    #[arg(value_name = "SET")]
    set: Option<PathBuf>,
    /// Also write a summary page with charts to this new file; it needs no network and runs no script
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    thresholds: ThresholdArgs,
}

pub(crate) fn run(args: &ShowArgs, output: Output) -> Result<Done, Failure> {
    if let Some(file) = args.html.as_ref().filter(|file| file.exists()) {
        return Err(certadm_set::Error::WouldOverwrite { path: file.clone() }.into());
    }
    let opened = match (&args.dir, &args.set) {
        (Some(dir), _) => Opened::Folder(Folder::new(dir)),
        (None, Some(path)) => certadm_set::open(std::slice::from_ref(path))?,
        (None, None) => {
            let remedy = "name a set, a Windows database, or a CA's folder by --dir DIR";
            return Err(Failure::usage("there is nothing to show", remedy));
        }
    };
    let mut done = match &opened {
        Opened::Ours(sets) => ours::show(&sets[0], output),
        Opened::Windows(sets) => windows::show(&sets[0], output),
        Opened::Folder(folder) => folder::show(folder.path(), &args.thresholds.get(), output),
    }?;
    done.result["html"] = Value::Null;
    if let Some(file) = &args.html {
        // A set that cannot be recovered still has a page, which says why there are no charts.
        let statistics = Statistics::of(&opened, output).map_err(|failure| failure.to_string());
        write_new(file, html::page(&done.result, &statistics).as_bytes())?;
        output.line(format!("Summary page: {}", file.display()));
        done.result["html"] = json!(path_text(file));
    }
    Ok(done)
}
