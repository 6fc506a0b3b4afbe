#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod files;
mod kdc;
mod listener;
mod pac;
mod world;

pub use files::{cache_file, keytab_file};
pub use kdc::{Account, Kdc, Network, Service, Status};
pub use listener::Listener;
pub use pac::{Hook, PacHooks, PacMaker};
pub use world::{NOON, World};
