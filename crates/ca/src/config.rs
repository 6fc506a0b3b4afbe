//! `ca.toml`: the settings of a CA.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use certadm_rules::settings::mistake;
use certadm_store::Options;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::kerberos_config::KerberosConfig;
use crate::keys::KeyType;
use crate::name::CaName;
use crate::profile::{self, MAX_DAYS, Profile, ProfileSettings};
use crate::roles_config::RolesConfig;
use crate::service_config::ServiceConfig;
use certadm_files::{Access, durable, read};

/// The settings of a CA. What `ca.toml` leaves out has its built-in value; what it has and this
/// program does not know is refused.
#[derive(Clone, Debug)]
pub struct Config {
    /// The CA's common name.
    pub name: CaName,
    /// The kind of its key.
    pub key: KeyType,
    /// What follows the common name in its distinguished name, such as `O=Example,C=DE`.
    pub subject_suffix: Option<String>,
    /// InterfaceFlags of the service (spec/wire.md 5.4; spec/certbcli.md D28). The default, 0x641,
    /// refuses remote backup until its administrator clears 0x40.
    pub interface_flags: u32,
    /// What the service writes audit records of: bits of spec/wire.md 5.9. The default, 0x7f, is everything.
    pub audit_filter: u32,
    /// Where the service listens.
    pub listeners: ListenersConfig,
    /// Who may do what over the Unix socket, and by a ticket.
    pub roles: RolesConfig,
    /// Callers who come with tickets of a domain.
    pub kerberos: KerberosConfig,
    /// What the service lets its callers do at all.
    pub service: ServiceConfig,
    /// The database.
    pub database: DatabaseConfig,
    /// How long things are valid.
    pub validity: ValidityConfig,
    /// The CRL.
    pub crl: CrlConfig,
    /// Where others find what this CA publishes.
    pub publish: PublishConfig,
    /// Profiles by name: the built-in ones, as changed or extended by `ca.toml`.
    pub profiles: BTreeMap<String, Profile>,
}

/// `[listeners]`: where the service listens (spec/wire.md 1.5, 5.11).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListenersConfig {
    /// Address and TCP port of the resolver. Port 0 lets the system pick one.
    pub listen: SocketAddr,
    /// TCP port of the exporter, on the same address. 0 lets the system pick one.
    pub exporter_port: u16,
    /// The Unix socket; left out, `/run/certadm/certadm.sock` where that folder can be written.
    pub socket: Option<PathBuf>,
}

impl Default for ListenersConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 135), exporter_port: 0, socket: None }
    }
}

/// `[database]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseConfig {
    /// The log is rolled when it exceeds this many bytes.
    pub log_size: u64,
    /// Whether old logs are dropped without a backup. Logs-only backups are then impossible.
    pub circular_logging: bool,
    /// How many bytes a second a backup reads while certificates are being issued; 0 for as fast as it goes.
    pub backup_rate: u64,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        let Options { log_size, circular_logging, backup_rate } = Options::default();
        Self { log_size, circular_logging, backup_rate }
    }
}

impl DatabaseConfig {
    /// The same as the store takes it.
    pub fn store_options(&self) -> Options {
        let Self { log_size, circular_logging, backup_rate } = *self;
        Options { log_size, circular_logging, backup_rate }
    }
}

/// `[validity]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ValidityConfig {
    /// Days a self-signed CA certificate is valid.
    pub ca_days: u32,
    /// How far into the past a validity starts, for clocks that are late.
    pub clock_skew_minutes: u32,
}

impl Default for ValidityConfig {
    fn default() -> Self {
        Self { ca_days: 3652, clock_skew_minutes: 10 }
    }
}

/// `[crl]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrlConfig {
    /// Days from one CRL to the next.
    pub days: u32,
    /// How long a CRL stays valid after the next one is due, in hours.
    pub overlap_hours: u32,
}

impl Default for CrlConfig {
    fn default() -> Self {
        Self { days: 7, overlap_hours: 12 }
    }
}

