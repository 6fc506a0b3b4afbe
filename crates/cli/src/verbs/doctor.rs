//! `certadm doctor`: walk the gates between here and a CA's backup, and name the one that is shut.

use certadm_client::doctor::{Verdict, Visit, examine};
use certadm_rules::Finding;
use clap::Args;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::findings;
use crate::output::{Done, Output};
use crate::verbs::remote::{Dial, RemoteArgs};

/// `certadm doctor`
#[derive(Debug, Args)]
#[command(
    after_help = "Example: certadm doctor --server ca1.corp.example --user 'CORP\\backup'",
    group = clap::ArgGroup::new("ca").args(["server", "socket"]).required(true)
)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// Begin no backup: the last gate, and whether a full backup is on record, stay unknown
    #[arg(long)]
    no_prepare: bool,
}

pub(crate) fn run(args: &DoctorArgs, output: Output) -> Result<Done, Failure> {
    let Some(Dial { name, target, credentials }) = args.remote.dial()? else {
        return Err(Failure::usage("no CA is named", "name it by --server NAME or --socket PATH"));
    };
    let mut show = |visit: &Visit| {
        let sign = match visit.verdict {
            Verdict::Open => "ok  ",
            Verdict::Shut => "SHUT",
            Verdict::Unknown => "?   ",
            Verdict::Skipped => "-   ",
        };
        output.result(format!("{sign} {:16} {}", visit.gate.key(), visit.finding.detail));
    };
    let visits = examine(&target, credentials, !args.no_prepare, &mut show);
    let with_remedy = |visit: &&Visit| visit.finding.remedy.is_some();
    let to_do: Vec<Finding> = visits.iter().filter(with_remedy).map(|visit| visit.finding.clone()).collect();
    findings::print(&to_do, output);
    let shut: Vec<&Visit> = visits.iter().filter(|visit| visit.verdict == Verdict::Shut).collect();
    if shut.is_empty() {
        output.line(format!("All gates to {} are open, as far as they can be seen.", target.endpoint));
    }
    // The first gate that is shut says whose turn it is.
    let exit = shut.first().map_or(Exit::Good, |visit| visit.finding.code.class().into());
    let result = json!({
        "server": name,
        "endpoint": target.endpoint.to_string(),
        "ready": shut.is_empty(),
        "shut": shut.iter().map(|visit| visit.gate.key()).collect::<Vec<_>>(),
        "gates": visits.iter().map(to_json).collect::<Vec<_>>(),
    });
    Ok(Done { exit, result })
}

/// A finding, and the gate that it was made at. What is about no code has null there, as the contract of this command
/// has it.
fn to_json(visit: &Visit) -> Value {
    let mut gate = findings::to_json(&visit.finding);
    gate["gate"] = json!(visit.gate.key());
    gate["verdict"] = json!(visit.verdict.to_string());
    if visit.finding.code.is_success() {
        gate["code"] = Value::Null;
        gate["name"] = Value::Null;
    }
    gate
}
