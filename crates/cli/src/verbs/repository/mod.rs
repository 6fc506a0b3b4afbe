//! `certadm repository`: encrypted, deduplicated repositories of sets (docs/repository.md).

mod code;
mod copy;
pub(crate) mod doctor;
mod expire;
mod info;
mod init;
mod keys;
mod locks;
mod named;
mod repair;
mod transfer;

use std::ffi::OsString;
use std::path::PathBuf;

use certadm_repository::Part;
use certadm_rules::Hresult;
use certadm_rules::finding::Finding;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::failure::{Exit, Failure};
use crate::output::{Done, Output, human_bytes};
use crate::terminal::Tone;
use crate::{findings, interrupt};

/// `certadm repository`
#[derive(Debug, Subcommand)]
pub(crate) enum RepositoryCommand {
    /// Make the repository of a CA: its key file, its recovery code, and what cannot be changed later
    #[command(
        after_help = "Example: certadm repository init vault: --ca 'Example CA' --recovery-file code\n\
        After a theft: certadm repository init vault: --ca 'Example CA' --next --recovery-file code2"
    )]
    Init(init::InitArgs),
    /// List the CAs of a vault, and the sets that each repository keeps
    #[command(after_help = "Example: certadm repository info vault:\n\
        Example: certadm repository info 'vault:Example CA'")]
    Info(info::InfoArgs),
    /// Check a repository: that everything is there that a set needs, and with --read that its bytes are as they were stored
    #[command(after_help = "Example: certadm repository check vault: --read all\n\
        Example: certadm repository check vault: --read 3/30")]
    Check(CheckArgs),
    /// Delete sets that no rule keeps: never a log set without its full set, never the newest or the last proven state
    #[command(
        after_help = "Example: certadm repository expire vault: --keep-last 2 --keep-daily 14 --dry-run\n\
        Example: certadm repository expire 'vault:Example CA'"
    )]
    Expire(expire::ExpireArgs),
    /// The passwords that open a repository beside its key file, in stock restic too
    #[command(subcommand, after_help = "Example: certadm repository key list vault:")]
    Key(keys::KeyCommand),
    /// Copy sets into the repository of a second vault, and compare every file there
    #[command(after_help = "Example: certadm repository copy vault: other:\n\
        Example: certadm repository copy 'vault:Example CA/latest' other:")]
    Copy(copy::CopyArgs),
    /// Make the index anew from the packs that are there, and name the sets that lack something
    #[command(after_help = "Example: certadm repository repair vault: --read")]
    Repair(repair::RepairArgs),
    /// Lock the objects that the kept sets need for longer, where less than half of lock-days is left
    #[command(after_help = "Example: certadm repository extend-locks vault:")]
    ExtendLocks(locks::ExtendLocksArgs),
    /// Bring back what somebody has deleted or written over in a bucket with versions
    #[command(
        after_help = "Example: certadm repository undelete 'vault:Example CA' --at 2026-11-27T10:00:00Z --dry-run"
    )]
    Undelete(locks::UndeleteArgs),
    /// Store sets that are folders
    #[command(
        after_help = "Example: certadm repository import --to vault: /backup/monday /backup/monday-noon"
    )]
    Import(transfer::ImportArgs),
    /// Write sets as folders: a set and those that a restore needs with it
    #[command(after_help = "Example: certadm repository export vault:latest --to /backup/out")]
    Export(transfer::ExportArgs),
    /// What restic calls `info`
    #[command(hide = true)]
    Snapshots(OtherWords),
    /// What restic calls a part of `expire`
    #[command(hide = true)]
    Forget(OtherWords),
    /// What restic calls a part of `expire`
    #[command(hide = true)]
    Prune(OtherWords),
}

/// Words behind a verb that is restic's: they are not looked at.
#[derive(Debug, Args)]
pub(crate) struct OtherWords {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _words: Vec<OsString>,
}

/// Who knows restic is told the verb that does the same here.
fn other_verb(theirs: &str, ours: &str) -> Failure {
    let remedy = format!("run `certadm repository {ours}`; --help says what it takes");
    Failure::usage(format!("`{theirs}` is a command of restic"), remedy)
}

impl RepositoryCommand {
    /// Its name in JSON.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "repository init",
            Self::Info(_) => "repository info",
            Self::Check(_) => "repository check",
            Self::Expire(_) => "repository expire",
            Self::Key(command) => command.name(),
            Self::Copy(_) => "repository copy",
            Self::Repair(_) => "repository repair",
            Self::ExtendLocks(_) => "repository extend-locks",
            Self::Undelete(_) => "repository undelete",
            Self::Import(_) => "repository import",
            Self::Export(_) => "repository export",
            Self::Snapshots(_) => "repository snapshots",
            Self::Forget(_) => "repository forget",
            Self::Prune(_) => "repository prune",
        }
    }
}

