//! `certadm man`: the manual pages. Those of the verbs are made of the command line itself, and so know every option; those of
//! the files are written by hand, and a test compares them with what the files may hold.

use std::io::{self, Write};
use std::path::Path;

use certadm_files::{IoContext, durable};
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use crate::failure::Failure;
use crate::output::{Done, path_text};
use crate::verbs::files::refuse_wrong_place;

/// The pages of section 5.
const FILES: [(&str, &str); 5] = [
    ("ca.toml.5", include_str!("ca.toml.5")),
    ("certadm.toml.5", include_str!("certadm.toml.5")),
    ("client.toml.5", include_str!("client.toml.5")),
    ("repositories.toml.5", include_str!("repositories.toml.5")),
    ("users.toml.5", include_str!("users.toml.5")),
];

/// docs/json.md, "Exit codes".
const EXITS: [(&str, &str); 9] = [
    ("0", "good"),
    ("1", "done, with something to look into: a warning, or a backup whose end the CA did not note"),
    ("2", "usage: the command line or a configuration file is wrong"),
    ("3", "refused by a rule, a state, a missing right or the system"),
    ("4", "the CA cannot be reached, or the connection broke"),
    ("5", "damaged: bytes are wrong, missing, or do not fit together"),
    ("70", "a mistake in certadm itself"),
    ("130", "interrupted by SIGINT"),
    ("143", "ended by SIGTERM"),
];

/// Writes the pages of the command line `cli` and of the files.
///
/// # Errors
/// Those of the system.
pub(crate) fn run(cli: Command, dir: &Path) -> Result<Done, Failure> {
    refuse_wrong_place(dir)?;
    let mut cli = cli.disable_help_subcommand(true);
    cli.build();
    let (commands, files) = (dir.join("man1"), dir.join("man5"));
    for dir in [&commands, &files] {
        durable::create_dir(dir)?;
    }
    pages(&cli, None, &commands)?;
    for (name, text) in FILES {
        let path = files.join(name);
        let text = text.replace("@VERSION@", env!("CARGO_PKG_VERSION"));
        durable::replace_readable(&path, text.as_bytes())?;
    }
    Ok(Done::good(serde_json::json!({ "dir": path_text(dir) })))
}

/// The page of a command, and those of its verbs.
fn pages(command: &Command, parent: Option<&Command>, dir: &Path) -> Result<(), Failure> {
    let path = dir.join(format!("{}.1", name_of(command)));
    let mut text = Vec::new();
    page(command, parent, &mut text).during("write", &path)?;
    durable::replace_readable(&path, &text)?;
    verbs(command).try_for_each(|verb| pages(verb, Some(command), dir))
}

/// The verbs of a command, without hidden ones: those say only which verb is meant.
fn verbs(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set())
}

/// `certadm-ca-init`
fn name_of(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command, parent: Option<&Command>, out: &mut dyn Write) -> io::Result<()> {
    let man = Man::new(command.clone()).title(name_of(command));
    let man = man.source(concat!("certadm ", env!("CARGO_PKG_VERSION"))).manual("certadm");
    man.render_title(out)?;
    man.render_name_section(out)?;
    synopsis(command).to_writer(out)?;
    man.render_description_section(out)?;
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    notes(&help).to_writer(out)?;
    man.render_options_section(out)?;
    if command.has_subcommands() {
        man.render_subcommands_section(out)?;
    }
    examples(&help).to_writer(out)?;
    list("EXIT STATUS", &EXITS).to_writer(out)?;
    list("ENVIRONMENT", &environment(command)).to_writer(out)?;
    list("FILES", &files_of(command)).to_writer(out)?;
    see_also(command, parent).to_writer(out)
}

