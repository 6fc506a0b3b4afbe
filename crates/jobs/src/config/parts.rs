//! What a configuration is made of: CAs, jobs, and who is told.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;

use certadm_repository::Keep;

use super::own_name::OwnName;
use super::{Mail, Name};
use crate::schedule::Schedule;
use crate::step::Step;

/// A CA, and how it is reached.
#[derive(Clone, Debug)]
pub struct Ca {
    /// The name of its section.
    pub name: Name,
    /// Where it is.
    pub place: Place,
    /// Its own name.
    pub(super) own_name: OwnName,
    /// What a rehearsal signs with.
    pub keys: Keys,
    /// Where `ca.toml` and `ca.crt` are kept, which no set holds.
    pub identity: Option<PathBuf>,
}

impl Ca {
    /// Its own name, sanitized, which names its repository in a vault. Where the configuration does not say it, this looks into the CA's
    /// folder, and hangs when that one hangs: it belongs behind the guard that all else of the CA has.
    #[must_use]
    pub fn own_name(&self) -> &str {
        self.own_name.get()
    }

    /// The same name, where it is known without a look at the CA's folder.
    #[must_use]
    pub fn given_name(&self) -> Option<&str> {
        self.own_name.given()
    }

    /// Whether it has to be asked for the ends of its CRL and its certificate: no folder of this machine tells them.
    #[must_use]
    pub const fn has_to_be_asked(&self) -> bool {
        !matches!(self.place, Place::Folder(..))
    }
}

/// Where a CA is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a folder of this machine; the socket of its service, where `serve` does not say it itself.
    Folder(PathBuf, Option<PathBuf>),
    /// Behind a socket of this machine.
    Socket(PathBuf),
    /// On the network.
    Server(String, Account),
}

impl Place {
    /// What is the same for two sections of one CA. Nothing is looked at: a folder that hangs must not keep the file from being read.
    pub(crate) fn key(&self) -> PathBuf {
        match self {
            Self::Folder(path, _) | Self::Socket(path) => path.components().collect(),
            Self::Server(server, _) => server.to_lowercase().into(),
        }
    }
}

/// As whom a backup logs on; what is left out comes from `client.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The account.
    pub user: Option<String>,
    /// The file with its password.
    pub password_file: Option<PathBuf>,
    /// The file with its keys.
    pub keytab: Option<PathBuf>,
    /// The file with its tickets.
    pub ticket_cache: Option<PathBuf>,
    /// How to authenticate.
    pub mechanism: Option<String>,
    /// The realm.
    pub realm: Option<String>,
    /// KDCs of it.
    pub kdc: Vec<String>,
}

/// The private keys of a CA, for rehearsals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// Their files.
    pub files: Vec<PathBuf>,
    /// The file with the passphrase.
    pub passphrase_file: Option<PathBuf>,
    /// They cannot leave their place.
    pub is_external: bool,
}

/// A job: which CAs, where to, and when what is done.
#[derive(Clone, Debug)]
pub struct Job {
    /// The name of its section.
    pub name: Name,
    /// Its CAs.
    pub cas: Vec<Name>,
    /// Where backups go; those behind the first get copies of what is there.
    pub to: Vec<Target>,
    /// Full backups.
    pub full: Option<Schedule>,
    /// Backups of logs.
    pub logs: Option<Schedule>,
    /// Reading everything back, and checking the database.
    pub verify: Option<Schedule>,
    /// Restoring into a scratch folder.
    pub rehearse: Option<Schedule>,
    /// Judging whether everything is there that the CA needs.
    pub complete: Option<Schedule>,
    /// Which sets are kept; after each full backup the others go.
    pub keep: Option<Keep>,
    /// Where rehearsals leave their evidence, a folder a CA.
    pub evidence: PathBuf,
    /// Its CAs that another job has with the same folder of evidence, and whether both jobs rehearse.
    pub shared: BTreeMap<Name, bool>,
    /// Its CAs whose logs another job backs up: they leave the CA with a set of that job alone.
    pub logs_elsewhere: BTreeSet<Name>,
    /// Where scratch copies are made.
    pub scratch: Option<PathBuf>,
    /// The key that signs sets.
    pub sign_key: Option<PathBuf>,
    /// The file with its passphrase.
    pub sign_passphrase_file: Option<PathBuf>,
    /// Whose signatures count.
    pub allowed_signers: Option<PathBuf>,
    /// From when on there is an alarm.
    pub limits: Limits,
    /// How many bytes a second a backup reads from a CA at most.
    pub bandwidth: Option<u64>,
    /// Manifests of new sets get the SHA-256 of each file, too.
    pub sha256: bool,
    /// Who is told.
    pub notify: Vec<Name>,
}

impl Job {
    /// The names of its vaults.
    pub(crate) fn vaults(&self) -> impl Iterator<Item = &str> {
        self.to.iter().filter_map(|target| match target {
            Target::Vault(vault) => Some(vault.as_str()),
            Target::Folder(_) => None,
        })
    }

    /// When a step is done; `None` where the job has no schedule for it.
    #[must_use]
    pub const fn schedule_of(&self, step: Step) -> Option<Schedule> {
        match step {
            Step::Full => self.full,
            Step::Logs => self.logs,
            Step::Verify => self.verify,
            Step::Complete => self.complete,
            Step::Rehearse => self.rehearse,
            Step::Look | Step::Copy | Step::Prune | Step::Ask => None,
        }
    }

    /// The places that a step works on, counted from 0; none where the job has no such step.
    #[must_use]
    pub fn places_of(&self, step: Step) -> Range<usize> {
        match step {
            Step::Copy => 1..self.to.len(),
            Step::Prune if self.keep.is_none() => 0..0,
            Step::Prune => 0..self.to.len(),
            _ => 0..1,
        }
    }
}

/// The limits of a job, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest time whose certificates may be lost.
    pub rpo: i64,
    /// The longest time until the CA is back.
    pub rto: Option<i64>,
    /// How long before a CRL ends there is an alarm.
    pub crl: i64,
    /// How long before the CA's certificate ends there is an alarm.
    pub certificate: i64,
}

/// Where backups go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A vault, and in it the repository of the CA.
    Vault(String),
    /// A folder, and in it a folder of the CA.
    Folder(PathBuf),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Vault(name) => write!(f, "{name}:"),
            Self::Folder(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Who is told of alarms, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// A command, which gets the alarm as JSON on standard input.
    pub command: Vec<String>,
    /// An address that the alarm is sent to.
    pub webhook: Option<Secret>,
    /// An address that is asked for after each run, as healthchecks do it.
    pub ping: Option<Secret>,
    /// Whom it is mailed to.
    pub mail: Option<Mail>,
    /// The socket of systemd's journal.
    pub journal: Option<PathBuf>,
    /// The socket of syslog.
    pub syslog: Option<PathBuf>,
    /// Whether the event log of Windows gets it.
    pub event_log: bool,
}

/// An address that may hold a token: as it is, or in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// It stands in the configuration.
    Plain(String),
    /// It stands in a file.
    File(PathBuf),
}
