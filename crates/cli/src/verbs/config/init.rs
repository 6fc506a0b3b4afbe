//! `certadm config init`: a configuration for one CA, from options or answers.

use std::io::BufRead;
use std::path::PathBuf;

use certadm_files::{Access, durable};
use certadm_jobs::{Config, Schedule};
use certadm_rules::words::counted;
use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::output::{Done, Output, path_text};
use crate::terminal;

/// `certadm config init`
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The CA: its folder on this machine, or its name on the network
    #[arg(long, value_name = "DIR|HOST")]
    ca: Option<String>,
    /// What the CA is called in the configuration
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The account that backs up a CA of the network
    #[arg(long, value_name = "ACCOUNT")]
    user: Option<String>,
    /// File with the password of that account
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Where backups go: a vault such as vault:, or a folder
    #[arg(long, value_name = "PLACE")]
    to: Option<String>,
    /// When a full backup is taken, such as 'daily 02:00'
    #[arg(long, value_name = "SCHEDULE")]
    full: Option<Schedule>,
    /// When logs are backed up, such as 'every 15m'
    #[arg(long, value_name = "SCHEDULE")]
    logs: Option<Schedule>,
    /// When everything is read back, such as 'daily 05:00'
    #[arg(long, value_name = "SCHEDULE")]
    verify: Option<Schedule>,
    /// A command that is told of alarms; they come as JSON on its standard input
    #[arg(long, value_name = "COMMAND")]
    notify: Option<String>,
    /// The file to write [default: /etc/certadm/certadm.toml for root, ~/.config/certadm/certadm.toml for others]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) fn run(args: &InitArgs, output: Output) -> Result<Done, Failure> {
    let path = certadm_files::absolute(&args.file.clone().unwrap_or_else(default_file))?;
    if path.symlink_metadata().is_ok() {
        return Err(certadm_files::Error::Exists { path }.into());
    }
    let ca = answer(args.ca.clone(), "--ca", "Which CA (its folder, or its name on the network)?", None)?;
    let is_folder = is_path(&ca) || std::path::Path::new(&ca).is_dir();
    let ca = if is_folder { certadm_files::absolute(ca.as_ref())?.display().to_string() } else { ca };
    let suggested = suggested_name(&ca);
    let name = answer(args.name.clone(), "--name", "What is it called here?", Some(&suggested))?;
    let to =
        answer(args.to.clone(), "--to", "Where do backups go (a vault such as vault:, or a folder)?", None)?;
    // Relative to where the person stands, not to the configuration.
    let to = if certadm_jobs::config::names_a_vault(&to) {
        to
    } else {
        certadm_files::absolute(to.as_ref())?.display().to_string()
    };
    let when = |given: &Option<Schedule>| given.map(|schedule| schedule.to_string());
    let full = answer(when(&args.full), "--full", "When is a full backup taken?", Some("daily 02:00"))?;
    let logs = answer(when(&args.logs), "--logs", "When are logs backed up?", Some("every 15m"))?;
    let verify =
        answer(when(&args.verify), "--verify", "When is everything read back?", Some("daily 05:00"))?;
    let told = match &args.notify {
        None if terminal::can_ask() => {
            let question = "Which command is told of alarms (nothing: none; certadm.toml(5) has mail, webhooks and more)?";
            answer(None, "--notify", question, Some("")).ok().filter(|command| !command.trim().is_empty())
        }
        other => other.clone(),
    };
    let text = text_of(args, told.as_deref(), (&ca, is_folder), (&name, &to), [&full, &logs, &verify])?;
    // What is written can be read.
    let config = Config::parse(&text, &path).map_err(|detail| {
        Failure::usage(format!("these answers make no configuration: {detail}"), "give others")
    })?;
    if let Some(folder) = path.parent() {
        durable::create_dir(folder)?;
    }
    durable::create(&path, text.as_bytes(), Access::Owner)?;
    output.line(format!("Wrote {} with {}.", path.display(), counted(config.cas.len() as u64, "CA")));
    let by_itself = if cfg!(windows) { "certadm agent install" } else { "certadm agent, or certadm timers" };
    output.line(format!("Next: certadm config check; then certadm run --all; then {by_itself}."));
    Ok(Done::good(json!({ "path": path_text(&path), "cas": config.cas.len(), "jobs": config.jobs.len() })))
}

