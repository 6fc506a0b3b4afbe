#![doc = include_str!("../README.md")]

mod access;
mod accounts;
mod activator;
mod admin;
mod audit;
mod brake;
mod call;
mod confinement;
mod connection;
mod connections;
mod contexts;
mod dispatch;
mod error;
mod factory;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod granted;
mod identity;
mod incoming;
mod inherited;
mod limits;
mod listeners;
mod local_socket;
mod logons;
#[cfg(feature = "fuzzing")]
mod memory_stream;
mod object;
mod objects;
mod properties;
mod rates;
#[cfg(feature = "fuzzing")]
mod reached;
mod read;
mod refusals;
mod resolver;
mod roles;
mod service;
mod settings;
mod shared;
mod ticket_roles;
mod tickets;
mod transport;
mod unknown;
mod unsealed;
mod users;
mod wake;
mod watched;

pub use access::{Caller, Refusal, Right, Rules, check, is_backup, right_of};
pub use accounts::Accounts;
pub use confinement::{Confined, Reach, confine};
pub use error::StartError;
pub use identity::{Identity, Incarnation};
pub use inherited::{Inherited, tell_ready};
pub use limits::Limits;
pub use listeners::{Addresses, STANDARD_SOCKET, SocketWish};
pub use logons::{Logon, LogonFile};
pub use roles::{ROLE_NAMES, local_roles, role_named, role_names};
pub use service::{Server, Stopped, Stopper};
pub use settings::Settings;
pub use tickets::KerberosSettings;
pub use users::{MIN_PASSWORD, User, UserFile, UsersError, hash_new_password};
