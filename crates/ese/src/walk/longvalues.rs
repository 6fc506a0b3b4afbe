//! The tree of the long values of a table (ese.md 6.2).

use super::fault::Problem;
use super::tally::Tally;
use crate::bytes::{Fields, index};
use crate::longvalue::{Decompressed, Key, LongValueId};
use crate::page::Node;

/// The number of references of a long value that is being deleted (ese.md 6.2).
const BEING_DELETED: u32 = u32::MAX;

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
    id: LongValueId,
    /// Nobody refers to it, or it is being deleted: its parts go first, in several transactions.
    is_going: bool,
    total: usize,
    /// Where the next part has to begin at the earliest.
    reached: usize,
    /// The last part: where it begins, the bytes stored, and what they come to when they are compressed.
    part: Option<(usize, usize, Decompressed)>,
    /// Bytes of the first part.
    longest: Option<usize>,
    cut: bool,
}

impl LongValues {
    /// The next node of the tree.
    pub(super) fn node(&mut self, node: &Node<'_>) {
        if node.is_deleted() {
            return;
        }
        match Key::read(&node.key()) {
            Some(Key::Root(id)) => self.root(id, node.data),
            Some(Key::Part(id, offset)) => self.part(id, index(offset), node.data),
            None => self.problems.push(Problem::LongValueCut { id: 0 }),
        }
    }

    /// What was wrong.
    pub(super) fn finish(&mut self) -> Vec<Problem> {
        self.close();
        core::mem::take(&mut self.problems)
    }

    fn root(&mut self, id: LongValueId, data: &[u8]) {
        self.close();
        let fields = Fields::new(data, "the head of a long value");
        let (Ok(references), Ok(total)) = (fields.u32(0), fields.u32(4)) else {
            return self.problems.push(Problem::LongValueCut { id: id.number() });
        };
        let is_going = matches!(references, 0 | BEING_DELETED);
        self.counted.add_times(&id.to_bytes(), if is_going { 0 } else { u64::from(references) });
        let total = index(total);
        self.open = Some(Open { id, is_going, total, reached: 0, part: None, longest: None, cut: false });
    }

    fn part(&mut self, id: LongValueId, offset: usize, data: &[u8]) {
        match &mut self.open {
            Some(open) if open.id == id => {
                open.end_part(offset);
                open.part = Some((offset, data.len(), Decompressed::of(data)));
            }
            _ => self.problems.push(Problem::LongValueCut { id: id.number() }),
        }
    }

