#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod files;
mod kdc;
mod listener;
mod pac;
mod world;

pub use files::keytab_file;
pub use kdc::{Account, Kdc, Network, Service, Status};
pub use listener::Listener;
pub use pac::PacMaker;
pub use world::{NOON, World};
