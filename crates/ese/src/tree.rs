//! Walking and searching a tree (ese.md 3.4).

use core::cmp::Ordering;
use std::rc::Rc;

use crate::database::Database;
use crate::error::Error;
use crate::leaves::Leaf;
use crate::page::{Node, Page, flag};
use crate::pager::Pager;

/// Deeper trees than this do not occur: a level multiplies the size by at least 2.
const DEEPEST: usize = 32;

/// Between two nodes of one value no more leaves than this hold nothing but deleted nodes. A value whose next node is not found
/// within them has none: whoever made the tree would let every value be looked for in all leaves.
const MOST_DESERTED: u32 = 16;

/// A tree of a database, known by its root page.
pub struct Tree<'d, P> {
    database: &'d Database<P>,
    root: u32,
}

impl<P: Pager> Database<P> {
    /// The tree with this root page.
    pub fn tree(&self, root: u32) -> Tree<'_, P> {
        Tree { database: self, root }
    }
}

impl<'d, P: Pager> Tree<'d, P> {
    /// All nodes in key order that are not flagged deleted.
    pub fn scan(&self) -> Scan<'d, P> {
        match self.database.leaves_of(self.root) {
            Some(leaves) => self.salvage(leaves, &[]),
            None => self.start(|page| page.first_child(), |_| 0),
        }
    }

    /// The same from the first key that is not below `key`.
    pub fn seek(&self, key: &[u8]) -> Scan<'d, P> {
        match self.database.leaves_of(self.root) {
            Some(leaves) => self.salvage(leaves, key),
            None => self.start(|page| page.child_for(key), |page| page.lower_bound(key)),
        }
    }

    /// The node with exactly this key, in a tree whose keys are unique.
    ///
    /// It is looked for in one leaf, that to which the separators lead: those to the right hold greater keys. So a search reads one
    /// page a level, however many leaves hold nothing but deleted nodes.
    ///
    /// # Errors
    /// As [`Database::page`].
    pub fn find(&self, key: &[u8]) -> Result<Option<NodeRef>, Error> {
        let leaf = match self.database.leaves_of(self.root) {
            // What cannot be read is left out.
            Some(leaves) => {
                leaves.get(place_of(leaves, key)).and_then(|leaf| self.database.page(leaf.page).ok())
            }
            None => Some(self.descend(|page| page.child_for(key))?),
        };
        let Some(leaf) = leaf else { return Ok(None) };
        for line in leaf.lower_bound(key)..leaf.node_count() {
            let found = NodeRef { page: Rc::clone(&leaf), line };
            let node = found.node()?;
            if node.compare_key(key) != Ordering::Equal {
                break;
            }
            if !node.is_deleted() {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The node with exactly this key, and those behind it, as long as each is near the one before it.
    pub(crate) fn seek_near(&self, key: &[u8]) -> Result<Option<Scan<'d, P>>, Error> {
        if self.find(key)?.is_none() {
            return Ok(None);
        }
        Ok(Some(Scan { most_deserted: MOST_DESERTED, ..self.seek(key) }))
    }

    /// The nodes from this key on, in leaves that were found one by one.
    fn salvage(&self, leaves: &'d [Leaf], key: &[u8]) -> Scan<'d, P> {
        let before = place_of(leaves, key);
        let mut scan = Scan {
            database: self.database,
            leaf: None,
            line: 0,
            leaves_left: self.database.page_slots(),
            most_deserted: u32::MAX,
            failed: None,
            salvaged: Some(&leaves[before..]),
        };
        scan.leaf = scan.next_salvaged();
        scan.line = scan.leaf.as_ref().map_or(0, |leaf| leaf.lower_bound(key));
        scan
    }

    fn start(
        &self,
        child: impl Fn(&Page) -> Result<u32, Error>,
        line: impl Fn(&Page) -> usize,
    ) -> Scan<'d, P> {
        let mut scan = Scan {
            database: self.database,
            leaf: None,
            line: 0,
            leaves_left: self.database.page_slots(),
            most_deserted: u32::MAX,
            failed: None,
            salvaged: None,
        };
        match self.descend(child) {
            Ok(leaf) => {
                scan.line = line(&leaf);
                scan.leaf = Some(leaf);
            }
            Err(error) => scan.failed = Some(error),
        }
        scan
    }

    fn descend(&self, child: impl Fn(&Page) -> Result<u32, Error>) -> Result<Rc<Page>, Error> {
        let mut page = self.database.page(self.root)?;
        for _ in 0..DEEPEST {
            if page.has(flag::LEAF) {
                return Ok(page);
            }
            page = self.database.page(child(&page)?)?;
        }
        Err(Error::MalformedPage {
            page: self.root,
            what: "the tree below this root",
            problem: "it is deeper than a tree can be",
        })
    }

    /// Every page of the tree, parents before children, each at most once per reference.
    ///
    /// # Errors
    /// As [`Database::page`]; more references than the file has pages are [`Error::MalformedPage`].
    pub fn pages(&self) -> Result<Vec<u32>, Error> {
        let mut pages = vec![self.root];
        let mut next = 0;
        while let Some(&number) = pages.get(next) {
            next += 1;
            let page = self.database.page(number)?;
            if page.has(flag::LEAF) {
                continue;
            }
            for node in page.nodes() {
                pages.push(node.child().map_err(|error| error.on_page(number))?);
            }
            if crate::bytes::index(self.database.page_slots()) < pages.len() {
                return Err(Error::MalformedPage {
                    page: number,
                    what: "the tree of this page",
                    problem: "it refers to more pages than the file has",
                });
            }
        }
        Ok(pages)
    }
}

/// Which of the leaves that were found one by one may hold a key.
fn place_of(leaves: &[Leaf], key: &[u8]) -> usize {
    leaves.partition_point(|leaf| leaf.first.as_slice() <= key).saturating_sub(1)
}

/// A node that keeps its page alive.
#[derive(Clone)]
pub struct NodeRef {
    page: Rc<Page>,
    line: usize,
}

impl NodeRef {
    /// The node.
    ///
    /// # Errors
    /// Never for a reference that a scan gave out; the type keeps it honest.
    pub fn node(&self) -> Result<Node<'_>, Error> {
        self.page.node(self.line)
    }

    /// Page and node number, for messages.
    pub fn position(&self) -> (u32, usize) {
        (self.page.number(), self.line)
    }
}