/// Every option with its value, what is optional in brackets.
fn synopsis(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    let words = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut line = vec![bold(words)];
    let (positionals, options): (Vec<_>, Vec<_>) = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str()))
        .partition(|arg| arg.is_positional());
    for arg in options.into_iter().chain(positionals) {
        let (open, close) = if arg.is_required_set() { (" ", "") } else { (" [", "]") };
        line.push(roman(open));
        let name = arg.get_long().map(|long| format!("--{long}"));
        if let Some(name) = &name {
            line.push(bold(name.as_str()));
        }
        if arg.get_action().takes_values() {
            let values = arg.get_value_names().unwrap_or_default();
            let value =
                values.first().map_or_else(|| arg.get_id().as_str().to_uppercase(), ToString::to_string);
            line.push(roman(if name.is_some() { " " } else { "" }));
            line.push(italic(value));
        }
        line.push(roman(close));
        let is_many = arg.get_num_args().is_some_and(|range| range.max_values() > 1)
            || matches!(arg.get_action(), clap::ArgAction::Append);
        if is_many {
            line.push(roman(" ..."));
        }
    }
    if command.has_subcommands() {
        line.extend([roman(" "), italic("COMMAND"), roman(" ...")]);
    }
    roff.text(line);
    roff
}

/// The lines of the help's end that show a command: what stands before it, and the command.
fn shown(help: &str) -> impl Iterator<Item = (&str, &str)> {
    help.lines().filter_map(|line| {
        let (label, command) = line.split_once(": ")?;
        let command = command.trim_start();
        command.starts_with("certadm ").then_some((label.trim(), command))
    })
}

/// The other lines.
fn notes(help: &str) -> Roff {
    let mut roff = Roff::new();
    let is_shown = |line: &&str| shown(line).next().is_some();
    // The exit codes have a section of their own.
    let rest: Vec<&str> = help
        .lines()
        .map(str::trim)
        .filter(|line| !is_shown(line))
        .skip_while(|line| line.contains("Exit codes"))
        .collect();
    let rest: Vec<&str> = rest.into_iter().filter(|line| !line.starts_with("70 internal")).collect();
    if !rest.is_empty() {
        roff.control("PP", []);
        roff.text([roman(rest.join(" "))]);
    }
    roff
}

fn examples(help: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]);
    for (label, command) in shown(help) {
        if label != "Example" {
            roff.control("PP", []);
            roff.text([roman(format!("{label}:"))]);
        }
        roff.control("PP", []);
        roff.control("RS", ["4"]);
        roff.control("nf", []);
        roff.text([roman(command)]);
        roff.control("fi", []);
        roff.control("RE", []);
    }
    roff
}

fn list(heading: &str, items: &[(&str, &str)]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [heading]);
    for (name, text) in items {
        roff.control("TP", []);
        roff.text([bold(*name)]);
        roff.text([roman(*text)]);
    }
    roff
}

fn has(command: &Command, argument: &str) -> bool {
    command.get_arguments().any(|arg| arg.get_id() == argument)
}

fn environment(command: &Command) -> Vec<(&'static str, &'static str)> {
    let mut variables = vec![
        ("CERTADM_LOG", "which events go to standard error, such as info, debug or certadm_server=debug"),
        ("NO_COLOR", "when it is set and not empty, nothing is coloured"),
    ];
    if has(command, "server") || !command.has_subcommands() && command.get_name() == "certadm" {
        variables.push(("CERTADM_CONFIG", "the only client.toml to read, in the place of the usual ones"));
    }
    if is_of_jobs(command) {
        variables.push(("CERTADM_JOBS", "the only certadm.toml to read, in the place of the usual ones"));
    }
    if is_of_vaults(command) {
        variables.push((
            "CERTADM_REPOSITORIES",
            "the only repositories.toml to read, in the place of the usual ones",
        ));
    }
    if has(command, "scratch")
        || matches!(command.get_name(), "drill" | "rehearse" | "verify" | "list" | "show")
    {
        variables
            .push(("TMPDIR", "where temporary files go that can lie nowhere else; /tmp if it is not set"));
    }
    variables
}

/// Whether a command reads certadm.toml.
fn is_of_jobs(command: &Command) -> bool {
    let name = name_of(command);
    name.starts_with("certadm-config")
        || ["certadm-run", "certadm-status", "certadm-check", "certadm-agent", "certadm-timers"]
            .contains(&name)
}

/// Whether a command takes the address of a vault, or of a set in one.
fn is_of_vaults(command: &Command) -> bool {
    let places = ["SET", "SET|TABLE", "LOGSET", "PLACE", "ADDRESS", "VAULT:"];
    command.get_name() == "certadm"
        || is_of_jobs(command)
        || command
            .get_arguments()
            .flat_map(|argument| argument.get_value_names().into_iter().flatten())
            .any(|name| places.contains(&name.as_str()))
}

