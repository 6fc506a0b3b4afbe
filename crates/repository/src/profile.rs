//! `repositories.toml`: which vaults there are, and how each is opened (repository.md 5). It holds no secret.
//!
//! ```toml
//! [vault]                                  # the name before the colon of an address
//! url = "file:///srv/vault"
//! key-file = "/etc/certadm/{ca}.key"       # {ca} stands for the CA's sanitized name
//! maintenance = false                      # nothing is deleted from this machine
//!
//! [vault.keep]                             # what `repository expire` keeps
//! last = 2
//! within = "48h"
//! daily = 14
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use certadm_files::read;
use certadm_rules::settings::mistake;
use certadm_rules::span::any_span;
use certadm_set::retain::Keep;
use serde::Deserialize;

use crate::address::folder_of;
use crate::error::{Error, Result};
use crate::objects::{Limits, speed};
use crate::place::{LockMode, Place, PlaceKeys};
use crate::secret::Secret;
use crate::sink::Extent;

/// No list of vaults is longer than this, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// How long packs are relied on after they were read, in seconds, where the table does not say it.
const WEEK: i64 = 7 * 86_400;
/// What stands for the CA's name in the name of a key file.
const CA: &str = "{ca}";
/// The list's file name.
const FILE: &str = "repositories.toml";
/// The variable that names another list, which then counts alone.
const VARIABLE: &str = "CERTADM_REPOSITORIES";

/// All vaults that are configured.
#[derive(Clone, Debug, Default)]
pub struct Profiles {
    vaults: BTreeMap<String, Profile>,
}

/// How one vault is opened.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub place: Place,
    /// Whether sets may expire, and the index be repaired, from this machine.
    pub maintenance: bool,
    /// Which sets are kept when sets expire.
    pub keep: Keep,
    /// How fast bytes may go.
    pub limits: Limits,
    /// How much of a set is read back before it counts.
    pub read_back: Extent,
    /// How long, in seconds, what was stored before is relied on after it was read, where only new data is read back.
    pub verified_within: i64,
    secret: SecretPlace,
}

/// Where key or password of a repository are.
#[derive(Clone, Debug, PartialEq, Eq)]
enum SecretPlace {
    KeyFile(String),
    PasswordFile(PathBuf),
}

/// One table of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    url: String,
    key_file: Option<String>,
    password_file: Option<PathBuf>,
    endpoint: Option<String>,
    region: Option<String>,
    credentials_file: Option<PathBuf>,
    ssh_config: Option<PathBuf>,
    allow_no_fsync: Option<bool>,
    cas: Option<Vec<String>>,
    lock_days: Option<u32>,
    lock_mode: Option<LockMode>,
    account: Option<String>,
    limit_upload: Option<String>,
    limit_download: Option<String>,
    #[serde(default)]
    read_back: Extent,
    verified_within: Option<String>,
    maintenance: Option<bool>,
    #[serde(default)]
    keep: Keep,
}

/// The vaults of a drill, which counts alone.
static DRILL: OnceLock<Profiles> = OnceLock::new();

impl Profiles {
    /// From now on [`Profiles::load`] gives these, whatever is configured: a drill must not reach a vault that somebody uses. The
    /// first call counts.
    pub fn use_only(self) {
        DRILL.set(self).ok();
    }

    /// Reads the list of this user: the file that `CERTADM_REPOSITORIES` names, alone; else
    /// `~/.config/certadm/repositories.toml` laid over `/etc/certadm/repositories.toml`, on Windows
    /// `%APPDATA%\certadm\repositories.toml` over `%ProgramData%\certadm\repositories.toml`. A file that is not there is
    /// empty, but for one that `CERTADM_REPOSITORIES` names.
    ///
    /// # Errors
    /// [`Error::Profile`], [`Error::File`].
    pub fn load() -> Result<Self> {
        if let Some(profiles) = DRILL.get() {
            return Ok(profiles.clone());
        }
        if let Some(path) = std::env::var_os(VARIABLE) {
            return Self::from_file(Path::new(&path));
        }
        let mut profiles = Self::default();
        for path in standard_files().iter().filter(|path| path.exists()) {
            for (name, profile) in Self::from_file(path)?.vaults {
                profiles.vaults.entry(name).or_insert(profile);
            }
        }
        Ok(profiles)
    }

