//! `certadm config`: the configuration of jobs, certadm.toml(5).

mod init;

use std::collections::BTreeSet;
use std::path::Path;

use certadm_files::is_exposed;
use certadm_jobs::config::{Guard, Place, Secret};
use certadm_jobs::place::MAKE_OR_MOUNT;
use certadm_jobs::{Ca, Config, Job, Schedule, Target, span_text};
use certadm_repository::Profiles;
use certadm_rules::finding::{Finding, Kind};
use certadm_rules::words::counted;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::findings;
use crate::output::{Done, Output, path_text};
use crate::terminal::Tone;

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
        ConfigCommand::Check(_) => check(output),
        ConfigCommand::Show(_) => show(output),
    }
}

fn check(output: Output) -> Result<Done, Failure> {
    let config = Config::load()?;
    let mut found = Vec::new();
    let unprotected = config.unprotected();
    config.cas.values().for_each(|ca| check_ca(&config, ca, unprotected.contains(&&ca.name), &mut found));
    for job in config.jobs.values() {
        check_job(&config, job, &mut found)?;
    }
    let listed = Profiles::load()?;
    for profile in config.repositories.all().filter(|profile| listed.vault(&profile.name).is_ok()) {
        let text = format!(
            "the vault {} stands in repositories.toml, too, and counts as it stands there",
            profile.name
        );
        found.push(warning(&config, text, "remove it from one of the two files"));
    }
    if let Some(guard) = &config.exposure.guard {
        check_guard(&config, guard, &mut found);
    }
    for notify in config.notify.values() {
        for secret in [&notify.webhook, &notify.ping].into_iter().flatten() {
            if let Secret::File(file) = secret {
                check_secret(&config, file, &mut found);
            }
        }
        if let Some(mail) = &notify.mail {
            mail.account.iter().for_each(|(_, file)| check_secret(&config, file, &mut found));
            mail.ca_file.iter().for_each(|file| check_file(&config, file, &mut found));
        }
        if let Some(program) = notify.command.first().filter(|program| !is_program(program)) {
            let text = format!("there is no program {program} that can be run");
            found.push(warning(&config, text, "put it there, and make it executable: chmod +x FILE"));
        }
    }
    // What defaults name is named by many.
    let mut told = BTreeSet::new();
    found.retain(|finding| told.insert(finding.detail.clone()));
    // Summed up, only the first of several files would be named.
    found.chunks(1).for_each(|one| findings::print(one, output));
    let sum = format!(
        "{}: {}, {}.",
        config.path.display(),
        counted(config.cas.len() as u64, "CA"),
        counted(config.jobs.len() as u64, "job")
    );
    output.verdict(&sum, if found.is_empty() { Tone::Good } else { Tone::Warn });
    let exit = if found.is_empty() { Exit::Good } else { Exit::Finding };
    let result = json!({
        "path": path_text(&config.path),
        "cas": config.cas.len(),
        "jobs": config.jobs.len(),
        "findings": findings::list(&found),
    });
    Ok(Done { exit, result })
}

fn warning(config: &Config, text: String, remedy: &str) -> Finding {
    Finding::warning(Kind::Configuration, text).in_file(&config.path).remedy(remedy.to_owned())
}

fn check_ca(config: &Config, ca: &Ca, is_unprotected: bool, found: &mut Vec<Finding>) {
    let name = &ca.name;
    if let Place::Folder(dir, _) = &ca.place
        && !dir.is_dir()
    {
        let text = format!("[ca.{name}]: there is no folder {}", dir.display());
        found.push(warning(
            config,
            text,
            "correct `dir`, or restore the CA; give its `name`, which its folder cannot tell",
        ));
    }
    let secrets = match &ca.place {
        Place::Server(_, account) => {
            [&account.password_file, &account.keytab, &account.ticket_cache].into_iter().flatten().collect()
        }
        _ => Vec::new(),
    };
    for file in secrets.into_iter().chain(&ca.keys.passphrase_file).chain(&ca.keys.files) {
        check_secret(config, file, found);
    }
    if let Some(dir) = &ca.identity {
        check_folder(config, dir, found);
    }
    if is_unprotected {
        found.push(warning(config, format!("[ca.{name}]: no job has this CA"), "name it in `ca` of a job"));
    }
}

fn check_folder(config: &Config, dir: &Path, found: &mut Vec<Finding>) {
    if !dir.is_dir() {
        let text = format!("there is no folder {}", dir.display());
        found.push(warning(config, text, "make it, or correct the path"));
    }
}

fn check_file(config: &Config, file: &Path, found: &mut Vec<Finding>) {
    if !file.is_file() {
        let text = format!("there is no file {}", file.display());
        found.push(warning(config, text, "put it there, or correct the path"));
    }
}

fn check_secret(config: &Config, file: &Path, found: &mut Vec<Finding>) {
    check_file(config, file, found);
    if is_exposed(file) {
        let text = format!("others can read {}", file.display());
        found.push(warning(config, text, "take it from them: chmod go= FILE"));
    }
}

/// Whether a command can begin with this word: it is the path of a program, or the name of one that is looked for.
fn is_program(word: &str) -> bool {
    let word = Path::new(word);
    if 1 < word.components().count() {
        return can_be_run(word);
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| can_be_run(&folder.join(word)))
}

