//! The embedded CA database: SQLite, and what an online backup in the sense of Certificate Services needs of it.
//!
//! SQLite's write-ahead log is the current log. A *roll* archives it as `edbXXXXX.log` and checkpoints it; only the
//! [`Store`]'s owner rolls, while any number of [`Writer`]s of any process commit. A [`Backup`](backup::Backup) reads the database file while
//! commits and rolls go on; the logs it lists make the image whole. Structure and bytes: docs/store-format.md; rules:
//! certbcli.md 8 and 9.

pub mod backup;
pub mod chain;
mod checkpoint;
mod connect;
pub mod error;
mod fields;
pub mod folder;
mod generation;
pub mod locks;
pub mod log_file;
mod marks;
mod owner;
mod pace;
pub mod record;
pub mod recovery;
mod schema;
pub mod time;
pub mod trailer;
mod wal;
mod writer;

pub use checkpoint::stated_checkpoint;
pub use error::{Error, Result};
pub use folder::Folder;
pub use generation::Adopted;
pub use marks::Mark;
pub use owner::{Opened, Options, Store};
pub use recovery::Recovered;
pub use schema::PAGE_SIZE;
pub use time::FileTime;
pub use writer::{GroupCommit, Writer};
