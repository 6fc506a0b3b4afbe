//! The byte streams that RPC runs over: TCP, and on Unix a socket of this machine.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::name::OtherEntries;

/// A connected stream. Clones are further handles of the same connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    #[cfg(feature = "fuzzing")]
    Memory(crate::fuzzing::MemoryStream),
}

/// The addresses of a host.
///
/// # Errors
/// [`Error::Resolve`], also when there are none.
pub(crate) fn addresses(host: &str, port: u16) -> Result<impl Iterator<Item = SocketAddr>, Error> {
    let resolve = |source| unresolved(host, source);
    let mut addresses = (host, port).to_socket_addrs().map_err(resolve)?.peekable();
    if addresses.peek().is_none() {
        return Err(no_address(host));
    }
    Ok(addresses)
}

fn no_address(host: &str) -> Error {
    let source = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    unresolved(host, source)
}

fn unresolved(host: &str, source: io::Error) -> Error {
    Error::Resolve { host: host.to_owned(), source, entries: OtherEntries::default() }
}

impl Stream {
    /// Connects to the first address of `host` that answers within `timeout`.
    ///
    /// # Errors
    /// [`Error::Resolve`], [`Error::Connect`] with the last address's reason.
    pub(crate) fn tcp(host: &str, port: u16, timeout: Duration) -> Result<Self, Error> {
        #[cfg(feature = "fuzzing")]
        if let Some(stream) = crate::fuzzing::dialled() {
            return Ok(Self::Memory(stream));
        }
        let addresses = addresses(host, port)?;
        let peer = format!("{host}:{port}");
        let mut last = None;
        let deadline = Instant::now() + timeout.saturating_mul(4);
        for address in addresses {
            match TcpStream::connect_timeout(&address, timeout) {
                Ok(stream) => {
                    return Self::from_tcp(stream, timeout).map_err(|source| Error::Connect { peer, source });
                }
                Err(error) => last = Some(error),
            }
            // A name with dozens of dead addresses must not take minutes.
            if deadline < Instant::now() {
                break;
            }
        }
        match last {
            Some(source) => Err(Error::Connect { peer, source }),
            None => Err(no_address(host)),
        }
    }

    /// Connects to one address.
    ///
    /// # Errors
    /// [`Error::Connect`].
    pub(crate) fn to_address(address: SocketAddr, timeout: Duration) -> Result<Self, Error> {
        #[cfg(feature = "fuzzing")]
        if let Some(stream) = crate::fuzzing::dialled() {
            return Ok(Self::Memory(stream));
        }
        TcpStream::connect_timeout(&address, timeout)
            .and_then(|stream| Self::from_tcp(stream, timeout))
            .map_err(|source| Error::Connect { peer: address.to_string(), source })
    }

    /// Connects to a socket of this machine.
    ///
    /// # Errors
    /// [`Error::Connect`].
    pub(crate) fn socket(path: &Path, timeout: Duration) -> Result<Self, Error> {
        #[cfg(feature = "fuzzing")]
        if let Some(stream) = crate::fuzzing::dialled() {
            return Ok(Self::Memory(stream));
        }
        let peer = path.display().to_string();
        #[cfg(unix)]
        return UnixStream::connect(path)
            .and_then(|stream| {
                stream.set_write_timeout(Some(timeout))?;
                Ok(Self::Unix(stream))
            })
            .map_err(|source| Error::Connect { peer, source });
        #[cfg(not(unix))]
        {
            let _ = timeout;
            Err(Error::Connect { peer, source: io::Error::from(io::ErrorKind::Unsupported) })
        }
    }

    fn from_tcp(stream: TcpStream, timeout: Duration) -> io::Result<Self> {
        // Requests are small and each waits for its answer: delaying them would halve the speed.
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(Self::Tcp(stream))
    }

    /// The peer's address; none for a socket of this machine.
    pub(crate) fn peer_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            #[cfg(unix)]
            Self::Unix(_) => None,
            #[cfg(feature = "fuzzing")]
            Self::Memory(_) => Some(SocketAddr::from(([127, 0, 0, 1], 135))),
        }
    }

    /// Another handle of the same connection.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
            #[cfg(feature = "fuzzing")]
            Self::Memory(stream) => Ok(Self::Memory(stream.clone())),
        }
    }

    /// How long a read waits for its first byte; not zero.
    pub(crate) fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(Some(timeout)),
            #[cfg(unix)]
            Self::Unix(stream) => stream.set_read_timeout(Some(timeout)),
            #[cfg(feature = "fuzzing")]
            Self::Memory(_) => Ok(()),
        }
    }

    /// Whether reads and writes, of all handles, wait at all.
    pub(crate) fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(nonblocking),
            #[cfg(unix)]
            Self::Unix(stream) => stream.set_nonblocking(nonblocking),
            #[cfg(feature = "fuzzing")]
            Self::Memory(_) => Ok(()),
        }
    }

    /// Ends the connection for all handles; whoever reads from it sees its end.
    pub(crate) fn shut(&self) {
        // It may have ended by itself already.
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both).ok(),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Both).ok(),
            #[cfg(feature = "fuzzing")]
            Self::Memory(_) => None,
        };
    }
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => { stream }.read(buffer),
            #[cfg(unix)]
            Stream::Unix(stream) => { stream }.read(buffer),
            #[cfg(feature = "fuzzing")]
            Stream::Memory(stream) => stream.read(buffer),
        }
    }
}

impl Write for &Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => { stream }.write(buffer),
            #[cfg(unix)]
            Stream::Unix(stream) => { stream }.write(buffer),
            #[cfg(feature = "fuzzing")]
            Stream::Memory(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
