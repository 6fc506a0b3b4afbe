//! Transaction logs: headers, framing, records, chains (ese.md 7, 8).

pub mod chain;
pub mod file;
pub mod header;
pub mod record;

mod change;
mod frames;
mod frames_v7;
mod frames_v8;
mod kind;

pub use file::{LogFile, RecordAt, Records};
pub use frames::LogEnd;
pub use header::{Attachment, LogHeader};
pub use kind::{RecordKind, record_length, record_name};
pub use record::Record;
