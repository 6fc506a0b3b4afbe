//! Which pages are in use (ese.md 4), so that garbage on a free page is not called damage.

use std::collections::BTreeSet;

use crate::bytes::{Fields, index};
use crate::database::Database;
use crate::error::Error;
use crate::page::{Page, flag};
use crate::pager::Pager;

/// Root page of the tree that owns all space.
pub const DATABASE_ROOT: u32 = 1;

/// The space header in tag 0 of a root page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpaceHeader {
    /// Pages of the primary extent, or of the last allocation in the newer form.
    pub pages: u32,
    /// Root page of the parent tree; 0 for the database root.
    pub parent: u32,
    /// Bit 0 several extents, bit 1 non-unique keys, bit 2 newer form.
    pub flags: u8,
    /// Root page of the owned-extents tree, or a bitmap of free pages.
    pub owned_or_bitmap: u32,
}

/// Bytes of a space header.
pub(crate) const SPACE_HEADER: usize = 16;

impl SpaceHeader {
    /// Reads the external header of a root page, in its plain or extended form; `None` when the page has none.
    ///
    /// # Errors
    /// [`Error::Malformed`] (HRESULT 0xC80004B6).
    pub fn parse(external: &[u8]) -> Result<Option<Self>, Error> {
        let Some(start) = Self::start(external) else {
            return Ok(None);
        };
        let fields = Fields::new(external, "a space header");
        Ok(Some(Self {
            pages: fields.u32(start)?,
            parent: fields.u32(start + 4)?,
            flags: fields.u8(start + 8)?,
            owned_or_bitmap: fields.u32(start + 12)?,
        }))
    }

    /// Where the 16 bytes lie in an external header: a field map may precede them.
    pub(crate) fn start(external: &[u8]) -> Option<usize> {
        match external.len() {
            0 => None,
            SPACE_HEADER => Some(0),
            _ if external[0] & 1 != 0 => Some(1),
            _ => None,
        }
    }

    /// True when the tree has space trees of its own.
    pub fn has_several_extents(&self) -> bool {
        self.flags & 1 != 0
    }

    pub(crate) fn to_bytes(self) -> [u8; SPACE_HEADER] {
        let mut out = [0; SPACE_HEADER];
        out[..4].copy_from_slice(&self.pages.to_le_bytes());
        out[4..8].copy_from_slice(&self.parent.to_le_bytes());
        out[8] = self.flags;
        out[12..].copy_from_slice(&self.owned_or_bitmap.to_le_bytes());
        out
    }
}

/// Consecutive pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// First page.
    pub first: u32,
    /// Last page, inclusive.
    pub last: u32,
}

impl Extent {
    fn ending_at(last: u32, count: u32) -> Option<Self> {
        let first = last.checked_sub(count.checked_sub(1)?)?;
        (first != 0).then_some(Self { first, last })
    }

    /// Reads a node of a space tree; `None` for an empty extent.
    pub(crate) fn from_node(key: &[u8], data: &[u8]) -> Result<Option<Self>, Error> {
        let malformed = Error::Malformed { what: "a node of a space tree", problem: "it is no extent" };
        // A pool byte may precede the page number.
        let last = match key.len() {
            4 => key.first_chunk::<4>(),
            5 => key.last_chunk::<4>(),
            _ => None,
        };
        let (Some(last), Some(count)) = (last, data.first_chunk::<4>()) else {
            return Err(malformed);
        };
        let (last, count) = (u32::from_be_bytes(*last), u32::from_le_bytes(*count));
        match (count, Self::ending_at(last, count)) {
            (0, _) => Ok(None),
            (_, None) => Err(malformed),
            (_, extent) => Ok(extent),
        }
    }
}

/// Pages of a file as bits.
#[derive(Clone)]
pub struct PageSet {
    bits: Vec<u64>,
    limit: u32,
}

impl PageSet {
    pub(crate) fn new(limit: u32) -> Self {
        Self { bits: vec![0; index(limit) / 64 + 1], limit }
    }

    /// The highest page that it can hold.
    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// Takes out all pages.
    pub(crate) fn clear(&mut self) {
        self.bits.fill(0);
    }

    pub(crate) fn insert(&mut self, extent: Extent) {
        let last = extent.last.min(self.limit);
        if last < extent.first {
            return;
        }
        let (low, high) = (index(extent.first) / 64, index(last) / 64);
        let (from, to) = (u64::MAX << (extent.first % 64), u64::MAX >> (63 - last % 64));
        if low == high {
            self.bits[low] |= from & to;
            return;
        }
        self.bits[low] |= from;
        self.bits[low + 1..high].fill(u64::MAX);
        self.bits[high] |= to;
    }

    /// True when the page is in the set.
    pub fn contains(&self, page: u32) -> bool {
        page <= self.limit && self.bits[index(page) / 64] >> (page % 64) & 1 != 0
    }

    /// How many pages it holds.
    pub fn count(&self) -> u32 {
        self.bits.iter().map(|word| word.count_ones()).sum()
    }
}

/// The space of a database.
pub struct SpaceMap {
    /// Last page that the database owns; what lies behind is not its business.
    pub last_owned: u32,
    /// Pages that no tree uses.
    pub free: PageSet,
    /// Trees whose space could not be read; their free pages are counted as in use.
    pub unreadable: Vec<(u32, Error)>,
}

