#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod ccache;
mod credential;
pub mod crypto;
mod cursor;
pub mod der;
mod environment;
mod keytab;
pub mod message;
mod moment;
mod principal;
mod seal;

pub use ccache::CredentialCache;
pub use credential::Credential;
pub use environment::{Environment, NoRandomness};
pub use keytab::{Keytab, KeytabEntry};
pub use moment::{KerberosTime, Moment};
pub use principal::{NameType, Principal};
pub use seal::{Message, Seal, SealError, Sender, Unseal};
