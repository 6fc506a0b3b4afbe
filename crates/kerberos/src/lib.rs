#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod acceptor;
mod advice;
mod ccache;
pub mod client;
mod credential;
pub mod crypto;
mod cursor;
pub mod der;
mod environment;
mod gss;
mod initiator;
mod keytab;
pub mod message;
mod moment;
mod pac;
mod principal;
mod replay;
mod seal;
mod sid;

pub use acceptor::{AcceptError, Accepted, Acceptor, Demand, Pending};
pub use ccache::{CredentialCache, Lack};
pub use credential::Credential;
pub use cursor::FileError;
pub use environment::{Environment, NoRandomness};
pub use initiator::{Clocks, InitiateError, Initiated, Initiator};
pub use keytab::{Keytab, KeytabEntry};
pub use moment::{DEFAULT_SKEW, KerberosTime, Moment};
pub use pac::{LogonInfo, Pac, PacError};
pub use principal::{NameType, Principal};
pub use replay::ReplayCache;
pub use seal::{Message, Seal, SealError, Sender, Unseal, Unsent};
pub use sid::{Sid, SidTextError};
