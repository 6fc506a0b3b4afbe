//! How the service is run.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use certadm_ca::{Config, RolesConfig, ServiceConfig};
use certadm_rules::flags::InterfaceFlags;
use certadm_store::Folder;

use crate::limits::Limits;
use crate::listeners::SocketWish;
use crate::tickets::KerberosSettings;

/// How the service is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The CA's common name: the authority of its methods.
    pub name: String,
    /// The name of this host: in lists, bindings and challenges.
    pub host: String,
    /// Address and port of the resolver.
    pub resolver: SocketAddr,
    /// Port of the exporter, 0 for any.
    pub exporter_port: u16,
    /// The Unix socket of local callers.
    pub socket: SocketWish,
    /// Who may use which interface (wire.md 5.4).
    pub interface_flags: InterfaceFlags,
    /// What audit records are written of (wire.md 5.9).
    pub audit_filter: u32,
    /// How tickets are accepted; none where they are not.
    pub kerberos: Option<KerberosSettings>,
    /// Whether accounts of the service log on over TCP, by NTLM.
    pub ntlm: bool,
    /// The roles of local callers, and of those with tickets.
    pub roles: RolesConfig,
    /// Where `roles` stand, a `ca.toml`: they are read again when it changes. None where they stay as they are.
    pub roles_file: Option<PathBuf>,
    /// What the service lets its callers do at all.
    pub allowed: ServiceConfig,
    /// What callers may use up.
    pub limits: Limits,
}

impl Settings {
    /// What `ca.toml` in the CA's `folder` says, on the host of this name.
    #[must_use]
    pub fn from_config(config: &Config, folder: &Path, host: String) -> Self {
        Self {
            name: config.name.as_str().to_owned(),
            kerberos: KerberosSettings::from_config(&config.kerberos, folder, &host),
            ntlm: config.kerberos.ntlm,
            host,
            resolver: config.listeners.listen,
            exporter_port: config.listeners.exporter_port,
            socket: match &config.listeners.socket {
                Some(path) => SocketWish::Path(path.clone()),
                None if cfg!(unix) => SocketWish::Standard,
                None => SocketWish::None,
            },
            interface_flags: InterfaceFlags::from_bits(config.interface_flags),
            audit_filter: config.audit_filter,
            roles: config.roles.clone(),
            roles_file: Some(Folder::new(folder).config_path()),
            allowed: config.service,
            limits: Limits::default(),
        }
    }
}