/// Whether a text can be nothing but a path: on Windows `C:\ca` is one, too, and `HOST\CA` is not.
fn is_path(text: &str) -> bool {
    text.contains('/') || (cfg!(windows) && std::path::Path::new(text).has_root())
}

/// Root's configuration is that of the machine.
fn default_file() -> PathBuf {
    let places = Config::places();
    let place = if certadm_jobs::config::is_of_the_machine() { places.last() } else { places.first() };
    place.cloned().unwrap_or_else(|| "certadm.toml".into())
}

/// What the option says; else what a person says; else what is usual, where there is no terminal.
fn answer(
    given: Option<String>,
    option: &str,
    question: &str,
    usual: Option<&str>,
) -> Result<String, Failure> {
    if let Some(given) = given {
        return Ok(given);
    }
    let nobody = || {
        let text = format!("{option} is missing, and there is no terminal to ask on");
        Failure::usage(text, format!("give {option}"))
    };
    if !terminal::can_ask() {
        return usual.map(str::to_owned).ok_or_else(nobody);
    }
    match usual {
        Some(usual) if !usual.is_empty() => terminal::tell(format_args!("{question} [{usual}] ")),
        _ => terminal::tell(format_args!("{question} ")),
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|_| nobody())?;
    let nobody =
        || Failure::usage(format!("{option} is missing, and was not answered"), format!("give {option}"));
    match (line.trim(), usual) {
        ("", Some(usual)) => Ok(usual.to_owned()),
        ("", None) => Err(nobody()),
        (text, _) => Ok(text.to_owned()),
    }
}

/// A name for the CA: the last part of its path, or its host.
fn suggested_name(ca: &str) -> String {
    let is_separator = |letter: char| letter == '/' || (cfg!(windows) && letter == '\\' && is_path(ca));
    let last = ca.trim_end_matches(is_separator).rsplit(is_separator).next().unwrap_or(ca);
    let host = last.split(['.', '\\', ':']).next().unwrap_or(last);
    let name: String =
        host.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    let name = name.trim_start_matches('-').to_owned();
    if name.is_empty() || name == "all" { "ca".to_owned() } else { name }
}

fn text_of(
    args: &InitArgs,
    told: Option<&str>,
    (ca, is_folder): (&str, bool),
    (name, to): (&str, &str),
    [full, logs, verify]: [&str; 3],
) -> Result<String, Failure> {
    let quoted = |text: &str| toml_text(text);
    let mut text =
        String::from("# certadm.toml(5) tells what this file may hold. `certadm config check` reads it.\n\n");
    text += &format!("[ca.{name}]\n");
    text += &format!("{} = {}\n", if is_folder { "dir" } else { "server" }, quoted(ca));
    if is_folder && let Ok(database) = certadm_store::Folder::new(ca).database_path() {
        let own = database.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        text += "# the CA's own name, which a lost folder cannot tell\n";
        text += &format!("name = {}\n", quoted(&certadm_rules::names::unsanitize(&own)));
    }
    if let Some(user) = &args.user {
        text += &format!("user = {}\n", quoted(user));
    }
    if let Some(file) = &args.password_file {
        let file = certadm_files::absolute(file)?;
        text += &format!("password-file = {}\n", quoted(&file.display().to_string()));
    }
    text += &format!(
        "\n[job.protect]\nca = \"all\"\nto = {}\nfull = {}\nlogs = {}\nverify = {}\n",
        quoted(to),
        quoted(full),
        quoted(logs),
        quoted(verify)
    );
    if let Some(command) = told {
        let words: Vec<String> = command.split_whitespace().map(quoted).collect();
        text += &format!("\n[notify.hook]\ncommand = [{}]\n", words.join(", "));
    }
    Ok(text)
}

/// A text as TOML has it.
fn toml_text(text: &str) -> String {
    // JSON's strings are TOML's basic strings.
    serde_json::Value::from(text).to_string()
}
