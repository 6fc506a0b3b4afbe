//! Where callers are awaited: resolver, exporter, Unix socket.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::access::Identity;
use crate::error::StartError;
use crate::service::Port;
use crate::transport::Stream;

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
    socket: Option<(UnixListener, SocketPath)>,
}

/// Removes the socket's name when it is dropped.
#[derive(Debug)]
struct SocketPath(PathBuf);

impl Drop for SocketPath {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok(); // a name that is left over is replaced at the next start
    }
}

/// Which Unix socket to make for local callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketWish {
    /// This one, or the service does not start.
    Path(PathBuf),
    /// This one if its folder can be written.
    IfPossible(PathBuf),
    /// None: everybody comes over TCP.
    None,
}

impl Listeners {
    pub(crate) fn open(
        resolver: SocketAddr,
        exporter_port: u16,
        socket: SocketWish,
    ) -> Result<(Self, Addresses), StartError> {
        let listen = |address: SocketAddr| {
            let refused = |source| StartError::Listen { address, source };
            let listener = TcpListener::bind(address).map_err(refused)?;
            listener.set_nonblocking(true).map_err(refused)?;
            let bound = listener.local_addr().map_err(refused)?;
            Ok::<_, StartError>((listener, bound))
        };
        let (resolver, resolver_address) = listen(resolver)?;
        let (exporter, exporter_address) = listen(SocketAddr::new(resolver_address.ip(), exporter_port))?;
        let socket = match socket {
            SocketWish::None => None,
            SocketWish::Path(path) => Some(open_socket(path)?),
            SocketWish::IfPossible(path) => match open_socket(path) {
                Ok(opened) => Some(opened),
                Err(error @ StartError::SocketInUse { .. }) => return Err(error),
                Err(error) => {
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, source, "no Unix socket; going on with TCP alone");
                    None
                }
            },
        };
        let addresses = Addresses {
            resolver: resolver_address,
            exporter: exporter_address,
            socket: socket.as_ref().map(|(_, path)| path.0.clone()),
        };
        Ok((Self { resolver, exporter, socket }, addresses))
    }

    /// What to wait on.
    pub(crate) fn waitable(&self) -> impl Iterator<Item = std::os::fd::BorrowedFd<'_>> {
        let socket = self.socket.as_ref().map(|(listener, _)| listener.as_fd());
        [self.resolver.as_fd(), self.exporter.as_fd()].into_iter().chain(socket)
    }

    /// Takes one caller of each listener that has any.
    pub(crate) fn accept(&self) -> Vec<io::Result<(Stream, Port, Option<Identity>)>> {
        let tcp = |listener: &TcpListener, port| {
            waiting(listener.accept()).map(|accepted| Ok((Stream::tcp(accepted?.0)?, port, None)))
        };
        let unix = self.socket.as_ref().and_then(|(listener, _)| {
            waiting(listener.accept()).map(|accepted| {
                let stream = accepted?.0;
                let identity = peer_of(&stream)?;
                Ok((Stream::unix(stream)?, Port::Socket, Some(identity)))
            })
        });
        [tcp(&self.resolver, Port::Resolver), tcp(&self.exporter, Port::Exporter), unix]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// None when nobody waits.
fn waiting<T>(accepted: io::Result<T>) -> Option<io::Result<T>> {
    match accepted {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => None,
        other => Some(other),
    }
}

/// Who the kernel says the process at the other end is (wire.md 5.11).
fn peer_of(stream: &UnixStream) -> io::Result<Identity> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    Ok(Identity::Local { uid: peer.uid.as_raw(), gid: peer.gid.as_raw() })
}

/// Makes the socket. A name that a killed service left behind is replaced; one that answers is not.
fn open_socket(path: PathBuf) -> Result<(UnixListener, SocketPath), StartError> {
    let refused = |source| StartError::Socket { path: path.clone(), source };
    let listener = match UnixListener::bind(&path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_socket(&path) => {
            if UnixStream::connect(&path).is_ok() {
                return Err(StartError::SocketInUse { path });
            }
            fs::remove_file(&path).map_err(refused)?;
            UnixListener::bind(&path)
        }
        other => other,
    }
    .map_err(refused)?;
    let name = SocketPath(path.clone());
    listener.set_nonblocking(true).map_err(refused)?;
    // Everybody may knock: the kernel says who it is, and `[roles]` says what he may do.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).map_err(refused)?;
    Ok((listener, name))
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}
