#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! * [`Database`]: open a file, [`Database::verify`] every page, read the [`catalog`] and the rows of a [`table`].
//! * [`ca`]: the tables of a CA as its administrator knows them, certificates as DER and PEM.
//! * [`log`]: both framings behind one iterator of records.
//! * [`recovery`]: [`recovery::Plan`] judges a set of logs, rehearses a replay in memory, recovers to a new file.
//! * [`redo`]: the replay itself, record by record.
//!
//! Entry points that take bytes from anywhere, for fuzzing: [`checksum::check_page`], [`header::DatabaseHeader::parse`],
//! [`backup::PatchPage::parse`], [`checkpoint::Checkpoint::parse`], [`page::Page::parse`], [`compress::decompress`],
//! [`compress::xpress`], [`space::SpaceHeader::parse`], [`log::LogHeader::parse`], [`log::record_length`],
//! [`log::Record::parse`], [`redo::apply_difference`], [`redo::decode_image`],
//! [`Database::open`] on a slice or vector, and [`redo::Replayer::apply`] on an overlay.

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
pub mod header;
pub mod lgpos;
pub mod overlay;
pub mod page;
mod page_findings;
pub mod pager;
pub mod pagesize;
pub mod recovery;
pub mod redo;
pub mod space;
pub mod stamps;
pub mod table;
pub mod time;
pub mod tree;
pub mod verify;
pub mod walk;

pub mod log;

mod bytes;
mod copy;
mod image;
mod leaves;
mod longvalue;
mod numbered;
mod record;
mod salvage;

pub use certadm_rules::finding;
pub use code::Code;
pub use database::Database;
pub use error::Error;
