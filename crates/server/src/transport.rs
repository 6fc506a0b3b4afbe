//! Byte streams with deadlines: a peer that is silent or slow is given up.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Instant;

use crate::limits::TICK;

/// A connection's stream. Shared, so that the service can end it while its thread waits.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    #[cfg(feature = "fuzzing")]
    Memory(crate::memory_stream::MemoryStream),
}

impl Stream {
    /// Takes an accepted TCP connection.
    ///
    /// # Errors
    /// Options that the system refuses.
    pub(crate) fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(TICK))?;
        Ok(Self::Tcp(stream))
    }

    /// Takes an accepted connection of the Unix socket.
    ///
    /// # Errors
    /// Options that the system refuses.
    #[cfg(unix)]
    pub(crate) fn unix(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(TICK))?;
        Ok(Self::Unix(stream))
    }

    /// The address of the peer; none over the Unix socket.
    pub(crate) fn peer(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok().map(|address| address.ip().to_canonical()),
            #[cfg(unix)]
            Self::Unix(_) => None,
            #[cfg(feature = "fuzzing")]
            Self::Memory(stream) => stream.address(),
        }
    }

    /// Our own address on this connection; none over the Unix socket.
    pub(crate) fn local(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok().map(|address| address.ip().to_canonical()),
            #[cfg(unix)]
            Self::Unix(_) => None,
            #[cfg(feature = "fuzzing")]
            Self::Memory(stream) => stream.address(),
        }
    }

    /// Ends it in both directions, from whichever thread.
    pub(crate) fn end(&self) {
        // It may have ended by itself.
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both).ok(),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Both).ok(),
            #[cfg(feature = "fuzzing")]
            Self::Memory(_) => None,
        };
    }

    /// Reads what has come, at least one byte, 0 at the end of the stream; none when nothing came for a tick.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn read_some(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let read = match self {
            Self::Tcp(stream) => (&mut &*stream).read(buffer),
            #[cfg(unix)]
            Self::Unix(stream) => (&mut &*stream).read(buffer),
            #[cfg(feature = "fuzzing")]
            Self::Memory(stream) => return stream.read(buffer).map(Some),
        };
        match read {
            Ok(count) => Ok(Some(count)),
            Err(error) if is_tick(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes all of `bytes` before `deadline`.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] for a reader that is too slow, and those of the system.
    pub(crate) fn write_all(&self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = match self {
                Self::Tcp(stream) => (&mut &*stream).write(bytes),
                #[cfg(unix)]
                Self::Unix(stream) => (&mut &*stream).write(bytes),
                #[cfg(feature = "fuzzing")]
                Self::Memory(stream) => {
                    stream.write(bytes);
                    Ok(bytes.len())
                }
            };
            match written {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if is_tick(&error) => {}
                Err(error) => return Err(error),
            }
            if !bytes.is_empty() && deadline <= Instant::now() {
                return Err(ErrorKind::TimedOut.into());
            }
        }
        Ok(())
    }
}

/// Whether the system gave control back without result: a timeout, or a signal.
fn is_tick(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