fn files_of(command: &Command) -> Vec<(&'static str, &'static str)> {
    let mut files = Vec::new();
    if has(command, "dir") || command.get_name() == "certadm" {
        files.extend([
            ("DIR/ca.toml, DIR/ca.crt, DIR/ca.key", "settings, certificate and encrypted key of a CA"),
            ("DIR/users.toml", "the accounts of its service"),
            ("DIR/database, DIR/log, DIR/crl", "its database, archived logs, published CRLs"),
            ("DIR/lock", "who owns the database, and where the service is reached"),
        ]);
    }
    if has(command, "server") || command.get_name() == "certadm" {
        files.push((
            "~/.config/certadm/client.toml, /etc/certadm/client.toml",
            "names of CAs on other machines, and their accounts",
        ));
    }
    if is_of_jobs(command) {
        files.push((
            "~/.config/certadm/certadm.toml, /etc/certadm/certadm.toml",
            "CAs, places, jobs, and who is told: certadm.toml(5)",
        ));
    }
    if has(command, "socket") || command.get_name() == "certadm" {
        files.push((
            "/run/certadm/certadm.sock, /run/certadm-NAME/certadm.sock",
            "the socket of a service of this machine; NAME is that of the unit certadm@NAME",
        ));
    }
    if has(command, "evidence") || has(command, "every") {
        files.extend([
            ("SET/manifest.json", "what a backup set holds, with hashes"),
            (
                "EVIDENCE/2026-11-27T065500Z.json, .html",
                "the evidence of a rehearsal, and its page; named by its moment",
            ),
            ("IDENTITY/ca.toml, IDENTITY/ca.crt, IDENTITY/ca.key", "what no set holds, where it is kept"),
        ]);
    }
    if files.is_empty() {
        files.push(("SET/manifest.json", "what a backup set holds, with hashes"));
    }
    if is_of_vaults(command) {
        files.push((
            "~/.config/certadm/repositories.toml, /etc/certadm/repositories.toml",
            "vaults, where they lie and what opens them: repositories.toml(5)",
        ));
    }
    files
}

fn see_also(command: &Command, parent: Option<&Command>) -> Roff {
    let mut pages: Vec<(String, &str)> = Vec::new();
    if let Some(parent) = parent {
        pages.push((name_of(parent).to_owned(), "1"));
    }
    let beside = parent.into_iter().flat_map(verbs);
    for other in verbs(command).chain(beside) {
        if name_of(other) != name_of(command) {
            pages.push((name_of(other).to_owned(), "1"));
        }
    }
    pages.extend(
        ["ca.toml", "certadm.toml", "client.toml", "repositories.toml", "users.toml"]
            .map(|page| (page.to_owned(), "5")),
    );
    let mut line: Vec<Inline> = Vec::new();
    for (place, (name, section)) in pages.iter().enumerate() {
        line.push(roman(if place == 0 { "" } else { ", " }));
        line.push(bold(name.as_str()));
        line.push(roman(format!("({section})")));
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    roff.text(line);
    roff
}

#[cfg(test)]
mod tests {
    use certadm_ca::{Config, KeyType};
    use serde_json::Value;

    /// Each setting of a profile, and each word that stands for one of its values, as `ca.toml` spells it.
    #[test]
    fn the_page_of_ca_toml_spells_profiles_as_they_are_read() {
        let page = include_str!("ca.toml.5");
        let config = Config::new("x".parse().unwrap(), KeyType::P256);
        for profile in config.profiles.values() {
            let Value::Object(settings) = serde_json::to_value(profile).unwrap() else { panic!("a table") };
            for (key, value) in settings {
                assert!(page.contains(&format!("\\fB{key}\\fR")), "no {key}");
                let words = match value {
                    Value::Array(words) => words,
                    word => vec![word],
                };
                for word in words.iter().filter_map(Value::as_str) {
                    assert!(page.contains(word), "{key}: no {word}");
                }
            }
        }
    }
}
