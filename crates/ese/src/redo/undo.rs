//! Rolling back transactions that are open at the end of the logs (ese.md 10).

use super::Replayer;
use super::node::undo_change;
use super::pages::Slot;
use super::transaction::Change;
use crate::error::Error;
use crate::image::PageImage;
use crate::page::flag;
use crate::pager::PagerMut;

/// Deeper trees than this do not occur.
const DEEPEST: usize = 32;

impl<T: PagerMut> Replayer<T> {
    /// Undoes the changes of all open transactions, newest first. [`Replayer::finish`] does this by itself.
    ///
    /// # Errors
    /// [`Error::Replay`] when a change cannot be undone, [`Error::Io`].
    pub fn roll_back(&mut self) -> Result<(), Error> {
        self.settle_all()?;
        let mut changes = Vec::new();
        for session in self.sessions.values_mut() {
            if session.is_open() {
                self.counts.rolled_back += 1;
                changes.extend(session.take_all());
            }
        }
        // Macros without an end never happened.
        self.sessions.clear();
        changes.sort_by_key(|change| change.position);
        let end = self.position;
        while let Some(change) = changes.pop() {
            self.position = change.position;
            self.undo_one(&change)?;
            self.counts.undone += 1;
        }
        // What comes after is not of the changes: the header is made clean where the logs end.
        self.position = end;
        Ok(())
    }

    fn undo_one(&mut self, change: &Change) -> Result<(), Error> {
        let Some(key) = &change.key else {
            return Err(self.contradiction(
                change.root,
                "a transaction to roll back changed this tree, but no log says which node",
            ));
        };
        let Some((page, line)) = self.find_node(change, key)? else {
            return Err(
                self.contradiction(change.root, "a node that a rollback must change is not in this tree")
            );
        };
        self.dbtime = self.dbtime.saturating_add(1);
        let dbtime = self.dbtime;
        let image = self.pages.change(page)?;
        let done = match image.nodes.get_mut(line) {
            Some(node) => undo_change(node, change),
            None => Err("the node to roll back does not exist"),
        };
        image.dbtime = dbtime;
        done.map_err(|problem| self.contradiction(page, problem))
    }

    /// Finds a node by its bookmark: splits and merges may have moved it since.
    fn find_node(&mut self, change: &Change, key: &[u8]) -> Result<Option<(u32, usize)>, Error> {
        let bookmark = if change.unique { key.to_vec() } else { [key, &change.bookmark_data].concat() };
        let mut number = self.leaf_for(change.root, &bookmark)?;
        let mut leaves_left = self.last_page;
        // Equal keys of a tree that is not unique may go on in the next leaf.
        while number != 0 {
            let (found, next) = {
                let image = self.readable(number)?;
                (find_in_leaf(image, change, key), image.next)
            };
            match found {
                Search::Found(line) => return Ok(Some((number, line))),
                Search::Passed => return Ok(None),
                Search::Further if leaves_left == 0 => return Ok(None),
                Search::Further => {
                    leaves_left -= 1;
                    number = next;
                }
            }
        }
        Ok(None)
    }

    fn readable(&mut self, number: u32) -> Result<&PageImage, Error> {
        let unreadable = self.contradiction(number, "not readable, but a rollback needs it");
        match self.pages.slot(number)? {
            Slot::Present(image) => Ok(image),
            _ => Err(unreadable),
        }
    }

    fn leaf_for(&mut self, root: u32, bookmark: &[u8]) -> Result<u32, Error> {
        let mut number = root;
        for _ in 0..DEEPEST {
            let image = self.readable(number)?;
            if image.has(flag::LEAF) {
                return Ok(number);
            }
            let child = image
                .nodes
                .iter()
                .enumerate()
                .find(|(line, node)| line + 1 == image.nodes.len() || bookmark < image.key(node).as_slice())
                .and_then(|(_, node)| node.data.first_chunk::<4>())
                .map(|bytes| u32::from_le_bytes(*bytes));
            number = match child {
                Some(child) => child,
                None => return Err(self.contradiction(number, "it points to no child")),
            };
        }
        Err(self.contradiction(root, "the tree is deeper than a tree can be"))
    }
}

enum Search {
    Found(usize),
    /// The place where it would be was passed.
    Passed,
    /// It may be in the next leaf.
    Further,
}

fn find_in_leaf(image: &PageImage, change: &Change, key: &[u8]) -> Search {
    for (line, node) in image.nodes.iter().enumerate() {
        let node_key = image.key(node);
        match node_key.as_slice().cmp(key) {
            core::cmp::Ordering::Less => {}
            core::cmp::Ordering::Greater => return Search::Passed,
            core::cmp::Ordering::Equal => {
                if change.unique || node.data == change.bookmark_data {
                    return Search::Found(line);
                }
            }
        }
    }
    Search::Further
}
