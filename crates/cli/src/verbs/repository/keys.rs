//! `certadm repository key`: the passwords that open a repository beside its key file.

use std::path::PathBuf;

use certadm_client::own_host_name;
use certadm_repository::{CaRepository, Error, Key, KeyFault, Label, Secret};
use certadm_rules::Diagnosis;
use certadm_rules::diagnosis::chain_of;
use certadm_rules::finding::{Finding, Kind};
use certadm_rules::printable::printable;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::code::CodeArgs;
use super::named::repository;
use crate::failure::{Exit, Failure};
use crate::findings;
use crate::output::{Done, Output};
use crate::secrets::warn_if_exposed;

/// Digits by which a key is shown.
const SHOWN: usize = 8;

/// `certadm repository key`
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// List the keys of a repository, beside its key file
    #[command(after_help = "Example: certadm repository key list vault:")]
    List(ListArgs),
    /// Add a password, or a new recovery code
    #[command(after_help = "Example: certadm repository key add vault: --password-file operator\n\
        Example: certadm repository key add vault: --recovery-file code2")]
    Add(AddArgs),
    /// Remove a key. The last one that is sound stays
    #[command(after_help = "Example: certadm repository key remove vault: 7f3a90c2")]
    Remove(RemoveArgs),
    /// Put a new password or recovery code in the place of a key: the new one opens the repository before the old one goes
    #[command(after_help = "Example: certadm repository key rotate vault: --recovery-file code2\n\
        Example: certadm repository key rotate vault: 7f3a90c2 --password-file operator")]
    Rotate(RotateArgs),
}

impl KeyCommand {
    /// Its name in JSON.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::List(_) => "repository key list",
            Self::Add(_) => "repository key add",
            Self::Remove(_) => "repository key remove",
            Self::Rotate(_) => "repository key rotate",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The repository: vault: or vault:CA
    #[arg(value_name = "ADDRESS")]
    repository: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// The repository: vault: or vault:CA
    #[arg(value_name = "ADDRESS")]
    repository: PathBuf,
    #[command(flatten)]
    new: NewKey,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// The repository: vault: or vault:CA
    #[arg(value_name = "ADDRESS")]
    repository: PathBuf,
    /// The first digits of the key's id, as `repository key list` shows it
    #[arg(value_name = "KEY")]
    key: String,
}

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// The repository: vault: or vault:CA
    #[arg(value_name = "ADDRESS")]
    repository: PathBuf,
    /// The first digits of the old key's id; may be left out where there is only one
    #[arg(value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    new: NewKey,
}

/// A new key: a password that somebody has chosen, or a recovery code.
#[derive(Debug, Args)]
struct NewKey {
    /// File that holds the new password; a newline at its end does not count. Without it a recovery code is made
    #[arg(long, value_name = "FILE", conflicts_with = "recovery_file")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    code: CodeArgs,
}

impl NewKey {
    /// Reads or makes the key, and does with it what it is for.
    fn with<T>(
        &self,
        repository: &CaRepository,
        output: Output,
        work: impl FnOnce(&Secret, Label<'_>) -> certadm_repository::Result<T>,
    ) -> Result<T, Failure> {
        let host = own_host_name();
        let label = |user| Label { host: &host, user };
        if let Some(file) = &self.password_file {
            warn_if_exposed(file);
            return Ok(work(&Secret::from_password_file(file)?, label("password"))?);
        }
        self.code.refuse_nowhere(output)?;
        let work = |code: &Zeroizing<String>| {
            let origin = self.code.recovery_file.clone().unwrap_or_else(|| "the recovery code".into());
            work(&Secret::from_password(code, &origin), label("recovery code"))
        };
        self.code.with_code(output, &repository.address(), work, |code| repository.is_opened_by(code))
    }
}

pub(super) fn run(command: &KeyCommand, output: Output) -> Result<Done, Failure> {
    match command {
        KeyCommand::List(args) => list(&repository(&args.repository)?, output),
        KeyCommand::Add(args) => {
            let repository = repository(&args.repository)?;
            let id = args.new.with(&repository, output, |secret, label| repository.add_key(secret, label))?;
            output.line(format!("Added the key {} to {}; it opens it.", short(&id), repository.address()));
            args.new.code.tell(output);
            Ok(done(&repository, Some(&id), None))
        }
        KeyCommand::Remove(args) => {
            let repository = repository(&args.repository)?;
            let gone = repository.remove_key(&args.key)?;
            output.line(format!("Removed the key {} from {}.", short(&gone.id), repository.address()));
            output.line(KNOWN);
            Ok(done(&repository, None, Some(&gone)))
        }
        KeyCommand::Rotate(args) => {
            let repository = repository(&args.repository)?;
            let old = args.key.as_deref();
            let (gone, id) = args
                .new
                .with(&repository, output, |secret, label| repository.rotate_key(old, secret, label))?;
            output.line(format!(
                "The key {} of {} is in the place of {}; it opens it.",
                short(&id),
                repository.address(),
                short(&gone.id)
            ));
            args.new.code.tell(output);
            output.line(KNOWN);
            Ok(done(&repository, Some(&id), Some(&gone)))
        }
    }
}

/// What removing a key does not do.
const KNOWN: &str = "Whoever has had the key file, or has opened the repository with the old key and kept what was inside, \
    can still read it: the master key does not change.";

fn list(repository: &CaRepository, output: Output) -> Result<Done, Failure> {
    let keys = repository.keys()?;
    for key in &keys {
        let said = [&key.user, &key.host, &key.created].map(|text| printable(text).into_owned());
        let dead = match key.fault {
            None => "",
            Some(KeyFault::Changed) => "  DAMAGED: it opens nothing",
            Some(KeyFault::NoKey(_)) => "  NO KEY: it opens nothing",
        };
        output.result(format!("{}  {}  {}  {}{dead}", short(&key.id), said[2], said[1], said[0]));
    }
    let found = dead(repository, &keys);
    findings::print(&found, output);
    let keys: Vec<Value> = keys.iter().map(to_json).collect();
    let exit = if found.is_empty() { Exit::Good } else { Exit::Damaged };
    let result =
        json!({ "repository": repository.address(), "keys": keys, "findings": findings::list(&found) });
    Ok(Done { exit, result })
}

/// What is wrong with the keys of a repository.
pub(super) fn dead(repository: &CaRepository, keys: &[Key]) -> Vec<Finding> {
    let finding = |error: Error| {
        let kind = match error {
            Error::NoPassword { .. } => Kind::FileMissing,
            Error::NotAKey { .. } => Kind::Unreadable,
            _ => Kind::FileChanged,
        };
        Finding::error(kind, error.hresult(), chain_of(&error))
            .in_file(repository.address())
            .remedy(error.remedy().into_owned())
    };
    repository.dead_keys(keys).into_iter().map(finding).collect()
}

fn done(repository: &CaRepository, added: Option<&str>, removed: Option<&Key>) -> Done {
    Done::good(json!({
        "repository": repository.address(),
        "added": added,
        "removed": removed.map(|key| &key.id),
    }))
}

fn to_json(key: &Key) -> Value {
    json!({
        "id": key.id,
        "created": key.created,
        "host": key.host,
        "user": key.user,
        "sound": key.is_sound(),
    })
}

fn short(id: &str) -> &str {
    id.get(..SHOWN).unwrap_or(id)
}
