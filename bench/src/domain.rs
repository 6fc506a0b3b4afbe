//! A domain for SEALED-KRB: a KDC in memory, with an account and the host `localhost`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use certadm_auth::{
    AccountStore, AuthError, AuthType, Environment, Established, FileTime, Framing, Level, NtHash,
    ServerNames, Service, Tickets, kerberos_initiator,
};
use certadm_kerberos::client::Secret;
use certadm_kerberos::crypto::Etype;
use certadm_kerberos::{Acceptor, Keytab, Principal};
use certadm_toy_kdc::{Kdc, Listener, Network, World, keytab_file};

use crate::error::Result;
use crate::handshake::shake_hands;

const REALM: &str = "BENCH.TEST";
const HOST: &str = "localhost";
/// The group that every account of this KDC is in.
const GROUP: &str = "sid:S-1-5-21-1-2-3-1106";

/// The running KDC, and what it gave to client and service.
pub(crate) struct Domain {
    _kdc: Listener,
    /// Of the client.
    pub(crate) config: PathBuf,
    keytab: PathBuf,
}

impl Domain {
    /// Starts it below `root`.
    ///
    /// # Errors
    /// There is no port, or no place.
    pub(crate) fn start(root: &Path, user: &str, password: &str) -> Result<Self> {
        std::fs::create_dir_all(root)?;
        let mut kdc = Kdc::new(REALM);
        kdc.add_account(user, password);
        let mut entries = Vec::new();
        for class in ["RPCSS", "HOST"] {
            entries.extend(kdc.add_service(class, HOST, Etype::Aes256Sha1).entries().to_vec());
        }
        let keytab = root.join("ca.keytab");
        std::fs::write(&keytab, keytab_file(&Keytab::new(entries)))?;
        std::fs::set_permissions(&keytab, PermissionsExt::from_mode(0o600))?;
        let kdc = Listener::start(Network::of([kdc]), Arc::new(World::real()))?;
        let config = root.join("client.toml");
        let entry = format!(
            "[server.{HOST}]\nmechanism = \"kerberos\"\nrealm = \"{REALM}\"\nkdc = [\"{}\"]\n",
            kdc.address()
        );
        std::fs::write(&config, entry)?;
        Ok(Self { _kdc: kdc, config, keytab })
    }

    /// Lets a new service accept tickets, and lets its callers take backups.
    ///
    /// # Errors
    /// `ca.toml` cannot be read or written.
    pub(crate) fn enter(&self, ca_toml: &Path) -> Result<()> {
        let text = std::fs::read_to_string(ca_toml)?;
        let line = |line: &str| match line.split(" = ").next() {
            Some("# keytab") => format!("keytab = \"{}\"", self.keytab.display()),
            Some("# host") => format!("host = \"{HOST}\""),
            Some("operator") => format!("operator = [\"{GROUP}\"]"),
            _ => line.to_owned(),
        };
        let lines: Vec<String> = text.lines().map(line).collect();
        Ok(std::fs::write(ca_toml, lines.join("\n") + "\n")?)
    }
}

/// A finished context of a client and a service of such a domain.
///
/// # Errors
/// The handshake fails.
pub(crate) fn context() -> Result<(Established, Established)> {
    const USER: &str = "alice";
    let mut kdc = Kdc::new(REALM);
    kdc.add_account(USER, USER);
    let keytab = kdc.add_service("HOST", HOST, Etype::Aes256Sha1);
    let (network, world) = (Network::of([kdc]), Arc::new(World::noon()));
    let secret = Secret::Password(USER.to_owned().into());
    let granting = network.granting(Principal::account(USER, REALM), secret, &*world)?;
    let ticket = network.ticket(granting, &Principal::service("HOST", HOST, REALM), &*world)?;
    let service = Service::new(ServerNames::new("CA1", "CA1", None)?, Arc::new(Nobody), Arc::new(Noon));
    let acceptor = Acceptor::new(Arc::new(keytab), Arc::default());
    let service = service.with_tickets(Arc::new(Keys(acceptor)));
    let client = kerberos_initiator(ticket, 0, Framing::Raw, world);
    Ok(shake_hands(client, service.acceptor(AuthType::KERBEROS, Level::Privacy)?)?)
}

struct Keys(Acceptor);

impl Tickets for Keys {
    fn acceptor(&self) -> Option<Acceptor> {
        Some(self.0.clone())
    }
}

struct Nobody;

impl AccountStore for Nobody {
    fn nt_hash(&self, _domain: &str, _user: &str) -> Option<NtHash> {
        None
    }
}

/// The clock of [`World::noon`], and random numbers of the system.
struct Noon;

impl Environment for Noon {
    fn now(&self) -> FileTime {
        FileTime::from_unix(std::time::Duration::from_secs(u64::try_from(certadm_toy_kdc::NOON).unwrap_or(0)))
    }

    fn fill_random(&self, bytes: &mut [u8]) -> std::result::Result<(), AuthError> {
        getrandom::fill(bytes).map_err(|_| AuthError::NoRandomness)
    }
}