/// Nodes of a tree in key order; ends after the first error.
pub struct Scan<'d, P> {
    database: &'d Database<P>,
    leaf: Option<Rc<Page>>,
    line: usize,
    /// A chain of siblings longer than the file is a circle.
    leaves_left: u32,
    /// Leaves in a row without a node that is there, behind which nothing is looked for.
    most_deserted: u32,
    failed: Option<Error>,
    /// The leaves that follow, where they were found one by one.
    salvaged: Option<&'d [Leaf]>,
}

impl<P: Pager> Scan<'_, P> {
    /// The next leaf that can be read.
    fn next_salvaged(&mut self) -> Option<Rc<Page>> {
        loop {
            let (next, rest) = self.salvaged?.split_first()?;
            self.salvaged = Some(rest);
            if let Ok(page) = self.database.page(next.page) {
                return Some(page);
            }
        }
    }

    fn step(&mut self) -> Result<Option<NodeRef>, Error> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut deserted = 0;
        while let Some(leaf) = &self.leaf {
            if self.line < leaf.node_count() {
                let found = NodeRef { page: Rc::clone(leaf), line: self.line };
                self.line += 1;
                if !found.node()?.is_deleted() {
                    return Ok(Some(found));
                }
                continue;
            }
            if deserted == self.most_deserted {
                self.leaf = None;
                break;
            }
            deserted += 1;
            if self.salvaged.is_some() {
                self.leaf = self.next_salvaged();
                self.line = 0;
                continue;
            }
            let next = leaf.next();
            if next == 0 {
                self.leaf = None;
                break;
            }
            self.leaves_left = self.leaves_left.checked_sub(1).ok_or(Error::MalformedPage {
                page: next,
                what: "the chain of leaves",
                problem: "it runs in a circle",
            })?;
            let page = self.database.page(next)?;
            if !page.has(flag::LEAF) || page.object_id() != leaf.object_id() {
                return Err(Error::MalformedPage {
                    page: next,
                    what: "the chain of leaves",
                    problem: "it leaves the tree",
                });
            }
            self.leaf = Some(page);
            self.line = 0;
        }
        Ok(None)
    }
}

