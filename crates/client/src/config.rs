//! The client's configuration, `client.toml`: names for servers, their accounts, and the local socket (certbcli.md D6,
//! D27; docs/remote.md).
//!
//! ```toml
//! socket = "/run/certadm/certadm.sock"    # the service on this machine
//! ca_dir = "/var/lib/certadm/example"     # and its folder, where the C API registers restores
//!
//! [server.production]                     # a name of your own, or the host's
//! host = "ca1.corp.example"               # as --server takes it; the entry's name if left out
//! ca = "Example Issuing CA"               # only where the host has to be told
//! user = 'CORP\backup'
//! password_file = "/etc/certadm/production.password"
//! keytab = "/etc/certadm/production.keytab" # or ticket_cache = "/run/tickets", in the place of a password
//! mechanism = "negotiate"                 # or "kerberos", "spnego", "ntlm"
//! realm = "CORP.EXAMPLE"                  # what krb5.conf and DNS do not say
//! kdc = ["dc1.corp.example"]
//! connect_seconds = 10
//! call_seconds = 600
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use certadm_rules::settings::mistake;
use serde::Deserialize;

use crate::error::Error;
use crate::kerberos::{KdcAddress, KerberosTarget};
use crate::mechanism::Mechanism;
use crate::name::{OtherEntries, ServerName, own_host_name};
use crate::socket;
use crate::target::{Endpoint, Target, Timeouts};

/// The port of an object resolver (wire.md 1.5).
pub const RESOLVER_PORT: u16 = 135;
/// A configuration is not longer than this, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// The content of `client.toml`, of one file or of several laid over one another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    socket: Option<PathBuf>,
    ca_dir: Option<PathBuf>,
    #[serde(default)]
    server: BTreeMap<String, ServerEntry>,
}

/// What is configured for one server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ServerEntry {
    host: Option<String>,
    ca: Option<String>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    keytab: Option<PathBuf>,
    ticket_cache: Option<PathBuf>,
    mechanism: Mechanism,
    realm: Option<String>,
    kdc: Vec<KdcAddress>,
    krb5_conf: Option<PathBuf>,
    connect_seconds: Option<u32>,
    call_seconds: Option<u32>,
}

impl ServerEntry {
    /// # Errors
    /// What does not go together.
    fn check(&self) -> Result<(), String> {
        let proofs = [
            ("password_file", self.password_file.is_some()),
            ("keytab", self.keytab.is_some()),
            ("ticket_cache", self.ticket_cache.is_some()),
        ];
        let given: Vec<&str> = proofs.iter().filter(|(_, is_given)| *is_given).map(|(key, _)| *key).collect();
        if let [first, second, ..] = given.as_slice() {
            return Err(format!("it has {first} and {second}; one of them is enough"));
        }
        let is_ntlm = matches!(self.mechanism, Mechanism::Spnego | Mechanism::Ntlm);
        match given.first() {
            Some(&key) if is_ntlm && key != "password_file" => {
                Err(format!("mechanism {:?} takes a password, and no {key}", self.mechanism.name()))
            }
            _ => Ok(()),
        }
    }
}

