//! The crate judged from outside: both halves against each other, a client of our making that breaks the rules one by one,
//! and (on request) impacket and pyspnego.

mod client;
mod handshake;
mod hostile_server;
mod hygiene;
mod interop;
#[cfg(unix)]
mod mit;
mod refusals;
mod smoke;
mod tamper;
mod world;
