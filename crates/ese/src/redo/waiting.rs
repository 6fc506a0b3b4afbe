//! Records that wait for their page.
//!
//! Logs change pages in no order. Were each record applied as it comes, a page would be read, taken apart, put together and
//! written once for each record, as soon as the database is larger than the cache. So a record that changes one page is
//! kept until something else needs that page, or until many wait; then they are applied page by page, in the order of the
//! file. Four changes of one page then cost one read and one write. The more may wait, the fewer times each page is read
//! and written, so the bytes of records are kept in a file where there is one.
//!
//! What a record does depends on its page and on nothing else, and the records of one page keep their order. What a
//! rollback has to know of a change is remembered as the record comes, and completed as it is applied.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use crate::lgpos::Lgpos;
use crate::pager::{FilePager, Pager, PagerMut};

/// Memory for records that wait, about.
const MOST_MEMORY: usize = 36 << 20;
/// Bytes of records in a file.
const MOST_ASIDE: usize = 256 << 20;
/// Bytes that are written to that file at a time.
const WRITTEN_AT_ONCE: usize = 128 << 10;

/// A record that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) position: Lgpos,
    /// Where its bytes begin; they end where those of the next one begin.
    at: u32,
    /// The record of the same page before it, counted from 1; 0 for none.
    earlier: u32,
    /// Number of the change that its session remembers; 0 for none.
    pub(super) made: u32,
}

/// The newest of the records that waited for a page, counted from 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newest(u32);

/// All records that wait.
#[derive(Clone, Default, Debug)]
pub(super) struct Waiting {
    /// The first bytes of all records, where they are in a file.
    aside: Option<Aside>,
    /// The bytes behind them, or all.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// The newest record of each page, counted from 1.
    newest: HashMap<u32, u32>,
    /// Records that may wait.
    most: usize,
}

/// Bytes of records in a file that nobody else uses. A copy of a replay has it in common with the replay; while there are
/// two, nothing is written to it, and neither once a write has failed: the disk may be full, and records can wait in memory.
#[derive(Clone, Debug)]
struct Aside {
    file: Arc<FilePager>,
    /// Bytes that are in it.
    length: usize,
    failed: bool,
}

impl Waiting {
    /// Nothing waits; as many records may as memory allows.
    pub(super) fn new() -> Self {
        Self { most: usize::MAX, ..Self::default() }
    }

    /// Lets at most so many records wait.
    pub(super) fn up_to(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// Keeps the bytes of records in a file: more records may wait. Nothing waits yet.
    pub(super) fn aside(self, file: FilePager) -> Self {
        Self { aside: Some(Aside { file: Arc::new(file), length: 0, failed: false }), ..self }
    }

    /// True where every record is applied as it comes.
    pub(super) fn is_off(&self) -> bool {
        self.most == 0
    }

    /// True where a record waits for this page.
    pub(super) fn has(&self, page: u32) -> bool {
        self.newest.contains_key(&page)
    }

    /// True when nothing more may wait.
    pub(super) fn is_full(&self) -> bool {
        // A map takes 9 bytes for each of up to 16/7 times as many places as it has entries, and half as much once more
        // while it grows.
        const PAGE: usize = 31;
        let places = size_of::<Entry>() * self.entries.len() + PAGE * self.newest.len();
        MOST_MEMORY <= places + self.bytes.len()
            || MOST_ASIDE <= self.aside_length()
            || self.most <= self.entries.len()
    }

    fn aside_length(&self) -> usize {
        self.aside.as_ref().map_or(0, |aside| aside.length)
    }

    pub(super) fn add(&mut self, page: u32, position: Lgpos, record: &[u8], made: u32) {
        // Both are below what is allowed, see `is_full`; a record has at most 64 KiB.
        let at = as_u32(self.aside_length() + self.bytes.len());
        let count = as_u32(self.entries.len() + 1);
        self.bytes.extend_from_slice(record);
        if let Some(aside) = &mut self.aside
            && WRITTEN_AT_ONCE <= self.bytes.len()
            && !aside.failed
            && let Some(file) = Arc::get_mut(&mut aside.file)
        {
            aside.failed = file.write_at(aside.length as u64, &self.bytes).is_err();
            if !aside.failed {
                aside.length += self.bytes.len();
                self.bytes.clear();
            }
        }
        let earlier = self.newest.insert(page, count).unwrap_or(0);
        self.entries.push(Entry { position, at, earlier, made });
    }

    /// Takes the records of a page out; `None` where none waits for it.
    pub(super) fn take(&mut self, page: u32) -> Option<Newest> {
        self.newest.remove(&page).map(Newest)
    }

    /// Takes the records of all pages out, in the order of the file.
    pub(super) fn take_all(&mut self) -> Vec<(u32, Newest)> {
        let mut taken: Vec<_> = self.newest.drain().map(|(page, count)| (page, Newest(count))).collect();
        taken.sort_unstable_by_key(|(page, _)| *page);
        taken
    }

    /// The records of a page, oldest first, as their numbers.
    pub(super) fn numbers(&self, Newest(count): Newest) -> Vec<usize> {
        let mut numbers = Vec::new();
        let mut next = count;
        while let Some(number) = (next as usize).checked_sub(1) {
            numbers.push(number);
            next = self.entries.get(number).map_or(0, |entry| entry.earlier);
        }
        numbers.reverse();
        numbers
    }

    /// A record by its number, and its bytes; `None` for a number that none has.
    pub(super) fn record(&self, number: usize) -> io::Result<Option<(Entry, Cow<'_, [u8]>)>> {
        let Some(entry) = self.entries.get(number) else { return Ok(None) };
        let aside = self.aside_length();
        let end = self.entries.get(number + 1).map_or(aside + self.bytes.len(), |next| next.at as usize);
        let start = entry.at as usize;
        // Whole records are put aside: none lies in both places.
        let bytes = match (&self.aside, start.checked_sub(aside)) {
            (_, Some(start)) => self.bytes.get(start..end - aside).map(Cow::Borrowed),
            (Some(aside), None) => {
                let mut bytes = vec![0; end - start];
                aside.file.read_at(start as u64, &mut bytes)?;
                Some(Cow::Owned(bytes))
            }
            (None, None) => None,
        };
        Ok(bytes.map(|bytes| (*entry, bytes)))
    }

    /// Forgets the bytes of records that were applied, where no other is left.
    pub(super) fn forget_applied(&mut self) {
        if self.newest.is_empty() {
            self.bytes.clear();
            self.entries.clear();
            if let Some(aside) = &mut self.aside {
                aside.length = 0;
            }
        }
    }
}

fn as_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_a_page_come_out_in_their_order() {
        come_out_in_their_order(Waiting::new().up_to(6));
        assert!(Waiting::new().up_to(0).is_off());
    }