impl Config {
    /// Reads the configuration of this user: the file that `CERTADM_CONFIG` names, alone; else
    /// `~/.config/certadm/client.toml` laid over `/etc/certadm/client.toml`, on Windows `%APPDATA%\certadm\client.toml`
    /// over `%ProgramData%\certadm\client.toml`. A file that is not there is empty, but for one that `CERTADM_CONFIG`
    /// names.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn load() -> Result<Self, Error> {
        if let Some(path) = std::env::var_os("CERTADM_CONFIG") {
            return Self::from_file(Path::new(&path));
        }
        let mut config = Self::default();
        for path in standard_files() {
            if path.exists() {
                config.lay_under(Self::from_file(&path)?);
            }
        }
        Ok(config)
    }

    /// Reads one file.
    ///
    /// # Errors
    /// [`Error::Config`]; [`Error::ConfigFile`] when everyone can change it (0x80070005) or it is longer than 1 MiB.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let failed = |detail: String| Error::Config { path: path.to_owned(), detail };
        let bytes = certadm_files::read::settings(path, MAX_FILE).map_err(|error| match error {
            certadm_files::Error::Io { source, .. } => failed(source.to_string()),
            other => Error::ConfigFile(other),
        })?;
        let text = String::from_utf8(bytes).map_err(|_| failed("it is no text in UTF-8".to_owned()))?;
        Self::parse(&text).map_err(failed)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// What is wrong, and on which line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| {
            mistake(text, error.span(), error.message(), toml::from_str::<toml::Table>(text).is_ok())
        })?;
        for (name, entry) in &config.server {
            entry.check().map_err(|detail| format!("server.{name}: {detail}"))?;
        }
        match config.server.keys().find_map(|name| name.parse::<ServerName>().err()) {
            Some(error) => Err(format!("no --server can mean the entry [server.{:?}]: {error}", error.name)),
            None => Ok(config),
        }
    }

    /// What a name stands for: an entry of that name, with or without its port, else the machine itself. A port or CA in
    /// `name` goes before the entry's.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Account`] when the entry cannot be used; [`Error::SeveralSockets`] when this machine is
    /// meant and has several services.
    pub fn target(&self, name: &ServerName) -> Result<Target, Error> {
        self.target_on(name, &own_host_name())
    }

    /// The folder of the CA on this machine, where a restore is registered: what is configured, else the one folder of a CA
    /// below [`default_ca_dirs`] when there is exactly one.
    #[must_use]
    pub fn ca_dir(&self) -> Option<PathBuf> {
        self.ca_dir.clone().or_else(|| only_ca(&default_ca_dirs()))
    }

    fn target_on(&self, name: &ServerName, own_name: &str) -> Result<Target, Error> {
        let found = self.entry(name);
        let other_entries = match found {
            None if name.address().is_none() => OtherEntries(self.server.keys().cloned().collect()),
            _ => OtherEntries::default(),
        };
        let entry = found.cloned().unwrap_or_default();
        let host: ServerName = match &entry.host {
            Some(host) => host.parse()?,
            // Without its port and CA: both come below, once.
            None => name.clone(),
        };
        let port = name.port().or(host.port());
        let local = port.is_none() && host.is_local(own_name) && cfg!(unix);
        let endpoint = if local {
            Endpoint::Socket(match &self.socket {
                Some(path) => path.clone(),
                None => socket::of_this_machine()?,
            })
        } else {
            let machine = if host.host() == "." { "localhost" } else { host.host() };
            Endpoint::Tcp {
                host: machine.to_owned(),
                port: port.map_or(RESOLVER_PORT, std::num::NonZeroU16::get),
            }
        };
        let authority = name.ca().or(entry.ca.as_deref()).or(host.ca()).map(str::to_owned);
        let seconds = |configured: Option<u32>, standard: Duration| {
            configured.map_or(standard, |seconds| Duration::from_secs(seconds.max(1).into()))
        };
        let standard = Timeouts::default();
        Ok(Target {
            endpoint,
            other_entries,
            authority,
            account: entry.user.as_deref().map(crate::credentials::account).transpose()?,
            password_file: entry.password_file,
            keytab: entry.keytab,
            ticket_cache: entry.ticket_cache,
            mechanism: entry.mechanism,
            kerberos: KerberosTarget { realm: entry.realm, kdc: entry.kdc, krb5_conf: entry.krb5_conf },
            timeouts: Timeouts {
                connect: seconds(entry.connect_seconds, standard.connect),
                call: seconds(entry.call_seconds, standard.call),
                ..standard
            },
        })
    }

    /// The entry that says most of what `name` says: of host, port and CA, then of less.
    fn entry(&self, name: &ServerName) -> Option<&ServerEntry> {
        let says = |key: &String| key.parse::<ServerName>().ok().filter(|key| key.covers(name));
        self.server
            .iter()
            .filter_map(|(key, entry)| Some((says(key)?, entry)))
            .max_by_key(|(key, _)| (key.port().is_some(), key.ca().is_some()))
            .map(|(_, entry)| entry)
    }

    /// Takes from `other` what is not here.
    fn lay_under(&mut self, other: Self) {
        self.socket = self.socket.take().or(other.socket);
        self.ca_dir = self.ca_dir.take().or(other.ca_dir);
        for (name, entry) in other.server {
            if !self.server.keys().any(|own| own.eq_ignore_ascii_case(&name)) {
                self.server.insert(name, entry);
            }
        }
    }
}

/// Where the services of this machine keep the folders of their CAs: `/var/lib/certadm`, as the unit `certadm@.service`
/// says; on Windows `%ProgramData%\certadm`.
#[must_use]
pub fn default_ca_dirs() -> PathBuf {
    if cfg!(windows) { program_data() } else { PathBuf::from("/var/lib/certadm") }
}

/// Our folder for what belongs to the machine and to no user of it, on Windows.
fn program_data() -> PathBuf {
    let parent = std::env::var_os("ProgramData").filter(|parent| !parent.is_empty());
    PathBuf::from(parent.unwrap_or_else(|| r"C:\ProgramData".into())).join("certadm")
}

