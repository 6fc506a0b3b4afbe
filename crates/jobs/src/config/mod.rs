//! `certadm.toml`: which CAs there are, where they are backed up to, how often, and who is told (certadm.toml(5)). It holds no
//! secret: passwords, keys and addresses with tokens are named by their files.

mod doubts;
mod error;
mod exposure;
mod kept;
mod mail;
mod name;
mod own_name;
mod parts;
mod places;
mod raw;
mod several;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use certadm_files::read;
use certadm_repository::{Address, Profile, Profiles, Vault};
use certadm_rules::diagnosis::chain_of;
use certadm_rules::settings::mistake;
use toml::Spanned;

use crate::span::Seconds;
use crate::step::Step;
use own_name::OwnName;
use places::{program_data, variable};

pub use doubts::Doubt;
pub use error::{Error, Result};
pub use exposure::{Exposure, Guard, Socket};
pub use mail::{Mail, Protection};
pub use name::Name;
pub use parts::{Account, Ca, Job, Keys, Limits, Notify, Place, Secret, Target};
pub use places::{default_state, is_of_the_machine};
pub use several::{ONE_OF_THEM, alike_text};

/// No configuration is longer than this, in bytes: a thousand CAs have a tenth of it.
const MAX_FILE: u64 = 4 << 20;
/// Where systemd's journal listens.
const JOURNAL: &str = "/run/systemd/journal/socket";
/// Where syslog listens.
const SYSLOG: &str = "/dev/log";
/// The file's name.
const FILE: &str = "certadm.toml";
/// The variable that names another file, which then counts alone.
pub const VARIABLE: &str = "CERTADM_JOBS";

/// A configuration whose parts all refer to something that is there.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that it is written in.
    pub path: PathBuf,
    /// The file that the processes of the agent and of runs read: that one, or the copy that [`Config::keep`] has made.
    pub source: PathBuf,
    /// Its text.
    text: String,
    /// The text says of which file it is a copy.
    is_copy: bool,
    /// Where records of runs, alarms and locks are kept.
    pub state: PathBuf,
    /// How many CAs are worked on at the same time.
    pub at_once: usize,
    /// How long a run of the agent for one CA may take, in seconds: then it is stopped.
    pub time_limit: i64,
    /// How long to wait before a step that was busy or unreachable is tried again, in seconds, each time.
    pub retry_after: Vec<i64>,
    /// The CAs.
    pub cas: BTreeMap<Name, Ca>,
    /// The vaults of this file; those of `repositories.toml` come beside them.
    pub repositories: Profiles,
    /// The jobs.
    pub jobs: BTreeMap<Name, Job>,
    /// Who is told of alarms.
    pub notify: BTreeMap<Name, Notify>,
    /// Where the agent shows itself.
    pub exposure: Exposure,
    /// Settings that nobody can mean.
    pub doubts: Vec<Doubt>,
    /// Where the text names the places of a job.
    places_at: BTreeMap<Name, Range<usize>>,
}

impl Config {
    /// Reads the configuration: the file that `CERTADM_JOBS` names, else `~/.config/certadm/certadm.toml`, else
    /// `/etc/certadm/certadm.toml`; on Windows `%APPDATA%\certadm\certadm.toml`, else `%ProgramData%\certadm\certadm.toml`.
    ///
    /// # Errors
    /// [`Error::NotThere`], and as [`Config::from_file`].
    pub fn load() -> Result<Self> {
        Self::from_file(&Self::file()?)
    }

    /// The file that [`Config::load`] reads.
    ///
    /// # Errors
    /// [`Error::NotThere`].
    pub fn file() -> Result<PathBuf> {
        let places = Self::places();
        match places.iter().find(|path| path.exists()) {
            Some(path) => Ok(path.clone()),
            None => Err(Error::NotThere { paths: places }),
        }
    }