pub(crate) fn run(command: &RepositoryCommand, output: Output) -> Result<Done, Failure> {
    match command {
        RepositoryCommand::Init(args) => init::run(args, output),
        RepositoryCommand::Info(args) => info::run(args, output),
        RepositoryCommand::Check(args) => check(args, output),
        RepositoryCommand::Expire(args) => expire::run(args, output),
        RepositoryCommand::Key(command) => keys::run(command, output),
        RepositoryCommand::Copy(args) => copy::run(args, output),
        RepositoryCommand::Repair(args) => repair::run(args, output),
        RepositoryCommand::ExtendLocks(args) => locks::extend(args, output),
        RepositoryCommand::Undelete(args) => locks::undelete(args, output),
        RepositoryCommand::Import(args) => transfer::import(args, output),
        RepositoryCommand::Export(args) => transfer::export(args, output),
        RepositoryCommand::Snapshots(_) => Err(other_verb("snapshots", "info")),
        RepositoryCommand::Forget(_) => Err(other_verb("forget", "expire")),
        RepositoryCommand::Prune(_) => Err(other_verb("prune", "expire")),
    }
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The repository: vault: or vault:CA
    #[arg(value_name = "ADDRESS")]
    repository: PathBuf,
    /// Also read the bytes of all packs, or of the Nth of M parts
    #[arg(long, value_name = "N/M|all")]
    read: Option<Part>,
}

fn check(args: &CheckArgs, output: Output) -> Result<Done, Failure> {
    let repository = named::repository(&args.repository)?;
    interrupt::watch();
    let checked = {
        let mut progress = output.progress();
        repository.check(args.read.unwrap_or(Part::NONE), &mut progress)?
    };
    let (ends, untold) = locks::ends(&repository)?;
    // Where a set cannot be read, what it needs is not known.
    let is_needed_by_none =
        checked.problems.iter().all(|problem| problem.is_pack && problem.points.is_empty());
    let mut found: Vec<Finding> = checked
        .problems
        .iter()
        .map(|problem| {
            let needed = match problem.points.as_slice() {
                [] if is_needed_by_none => "; no set needs it".to_owned(),
                [] => String::new(),
                points => {
                    let ids: Vec<&str> = points.iter().filter_map(|id| id.get(..8)).collect();
                    format!("; these sets need it: {}", ids.join(", "))
                }
            };
            let text = format!("{}{needed}", problem.text);
            Finding::error(problem.kind, Hresult::ERROR_INVALID_DATA, text)
                .in_file(repository.address())
                .remedy("bring what is missing back from a copy of the vault's files (a vault that `repository copy` filled is none: its objects have \
                     another key), or run `certadm repository repair --read` and take a full backup")
        })
        .collect();
    found.extend(keys::dead(&repository, &checked.keys));
    let is_sound = found.is_empty();
    found.extend(ends.iter().flat_map(|ends| locks::neglected(ends, &repository.address())));
    found.extend(untold.clone());
    findings::print(&found, output);
    if 0 < checked.unnamed_packs {
        output.line(format!(
            "{} packs {}",
            checked.unnamed_packs,
            match is_sound {
                true =>
                    "belong to no set: backups that were cut off left them. They do no harm. After `certadm repository repair` the next backup uses \
                     what is in them and does not send it again.",
                false => "are named by no index. A repair takes in what the sets need of them.",
            }
        ));
    }
    if args.read.is_some() {
        output.line(format!("{} packs with {} read.", checked.packs, human_bytes(checked.bytes)));
    }
    if let Some(earliest) = ends.as_ref().and_then(locks::first_end) {
        output.line(format!("The first lock of what the sets need ends {earliest}."));
    }
    let (verdict, tone) = match is_sound {
        true if untold.is_some() => ("The repository is sound; when its locks end is NOT KNOWN.", Tone::Warn),
        true if !found.is_empty() => ("The repository is sound, and its locks END SOON.", Tone::Warn),
        true => ("The repository is sound.", Tone::Good),
        false => ("The repository is DAMAGED.", Tone::Bad),
    };
    output.verdict(verdict, tone);
    let result = json!({
        "repository": repository.address(),
        "sound": is_sound,
        "packs_read": checked.packs,
        "bytes_read": checked.bytes,
        "unnamed_packs": checked.unnamed_packs,
        "locks": ends.as_ref().map(locks::ends_to_json),
        "findings": findings::list(&found),
    });
    let exit = match (is_sound, found.is_empty()) {
        (false, _) => Exit::Damaged,
        (true, false) => Exit::Finding,
        (true, true) => Exit::Good,
    };
    Ok(Done { exit, result })
}
