//! The command line. Completions and manual pages come from here too.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Back up, verify, rehearse and restore a certification authority.
#[derive(Debug, Parser)]
#[command(name = "certadm", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 good, 1 finding, 2 usage, 3 refused, 4 unreachable, 5 damaged.\n\
    Example: certadm backup --dir /srv/ca --to /backup/monday")]
pub(crate) struct Cli {
    /// Print one JSON object instead of text (docs/json.md)
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print results and errors only
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a CA and let it work: issue, revoke, publish a CRL, list
    #[command(subcommand)]
    #[command(after_help = "Example: certadm ca init --dir /srv/ca --name 'Example CA'")]
    Ca(crate::verbs::ca::CaCommand),
    /// Back a CA's database up while it goes on issuing
    Backup(BackupArgs),
    /// Restore a full set, and the sets of logs that continue it, into a CA's folder
    Restore(RestoreArgs),
    /// Check every byte, every link, and the database that a restore would give
    Verify(VerifyArgs),
    /// Say what is inside a set, or a Windows database, log or checkpoint: identity, range, health
    Show(crate::verbs::show::ShowArgs),
    /// List what a CA's folder, a set or a Windows database holds: requests, certificates, extensions, attributes, CRLs
    List(crate::verbs::list::ListArgs),
    /// Serve a CA: backups over the network and a Unix socket, by the protocol of Windows CAs
    Serve(crate::verbs::serve::ServeArgs),
    /// Accounts that may log on to the service over TCP: add, remove, list
    #[command(subcommand)]
    #[command(
        after_help = "Example: certadm user add --dir /srv/ca backup --role operator --password-file pw"
    )]
    User(crate::verbs::user::UserCommand),
    /// Walk the gates between here and a CA's backup, and name the one that is shut
    Doctor(crate::verbs::doctor::DoctorArgs),
    /// Replay the logs of a Windows CA into a clean copy of its database
    Recover(crate::verbs::recover::RecoverArgs),
    /// Create a CA, issue under load, back up, lose it, restore it, prove it
    Drill(crate::verbs::drill::DrillArgs),
    /// Write shell completions to standard output
    #[command(after_help = "Example: certadm completions bash > /etc/bash_completion.d/certadm")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    #[command(after_help = "Example: certadm man /usr/local/share/man/man1")]
    Man {
        /// The folder; it is created
        dir: PathBuf,
    },
}

/// Full or logs only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindArg {
    /// Database and logs
    Full,
    /// The logs since the last truncation; needs a full set as base
    Logs,
}

/// `certadm backup`
#[derive(Debug, Args)]
#[command(after_help = "Example: certadm backup --dir /srv/ca --to /backup/monday\n\
    Then:    certadm backup --dir /srv/ca --to /backup/monday-noon --type logs\n\
    Another machine: certadm backup --server ca1.corp.example --user 'CORP\\backup' --to /backup/monday")]
pub(crate) struct BackupArgs {
    /// The folder of a CA on this machine
    #[arg(long, value_name = "DIR", required_unless_present = "server", conflicts_with = "server")]
    pub(crate) dir: Option<PathBuf>,
    /// A CA over the network: host, host:port, host\CA name, or a name of client.toml; localhost is this machine's socket
    #[arg(long, value_name = "NAME")]
    pub(crate) server: Option<String>,
    #[command(flatten)]
    pub(crate) login: crate::verbs::remote::LoginArgs,
    /// The new set's folder; it must not exist, or be empty
    #[arg(long, value_name = "SET")]
    pub(crate) to: PathBuf,
    /// What to back up
    #[arg(long = "type", value_enum, default_value = "full")]
    pub(crate) kind: KindArg,
    /// Leave the CA's logs in place; a full set taken so is no base for logs-only ones
    #[arg(long)]
    pub(crate) keep_logs: bool,
    /// What the stored files are compared with: what the system holds of them, or what the medium gives back, which takes
    /// as long again as writing. Logs that the CA then deletes are read from the medium in any case
    #[arg(long, value_enum, default_value = "system")]
    pub(crate) read_back: ReadBackArg,
    /// Also after a logs-only backup, delete the logs it holds; each such set is then needed for a restore
    #[arg(long, conflicts_with = "keep_logs")]
    pub(crate) truncate: bool,
}

/// `--read-back`
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ReadBackArg {
    System,
    Medium,
}

/// `certadm restore`
#[derive(Debug, Args)]
#[command(
    after_help = "Example: certadm restore --from /backup/monday --from /backup/monday-noon --dir /srv/ca"
)]
pub(crate) struct RestoreArgs {
    /// A set: the full one first, then its sets of logs in any order
    #[arg(long, value_name = "SET", required = true)]
    pub(crate) from: Vec<PathBuf>,
    /// The CA's folder
    #[arg(long, value_name = "DIR", required_unless_present = "server", conflicts_with = "server")]
    pub(crate) dir: Option<PathBuf>,
    /// Say where the parts would go on another machine: a restore is registered on the CA's own machine alone
    #[arg(long, value_name = "NAME", requires = "dry_run")]
    pub(crate) server: Option<String>,
    #[command(flatten)]
    pub(crate) login: crate::verbs::remote::LoginArgs,
    /// Check everything and say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Move a database that is there aside instead of refusing; nothing is deleted
    #[arg(long)]
    pub(crate) force: bool,
    /// Register only; the CA's next start recovers
    #[arg(long)]
    pub(crate) no_recover: bool,
}

/// `certadm verify`
#[derive(Debug, Args)]
#[command(after_help = "Example: certadm verify /backup/monday /backup/monday-noon\n\
    Example: certadm verify CertLog.edb")]
pub(crate) struct VerifyArgs {
    /// A full set and the sets of logs that continue it, or sets of logs alone; also a Windows database or its logs
    #[arg(value_name = "SET", required = true)]
    pub(crate) sets: Vec<PathBuf>,
}
