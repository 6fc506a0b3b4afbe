//! Why the service does not start.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;

use certadm_rules::diagnosis::Class;
use certadm_rules::{Diagnosis, Hresult};

/// Why the service does not start. The administrator's to repair.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The Unix socket cannot be made.
    #[error("cannot make the socket {path}")]
    Socket {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another service answers on the socket.
    #[error("another service answers on the socket {path}")]
    SocketInUse {
        /// Its path.
        path: PathBuf,
    },
    /// A service manager handed over what is no socket to listen on.
    #[error("of the sockets that were handed over (LISTEN_FDS), {detail}")]
    Handed {
        /// Which one, and what it is.
        detail: String,
    },
    /// The host's name cannot be used in paths or challenges.
    #[error("the host name {host:?} cannot be used")]
    Host {
        /// The name.
        host: String,
    },
    /// The accounts cannot be read.
    #[error(transparent)]
    Users(#[from] crate::UsersError),
    /// The keys for Kerberos cannot be used.
    #[error("the keytab {path} cannot be used: {detail}")]
    Keytab {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A role is given to what is no SID or account.
    #[error("[roles] of ca.toml: {entry:?} is no SID and no account with its realm")]
    Role {
        /// The entry.
        entry: String,
    },
    /// The system refuses something that every service needs.
    #[error("the system refuses {what}")]
    System {
        /// What is refused.
        what: &'static str,
        /// What it said.
        source: std::io::Error,
    },
}

impl Diagnosis for StartError {
    fn hresult(&self) -> Hresult {
        match self {
            Self::Listen { source, .. } | Self::Socket { source, .. } | Self::System { source, .. } => {
                certadm_files::io_hresult(source)
            }
            Self::SocketInUse { .. } => Hresult::ERROR_SERVICE_ALREADY_RUNNING,
            Self::Host { .. } | Self::Handed { .. } | Self::Keytab { .. } | Self::Role { .. } => {
                Hresult::E_INVALIDARG
            }
            Self::Users(error) => error.hresult(),
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Users(error) => error.class(),
            // The machine's name, not an argument.
            Self::Host { .. } | Self::Handed { .. } | Self::Keytab { .. } | Self::Role { .. } => {
                Class::Refused
            }
            _ => self.hresult().class(),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Listen { source, .. } if source.kind() != ErrorKind::PermissionDenied => {
                certadm_files::io_remedy(source)
            }
            Self::Listen { .. } => {
                "give another --listen or --exporter-port; a port below 1024 needs CAP_NET_BIND_SERVICE"
            }
            Self::Socket { .. } => "give --socket a path in a folder that the service can write",
            Self::SocketInUse { .. } => "stop the other service, or give --socket another path",
            Self::Handed { .. } => {
                "give the socket unit a Unix socket, and TCP sockets for the resolver and then the exporter at most"
            }
            Self::Host { .. } => "give the machine a host name of letters, digits and hyphens",
            Self::Users(error) => return error.remedy(),
            Self::Keytab { .. } => {
                "make it anew with AES keys for host/NAME of this machine, owned by the service's user and with mode 0600; \
                 docs/remote.md says how; or take `keytab` out of [kerberos] in ca.toml"
            }
            Self::Role { .. } => "write it as sid:S-1-5-21-... or krb:NAME@REALM",
            Self::System { .. } => "look at the limits of the service's process",
        })
    }
}
