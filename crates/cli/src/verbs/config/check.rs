//! `certadm config check`: reads the configuration and looks at what it names.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use certadm_files::is_exposed;
use certadm_jobs::config::{Guard, Notify, ONE_OF_THEM, Place, Secret, alike_text};
use certadm_jobs::place::MAKE_OR_MOUNT;
use certadm_jobs::{Ca, Config, Job, Name, Target};
use certadm_repository::{Profiles, Vault};
use certadm_rules::diagnosis::chain_of;
use certadm_rules::finding::{Finding, Kind};
use certadm_rules::words::{counted, shell_word};
use serde_json::json;

use crate::failure::{Exit, Failure};
use crate::findings;
use crate::output::{Done, Output, path_text};
use crate::terminal::Tone;
use crate::verbs::bounded::{Looks, PATIENCE};

pub(super) fn check(output: Output) -> Result<Done, Failure> {
    let config = Config::load()?;
    let mut looking = Looking { config: Arc::new(config), looks: Looks::new(PATIENCE), found: Vec::new() };
    let config = Arc::clone(&looking.config);
    let doubts = config.doubts.iter().map(|doubt| warning(&config, doubt.text.clone(), doubt.remedy));
    looking.found.extend(doubts);
    for ca in config.cas.values() {
        let of = ca.clone();
        looking.at(&format!("[ca.{}]", ca.name), move |config, found| check_ca(config, &of, found));
        if config.unprotected().contains(&&ca.name) {
            let text = format!("[ca.{}]: no job has this CA", ca.name);
            looking.found.push(warning(&config, text, "name it in `ca` of a job"));
        }
    }
    looking.compare_names();
    for job in config.jobs.values() {
        // What is wrong with a vault ends the check.
        let vaults = Arc::new(vaults_of(&config, job)?);
        for ca in job.cas.iter().filter_map(|name| config.cas.get(name)) {
            let (section, of, vaults) =
                (format!("[ca.{}]", ca.name), (job.clone(), ca.clone()), Arc::clone(&vaults));
            looking.at(&section, move |config, found| check_keys(config, (&of.0, &of.1), &vaults, found));
        }
        let of = job.clone();
        looking.at(&format!("[job.{}]", job.name), move |config, found| check_job(config, &of, found));
    }
    let listed = Profiles::load()?;
    for profile in config.repositories.all().filter(|profile| listed.vault(&profile.name).is_ok()) {
        let text = format!(
            "the vault {} stands in repositories.toml, too, and counts as it stands there",
            profile.name
        );
        looking.found.push(warning(&config, text, "remove it from one of the two files"));
    }
    if let Some(guard) = config.exposure.guard.clone() {
        looking.at("[agent]", move |config, found| check_guard(config, &guard, found));
    }
    for (name, notify) in &config.notify {
        let notify = notify.clone();
        looking.at(&format!("[notify.{name}]"), move |config, found| check_notify(config, &notify, found));
    }
    let mut found = looking.found;
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

/// Looks at what a configuration names. Folders and files may hang, and keep nobody from hearing of the others.
struct Looking {
    config: Arc<Config>,
    looks: Looks,
    found: Vec<Finding>,
}

impl Looking {
    /// Looks at what a section names.
    fn at(&mut self, section: &str, look: impl FnOnce(&Config, &mut Vec<Finding>) + Send + 'static) {
        let config = Arc::clone(&self.config);
        let found = self.looks.at(move || {
            let mut found = Vec::new();
            look(&config, &mut found);
            found
        });
        match found {
            Some(found) => self.found.extend(found),
            None => {
                let text = format!("{section}: a folder or file that it names does not answer");
                let remedy = "see what hangs there: a disk of the network may be gone";
                self.found.push(warning(&self.config, text, remedy));
            }
        }
    }

    /// Names that folders tell, which the file alone does not show to be the same.
    fn compare_names(&mut self) {
        let config = Arc::clone(&self.config);
        let mut names: BTreeMap<&Name, Option<String>> = BTreeMap::new();
        let mut told: BTreeSet<[&Name; 2]> = BTreeSet::new();
        for job in config.jobs.values() {
            for ca in job.cas.iter().filter_map(|name| config.cas.get(name)) {
                for (vault, other) in config.in_one_vault(job, ca) {
                    let [one, another] = [ca, other].map(|ca| {
                        let looks = &mut self.looks;
                        let look = || {
                            let ca = ca.clone();
                            looks.at(move || ca.own_name().to_owned())
                        };
                        names.entry(&ca.name).or_insert_with(look).clone()
                    });
                    let mut pair = [&ca.name, &other.name];
                    pair.sort();
                    if let Some(name) = one.filter(|name| another.as_ref() == Some(name))
                        && told.insert(pair)
                    {
                        let text = alike_text(vault, ca, other, &name);
                        self.found.push(warning(&config, text, ONE_OF_THEM));
                    }
                }
            }
        }
    }
}

/// The vaults of a job.
fn vaults_of(config: &Config, job: &Job) -> Result<Vec<Vault>, Failure> {
    let names = job.to.iter().filter_map(|target| match target {
        Target::Vault(name) => Some(name),
        Target::Folder(_) => None,
    });
    let known = names.map(|name| match config.vault(name) {
        Err(error @ certadm_repository::Error::NoVault { .. }) => {
            Err(config.unknown_vault(job, &error).into())
        }
        vault => Ok(vault?),
    });
    known.collect()
}

/// The key of a CA's repository, in each vault.
fn check_keys(config: &Config, (job, ca): (&Job, &Ca), vaults: &[Vault], found: &mut Vec<Finding>) {
    let own = ca.own_name();
    for vault in vaults.iter().filter(|vault| vault.key_file(own).is_some_and(|file| !file.is_file())) {
        let name = vault.name();
        let text = format!("[job.{}]: the vault {name} has no key file for {own}", job.name);
        let remedy = format!(
            "make the repository: certadm repository init {name}: --ca {} --recovery-file FILE",
            shell_word(own)
        );
        found.push(warning(config, text, &remedy));
    }
}

fn check_notify(config: &Config, notify: &Notify, found: &mut Vec<Finding>) {
    for secret in [&notify.webhook, &notify.ping].into_iter().flatten() {
        if let Secret::File(file) = secret {
            check_secret(config, file, found);
        }
    }
    if let Some(mail) = &notify.mail {
        mail.account.iter().for_each(|(_, file)| check_secret(config, file, found));
        mail.ca_file.iter().for_each(|file| check_file(config, file, found));
    }
    if let Some(program) = notify.command.first().filter(|program| !is_program(program)) {
        let text = format!("there is no program {program} that can be run");
        found.push(warning(config, text, "put it there, and make it executable: chmod +x FILE"));
    }
}

fn warning(config: &Config, text: String, remedy: &str) -> Finding {
    Finding::warning(Kind::Configuration, text).in_file(&config.path).remedy(remedy.to_owned())
}

fn check_ca(config: &Config, ca: &Ca, found: &mut Vec<Finding>) {
    let name = &ca.name;
    if let Place::Folder(dir, _) = &ca.place {
        let at = dir.display();
        let text = match std::fs::metadata(dir) {
            Ok(folder) if !folder.is_dir() => Some(format!("{at} is no folder")),
            Ok(_) => certadm_store::Folder::new(dir).check().err().map(|error| chain_of(&error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Some(format!("there is no folder {at}")),
            Err(error) => Some(format!("{at} cannot be looked at: {error}")),
        };
        let remedy = "correct `dir`, or restore the CA; give its `name`, which its folder cannot tell";
        found.extend(text.map(|text| warning(config, format!("[ca.{name}]: {text}"), remedy)));
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

fn check_job(config: &Config, job: &Job, found: &mut Vec<Finding>) {
    for target in &job.to {
        if let Target::Folder(folder) = target
            && !folder.is_dir()
        {
            let text = format!("[job.{}]: there is no folder {}", job.name, folder.display());
            found.push(warning(config, text, MAKE_OR_MOUNT));
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
}
