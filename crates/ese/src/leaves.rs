//! The leaves of trees, kept in order where a database is read around its damage.

use std::collections::BTreeMap;

/// The leaves of all trees of rows and of long values. Memory: some 100 bytes a leaf.
pub(crate) struct Leaves {
    /// The object of each tree by its root page.
    pub(crate) objects: BTreeMap<u32, u32>,
    pub(crate) by_object: BTreeMap<u32, Vec<Leaf>>,
    /// Pages in use that cannot be read.
    pub(crate) skipped: u32,
}

/// A leaf and its first key.
pub(crate) struct Leaf {
    pub(crate) first: Vec<u8>,
    pub(crate) page: u32,
}

impl Leaves {
    /// The leaves of a tree in the order of their keys; `None` where the tree is none of rows or long values.
    pub(crate) fn of_tree(&self, root: u32) -> Option<&[Leaf]> {
        let object = self.objects.get(&root)?;
        Some(self.by_object.get(object).map_or(&[], Vec::as_slice))
    }
}
