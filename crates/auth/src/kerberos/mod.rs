//! Kerberos behind the types of this crate, for clients.

mod initiator;
pub(crate) mod session;

pub use initiator::{Framing, kerberos_initiator};
