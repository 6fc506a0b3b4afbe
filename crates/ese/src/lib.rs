//! The Windows database format: verify, list, replay, recover.
//!
//! No I/O below the [`pager::Pager`] trait, no unsafe code, and every byte of a file is taken as hostile.
//! The formats are those of `spec/ese.md`; sections are cited where a fact comes from.

pub mod checksum;
pub mod code;
pub mod error;
pub mod lgpos;
pub mod pager;
pub mod pagesize;
pub mod time;

mod bytes;

pub use code::Code;
pub use error::Error;
