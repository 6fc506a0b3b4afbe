//! NTLM (MS-NLMP; wire.md 2.12): version 2 only, with extended session security, 128-bit keys and key exchange.

pub(crate) mod acceptor;
pub(crate) mod av_pairs;
pub(crate) mod client;
pub(crate) mod crypto;
mod mac;
pub(crate) mod messages;
mod rc4_md5;
pub(crate) mod session;
