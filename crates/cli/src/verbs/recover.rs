//! `certadm recover`: the logs of a Windows CA replayed into a clean copy of its database, never in place.

use std::path::PathBuf;

use certadm_set::windows::{WindowsSet, recover};
use clap::Args;
use serde_json::json;

use crate::failure::{Exit, Failure};
use crate::findings;
use crate::output::{Done, Output, human_bytes};
use crate::verbs::verify::replay_json;

/// `certadm recover`
#[derive(Debug, Args)]
#[command(after_help = "Example: certadm recover /backup/monday /backup/monday-noon --to /recovered")]
pub(crate) struct RecoverArgs {
    /// A full set of a Windows CA, and the log sets that continue it; or a folder with database and logs
    #[arg(value_name = "SET", required = true)]
    sets: Vec<PathBuf>,
    /// The folder for the recovered database; it is created, and nothing in it is overwritten
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

pub(crate) fn run(args: &RecoverArgs, output: Output) -> Result<Done, Failure> {
    let Some(sets) = WindowsSet::find_all(&args.sets)? else {
        let path = args.sets.first().cloned().unwrap_or_default();
        let detail = "no set and no database of a Windows CA is there".to_owned();
        let mut failure = Failure::from(certadm_set::Error::NotASet { path, detail });
        "check the path; sets of certadm's own CA come back with `certadm restore`"
            .clone_into(&mut failure.remedy);
        return Err(failure);
    };
    let recovered = {
        let mut progress = output.progress();
        recover(&sets, &args.to, &mut progress)?
    };
    let outcome = &recovered.outcome;
    if outcome.reached.is_none() {
        output.line("The database was clean and needed no log.");
    } else {
        output.line(format!(
            "Replayed {} records up to {}; {}.",
            outcome.counts.records,
            outcome.reached,
            outcome.rolled_back()
        ));
    }
    findings::print(&outcome.findings, output);
    output.result(format!(
        "Recovered {} to {}: clean, every page checked.",
        human_bytes(recovered.bytes),
        recovered.database.display()
    ));
    let exit = if outcome.findings.is_empty() { Exit::Good } else { Exit::Finding };
    let result = json!({
        "database": recovered.database,
        "bytes": recovered.bytes,
        "pages": recovered.pages.total(),
        "replay": replay_json(outcome),
        "notes": outcome.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "findings": findings::list(&outcome.findings),
    });
    Ok(Done { exit, result })
}
