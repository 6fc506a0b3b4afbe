//! Values too large for their record, in a tree of their own (ese.md 6.2).

use std::borrow::Cow;

use crate::bytes::{Fields, index};
use crate::compress::decompress;
use crate::database::Database;
use crate::error::Error;
use crate::pager::Pager;
use crate::pagesize::PageSize;

fn malformed(problem: &'static str) -> Error {
    Error::Malformed { what: "a long value", problem }
}

/// An identifier as a record refers to it and as the keys of the tree begin with it.
///
/// One of 64 bits has its top bit set in both places; one of 32 bits has not. So no bit is ever taken off: a value of the
/// one kind is never taken for one of the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LongValueId(u64);

impl LongValueId {
    const LONG: u64 = 1 << 63;

    /// Reads what a record has in the place of a value: 4 or 8 bytes; `None` for others.
    pub(crate) fn in_record(reference: &[u8]) -> Option<Self> {
        let short = || reference.try_into().ok().map(|bytes| u64::from(u32::from_le_bytes(bytes)));
        let long = || reference.try_into().ok().map(u64::from_le_bytes);
        short().or_else(long).map(Self)
    }

    /// Reads the start of a key; returns the identifier and what follows it.
    fn in_key(key: &[u8]) -> Option<(Self, &[u8])> {
        if key.first()? & 0x80 == 0 {
            let (id, rest) = key.split_first_chunk()?;
            Some((Self(u64::from(u32::from_be_bytes(*id))), rest))
        } else {
            let (id, rest) = key.split_first_chunk()?;
            Some((Self(u64::from_be_bytes(*id)), rest))
        }
    }

    /// The key of the head of the value.
    fn root_key(self) -> Vec<u8> {
        match u32::try_from(self.0) {
            Ok(short) => short.to_be_bytes().to_vec(),
            Err(_) => self.0.to_be_bytes().to_vec(),
        }
    }

    /// All bits of it, for counting.
    pub(crate) fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }

    /// For messages: without the bit that tells its width. Those of 64 bits begin where those of 32 bits end.
    pub(crate) fn number(self) -> u64 {
        self.0 & !Self::LONG
    }
}

/// A key of the tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Key {
    /// The head of a value.
    Root(LongValueId),
    /// A part of it, and where in the value it begins.
    Part(LongValueId, u32),
}

impl Key {
    /// Reads a key; `None` for one that is none.
    pub(crate) fn read(key: &[u8]) -> Option<Self> {
        let (id, offset) = LongValueId::in_key(key)?;
        if offset.is_empty() {
            return Some(Self::Root(id));
        }
        Some(Self::Part(id, u32::from_be_bytes(offset.try_into().ok()?)))
    }
}

/// The length of a part once it is decompressed, as its first bytes tell it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Decompressed {
    /// So many bytes.
    Known(usize),
    /// Of a scheme that this reader does not open.
    Unknown,
    /// It is not compressed.
    Plain,
}

impl Decompressed {
    pub(crate) fn of(data: &[u8]) -> Self {
        let Some((head, body)) = data.split_first() else { return Self::Plain };
        let bits = usize::from(head & 7) + 1;
        let characters = || body.len().checked_sub(1).map_or(0, |whole| (whole * 8 + bits) / 7);
        match head >> 3 {
            1 => Self::Known(characters()),
            2 => Self::Known(2 * characters()),
            3 => body
                .first_chunk()
                .map_or(Self::Plain, |size| Self::Known(usize::from(u16::from_le_bytes(*size)))),
            5..=7 => Self::Unknown,
            _ => Self::Plain,
        }
    }
}

