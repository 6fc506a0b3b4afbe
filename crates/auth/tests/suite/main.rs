//! The crate judged from outside: sspi against our acceptor, a client of our making that breaks the rules one by one, and
//! (on request) impacket and pyspnego.

mod client;
mod handshake;
mod hostile_server;
mod hygiene;
mod interop;
mod refusals;
mod smoke;
mod sspi_peer;
mod tamper;
mod world;
