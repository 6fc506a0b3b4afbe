//! Reading around damage: the leaves of a tree found by looking at every page, so that a damaged page hides only what is on
//! it, and never what lies below or behind it.

use std::collections::BTreeMap;

use certadm_files::AlignedBuffer;

use crate::bytes::index;
use crate::catalog::{CATALOG_OBJECT, CATALOG_ROOT, Catalog, SHADOW_OBJECT, SHADOW_ROOT};
use crate::database::{Database, checked_page};
use crate::error::Error;
use crate::leaves::{Leaf, Leaves};
use crate::page::{Page, flag};
use crate::pager::Pager;
use crate::space::{Extent, PageSet, SpaceMap};
use crate::verify::Progress;

/// Bytes read at a time.
const STRIDE: usize = 1 << 20;

/// A leaf as it was found.
struct Found {
    page: u32,
    first: Vec<u8>,
    last: Vec<u8>,
    dbtime: u64,
}

/// What a look at every page came to.
struct Look {
    leaves: BTreeMap<u32, Vec<Found>>,
    /// Pages that nodes above the leaves refer to.
    referred: PageSet,
    unreadable: PageSet,
    zero: PageSet,
}

impl<P: Pager> Database<P> {
    /// The same database, read around its damage: tables and long values are read leaf by leaf, whatever of the pages above
    /// them is there, and the catalog is made whole from its copy. Pages that cannot be read are left out
    /// ([`Database::skipped_pages`]).
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn salvaging(mut self, progress: &mut dyn FnMut(Progress)) -> Result<Self, Error> {
        let mut look = self.look(progress)?;
        let fixed = BTreeMap::from([(CATALOG_ROOT, CATALOG_OBJECT), (SHADOW_ROOT, SHADOW_OBJECT)]);
        // The catalog says which pages are free; it is read without knowing that.
        let by_object = look.select(&[CATALOG_OBJECT, SHADOW_OBJECT], None);
        self.set_leaves(Leaves { objects: fixed.clone(), by_object, skipped: 0 });
        let catalog = self.catalog()?;
        let roots: Vec<u32> = catalog.roots().into_iter().map(|(root, _)| root).collect();
        for root in &roots {
            look.referred.insert(Extent { first: *root, last: *root });
        }
        let space = SpaceMap::read(&self, roots).ok();
        let mut objects = fixed;
        objects.extend(objects_of(&catalog));
        let wanted: Vec<u32> = objects.values().copied().collect();
        let by_object = look.select(&wanted, space.as_ref());
        let last = space.as_ref().map_or(self.page_slots(), |space| space.last_owned.min(self.page_slots()));
        let is_free = |page: u32| space.as_ref().is_some_and(|space| space.free.contains(page));
        let lost = |page: &u32| {
            // A page of zeros is only known to be missing where something refers to it.
            !is_free(*page)
                && (look.unreadable.contains(*page)
                    || look.zero.contains(*page) && look.referred.contains(*page))
        };
        let skipped = (1..=last).filter(lost).count();
        self.set_leaves(Leaves { objects, by_object, skipped: crate::bytes::count32(skipped) });
        Ok(self)
    }

    /// Reads every page.
    fn look(&self, progress: &mut dyn FnMut(Progress)) -> Result<Look, Error> {
        let size = self.page_size();
        let total = self.page_slots();
        let set = || PageSet::new(total);
        let mut look = Look { leaves: BTreeMap::new(), referred: set(), unreadable: set(), zero: set() };
        let mut buffer = AlignedBuffer::new(STRIDE);
        let mut number = 1;
        while number <= total {
            let take = (STRIDE / size.bytes()).min(index(total - number) + 1);
            let bytes = &mut buffer[..take * size.bytes()];
            self.file().read_at(size.offset_of(number), bytes)?;
            for page in bytes.chunks_exact(size.bytes()) {
                look.page(number, page);
                number = number.saturating_add(1);
            }
            progress(Progress { done: number - 1, total });
        }
        Ok(look)
    }
}

impl Look {
    fn page(&mut self, number: u32, bytes: &[u8]) {
        if crate::checksum::is_zero(bytes) {
            self.zero.insert(Extent { first: number, last: number });
            return;
        }
        let page = checked_page(number, bytes.to_vec()).and_then(|(bytes, _)| Page::parse(number, bytes));
        let Ok(page) = page else {
            self.unreadable.insert(Extent { first: number, last: number });
            return;
        };
        if page.flags() & (flag::SPACE_TREE | flag::INDEX | flag::EMPTY | flag::PRE_INITIALISED) != 0 {
            return;
        }
        if !page.has(flag::LEAF) {
            for child in page.nodes().filter_map(|node| node.child().ok()) {
                self.referred.insert(Extent { first: child, last: child });
            }
            return;
        }
        let keys = [page.node(0), page.node(page.node_count().saturating_sub(1))];
        if let [Ok(first), Ok(last)] = keys {
            let found = Found { page: number, first: first.key(), last: last.key(), dbtime: page.dbtime() };
            self.leaves.entry(page.object_id()).or_default().push(found);
        }
    }

    /// The leaves of these objects, in order. Where the ranges of two overlap, one is a left-over: the one to which a page
    /// refers counts, or the newer one.
    fn select(&self, objects: &[u32], space: Option<&SpaceMap>) -> BTreeMap<u32, Vec<Leaf>> {
        let mut selected = BTreeMap::new();
        for (object, found) in self.leaves.iter().filter(|(object, _)| objects.contains(object)) {
            let is_free = |leaf: &&Found| space.is_some_and(|space| space.free.contains(leaf.page));
            let mut found: Vec<&Found> = found.iter().filter(|leaf| !is_free(leaf)).collect();
            found.sort_by_key(|leaf| core::cmp::Reverse((self.referred.contains(leaf.page), leaf.dbtime)));
            let mut ranges: BTreeMap<&[u8], &Found> = BTreeMap::new();
            for leaf in found {
                let before = ranges.range(..=leaf.first.as_slice()).next_back();
                let after = ranges.range(leaf.first.as_slice()..).next();
                let fits = before.is_none_or(|(_, before)| before.last < leaf.first)
                    && after.is_none_or(|(after, _)| leaf.last.as_slice() < *after);
                if fits {
                    ranges.insert(&leaf.first, leaf);
                }
            }
            let leaves = ranges.into_values().map(|leaf| Leaf { first: leaf.first.clone(), page: leaf.page });
            selected.insert(*object, leaves.collect());
        }
        selected
    }
}

/// The objects of the trees of rows and of long values, by their root pages.
fn objects_of(catalog: &Catalog) -> impl Iterator<Item = (u32, u32)> {
    catalog.tables().iter().flat_map(|table| {
        let long_values = table.long_values.zip(table.long_values_object);
        [Some((table.root, table.object_id)), long_values].into_iter().flatten()
    })
}
