//! Kerberos for the client: which realm, which KDC, which ticket (kerberos.md 2).
//!
//! The messages are those of `certadm-kerberos`; here is what needs a file, a socket or a clock.

mod ask;
mod book;
pub(crate) mod dns;
mod error;
mod kdc_address;
pub(crate) mod krb5_conf;
mod locate;
mod stores;
mod system;
mod timed;

pub(crate) use book::{Book, LoggedOn, Proof, SERVICES};
pub use error::KerberosError;
pub use kdc_address::{KdcAddress, KdcAddressError};
pub use locate::KerberosTarget;
pub(crate) use stores::keytab as keytab_of;
pub(crate) use system::System;
