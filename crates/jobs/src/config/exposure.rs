//! `[agent]`: where the agent shows its page and its figures, and to whom.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Where the agent shows itself. Nowhere, unless the configuration or the command line says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exposure {
    /// An address: of this machine, or guarded.
    pub listen: Option<SocketAddr>,
    /// A socket of this machine.
    pub socket: Option<Socket>,
    /// What callers of the address have to bring.
    pub guard: Option<Guard>,
}

/// A Unix socket: who may connect is decided by its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Its name.
    pub path: PathBuf,
    /// The group whose members may connect, by name or number; without one the owner alone may.
    pub group: Option<String>,
}

/// TLS, and the token of those who may look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The certificate, with those that lead to its authority behind it, as PEM.
    pub certificate: PathBuf,
    /// Its private key, as PEM.
    pub key: PathBuf,
    /// The file with the token.
    pub token_file: PathBuf,
}

impl Exposure {
    /// This, at another address.
    ///
    /// # Errors
    /// As [`Exposure::check`].
    pub fn at(mut self, address: SocketAddr) -> Result<Self, String> {
        self.listen = Some(address);
        self.check()?;
        Ok(self)
    }

    /// Whether nobody can look who is not meant to.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self) -> Result<(), String> {
        match (self.listen, &self.guard) {
            (Some(address), None) if !address.ip().is_loopback() => Err(format!(
                "others can call {address}: listen on 127.0.0.1 or [::1], or name certificate, key and token-file"
            )),
            _ => Ok(()),
        }
    }
}
