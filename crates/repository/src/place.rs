//! Where a vault is: the `url` of its table in `repositories.toml`, and the keys that belong to it.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where a vault is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder of this machine, or one that is mounted.
    Folder(PathBuf),
    /// A bucket of S3, or of a service that speaks its language, of Google, or a container of Azure.
    Bucket(Bucket),
    /// A folder of another machine, by SFTP.
    Host(Host),
    /// A server of restic's REST protocol.
    Server(Server),
}

/// A bucket, or the part of one whose names begin with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Whose it is.
    pub service: Service,
    /// Its name.
    pub name: String,
    /// What the names of all its objects begin with; may be empty.
    pub prefix: String,
    /// The service's address, such as `https://minio.corp.example`; `None` for the provider's own.
    pub endpoint: Option<String>,
    /// The file with the credentials; `None` for those of the machine that it runs on.
    pub credentials: Option<PathBuf>,
    /// How each object is locked.
    pub lock: Option<Lock>,
}

/// Who has a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// Amazon, or somebody who speaks the language of its S3.
    S3 {
        /// The bucket's region.
        region: String,
    },
    /// Microsoft: the bucket is a container of blobs.
    Azure {
        /// The storage account.
        account: String,
    },
    /// Google.
    Google,
}

/// How long nobody can delete an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Days from its upload, or from the last extension.
    pub days: u32,
    /// Who can end it before.
    pub mode: LockMode,
}

/// Who can end a lock before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LockMode {
    /// Nobody, the owner of the account included.
    Compliance,
    /// Whoever has the right to bypass it.
    Governance,
}

/// A folder of a machine that ssh reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The account; `None` for what ssh takes by itself.
    pub user: Option<String>,
    /// Its name, as ssh knows it.
    pub name: String,
    /// Its port; `None` for what ssh takes by itself.
    pub port: Option<u16>,
    /// The folder there. One that does not begin with `/` begins where the account does.
    pub path: String,
    /// A configuration of ssh that stands for the user's and the machine's own.
    pub config: Option<PathBuf>,
    /// Whether it is accepted that the server cannot put files onto their disk.
    pub allow_no_fsync: bool,
}

/// A server of restic's REST protocol, which may be one that only appends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where the repositories are: `https://vault.corp.example:8000/pki`.
    pub url: String,
    /// The file with account and password; `None` where the server wants none.
    pub credentials: Option<PathBuf>,
    /// The sanitized names of the CAs that have a repository there: the server cannot list them.
    pub cas: Vec<String>,
}

/// What a table says of its place beside the url.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlaceKeys {
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) credentials: Option<PathBuf>,
    pub(crate) ssh_config: Option<PathBuf>,
    pub(crate) allow_no_fsync: Option<bool>,
    /// Sanitized.
    pub(crate) cas: Option<Vec<String>>,
    pub(crate) lock_days: Option<u32>,
    pub(crate) lock_mode: Option<LockMode>,
    pub(crate) account: Option<String>,
}

impl PlaceKeys {
    /// Refuses keys that mean nothing for a place.
    fn refuse_all_but(&self, scheme: &str, allowed: &[&str]) -> Result<(), String> {
        let given = [
            ("endpoint", self.endpoint.is_some()),
            ("region", self.region.is_some()),
            ("credentials-file", self.credentials.is_some()),
            ("ssh-config", self.ssh_config.is_some()),
            ("allow-no-fsync", self.allow_no_fsync.is_some()),
            ("cas", self.cas.is_some()),
            ("lock-days", self.lock_days.is_some()),
            ("lock-mode", self.lock_mode.is_some()),
            ("account", self.account.is_some()),
        ];
        match given.into_iter().find(|(name, is_given)| *is_given && !allowed.contains(name)) {
            Some((name, _)) => Err(format!("{name} means nothing for {scheme}")),
            None => Ok(()),
        }
    }
}

impl Place {
    /// Its files begin at a folder where they are not named in full.
    pub(crate) fn begin_at(&mut self, folder: &Path) {
        let file = match self {
            Self::Folder(_) => return,
            Self::Bucket(bucket) => &mut bucket.credentials,
            Self::Host(host) => &mut host.config,
            Self::Server(server) => &mut server.credentials,
        };
        if let Some(file) = file {
            *file = folder.join(&*file);
        }
    }

