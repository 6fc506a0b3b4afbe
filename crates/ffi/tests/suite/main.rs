//! The library as C sees it: compiled by gcc and g++, against `certadm serve` on its Unix socket and over TCP; and the same
//! under Wine.

mod causes;
mod header;
#[cfg(unix)]
mod kerberos;
mod library;
mod network;
mod programs;
mod restores;
mod windows;
mod world;
