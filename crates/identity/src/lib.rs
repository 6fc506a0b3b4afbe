#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! * [`Answers`]: whoever can be asked about a CA: a connection, or our own CA's folder ([`OwnCa`]).
//! * [`fetch`]: everything that can be asked, in one go; what is refused becomes a finding.
//! * [`Configuration`]: the values of a CA's registry keys; [`registry`] has them as the text of Windows.
//! * [`Attachments`]: what nobody can fetch.
//! * [`Part`]: the folder on disk, with its own list of files and hashes.
#![forbid(unsafe_code)]

mod answers;
mod attach;
mod configuration;
mod error;
mod fetch;
mod kept;
mod manifest;
mod own;
mod part;
mod pkcs7;
pub mod property;
pub mod registry;

pub use answers::{Answers, ConfigKey, Refusal};
pub use attach::{Added, Attachments};
pub use certadm_wire::csra::Variant;
pub use configuration::{Configuration, Key, Value};
pub use error::{Error, Result};
pub use fetch::{Fetched, fetch};
pub use kept::{newest_kept, newest_key};
pub use manifest::{FILE_NAME, FileEntry, MAX_FILE, Manifest, Note, Origin, Role, SeenKey, newest_last};
pub use own::OwnCa;
pub use part::{DIR, Part, beside, found_at};
