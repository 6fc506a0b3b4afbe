//! The client against a server of the tests' own, honest or not, over TCP on loopback and over a Unix socket.

mod backup;
mod caches;
mod cut;
mod doctor;
mod domain;
mod fake;
mod hostile;
mod kdcs;
mod kerberos;
mod kerberos_samba;
mod server;
mod stores;
