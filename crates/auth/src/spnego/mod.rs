//! SPNEGO (RFC 4178; MS-SPNG; wire.md 2.13): just enough DER, the two tokens, and both halves.

pub(crate) mod acceptor;
mod der;
pub(crate) mod initiator;
pub(crate) mod token;
