//! The pages that a tree owns, and those of them that it calls available (ese.md 4).

use super::Walk;
use super::fault::{Problem, TreeKind, TreeName};
use super::leaf::InOrder;
use super::tree::{Owned, Spec};
use crate::error::Error;
use crate::page::{Node, Page, flag};
use crate::pager::Pager;
use crate::space::{Extent, PageSet, SpaceHeader, split_buffer};

/// In the newer form the count of pages in the header of a tree is not that of its first extent.
const LAST_ALLOCATION: u8 = 4;

impl<P: Pager> Walk<'_, P> {
    /// Reads the space of the tree with this root page. Its own trees are walked as any other.
    pub(super) fn space(&mut self, name: &TreeName, root: &Page, parent: u32) -> Result<Owned, Error> {
        let header = match SpaceHeader::parse(root.external_header()) {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(Owned::Unknown),
            Err(_) => {
                let problem = Problem::WrongKind("what it says of its space cannot be read");
                self.walker.add(name, root.number(), problem);
                return Ok(Owned::Unknown);
            }
        };
        if header.parent != parent {
            let problem = Problem::WrongParent { found: header.parent, expected: parent };
            self.walker.add(name, root.number(), problem);
        }
        if !header.has_several_extents() {
            if header.flags & LAST_ALLOCATION != 0 {
                return Ok(Owned::Unknown);
            }
            let first = root.number();
            return Ok(Owned::One(Extent { first, last: first.saturating_add(header.pages.max(1) - 1) }));
        }
        let name = TreeName { kind: TreeKind::Space, ..name.clone() };
        let object = root.object_id();
        let mut owned = core::mem::replace(&mut self.spare, PageSet::new(0));
        if owned.limit() != self.walker.database.page_slots() {
            owned = PageSet::new(self.walker.database.page_slots());
        }
        let owned_root = header.owned_or_bitmap;
        let parents = core::mem::replace(&mut self.of_table, Owned::Unknown);
        let whole = self.extents(&name, owned_root, object, &mut |extent| {
            let mine = !owned.contains(extent.first) && !owned.contains(extent.last);
            owned.insert(extent);
            mine && parents.contains(extent.first) && parents.contains(extent.last)
        });
        self.of_table = parents;
        let whole = whole?;
        let available_root = owned_root.saturating_add(1);
        let has = |page: u32| !whole || owned.limit() < page || owned.contains(page);
        let has = |extent: Extent| has(extent.first) && has(extent.last);
        self.extents(&name, available_root, object, &mut |extent| has(extent))?;
        // Each of the two keeps some pages for its own splits.
        for root in [owned_root, available_root] {
            if let Ok(page) = self.walker.database.page(root)
                && !split_buffer(&page).all(has)
            {
                self.walker.add(&name, root, Problem::Extents);
            }
        }
        Ok(if whole { Owned::Many(owned) } else { Owned::Unknown })
    }

    /// Takes back the set of the tree before, emptied.
    pub(super) fn recycle_owned(&mut self) {
        let owned = core::mem::replace(&mut self.walker.owned, Owned::Unknown);
        self.spare_set_of(owned);
    }

    /// The trees that are walked next take their pages from those of the tree before.
    pub(super) fn enter_table(&mut self) {
        self.of_table = core::mem::replace(&mut self.walker.owned, Owned::Unknown);
    }

    /// The end of [`Walk::enter_table`].
    pub(super) fn leave_table(&mut self) {
        self.recycle_owned();
        let owned = core::mem::replace(&mut self.of_table, Owned::Unknown);
        self.spare_set_of(owned);
    }

    fn spare_set_of(&mut self, owned: Owned) {
        if let Owned::Many(mut set) = owned {
            set.clear();
            self.spare = set;
        }
    }

    /// Walks a space tree and hands on its extents; those that do not fit are faults. True when nothing was left out.
    fn extents(
        &mut self,
        name: &TreeName,
        root: u32,
        object: u32,
        fits: &mut (dyn FnMut(Extent) -> bool + Send),
    ) -> Result<bool, Error> {
        let Some(page) = self.walker.first_look(name, root, root)? else {
            return Ok(false);
        };
        if !page.has(flag::SPACE_TREE) {
            self.walker.add(name, root, Problem::WrongKind("it is no space tree"));
            return Ok(false);
        }
        let last_page = self.walker.last_owned;
        let mut before = 0;
        let mut sound = true;
        let mut visit = InOrder(|node: &Node<'_>| {
            if node.is_deleted() {
                return None;
            }
            let extent = match Extent::from_node(&node.key(), node.data) {
                Ok(Some(extent)) => extent,
                Ok(None) => return None,
                Err(_) => {
                    sound = false;
                    return Some(Problem::Extents);
                }
            };
            // Reserved pools have extents of their own; each pool begins anew.
            let pool = node.prefix.len() + node.suffix.len() != 4;
            let inside = extent.last <= last_page && (pool || before < extent.first);
            before = extent.last;
            // Extents that overlap would be many times the file.
            sound = sound && inside && fits(extent);
            (!sound).then_some(Problem::Extents)
        });
        let spec = Spec { name: name.clone(), object: Some(object) };
        let walked = self.walker.walk(&spec, &page, &mut visit)?;
        Ok(walked.whole && sound)
    }
}
