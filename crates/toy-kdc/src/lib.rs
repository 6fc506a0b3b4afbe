#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod kdc;
mod pac;
mod world;

pub use kdc::{Account, Kdc, Network, Service, Status};
pub use pac::PacMaker;
pub use world::{NOON, World};