/// `[publish]`: what issued certificates say about where to look. An empty list leaves the
/// extension out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PublishConfig {
    /// Addresses of the CRL (RFC 5280 4.2.1.13).
    pub crl_urls: Vec<String>,
    /// Addresses of the CA certificate (RFC 5280 4.2.2.1, caIssuers).
    pub issuer_urls: Vec<String>,
    /// Addresses of an OCSP responder (RFC 5280 4.2.2.1, ocsp).
    pub ocsp_urls: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    name: String,
    #[serde(default)]
    key: KeyType,
    subject_suffix: Option<String>,
    #[serde(default = "default_interface_flags")]
    interface_flags: u32,
    #[serde(default = "default_audit_filter")]
    audit_filter: u32,
    #[serde(default)]
    listeners: ListenersConfig,
    #[serde(default)]
    roles: RolesConfig,
    #[serde(default)]
    kerberos: KerberosConfig,
    #[serde(default)]
    service: ServiceConfig,
    #[serde(default)]
    database: DatabaseConfig,
    #[serde(default)]
    validity: ValidityConfig,
    #[serde(default)]
    crl: CrlConfig,
    #[serde(default)]
    publish: PublishConfig,
    #[serde(default)]
    profiles: BTreeMap<String, ProfileSettings>,
}

/// A Windows CA's default since Server 2012 (spec/wire.md 5.4).
fn default_interface_flags() -> u32 {
    0x641
}

/// Every kind of record of spec/wire.md 5.9.
fn default_audit_filter() -> u32 {
    0x7f
}

const MAX_CONFIG_FILE: u64 = 1024 * 1024;

impl Config {
    /// The built-in settings for a CA of this name.
    pub fn new(name: CaName, key: KeyType) -> Self {
        Self {
            name,
            key,
            subject_suffix: None,
            interface_flags: default_interface_flags(),
            audit_filter: default_audit_filter(),
            listeners: ListenersConfig::default(),
            roles: RolesConfig::default(),
            kerberos: KerberosConfig::default(),
            service: ServiceConfig::default(),
            database: DatabaseConfig::default(),
            validity: ValidityConfig::default(),
            crl: CrlConfig::default(),
            publish: PublishConfig::default(),
            profiles: profile::built_in(),
        }
    }

    /// Reads `ca.toml`.
    ///
    /// # Errors
    /// [`Error::NotACa`] when there is no such file, [`Error::Config`] when it has a mistake,
    /// [`Error::Io`].
    pub fn load(path: &Path) -> Result<Self> {
        let content = match read::bounded(path, MAX_CONFIG_FILE) {
            Err(error) if error.is_not_found() => {
                return Err(Error::NotACa { dir: path.parent().unwrap_or(path).into() });
            }
            other => other?,
        };
        let refuse = |reason: String| Error::Config { path: path.into(), reason };
        let text = String::from_utf8(content).map_err(|_| refuse("it is not UTF-8".into()))?;
        Self::parse(&text).map_err(refuse)
    }

    /// Reads the text of a `ca.toml`.
    ///
    /// # Errors
    /// What is wrong, as a sentence fragment with line and column where there are any.
    pub fn parse(text: &str) -> Result<Self, String> {
        let settings: Settings = toml::from_str(text).map_err(|error| {
            mistake(text, error.span(), error.message(), toml::from_str::<toml::Table>(text).is_ok())
        })?;
        let mut profiles = profile::built_in();
        for (name, changes) in settings.profiles {
            check_profile_name(&name)?;
            let profile =
                changes.over(profiles.get(&name)).map_err(|reason| format!("profiles.{name}: {reason}"))?;
            profiles.insert(name, profile);
        }
        let config = Self {
            name: settings.name.parse().map_err(|error: Error| error.to_string())?,
            key: settings.key,
            subject_suffix: settings.subject_suffix,
            interface_flags: settings.interface_flags,
            audit_filter: settings.audit_filter,
            listeners: settings.listeners,
            roles: settings.roles,
            kerberos: settings.kerberos,
            service: settings.service,
            database: settings.database,
            validity: settings.validity,
            crl: settings.crl,
            publish: settings.publish,
            profiles,
        };
        config.check()?;
        Ok(config)
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        self.name.distinguished_name(self.subject_suffix.as_deref()).map_err(|error| error.to_string())?;
        self.roles.check()?;
        self.kerberos.check()?;
        let log_sizes = 64 * 1024..=1024 * 1024 * 1024;
        if !log_sizes.contains(&self.database.log_size) {
            return Err("database.log_size goes from 64 KiB to 1 GiB, in bytes".into());
        }
        if (1..1 << 20).contains(&self.database.backup_rate) {
            return Err("database.backup_rate is 0 or at least 1 MiB, in bytes a second".into());
        }
        for (key, days) in [("validity.ca_days", self.validity.ca_days), ("crl.days", self.crl.days)] {
            if !(1..=MAX_DAYS).contains(&days) {
                return Err(format!("{key} goes from 1 to {MAX_DAYS}"));
            }
        }
        if 24 * 60 < self.validity.clock_skew_minutes {
            return Err("validity.clock_skew_minutes is more than a day".into());
        }
        if 24 * 365 < self.crl.overlap_hours {
            return Err("crl.overlap_hours is more than a year".into());
        }
        let lists = [
            ("crl_urls", &self.publish.crl_urls),
            ("issuer_urls", &self.publish.issuer_urls),
            ("ocsp_urls", &self.publish.ocsp_urls),
        ];
        for (key, urls) in lists {
            for url in urls {
                check_url(url).map_err(|reason| format!("publish.{key}: {url:?} {reason}"))?;
            }
        }
        Ok(())
    }

