//! `certadm restore`: plan, register, copy, complete, and let the CA's start recover.

mod elsewhere;

use std::path::PathBuf;

use certadm_client::own_host_name;
use certadm_set::restore::{Plan, plan};
use certadm_store::Folder;
use clap::Args;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Done, Output, human_bytes};
use crate::verbs::live;
use crate::verbs::remote::LoginArgs;

/// `certadm restore`
#[derive(Debug, Args)]
#[command(
    after_help = "Example: certadm restore --from /backup/monday --from /backup/monday-noon --dir /srv/ca"
)]
pub(crate) struct RestoreArgs {
    /// A set: the full one first, then its sets of logs in any order
    #[arg(long, value_name = "SET", required = true)]
    from: Vec<PathBuf>,
    /// The CA's folder
    #[arg(long, value_name = "DIR", required_unless_present = "server", conflicts_with = "server")]
    dir: Option<PathBuf>,
    /// Say where the parts would go on another machine: a restore is registered on the CA's own machine alone
    #[arg(long, value_name = "NAME", requires = "dry_run")]
    server: Option<String>,
    #[command(flatten)]
    login: LoginArgs,
    /// Check everything and say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Move a database that is there aside instead of refusing; nothing is deleted
    #[arg(long)]
    force: bool,
    /// Register only; the CA's next start recovers
    #[arg(long)]
    no_recover: bool,
}

pub(crate) fn run(args: &RestoreArgs, output: Output) -> Result<Done, Failure> {
    let dir = match (&args.dir, &args.server) {
        (Some(dir), _) => dir,
        (None, Some(server)) => return elsewhere::run(args, server, output),
        (None, None) => return Err(Failure::usage("name the CA by --dir or --server")),
    };
    let plan = plan(&args.from, dir, args.force)?;
    if args.dry_run {
        output.line(format!("Nothing is done. A restore of {} would:", human_bytes(plan.bytes)));
        for (number, step) in plan.steps().iter().enumerate() {
            output.line(format!("{:3}. {step}", number + 1));
        }
        return Ok(Done::good(plan_json(&plan, true)));
    }
    output.line(format!("Restoring database to {}.", plan.database.display()));
    let restored = {
        let mut progress = output.progress();
        plan.execute(&own_host_name(), &mut progress)?
    };
    output.line(format!("Restored {} of image and logs.", human_bytes(restored.bytes)));
    if let Some(aside) = &restored.moved_aside {
        output.line(format!("What was there is now in {}.", aside.display()));
    }
    let mut result = plan_json(&plan, false);
    result["moved_aside"] = json!(restored.moved_aside);
    if args.no_recover {
        output.line("The restore is registered; the CA's next start carries it out.");
    } else {
        result["recovered"] = live::recover(&plan.folder, output)?;
    }
    note_missing_parts(&plan.folder, output);
    output.line("Take a new full backup now: sets made before and after a restore do not go together.");
    Ok(Done::good(result))
}

/// Key and configuration are no part of a set; a CA without them cannot issue.
fn note_missing_parts(folder: &Folder, output: Output) {
    for (path, what) in [
        (folder.key_path(), "private key"),
        (folder.certificate_path(), "certificate"),
        (folder.config_path(), "configuration"),
    ] {
        if !path.exists() {
            output
                .line(format!("The CA's {what} is not there: copy it to {} before issuing.", path.display()));
        }
    }
}

fn plan_json(plan: &Plan, dry_run: bool) -> Value {
    json!({
        "dry_run": dry_run,
        "dir": plan.folder.path(),
        "database": plan.database,
        "original_database": plan.original,
        "generations": {
            "low": plan.combined.range.low().number(),
            "high": plan.combined.range.high().number(),
        },
        "recovers_to": plan.last.number(),
        "bytes": plan.bytes,
        "logs": plan.combined.logs.len(),
        "steps": plan.steps(),
        "moved_aside": null,
        "recovered": null,
    })
}