    /// Where a configuration is looked for.
    #[must_use]
    pub fn places() -> Vec<PathBuf> {
        if let Some(path) = variable(VARIABLE) {
            return vec![path];
        }
        let (user, machine) = if cfg!(windows) {
            (variable("APPDATA").map(|folder| folder.join("certadm")), program_data())
        } else {
            (variable("HOME").map(|home| home.join(".config/certadm")), PathBuf::from("/etc/certadm"))
        };
        user.into_iter().chain([machine]).map(|folder| folder.join(FILE)).collect()
    }

    /// Reads one file.
    ///
    /// # Errors
    /// [`Error::Wrong`] with line and column, [`Error::File`].
    pub fn from_file(path: &Path) -> Result<Self> {
        let path = certadm_files::absolute(path)?;
        let bytes = read::settings(&path, MAX_FILE)?;
        let wrong = |detail: String| Error::Wrong { path: path.clone(), detail };
        let text = String::from_utf8(bytes).map_err(|_| wrong("it is no text in UTF-8".to_owned()))?;
        Self::parse(&text, &path).map_err(wrong)
    }

    /// Reads the text of a file. Paths in it that are not absolute begin at the folder of `path`.
    ///
    /// # Errors
    /// A sentence: what is wrong, in which line and column.
    pub fn parse(text: &str, path: &Path) -> std::result::Result<Self, String> {
        let raw: raw::File = toml::from_str(text).map_err(|error: toml::de::Error| {
            let is_well_formed = toml::from_str::<toml::Table>(text).is_ok();
            mistake(text, error.span(), error.message(), is_well_formed)
        })?;
        let doubts = doubts::of_file(text, &raw);
        let source = path;
        let of = raw.copy_of.map(|of| source.parent().unwrap_or(Path::new("/")).join(of));
        let path = of.as_deref().unwrap_or(source);
        let folder = path.parent().unwrap_or(Path::new("/"));
        let at = |span: Range<usize>, message: &str| mistake(text, Some(span), message, true);
        let state = raw.state.map_or_else(default_state, |state| folder.join(state));
        let mut cas = BTreeMap::new();
        for (name, section) in raw.ca {
            let span = section.span();
            let ca = Ca::of(&name, section.into_inner().or(&raw.defaults.ca), folder);
            cas.insert(name.clone(), ca.map_err(|message| at(span, &format!("[ca.{name}]: {message}")))?);
        }
        let exposure = match raw.agent {
            Some(section) => {
                let span = section.span();
                let exposure = Exposure::of(section.into_inner(), folder);
                exposure.map_err(|message| at(span, &format!("[agent]: {message}")))?
            }
            None => Exposure::default(),
        };
        let mut notify = BTreeMap::new();
        for (name, section) in raw.notify {
            let span = section.span();
            let one = Notify::of(section.into_inner(), folder);
            notify.insert(
                name.clone(),
                one.map_err(|message| at(span, &format!("[notify.{name}]: {message}")))?,
            );
        }
        let mut config = Self {
            path: path.to_owned(),
            source: source.to_owned(),
            text: text.to_owned(),
            is_copy: of.is_some(),
            state,
            at_once: usize::from(raw.at_once.map_or(2, Spanned::into_inner).max(1)),
            time_limit: raw.time_limit.map_or(86_400, |limit| limit.get_ref().0),
            retry_after: raw
                .retry_after
                .map_or_else(|| vec![10, 60], |waits| waits.iter().map(|wait| wait.get_ref().0).collect()),
            cas,
            repositories: raw.repository.beginning_at(folder),
            jobs: BTreeMap::new(),
            notify,
            exposure,
            doubts,
            places_at: BTreeMap::new(),
        };
        for (name, section) in raw.job {
            let span = section.span();
            let section = section.into_inner().or(&raw.defaults.job);
            let job = config.job_of(&name, section, folder);
            let job = job
                .map_err(|(place, message)| at(place.unwrap_or(span), &format!("[job.{name}]: {message}")))?;
            config.jobs.insert(name, job);
        }
        config.refuse_two_chains()?;
        config.refuse_one_name()?;
        config.find_shared();
        config.find_logs();
        Ok(config)
    }

