#![doc = include_str!("../README.md")]

mod activation;
mod answered;
mod ca;
pub mod config;
mod connection;
pub mod credentials;
mod delivered;
mod denial;
mod dial;
pub mod doctor;
mod error;
mod explain;
mod feed;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gate;
mod kerberos;
mod logon;
mod mechanism;
mod name;
mod orpc;
mod outlet;
mod own_doctor;
mod pace;
mod ping;
mod properties;
mod reading;
mod refusal;
mod revoking;
#[cfg(test)]
#[path = "../tests/unit/samba.rs"] // a test that needs what is private here
mod samba;
#[cfg(test)]
#[path = "../tests/unit/samba_dc.rs"] // the same, with a domain controller
mod samba_dc;
mod seen;
mod socket;
mod source;
mod stream;
mod target;
mod told;

pub use ca::RemoteCa;
pub use config::Config;
pub use credentials::Credentials;
pub use error::Error;
pub use kerberos::{KdcAddress, KdcAddressError, KerberosError, KerberosTarget};
pub use mechanism::{Mechanism, NoMechanism};
pub use name::{NameError, OtherEntries, ServerName, is_own_name, own_host_name};
pub use own_doctor::{OwnService, examine_service};
pub use refusal::Cause;
pub use socket::STANDARD_SOCKET;
pub use target::{Endpoint, Target, Timeouts};
pub use told::Told;
