//! SPNEGO (RFC 4178; MS-SPNG; wire.md 2.13): just enough DER, the two tokens, and the server's half.

pub(crate) mod acceptor;
mod der;
pub(crate) mod token;