    /// Reads a url.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn parse(url: &str, keys: PlaceKeys) -> Result<Self, String> {
        // restic writes the last one without the slashes.
        if let Some(rest) = url.strip_prefix("sftp://").or_else(|| url.strip_prefix("sftp:")) {
            keys.refuse_all_but("sftp://", &["ssh-config", "allow-no-fsync"])?;
            return Host::parse(rest, keys).map(Self::Host);
        }
        if let Some(rest) = url.strip_prefix("rest:") {
            keys.refuse_all_but("rest:", &["credentials-file", "cas"])?;
            return Server::parse(rest, keys).map(Self::Server);
        }
        match url.split_once("://") {
            Some(("file", path)) => {
                keys.refuse_all_but("file://", &[])?;
                // On Windows file:///C:/vault is the folder C:/vault.
                let path = match path.strip_prefix('/') {
                    Some(drive) if cfg!(windows) && Path::new(drive).is_absolute() => drive,
                    _ => path,
                };
                match Path::new(path).is_absolute() {
                    true => Ok(Self::Folder(path.into())),
                    false => Err("the folder is written in full: file:///srv/vault".to_owned()),
                }
            }
            Some(("s3", rest)) => {
                keys.refuse_all_but(
                    "s3://",
                    &["endpoint", "region", "credentials-file", "lock-days", "lock-mode"],
                )?;
                let region = keys.region.clone().unwrap_or_else(|| "us-east-1".to_owned());
                Bucket::parse(rest, Service::S3 { region }, keys).map(Self::Bucket)
            }
            Some(("azure", rest)) => {
                keys.refuse_all_but("azure://", &["endpoint", "account", "credentials-file"])?;
                let account = keys.account.clone().filter(|account| {
                    (3..=24).contains(&account.len())
                        && account.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
                });
                let account = account.ok_or_else(|| {
                    "azure:// needs account: the storage account, of lower-case letters and digits".to_owned()
                })?;
                Bucket::parse(rest, Service::Azure { account }, keys).map(Self::Bucket)
            }
            Some(("gs", rest)) => {
                keys.refuse_all_but("gs://", &["endpoint", "credentials-file"])?;
                Bucket::parse(rest, Service::Google, keys).map(Self::Bucket)
            }
            _ => {
                let scheme = printed(url.split(':').next().unwrap_or_default());
                Err(format!(
                    "{scheme:?} is no storage of this version: write file:///FOLDER, s3://BUCKET/PREFIX, \
                     azure://CONTAINER/PREFIX, gs://BUCKET/PREFIX, sftp://USER@HOST/FOLDER or rest:https://HOST/PATH"
                ))
            }
        }
    }

    /// The folder, where it is one of this machine.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            _ => None,
        }
    }
}

/// A word of a file in a message: no more than so many letters.
fn printed(word: &str) -> String {
    word.chars().take(64).collect()
}

/// Splits off what the names of all objects begin with.
///
/// # Errors
/// A sentence.
fn with_prefix(rest: &str) -> Result<(&str, &str), String> {
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_end_matches('/');
    let is_part = |part: &str| {
        !part.is_empty()
            && !matches!(part, "." | "..")
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    match prefix.is_empty() || prefix.split('/').all(is_part) {
        true => Ok((name, prefix)),
        false => Err(format!("{:?} is no prefix: write letters, digits, . _ - and /", printed(prefix))),
    }
}

/// # Errors
/// A sentence, unless it is `http://` or `https://` and a host.
fn refuse_bad_endpoint(endpoint: &str) -> Result<(), String> {
    let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
    let is_host = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
    };
    match host.is_some_and(is_host) {
        true => Ok(()),
        false => Err("the endpoint is a host, such as https://minio.corp.example".to_owned()),
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Bucket(bucket) => f.write_str(&bucket.place(None)),
            Self::Host(host) => f.write_str(&host.place(None)),
            Self::Server(server) => f.write_str(&server.place(None)),
        }
    }
}

