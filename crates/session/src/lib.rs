#![doc = include_str!("../README.md")]

#[cfg(feature = "local")]
mod events;
#[cfg(feature = "local")]
mod local;
#[cfg(feature = "local")]
pub mod restore;
mod source;
mod typed;

#[cfg(feature = "local")]
pub use events::{Caller, Loss};
#[cfg(feature = "local")]
pub use local::LocalSource;
pub use source::{CallError, CallResult, OtherBackup, Source};
pub use typed::{Databases, Ends, FileOpen, Logs, LogsOnly, Opens, Session, Truncated};
