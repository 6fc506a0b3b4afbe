//! The requests of a CA's database, row by row, as far as two states of a CA are compared by them.
//!
//! Rows are handed out as they are read. What has to be kept of all of them is a few bytes a row.

mod index;
mod item;
mod known;
mod ours;
mod windows;

pub(crate) use index::Entry;
pub(crate) use item::is_certificate;
pub use item::{Inventory, Item};
pub use known::Known;
pub use windows::WindowsInventory;
