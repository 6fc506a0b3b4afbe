//! `certadm restore`: plan, register, copy, complete, and let the CA's start recover.

mod elsewhere;

use certadm_client::own_host_name;
use certadm_set::restore::{Plan, plan};
use certadm_store::{Folder, Store};
use serde_json::{Value, json};

use crate::args::RestoreArgs;
use crate::failure::Failure;
use crate::output::{Done, Output, human_bytes};
use crate::verbs::store_options;

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
        result["recovered"] = recover(&plan.folder, output)?;
    }
    note_missing_parts(&plan.folder, output);
    output.line("Take a new full backup now: sets made before and after a restore do not go together.");
    Ok(Done::good(result))
}

/// Lets the CA start once, which carries the registered restore out, and says what that did.
pub(crate) fn recover(folder: &Folder, output: Output) -> Result<Value, Failure> {
    let store = Store::open(folder, store_options(folder)?)?;
    let recovered = store.opened().recovered.clone();
    store.close()?;
    let Some(recovered) = recovered else {
        return Ok(Value::Null);
    };
    output.line(format!(
        "Recovered: generations {:x} to {:x} applied, {} pages.",
        recovered.low, recovered.high, recovered.pages_applied
    ));
    if let Some(stopped) = &recovered.stopped_at {
        output.line(format!("The replay ended early: {stopped}."));
    }
    Ok(json!({
        "low": recovered.low.number(),
        "high": recovered.high.number(),
        "rolled_forward": recovered.rolled_forward,
        "pages": recovered.pages_applied,
        "stopped_at": recovered.stopped_at,
    }))
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
