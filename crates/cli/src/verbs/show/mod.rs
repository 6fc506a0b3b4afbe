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

use certadm_ca::health::Thresholds;
use certadm_set::Opened;
use certadm_store::Folder;
use clap::Args;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Done, Output, path_text};
use crate::verbs::files::write_new;
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

/// From when on an age is a problem.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Thresholds")]
struct ThresholdArgs {
    /// Hours since the last backup
    #[arg(long, value_name = "HOURS", default_value_t = Thresholds::default().backup_hours)]
    max_backup_age: u32,
    /// How much of the last CRL's life may have passed, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = Thresholds::default().crl_percent)]
    max_crl_age: u32,
    /// Days before the end of the CA's own certificate
    #[arg(long, value_name = "DAYS", default_value_t = Thresholds::default().certificate_days)]
    min_certificate_days: u32,
}

impl ThresholdArgs {
    fn get(self) -> Thresholds {
        Thresholds {
            backup_hours: self.max_backup_age,
            crl_percent: self.max_crl_age,
            certificate_days: self.min_certificate_days,
        }
    }
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
