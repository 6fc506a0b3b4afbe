//! Sets and loose files of a Windows CA: found, verified, replayed, recovered (docs/windows-sets.md).
//!
//! What `certutil -backupDB` wrote, complete or not; a copy of a CA's folders; a database or logs alone.

mod content;
mod examine;
pub mod files;
mod recover;
mod replay;
mod taken;

pub use content::of_ca as content_of_ca;
pub use files::{FileKind, WindowsSet};
pub use recover::{Recovered, recover};
pub use replay::{Files, OpenedDatabase, open_database, salvage_database};

pub use examine::Outcome;
pub(crate) use examine::examine;
