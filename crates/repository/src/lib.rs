#![doc = include_str!("../README.md")]

mod address;
mod bridge;
mod check;
mod engine;
mod error;
mod feed;
pub mod objects;
mod point;
mod profile;
mod reader;
mod retain;
mod run;
mod scratch;
mod secret;
mod segments;
mod sink;
mod vault;

pub use address::{Address, Selector};
pub use check::{Checked, Part, Problem};
pub use error::{Error, Result};
pub use point::Point;
pub use profile::{Place, Profile, Profiles};
pub use retain::{Fate, Keep, judge, to_delete};
pub use secret::{Secret, recovery_code};
pub use sink::{RepositorySink, SinkOptions};
pub use vault::{CaRepository, Fetched, Imported, Vault};
