#![doc = include_str!("../README.md")]

pub mod chain;
mod copy;
mod ends;
pub mod error;
pub mod judge;
pub mod layout;
mod limits;
pub mod manifest;
mod open;
pub mod progress;
pub mod reader;
mod readers;
pub mod restore;
pub mod retain;
pub mod scratch;
pub mod signing;
pub mod sink;
pub mod stored;
mod stream;
pub mod take;
mod until;
pub mod verify;
pub mod windows;
mod writer;

pub use certadm_rules::finding;
pub use copy::ReadBack;
pub use error::{Error, Result};
pub use limits::{Limits, PATIENCE};
pub use manifest::Manifest;
pub use open::{Opened, open};
pub use progress::{Progress, Silent, Stage};
pub use reader::Set;
pub use readers::Readers;
pub use take::{Check, TakeOptions, Taken, database_name, take, take_into};
pub use until::{Cut, State, Until};
