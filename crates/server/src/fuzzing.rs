//! A service without sockets, for fuzzing: bytes go into a connection and come out of it on the thread of the caller, and
//! what its calls reached is told. Compiled only with the feature `fuzzing`; not meant for anything else.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use certadm_auth::NtHash;
use certadm_ca::{RolesConfig, ServiceConfig};
use certadm_rules::flags::{InterfaceFlags, Roles};
use certadm_store::{Folder, Options, Store};
use certadm_wire::dcom::{Iid, Ipid};
use certadm_wire::rpc::SecurityContext;

use crate::connection::{Accepted, Connection};
use crate::identity::Identity;
use crate::limits::Limits;
use crate::listeners::{Port, SocketWish};
use crate::memory_stream::MemoryStream;
use crate::object::AdminObject;
use crate::objects::Thing;
use crate::reached;
pub use crate::reached::Reached;
use crate::service::Server;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::transport::Stream;
use crate::users::{User, UserFile};

/// The only peer there is.
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// A service with some accounts, which listens to nobody.
#[derive(Debug)]
pub struct World {
    server: Server,
}

/// By which door a peer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The resolver's port.
    Resolver,
    /// The exporter's port.
    Exporter,
    /// The Unix socket, as this user.
    Socket {
        /// Its number.
        uid: u32,
    },
}

/// What became of some bytes.
#[derive(Debug)]
pub struct Outcome {
    /// What came back.
    pub bytes: Vec<u8>,
    /// The calls among them.
    pub reached: Vec<Reached>,
    /// Whether the connection goes on.
    pub goes_on: bool,
}

/// A connection that is being served.
#[allow(missing_debug_implementations)] // it holds keys
pub struct Served<'w> {
    world: &'w World,
    stream: Arc<Stream>,
    connection: Option<Connection>,
    id: u64,
}

impl World {
    /// A new service in `folder`, which has nothing yet, with these accounts.
    ///
    /// # Errors
    /// Those of the folder and of the service's start.
    pub fn new(folder: &Path, accounts: &[(&str, &str, Roles)]) -> Result<Self, Box<dyn std::error::Error>> {
        let folder = Folder::new(folder);
        let store = Store::create(&folder, "Fuzzed CA", Options::default())?;
        for (name, password, roles) in accounts {
            let user = User::new(*name, NtHash::from_password(password), *roles)?;
            UserFile::in_folder(folder.path()).add(user)?;
        }
        // Nobody waits: neither for his turn nor because others have guessed.
        let limits = Limits {
            writes_at_once: u32::MAX,
            write_every: Duration::ZERO,
            free_failures: u32::MAX,
            free_failures_of_address: u32::MAX,
            ..Limits::default()
        };
        let settings = Settings {
            name: "Fuzzed CA".to_owned(),
            host: "ca01".to_owned(),
            resolver: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            exporter_port: 0,
            socket: SocketWish::None,
            interface_flags: InterfaceFlags::from_bits(0x601),
            audit_filter: 0x7f,
            kerberos: None,
            ntlm: true,
            roles: RolesConfig::default(),
            roles_file: None,
            allowed: ServiceConfig::default(),
            limits,
        };
        Ok(Self { server: Server::start(store, settings)? })
    }

    /// A peer comes by a door.
    #[must_use]
    pub fn connect(&self, door: Door) -> Served<'_> {
        let shared = self.server.shared();
        let (port, local) = match door {
            Door::Resolver => (Port::Resolver, None),
            Door::Exporter => (Port::Exporter, None),
            Door::Socket { uid } => (Port::Socket, Some(Identity::Local { uid, gid: uid })),
        };
        let address = local.is_none().then_some(PEER);
        let stream = Arc::new(Stream::Memory(MemoryStream::new(address)));
        let id = shared.connections.enter(&stream, shared.place(address, local.as_ref(), Instant::now()));
        let id = id.unwrap_or_default();
        let accepted = Accepted { id, stream: Arc::clone(&stream), port, local };
        Served { world: self, stream, connection: Some(Connection::new(Arc::clone(shared), accepted)), id }
    }

    /// An object of an account, as an activation would hand it out: the identifiers of its interfaces `ICertAdminD` and
    /// `ICertAdminD2`, and that of the Remote Unknown.
    #[must_use]
    pub fn activate(&self, account: &str) -> Vec<Ipid> {
        let shared = self.server.shared();
        let Some((incarnation, _)) = shared.accounts.find(account) else { return Vec::new() };
        let owner = Identity::Account { name: account.to_owned(), incarnation };
        let object = Thing::Object(Arc::new(AdminObject::new(shared.source())));
        let interfaces = [Iid::CERT_ADMIN, Iid::CERT_ADMIN_2];
        let handed =
            shared.objects.enter(object, owner, true, &interfaces, Instant::now()).unwrap_or_default();
        let ipids = handed.into_iter().flatten().map(|handed| handed.ipid);
        ipids.chain([shared.objects.remote_unknown()]).collect()
    }
}

impl Served<'_> {
    /// Bytes come from the peer: as many PDUs as there are in them are taken.
    pub fn send(&mut self, bytes: &[u8]) -> Outcome {
        reached::listen();
        if let Stream::Memory(stream) = &*self.stream {
            stream.come(bytes);
        }
        let goes_on = self.connection.as_mut().is_some_and(Connection::take_what_came);
        if !goes_on {
            self.connection = None;
        }
        let bytes = match &*self.stream {
            Stream::Memory(stream) => stream.take_gone(),
            _ => Vec::new(),
        };
        Outcome { bytes, reached: reached::take(), goes_on }
    }

    /// How many bytes the connection holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.connection.as_ref().map_or(0, Connection::held)
    }

    /// A security context of the connection.
    #[must_use]
    pub fn security(&self, context_id: u32) -> Option<SecurityContext> {
        self.connection.as_ref().and_then(|connection| connection.security(context_id))
    }
}

impl Drop for Served<'_> {
    /// Everything is as it was before the peer came, but for what a finished backup has left.
    fn drop(&mut self) {
        let shared: &Shared = self.world.server.shared();
        self.connection = None;
        shared.objects.disconnected(self.id, Instant::now());
        shared.connections.leave(self.id);
        shared.objects.clear();
        shared.stopping.store(false, Ordering::SeqCst);
    }
}
