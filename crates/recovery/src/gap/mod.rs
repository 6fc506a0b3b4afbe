//! What a lost CA issued and revoked after its last backup, as other sources tell it (`docs/spec/recovery.md`, chapter 7).
//!
//! A [`Collector`] takes sources one after the other: event logs, certificates, directories, CRLs. What the database knows
//! is dropped at once, so that memory grows with the gap and not with the sources. [`Collector::finish`] gives the [`Gap`].

mod certificates;
mod collector;
mod event;
mod event_xml;
#[cfg(feature = "evtx")]
mod evtx;
mod folder;
mod found;
mod ldif;
mod report;
mod text;
mod told;

pub use collector::{Collector, Keep, Limits, SourceReport};
pub use folder::{Folder, safe_cell};
pub use found::{
    Contradiction, Disagreement, Ids, LastBackup, RequestOnly, Revoked, RevokedElsewhere, Unknown,
};
pub use report::{Gap, Rpo};

use certadm_ca::Serial;

use crate::error::Result;

/// For fuzzing: reads bytes as event XML, as LDIF and as certificates, and says how many events and values were there.
///
/// # Errors
/// Those of the readers.
#[doc(hidden)]
pub fn read_any(bytes: &[u8]) -> (Result<u64>, Result<u64>, usize) {
    let (mut events, mut values) = (0, 0);
    let text = || text::Utf8Text::new(bytes);
    let xml = event_xml::read("input", text(), &mut |fields| {
        events += 1;
        if let Some(event::Said::Issued(issued)) = fields.said() {
            assert!(issued.request_id != 0);
            let _: Option<Serial> = issued.serial;
        }
        Ok(())
    });
    let ldif = ldif::read("input", text(), &mut |der| {
        values += 1;
        assert!(!der.is_empty());
        Ok(())
    });
    let certificates = certificates::in_file(bytes).map_or(0, |found| found.len());
    (xml.map(|()| events), ldif.map(|_| values), certificates)
}