    /// The job of that name.
    ///
    /// # Errors
    /// [`Error::NoSuch`].
    pub fn job(&self, name: &str) -> Result<&Job> {
        let found = self.jobs.iter().find(|(key, _)| key.as_str() == name).map(|(_, job)| job);
        found.ok_or_else(|| Error::NoSuch {
            what: "job",
            name: name.to_owned(),
            known: known(self.jobs.keys()),
        })
    }

    /// The CAs that no job has, so that nothing protects them.
    #[must_use]
    pub fn unprotected(&self) -> Vec<&Name> {
        let protected: BTreeSet<&Name> = self.jobs.values().flat_map(|job| &job.cas).collect();
        self.cas.keys().filter(|name| !protected.contains(name)).collect()
    }

    /// The CA of that name, which a job has.
    ///
    /// # Errors
    /// [`Error::NoSuch`].
    pub fn ca(&self, name: &str) -> Result<&Ca> {
        let found = self.cas.iter().find(|(key, _)| key.as_str() == name).map(|(_, ca)| ca);
        found.ok_or_else(|| Error::NoSuch {
            what: "CA",
            name: name.to_owned(),
            known: known(self.cas.keys()),
        })
    }

    /// The vault of that name: of `repositories.toml`, else of this file.
    ///
    /// # Errors
    /// As [`Profiles::load`] and [`Profiles::vault`].
    pub fn vault(&self, name: &str) -> certadm_repository::Result<Vault> {
        Ok(Vault::new(self.profile(name)?).remembering_in(self.state.clone()))
    }

    /// Whether sets may be deleted from a place by this machine.
    #[must_use]
    pub fn may_delete(&self, target: &Target) -> bool {
        match target {
            // What is wrong with the vault is told by the step.
            Target::Vault(name) => self.profile(name).map_or(true, |profile| profile.maintenance),
            Target::Folder(_) => true,
        }
    }

    /// The places of a job at which this machine does a step, counted from 0: not everybody who stores sets in a vault may delete them.
    #[must_use]
    pub fn places_of(&self, job: &Job, step: Step) -> Vec<usize> {
        let may = |at: &usize| step != Step::Prune || job.to.get(*at).is_some_and(|to| self.may_delete(to));
        job.places_of(step).filter(may).collect()
    }

    fn profile(&self, name: &str) -> certadm_repository::Result<Profile> {
        let listed = Profiles::load()?;
        if let Ok(profile) = listed.vault(name) {
            return Ok(profile.clone());
        }
        if let Ok(profile) = self.repositories.vault(name) {
            return Ok(profile.clone());
        }
        let known: BTreeSet<&str> =
            listed.all().chain(self.repositories.all()).map(|profile| profile.name.as_str()).collect();
        Err(certadm_repository::Error::NoVault { name: name.to_owned(), known: listed_or_none(known) })
    }

    /// What is wrong with a job one of whose vaults nobody knows: where the file names it, and what is there.
    #[must_use]
    pub fn unknown_vault(&self, job: &Job, error: &certadm_repository::Error) -> Error {
        let message = format!("[job.{}]: {}", job.name, chain_of(error));
        let detail = mistake(&self.text, self.places_at.get(&job.name).cloned(), &message, true);
        Error::UnknownVault { path: self.path.clone(), detail }
    }

