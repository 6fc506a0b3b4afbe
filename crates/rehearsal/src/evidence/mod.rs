//! What is kept of a rehearsal: a file for each, which names the one before it by its hash (recovery.md 8.3;
//! docs/evidence.schema.json of the repository).
//!
//! A chain shows that no file was changed, taken out or put in between, up to its newest file. That one needs a copy
//! elsewhere or a signature: whoever can write the folder can also write all of it anew.

mod findings;
mod folder;
mod history;
mod history_page;
mod make;
mod metrics;
mod page;
mod record;

pub use folder::{Folder, Kept, previous_of};
pub use history::{Break, Gap, History};
pub use history_page::history_page;
pub use make::Circumstances;
pub use metrics::metrics;
pub use page::page;
pub use record::{
    CaOfSet, CrlFacts, Evidence, FORMAT, Generations, Link, OpenFinding, Rpo, Rto, SetFacts, SetPath, Tool,
    VERSION,
};
