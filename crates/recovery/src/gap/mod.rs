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
mod objects;
mod report;
mod text;
mod told;

pub use collector::{Collector, Keep, Limits, SourceReport};
pub use folder::{Folder, safe_cell};
pub use found::{
    Contradiction, Disagreement, Ids, LastBackup, OfUnknownKey, RequestOnly, Revoked, RevokedElsewhere,
    Unknown,
};
pub use objects::DirectoryObjects;
pub use report::{Gap, Rpo};

use certadm_ca::Serial;

use crate::error::{Error, Result};

/// What a file is that should be an event log, XML or EVTX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventLog {
    /// There is an event in it.
    Told,
    /// It is a whole log, and no event is in it: a filtered export of a quiet day.
    Empty,
    /// It is no log, or one that is damaged and in which no event is left.
    None,
}

impl EventLog {
    /// Looks for the first event in a file.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        let mut is_found = false;
        // The first one ends it.
        let mut visit = |_| {
            is_found = true;
            Err(Error::Source { name: String::new(), reason: String::new() })
        };
        let is_whole = if content.starts_with(collector::EVTX) {
            #[cfg(feature = "evtx")]
            let read = evtx::read("", std::io::Cursor::new(content), &mut visit);
            // Nothing here can look into it, so it is taken as it is.
            #[cfg(not(feature = "evtx"))]
            let read = visit(event::Fields::default()).map(|()| 0);
            matches!(read, Ok(0))
        } else {
            matches!(event_xml::read("", text::Utf8Text::new(content), &mut visit), Ok(true))
        };
        match (is_found, is_whole) {
            (true, _) => Self::Told,
            (false, true) => Self::Empty,
            (false, false) => Self::None,
        }
    }
}

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
    (xml.map(|_| events), ldif.map(|_| values), certificates)
}
