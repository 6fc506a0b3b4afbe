//! One CA over the network, from here: names, credentials, dialling, typed calls, and why it does not work.
//!
//! ```text
//! ServerName -> Config -> Target -> RemoteCa (a certadm_session::Source)
//!                                   resolver: activation, pings    port 135, or as given
//!                                   exporter: the calls            the port the resolver names
//! ```
//!
//! Blocking sockets and threads. Over TCP everything but the handshake is signed and encrypted (packet privacy); a
//! server that offers less is left. Over a Unix socket the kernel vouches for both ends (wire.md 5.11).
//!
//! Everything a peer says is bounded before it is believed: fragments by what was agreed, answers by what can be
//! asked for, lists by their greatest length, reads by the length that was announced (wire.md 7).

mod ca;
pub mod config;
mod connection;
pub mod credentials;
mod delivered;
mod dial;
pub mod doctor;
mod error;
mod explain;
mod feed;
mod name;
mod orpc;
mod outlet;
mod ping;
mod properties;
mod reading;
mod refusal;
#[cfg(test)]
mod samba;
mod source;
mod stream;
mod target;

pub use ca::RemoteCa;
pub use config::Config;
pub use error::Error;
pub use name::{NameError, ServerName, is_own_name, own_host_name};
pub use refusal::Cause;
pub use target::{Endpoint, Target, Timeouts};