    fn job_of(
        &mut self,
        name: &Name,
        raw: raw::Job,
        folder: &Path,
    ) -> std::result::Result<Job, (Option<Range<usize>>, String)> {
        let backups = [raw.full, raw.logs].into_iter().flatten();
        let often = backups.map(|schedule| schedule.period()).min().unwrap_or(86_400);
        self.doubts.extend(doubts::of_job(&self.text, &raw, often));
        let missing = |what: &str| (None, format!("`{what}` is missing"));
        let cas = raw.ca.ok_or_else(|| missing("ca"))?;
        let cas = self.cas_of(&cas).map_err(|message| (Some(cas.span()), message))?;
        let to = raw.to.ok_or_else(|| missing("to"))?;
        self.places_at.insert(name.clone(), to.span());
        let to = targets_of(&to, folder).map_err(|message| (Some(to.span()), message))?;
        if raw.full.is_none() && raw.logs.is_none() {
            return Err((None, "`full` is missing: say when a full backup is taken".to_owned()));
        }
        let told = match &raw.notify {
            Some(names) => self.told(names).map_err(|message| (Some(names.span()), message))?,
            None => self.notify.keys().cloned().collect(),
        };
        let seconds = |span: Option<Spanned<Seconds>>| span.map(|span| span.into_inner().0);
        let limits = Limits {
            // Two slots that were missed, and time for the work itself.
            rpo: seconds(raw.rpo).unwrap_or(2 * often + 600),
            rto: seconds(raw.rto),
            crl: seconds(raw.crl).unwrap_or(86_400),
            certificate: seconds(raw.certificate).unwrap_or(90 * 86_400),
        };
        let path = |path: Option<PathBuf>| path.map(|path| folder.join(path));
        Ok(Job {
            name: name.clone(),
            cas,
            to,
            full: raw.full,
            logs: raw.logs,
            verify: raw.verify,
            rehearse: raw.rehearse,
            complete: raw.complete,
            keep: raw.keep.map(Spanned::into_inner).filter(|keep| !keep.is_empty()),
            evidence: path(raw.evidence).unwrap_or_else(|| self.state.join("evidence")),
            shared: BTreeMap::new(),
            logs_elsewhere: BTreeSet::new(),
            scratch: path(raw.scratch),
            sign_key: path(raw.sign_key),
            sign_passphrase_file: path(raw.sign_passphrase_file),
            allowed_signers: path(raw.allowed_signers),
            limits,
            bandwidth: raw.bandwidth.map(|speed| speed.0),
            sha256: raw.sha256.unwrap_or_default(),
            notify: told,
        })
    }

    fn cas_of(&self, words: &Spanned<raw::Words>) -> std::result::Result<Vec<Name>, String> {
        let words = &words.get_ref().0;
        let mut cas = Vec::new();
        for word in words {
            if word == "all" {
                cas.extend(self.cas.keys().cloned());
                continue;
            }
            match self.cas.keys().find(|name| name.as_str() == word) {
                Some(name) => cas.push(name.clone()),
                None => return Err(format!("there is no section [ca.{word}]")),
            }
        }
        cas.sort();
        cas.dedup();
        if cas.is_empty() { Err("it names no CA".to_owned()) } else { Ok(cas) }
    }

    fn told(&self, words: &Spanned<raw::Words>) -> std::result::Result<Vec<Name>, String> {
        let words = words.get_ref().0.iter();
        words
            .map(|word| {
                let found = self.notify.keys().find(|name| name.as_str() == word).cloned();
                found.ok_or_else(|| format!("there is no section [notify.{word}]"))
            })
            .collect()
    }
}

impl Ca {
    fn of(name: &Name, raw: raw::Ca, folder: &Path) -> std::result::Result<Self, String> {
        let account = Account {
            user: raw.user,
            password_file: raw.password_file.map(|path| folder.join(path)),
            keytab: raw.keytab.map(|path| folder.join(path)),
            ticket_cache: raw.ticket_cache.map(|path| folder.join(path)),
            mechanism: raw.mechanism,
            realm: raw.realm,
            kdc: raw.kdc.unwrap_or_default().0,
        };
        let proofs = [&account.password_file, &account.keytab, &account.ticket_cache];
        if 1 < proofs.into_iter().flatten().count() {
            return Err("name one of password-file, keytab and ticket-cache".to_owned());
        }
        let place = match (raw.dir, raw.server, raw.socket) {
            (Some(dir), None, socket) => {
                Place::Folder(folder.join(dir), socket.map(|socket| folder.join(socket)))
            }
            (None, None, Some(socket)) => Place::Socket(folder.join(socket)),
            (None, Some(server), None) if !server.is_empty() => Place::Server(server, account),
            _ => return Err("name either `dir`, `server` or `socket`".to_owned()),
        };
        let keys = Keys {
            files: raw.key.unwrap_or_default().0.iter().map(|key| folder.join(key)).collect(),
            passphrase_file: raw.passphrase_file.map(|path| folder.join(path)),
            is_external: raw.external_key.unwrap_or_default(),
        };
        let own_folder = match &place {
            Place::Folder(dir, _) => Some(dir.as_path()),
            Place::Socket(_) | Place::Server(..) => None,
        };
        let own_name = OwnName::of(name, raw.name.as_deref(), own_folder);
        let identity = raw.identity.map(|path| folder.join(path));
        Ok(Self { name: name.clone(), place, own_name, keys, identity })
    }

