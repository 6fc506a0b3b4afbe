//! Event logs as Windows stores them (EVTX), by the crate `evtx`. Each record becomes XML, so that one reader judges both.

use std::io::{Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use certadm_files::cancel;
use evtx::{EvtxParser, ParserSettings};

use super::event::Fields;
use super::event_xml;
use crate::error::{Error, Result};

/// Reads the events of a log and hands each to `visit`. The log is read in chunks of 64 KiB. A chunk or record that is
/// damaged is counted and passed over; returns how many there were.
///
/// # Errors
/// [`Error::Source`] when it is no event log; what `visit` returns.
pub(crate) fn read(
    name: &str,
    file: impl Read + Seek,
    visit: &mut dyn FnMut(Fields) -> Result<()>,
) -> Result<u64> {
    let broken = |reason: String| Error::Source { name: name.to_owned(), reason };
    let settings = Arc::new(ParserSettings::new());
    let mut parser = EvtxParser::from_read_seek(file)
        .map_err(|error| broken(format!("it is no event log of Windows: {error}")))?;
    let mut damaged = 0;
    for chunk in parser.chunks() {
        cancel::check()?;
        let Ok(mut chunk) = chunk else {
            damaged += 1;
            continue;
        };
        // The crate reads what a stranger may have made; should it ever panic, that is a damaged chunk and no more.
        let records = catch_unwind(AssertUnwindSafe(|| {
            let mut records = Vec::new();
            let Ok(mut chunk) = chunk.parse(Arc::clone(&settings)) else { return (records, 1) };
            let mut damaged = 0;
            for record in chunk.iter() {
                match record.and_then(evtx::EvtxRecord::into_xml_bytes) {
                    Ok(record) => records.push(record.data),
                    Err(_) => damaged += 1,
                }
            }
            (records, damaged)
        }));
        let (records, bad) = records.unwrap_or_else(|_| (Vec::new(), 1));
        damaged += bad;
        for record in records {
            let mut events = Vec::new();
            let read = event_xml::read(name, record.as_slice(), &mut |fields| {
                events.push(fields);
                Ok(())
            });
            match read {
                Ok(()) => events.into_iter().try_for_each(&mut *visit)?,
                Err(Error::Source { .. }) => damaged += 1,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(damaged)
}