impl Bucket {
    fn parse(rest: &str, service: Service, keys: PlaceKeys) -> Result<Self, String> {
        let (name, prefix) = with_prefix(rest)?;
        let is_name = (3..=63).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte));
        if !is_name {
            return Err(format!("{:?} is no bucket's name", printed(name)));
        }
        if let Some(endpoint) = &keys.endpoint {
            // A service of Azure's kind elsewhere may have its accounts as folders instead of hosts.
            let host = match &service {
                Service::Azure { account } => {
                    endpoint.strip_suffix(&format!("/{account}")).unwrap_or(endpoint)
                }
                _ => endpoint,
            };
            refuse_bad_endpoint(host)?;
        }
        let lock = match (keys.lock_days, keys.lock_mode) {
            (Some(days @ 1..=36_500), mode) => {
                Some(Lock { days, mode: mode.unwrap_or(LockMode::Compliance) })
            }
            (Some(_), _) => return Err("lock-days is 1 or more, and at most 36500".to_owned()),
            (None, Some(_)) => return Err("lock-mode needs lock-days".to_owned()),
            (None, None) => None,
        };
        Ok(Self {
            service,
            lock,
            name: name.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: keys.endpoint,
            credentials: keys.credentials,
        })
    }

    /// Where the service is.
    #[must_use]
    pub fn address(&self) -> String {
        self.endpoint.clone().unwrap_or_else(|| match &self.service {
            Service::S3 { region } => format!("https://s3.{region}.amazonaws.com"),
            Service::Azure { account } => format!("https://{account}.blob.core.windows.net"),
            Service::Google => "https://storage.googleapis.com".to_owned(),
        })
    }

    /// Its region; that of signatures where the service has none.
    #[cfg(feature = "object-store")]
    pub(crate) fn region(&self) -> &str {
        match &self.service {
            Service::S3 { region } => region,
            _ => "us-east-1",
        }
    }

    /// The bucket and what is meant in it, for messages.
    #[must_use]
    pub fn place(&self, ca: Option<&str>) -> String {
        let parts = [self.prefix.as_str(), ca.unwrap_or_default()];
        let inside: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let at = self.endpoint.as_deref().map(|endpoint| format!(" at {endpoint}")).unwrap_or_default();
        let scheme = match self.service {
            Service::S3 { .. } => "s3",
            Service::Azure { .. } => "azure",
            Service::Google => "gs",
        };
        format!("{scheme}://{}/{}{at}", self.name, inside.join("/"))
    }
}

