//! The C API of Certificate Services backup and restore: the 18 functions of `certbcli.h` (certbcli.md 3, 6).
//!
//! ```text
//! exports  extern "system", pointers in and out, no panic beyond    the only place where C meets Rust
//!   pointers, memory, guard                                         all the unsafe code there is
//!   log                                                             why a call failed, when the environment asks
//!   handles                                                         numbers that stand for contexts
//!   backup -> certadm_client::RemoteCa                              the order of calls is the CA's to judge
//!   restore -> registrar                                            registrations on this machine
//! ```
//!
//! Nothing here decides about the order of a backup's calls: every call goes to the CA, whose sequence machine answers
//! (certbcli.md 7.1). What a CA cannot know is decided here: handles, pointers, arguments, server names, and the
//! lifetime of contexts.

mod backup;
mod exports;
mod guard;
mod handles;
mod log;
mod memory;
mod pointers;
mod registrar;
mod restore;
mod server;

pub use exports::*;
