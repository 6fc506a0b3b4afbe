//! `certadm ca`: create a CA and let it work.

mod export;
mod init;
mod issue;
mod revoke;

use clap::Subcommand;

use crate::output::{Ended, Output};
use crate::verbs::list;

/// `certadm ca`
#[derive(Debug, Subcommand)]
pub(crate) enum CaCommand {
    /// Create a CA: key, certificate, database, first CRL
    Init(init::InitArgs),
    /// Take the certificate that a parent made for a subordinate CA, or one that was renewed with the CA's key
    Import(init::ImportArgs),
    /// Issue certificates from PKCS#10 requests; works while a service owns the CA
    Issue(issue::IssueArgs),
    /// Revoke a certificate, or end its hold
    Revoke(revoke::RevokeArgs),
    /// Publish a new CRL
    Crl(revoke::CrlArgs),
    /// List what the CA's database holds
    List(list::CaListArgs),
    /// Write one certificate in PEM
    Export(export::ExportArgs),
}

impl CaCommand {
    /// The command as the user typed it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "ca init",
            Self::Import(_) => "ca import",
            Self::Issue(_) => "ca issue",
            Self::Revoke(_) => "ca revoke",
            Self::Crl(_) => "ca crl",
            Self::List(_) => "ca list",
            Self::Export(_) => "ca export",
        }
    }
}

/// Runs a command.
pub(crate) fn run(command: CaCommand, output: Output) -> Ended {
    let name = command.name();
    match command {
        CaCommand::Init(args) => init::run(&args, output).into(),
        CaCommand::Import(args) => init::import(&args, output).into(),
        CaCommand::Issue(args) => issue::run(&args, output).into(),
        CaCommand::Revoke(args) => revoke::run(&args, output).into(),
        CaCommand::Crl(args) => revoke::publish(&args, output).into(),
        CaCommand::List(args) => list::run(&args.into(), name, output),
        CaCommand::Export(args) => export::run(&args, output).into(),
    }
}
