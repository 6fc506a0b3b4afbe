//! Reaching a CA over the network, or over the socket of this machine: which one, as whom.

use std::path::{Path, PathBuf};

use certadm_auth::{Credentials, Password};
use certadm_client::credentials::account;
use certadm_client::{Config, Endpoint, Error, RemoteCa, ServerName, Target};
use clap::Args;

use crate::failure::Failure;
use crate::secrets::{Descriptor, Prompt, read_password};

/// Which CA to dial, and as whom to log on there; what is left out comes from client.toml, the password also from a prompt.
#[derive(Debug, Args)]
pub(crate) struct RemoteArgs {
    /// A CA over the network: host, host:port, host\CA name, or a name of client.toml; localhost is this machine's service
    #[arg(long, value_name = "NAME", conflicts_with = "socket")]
    server: Option<String>,
    /// The service of this machine behind this Unix socket, which takes no account
    #[arg(long, value_name = "PATH", conflicts_with_all = ["user", "password_file", "password_fd"])]
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
}

/// A CA to dial.
pub(crate) struct Dial {
    /// As the user named it.
    pub(crate) name: String,
    pub(crate) target: Target,
    /// None where a socket of this machine needs none.
    pub(crate) credentials: Option<Credentials>,
}

impl Dial {
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

    /// The CA that was named, and the credentials for it; nothing when none was.
    ///
    /// # Errors
    /// A name, configuration or account that cannot be used, and when there is no way to the password.
    pub(crate) fn dial(&self) -> Result<Option<Dial>, Failure> {
        match (&self.socket, &self.server) {
            (Some(path), _) => Ok(Some(Dial {
                name: path.display().to_string(),
                target: Target::of_socket(path.clone()),
                credentials: None,
            })),
            (None, Some(server)) => {
                let (target, credentials) = self.target(server)?;
                Ok(Some(Dial { name: server.clone(), target, credentials }))
            }
            (None, None) => Ok(None),
        }
    }

    fn target(&self, server: &str) -> Result<(Target, Option<Credentials>), Failure> {
        let name: ServerName = server.parse().map_err(Error::from)?;
        let target = Config::load()?.target(&name)?;
        if let Endpoint::Socket(path) = &target.endpoint {
            if self.user.is_some() || self.password_file.is_some() || self.password_fd.is_some() {
                let text =
                    format!("{server} is this machine's socket {}, which takes no account", path.display());
                let remedy = format!("leave the account out, or log on over TCP: --server {server}:135");
                return Err(Failure::usage(text, remedy));
            }
            return Ok((target, None));
        }
        let account = match &self.user {
            Some(user) => account(user)?,
            None => target.account.clone().ok_or_else(|| target.no_account())?,
        };
        let password = self.password(&target, &account.to_string())?;
        Ok((target, Some(Credentials { account, password })))
    }

    fn password(&self, target: &Target, account: &str) -> Result<Password, Failure> {
        // The configured file is for the configured account.
        let is_configured = self.user.is_none() && self.password_fd.is_none();
        let configured = target.password_file.as_deref().filter(|_| is_configured);
        let file = self.password_file.as_deref().or(configured);
        let mut password = read_password(file, self.password_fd, Prompt::Known(account))?;
        Ok(Password::new(std::mem::take(&mut *password)))
    }
}