    fn close(&mut self) {
        if let Some(mut open) = self.open.take() {
            open.end_part(open.total);
            if !open.is_going && (open.cut || open.reached != open.total) {
                self.problems.push(Problem::LongValueCut { id: open.id.number() });
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
        let length = end.saturating_sub(start);
        let fits = length == stored
            || decompressed == Decompressed::Unknown
            || decompressed == Decompressed::Known(length);
        // No part is longer than the first.
        let longest = *self.longest.get_or_insert(length);
        self.cut |= start != self.reached || !fits || length == 0 || longest < length;
        self.reached = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Database;
    use crate::header::DatabaseHeader;
    use crate::image::{FullNode, PageImage};
    use crate::longvalue::{is_there, read};
    use crate::page::flag;
    use crate::pagesize::PageSize;
    use crate::record::Record;
    use crate::stamps::Signature;

    /// The identifier 7 in its two forms: the bytes of a record that refers to it, and those of its keys.
    const SHORT: (&[u8], &[u8]) = (&[7, 0, 0, 0], &[0, 0, 0, 7]);
    const LONG: (&[u8], &[u8]) = (&[7, 0, 0, 0, 0, 0, 0, 0x80], &[0x80, 0, 0, 0, 0, 0, 0, 7]);

    fn id(form: (&[u8], &[u8])) -> LongValueId {
        LongValueId::in_record(form.0).unwrap()
    }

    /// A database of 32 KiB pages with a tree of long values on page 1: one value in parts that begin at these offsets,
    /// each stored as given.
    fn tree_of(form: (&[u8], &[u8]), total: usize, parts: &[(u32, Vec<u8>)]) -> Database<Vec<u8>> {
        let size = PageSize::new(32_768).unwrap();
        let node = |key: Vec<u8>, data: &[u8]| FullNode { flags: 0, key, data: data.to_vec().into() };
        let head = [1u32.to_le_bytes(), u32::try_from(total).unwrap().to_le_bytes()].concat();
        let mut nodes = vec![node(form.1.to_vec(), &head)];
        for (offset, data) in parts {
            nodes.push(node([form.1, &offset.to_be_bytes()].concat(), data));
        }
        let mut page = PageImage::new(size, 1, 9, flag::ROOT | flag::LEAF | flag::LONG_VALUE);
        page.set_nodes(nodes);
        let none = Signature([0; 28]);
        let header = DatabaseHeader::create(size, 0x620, 20, none, none);
        let mut file = [header.bytes(), header.bytes()].concat();
        file.extend(page.to_bytes().unwrap());
        Database::open(file).unwrap()
    }

    /// What the walk counts of a row whose only column refers to the value.
    fn counted_by_a_row(form: (&[u8], &[u8])) -> Tally {
        const SEPARATED: u8 = 5;
        let row = [&[0, 127, 4, 0, 0, 1, 4, 0, SEPARATED], form.0].concat();
        let record = Record::parse(&row, PageSize::new(32_768).unwrap()).unwrap();
        let mut references = Tally::default();
        record.long_values(&mut |id| references.add(&id.to_bytes())).unwrap();
        references
    }

    /// Characters of 7 bits, packed as the engine packs them.
    fn packed(text: &[u8]) -> Vec<u8> {
        let mut out = vec![0; (text.len() * 7).div_ceil(8)];
        for (place, byte) in text.iter().enumerate() {
            for bit in (0..7).filter(|bit| byte >> bit & 1 != 0) {
                let at = place * 7 + bit;
                out[at / 8] |= 1 << (at % 8);
            }
        }
        let bits = (text.len() * 7 - 1) % 8;
        out.insert(0, 1 << 3 | u8::try_from(bits).unwrap());
        out
    }

    /// What is wrong with the value, and how often it says that rows refer to it.
    fn walked(database: &Database<Vec<u8>>) -> (Vec<Problem>, Tally) {
        let mut values = LongValues::default();
        database.page(1).unwrap().nodes().for_each(|node| values.node(&node));
        (values.finish(), values.counted)
    }

    #[test]
    fn parts_begin_where_their_keys_say_whatever_their_size() {
        let value: Vec<u8> = (0..20_000u32).map(|place| u8::try_from(32 + place % 90).unwrap()).collect();
        // 8,150 bytes are the steps of real databases with these pages; 5,000 are those of none.
        for (step, form) in [(8150, SHORT), (5000, SHORT), (8150, LONG)] {
            let once = counted_by_a_row(form);
            for compressed in [0, 1, 2] {
                let parts: Vec<(u32, Vec<u8>)> = value
                    .chunks(step)
                    .enumerate()
                    .map(|(place, part)| {
                        let offset = u32::try_from(place * step).unwrap();
                        (offset, if place == compressed { packed(part) } else { part.to_vec() })
                    })
                    .collect();
                let database = tree_of(form, value.len(), &parts);
                assert_eq!(read(&database, 1, id(form), 1 << 20).unwrap(), value, "steps of {step}");
                assert!(is_there(&database, 1, id(form)));
                assert_eq!(walked(&database), (vec![], once), "steps of {step}");
                for missing in 0..parts.len() {
                    let mut cut = parts.clone();
                    cut.remove(missing);
                    let database = tree_of(form, value.len(), &cut);
                    assert!(
                        read(&database, 1, id(form), 1 << 20).is_err(),
                        "steps of {step} without part {missing}"
                    );
                    assert_eq!(walked(&database).0.len(), 1, "steps of {step} without part {missing}");
                }
            }
        }
        for (form, other) in [(SHORT, LONG), (LONG, SHORT)] {
            let database = tree_of(form, 0, &[]);
            assert_eq!(read(&database, 1, id(form), 1 << 20).unwrap(), b"");
            assert!(
                read(&database, 1, id(other), 1 << 20).is_err(),
                "an identifier of the other width is another one"
            );
        }
    }

    /// The engine deletes the parts of a large value first, in several transactions: a backup in between is sound.
    #[test]
    fn a_value_that_is_being_deleted_may_lack_parts() {
        for (references, problems) in [(u32::MAX, 0), (0, 0), (1, 1)] {
            let mut values = LongValues::default();
            let head = [references.to_le_bytes(), 100_u32.to_le_bytes()].concat();
            values.root(id(SHORT), &head);
            values.part(id(SHORT), 50, &[0; 50]);
            assert_eq!(values.finish().len(), problems, "{references:#x}");
        }
    }
}