    /// Writes a new `ca.toml` with these settings and, as comments, what else can be set.
    ///
    /// # Errors
    /// [`Error::WouldOverwrite`], [`Error::Io`].
    pub fn create(&self, path: &Path) -> Result<()> {
        Ok(durable::create(path, self.to_toml().as_bytes(), Access::Public)?)
    }

    /// The text of a `ca.toml` with these settings. Profiles are written as comments: they are
    /// the built-in ones.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let quoted = |text: &str| toml::Value::String(text.into()).to_string();
        let list = |urls: &[String]| {
            let items: Vec<String> = urls.iter().map(|url| quoted(url)).collect();
            format!("[{}]", items.join(", "))
        };
        let suffix = match &self.subject_suffix {
            Some(suffix) => format!("subject_suffix = {}", quoted(suffix)),
            None => "# subject_suffix = \"O=Example,C=DE\"".into(),
        };
        let socket = match &self.listeners.socket {
            Some(path) => format!("socket = {}", quoted(&path.to_string_lossy())),
            None => "# socket = \"/run/certadm/certadm.sock\"".into(),
        };
        let keytab = match &self.kerberos.keytab {
            Some(path) => format!("keytab = {}", quoted(&path.to_string_lossy())),
            None => "# keytab = \"ca.keytab\"".into(),
        };
        let kerberos_host = match &self.kerberos.host {
            Some(host) => format!("host = {}", quoted(host)),
            None => "# host = \"ca1.corp.example\"".into(),
        };
        let roles: String =
            self.roles.lists().iter().map(|(key, callers)| format!("{key} = {}\n", list(callers))).collect();
        let mut text = format!(
            "# Settings of this certification authority, read by certadm. Name, key and subject\n\
             # suffix are those of ca.crt: changing them here does not change the CA.\n\
             name = {name}\n\
             key = \"{key}\"\n\
             {suffix}\n\
             \n\
             # InterfaceFlags. 0x40 refuses backup from other machines; 0x601 allows it.\n\
             interface_flags = 0x{flags:x}\n\
             # What the service writes audit records of; 0x7f is everything, 0x2 is backups.\n\
             audit_filter = 0x{audit:x}\n\
             \n\
             [listeners]\n\
             listen = \"{listen}\" # the resolver; callers over TCP are remote, over loopback too\n\
             exporter_port = {exporter} # 0: the system picks one\n\
             {socket}\n\
             \n\
             # Roles of callers of the Unix socket: uid:NUMBER, gid:NUMBER (the primary group of the\n\
             # calling process, such as `sg GROUP` sets it; no other counts), uid:self; and of callers\n\
             # with a ticket: sid:S-1-5-21-..., krb:NAME@REALM. Accounts of the service have theirs in\n\
             # users.toml (certadm user).\n\
             [roles]\n\
             {roles}\
             \n\
             # Callers with tickets of a domain, by the keys of this machine (docs/remote.md).\n\
             [kerberos]\n\
             {keytab}\n\
             {kerberos_host}\n\
             realms = {realms} # empty: those of the keytab\n\
             skew_seconds = {clock_skew} # that clocks may be apart\n\
             ntlm = {ntlm} # false: nobody logs on without a ticket\n\
             {danger}\
             \n\
             [service] # calls over the protocol that cannot be taken back\n\
             shutdown = {shutdown} # stopping the service: false, \"local\" (over the Unix socket), true (also over the network)\n\
             truncation = {truncation} # deleting logs that a backup made redundant\n\
             \n\
             [database]\n\
             log_size = {log_size} # bytes; a log is closed when it is larger\n\
             circular_logging = {circular} # true: old logs are dropped, only full backups remain possible\n\
             backup_rate = {rate} # bytes a second that a backup reads while certificates are issued; 0: no limit\n\
             \n\
             [validity]\n\
             ca_days = {ca_days}\n\
             clock_skew_minutes = {skew}\n\
             \n\
             [crl]\n\
             days = {crl_days}\n\
             overlap_hours = {overlap}\n\
             \n\
             [publish] # what certificates say about where to look\n\
             crl_urls = {crl_urls}\n\
             issuer_urls = {issuer_urls}\n\
             ocsp_urls = {ocsp_urls}\n\
             \n\
             # Profiles: these are built in. Change one by giving the settings that differ, or add\n\
             # one of your own; ca.toml(5) explains them. Subject alternative names: dns, ip, email, uri, upn.\n",
            name = quoted(self.name.as_str()),
            key = self.key,
            flags = self.interface_flags,
            audit = self.audit_filter,
            listen = self.listeners.listen,
            exporter = self.listeners.exporter_port,
            realms = list(&self.kerberos.realms),
            clock_skew = self.kerberos.skew_seconds,
            ntlm = self.kerberos.ntlm,
            danger = self.kerberos.dangers(),
            shutdown = self.service.shutdown,
            truncation = self.service.truncation,
            log_size = self.database.log_size,
            circular = self.database.circular_logging,
            rate = self.database.backup_rate,
            ca_days = self.validity.ca_days,
            skew = self.validity.clock_skew_minutes,
            crl_days = self.crl.days,
            overlap = self.crl.overlap_hours,
            crl_urls = list(&self.publish.crl_urls),
            issuer_urls = list(&self.publish.issuer_urls),
            ocsp_urls = list(&self.publish.ocsp_urls),
        );
        for (name, profile) in profile::built_in() {
            // invariant: a profile is a flat table of plain values, which always serialises, and
            // writing to a String cannot fail
            let body = toml::to_string(&profile).unwrap_or_default();
            let _ = write!(text, "#\n# [profiles.{name}]\n");
            for line in body.lines() {
                let _ = writeln!(text, "# {line}");
            }
        }
        text
    }
}