    #[test]
    fn records_in_a_file_come_out_in_their_order() {
        let waiting = Waiting::new().aside(FilePager::new(tempfile::tempfile().unwrap()).unwrap());
        let waiting = come_out_in_their_order(waiting);
        let size = |waiting: &Waiting| waiting.aside.as_ref().unwrap().file.size();
        let used = size(&waiting);
        assert_ne!(used, 0);
        // Two that have the file in common leave it alone.
        let copy = come_out_in_their_order(waiting.clone());
        assert_eq!(size(&copy), used);
        come_out_in_their_order(waiting);
    }

    #[test]
    fn records_wait_in_memory_where_their_file_cannot_be_written() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("empty"), b"").unwrap();
        let read_only = std::fs::File::open(dir.path().join("empty")).unwrap();
        let waiting = come_out_in_their_order(Waiting::new().aside(FilePager::new(read_only).unwrap()));
        let aside = waiting.aside.unwrap();
        assert!(aside.failed && aside.file.size() == 0);
    }

    fn come_out_in_their_order(mut waiting: Waiting) -> Waiting {
        let text = |number: usize| format!("record {number} ").repeat(number * 4000).into_bytes();
        // Twice: what was applied leaves its place to what comes.
        for _ in 0..2 {
            for (number, page) in [7, 9, 7, 8, 7].into_iter().enumerate() {
                let position = Lgpos { generation: 1, segment: 0, offset: u16::try_from(number).unwrap() };
                waiting.add(page, position, &text(number), 0);
            }
            assert!(!waiting.is_full());
            let newest = waiting.take(7).unwrap();
            assert!(!waiting.has(7) && waiting.has(8) && waiting.take(7).is_none());
            let read = |number| waiting.record(number).unwrap().unwrap();
            let texts: Vec<_> = waiting.numbers(newest).into_iter().map(|number| read(number).1).collect();
            assert!(texts == [text(0), text(2), text(4)]);
            drop(texts);
            waiting.forget_applied();
            let others = waiting.take_all();
            assert_eq!(others.iter().map(|(page, _)| *page).collect::<Vec<_>>(), [8, 9]);
            let (entry, bytes) = waiting.record(waiting.numbers(others[1].1)[0]).unwrap().unwrap();
            assert!(entry.position.offset == 1 && *bytes == text(1), "others still wait");
            drop(bytes);
            waiting.forget_applied();
            assert!(waiting.take_all().is_empty() && waiting.record(0).unwrap().is_none());
        }
        waiting
    }
}
