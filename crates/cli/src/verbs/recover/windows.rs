//! Recovering sets and files of a Windows CA.

use std::path::Path;

use certadm_set::windows::{WindowsSet, recover};
use serde_json::json;

use crate::failure::{Exit, Failure};
use crate::output::{Done, Output, human_bytes, path_text};
use crate::verbs::replay;
use crate::{findings, interrupt};

pub(super) fn run(sets: &[WindowsSet], to: &Path, output: Output) -> Result<Done, Failure> {
    interrupt::watch();
    let recovered = {
        let mut progress = output.progress();
        recover(sets, to, &mut progress)?
    };
    for path in &recovered.removed {
        output.line(format!("Removed {}, which a recovery that was killed had left.", path.display()));
    }
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
        "database": path_text(&recovered.database),
        "bytes": recovered.bytes,
        "pages": recovered.pages.total(),
        "replay": replay::to_json(outcome),
        "removed": recovered.removed.iter().map(|path| path_text(path)).collect::<Vec<_>>(),
        "notes": outcome.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "findings": findings::list(&outcome.findings),
    });
    Ok(Done { exit, result })
}
