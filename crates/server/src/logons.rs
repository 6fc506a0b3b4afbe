//! `logons.toml`: when each account was last proven, and from where, for `certadm user list`.
//!
//! A file of its own beside `users.toml`, because the accounts are the administrator's to write and the service only reads
//! them. The service keeps the logons in memory and writes them once a minute if there were any, and at its end: a logon
//! costs no write to the disk, and a service that is killed forgets the last minute, which no right depends on.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use certadm_auth::folded;
use certadm_files::{durable, read};
use certadm_rules::diagnosis::chain_of;
use serde::{Deserialize, Serialize};

use crate::limits::NOTE_LOGONS;
use crate::users::UserFile;

/// A file of more bytes than this was not written by the service.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// Accounts whose last logon is kept.
const MOST: usize = 16_384;

/// The last logon of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logon {
    /// The account, as `users.toml` or its user spells it.
    pub name: String,
    /// When, in seconds since 1970.
    pub at: u64,
    /// From where.
    pub address: Option<IpAddr>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    logon: Vec<Logon>,
}

/// The last logons as their file has them.
#[derive(Debug, Clone)]
pub struct LogonFile {
    path: PathBuf,
}

impl LogonFile {
    /// The file `logons.toml` of the CA in `dir`.
    #[must_use]
    pub fn in_folder(dir: &Path) -> Self {
        Self { path: dir.join("logons.toml") }
    }

    /// The logons; none when there is no file.
    ///
    /// # Errors
    /// What is wrong with the file, as a sentence fragment. No right depends on it.
    pub fn read(&self) -> Result<Vec<Logon>, String> {
        let bytes = match read::bounded(&self.path, MAX_FILE) {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            other => other.map_err(|error| chain_of(&error))?,
        };
        let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let table: Table = toml::from_str(&text).map_err(|error| error.message().to_owned())?;
        Ok(table.logon)
    }

    fn write(&self, logon: Vec<Logon>) -> Result<(), String> {
        let table = toml::to_string(&Table { logon }).map_err(|error| error.to_string())?;
        let text = [HEAD, &table].concat();
        durable::replace_private(&self.path, text.as_bytes()).map_err(|error| chain_of(&error))
    }
}

const HEAD: &str =
    "# The last logon of each account, written by the certificate service for `certadm user list`.\n\n";

/// The last logons of a running service.
#[derive(Debug)]
pub(crate) struct Logons {
    file: LogonFile,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    /// By the account's name as names are compared.
    logons: BTreeMap<String, Logon>,
    is_noted: bool,
    noted: Instant,
}

impl Logons {
    /// Goes on from what the file has.
    pub(crate) fn new(file: LogonFile) -> Self {
        let logons = file.read().unwrap_or_else(|reason| {
            tracing::warn!(path = %file.path.display(), reason, "the last logons cannot be read and begin anew");
            Vec::new()
        });
        let logons = logons.into_iter().take(MOST).map(|logon| (folded(&logon.name), logon)).collect();
        Self { file, known: Mutex::new(Known { logons, is_noted: true, noted: Instant::now() }) }
    }

    /// An account was proven.
    pub(crate) fn proven(&self, name: &str, address: Option<IpAddr>) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = folded(name);
        if known.logons.len() < MOST || known.logons.contains_key(&key) {
            known.logons.insert(key, Logon { name: name.to_owned(), at, address });
            known.is_noted = false;
        }
    }

    /// Writes them down if there are new ones and it is time; with `now_or_never` in any case. Accounts that are gone are
    /// left out.
    pub(crate) fn note(&self, users: &UserFile, now: Instant, now_or_never: bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = now_or_never || NOTE_LOGONS <= now.saturating_duration_since(known.noted);
        if known.is_noted || !is_time {
            return;
        }
        (known.is_noted, known.noted) = (true, now);
        if let Ok(users) = users.read() {
            let names: Vec<String> = users.iter().map(|user| folded(&user.name)).collect();
            known.logons.retain(|name, _| names.contains(name));
        }
        let logons: Vec<Logon> = known.logons.values().cloned().collect();
        drop(known);
        if let Err(error) = self.file.write(logons) {
            tracing::warn!(path = %self.file.path.display(), error, "the last logons could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use certadm_auth::NtHash;
    use certadm_rules::flags::Roles;

    use super::*;
    use crate::users::User;

    #[test]
    fn logons_are_written_once_a_minute_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let (file, users) = (LogonFile::in_folder(folder.path()), UserFile::in_folder(folder.path()));
        users.add(User::new("backup", NtHash::from_password("x"), Roles::OPERATOR).unwrap()).unwrap();
        let logons = Logons::new(file.clone());
        let now = Instant::now();
        logons.note(&users, now, true);
        assert!(!file.path.exists(), "nobody was proven");
        logons.proven("BACKUP", Some("192.0.2.1".parse().unwrap()));
        logons.proven("gone", None);
        logons.note(&users, now, false);
        assert!(!file.path.exists(), "not due yet");
        logons.note(&users, now + NOTE_LOGONS, false);
        let read = file.read().unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!((read[0].name.as_str(), read[0].address), ("BACKUP", "192.0.2.1".parse().ok()));
        let again = Logons::new(file.clone());
        again.proven("backup", None);
        again.note(&users, now, true);
        assert_eq!(file.read().unwrap()[0].address, None);
        std::fs::write(&file.path, "nonsense").unwrap();
        assert!(file.read().is_err());
        Logons::new(file).proven("backup", None);
    }
}