    /// Reads one file.
    ///
    /// # Errors
    /// [`Error::Profile`], [`Error::File`].
    pub fn from_file(path: &Path) -> Result<Self> {
        let bytes = read::settings(path, MAX_FILE)?;
        let failed = |detail: String| Error::Profile { path: path.to_owned(), detail };
        let text = String::from_utf8(bytes).map_err(|_| failed("it is no text in UTF-8".to_owned()))?;
        Self::parse(&text).map_err(failed)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// A sentence: what is wrong, and on which line.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let entries: BTreeMap<String, Entry> = toml::from_str(text).map_err(|error: toml::de::Error| {
            let is_well_formed = toml::from_str::<toml::Table>(text).is_ok();
            mistake(text, error.span(), error.message(), is_well_formed)
        })?;
        Self::of(entries)
    }

    fn of(entries: BTreeMap<String, Entry>) -> std::result::Result<Self, String> {
        let vaults = entries
            .into_iter()
            .map(|(name, entry)| {
                let profile = Profile::of(&name, entry).map_err(|detail| format!("[{name}]: {detail}"))?;
                Ok((name, profile))
            })
            .collect::<std::result::Result<_, String>>()?;
        Ok(Self { vaults })
    }

    /// The same, whose files begin at a folder where they are not named in full: that of the file with these sections.
    #[must_use]
    pub fn beginning_at(mut self, folder: &Path) -> Self {
        for profile in self.vaults.values_mut() {
            profile.place.begin_at(folder);
            match &mut profile.secret {
                // A folder that is no text cannot be named beside `{ca}`.
                SecretPlace::KeyFile(file) => {
                    *file = folder.join(&*file).to_str().unwrap_or(file).to_owned();
                }
                SecretPlace::PasswordFile(file) => *file = folder.join(&*file),
            }
        }
        self
    }

    /// The vault of that name.
    ///
    /// # Errors
    /// [`Error::NoVault`], which names those that there are.
    pub fn vault(&self, name: &str) -> Result<&Profile> {
        self.vaults.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.vaults.keys().map(String::as_str).collect();
            let known = match names.as_slice() {
                [] => "none is configured".to_owned(),
                names => format!("there are {}", names.join(", ")),
            };
            Error::NoVault { name: name.to_owned(), known }
        })
    }

    /// All vaults, by name.
    pub fn all(&self) -> impl Iterator<Item = &Profile> {
        self.vaults.values()
    }
}

