//! Authentication and message protection for DCE/RPC: who the peer is, and that nobody else reads or alters what passes.
//!
//! ```text
//! client                                        server
//! Initiator::step  --- token (bind) --->        Acceptor::step
//!                  <-- token (bind_ack) ---
//!                  --- token (auth3 or alter_context) --->
//! Sealer, Unsealer                              Sealer, Unsealer, PeerIdentity
//! ```
//!
//! Both halves are state machines over byte strings: no sockets, no clock and no random source of their own on the server's
//! side ([`Environment`]). What stands above this crate sees no mechanism, only [`AuthType`], [`Level`], [`LastLeg`] and
//! the size of a token; Kerberos will fit behind the same types.
//!
//! * The **acceptor** is written here: NTLMv2 (MS-NLMP) and SPNEGO (RFC 4178, MS-SPNG), strict about everything a client can
//!   weaken. See [`Service`].
//! * The **initiator** drives the `sspi` library through the handshake, after our own parsers have looked at every token of
//!   the server. See [`initiator`]. The two halves therefore come from different hands and judge each other.
//! * **Session security** is ours on both sides ([`Sealer`], [`Unsealer`]): in place, without copies, the two directions
//!   independent so that they can live on two threads.
//!
//! Everything that parses bytes from a peer can be fuzzed through [`fuzzing`].

#![forbid(unsafe_code)]

mod accounts;
mod context;
mod error;
pub mod fuzzing;
mod initiator;
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

pub use accounts::{AccountStore, Environment, FileTime};
pub use context::{Acceptor, AuthType, Established, Initiator, LastLeg, PeerIdentity, Step};
pub use error::{AuthError, SealError};
pub use initiator::{Credentials, Flavour, Password, initiator};
pub use names::{AccountName, same_name};
pub use protection::{Level, Protection, Segments};
pub use sealing::{Sealer, Unsealer};
pub use secret::NtHash;
pub use server::ServerNames;
pub use service::Service;
