//! The tree of the long values of a table (ese.md 6.2).

use super::fault::Problem;
use super::tally::Tally;
use crate::bytes::{Fields, index};
use crate::longvalue::{Key, stored_size};
use crate::page::Page;

/// Long values as they come by, in the order of their keys.
#[derive(Default)]
pub(super) struct LongValues {
    /// Each identifier as often as rows refer to it, by what the long value says.
    pub(super) counted: Tally,
    open: Option<Open>,
    problems: Vec<Problem>,
}

/// A long value whose parts are coming by.
struct Open {
    id: u64,
    total: usize,
    /// Where the next part has to begin at the earliest.
    reached: usize,
    /// The last part: where it begins, the bytes stored, and what they come to when they are compressed.
    part: Option<(usize, usize, Option<usize>)>,
    cut: bool,
}

impl LongValues {
    pub(super) fn leaf(&mut self, page: &Page) {
        for node in page.nodes().filter(|node| !node.is_deleted()) {
            match Key::read(&node.key()) {
                Some(Key::Root(id)) => self.root(id, node.data),
                Some(Key::Part(id, offset)) => self.part(id, index(offset), node.data),
                None => self.problems.push(Problem::LongValueCut { id: 0 }),
            }
        }
    }

    /// What was wrong.
    pub(super) fn finish(&mut self) -> Vec<Problem> {
        self.close();
        core::mem::take(&mut self.problems)
    }

    fn root(&mut self, id: u64, data: &[u8]) {
        self.close();
        let fields = Fields::new(data, "the head of a long value");
        let (Ok(references), Ok(total)) = (fields.u32(0), fields.u32(4)) else {
            return self.problems.push(Problem::LongValueCut { id });
        };
        self.counted.add_times(&id.to_le_bytes(), u64::from(references));
        self.open = Some(Open { id, total: index(total), reached: 0, part: None, cut: false });
    }

    fn part(&mut self, id: u64, offset: usize, data: &[u8]) {
        match &mut self.open {
            Some(open) if open.id == id => {
                open.end_part(offset);
                open.part = Some((offset, data.len(), stored_size(data)));
            }
            _ => self.problems.push(Problem::LongValueCut { id }),
        }
    }

    fn close(&mut self) {
        if let Some(mut open) = self.open.take() {
            open.end_part(open.total);
            if open.cut || open.reached != open.total {
                self.problems.push(Problem::LongValueCut { id: open.id });
            }
        }
    }
}

impl Open {
    /// The last part reaches to `end`: as stored, or as it is when decompressed.
    fn end_part(&mut self, end: usize) {
        let Some((start, stored, decompressed)) = self.part.take() else {
            self.cut |= end != 0;
            return;
        };
        let length = end.checked_sub(start);
        let fits = length == Some(stored) || decompressed.is_none() || length == decompressed;
        self.cut |= start != self.reached || !fits || length == Some(0);
        self.reached = end;
    }
}