    /// Where it is, for messages.
    #[must_use]
    pub fn place_text(&self) -> String {
        match &self.place {
            Place::Folder(dir, _) => dir.display().to_string(),
            Place::Socket(socket) => socket.display().to_string(),
            Place::Server(server, _) => server.clone(),
        }
    }
}

impl Notify {
    fn of(raw: raw::Notify, folder: &Path) -> std::result::Result<Self, String> {
        let secret = |plain: Option<String>, file: Option<PathBuf>, name: &str| match (plain, file) {
            (Some(_), Some(_)) => Err(format!("name either {name} or {name}-file")),
            (Some(plain), None) if plain.starts_with("https://") || plain.starts_with("http://") => {
                Ok(Some(Secret::Plain(plain)))
            }
            (Some(_), None) => Err(format!("{name} begins with https:// or http://")),
            (None, file) => Ok(file.map(|file| Secret::File(folder.join(file)))),
        };
        let told = Self {
            command: raw.command.unwrap_or_default().0,
            webhook: secret(raw.webhook, raw.webhook_file, "webhook")?,
            ping: secret(raw.ping, raw.ping_file, "ping")?,
            mail: raw.mail.map(|mail| Mail::of(mail, folder)).transpose()?,
            journal: raw.journal.and_then(|socket| socket.path(JOURNAL)).map(|path| folder.join(path)),
            syslog: raw.syslog.and_then(|socket| socket.path(SYSLOG)).map(|path| folder.join(path)),
            event_log: raw.event_log.unwrap_or_default(),
        };
        if cfg!(windows) && (told.journal.is_some() || told.syslog.is_some()) {
            return Err("journal and syslog are logs of Unix: name event-log, a command, a webhook or mail"
                .to_owned());
        }
        if cfg!(unix) && told.event_log {
            return Err(
                "event-log is the log of Windows: name journal, syslog, a command, a webhook or mail"
                    .to_owned(),
            );
        }
        if told == Self::default() {
            let logs = if cfg!(windows) { "mail or event-log" } else { "mail, journal or syslog" };
            return Err(format!("name a command, a webhook, a ping, {logs}"));
        }
        Ok(told)
    }
}

impl Exposure {
    fn of(raw: raw::Agent, folder: &Path) -> std::result::Result<Self, String> {
        let at = |path: PathBuf| folder.join(path);
        let guard = match (raw.certificate, raw.key, raw.token_file) {
            (Some(certificate), Some(key), Some(token_file)) => {
                Some(Guard { certificate: at(certificate), key: at(key), token_file: at(token_file) })
            }
            (None, None, None) => None,
            _ => {
                return Err(
                    "certificate, key and token-file go together: who has the token may look, and only TLS \
                            hides it from others"
                        .to_owned(),
                );
            }
        };
        let socket = match (raw.socket, raw.group) {
            (Some(path), group) => Some(Socket { path: at(path), group }),
            (None, Some(_)) => return Err("group is that of a socket: name one by `socket`".to_owned()),
            (None, None) => None,
        };
        if cfg!(windows) && socket.is_some() {
            return Err("the agent has no socket on Windows: name an address by `listen`".to_owned());
        }
        let exposure = Self { listen: raw.listen, socket, guard };
        exposure.check()?;
        Ok(exposure)
    }
}

