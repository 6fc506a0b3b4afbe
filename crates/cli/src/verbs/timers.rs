//! `certadm timers`: units of systemd for those who prefer timers to the agent.

use std::path::PathBuf;

use certadm_files::durable;
use certadm_jobs::Config;
use certadm_jobs::timers::units;
use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::output::{Done, Output, path_text};
use crate::verbs::files::{create_dir, refuse_wrong_place};

/// `certadm timers`
#[derive(Debug, Args)]
#[command(after_help = "Example: certadm timers --to /etc/systemd/system\n\
    Then:    systemctl daemon-reload; systemctl enable --now certadm-run-nightly.timer")]
pub(crate) struct TimersArgs {
    /// The folder for the units; those of jobs that are there already are written anew
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

pub(crate) fn run(args: &TimersArgs, output: Output) -> Result<Done, Failure> {
    refuse_wrong_place(&args.to)?;
    let config = Config::load()?;
    let program = crate::program::own()?;
    create_dir(&args.to)?;
    let mut written = Vec::new();
    for unit in units(&config, &program.display().to_string()) {
        let path = args.to.join(&unit.name);
        durable::replace(&path, unit.text.as_bytes())?;
        output.result(path.display().to_string());
        written.push(path_text(&path));
    }
    Ok(Done::good(json!({ "units": written })))
}
