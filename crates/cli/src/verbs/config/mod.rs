//! `certadm config`: the configuration of jobs, certadm.toml(5).

mod check;
mod init;
mod show;

use clap::{Args, Subcommand};

use crate::failure::Failure;
use crate::output::{Done, Output};

/// `certadm config`
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Make a configuration for one CA; what no option says is asked on a terminal
    #[command(
        after_help = "Example: certadm config init --ca /srv/ca --to vault: --full 'daily 02:00' --logs 'every 15m'"
    )]
    Init(Box<init::InitArgs>),
    /// Read the configuration, and look whether the files that it names are there
    #[command(after_help = "Example: certadm config check")]
    Check(CheckArgs),
    /// Say what the configuration means, with everything that it leaves to defaults
    #[command(after_help = "Example: certadm config show")]
    Show(ShowArgs),
}

/// `certadm config check`
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {}

/// `certadm config show`
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {}

impl ConfigCommand {
    /// Its name in JSON.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "config init",
            Self::Check(_) => "config check",
            Self::Show(_) => "config show",
        }
    }
}

pub(crate) fn run(command: &ConfigCommand, output: Output) -> Result<Done, Failure> {
    match command {
        ConfigCommand::Init(args) => init::run(args, output),
        ConfigCommand::Check(_) => check::check(output),
        ConfigCommand::Show(_) => show::show(output),
    }
}
