//! `certadm recover`: the logs of a Windows CA replayed into a clean copy of its database, never in place.

mod windows;

use std::path::PathBuf;

use certadm_set::Opened;
use clap::Args;

use crate::failure::Failure;
use crate::output::{Done, Output};
use crate::verbs::files::refuse_wrong_place;
use crate::verbs::places::{Places, ScratchArgs};
use crate::verbs::signing::{self, AllowedArgs};
use crate::verbs::until::{self, UntilArgs};

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
    until: UntilArgs,
    #[command(flatten)]
    allowed: AllowedArgs,
    #[command(flatten)]
    scratch: ScratchArgs,
}

pub(crate) fn run(args: &RecoverArgs, output: Output) -> Result<Done, Failure> {
    refuse_wrong_place(&args.to)?;
    let places = Places::find(&args.sets, &args.scratch, output)?;
    let opened = certadm_set::open(places.paths())?;
    let signed = match args.allowed.read()? {
        Some(allowed) => allowed.check_files(&opened, &mut output.progress())?,
        None => Vec::new(),
    };
    signing::lines(places.paths(), &signed).for_each(|line| output.line(line));
    match opened {
        Opened::Windows(_) => {
            let (opened, cut) = args.until.cut(opened, |text| output.line(text))?;
            let Opened::Windows(sets) = opened else {
                return Err(Failure::internal("an earlier state of sets is of another kind"));
            };
            let mut done = windows::run(&sets, &args.to, output)?;
            done.result["until"] = until::to_json(cut.as_ref());
            done.result["signatures"] = signing::list(places.paths(), &signed).into();
            Ok(done)
        }
        Opened::Ours(_) => {
            let path = args.sets.first().cloned().unwrap_or_default();
            let remedy = format!(
                "bring it back with `certadm restore --from {} --dir DIR`",
                certadm_rules::words::shell_word(path.display())
            );
            let detail = "it is a set of certadm's own CA, and recover is for Windows CAs".to_owned();
            Err(Failure { remedy, ..certadm_set::Error::NotASet { path, detail }.into() })
        }
        Opened::Folder(folder) => {
            let detail = "it is the folder of a CA".to_owned();
            Err(certadm_set::Error::NotASet { path: folder.path().to_owned(), detail }.into())
        }
    }
}
