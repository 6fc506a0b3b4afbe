//! `certadm user`: the accounts that may log on to the service over TCP.

use std::path::PathBuf;

use certadm_auth::NtHash;
use certadm_ca::Config;
use certadm_rules::flags::Roles;
use certadm_server::{ROLE_NAMES, User, UserFile, role_named, role_names};
use certadm_store::Folder;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Done, Output};
use crate::secrets::{Descriptor, Prompt, read_password};

/// `certadm user`
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add an account
    #[command(
        after_help = "Example: certadm user add --dir /srv/ca backup --role operator --password-file pw"
    )]
    Add(AddArgs),
    /// Remove an account; its open connections lose their rights at once
    #[command(after_help = "Example: certadm user remove --dir /srv/ca backup")]
    Remove(RemoveArgs),
    /// List accounts and their roles
    #[command(after_help = "Example: certadm user list --dir /srv/ca")]
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// The CA's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The account's name
    name: String,
    /// A role; may be given several times
    #[arg(long = "role", value_name = "ROLE", required = true,
        value_parser = PossibleValuesParser::new(ROLE_NAMES.map(|(name, _)| name)))]
    roles: Vec<String>,
    /// File that holds the password; a newline at its end does not count. A prompt on a terminal where it is left out
    #[arg(long, value_name = "FILE", conflicts_with = "password_fd")]
    password_file: Option<PathBuf>,
    /// Open descriptor to read the password from
    #[arg(long, value_name = "N")]
    password_fd: Option<Descriptor>,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// The CA's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The account's name
    name: String,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The CA's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

impl UserCommand {
    /// The command as the user typed it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "user add",
            Self::Remove(_) => "user remove",
            Self::List(_) => "user list",
        }
    }
}

pub(crate) fn run(command: &UserCommand, output: Output) -> Result<Done, Failure> {
    match command {
        UserCommand::Add(args) => add(args, output),
        UserCommand::Remove(args) => remove(args, output),
        UserCommand::List(args) => list(args, output),
    }
}

/// The accounts of a folder that is a CA's.
fn users_in(dir: &std::path::Path) -> Result<UserFile, Failure> {
    Config::load(&Folder::new(dir).config_path())?;
    Ok(UserFile::in_folder(dir))
}

fn add(args: &AddArgs, output: Output) -> Result<Done, Failure> {
    let file = users_in(&args.dir)?;
    let password = read_password(args.password_file.as_deref(), args.password_fd, Prompt::New)?;
    let roles = args.roles.iter().filter_map(|name| role_named(name)).fold(Roles::NONE, Roles::union);
    let user = User { name: args.name.clone(), nt_hash: NtHash::from_password(&password), roles };
    let result = to_json(&user);
    file.add(user)?;
    output.line(format!("Added {}: {}.", args.name, role_names(roles).join(", ")));
    Ok(Done::good(result))
}

fn remove(args: &RemoveArgs, output: Output) -> Result<Done, Failure> {
    users_in(&args.dir)?.remove(&args.name)?;
    output.line(format!("Removed {}.", args.name));
    Ok(Done::good(json!({ "name": args.name })))
}

fn list(args: &ListArgs, output: Output) -> Result<Done, Failure> {
    let users = users_in(&args.dir)?.read()?;
    for user in &users {
        output.result(format!("{}: {}", user.name, role_names(user.roles).join(", ")));
    }
    if users.is_empty() {
        output.line("No accounts: no caller can log on over TCP.");
    }
    Ok(Done::good(json!({ "users": users.iter().map(to_json).collect::<Vec<Value>>() })))
}

fn to_json(user: &User) -> Value {
    json!({ "name": user.name, "roles": role_names(user.roles) })
}
