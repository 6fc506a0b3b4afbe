//! The `certadm` command: arguments in, one verb, an exit code out.
//!
//! This is the front page of the documentation. The command is made of libraries that other programs can use, too. The
//! first page of each of them has an example that runs.
//!
//! | You want to | Library |
//! |---|---|
//! | take, verify, recover or restore a backup set | [`certadm_set`] |
//! | back up a CA over the network | [`certadm_client`] |
//! | write a backup of your own, over any CA | [`certadm_session`] |
//! | read the database of a Windows CA | [`certadm_ese`] |
//! | make the CRL of a CA that is lost, and say what it issued after its last backup | [`certadm_recovery`] |
//! | rehearse a restore, and keep evidence of it | [`certadm_rehearsal`] |
//! | fetch what a CA needs beside its database | [`certadm_identity`] |
//! | keep sets in an encrypted repository | [`certadm_repository`] |
//! | decide what is due for a CA, and do it | [`certadm_jobs`] |
//! | run a CA: issue, revoke, publish CRLs | [`certadm_ca`] |
//! | keep a CA's database, with logs and online backups | [`certadm_store`] |
//! | offer backups to other machines | [`certadm_server`] |
//! | speak DCE/RPC and DCOM without I/O | [`certadm_wire`](../certadm_wire/index.html) |
//! | authenticate and seal by NTLM and SPNEGO | [`certadm_auth`] |
//! | know the rules: result codes, names, lists, the order of calls | [`certadm_rules`] |
//! | write files that are there completely or not at all | [`certadm_files`] |
//!
//! The C library is in `crates/ffi`; `docs/c-api.md` of the repository describes it.

// They panic where standard error is closed: `terminal::tell` does not.
#![warn(clippy::print_stderr)]

mod args;
mod completing;
mod failure;
mod findings;
mod interrupt;
mod known_as;
mod log;
mod output;
mod overview;
mod program;
mod secrets;
mod size;
mod table;
mod terminal;
mod verbs;

use std::process::ExitCode;

use clap::FromArgMatches;

use crate::args::{Cli, Command};
use crate::failure::Failure;
use crate::output::{Done, Ended, Output};

fn main() -> ExitCode {
    #[cfg(unix)]
    leave_no_core_dump();
    completing::answer();
    #[cfg(feature = "repository")]
    if std::env::args_os().len() < 2 {
        log::of_command();
        let output = Output { json: false, quiet: false };
        return ExitCode::from(output.finish(output::ALONE, verbs::next::run(output).into()) as u8);
    }
    let parsed = args::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = parsed.unwrap_or_else(|error| end_with(&error));
    if !matches!(cli.command, Command::Serve(_)) {
        log::of_command();
    }
    if cli.until_input_ends {
        interrupt::when_input_ends();
    }
    let output = Output { json: cli.json, quiet: cli.quiet };
    let (name, ended): (_, Ended) = match cli.command {
        Command::List(args) => ("list", verbs::list::run(&args, "list", output)),
        Command::Ca(command) => (command.name(), verbs::ca::run(command, output)),
        Command::Serve(args) => ("serve", verbs::serve::run(&args, output)),
        Command::Backup(args) => ("backup", verbs::backup::run(&args, output).into()),
        Command::Restore(args) => ("restore", verbs::restore::run(&args, output).into()),
        Command::Verify(args) => ("verify", verbs::verify::run(&args, output).into()),
        Command::Copy(args) => ("copy", verbs::copy::run(&args, output).into()),
        Command::Seal(args) => ("seal", verbs::seal::run(&args, output).into()),
        Command::Sets(args) => ("sets", verbs::sets::run(&args, output).into()),
        Command::Prune(args) => ("prune", verbs::prune::run(&args, output).into()),
        Command::Show(args) => ("show", verbs::show::run(&args, output).into()),
        Command::User(command) => (command.name(), verbs::user::run(&command, output).into()),
        Command::Doctor(args) => ("doctor", verbs::doctor::run(&args, output).into()),
        Command::Recover(args) => ("recover", verbs::recover::run(&args, output).into()),
        Command::Identity(args) => ("identity", verbs::identity::run(&args, output).into()),
        Command::Attach(args) => ("attach", verbs::attach::run(&args, output).into()),
        Command::Complete(args) => ("complete", verbs::complete::run(&args, output).into()),
        Command::EmergencyCrl(args) => (args.name(), verbs::emergency_crl::run(&args, output).into()),
        Command::ApplyRevocations(args) => {
            ("apply-revocations", verbs::apply_revocations::run(&args, output).into())
        }
        Command::PublishCrl(args) => ("publish-crl", verbs::publish_crl::run(&args, output).into()),
        Command::Rehearse(args) => (args.name(), verbs::rehearse::run(&args, output).into()),
        Command::Gap(args) => ("gap", verbs::gap::run(&args, output).into()),
        Command::Diff(args) => ("diff", verbs::diff::run(&args, output)),
        #[cfg(feature = "repository")]
        Command::Repository(command) => (command.name(), verbs::repository::run(&command, output).into()),
        #[cfg(feature = "repository")]
        Command::Config(command) => (command.name(), verbs::config::run(&command, output).into()),
        #[cfg(feature = "repository")]
        Command::Run(args) => ("run", verbs::run::run(&args, output).into()),
        #[cfg(feature = "repository")]
        Command::Status(args) => ("status", verbs::status::run(&args, output).into()),
        #[cfg(feature = "repository")]
        Command::Check(args) => ("check", verbs::status::check(&args, output).into()),
        #[cfg(feature = "repository")]
        Command::Agent(args) => (args.name(), verbs::agent::run(args, output).into()),
        #[cfg(feature = "repository")]
        Command::Timers(args) => ("timers", verbs::timers::run(&args, output).into()),
        Command::Drill(args) => ("drill", verbs::drill::run(&args, output).into()),
        Command::Completions { shell } => ("completions", completions(shell).into()),
        Command::Man { dir } => ("man", verbs::man::run(args::command(), &dir).into()),
    };
    ExitCode::from(output.finish(name, ended) as u8)
}

/// Tells what is wrong with a command line, or the help that was asked for. Who writes as for certutil is told our word.
fn end_with(error: &clap::Error) -> ! {
    error.print().ok();
    let first = std::env::args_os().nth(1).unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let ours = match first.trim_start_matches(['-', '/']) {
        "backupdb" | "backup" if first.starts_with(['-', '/']) => Some("certadm backup"),
        "restoredb" | "restore" if first.starts_with(['-', '/']) => Some("certadm restore"),
        "dump" | "db" | "view" => Some("certadm list"),
        "ping" | "pingadmin" => Some("certadm doctor"),
        "crl" | "revoke" => Some("certadm ca crl, certadm ca revoke"),
        _ => None,
    };
    if let Some(ours) = ours.filter(|_| error.exit_code() != 0) {
        terminal::tell(format_args!("What to do: what certutil calls {first} is here: {ours}.\n"));
    }
    std::process::exit(error.exit_code())
}

/// A core dump would hold passphrase and key (invariant 10). Windows writes none unless an administrator sets it up.
#[cfg(unix)]
fn leave_no_core_dump() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    // Lowering a limit is always allowed; were it not, the command would still be of use.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).ok();
}

fn completions(shell: clap_complete::Shell) -> Result<Done, Failure> {
    let mut script = Vec::new();
    completing::write_script(shell, &mut script).map_err(output::failed_output)?;
    std::io::Write::write_all(&mut std::io::stdout().lock(), &script).map_err(output::failed_output)?;
    Ok(Done::good(serde_json::Value::Null))
}
