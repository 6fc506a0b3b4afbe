//! The Unix socket of this machine's own callers, whom the kernel names (wire.md 5.11).

pub(crate) use system::LocalSocket;

#[cfg(unix)]
mod system {
    use std::fs;
    use std::io::{self, ErrorKind};
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::{Path, PathBuf};

    use crate::error::StartError;
    use crate::identity::Identity;
    use crate::transport::Stream;

    /// A socket that listens. The name that it made is removed when it is dropped.
    #[derive(Debug)]
    pub(crate) struct LocalSocket {
        listener: UnixListener,
        path: PathBuf,
        is_own: bool,
    }

    impl Drop for LocalSocket {
        fn drop(&mut self) {
            if self.is_own {
                fs::remove_file(&self.path).ok(); // a name that is left over is replaced at the next start
            }
        }
    }

    impl LocalSocket {
        /// Makes the socket. A name that a killed service left behind is replaced; one that answers is not.
        ///
        /// # Errors
        /// [`StartError::Socket`], [`StartError::SocketInUse`].
        pub(crate) fn open(path: PathBuf) -> Result<Self, StartError> {
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
            let socket = Self { listener, path: path.clone(), is_own: true };
            socket.listener.set_nonblocking(true).map_err(refused)?;
            // Everybody may knock: the kernel says who it is, and `[roles]` says what he may do.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).map_err(refused)?;
            Ok(socket)
        }

        /// Takes over a socket that a service manager made.
        ///
        /// # Errors
        /// [`StartError::Handed`] when it has no name.
        pub(crate) fn inherited(listener: UnixListener) -> Result<Self, StartError> {
            let unusable = |detail: &str| StartError::Handed { detail: format!("the Unix socket {detail}") };
            let address =
                listener.local_addr().map_err(|error| unusable(&format!("has no address: {error}")))?;
            let path = address.as_pathname().ok_or_else(|| unusable("has no path"))?.to_owned();
            listener.set_nonblocking(true).map_err(|error| unusable(&format!("cannot be used: {error}")))?;
            Ok(Self { listener, path, is_own: false })
        }

        pub(crate) fn path(&self) -> &Path {
            &self.path
        }

        /// What to wait on.
        pub(crate) fn waitable(&self) -> BorrowedFd<'_> {
            self.listener.as_fd()
        }

        /// Takes a caller, and who the kernel says he is.
        ///
        /// # Errors
        /// [`ErrorKind::WouldBlock`] when nobody waits, and those of the system.
        pub(crate) fn accept(&self) -> io::Result<(Stream, Identity)> {
            let stream = self.listener.accept()?.0;
            let peer = rustix::net::sockopt::socket_peercred(&stream)?;
            let identity = Identity::Local { uid: peer.uid.as_raw(), gid: peer.gid.as_raw() };
            Ok((Stream::unix(stream)?, identity))
        }
    }

    fn is_socket(path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
    }
}

#[cfg(not(unix))]
mod system {
    use std::io::{self, ErrorKind};
    use std::path::{Path, PathBuf};

    use crate::error::StartError;
    use crate::identity::Identity;
    use crate::transport::Stream;

    /// There is none on this system.
    #[derive(Debug)]
    pub(crate) enum LocalSocket {}

    impl LocalSocket {
        /// Makes no socket.
        ///
        /// # Errors
        /// [`StartError::Socket`].
        pub(crate) fn open(path: PathBuf) -> Result<Self, StartError> {
            Err(StartError::Socket { path, source: ErrorKind::Unsupported.into() })
        }

        pub(crate) fn path(&self) -> &Path {
            match *self {}
        }

        pub(crate) fn accept(&self) -> io::Result<(Stream, Identity)> {
            match *self {}
        }
    }
}
