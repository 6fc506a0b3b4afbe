//! `certadm recover`: the logs of a Windows CA replayed into a clean copy of its database, never in place.

mod windows;

use std::path::PathBuf;

use certadm_set::Opened;
use clap::Args;

use crate::failure::Failure;
use crate::output::{Done, Output};
use crate::verbs::signing::{self, AllowedArgs};

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
    #[command(flatten)]
    allowed: AllowedArgs,
}

pub(crate) fn run(args: &RecoverArgs, output: Output) -> Result<Done, Failure> {
    let opened = certadm_set::open(&args.sets)?;
    let signed = match args.allowed.read()? {
        Some(allowed) => allowed.check_files(&opened, &mut output.progress())?,
        None => Vec::new(),
    };
    signing::lines(&args.sets, &signed).for_each(|line| output.line(line));
    match opened {
        Opened::Windows(sets) => {
            let mut done = windows::run(&sets, &args.to, output)?;
            done.result["signatures"] = signing::list(&args.sets, &signed).into();
            Ok(done)
        }
        Opened::Ours(_) | Opened::Folder(_) => {
            let path = args.sets.first().cloned().unwrap_or_default();
            let detail = "no set and no database of a Windows CA is there".to_owned();
            let mut failure = Failure::from(certadm_set::Error::NotASet { path, detail });
            "check the path; sets of certadm's own CA come back with `certadm restore`"
                .clone_into(&mut failure.remedy);
            Err(failure)
        }
    }
}