impl<P: Pager> Iterator for Scan<'_, P> {
    type Item = Result<NodeRef, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.leaf = None;
        }
        step.transpose()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering as Memory};

    use super::*;
    use crate::header::DatabaseHeader;
    use crate::image::{FullNode, PageImage, pointer};
    use crate::page::node_flag;
    use crate::pagesize::PageSize;
    use crate::stamps::Signature;

    /// A file in memory that counts how often it is read.
    pub(crate) struct Counted {
        pub(crate) bytes: Vec<u8>,
        pub(crate) reads: AtomicUsize,
    }

    impl Pager for Counted {
        fn size(&self) -> u64 {
            self.bytes.size()
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            self.reads.fetch_add(1, Memory::Relaxed);
            self.bytes.read_at(offset, buffer)
        }
    }

    pub(crate) fn node(key: &[u8], data: &[u8], deleted: bool) -> FullNode {
        let flags = if deleted { node_flag::DELETED } else { 0 };
        FullNode { flags, key: key.to_vec(), data: data.to_vec().into() }
    }

    /// The root page of a tree: nodes that point to leaves, each but the last under a separator.
    pub(crate) const ROOT: u32 = 1;

    /// A database of pages of 32 KiB with a tree of these leaves, from page 2 on. Before each leaf but the first stands its separator.
    pub(crate) fn tree_of(leaves: &[(&[u8], Vec<FullNode>)]) -> Vec<u8> {
        let size = PageSize::new(32_768).unwrap();
        let none = Signature([0; 28]);
        let header = DatabaseHeader::create(size, 0x620, 20, none, none);
        let mut file = [header.bytes(), header.bytes()].concat();
        let last = leaves.len() - 1;
        let pages = (2..).zip(leaves);
        let mut root = PageImage::new(size, ROOT, 9, flag::ROOT | flag::PARENT_OF_LEAF);
        root.set_nodes((2_u32..).zip(0..=last).map(|(page, place)| {
            let separator = leaves.get(place + 1).map_or(&[][..], |(separator, _)| separator);
            FullNode { flags: 0, key: separator.to_vec(), data: pointer(page) }
        }));
        file.extend(root.to_bytes().unwrap());
        for (page, (_, nodes)) in pages {
            let mut leaf = PageImage::new(size, page, 9, flag::LEAF);
            leaf.previous = if page == 2 { 0 } else { page - 1 };
            leaf.next = if page as usize == last + 2 { 0 } else { page + 1 };
            leaf.set_nodes(nodes.iter().cloned());
            file.extend(leaf.to_bytes().unwrap());
        }
        file
    }

    pub(crate) fn counted(bytes: Vec<u8>) -> Database<Counted> {
        Database::open(Counted { bytes, reads: AtomicUsize::new(0) }).unwrap()
    }

    /// How often a file is read by what is done.
    pub(crate) fn reads(database: &Database<Counted>, what: impl FnOnce()) -> usize {
        let before = database.file().reads.load(Memory::Relaxed);
        what();
        database.file().reads.load(Memory::Relaxed) - before
    }

    #[test]
    fn a_key_is_found_in_the_one_leaf_where_it_can_be() {
        let there = |keys: &[&str]| keys.iter().map(|key| node(key.as_bytes(), b"data", false)).collect();
        // A separator may be the first key of its leaf, the shortest that tells it from the last key before it, or one that has gone.
        let leaves = [
            (&b""[..], there(&["a", "aa", "ab"])),
            (b"abc", there(&["abc", "abcd"])),
            (b"b", there(&["ba", "bab"])),
            (b"cccc", there(&["d"])),
        ];
        let database = Database::open(tree_of(&leaves)).unwrap();
        let tree = database.tree(ROOT);
        for (_, nodes) in &leaves {
            for node in nodes {
                let found = tree.find(&node.key).unwrap().unwrap();
                assert_eq!(found.node().unwrap().key(), node.key);
            }
        }
        for missing in ["", "A", "abb", "ac", "abcde", "b", "bb", "c", "cccc", "e"] {
            assert!(tree.find(missing.as_bytes()).unwrap().is_none(), "{missing}");
        }
    }

    /// A tree from a stranger: what is looked for is not there, and a thousand leaves follow that hold nothing either.
    #[test]
    fn a_search_reads_no_further_than_the_leaf_where_the_key_can_be() {
        let keys: Vec<[u8; 4]> = (0..1_000_u32).map(u32::to_be_bytes).collect();
        let leaves: Vec<_> = keys.iter().map(|key| (&key[..], vec![node(key, b"", true)])).collect();
        let database = counted(tree_of(&leaves));
        let tree = database.tree(ROOT);
        for key in keys.iter().step_by(50) {
            let read = reads(&database, || assert!(tree.find(key).unwrap().is_none()));
            assert!(read <= 2, "{read} pages are read for one key");
        }
        assert_eq!(tree.scan().count(), 0, "what is flagged deleted is not there");
    }
}