impl Host {
    fn parse(rest: &str, keys: PlaceKeys) -> Result<Self, String> {
        let (authority, path) =
            rest.split_once('/')
                .filter(|(_, path)| !path.trim_matches('/').is_empty())
                .ok_or_else(|| "the folder stands behind the host: sftp://backup@nas/srv/vault".to_owned())?;
        let (user, host) =
            authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let (name, port) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
            Some((address, rest)) => (address, rest.strip_prefix(':').unwrap_or(rest)),
            None => host.split_once(':').unwrap_or((host, "")),
        };
        // What ssh would take for an option or a command, or its configuration for a command, is no name.
        let is_word = |word: &str, more: &[u8]| {
            !word.is_empty()
                && !word.starts_with('-')
                && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
        };
        if !is_word(name, b".-_:") || !user.is_none_or(|user| is_word(user, b".-_+")) {
            return Err(format!("{:?} is no account and host", printed(authority)));
        }
        let port = match port {
            "" => None,
            port => Some(port.parse().map_err(|_| format!("{:?} is no port", printed(port)))?),
        };
        let path = path.trim_end_matches('/');
        if path.split('/').any(|part| matches!(part, "." | "..")) || path.chars().any(char::is_control) {
            return Err(format!("{:?} is no folder", printed(path)));
        }
        // As for others that take such addresses: /~/ is where the account begins.
        let path = match path.strip_prefix("~/") {
            Some(below) => below.to_owned(),
            None => format!("/{}", path.trim_start_matches('/')),
        };
        Ok(Self {
            user: user.map(str::to_owned),
            name: name.to_owned(),
            port,
            path,
            config: keys.ssh_config,
            allow_no_fsync: keys.allow_no_fsync.unwrap_or(false),
        })
    }

    /// The command that connects to it. No shell reads it, neither here nor there: what is started is a subsystem. Nothing is
    /// ever asked on the terminal; which host keys are known, and which keys log in, is for ssh's configuration.
    pub(crate) fn command(&self) -> Vec<OsString> {
        let mut command: Vec<OsString> = vec!["ssh".into()];
        if let Some(config) = &self.config {
            command.extend(["-F".into(), config.into()]);
        }
        for option in [
            "BatchMode=yes",
            "ConnectTimeout=30",
            // A way that is gone is noticed after a minute.
            "ServerAliveInterval=15",
            "ServerAliveCountMax=4",
            "ClearAllForwardings=yes",
            "RequestTTY=no",
            "RemoteCommand=none",
        ] {
            command.extend(["-o".into(), option.into()]);
        }
        if let Some(port) = self.port {
            command.extend(["-p".into(), port.to_string().into()]);
        }
        if let Some(user) = &self.user {
            command.extend(["-l".into(), user.into()]);
        }
        command.extend(["-s".into(), "--".into(), (&self.name).into(), "sftp".into()]);
        command
    }

    /// The host and what is meant on it, for messages.
    #[must_use]
    pub fn place(&self, ca: Option<&str>) -> String {
        let user = self.user.as_deref().map(|user| format!("{user}@")).unwrap_or_default();
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let name = if self.name.contains(':') { format!("[{}]", self.name) } else { self.name.clone() };
        let root = if self.path.starts_with('/') { "" } else { "/~/" };
        let ca = ca.map(|ca| format!("/{ca}")).unwrap_or_default();
        format!("sftp://{user}{name}{port}{root}{}{ca}", self.path)
    }
}

impl Server {
    fn parse(rest: &str, keys: PlaceKeys) -> Result<Self, String> {
        let url = rest.trim_end_matches('/');
        let wrong = || "the server is written as rest:https://vault.corp.example:8000/PATH".to_owned();
        let (scheme, behind) = url.split_once("://").ok_or_else(wrong)?;
        let (host, path) = with_prefix(behind)?;
        refuse_bad_endpoint(&format!("{scheme}://{host}"))?;
        let is_near = host == "localhost" || host.starts_with("localhost:") || host.starts_with("127.0.0.1");
        if keys.credentials.is_some() && scheme == "http" && !is_near {
            return Err("a password is sent by https:// alone".to_owned());
        }
        let path = if path.is_empty() { String::new() } else { format!("/{path}") };
        let cas = keys.cas.unwrap_or_default();
        Ok(Self { url: format!("{scheme}://{host}{path}"), credentials: keys.credentials, cas })
    }

