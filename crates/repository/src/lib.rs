#![doc = include_str!("../README.md")]

mod address;
mod bridge;
mod check;
mod engine;
mod error;
mod expire;
mod feed;
mod keys;
pub mod objects;
mod point;
mod profile;
mod proven;
mod reader;
mod retain;
mod run;
mod scratch;
mod secret;
mod segments;
mod sink;
mod turn;
mod vault;

pub use address::{Address, Selector};
pub use check::{Checked, Part, Problem};
pub use error::{Error, Result};
pub use expire::{Expiry, ExpiryOptions, Pruned};
pub use keys::{Key, Label};
pub use point::Point;
pub use profile::{Place, Profile, Profiles};
pub use retain::{Fate, Keep, judge, span, to_delete};
pub use secret::{Secret, recovery_code};
pub use sink::{RepositorySink, SinkOptions};
pub use vault::{CaRepository, Fetched, Imported, Vault};