impl Mail {
    fn of(raw: raw::Mail, folder: &Path) -> std::result::Result<Self, String> {
        let tls = raw.tls.unwrap_or(Protection::Starttls);
        let account = match (raw.user, raw.password_file) {
            (Some(user), Some(file)) => Some((user, folder.join(file))),
            (None, None) => None,
            _ => return Err("mail has both user and password-file, or neither".to_owned()),
        };
        let is_here =
            raw.server.parse::<std::net::IpAddr>().map_or(raw.server == "localhost", |ip| ip.is_loopback());
        if tls == Protection::None && !is_here {
            return Err(
                "mail goes without TLS to a server of this machine alone, such as localhost".to_owned()
            );
        }
        if tls == Protection::None && account.is_some() {
            return Err("mail tells no password without TLS".to_owned());
        }
        let mail = Self {
            port: raw.port.unwrap_or(tls.port()),
            server: raw.server,
            tls,
            ca_file: raw.ca_file.map(|file| folder.join(file)),
            account,
            from: raw.from,
            to: raw.to.0,
        };
        if mail.to.is_empty() {
            return Err("mail is for nobody".to_owned());
        }
        mail::check(&mail)?;
        Ok(mail)
    }
}

/// Whether a word of `to` is the address of a vault, and no folder.
#[must_use]
pub fn names_a_vault(word: &str) -> bool {
    Address::parse(word).is_some()
}

fn targets_of(words: &Spanned<raw::Words>, folder: &Path) -> std::result::Result<Vec<Target>, String> {
    let mut targets: Vec<Target> = Vec::new();
    for word in &words.get_ref().0 {
        let target = match Address::parse(word) {
            Some(Ok(Address { vault, ca: None, names_point: false, .. })) => Target::Vault(vault),
            Some(_) => {
                return Err(
                    "name a vault alone, such as vault: - each CA has a repository of its name there"
                        .to_owned(),
                );
            }
            None if word.is_empty() || word.starts_with('~') => {
                return Err("write the folder's path in full".to_owned());
            }
            None => Target::Folder(folder.join(word)),
        };
        if targets.contains(&target) {
            return Err("it names a place twice".to_owned());
        }
        targets.push(target);
    }
    if targets.is_empty() { Err("it names no place".to_owned()) } else { Ok(targets) }
}

fn known<'a>(names: impl Iterator<Item = &'a Name>) -> String {
    listed_or_none(names.map(Name::as_str))
}

fn listed_or_none<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    if names.is_empty() { "none is configured".to_owned() } else { format!("there are {}", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_limit_two_of_the_most_frequent_backups_may_be_missed() {
        for (schedules, expected) in [
            ("full = 'hourly'\nlogs = 'daily 02:00'", 7_800),
            ("full = 'daily 02:00'\nlogs = 'hourly'", 7_800),
            ("full = 'daily 02:00'", 173_400),
            ("logs = 'every 15m'", 2_400),
            ("full = 'daily 02:00'\nrpo = '1h'", 3_600),
        ] {
            let text = format!("[ca]\nweb = {{ dir = '/a' }}\n[job.j]\nca = 'web'\nto = '/b'\n{schedules}");
            let config = Config::parse(&text, "/etc/certadm/certadm.toml".as_ref()).unwrap();
            assert_eq!(config.job("j").unwrap().limits.rpo, expected, "{schedules}");
        }
    }

    /// What packages bring, as it stands there and with everything that is behind a `#`.
    #[test]
    fn the_example_is_right() {
        let example = include_str!("../../../../dist/certadm.toml");
        let path = Path::new("/etc/certadm/certadm.toml");
        Config::parse(example, path).unwrap();
        let whole: String = example
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        assert!(whole.contains("\n[repository.vault]") && whole.contains("\n[notify.ops]"), "{whole}");
        Config::parse(&whole, path).unwrap();
    }
}