/// The sections of another file, `[repository.NAME]` of `certadm.toml`.
impl<'de> Deserialize<'de> for Profiles {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        Self::of(BTreeMap::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

impl Profile {
    fn of(name: &str, entry: Entry) -> std::result::Result<Self, String> {
        let is_name = name.len() >= 2
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !is_name {
            return Err("a vault's name has two or more letters, digits, - or _".to_owned());
        }
        let secret = match (entry.key_file, entry.password_file) {
            (Some(file), None) => SecretPlace::KeyFile(file),
            (None, Some(file)) => SecretPlace::PasswordFile(file),
            _ => return Err("name either key-file or password-file".to_owned()),
        };
        let keys = PlaceKeys {
            endpoint: entry.endpoint,
            region: entry.region,
            credentials: entry.credentials_file,
            ssh_config: entry.ssh_config,
            allow_no_fsync: entry.allow_no_fsync,
            cas: entry.cas.map(|cas| cas.iter().map(|ca| folder_of(ca)).collect()).transpose()?,
            lock_days: entry.lock_days,
            lock_mode: entry.lock_mode,
            account: entry.account,
        };
        Ok(Self {
            name: name.to_owned(),
            place: Place::parse(&entry.url, keys)?,
            maintenance: entry.maintenance.unwrap_or(true),
            read_back: entry.read_back,
            verified_within: entry.verified_within.as_deref().map_or(Ok(WEEK), any_span)?,
            limits: Limits {
                upload: entry.limit_upload.as_deref().map(speed).transpose()?,
                download: entry.limit_download.as_deref().map(speed).transpose()?,
            },
            keep: entry.keep,
            secret,
        })
    }

    /// The key file of a CA's repository; `None` where the vault is opened by a password.
    #[must_use]
    pub fn key_file(&self, ca: &str) -> Option<PathBuf> {
        match &self.secret {
            SecretPlace::KeyFile(file) => Some(PathBuf::from(file.replace(CA, ca))),
            SecretPlace::PasswordFile(_) => None,
        }
    }

    /// Whether all CAs have one key file.
    pub(crate) fn shares_key_file(&self) -> bool {
        matches!(&self.secret, SecretPlace::KeyFile(file) if !file.contains(CA))
    }

    /// The key files that are here, of whichever CAs. What is no key, or may not be read, does not count: other things may lie beside them.
    pub(crate) fn key_files(&self) -> Vec<PathBuf> {
        let SecretPlace::KeyFile(file) = &self.secret else { return Vec::new() };
        // The part of the path that stands for the CA, and the folder that it lies in.
        let mut folder = PathBuf::new();
        let mut around = None;
        for part in Path::new(file).iter().filter_map(|part| part.to_str()) {
            around = part.split_once(CA);
            if around.is_some() {
                break;
            }
            folder.push(part);
        }
        let found: Vec<PathBuf> = match around {
            None => vec![PathBuf::from(file)],
            Some((begins, ends)) => {
                let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
                let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| entry.ok());
                let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
                let cas =
                    names.filter_map(|name| Some(name.strip_prefix(begins)?.strip_suffix(ends)?.to_owned()));
                cas.map(|ca| PathBuf::from(file.replace(CA, &ca))).collect()
            }
        };
        let mut files: Vec<PathBuf> =
            found.into_iter().filter(|file| file.is_file() && Secret::from_key_file(file).is_ok()).collect();
        files.sort();
        files
    }

    /// What opens the repository of a CA.
    ///
    /// # Errors
    /// As [`Secret::from_key_file`] and [`Secret::from_password_file`].
    pub fn secret(&self, ca: &str) -> Result<Secret> {
        match (&self.secret, self.key_file(ca)) {
            (_, Some(file)) => Secret::from_key_file(&file),
            (SecretPlace::PasswordFile(file), _) => Secret::from_password_file(file),
            (SecretPlace::KeyFile(file), None) => Secret::from_key_file(Path::new(file)),
        }
    }
}

/// The user's file, then the machine's.
fn standard_files() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let (user, machine) = if cfg!(windows) {
        let machine = variable("ProgramData").unwrap_or_else(|| r"C:\ProgramData".into());
        (variable("APPDATA").map(|folder| folder.join("certadm")), machine.join("certadm"))
    } else {
        (variable("HOME").map(|folder| folder.join(".config/certadm")), PathBuf::from("/etc/certadm"))
    };
    user.into_iter().chain([machine]).map(|folder| folder.join(FILE)).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_vault_has_a_place_and_a_key_file_for_each_ca() {
        let text = "[vault]\nurl = 'file:///srv/vault'\nkey-file = '/etc/certadm/{ca}.key'\n[v2]\nurl='file:///x'\npassword-file='/p'";
        let profiles = Profiles::parse(text).unwrap();
        let vault = profiles.vault("vault").unwrap();
        assert_eq!(vault.place, Place::Folder("/srv/vault".into()));
        assert_eq!(vault.key_file("CA !00281!0029"), Some("/etc/certadm/CA !00281!0029.key".into()));
        assert_eq!(profiles.vault("v2").unwrap().key_file("x"), None);
        assert_eq!(profiles.all().count(), 2);
        let error = profiles.vault("vualt").unwrap_err();
        assert!(error.to_string().contains("there are v2, vault"), "{error}");
    }

