#![doc = include_str!("../README.md")]

pub mod backup;
pub mod chain;
mod checkpoint;
mod connect;
pub mod error;
mod fields;
pub mod folder;
pub mod foreign;
mod generation;
mod holder;
pub mod locks;
pub mod log_file;
mod marks;
mod owner;
mod pace;
pub mod record;
pub mod recovery;
mod reserve;
mod schema;
pub mod time;
pub mod trailer;
mod wal;
mod writer;

pub use checkpoint::stated_checkpoint;
pub use connect::run_nothing;
pub use error::{Error, Result};
pub use folder::Folder;
pub use generation::Adopted;
pub use holder::{Holder, Serving};
pub use marks::{Mark, marks};
pub use owner::{Opened, Options, RunningBackup, Store};
pub use recovery::Recovered;
pub use reserve::{has_reserve, is_reserve};
pub use schema::PAGE_SIZE;
pub use time::{now, set_clock_ahead};
pub use writer::{GroupCommit, Writer};
