#![doc = include_str!("../README.md")]

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
pub use listeners::{Addresses, STANDARD_SOCKET, SocketWish};
pub use roles::{ROLE_NAMES, local_roles, role_named, role_names};
pub use service::{Server, Stopped, Stopper};
pub use settings::Settings;
pub use users::{Accounts, User, UserFile, UsersError};