impl SpaceMap {
    /// Reads the space of the database root and of the trees with the given root pages.
    ///
    /// # Errors
    /// As [`Database::page`] for the root's own space; other trees end up in [`SpaceMap::unreadable`].
    pub fn read<P: Pager>(
        database: &Database<P>,
        roots: impl IntoIterator<Item = u32>,
    ) -> Result<Self, Error> {
        let slots = database.page_slots();
        let mut map = Self { last_owned: 0, free: PageSet::new(slots), unreadable: Vec::new() };
        let mut seen = BTreeSet::new();
        map.last_owned = map.add_tree(database, DATABASE_ROOT, &mut seen)?.unwrap_or(slots);
        for root in roots.into_iter().filter(|root| *root != DATABASE_ROOT) {
            if let Err(error) = map.add_tree(database, root, &mut seen) {
                map.unreadable.push((root, error));
            }
        }
        Ok(map)
    }

    /// Notes the free pages of one tree; returns the last page it owns when it has several extents. `seen` are the space trees that were
    /// read: each belongs to one tree, and reading one again for every root of a hostile file would take days.
    fn add_tree<P: Pager>(
        &mut self,
        database: &Database<P>,
        root: u32,
        seen: &mut BTreeSet<u32>,
    ) -> Result<Option<u32>, Error> {
        let page = database.page(root)?;
        let header = SpaceHeader::parse(page.external_header()).map_err(|error| error.on_page(root))?;
        let Some(header) = header else {
            return Ok(None);
        };
        if !header.has_several_extents() {
            self.add_bitmap(root, header);
            return Ok(None);
        }
        if !seen.insert(header.owned_or_bitmap) {
            let problem = "its space tree is that of another tree, too";
            return Err(Error::MalformedPage { page: root, what: "a space header", problem });
        }
        let owned = database.page(header.owned_or_bitmap)?;
        let available = database.page(header.owned_or_bitmap.saturating_add(1))?;
        let mut last = 0;
        for extent in extents(database, &owned)? {
            last = last.max(extent.last);
        }
        for extent in extents(database, &available)? {
            self.free.insert(extent);
        }
        for space_root in [&owned, &available] {
            for extent in split_buffer(space_root) {
                self.free.insert(extent);
            }
        }
        Ok(Some(last))
    }

    /// A tree of one extent marks its free pages in the 32 bits behind its root; pages further on are free too.
    fn add_bitmap(&mut self, root: u32, header: SpaceHeader) {
        for bit in (0..32).filter(|bit| header.owned_or_bitmap >> bit & 1 != 0) {
            if let Some(page) = root.checked_add(bit + 1)
                && bit + 1 < header.pages.max(1)
            {
                self.free.insert(Extent { first: page, last: page });
            }
        }
    }
}

fn extents<P: Pager>(database: &Database<P>, root: &Page) -> Result<Vec<Extent>, Error> {
    let mut found = Vec::new();
    if !root.has(flag::ROOT | flag::SPACE_TREE) {
        return Err(Error::MalformedPage {
            page: root.number(),
            what: "a space tree",
            problem: "its root page is none",
        });
    }
    for node in database.tree(root.number()).scan() {
        let node = node?;
        let (page, _) = node.position();
        let node = node.node()?;
        let extent = Extent::from_node(&node.key(), node.data).map_err(|error| error.on_page(page))?;
        found.extend(extent);
    }
    Ok(found)
}

/// The two extents kept in the root of a space tree for its own splits.
pub(crate) fn split_buffer(root: &Page) -> impl Iterator<Item = Extent> {
    let fields = Fields::new(root.external_header(), "a split buffer");
    [0, 8].into_iter().filter_map(move |at| {
        let (last, count) = (fields.u32(at).ok()?, fields.u32(at + 4).ok()?);
        Extent::ending_at(last, count)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_counted_from_their_last_page() {
        let extent = Extent::from_node(&24u32.to_be_bytes(), &4u32.to_le_bytes());
        assert_eq!(extent.unwrap(), Some(Extent { first: 21, last: 24 }));
        assert!(Extent::from_node(&3u32.to_be_bytes(), &9u32.to_le_bytes()).is_err());
        assert!(Extent::from_node(&[1], &[]).is_err());
        assert_eq!(Extent::ending_at(5, 0), None);
    }

    #[test]
    fn a_hostile_extent_does_not_leave_the_set() {
        let mut set = PageSet::new(100);
        set.insert(Extent { first: 90, last: u32::MAX });
        assert_eq!(set.count(), 11);
        assert!(set.contains(100) && !set.contains(101));
    }

    #[test]
    fn the_extended_form_is_found_behind_its_map() {
        let header = SpaceHeader { pages: 8, parent: 1, flags: 2, owned_or_bitmap: 0x7f };
        let plain = header.to_bytes();
        assert_eq!(SpaceHeader::parse(&plain).unwrap(), Some(header));
        let extended = [&[3][..], &plain, &[0; 8]].concat();
        assert_eq!(SpaceHeader::parse(&extended).unwrap(), Some(header));
        assert_eq!(SpaceHeader::parse(&[]).unwrap(), None);
    }
}
