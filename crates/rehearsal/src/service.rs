//! A CA's service on the loopback address for as long as this process wants it, and the client that reaches it over TCP,
//! authenticated and sealed. Nobody else knows its account; or a domain does, and the client comes with a ticket of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use certadm_auth::{AccountName, Credentials, NtHash, Password};
use certadm_ca::Config;
use certadm_client::{
    Credentials as Secrets, Endpoint, KdcAddress, KerberosTarget, Mechanism, RemoteCa, ServerName,
    own_host_name,
};
use certadm_rules::flags::{InterfaceFlags, Roles};
use certadm_rules::hex;
use certadm_server::{KerberosSettings, Server, Settings, SocketWish, Stopped, Stopper, User, UserFile};
use certadm_store::Store;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// The account that logs on there. It goes with the CA's folder.
const ACCOUNT: &str = "certadm-rehearsal";

/// A service and its client in a domain.
#[derive(Debug, Clone)]
pub struct Membership {
    /// The realm, in capital letters.
    pub realm: String,
    /// Its KDC, as host:port.
    pub kdc: KdcAddress,
    /// The name of the service's machine there, which has to lead to loopback: `localhost`.
    pub host: String,
    /// The keys of `host/HOST`.
    pub service_keytab: PathBuf,
    /// The account that backs up, without its realm.
    pub account: String,
    /// The keys of the account.
    pub account_keytab: PathBuf,
}

/// How the client logs on.
#[derive(Debug)]
enum Logon {
    /// By NTLM, with an account of the service's own.
    Own(Credentials),
    /// By a ticket.
    Member(Membership),
}

/// A service on loopback, and what it takes to log on there. Dropping it stops the service.
#[derive(Debug)]
pub struct Loopback {
    resolver: SocketAddr,
    logon: Logon,
    stopper: Stopper,
    serving: Option<JoinHandle<Stopped>>,
}

impl Loopback {
    /// Makes an account that may back up and nothing else, and serves the CA on ports of loopback that the system picks,
    /// whatever its configuration says of addresses and sockets.
    ///
    /// # Errors
    /// [`Error::Account`], [`Error::Service`], [`Error::Client`].
    pub fn start(store: &Arc<Store>, config: &Config) -> Result<Self> {
        let password = random_password()?;
        let nt_hash = NtHash::from_password(&password);
        UserFile::in_folder(store.folder().path()).add(User::new(ACCOUNT, nt_hash, Roles::OPERATOR)?)?;
        let account = AccountName::new("", ACCOUNT);
        let credentials = Credentials { account, password: Password::new(password.as_str().to_owned()) };
        Self::serve(store, config, Logon::Own(credentials), |settings| {
            // Its account is one of its own, and the keys of the machine are not needed for it.
            settings.kerberos = None;
            settings.ntlm = true;
        })
    }

    /// The same in a domain: the service takes tickets and nothing else, and the account there may back up.
    ///
    /// # Errors
    /// [`Error::Service`], [`Error::Client`].
    pub fn start_in(store: &Arc<Store>, config: &Config, membership: Membership) -> Result<Self> {
        let kerberos = KerberosSettings {
            keytab: membership.service_keytab.clone(),
            host: membership.host.clone(),
            realms: Vec::new(),
            skew_seconds: config.kerberos.skew_seconds,
            danger_unsigned_headers: false,
            danger_names_without_pac: false,
        };
        let operator = format!("krb:{}@{}", membership.account, membership.realm);
        Self::serve(store, config, Logon::Member(membership), |settings| {
            settings.kerberos = Some(kerberos);
            settings.ntlm = false;
            settings.roles.operator = vec![operator];
            settings.roles_file = None;
        })
    }

    fn serve(
        store: &Arc<Store>,
        config: &Config,
        logon: Logon,
        log_on_by: impl FnOnce(&mut Settings),
    ) -> Result<Self> {
        let mut settings = Settings::from_config(config, store.folder().path(), own_host_name());
        log_on_by(&mut settings);
        settings.resolver = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        settings.exporter_port = 0;
        settings.socket = SocketWish::None;
        settings.interface_flags = settings.interface_flags.without(InterfaceFlags::NO_REMOTE_BACKUP);
        let server = Server::start(Arc::clone(store), settings)?;
        let (resolver, stopper) = (server.addresses().resolver, server.stopper());
        let serving = std::thread::Builder::new().name("loopback".to_owned()).spawn(move || server.run());
        let serving = serving.map_err(certadm_client::Error::Thread)?;
        Ok(Self { resolver, logon, stopper, serving: Some(serving) })
    }

    /// Where the service listens.
    #[must_use]
    pub const fn resolver(&self) -> SocketAddr {
        self.resolver
    }

    /// Dials, logs on and activates, as every client on the network does.
    ///
    /// # Errors
    /// [`Error::Client`].
    pub fn connect(&self) -> Result<RemoteCa> {
        // No configuration: what the user's client.toml says of 127.0.0.1 is not meant for this service.
        let name: ServerName = self.resolver.to_string().parse().map_err(certadm_client::Error::from)?;
        let mut target = certadm_client::Config::default().target(&name)?;
        let secrets = match &self.logon {
            Logon::Own(credentials) => Secrets::Password(credentials.clone()),
            Logon::Member(membership) => {
                target.endpoint = Endpoint::Tcp { host: membership.host.clone(), port: self.resolver.port() };
                target.mechanism = Mechanism::Kerberos;
                target.kerberos = KerberosTarget {
                    realm: Some(membership.realm.clone()),
                    kdc: vec![membership.kdc.clone()],
                    krb5_conf: None,
                };
                let account = AccountName::new(&membership.realm, &membership.account);
                Secrets::Keytab { account: Some(account), path: membership.account_keytab.clone() }
            }
        };
        Ok(RemoteCa::connect(target, Some(secrets))?)
    }

    /// Stops the service and waits for its end.
    ///
    /// # Errors
    /// What kept it from ending in order.
    pub fn stop(mut self) -> Result<()> {
        self.stopper.stop();
        let serving = self.serving.take().and_then(|serving| serving.join().ok());
        match serving {
            Some(Stopped { close_error: Some(error), .. }) => Err(error.into()),
            Some(Stopped { all_left: true, .. }) => Ok(()),
            _ => Err(Error::Internal("the service on loopback did not end in order".to_owned())),
        }
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(serving) = self.serving.take() {
            serving.join().ok(); // what went wrong before is told
        }
    }
}

/// 256 random bits in hex digits.
fn random_password() -> Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0u8; 32]);
    getrandom::fill(&mut *bytes).map_err(certadm_ca::Error::Random)?;
    Ok(Zeroizing::new(hex::encode(&*bytes)))
}
