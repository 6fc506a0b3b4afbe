//! `certadm repository init`: the repository of a CA, and the code that opens it when everything else is lost.

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};

use certadm_files::{Access, IoContext, durable};
use certadm_repository::recovery_code;
use clap::Args;
use serde_json::json;

use super::named::address;
use crate::failure::Failure;
use crate::output::{Done, Output, path_text};
use crate::verbs::places;

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The vault, such as vault:
    #[arg(value_name = "VAULT:")]
    vault: PathBuf,
    /// The CA's name
    #[arg(long, value_name = "NAME")]
    ca: Option<String>,
    /// Write the recovery code to this new file, for its owner alone, instead of showing it and asking for a part of it
    #[arg(long, value_name = "FILE")]
    recovery_file: Option<PathBuf>,
}

pub(super) fn run(args: &InitArgs, output: Output) -> Result<Done, Failure> {
    let address = address(&args.vault)?;
    let ca = args.ca.clone().or(address.ca);
    let Some(ca) = ca else {
        return Err(Failure::usage("no CA is named", "add --ca 'NAME OF THE CA'"));
    };
    if args.recovery_file.is_none() && (output.json || !std::io::stdin().is_terminal()) {
        let text = "there is no terminal to show the recovery code on";
        return Err(Failure::usage(text, "add --recovery-file FILE, and keep that file off this machine"));
    }
    let vault = places::vault(&address.vault)?;
    let code = recovery_code()?;
    match &args.recovery_file {
        // Before anything is stored under it.
        Some(file) => durable::create(file, format!("{}\n", *code).as_bytes(), Access::Owner)?,
        None => show_and_ask(&code, output)?,
    }
    let repository = match vault.create(&ca, &code) {
        Ok(repository) => repository,
        Err(error) => {
            // The code opens nothing.
            args.recovery_file.iter().for_each(|file| drop(std::fs::remove_file(file)));
            return Err(error.into());
        }
    };
    output.line(format!("Made the repository {} in {}.", repository.address(), vault.place()));
    if let Some(file) = vault.key_file(repository.ca()) {
        output.line(format!(
            "Its key is in {}: backups need it. Whoever has it can read the sets.",
            file.display()
        ));
    }
    if let Some(file) = &args.recovery_file {
        output.line(format!(
            "Its recovery code is in {}: print it or move it off this machine. Without key and code nothing can be read.",
            file.display()
        ));
    }
    Ok(Done::good(json!({
        "repository": repository.address(),
        "place": vault.place(),
        "key_file": vault.key_file(repository.ca()).as_deref().map(path_text),
        "recovery_file": args.recovery_file.as_deref().map(path_text),
    })))
}

/// Shows the code once, and makes sure that it was written down: two of its groups are asked for.
fn show_and_ask(code: &str, output: Output) -> Result<(), Failure> {
    output.result("The recovery code opens the repository when the key file is lost. Write it down; it is not shown again:");
    output.result(format!("\n    {code}\n"));
    let groups: Vec<&str> = code.split('-').collect();
    for number in [3, 7] {
        let asked = format!("Group {number} of the code: ");
        eprint!("{asked}");
        let mut answer = String::new();
        let terminal = Path::new("the terminal");
        std::io::stdin().lock().read_line(&mut answer).during("ask on", terminal)?;
        if groups.get(number - 1).copied() != Some(answer.trim()) {
            let text = "that is not what was shown; no repository was made";
            return Err(Failure::usage(text, "start again, and write the new code down"));
        }
    }
    Ok(())
}
