//! Listening sockets that a service manager opened and handed over (systemd's socket activation, `sd_listen_fds(3)`), and
//! telling it how the service is.

use std::net::TcpListener;
#[cfg(unix)]
use std::os::unix::net::UnixListener;

use crate::error::StartError;

/// The sockets that this process was started with. What is missing the service opens by itself.
#[derive(Debug, Default)]
pub struct Inherited {
    /// For the resolver: the first TCP socket.
    pub resolver: Option<TcpListener>,
    /// For the exporter: the second TCP socket.
    pub exporter: Option<TcpListener>,
    /// For local callers. Its name belongs to who made it, and stays.
    #[cfg(unix)]
    pub socket: Option<UnixListener>,
}

impl Inherited {
    /// Takes what `LISTEN_FDS` announces for this process; nothing where it announces nothing.
    ///
    /// # Errors
    /// [`StartError::Handed`] for what is no listening socket, for a third TCP socket and a second Unix socket.
    #[cfg(unix)]
    pub fn from_environment() -> Result<Self, StartError> {
        let mut handed = listenfd::ListenFd::from_env();
        let mut inherited = Self::default();
        for place in 0..handed.len() {
            let wrong = |detail: &str| StartError::Handed { detail: format!("number {place} {detail}") };
            if let Ok(socket) = handed.take_unix_listener(place) {
                if inherited.socket.is_some() {
                    return Err(wrong("is a second Unix socket"));
                }
                inherited.socket = socket;
            } else if let Ok(socket) = handed.take_tcp_listener(place) {
                match (&inherited.resolver, &inherited.exporter) {
                    (None, _) => inherited.resolver = socket,
                    (_, None) => inherited.exporter = socket,
                    _ => return Err(wrong("is a third TCP socket")),
                }
            } else {
                return Err(wrong("is no stream socket"));
            }
        }
        Ok(inherited)
    }

    /// Nothing is handed over on this system.
    ///
    /// # Errors
    /// None.
    #[cfg(not(unix))]
    pub fn from_environment() -> Result<Self, StartError> {
        Ok(Self::default())
    }
}

/// Tells the service manager that started this process that callers are answered now, if it wants to be told
/// (`NOTIFY_SOCKET`, `sd_notify(3)`).
pub fn tell_ready() {
    #[cfg(unix)]
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        tracing::warn!(%error, "the service manager was not told");
    }
}
