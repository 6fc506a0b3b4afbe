//! Kerberos behind the types of this crate.

pub(crate) mod acceptor;
mod initiator;
pub(crate) mod session;

pub use initiator::{Framing, kerberos_initiator};