fn check_profile_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || 64 < name.len() || !name.chars().all(plain) {
        return Err(format!("the profile name {name:?} may have up to 64 letters, digits, '-', '_' and '.'"));
    }
    Ok(())
}

fn check_url(url: &str) -> Result<(), &'static str> {
    let known = ["http://", "https://", "ldap://"]
        .iter()
        .any(|scheme| url.starts_with(scheme) && scheme.len() < url.len());
    if !known {
        return Err("does not begin with http://, https:// or ldap://");
    }
    if 2048 < url.len() || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("has more than 2048 characters, or some that an address cannot have");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CommonName;
    use crate::profile::{ExtendedUsage, SanKind, Usage};
    use crate::service_config::Shutdown;

    #[test]
    fn what_is_written_is_read_back() {
        let mut config = Config::new("Käse \"CA\" \\ 1".parse().unwrap(), KeyType::Rsa3072);
        config.subject_suffix = Some("O=\\22Example\\22,C=DE".into());
        config.publish.crl_urls = vec!["http://pki.example/ca.crl".into()];
        config.database.log_size = 65536;
        config.database.circular_logging = true;
        config.database.backup_rate = 0;
        config.listeners.socket = Some("/run/ca \"1\"".into());
        config.roles.read = vec!["gid:7".into(), "sid:S-1-5-21-1-2-3-512".into(), "krb:a@B.C".into()];
        config.kerberos = KerberosConfig {
            keytab: Some("/etc/ca \"1\".keytab".into()),
            host: Some("ca1.corp.example".into()),
            realms: vec!["CORP.EXAMPLE".into()],
            skew_seconds: 60,
            ntlm: false,
            danger_unsigned_headers: true,
            danger_names_without_pac: true,
        };
        config.service.truncation = false;
        for shutdown in [Shutdown::Nobody, Shutdown::Everybody, Shutdown::Local] {
            config.service.shutdown = shutdown;
            assert_eq!(Config::parse(&config.to_toml()).unwrap().service.shutdown, shutdown);
        }
        let read = Config::parse(&config.to_toml()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{config:?}"));
        assert_eq!(read.interface_flags, 0x641);
    }

    #[test]
    fn the_commented_profiles_are_the_built_in_ones() {
        let config = Config::new("x".parse().unwrap(), KeyType::P256);
        let text = config.to_toml();
        let (head, profiles) = text.split_once("uri, upn.\n").unwrap();
        let uncommented: String = profiles
            .lines()
            .map(|line| line.trim_start_matches('#').trim_start().to_string() + "\n")
            .collect();
        assert!(uncommented.contains("[profiles.subca]"));
        let read = Config::parse(&format!("{head}\n{uncommented}")).unwrap();
        assert_eq!(read.profiles, profile::built_in());
    }

    #[test]
    fn profiles_are_changed_and_added() {
        let config = Config::parse(
            "name = \"x\"\n\
             [profiles.server]\ndays = 30\nsubject_alternative_names = [\"dns\"]\n\
             [profiles.stamp]\nkey_usage = [\"digital_signature\"]\n\
             extended_key_usage = [\"time_stamping\", \"1.3.6.1.4.1.311.10.3.4\"]\ndays = 90\n",
        )
        .unwrap();
        let server = &config.profiles["server"];
        assert_eq!((server.days, server.max_days), (30, 825));
        assert_eq!(server.subject_alternative_names, [SanKind::Dns]);
        assert_eq!(server.extended_key_usage, [ExtendedUsage::SERVER_AUTH]);
        let stamp = &config.profiles["stamp"];
        assert_eq!((stamp.days, stamp.max_days), (90, 90));
        assert_eq!(stamp.key_usage, [Usage::DigitalSignature]);
    }

    #[test]
    fn whatever_a_server_can_show_is_bound_as_that_of_a_server() {
        for (settings, is_bound) in [
            ("[profiles.client]\nextended_key_usage = [\"client_auth\", \"server_auth\"]\n", true),
            ("[profiles.client]\nextended_key_usage = [\"2.5.29.37.0\"]\n", true),
            ("[profiles.client]\nextended_key_usage = []\n", true),
            ("[profiles.client]\nextended_key_usage = []\nsubject_alternative_names = [\"email\"]\n", false),
            ("[profiles.client]\nextended_key_usage = [\"server_auth\"]\ncommon_name = \"any\"\n", false),
            ("[profiles.client]\ndays = 30\n", false),
        ] {
            let config = Config::parse(&format!("name = \"x\"\n{settings}")).unwrap();
            let client = &config.profiles["client"];
            assert_eq!(client.common_name == CommonName::Host, is_bound, "{settings}");
            let is_asked = settings.contains("any\"");
            assert_eq!(client.alternative_name_required, is_bound || is_asked, "{settings}");
            assert_eq!(config.profiles["subca"].common_name, CommonName::Any);
        }
        let own = "name = \"x\"\n[profiles.own]\nkey_usage = [\"digital_signature\"]\ndays = 9\n\
                   subject_alternative_names = [\"dns\"]\nextended_key_usage = []\n";
        assert!(Config::parse(own).unwrap().profiles["own"].alternative_name_required);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("", "name"),
            ("name = \"x\"\nnonsense = 1\n", "nonsense"),
            ("name = \"x\"\n[database]\nlogsize = 1\n", "logsize"),
            ("name = \"x\"\n[profiles.server]\nday = 1\n", "day"),
            ("name = \"x\"\n[profiles.mine]\ndays = 1\n", "key_usage"),
            ("name = \"x\"\n[profiles.server]\ndays = 826\n", "max_days"),
            ("name = \"x\"\n[profiles.server]\ndays = 0\n", "days"),
            ("name = \"x\"\n[profiles.server]\nkey_usage = [\"key_cert_sign\"]\n", "ca = true"),
            ("name = \"x\"\n[profiles.server]\nextended_key_usage = [\"tls\"]\n", "object identifier"),
            ("name = \"x\"\n[profiles.\"a b\"]\n", "profile name"),
            ("name = \"a\\nb\"\n", "control character"),
            ("name = \"x\"\nsubject_suffix = \"?\"\n", "subject suffix"),
            ("name = \"x\"\n[database]\nlog_size = 1\n", "log_size"),
            ("name = \"x\"\n[publish]\ncrl_urls = [\"x\"]\n", "crl_urls"),
            ("name = \"x\"\nkey = \"dsa\"\n", "line 2, column 7: key: unknown variant"),
            ("name = \"x\"\ninterface_flags = -1\n", "interface_flags"),
            ("name = \"x\"\n[listeners]\nlisten = \"here\"\n", "listen"),
            ("name = \"x\"\n[service]\nshutdown = \"remote\"\n", "shutdown"),
            ("name = \"x\"\n[roles]\noperator = [\"root\"]\n", "roles.operator"),
            ("name = \"x\"\n[roles]\noperator = [\"sid:CA Operators\"]\n", "roles.operator"),
            ("name = \"x\"\n[kerberos]\nntlm = false\n", "kerberos.ntlm"),
            ("name = ", "line 1, column 8:"),
        ] {
            let error = Config::parse(text).expect_err(text);
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