    /// The server and what is meant at it, for messages.
    #[must_use]
    pub fn place(&self, ca: Option<&str>) -> String {
        let ca = ca.map(|ca| format!("/{ca}")).unwrap_or_default();
        format!("rest:{}{ca}", self.url)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn keys(endpoint: &str) -> PlaceKeys {
        PlaceKeys { endpoint: Some(endpoint.to_owned()), ..PlaceKeys::default() }
    }

    #[test]
    fn a_url_names_a_folder_or_a_bucket() {
        let folder = Place::parse("file:///srv/vault", PlaceKeys::default()).unwrap();
        assert_eq!(folder.folder(), Some(Path::new("/srv/vault")));
        let Place::Bucket(bucket) =
            Place::parse("s3://pki-backups/certadm/", keys("https://minio:9000")).unwrap()
        else {
            panic!("a bucket")
        };
        assert_eq!((bucket.name.as_str(), bucket.prefix.as_str()), ("pki-backups", "certadm"));
        assert_eq!(bucket.place(Some("CA")), "s3://pki-backups/certadm/CA at https://minio:9000");
        for (wrong, keys) in [
            ("s3://", PlaceKeys::default()),
            ("s3://UPPER", PlaceKeys::default()),
            ("s3://bucket/../x", PlaceKeys::default()),
            ("s3://bucket//x", PlaceKeys::default()),
            ("s3://bucket", keys("minio")),
            ("s3://bucket", keys("https://user:secret@host")),
            ("s3://bucket", keys("https://host/path")),
            ("file:///x", keys("https://minio")),
            ("ftp://x", PlaceKeys::default()),
        ] {
            assert!(Place::parse(wrong, keys).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_account_of_azure_may_be_a_folder_of_its_service() {
        let keys = |endpoint| PlaceKeys { account: Some("one".to_owned()), ..keys(endpoint) };
        assert!(Place::parse("azure://bucket", keys("https://stack.corp.example/one")).is_ok());
        for wrong in
            ["https://stack/other", "https://stack/one/one", "https://stack/one/", "https://user@stack/one"]
        {
            assert!(Place::parse("azure://bucket", keys(wrong)).is_err(), "{wrong}");
        }
    }

    fn host(url: &str) -> Host {
        match Place::parse(url, PlaceKeys::default()) {
            Ok(Place::Host(host)) => host,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn a_url_names_a_folder_of_a_host() {
        let nas = host("sftp://backup@nas:2222/srv/vault/");
        assert_eq!(
            (nas.user.as_deref(), nas.name.as_str(), nas.port, nas.path.as_str()),
            (Some("backup"), "nas", Some(2222), "/srv/vault")
        );
        assert_eq!(nas.place(Some("CA")), "sftp://backup@nas:2222/srv/vault/CA");
        assert_eq!(host("sftp:backup@nas/srv/vault"), Host { port: None, ..nas });
        let below = host("sftp://nas/~/vault");
        assert_eq!((below.path.as_str(), below.place(None).as_str()), ("vault", "sftp://nas/~/vault"));
        let six = host("sftp://[2001:db8::1]:22/vault");
        assert_eq!((six.name.as_str(), six.port), ("2001:db8::1", Some(22)));
        assert_eq!(six.place(None), "sftp://[2001:db8::1]:22/vault");
        for wrong in [
            "sftp://nas",
            "sftp://nas/",
            "sftp:///srv",
            "sftp://-oProxyCommand=x/srv",
            "sftp://-l@nas/srv",
            "sftp://na s/srv",
            "sftp://nas;x/srv",
            "sftp://$(x)@nas/srv",
            "sftp://nas:port/srv",
            "sftp://nas/srv/../x",
        ] {
            assert!(Place::parse(wrong, PlaceKeys::default()).is_err(), "{wrong}");
        }
        assert!(Place::parse("sftp://nas/srv", keys("https://minio")).is_err());
    }

    #[test]
    fn no_shell_sees_what_stands_in_a_url() {
        let command = host("sftp://backup@nas:2222/srv/a b'$(x)").command();
        let words: Vec<&str> = command.iter().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(words[words.len() - 8..], ["-p", "2222", "-l", "backup", "-s", "--", "nas", "sftp"]);
        assert!(words.contains(&"BatchMode=yes") && !words.iter().any(|word| word.contains("srv")));
    }

    #[test]
    fn a_url_names_a_server_of_restics_protocol() {
        let parse = |url: &str, credentials: Option<&str>| {
            let keys = PlaceKeys {
                credentials: credentials.map(PathBuf::from),
                cas: Some(vec!["CA".to_owned()]),
                ..PlaceKeys::default()
            };
            Place::parse(url, keys)
        };
        let Ok(Place::Server(server)) = parse("rest:https://vault:8000/pki/", Some("/c")) else {
            panic!("a server")
        };
        assert_eq!(server.url, "https://vault:8000/pki");
        assert_eq!(server.cas, ["CA"]);
        assert_eq!(server.place(Some("CA")), "rest:https://vault:8000/pki/CA");
        assert!(parse("rest:http://vault/pki", None).is_ok());
        for (wrong, credentials) in [
            ("rest:vault/pki", None),
            ("rest:https://user:secret@vault/pki", None),
            ("rest:https://vault/../pki", None),
            ("rest:http://vault/pki", Some("/c")),
            ("rest:ftp://vault/pki", None),
        ] {
            assert!(parse(wrong, credentials).is_err(), "{wrong}");
        }
    }
}