/// The bytes of a part whose length the keys tell: stored plain where that is the length stored, compressed otherwise. A
/// part that does not become smaller is stored plain, so none is longer than a page.
fn part_bytes(stored: &[u8], length: usize, page_size: PageSize) -> Result<Cow<'_, [u8]>, Error> {
    if page_size.bytes() < length {
        return Err(malformed("a part is longer than a page"));
    }
    if stored.len() == length {
        return Ok(Cow::Borrowed(stored));
    }
    let bytes = decompress(stored)?;
    if bytes.len() == length {
        Ok(Cow::Owned(bytes))
    } else {
        Err(malformed("a part has another size than its keys say"))
    }
}

/// True when the head of the long value `id` can be read.
pub(crate) fn is_there<P: Pager>(database: &Database<P>, root: u32, id: LongValueId) -> bool {
    database.tree(root).find(&id.root_key()).is_ok_and(|found| found.is_some())
}

/// Reads the long value `id` from the tree with this root. Where its parts begin, their keys say; no size of a part is
/// assumed.
///
/// No more than `most` bytes, and a page for each part that is really there: a part of few bytes may be compressed.
///
/// # Errors
/// [`Error::Malformed`] (HRESULT 0xC80004B6) when the value or a part is missing, has another size or is too long,
/// [`Error::UnsupportedCompression`], [`Error::Encrypted`], and as [`Database::page`].
pub(crate) fn read<P: Pager>(
    database: &Database<P>,
    root: u32,
    id: LongValueId,
    most: usize,
) -> Result<Vec<u8>, Error> {
    let key = id.root_key();
    let missing = || malformed("it is missing");
    let mut scan = database.tree(root).seek_near(&key)?.ok_or_else(missing)?;
    let first = scan.next().transpose()?.ok_or_else(missing)?;
    let node = first.node()?;
    let fields = Fields::new(node.data, "the head of a long value");
    let total = index(fields.u32(4)?);
    if most < total {
        return Err(malformed("it is longer than its column allows"));
    }
    if node.data.get(8).is_some_and(|flags| flags & 1 != 0) {
        return Err(Error::Encrypted);
    }
    let mut value = Vec::new();
    // The part before, which ends where the next one begins.
    let mut open = None;
    loop {
        let next = scan.next().transpose()?;
        let begins = match &next {
            Some(part) => match Key::read(&part.node()?.key()) {
                Some(Key::Part(of, offset)) if of == id => Some(index(offset)),
                _ => None,
            },
            None => None,
        };
        let end = begins.unwrap_or(total);
        match open.take() {
            None if end != 0 => return Err(malformed("its first part is missing")),
            None => {}
            Some(part) => {
                let part: crate::tree::NodeRef = part;
                let length = end.checked_sub(value.len()).filter(|length| *length != 0);
                let length = length.ok_or_else(|| malformed("its parts overlap"))?;
                value.extend_from_slice(&part_bytes(part.node()?.data, length, database.page_size())?);
            }
        }
        if begins.is_none() || total <= value.len() {
            break;
        }
        open = next;
    }
    if value.len() == total { Ok(value) } else { Err(malformed("its parts are longer than it says")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_both_forms_are_read() {
        let short = LongValueId::in_record(&[7, 0, 0, 0]).unwrap();
        assert_eq!(Key::read(&[0, 0, 0, 7]), Some(Key::Root(short)));
        assert_eq!(Key::read(&[0, 0, 0, 7, 0, 0, 0x1F, 0xD6]), Some(Key::Part(short, 8150)));
        assert_eq!((short.root_key(), short.number()), (vec![0, 0, 0, 7], 7));
        // The bit that tells the width stands in the record, too.
        let long = LongValueId::in_record(&[9, 0, 0, 0, 0, 1, 0, 0x80]).unwrap();
        let key = [0x80, 0, 1, 0, 0, 0, 0, 9];
        assert_eq!(Key::read(&key), Some(Key::Root(long)));
        assert_eq!(Key::read(&[&key[..], &[0, 0, 0, 1]].concat()), Some(Key::Part(long, 1)));
        assert_eq!((long.root_key(), long.number()), (key.to_vec(), (1 << 40) + 9));
        for wrong in [&[][..], &[0; 3], &[0; 5], &[0; 9]] {
            assert_eq!(LongValueId::in_record(wrong), None, "{wrong:?}");
        }
        for wrong in [&[][..], &[0; 3], &[0; 5], &[0x80; 4], &[0; 12], &[0x80; 13]] {
            assert_eq!(Key::read(wrong), None, "{wrong:?}");
        }
    }

    /// A tree with the head of value 7 and its two parts, and between these so many leaves in which everything is deleted.
    fn value_with_gap(deserted: u32) -> Vec<u8> {
        use crate::tree::tests::{node, tree_of};
        let key = |offset: u32| [7_u32.to_be_bytes(), offset.to_be_bytes()].concat();
        let head = [1_u32.to_le_bytes(), 200_000_u32.to_le_bytes()].concat();
        let first = vec![node(&[0, 0, 0, 7], &head, false), node(&key(0), &[1; 20_000], false)];
        let mut leaves = vec![(key(0), first)];
        leaves.extend((1..=deserted).map(|place| (key(place), vec![node(&key(place), b"", true)])));
        leaves.extend(
            (1..10).map(|part| (key(part * 20_000), vec![node(&key(part * 20_000), &[1; 20_000], false)])),
        );
        let leaves: Vec<_> = leaves.iter().map(|(key, nodes)| (key.as_slice(), nodes.clone())).collect();
        tree_of(&leaves)
    }

    /// Leaves in which everything is deleted may lie between the parts of a value, but not all leaves of a database: each row may
    /// refer to the same value.
    #[test]
    fn the_parts_of_a_value_are_not_looked_for_in_all_leaves() {
        use crate::tree::tests::{ROOT, counted, reads};
        let id = LongValueId::in_record(&[7, 0, 0, 0]).unwrap();
        for deserted in [0, 1, 10] {
            let database = Database::open(value_with_gap(deserted)).unwrap();
            assert_eq!(read(&database, ROOT, id, 1 << 20).unwrap(), vec![1; 200_000], "{deserted}");
        }
        let database = counted(value_with_gap(1_000));
        let read = reads(&database, || assert!(read(&database, ROOT, id, 1 << 20).is_err()));
        assert!(read < 30, "{read} pages are read for one value");
        let other = LongValueId::in_record(&[6, 0, 0, 0]).unwrap();
        assert!(is_there(&database, ROOT, id) && !is_there(&database, ROOT, other));
    }

    #[test]
    fn no_part_is_longer_than_a_page() {
        let size = PageSize::new(4096).unwrap();
        // A literal, then one match over all the rest.
        let packed = |length: u16| {
            [
                &[0x18][..],
                &length.to_le_bytes(),
                &[0, 0, 0, 0x40, b'a', 7, 0, 0xFF, 0xFF],
                &(length - 4).to_le_bytes(),
            ]
            .concat()
        };
        assert_eq!(part_bytes(&packed(4096), 4096, size).unwrap(), vec![b'a'; 4096]);
        assert!(part_bytes(&packed(4097), 4097, size).is_err());
    }

    #[test]
    fn the_size_of_a_compressed_part_stands_in_its_head() {
        let seven_bit =
            [0x17, 0xd3, 0xa2, 0xb5, 0xe8, 0x5c, 0x26, 0x9d, 0x47, 0xe2, 0xb3, 0x36, 0x6d, 0x0d, 0x83];
        let known = Decompressed::Known(decompress(&seven_bit).unwrap().len());
        assert_eq!(Decompressed::of(&seven_bit), known);
        assert_eq!(Decompressed::of(&[0x18, 0x26, 0x06, 0]), Decompressed::Known(0x626));
        assert_eq!(Decompressed::of(&[0x28, 1, 2]), Decompressed::Unknown);
        assert_eq!(Decompressed::of(&[]), Decompressed::Plain);
    }
}