/// The one folder of a CA in `parent`; none when there are several, or none at all. The agent keeps its records beside them.
fn only_ca(parent: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(parent).ok()?.flatten();
    let mut folders = entries.map(|entry| entry.path()).filter(|path| path.join("ca.toml").is_file());
    folders.next().filter(|_| folders.next().is_none())
}

/// The common name of the CA whose folder this is, as its `ca.toml` has it; nothing where that cannot be read.
#[must_use]
pub fn ca_name_in(folder: &Path) -> Option<String> {
    /// The one key of `ca.toml` that counts here.
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let bytes = certadm_files::read::bounded(&folder.join("ca.toml"), MAX_FILE).ok()?;
    toml::from_str::<Named>(&String::from_utf8(bytes).ok()?).ok().map(|named| named.name)
}

/// The user's file, then the machine's.
fn standard_files() -> Vec<PathBuf> {
    let variable = if cfg!(windows) { "APPDATA" } else { "HOME" };
    let home = std::env::var_os(variable).filter(|home| !home.is_empty()).map(PathBuf::from);
    let below_home = if cfg!(windows) { "certadm" } else { ".config/certadm" };
    let machine = if cfg!(windows) { program_data() } else { PathBuf::from("/etc/certadm") };
    let user = home.map(|home| home.join(below_home));
    user.into_iter().chain([machine]).map(|folder| folder.join("client.toml")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        socket = "/tmp/x.sock"
        [server.production]
        host = "ca1.corp.example"
        ca = "Example CA"
        user = 'CORP\backup'
        password_file = "/etc/pw"
        mechanism = "ntlm"
        call_seconds = 5
        [server."ca2.corp.example"]
        user = "backup@corp.example"
        [server.here]
        host = "localhost"
        [server.there]
        host = '\\10.0.0.5:1135\Other CA'
        [server."127.0.0.1:2191"]
        user = "port"
        [server."ca2.corp.example:2191"]
        user = "both"
        [server.'[2001:db8::1]:2191']
        user = "six"
    "#;

    fn target(text: &str) -> Target {
        Config::parse(TEXT).unwrap().target_on(&text.parse().unwrap(), "me.corp.example").unwrap()
    }

    fn tcp(host: &str, port: u16) -> Endpoint {
        Endpoint::Tcp { host: host.to_owned(), port }
    }

    #[test]
    fn a_name_becomes_a_target() {
        let production = target("Production");
        assert_eq!(production.endpoint, tcp("ca1.corp.example", 135));
        assert_eq!(production.authority.as_deref(), Some("Example CA"));
        assert_eq!(production.account.unwrap().to_string(), "CORP\\backup");
        assert_eq!(production.password_file.as_deref(), Some(Path::new("/etc/pw")));
        assert_eq!(production.mechanism, Mechanism::Ntlm);
        assert_eq!(production.timeouts.call, Duration::from_secs(5));

        let named = target("production:9\\Second");
        assert_eq!(
            (named.endpoint, named.authority.as_deref()),
            (tcp("ca1.corp.example", 9), Some("Second"))
        );
        assert_eq!(target("ca2.corp.example").account.unwrap().user(), "backup@corp.example");
        let there = target("there");
        assert_eq!((there.endpoint, there.authority.as_deref()), (tcp("10.0.0.5", 1135), Some("Other CA")));
        let half = target("ca2.corp.example").configured_credentials();
        assert!(matches!(half, Err(Error::HalfAccount { missing: "password_file", .. })));
        let none = |name: &str| target(name).configured_credentials().unwrap_err();
        assert!(matches!(none("192.0.2.1"), Error::NoAccount { .. }));
        assert!(matches!(none("no.such.host.invalid"), Error::Resolve { .. }));
        let plain = target("192.0.2.1");
        assert_eq!((plain.endpoint, plain.account), (tcp("192.0.2.1", 135), None));
    }

    #[test]
    fn an_entry_may_be_for_a_port_alone() {
        let user = |name: &str| target(name).account.map(|account| account.user().to_owned());
        let expect = |name: &str, account: Option<&str>| assert_eq!(user(name).as_deref(), account, "{name}");
        expect("127.0.0.1:2191", Some("port"));
        expect("127.0.0.1:2192", None);
        expect("127.0.0.1", None);
        expect("\\\\CA2.corp.example:2191\\Any CA", Some("both"));
        expect("ca2.corp.example:2192", Some("backup@corp.example"));
        expect("[2001:DB8::1]:2191", Some("six"));
        assert_eq!(target("127.0.0.1:2191").endpoint, tcp("127.0.0.1", 2191));
    }

    #[test]
    fn an_entry_may_have_keys_or_tickets_in_the_place_of_a_password() {
        let config = Config::parse(
            "[server.keys]\nhost = 'ca1.corp.example'\nkeytab = '/k'\nmechanism = 'kerberos'\nrealm = 'R'\nkdc = ['dc1']\n\
             [server.tickets]\nhost = 'ca1.corp.example'\nticket_cache = ''\n",
        )
        .unwrap();
        let credentials = |name: &str| {
            let target = config.target_on(&name.parse().unwrap(), "me").unwrap();
            (target.configured_credentials().unwrap(), target)
        };
        let (found, target) = credentials("keys");
        assert!(
            matches!(found, Some(crate::Credentials::Keytab { account: None, path }) if path == Path::new("/k"))
        );
        assert_eq!(target.mechanism, Mechanism::Kerberos);
        let kerberos =
            KerberosTarget { realm: Some("R".into()), kdc: vec!["dc1".parse().unwrap()], krb5_conf: None };
        assert_eq!(target.kerberos, kerberos);
        assert!(matches!(credentials("tickets").0, Some(crate::Credentials::Cache { path: None })));
        for (text, word) in [
            ("keytab = '/k'\npassword_file = '/p'\n", "password_file and keytab"),
            ("keytab = '/k'\nticket_cache = '/c'\n", "keytab and ticket_cache"),
            ("ticket_cache = '/c'\nmechanism = 'ntlm'\n", "\"ntlm\" takes a password"),
            ("mechanism = 'kerb'\n", "mechanism"),
            ("kdc = ['dc1', 'dc2:70000']\n", "\"dc2:70000\" does not name a KDC: its port"),
            ("kdc = ['']\n", "\"\" does not name a KDC: it is empty"),
        ] {
            let error = Config::parse(&format!("[server.x]\n{text}")).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    /// A misspelt entry is a host that nobody knows; the message says which entries there are.
    #[test]
    fn a_name_without_an_entry_is_told_which_there_are() {
        let target = target("productoin");
        let message = target.no_account().to_string();
        assert!(
            message.contains("client.toml has no entry of that name") && message.contains("production"),
            "{message}"
        );
        assert!(
            !Config::default()
                .target(&"ca1".parse().unwrap())
                .unwrap()
                .no_account()
                .to_string()
                .contains("entry")
        );
        let unusable = Config::parse("[server.\"my ca\"]").unwrap_err();
        assert!(unusable.contains("my ca"), "{unusable}");
    }

    #[cfg(unix)]
    #[test]
    fn this_machine_is_its_socket() {
        let socket = Endpoint::Socket("/tmp/x.sock".into());
        for name in ["here", ".", "localhost", "me", "me.corp.example\\CA"] {
            assert_eq!(target(name).endpoint, socket, "{name}");
        }
        assert_eq!(target("localhost:1135").endpoint, tcp("localhost", 1135));
        assert_eq!(target("here:1135").endpoint, tcp("localhost", 1135));
    }

    #[test]
    fn the_folder_for_restores_is_that_of_the_one_ca() {
        let place = tempfile::tempdir().unwrap();
        let add = |name: &str| {
            std::fs::create_dir(place.path().join(name)).unwrap();
            std::fs::write(place.path().join(name).join("ca.toml"), "name = 'x'").unwrap();
        };
        // What the agent makes.
        std::fs::create_dir(place.path().join("jobs")).unwrap();
        assert_eq!(only_ca(place.path()), None);
        add("one");
        assert_eq!(only_ca(place.path()), Some(place.path().join("one")));
        add("two");
        assert_eq!(only_ca(place.path()), None);
    }

    #[test]
    fn unknown_keys_and_wrong_values_are_refused() {
        for text in [
            "sokcet = 'x'",
            "[server.a]\npassword = 'x'",
            "[server.a]\nmechanism = 'none'",
            "[server.a]\ncall_seconds = -1",
        ] {
            assert!(Config::parse(text).is_err(), "{text}");
        }
        let broken = Config::parse("[server.a]\nhost = 'x:y'").unwrap();
        assert!(broken.target(&"a".parse().unwrap()).is_err());
    }

    #[test]
    fn the_users_file_goes_before_the_machines() {
        let mut user = Config::parse("ca_dir = '/ca'\n[server.A]\nhost = 'one'").unwrap();
        user.lay_under(
            Config::parse("socket = '/s'\nca_dir = '/other'\n[server.a]\nhost = 'two'\n[server.b]").unwrap(),
        );
        let entry = |name: &str| user.entry(&name.parse().unwrap());
        assert_eq!(entry("a").unwrap().host.as_deref(), Some("one"));
        assert!(entry("b").is_some() && user.socket.is_some());
        assert_eq!(user.ca_dir(), Some("/ca".into()));
    }
}
