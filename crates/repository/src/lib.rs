#![doc = include_str!("../README.md")]

mod address;
mod beside;
mod bridge;
mod check;
mod copy;
mod doctor;
mod engine;
mod error;
mod expire;
mod feed;
#[cfg(test)]
mod flips;
#[cfg(any(feature = "fuzzing", test))]
pub mod fuzzing;
mod generation;
mod import;
mod kept;
mod keys;
mod label;
mod lately;
mod locks;
mod numbers;
pub mod objects;
mod place;
#[cfg(test)]
mod planted;
mod point;
mod probe;
mod profile;
mod proof;
mod proven;
mod readable;
mod reader;
mod repair;
mod run;
mod scratch;
mod secret;
mod segments;
mod sink;
mod storage;
mod there;
mod tree;
mod turn;
mod vault;
mod words;

pub use address::{Address, Selector};
pub use beside::Beside;
pub use certadm_set::retain::{Keep, judge, span, to_delete};
pub use check::{Checked, Part, Problem};
pub use copy::Copied;
pub use doctor::{Step, examine, steps};
pub use error::{Error, Result};
pub use expire::{Expiry, ExpiryOptions, Pruned};
pub use import::Imported;
pub use keys::Key;
pub use label::Label;
pub use locks::{Extended, LockEnd, LockEnds, Undeleted};
pub use objects::speed;
pub use place::{Bucket, Host, Lock, LockMode, Place, Server, Service};
pub use point::{Point, Readable};
pub use profile::{Profile, Profiles};
pub use repair::{RepairOptions, Repaired};
pub use secret::Secret;
pub use sink::{Extent, RepositorySink, SinkOptions};
pub use vault::{CaRepository, Fetched, Vault};
pub use words::recovery_code;
