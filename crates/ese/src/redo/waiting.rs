//! Records that wait for their page.
//!
//! Logs change pages in no order. Were each record applied as it comes, a page would be read, taken apart, put together and
//! written once for each record, as soon as the database is larger than the cache. So a record that changes one page is
//! kept until something else needs that page, or until many wait; then they are applied page by page, in the order of the
//! file. Four changes of one page then cost one read and one write.
//!
//! What a record does depends on its page and on nothing else, and the records of one page keep their order. What a
//! rollback has to know of a change is remembered as the record comes, and completed as it is applied.

use std::collections::HashMap;

use crate::lgpos::Lgpos;

/// Bytes of records that wait at most.
const MOST_BYTES: usize = 26 << 20;
/// Records that wait at most unless somebody says otherwise.
pub(super) const MOST_RECORDS: usize = 600_000;

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

/// All records that wait.
#[derive(Clone, Default, Debug)]
pub(super) struct Waiting {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// The newest record of each page, counted from 1.
    newest: HashMap<u32, u32>,
    /// Records that were applied meanwhile, whose bytes are still here.
    done: usize,
    /// Records that may wait.
    most: usize,
}

impl Waiting {
    /// Nothing waits; as many records may.
    pub(super) fn up_to(most: usize) -> Self {
        Self { most, ..Self::default() }
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
        MOST_BYTES <= self.bytes.len() || self.most <= self.entries.len()
    }

    pub(super) fn add(&mut self, page: u32, position: Lgpos, record: &[u8], made: u32) {
        // Both are below what is allowed, see `is_full`; a record has at most 64 KiB.
        let (at, count) = (as_u32(self.bytes.len()), as_u32(self.entries.len() + 1));
        self.bytes.extend_from_slice(record);
        let earlier = self.newest.insert(page, count).unwrap_or(0);
        self.entries.push(Entry { position, at, earlier, made });
    }

    /// Takes the records of a page out, oldest first, as their numbers.
    pub(super) fn take(&mut self, page: u32) -> Vec<usize> {
        let mut numbers = Vec::new();
        let mut next = self.newest.remove(&page).unwrap_or(0);
        while let Some(number) = (next as usize).checked_sub(1) {
            numbers.push(number);
            next = self.entries.get(number).map_or(0, |entry| entry.earlier);
        }
        numbers.reverse();
        self.done += numbers.len();
        numbers
    }

    /// A record by its number, and its bytes.
    pub(super) fn record(&self, number: usize) -> Option<(Entry, &[u8])> {
        let entry = self.entries.get(number)?;
        let end = self.entries.get(number + 1).map_or(self.bytes.len(), |next| next.at as usize);
        Some((*entry, self.bytes.get(entry.at as usize..end)?))
    }

    /// Pages that records wait for, in the order of the file.
    pub(super) fn pages(&self) -> Vec<u32> {
        let mut pages: Vec<u32> = self.newest.keys().copied().collect();
        pages.sort_unstable();
        pages
    }

    /// Forgets the bytes of records that were applied, where no other is left.
    pub(super) fn forget_applied(&mut self) {
        if self.done != 0 && self.newest.is_empty() {
            self.bytes.clear();
            self.entries.clear();
            self.done = 0;
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
        let mut waiting = Waiting::up_to(6);
        for (number, page) in [7, 9, 7, 8, 7].into_iter().enumerate() {
            let position = Lgpos { generation: 1, segment: 0, offset: u16::try_from(number).unwrap() };
            waiting.add(page, position, format!("record {number}").as_bytes(), 0);
        }
        assert!(!waiting.is_full() && Waiting::up_to(0).is_off());
        assert_eq!(waiting.pages(), [7, 8, 9]);
        let taken: Vec<_> =
            waiting.take(7).into_iter().map(|number| waiting.record(number).unwrap().1).collect();
        assert_eq!(taken, [b"record 0", b"record 2", b"record 4"]);
        assert!(!waiting.has(7) && waiting.has(8) && waiting.take(7).is_empty());
        waiting.forget_applied();
        let other = waiting.take(9)[0];
        assert_eq!(waiting.record(other).unwrap().1, b"record 1", "others still wait");
        waiting.take(8);
        waiting.forget_applied();
        assert!(waiting.pages().is_empty() && waiting.record(0).is_none());
    }
}
