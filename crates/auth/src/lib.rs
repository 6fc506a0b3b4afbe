#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod accounts;
mod context;
mod error;
pub mod fuzzing;
mod initiator;
mod kerberos;
mod names;
mod ntlm;
mod protection;
mod sealing;
mod secret;
mod server;
mod service;
mod spnego;
#[cfg(test)]
mod testing;
mod text;

pub use certadm_rules::{AuthType, FileTime};

pub use accounts::{AccountStore, Environment, Tickets};
pub use context::{Acceptor, Established, Initiator, LastLeg, PeerIdentity, Step, TicketHolder};
pub use error::{AuthError, SealError};
pub use initiator::{Credentials, Flavour, Password, initiator};
pub use kerberos::{Framing, kerberos_initiator};
pub use names::{AccountName, folded, same_name};
pub use ntlm::client::Workstation;
pub use protection::{Level, Protection, Segments};
pub use sealing::{Sealer, Unsealer};
pub use secret::NtHash;
pub use server::ServerNames;
pub use service::Service;
