//! `certadm seal`: a manifest for what certutil wrote.

use std::path::PathBuf;

use certadm_rules::words::counted;
use certadm_set::seal::seal;
use clap::Args;
use serde_json::json;

use crate::failure::{Exit, Failure};
use crate::output::{Done, Output, human_bytes, path_text};
use crate::verbs::hashing::HashArgs;
use crate::verbs::signing::SignArgs;
use crate::{findings, interrupt};

/// `certadm seal`
#[derive(Debug, Args)]
#[command(after_help = "Example: certadm seal /backup/windows-monday --sign-key key\n\
    It checks the set as `certadm verify` does, and changes none of its files.")]
pub(crate) struct SealArgs {
    /// The set: the folder that holds DataBase, as certutil -backupDB wrote it
    #[arg(value_name = "DIR")]
    set: PathBuf,
    #[command(flatten)]
    hash: HashArgs,
    #[command(flatten)]
    sign: SignArgs,
}

pub(crate) fn run(args: &SealArgs, output: Output) -> Result<Done, Failure> {
    let signer = args.sign.read()?;
    interrupt::watch();
    let sealed = seal(&args.set, args.hash.hashing(), signer.as_deref(), &mut output.progress())?;
    let manifest = &sealed.manifest;
    findings::print(&sealed.findings, output);
    output.line(format!(
        "Sealed {}: {} of {}, {} with {}, generations {:#x} to {:#x}.",
        args.set.display(),
        manifest.kind,
        manifest.ca.name,
        counted(manifest.files.len() as u64, "file"),
        human_bytes(manifest.total_size()),
        manifest.generations.low,
        manifest.generations.high,
    ));
    let exit = if sealed.has_warnings() { Exit::Finding } else { Exit::Good };
    let result = json!({
        "set": path_text(&args.set),
        "ca": manifest.ca.name,
        "type": manifest.kind,
        "generations": { "low": manifest.generations.low, "high": manifest.generations.high },
        "finished": manifest.finished,
        "files": manifest.files.len(),
        "bytes": manifest.total_size(),
        "signed_with": signer.map(|signer| signer.key()),
        "findings": findings::list(&sealed.findings),
    });
    Ok(Done { exit, result })
}
