//! The command line. Completions and manual pages come from here too.

use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};

use crate::overview;

/// Back up, verify, rehearse and restore a certification authority.
#[derive(Debug, Parser)]
#[command(name = "certadm", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 good, 1 finding, 2 usage, 3 refused, 4 unreachable, 5 damaged,\n\
    70 internal, 130 interrupted, 143 ended by SIGTERM.\n\
    Example: certadm backup --dir /srv/ca --to /backup/monday")]
pub(crate) struct Cli {
    /// Print one JSON object instead of text (docs/json.md)
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print results and errors only
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Take the end of standard input for SIGTERM: by this an agent on Windows stops what it has started
    #[arg(long, global = true, hide = true)]
    pub(crate) until_input_ends: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The command line with its first page.
pub(crate) fn command() -> clap::Command {
    overview::with_groups(Cli::command())
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a CA, issue and revoke certificates, publish CRLs, list and export
    #[command(subcommand)]
    #[command(after_help = "Example: certadm ca init --dir /srv/ca --name 'Example CA'")]
    Ca(crate::verbs::ca::CaCommand),
    /// Back a CA's database up while it goes on issuing
    Backup(crate::verbs::backup::BackupArgs),
    /// Restore a full set, and the log sets that continue it, into a CA's folder
    Restore(crate::verbs::restore::RestoreArgs),
    /// Check every byte of sets, their chain of logs, and the database that a restore would give
    Verify(crate::verbs::verify::VerifyArgs),
    /// List the sets in a folder or a repository: which belong together, and to which moments they lead back
    Sets(crate::verbs::sets::SetsArgs),
    /// Delete sets of a folder that no rule keeps: never what a kept one needs, the newest or the last proven state
    Prune(crate::verbs::prune::PruneArgs),
    /// Copy sets from a folder or a repository into another folder of sets, such as one on a disk that is carried away
    Copy(crate::verbs::copy::CopyArgs),
    /// Check what certutil -backupDB wrote and add a manifest, so that every later change of its bytes shows
    Seal(crate::verbs::seal::SealArgs),
    /// Show what is in a set, or in a Windows database, log or checkpoint: identity, range, health
    Show(crate::verbs::show::ShowArgs),
    /// List what a CA's folder, a set or a Windows database holds: requests, certificates, extensions, attributes, CRLs
    List(crate::verbs::list::ListArgs),
    /// Serve a CA to backup programs, over the network and a Unix socket, by the protocol of Windows
    Serve(crate::verbs::serve::ServeArgs),
    /// Accounts that may log on to the service over TCP: add, remove, list
    #[command(subcommand)]
    #[command(
        after_help = "Example: certadm user add --dir /srv/ca backup --role operator --password-file pw"
    )]
    User(crate::verbs::user::UserCommand),
    /// Try every gate on the way to a CA's backup, and say which one is shut and what to do
    Doctor(crate::verbs::doctor::DoctorArgs),
    /// Replay the logs of a Windows CA into a clean copy of its database
    Recover(crate::verbs::recover::RecoverArgs),
    /// Fetch what a CA needs beside its database: certificates, CRLs, configuration, templates
    Identity(crate::verbs::identity::IdentityArgs),
    /// Put beside a set what nobody can fetch: the key, registry, event log, files of our own CA
    Attach(Box<crate::verbs::attach::AttachArgs>),
    /// Judge whether everything is there that a lost CA needs to come back
    Complete(crate::verbs::complete::CompleteArgs),
    /// Make the next CRL of a CA that is lost, from its database and its key
    EmergencyCrl(Box<crate::verbs::emergency_crl::EmergencyCrlArgs>),
    /// Tell a CA that is back what was revoked while it was down
    ApplyRevocations(crate::verbs::apply_revocations::ApplyArgs),
    /// Let a CA that is back publish CRLs until their number is above that of its emergency CRL
    PublishCrl(crate::verbs::publish_crl::PublishCrlArgs),
    /// Prove that a CA comes back: rehearse the restore of its backup, and keep evidence
    Rehearse(Box<crate::verbs::rehearse::RehearseArgs>),
    /// Say what a lost CA issued and revoked after its last backup, by what event logs, certificates and CRLs tell
    Gap(crate::verbs::gap::GapArgs),
    /// Compare two states of a CA: what was issued, revoked or ended between them
    Diff(crate::verbs::diff::DiffArgs),
    /// Keep sets in an encrypted, deduplicated repository of restic's format, off this machine
    #[cfg(feature = "repository")]
    #[command(subcommand)]
    #[command(after_help = "Example: certadm repository init vault: --ca 'Example CA'\n\
        Then:    certadm backup --dir /srv/ca --to vault:")]
    Repository(crate::verbs::repository::RepositoryCommand),
    /// The configuration of jobs: make one, check it, show what it says
    #[cfg(feature = "repository")]
    #[command(subcommand)]
    #[command(after_help = "Example: certadm config init --ca /srv/ca --to vault: --full 'daily 02:00'\n\
        Then:    certadm config check")]
    Config(crate::verbs::config::ConfigCommand),
    /// Do what is due for the CAs of a job: back up, copy, prune, verify, rehearse
    #[cfg(feature = "repository")]
    Run(crate::verbs::run::RunArgs),
    /// Say how each CA stands: last backups, what would be lost now, proofs, what there is an alarm about
    #[cfg(feature = "repository")]
    Status(crate::verbs::status::StatusArgs),
    /// The same in one line and an exit code, for Nagios and its like
    #[cfg(feature = "repository")]
    Check(crate::verbs::status::CheckArgs),
    /// Do all jobs by their schedules, as a service
    #[cfg(feature = "repository")]
    Agent(crate::verbs::agent::AgentArgs),
    /// Write systemd units that do the jobs by timers, in the agent's place
    #[cfg(feature = "repository")]
    Timers(crate::verbs::timers::TimersArgs),
    /// Rehearse a loss: create a CA, issue, back up, destroy it, restore it, compare
    Drill(crate::verbs::drill::DrillArgs),
    /// Write shell completions to standard output
    #[command(after_help = "Example: certadm completions bash > /etc/bash_completion.d/certadm")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    #[command(after_help = "Example: certadm man /usr/local/share/man")]
    Man {
        /// The folder; commands go into man1 in it, files into man5
        dir: PathBuf,
    },
}
