//! Where callers are awaited: resolver, exporter, Unix socket.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use certadm_rules::diagnosis::chain_of;
use certadm_store::Folder;

use crate::error::StartError;
use crate::identity::Identity;
use crate::inherited::Inherited;
use crate::local_socket::LocalSocket;
use crate::transport::Stream;

/// Where the socket is when nobody says otherwise (docs/remote.md, "The socket").
pub const STANDARD_SOCKET: &str = "/run/certadm/certadm.sock";

/// Which listener a connection came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    Resolver,
    Exporter,
    Socket,
}

/// Where the service listens, with the ports that the system picked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The resolver: what a client dials.
    pub resolver: SocketAddr,
    /// The exporter: where it is sent.
    pub exporter: SocketAddr,
    /// The Unix socket; none where it could not be made and nobody asked for it.
    pub socket: Option<PathBuf>,
}

/// The open listeners.
#[derive(Debug)]
pub(crate) struct Listeners {
    resolver: TcpListener,
    exporter: TcpListener,
    socket: Option<LocalSocket>,
}

/// Which Unix socket to make for local callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketWish {
    /// This one, or the service does not start.
    Path(PathBuf),
    /// The usual one of this machine, [`STANDARD_SOCKET`]; else one in the CA's folder; else none. Commands on the CA's folder
    /// find either.
    Standard,
    /// None: everybody comes over TCP.
    None,
}

impl SocketWish {
    /// The folder in which a socket may be made, beside the CA's; that of the usual socket is made if it can be.
    #[must_use]
    pub fn dir(&self) -> Option<PathBuf> {
        let path = match self {
            Self::Path(path) => std::path::absolute(path).ok()?,
            Self::Standard => PathBuf::from(STANDARD_SOCKET),
            Self::None => return None,
        };
        let dir = path.parent()?.to_owned();
        if *self == Self::Standard {
            // A folder that cannot be made is what opening the socket fails for.
            certadm_files::durable::create_dir(&dir).ok();
        }
        dir.is_dir().then_some(dir)
    }
}

impl Listeners {
    pub(crate) fn open(
        resolver: SocketAddr,
        exporter_port: u16,
        wish: SocketWish,
        folder: &Folder,
        inherited: Inherited,
    ) -> Result<(Self, Addresses), StartError> {
        let listen = |address: SocketAddr, handed: Option<TcpListener>| {
            let refused = |source| StartError::Listen { address, source };
            let listener = handed.map_or_else(|| TcpListener::bind(address), Ok).map_err(refused)?;
            listener.set_nonblocking(true).map_err(refused)?;
            let bound = listener.local_addr().map_err(refused)?;
            Ok::<_, StartError>((listener, bound))
        };
        let (resolver, resolver_address) = listen(resolver, inherited.resolver)?;
        let (exporter, exporter_address) =
            listen(SocketAddr::new(resolver_address.ip(), exporter_port), inherited.exporter)?;
        #[cfg(unix)]
        let handed = inherited.socket.map(LocalSocket::inherited).transpose()?;
        #[cfg(not(unix))]
        let handed: Option<LocalSocket> = None;
        let socket = match wish {
            _ if handed.is_some() => handed,
            SocketWish::Path(path) => Some(LocalSocket::open(path)?),
            SocketWish::Standard => standard_socket(folder),
            SocketWish::None => None,
        };
        let addresses = Addresses {
            resolver: resolver_address,
            exporter: exporter_address,
            socket: socket.as_ref().map(|socket| socket.path().to_owned()),
        };
        Ok((Self { resolver, exporter, socket }, addresses))
    }

    /// What to wait on.
    #[cfg(unix)]
    pub(crate) fn waitable(&self) -> impl Iterator<Item = std::os::fd::BorrowedFd<'_>> {
        use std::os::fd::AsFd;
        let socket = self.socket.as_ref().map(LocalSocket::waitable);
        [self.resolver.as_fd(), self.exporter.as_fd()].into_iter().chain(socket)
    }

    /// Takes one caller of each listener that has any.
    pub(crate) fn accept(&self) -> Vec<io::Result<(Stream, Port, Option<Identity>)>> {
        let tcp = |listener: &TcpListener, port| {
            waiting(listener.accept()).map(|accepted| Ok((Stream::tcp(accepted?.0)?, port, None)))
        };
        let local = self.socket.as_ref().and_then(|socket| {
            waiting(socket.accept())
                .map(|accepted| accepted.map(|(stream, identity)| (stream, Port::Socket, Some(identity))))
        });
        [tcp(&self.resolver, Port::Resolver), tcp(&self.exporter, Port::Exporter), local]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// The usual socket, or that of the CA's own folder where another service has the usual one or its folder is not ours.
fn standard_socket(folder: &Folder) -> Option<LocalSocket> {
    let usual = PathBuf::from(STANDARD_SOCKET);
    drop(SocketWish::Standard.dir());
    let own = std::path::absolute(folder.socket_path()).unwrap_or_else(|_| folder.socket_path());
    [usual, own].into_iter().find_map(|path| match LocalSocket::open(path) {
        Ok(opened) => Some(opened),
        Err(error) => {
            tracing::warn!(error = %chain_of(&error), "no Unix socket there");
            None
        }
    })
}

/// None when nobody waits.
fn waiting<T>(accepted: io::Result<T>) -> Option<io::Result<T>> {
    match accepted {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => None,
        other => Some(other),
    }
}
