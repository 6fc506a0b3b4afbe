//! Event logs as Windows stores them (EVTX), by the crate `evtx`. Each record becomes XML, so that one reader judges both.

use std::io::{Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use certadm_files::cancel;
use evtx::{EvtxChunkHeader, EvtxParser, ParserSettings};

use super::event::Fields;
use super::event_xml;
use crate::error::{Error, Result};

/// Where the chunks begin, and how long each is.
const HEADER: u64 = 4 << 10;
const CHUNK: u64 = 64 << 10;
/// A chunk holds no more records: the shortest has 28 bytes.
const MOST_RECORDS: u64 = CHUNK / 28;

/// Reads the events of a log and hands each to `visit`. The log is read in chunks of 64 KiB. A chunk or record that is
/// damaged is counted and passed over; returns how many there were. What the headers of the log and of its chunks count, and
/// what is not there, is counted as well: a log that was cut off, or partly overwritten with zeros.
///
/// # Errors
/// [`Error::Source`] when it is no event log; what `visit` returns.
pub(crate) fn read(
    name: &str,
    mut file: impl Read + Seek,
    visit: &mut dyn FnMut(Fields) -> Result<()>,
) -> Result<u64> {
    let broken = |reason: String| Error::Source { name: name.to_owned(), reason };
    let settings = Arc::new(ParserSettings::new());
    let length = file.seek(SeekFrom::End(0)).and_then(|length| file.rewind().map(|()| length));
    let length = length.map_err(|error| broken(error.to_string()))?;
    let mut parser = EvtxParser::from_read_seek(file)
        .map_err(|error| broken(format!("it is no event log of Windows: {error}")))?;
    // A log that was not closed may have more chunks than its header counts, and a new one has zeros behind them.
    let counted = u64::from(parser.header().chunk_count);
    let is_cut = length.saturating_sub(HEADER) % CHUNK != 0;
    let (mut damaged, mut chunks) = (0, 0_u64);
    for chunk in parser.chunks() {
        cancel::check()?;
        chunks += 1;
        let Ok(mut chunk) = chunk else {
            damaged += 1;
            continue;
        };
        // The crate reads what a stranger may have made; should it ever panic, that is a damaged chunk and no more.
        let records = catch_unwind(AssertUnwindSafe(|| {
            let mut records = Vec::new();
            let expected = records_of(&chunk.header);
            let Ok(mut chunk) = chunk.parse(Arc::clone(&settings)) else { return (records, expected.max(1)) };
            let mut damaged = 0;
            for record in chunk.iter() {
                match record.and_then(evtx::EvtxRecord::into_xml_bytes) {
                    Ok(record) => records.push(record.data),
                    Err(_) => damaged += 1,
                }
            }
            // One place that cannot be read may have held several records.
            let missing = expected.saturating_sub(records.len() as u64);
            (records, missing.max(damaged))
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
                // Zeros in the place of an event are read as one that says nothing, not even which program wrote it.
                Ok(_)
                    if events.iter().all(|event| event.provider.is_empty() && event.computer.is_empty()) =>
                {
                    damaged += 1;
                }
                Ok(_) => events.into_iter().try_for_each(&mut *visit)?,
                Err(Error::Source { .. }) => damaged += 1,
                Err(error) => return Err(error),
            }
        }
    }
    let missing = counted.saturating_sub(chunks);
    Ok(damaged + missing.max(u64::from(is_cut)))
}

/// How many records a chunk has, as its header says: those from its first number to its last one. A chunk without records
/// has the largest number in both places.
fn records_of(header: &EvtxChunkHeader) -> u64 {
    match (header.first_event_record_number, header.last_event_record_number) {
        (_, u64::MAX) => 0,
        (first, last) => last.checked_sub(first).map_or(0, |more| more.saturating_add(1).min(MOST_RECORDS)),
    }
}
