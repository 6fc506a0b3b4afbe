//! The certificate service: a CA's folder behind MS-CSRA over DCOM, on TCP and on a Unix socket (wire.md 4, 5).
//!
//! ```text
//! Server::start    listeners, tables          service.rs, settings.rs, listeners.rs, shared.rs
//! accept           a thread a connection      service.rs, connections.rs
//! connection       PDUs, security contexts    connection.rs, incoming.rs, transport.rs
//! dispatch         by interface               dispatch.rs, on call.rs
//!   resolver, activator, unknown              IObjectExporter, IRemoteSCMActivator, IRemUnknown
//!   admin, read, properties                   ICertAdminD, ICertAdminD2, over `session::LocalSource`
//! objects, object  references, pings, the backup of each object, and when it is given up
//! access           who may call what          access.rs, roles.rs, users.rs, backoff.rs
//! ```
//!
//! Threads block, with deadlines; the store is synchronous and a CA has few callers. Everything that a caller can use up
//! is bounded by [`Limits`].

mod access;
mod activator;
mod admin;
mod audit;
mod backoff;
mod call;
mod connection;
mod connections;
mod dispatch;
mod error;
mod incoming;
mod limits;
mod listeners;
mod local_socket;
mod object;
mod objects;
mod properties;
mod read;
mod resolver;
mod roles;
mod service;
mod settings;
mod shared;
mod transport;
mod unknown;
mod users;
mod wake;

pub use access::{Caller, Identity, Refusal, Right, Rules, check, is_backup, right_of};
pub use error::StartError;
pub use limits::Limits;
pub use listeners::{Addresses, SocketWish};
pub use roles::{ROLE_NAMES, local_roles, role_named, role_names};
pub use service::{Server, Stopped, Stopper};
pub use settings::Settings;
pub use users::{Accounts, User, UserFile, UsersError};
