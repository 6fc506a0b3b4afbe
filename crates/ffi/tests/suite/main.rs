//! The library as C sees it: compiled by gcc and g++, against `certadm serve` on its Unix socket.

mod header;
mod library;
mod network;
mod programs;
mod restores;
mod world;
