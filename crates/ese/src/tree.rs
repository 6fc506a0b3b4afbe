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

    /// The node with exactly this key.
    ///
    /// # Errors
    /// As [`Database::page`].
    pub fn find(&self, key: &[u8]) -> Result<Option<NodeRef>, Error> {
        match self.seek(key).next().transpose()? {
            Some(found) if found.node()?.compare_key(key) == Ordering::Equal => Ok(Some(found)),
            _ => Ok(None),
        }
    }

    /// The nodes from this key on, in leaves that were found one by one.
    fn salvage(&self, leaves: &'d [Leaf], key: &[u8]) -> Scan<'d, P> {
        let before = leaves.partition_point(|leaf| leaf.first.as_slice() <= key).saturating_sub(1);
        let mut scan = Scan {
            database: self.database,
            leaf: None,
            line: 0,
            leaves_left: self.database.page_slots(),
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
        while let Some(leaf) = &self.leaf {
            if self.line < leaf.node_count() {
                let found = NodeRef { page: Rc::clone(leaf), line: self.line };
                self.line += 1;
                if !found.node()?.is_deleted() {
                    return Ok(Some(found));
                }
                continue;
            }
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
