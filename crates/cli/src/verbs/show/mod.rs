//! `certadm show`: what is inside a set or a CA's folder, and how it is, without changing anything.

mod charts;
mod folder;
mod html;
mod markup;
mod set;
mod statistics;
mod windows;

use std::path::{Path, PathBuf};

use certadm_rules::finding::{Finding, Severity};
use certadm_set::windows::WindowsSet;
use clap::Args;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::findings;
use crate::output::{Done, Output};
use crate::table::printable;
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
}

pub(crate) fn run(args: &ShowArgs, output: Output) -> Result<Done, Failure> {
    if let Some(file) = args.html.as_ref().filter(|file| file.exists()) {
        return Err(certadm_set::Error::WouldOverwrite { path: file.clone() }.into());
    }
    let mut done = match (&args.dir, &args.set) {
        (Some(dir), _) => folder::show(dir, output),
        (None, Some(path)) => match WindowsSet::find(path)? {
            Some(found) => windows::show(&found, output),
            None => set::show(path, output),
        },
        (None, None) => Err(Failure::usage("nothing to show: name a set, or a CA's folder with --dir")),
    }?;
    done.result["html"] = Value::Null;
    if let Some(file) = &args.html {
        let statistics = match (&args.dir, &args.set) {
            (Some(dir), _) => Statistics::of_folder(dir),
            (None, set) => Statistics::of_path(set.as_deref().unwrap_or(Path::new("")), output),
        };
        // A set that cannot be recovered still has a page, which says why there are no charts.
        let statistics = statistics.map_err(|failure| failure.to_string());
        write_new(file, html::page(&done.result, &statistics).as_bytes())?;
        output.line(format!("Summary page: {}", file.display()));
        done.result["html"] = json!(file);
    }
    Ok(done)
}

/// Prints what was found while looking and makes it part of the result. Anything worse than a note is a problem and makes
/// the exit code 1.
fn finish(findings: &[Finding], good: &str, mut result: Value, output: Output) -> Done {
    let (notes, problems): (Vec<_>, Vec<_>) =
        findings.iter().partition(|finding| finding.severity == Severity::Note);
    let verdict = match problems.len() {
        0 => good.to_owned(),
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    fact(output, "Health", &verdict);
    findings::print(findings, output);
    let lines = |findings: &[&Finding]| findings.iter().map(|finding| line(finding)).collect::<Vec<_>>();
    result["health"] = json!({
        "verdict": verdict,
        "problems": lines(&problems),
        "notes": lines(&notes),
        "findings": findings::list(findings),
    });
    let exit = if problems.is_empty() { Exit::Good } else { Exit::Finding };
    Done { exit, result }
}

/// A finding with what to do about it, in one line.
fn line(finding: &Finding) -> String {
    match &finding.remedy {
        Some(remedy) => format!("{finding}; {remedy}"),
        None => finding.to_string(),
    }
}

/// One line: a name and what there is to say about it.
fn fact(output: Output, name: &str, value: &str) {
    output.result(format!("{name:14} {}", printable(value)));
}
