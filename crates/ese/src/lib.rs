//! The Windows database format: verify, list, replay, recover.
//!
//! No I/O below the [`pager::Pager`] trait, no unsafe code, and every byte of a file is taken as hostile.
//! The formats are those of `spec/ese.md`; sections are cited where a fact comes from.

pub mod backup;
pub mod ca;
pub mod catalog;
pub mod checkpoint;
pub mod checksum;
pub mod code;
pub mod column;
pub mod compress;
pub mod database;
pub mod error;
pub mod finding;
pub mod header;
pub mod lgpos;
pub mod page;
pub mod pager;
pub mod pagesize;
pub mod recovery;
pub mod redo;
pub mod space;
pub mod table;
pub mod time;
pub mod tree;
pub mod verify;

pub mod log;

mod bytes;
mod image;
mod longvalue;
mod record;

pub use code::Code;
pub use database::Database;
pub use error::Error;
