#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! * [`diagnosis`]: what every error says about itself: its code, whose fault it is, what to do next.
//! * [`hex`] and [`pem`]: bytes as text.
//! * [`hresult`]: the result codes, their names and a sentence for the user.
//! * [`wide`]: UTF-16 strings from outside, checked once.
//! * [`list`]: the string lists of the backup calls and of `certbkxp.dat`.
//! * [`flags`]: backup and restore types, control values, interface flags, roles, the read buffer.
//! * [`finding`]: what a check found: how grave, of which kind, where, and what to do; summed up for a person.
//! * [`generation`]: log generations and log file names.
//! * [`ranges`]: which logs a backup lists and deletes.
//! * [`kind`]: what kind of backup it was, and the marks it leaves.
//! * [`sequence`]: the order of calls, one state machine for the service and the C API.
//! * [`names`]: CA names in their sanitized forms, and which file names of a peer are safe.
//! * [`unc`]: this machine's paths in the UNC form of the lists.
//! * [`printable`]: text from elsewhere, made fit to be shown.
//! * [`settings`]: what is wrong with a file of settings, told without what it holds.
//! * [`span`]: spans of time, read and told.
//! * [`registration`]: registering a restore, and what a starting service makes of it.
//! * [`Guid`], [`FileTime`], [`AuthType`]: values that several crates share.

mod auth_type;
pub mod diagnosis;
pub mod finding;
pub mod flags;
pub mod generation;
mod guid;
pub mod hex;
pub mod hresult;
mod hresult_table;
pub mod kind;
pub mod list;
pub mod markup;
pub mod names;
pub mod pem;
pub mod printable;
pub mod ranges;
pub mod registration;
pub mod sequence;
pub mod settings;
pub mod span;
mod time;
pub mod unc;
pub mod wide;
pub mod words;

pub use auth_type::AuthType;
pub use diagnosis::Diagnosis;
pub use finding::Finding;
pub use flags::{BackupType, RestoreType};
pub use generation::Generation;
pub use guid::{Guid, GuidTextError};
pub use hresult::Hresult;
pub use kind::{BackupKind, BackupMarks};
pub use list::{Entry, PlainList, Tag, TaggedList};
pub use ranges::GenerationRange;
pub use sequence::Sequence;
pub use time::{CLOCK_TOLERANCE, FileTime, is_ahead};