    #[test]
    fn files_may_begin_at_a_folder() {
        let text = "[one]\nurl='s3://bucket'\nkey-file='{ca}.key'\ncredentials-file='aws'\n\
                    [two]\nurl='sftp://host/x'\npassword-file='pw'\nssh-config='ssh'\n\
                    [three]\nurl='rest:https://host/'\nkey-file='/k'\ncredentials-file='rest'";
        let profiles = Profiles::parse(text).unwrap().beginning_at(Path::new("/etc/x"));
        let [one, two, three] = ["one", "two", "three"].map(|name| profiles.vault(name).unwrap());
        assert_eq!(one.key_file("CA"), Some("/etc/x/CA.key".into()));
        assert_eq!(two.secret, SecretPlace::PasswordFile("/etc/x/pw".into()));
        assert_eq!(three.key_file("CA"), Some("/k".into()));
        let files = [one, two, three].map(|profile| match &profile.place {
            Place::Bucket(bucket) => bucket.credentials.clone(),
            Place::Host(host) => host.config.clone(),
            Place::Server(server) => server.credentials.clone(),
            Place::Folder(_) => None,
        });
        assert_eq!(files, ["/etc/x/aws", "/etc/x/ssh", "/etc/x/rest"].map(|file| Some(file.into())));
    }

    #[test]
    fn a_vault_may_say_what_is_kept_and_where_nothing_is_deleted() {
        let text = "[vault]\nurl='file:///x'\nkey-file='a'\nmaintenance=false\n[vault.keep]\nlast=2\nwithin='1w2d'\nyearly=7";
        let profiles = Profiles::parse(text).unwrap();
        let vault = profiles.vault("vault").unwrap();
        assert!(!vault.maintenance);
        assert_eq!(vault.keep, Keep { last: 2, within: 9 * 86_400, yearly: 7, ..Keep::default() });
        let plain = Profiles::parse("[vault]\nurl='file:///x'\nkey-file='a'").unwrap();
        assert!(plain.vault("vault").unwrap().maintenance && plain.vault("vault").unwrap().keep.is_empty());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (text, says) in [
            ("[vault]\nurl='file:///x'", "either key-file or password-file"),
            ("[vault]\nurl='file:///x'\nkey-file='a'\npassword-file='b'", "either"),
            ("[vault]\nurl='file://x'\nkey-file='a'", "in full"),
            ("[vault]\nurl='ftp://x'\nkey-file='a'", "no storage"),
            ("[vault]\nurl='s3://x'\nkey-file='a'", "bucket's name"),
            ("[vault]\nurl='file:///x'\nkey-file='a'\npassword='b'", "unknown field"),
            ("[vault]\nurl='file:///x'\nkey-file='a'\n[vault.keep]\nwithin='2 days'", "no span of time"),
            ("[vault]\nurl='file:///x'\nkey-file='a'\n[vault.keep]\nminutely=1", "unknown field"),
            ("[v]\nurl='file:///x'\nkey-file='a'", "two or more"),
            ("['a b']\nurl='file:///x'\nkey-file='a'", "two or more"),
            ("[vault]\nurl='s3://bucket'\nkey-file='a'\nlock-days=0", "1 or more"),
            ("[vault]\nurl='s3://bucket'\nkey-file='a'\nlock-mode='compliance'", "needs lock-days"),
            ("[vault]\nurl='file:///x'\nkey-file='a'\nlock-days=3", "means nothing"),
            ("[vault]\nurl='file:///x'\nkey-file='a'\nlimit-upload='fast'", "50MiB/s"),
            ("[vault]\nurl='file:///x'\nkey-file='a'\nverified-within='a week'", "no span of time"),
            ("[vault]\nurl='file:///x'\nkey-file='a'\n[vault.keep]\nwithin='6m'", "write min for minutes"),
            ("x", "line 1"),
        ] {
            let error = Profiles::parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_that_stands_in_the_file_is_not_told() {
        for text in [
            "[vault]\nurl='file:///x'\nkey-file='a'\npassword='Pa55'",
            "[vault]\nurl='file:///x'\nkey-file=['Pa55']",
            "[vault]\nurl='file:///x'\npassword-file='Pa55",
            "[vault]\nurl='file:///x'\npassword Pa55",
        ] {
            let error = Profiles::parse(text).unwrap_err();
            assert!(error.contains("line ") && !error.contains("Pa55"), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
