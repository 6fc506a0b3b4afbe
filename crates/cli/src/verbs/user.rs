//! `certadm user`: the accounts that may log on to the service over TCP.

use std::path::PathBuf;
use std::time::Duration;

use certadm_auth::{NtHash, same_name};
use certadm_ca::Config;
use certadm_rules::FileTime;
use certadm_rules::flags::Roles;
use certadm_server::{
    Logon, LogonFile, ROLE_NAMES, User, UserFile, hash_new_password, role_named, role_names,
};
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
    /// Change an account's password; its connections and backups end
    #[command(after_help = "Example: certadm user passwd --dir /srv/ca backup --password-file pw")]
    Passwd(PasswdArgs),
    /// Let nobody log on with an account for now; its connections and backups end
    #[command(after_help = "Example: certadm user disable --dir /srv/ca backup")]
    Disable(NameArgs),
    /// Let an account log on again
    #[command(after_help = "Example: certadm user enable --dir /srv/ca backup")]
    Enable(NameArgs),
    /// Remove an account; its connections and backups end
    #[command(after_help = "Example: certadm user remove --dir /srv/ca backup")]
    Remove(NameArgs),
    /// List accounts, their roles, and when each last logged on
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
    #[command(flatten)]
    password: NewPassword,
}

/// Where a new password comes from.
#[derive(Debug, Args)]
struct NewPassword {
    /// File that holds the password, of 12 or more characters; a newline at its end does not count. A prompt on a terminal
    /// where it is left out
    #[arg(long, value_name = "FILE", conflicts_with = "password_fd")]
    password_file: Option<PathBuf>,
    /// Open descriptor to read the password from
    #[arg(long, value_name = "N")]
    password_fd: Option<Descriptor>,
}

impl NewPassword {
    fn read(&self) -> Result<NtHash, Failure> {
        let password = read_password(self.password_file.as_deref(), self.password_fd, Prompt::New)?;
        Ok(hash_new_password(&password)?)
    }
}

#[derive(Debug, Args)]
pub(crate) struct PasswdArgs {
    #[command(flatten)]
    account: NameArgs,
    #[command(flatten)]
    password: NewPassword,
}

#[derive(Debug, Args)]
pub(crate) struct NameArgs {
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
            Self::Passwd(_) => "user passwd",
            Self::Disable(_) => "user disable",
            Self::Enable(_) => "user enable",
            Self::Remove(_) => "user remove",
            Self::List(_) => "user list",
        }
    }
}

pub(crate) fn run(command: &UserCommand, output: Output) -> Result<Done, Failure> {
    match command {
        UserCommand::Add(args) => add(args, output),
        UserCommand::Passwd(args) => change_password(args, output),
        UserCommand::Disable(args) => disable(args, true, output),
        UserCommand::Enable(args) => disable(args, false, output),
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
    let nt_hash = args.password.read()?;
    let roles = args.roles.iter().filter_map(|name| role_named(name)).fold(Roles::NONE, Roles::union);
    let user = User::new(&args.name, nt_hash, roles)?;
    let result = json!({ "name": user.name, "roles": role_names(user.roles) });
    file.add(user)?;
    output.line(format!("Added {}: {}.", args.name, role_names(roles).join(", ")));
    Ok(Done::good(result))
}

fn change_password(args: &PasswdArgs, output: Output) -> Result<Done, Failure> {
    let NameArgs { dir, name } = &args.account;
    users_in(dir)?.set_password(name, args.password.read()?)?;
    output.line(format!("{name} has a new password."));
    Ok(Done::good(json!({ "name": name })))
}

fn disable(args: &NameArgs, is_disabled: bool, output: Output) -> Result<Done, Failure> {
    users_in(&args.dir)?.disable(&args.name, is_disabled)?;
    let done = if is_disabled { "Disabled" } else { "Enabled" };
    output.line(format!("{done} {}.", args.name));
    Ok(Done::good(json!({ "name": args.name, "disabled": is_disabled })))
}

fn remove(args: &NameArgs, output: Output) -> Result<Done, Failure> {
    users_in(&args.dir)?.remove(&args.name)?;
    output.line(format!("Removed {}.", args.name));
    Ok(Done::good(json!({ "name": args.name })))
}

/// The last logons are told as far as the service has written them: up to a minute late, and not at all where their file
/// cannot be read, which the accounts do not depend on.
fn list(args: &ListArgs, output: Output) -> Result<Done, Failure> {
    let users = users_in(&args.dir)?.read()?;
    let logons = LogonFile::in_folder(&args.dir).read().unwrap_or_else(|reason| {
        output.line(format!("The last logons cannot be read: {reason}."));
        Vec::new()
    });
    let last_of = |user: &User| logons.iter().find(|logon| same_name(&logon.name, &user.name));
    for user in &users {
        let disabled = if user.is_disabled { ", disabled" } else { "" };
        let last = match last_of(user) {
            Some(logon) => format!("last logon {}{}", when(logon), from(logon)),
            None => "no logon noted".to_owned(),
        };
        output.result(format!("{}: {}{disabled}; {last}", user.name, role_names(user.roles).join(", ")));
    }
    if users.is_empty() {
        output.line("No accounts: no caller can log on over TCP.");
    }
    let to_json = |user: &User| {
        let last = last_of(user);
        json!({
            "name": user.name,
            "roles": role_names(user.roles),
            "disabled": user.is_disabled,
            "last_logon": last.map(when),
            "last_address": last.and_then(|logon| logon.address),
        })
    };
    Ok(Done::good(json!({ "users": users.iter().map(to_json).collect::<Vec<Value>>() })))
}

fn when(logon: &Logon) -> String {
    FileTime::from_unix(Duration::from_secs(logon.at)).to_rfc3339()
}

fn from(logon: &Logon) -> String {
    logon.address.map_or_else(String::new, |address| format!(" from {address}"))
}
