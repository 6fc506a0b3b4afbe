//! Reaching a CA over the network, or over the socket of this machine: which one, as whom.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use certadm_auth::Password;
use certadm_client::credentials::account;
use certadm_client::{
    Config, Credentials, Endpoint, Error, KdcAddress, KerberosTarget, Mechanism, RemoteCa, ServerName, Target,
};
use certadm_files::is_exposed;
use certadm_rules::finding::{Finding, Kind};
use clap::Args;

use crate::failure::Failure;
use crate::secrets::{Descriptor, Prompt, read_password, warn_if_exposed};

/// Which CA to dial, and as whom to log on there; what is left out comes from client.toml, the password also from a prompt.
#[derive(Debug, Args)]
pub(crate) struct RemoteArgs {
    /// A CA over the network: host, host:port, host\CA name, or a name of client.toml; localhost is this machine's service
    #[arg(long, value_name = "NAME", conflicts_with = "socket")]
    server: Option<String>,
    /// The service of this machine behind this Unix socket, which takes no account
    #[arg(long, value_name = "PATH", conflicts_with_all = ["user", "password_file", "password_fd", "keytab", "ticket_cache"])]
    socket: Option<PathBuf>,
    /// The account on the CA's machine or in its domain, as DOMAIN\user, user@domain or user [default: client.toml]
    #[arg(long, value_name = "ACCOUNT", requires = "server")]
    user: Option<String>,
    /// File that holds the account's password; a newline at its end does not count
    #[arg(long, value_name = "FILE", requires = "server", conflicts_with = "password_fd")]
    password_file: Option<PathBuf>,
    /// Open descriptor to read the account's password from
    #[arg(long, value_name = "N", requires = "server")]
    password_fd: Option<Descriptor>,
    /// File with the account's keys, for Kerberos; without --user the only account in it
    #[arg(long, value_name = "FILE", requires = "server", conflicts_with_all = ["password_file", "password_fd"])]
    keytab: Option<PathBuf>,
    /// File with tickets, as `kinit -c FILE:...` writes it; without a file where this user's tickets are
    #[arg(
        long,
        value_name = "FILE",
        requires = "server",
        num_args = 0..=1,
        default_missing_value = "",
        conflicts_with_all = ["user", "password_file", "password_fd", "keytab"]
    )]
    ticket_cache: Option<OsString>,
    /// How to authenticate: negotiate, kerberos, spnego or ntlm [default: client.toml, else negotiate]
    #[arg(long, value_name = "NAME", requires = "server")]
    mechanism: Option<Mechanism>,
    /// The Kerberos realm of the account [default: client.toml, the account's name, krb5.conf, the host's domain]
    #[arg(long, value_name = "REALM")]
    realm: Option<String>,
    /// A KDC of that realm, as host or host:port; can be repeated [default: client.toml, krb5.conf, DNS]
    #[arg(long, value_name = "HOST")]
    kdc: Vec<KdcAddress>,
}

/// Who logs on, and the file that the secret came from.
type Given = (Credentials, Option<PathBuf>);

/// A CA to dial.
pub(crate) struct Dial {
    /// As the user named it.
    pub(crate) name: String,
    pub(crate) target: Target,
    /// None where a socket of this machine needs none.
    pub(crate) credentials: Option<Credentials>,
    /// The file that the secret of the logon is in.
    pub(crate) secret_file: Option<PathBuf>,
}

impl Dial {
    /// That others can read the file with the secret. It is used all the same, as every secret is: refusing it would keep none.
    pub(crate) fn exposed(&self) -> Option<Finding> {
        let file = self.secret_file.as_deref().filter(|file| is_exposed(file))?;
        let note = Finding::note(Kind::SecretExposed, "others can read it, and log on as its account");
        Some(
            note.in_file(file)
                .remedy("give it mode 0600 (chmod 600); change what is in it if others may have read it"),
        )
    }

    /// Connects to it.
    ///
    /// # Errors
    /// As [`RemoteCa::connect`].
    pub(crate) fn connect(self) -> Result<RemoteCa, Failure> {
        Ok(RemoteCa::connect(self.target, self.credentials)?)
    }
}

