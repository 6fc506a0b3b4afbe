//! The one backup and restore API of certadm: sessions whose phase is their type, over any CA.
//!
//! A [`Source`] is a CA, local or remote, with the calls of certbcli.md 6; `LocalSource` is one whose folder is on
//! this machine. [`Session`] drives a source in the only order that compiles. Restores are registered with
//! `restore`. Local sources and restores come with the feature `local`, which is on by default.

#[cfg(feature = "local")]
mod local;
#[cfg(feature = "local")]
pub mod restore;
mod source;
mod typed;

#[cfg(feature = "local")]
pub use local::LocalSource;
pub use source::{CallError, CallResult, Source};
pub use typed::{Databases, Ends, FileOpen, Logs, LogsOnly, Opens, Session, Truncated};
