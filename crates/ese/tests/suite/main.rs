//! The crate judged from outside: by real databases, by databases that are made here, and by foreign readers.

mod ca;
mod closed;
mod common;
mod dissect;
mod foreign_recovered;
mod framing;
mod logs;
mod long_macros;
mod needed;
mod pages;
mod recovery;
mod redo;
mod salvage;
mod synthetic;
mod transactions;
mod undo;
mod walk;
mod writer;