impl RemoteArgs {
    /// The socket that was named.
    pub(crate) fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// Where realm and KDC were given, and nothing else.
    pub(crate) fn kerberos(&self) -> KerberosTarget {
        KerberosTarget { realm: self.realm.clone(), kdc: self.kdc.clone(), ..KerberosTarget::default() }
    }

    /// The CA that was named, and the credentials for it; nothing when none was.
    ///
    /// # Errors
    /// A name, configuration or account that cannot be used, and when there is no way to the password.
    pub(crate) fn dial(&self) -> Result<Option<Dial>, Failure> {
        if self.server.is_none() && (self.realm.is_some() || !self.kdc.is_empty()) {
            let text = "--realm and --kdc are for a CA over the network, and none is named";
            return Err(Failure::usage(text, "name it by --server NAME"));
        }
        match (&self.socket, &self.server) {
            (Some(path), _) => Ok(Some(Dial {
                name: path.display().to_string(),
                target: Target::of_socket(path.clone()),
                credentials: None,
                secret_file: None,
            })),
            (None, Some(server)) => {
                let (target, given) = self.target(server)?;
                let (credentials, secret_file) = given.unzip();
                Ok(Some(Dial {
                    name: server.clone(),
                    target,
                    credentials,
                    secret_file: secret_file.flatten(),
                }))
            }
            (None, None) => Ok(None),
        }
    }

    fn target(&self, server: &str) -> Result<(Target, Option<Given>), Failure> {
        let name: ServerName = server.parse().map_err(Error::from)?;
        let mut target = Config::load()?.target(&name)?;
        if let Endpoint::Socket(path) = &target.endpoint {
            if self.names_proof() {
                let text =
                    format!("{server} is this machine's socket {}, which takes no account", path.display());
                let remedy = format!("leave the account out, or log on over TCP: --server {server}:135");
                return Err(Failure::usage(text, remedy));
            }
            return Ok((target, None));
        }
        if let Some(mechanism) = self.mechanism {
            target.mechanism = mechanism;
        }
        if let Some(realm) = &self.realm {
            target.kerberos.realm = Some(realm.clone());
        }
        if !self.kdc.is_empty() {
            target.kerberos.kdc.clone_from(&self.kdc);
        }
        let given = self.credentials(&target)?;
        Ok((target, Some(given)))
    }

    /// Whether an option says who logs on, or what proves it.
    fn names_proof(&self) -> bool {
        self.user.is_some()
            || self.password_file.is_some()
            || self.password_fd.is_some()
            || self.has_tickets()
    }

    fn has_tickets(&self) -> bool {
        self.keytab.is_some() || self.ticket_cache.is_some()
    }

    fn credentials(&self, target: &Target) -> Result<Given, Failure> {
        let given = self.user.as_deref().map(account).transpose()?;
        if let Some(path) = &self.ticket_cache {
            let path = Some(path).filter(|path| !path.is_empty()).map(PathBuf::from);
            return Ok((Credentials::Cache { path }, None));
        }
        // What is configured in the place of a password is for the configured account.
        let is_configured = !self.names_proof() && (target.keytab.is_some() || target.ticket_cache.is_some());
        let credentials = match &self.keytab {
            Some(path) => Some(Credentials::Keytab { account: given.clone(), path: path.clone() }),
            None if is_configured => target.configured_credentials()?,
            None => None,
        };
        if let Some(credentials) = credentials {
            let file = match &credentials {
                Credentials::Keytab { path, .. } => Some(path.clone()),
                _ => None,
            };
            if let Some(file) = &file {
                warn_if_exposed(file);
            }
            return Ok((credentials, file));
        }
        let account = match given {
            Some(account) => account,
            None => target.account.clone().ok_or_else(|| target.no_account())?,
        };
        let file = self.password_file(target);
        let mut password = read_password(file, self.password_fd, Prompt::Known(&account.to_string()))?;
        let password = Password::new(std::mem::take(&mut *password));
        Ok((certadm_auth::Credentials { account, password }.into(), file.map(Path::to_owned)))
    }

    fn password_file<'a>(&'a self, target: &'a Target) -> Option<&'a Path> {
        // The configured file is for the configured account.
        let is_configured = self.user.is_none() && self.password_fd.is_none();
        let configured = target.password_file.as_deref().filter(|_| is_configured);
        self.password_file.as_deref().or(configured)
    }
}