#[cfg(unix)]
fn can_be_run(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Windows adds the ending, and asks for no right.
#[cfg(not(unix))]
fn can_be_run(file: &Path) -> bool {
    file.is_file() || file.with_extension("exe").is_file()
}

/// What callers of the agent's page have to bring.
fn check_guard(config: &Config, guard: &Guard, found: &mut Vec<Finding>) {
    let before = found.len();
    for file in [&guard.key, &guard.token_file] {
        check_secret(config, file, found);
    }
    #[cfg(feature = "object-store")]
    if before == found.len()
        && let Err(error) = certadm_jobs::serve::check(guard)
    {
        let text = format!("[agent]: {error}");
        found.push(warning(
            config,
            text,
            "put certificate, key and token there; a token is made by: openssl rand -hex 32",
        ));
    }
    #[cfg(not(feature = "object-store"))]
    let _ = before;
}

fn check_job(config: &Config, job: &Job, found: &mut Vec<Finding>) -> Result<(), Failure> {
    for target in &job.to {
        match target {
            Target::Vault(name) => {
                let vault = config.vault(name)?;
                let missing = |ca: &&Ca| vault.key_file(&ca.own_name).is_some_and(|file| !file.is_file());
                for ca in job.cas.iter().filter_map(|name| config.cas.get(name)).filter(missing) {
                    let text =
                        format!("[job.{}]: the vault {name} has no key file for {}", job.name, ca.own_name);
                    let remedy = format!(
                        "make the repository: certadm repository init {name}: --ca '{}' --recovery-file FILE",
                        ca.own_name
                    );
                    found.push(warning(config, text, &remedy));
                }
            }
            Target::Folder(folder) if !folder.is_dir() => {
                let text = format!("[job.{}]: there is no folder {}", job.name, folder.display());
                found.push(warning(config, text, MAKE_OR_MOUNT));
            }
            Target::Folder(_) => {}
        }
    }
    for file in [&job.sign_key, &job.sign_passphrase_file].into_iter().flatten() {
        check_secret(config, file, found);
    }
    if let Some(file) = &job.allowed_signers {
        check_file(config, file, found);
    }
    if let Some(dir) = &job.scratch {
        check_folder(config, dir, found);
    }
    let lacking = |ca: &&Ca| ca.keys.files.is_empty() && !ca.keys.is_external;
    if job.rehearse.is_some() {
        for ca in job.cas.iter().filter_map(|name| config.cas.get(name)).filter(lacking) {
            let text = format!("[ca.{}]: a rehearsal without the CA's key shows less", ca.name);
            found.push(warning(
                config,
                text,
                "name it by `key` and `passphrase-file`, or say external-key = true",
            ));
        }
    }
    Ok(())
}

fn show(output: Output) -> Result<Done, Failure> {
    let config = Config::load()?;
    output.result(format!("Configuration: {}", config.path.display()));
    output.result(format!("Records:       {}", config.state.display()));
    let exposure = &config.exposure;
    let behind = exposure.socket.as_ref().map(|socket| path_text(&socket.path));
    let address = exposure.listen.map(|address| match exposure.guard {
        Some(_) => format!("https://{address}/, with the token"),
        None => format!("http://{address}/"),
    });
    for place in address.iter().chain(&behind) {
        output.result(format!("Agent's page:  {place}"));
    }
    for ca in config.cas.values() {
        output.result(format!("CA {}: {}, named {} in vaults", ca.name, ca.place_text(), ca.own_name));
    }
    for job in config.jobs.values() {
        let to: Vec<String> = job.to.iter().map(ToString::to_string).collect();
        let cas: Vec<&str> = job.cas.iter().map(certadm_jobs::Name::as_str).collect();
        output.result(format!("Job {}: {} to {}", job.name, cas.join(", "), to.join(", ")));
        for (name, schedule) in schedules(job) {
            if let Some(schedule) = schedule {
                output.result(format!("  {name:9} {schedule}"));
            }
        }
        output.result(format!("  alarm when more than {} may be lost", span_text(job.limits.rpo)));
    }
    let cas: Vec<Value> = config
        .cas
        .values()
        .map(|ca| json!({ "name": ca.name.as_str(), "place": ca.place_text(), "own_name": ca.own_name }))
        .collect();
    let jobs: Vec<Value> = config.jobs.values().map(job_to_json).collect();
    let result = json!({
        "path": path_text(&config.path),
        "state": path_text(&config.state),
        "at_once": config.at_once,
        "agent": {
            "listen": exposure.listen.map(|address| address.to_string()),
            "socket": behind,
            "guarded": exposure.guard.is_some(),
        },
        "cas": cas,
        "jobs": jobs,
        "notify": config.notify.keys().map(certadm_jobs::Name::as_str).collect::<Vec<_>>(),
    });
    Ok(Done::good(result))
}

fn schedules(job: &Job) -> [(&'static str, Option<Schedule>); 5] {
    [
        ("full", job.full),
        ("logs", job.logs),
        ("verify", job.verify),
        ("complete", job.complete),
        ("rehearse", job.rehearse),
    ]
}

fn job_to_json(job: &Job) -> Value {
    let mut value = json!({
        "name": job.name.as_str(),
        "cas": job.cas.iter().map(certadm_jobs::Name::as_str).collect::<Vec<_>>(),
        "to": job.to.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "evidence": path_text(&job.evidence),
        "notify": job.notify.iter().map(certadm_jobs::Name::as_str).collect::<Vec<_>>(),
        "limits": {
            "rpo": job.limits.rpo,
            "rto": job.limits.rto,
            "crl": job.limits.crl,
            "certificate": job.limits.certificate,
        },
        "bandwidth": job.bandwidth,
        "sha256": job.sha256,
    });
    for (name, schedule) in schedules(job) {
        value[name] = json!(schedule.map(|schedule| schedule.to_string()));
    }
    value
}
