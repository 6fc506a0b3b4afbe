//! The `certadm` command: arguments in, one verb, an exit code out.

mod args;
mod failure;
mod findings;
mod output;
mod secrets;
mod table;
mod verbs;

use std::process::ExitCode;

use certadm_files::IoContext;
use clap::{CommandFactory, Parser};

use crate::args::{Cli, Command};
use crate::failure::Failure;
use crate::output::{Done, Output};

fn main() -> ExitCode {
    let cli = Cli::parse();
    #[cfg(unix)]
    leave_no_core_dump();
    if !matches!(cli.command, Command::Serve(_)) {
        log_to_stderr();
    }
    let output = Output { json: cli.json, quiet: cli.quiet };
    let (name, outcome) = match cli.command {
        // These say themselves how they ended: rows are printed as they come.
        Command::List(args) => return ExitCode::from(verbs::list::run(&args, output) as u8),
        Command::Ca(command) => return ExitCode::from(verbs::ca::run(command, output) as u8),
        Command::Backup(args) => ("backup", verbs::backup::run(&args, output)),
        Command::Restore(args) => ("restore", verbs::restore::run(&args, output)),
        Command::Verify(args) => ("verify", verbs::verify::run(&args, output)),
        Command::Show(args) => ("show", verbs::show::run(&args, output)),
        Command::Serve(args) => match verbs::serve::run(&args, output) {
            // It has said where it listens; there is nothing to add.
            Ok(exit) => return ExitCode::from(exit as u8),
            Err(failure) => ("serve", Err(failure)),
        },
        Command::User(command) => (command.name(), verbs::user::run(&command, output)),
        Command::Doctor(args) => ("doctor", verbs::doctor::run(&args, output)),
        Command::Recover(args) => ("recover", verbs::recover::run(&args, output)),
        Command::Drill(args) => ("drill", verbs::drill::run(&args, output)),
        Command::Completions { shell } => ("completions", completions(shell)),
        Command::Man { dir } => ("man", man(&dir)),
    };
    ExitCode::from(output.finish(name, outcome) as u8)
}

/// A core dump would hold passphrase and key (invariant 10). Windows writes none unless an administrator sets it up.
#[cfg(unix)]
fn leave_no_core_dump() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    // Lowering a limit is always allowed; were it not, the command would still be of use.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).ok();
}

/// Events go to standard error when CERTADM_LOG asks for them, such as `CERTADM_LOG=info`.
fn log_to_stderr() {
    if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_env("CERTADM_LOG") {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
}

fn completions(shell: clap_complete::Shell) -> Result<Done, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "certadm", &mut script);
    std::io::Write::write_all(&mut std::io::stdout().lock(), &script).map_err(output::failed_output)?;
    Ok(Done::good(serde_json::Value::Null))
}

fn man(dir: &std::path::Path) -> Result<Done, Failure> {
    if !dir.is_dir() {
        certadm_files::durable::create_dir(dir)?;
    }
    clap_mangen::generate_to(Cli::command(), dir).during("write manual pages to", dir)?;
    Ok(Done::good(serde_json::json!({ "dir": dir })))
}
