//! Reaching a CA over the network, or over the socket of this machine: which one, as whom.

use std::path::PathBuf;

use certadm_auth::{Credentials, Password};
use certadm_client::credentials::account;
use certadm_client::{Config, Endpoint, Error, RemoteCa, ServerName, Target};
use clap::Args;

use crate::failure::Failure;
use crate::secrets::{Descriptor, Prompt, read_password};

/// As whom to log on to a CA over the network; what is left out comes from client.toml, the password also from a prompt.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
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

impl LoginArgs {
    /// What `server` stands for, and the credentials for it; none where the socket of this machine needs none.
    ///
    /// # Errors
    /// A name, configuration or account that cannot be used, and when there is no way to the password.
    pub(crate) fn target(&self, server: &str) -> Result<(Target, Option<Credentials>), Failure> {
        let name: ServerName = server.parse().map_err(Error::from)?;
        let target = Config::load()?.target(&name)?;
        if let Endpoint::Socket(path) = &target.endpoint {
            if self.user.is_some() || self.password_file.is_some() || self.password_fd.is_some() {
                return Err(Failure::usage(format!(
                    "{server} is this machine's socket {}, which takes no account; name a port to log on over TCP",
                    path.display()
                )));
            }
            return Ok((target, None));
        }
        let account = match &self.user {
            Some(user) => account(user)?,
            None => target
                .account
                .clone()
                .ok_or_else(|| Error::NoAccount { server: target.endpoint.to_string() })?,
        };
        let password = self.password(&target, &account.to_string())?;
        Ok((target, Some(Credentials { account, password })))
    }

    /// Connects to the CA that `server` names.
    ///
    /// # Errors
    /// As [`LoginArgs::target`] and [`RemoteCa::connect`].
    pub(crate) fn connect(&self, server: &str) -> Result<RemoteCa, Failure> {
        let (target, credentials) = self.target(server)?;
        Ok(RemoteCa::connect(target, credentials)?)
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
