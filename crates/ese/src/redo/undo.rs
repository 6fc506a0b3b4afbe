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
        self.pages.trim()?;
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

    /// Finds a node by its bookmark: splits and merges may have moved it since. Where keys are not unique the bookmark has the data,
    /// as separators have, so in either kind of tree there is one leaf in which the node can be.
    fn find_node(&mut self, change: &Change, key: &[u8]) -> Result<Option<(u32, usize)>, Error> {
        let bookmark = if change.unique { key.to_vec() } else { [key, &change.bookmark_data].concat() };
        let number = self.leaf_for(change.root, &bookmark)?;
        let line = find_in_leaf(self.readable(number)?, change, key);
        Ok(line.map(|line| (number, line)))
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

fn find_in_leaf(image: &PageImage, change: &Change, key: &[u8]) -> Option<usize> {
    image
        .nodes
        .iter()
        .position(|node| image.has_key(node, key) && (change.unique || node.data == change.bookmark_data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::DatabaseHeader;
    use crate::lgpos::Lgpos;
    use crate::pagesize::PageSize;
    use crate::redo::transaction::ChangeKind;
    use crate::tree::tests::{ROOT, node, tree_of};

    const LEAVES: u32 = 1_000;

    /// A tree of leaves with one node each, which is flagged deleted.
    fn deleted() -> Replayer<Vec<u8>> {
        let keys: Vec<[u8; 4]> = (0..LEAVES).map(u32::to_be_bytes).collect();
        let leaves: Vec<_> = keys.iter().map(|key| (&key[..], vec![node(key, b"", true)])).collect();
        let bytes = tree_of(&leaves);
        let header = DatabaseHeader::read(&bytes).unwrap().0;
        Replayer::new(bytes, Some(header), PageSize::new(32_768).unwrap())
    }

    /// The deletion of the node with this key.
    fn deletion(key: &[u8]) -> Change {
        Change {
            position: Lgpos::default(),
            version: 1,
            level: 1,
            root: ROOT,
            unique: true,
            kind: ChangeKind::Delete,
            key: Some(key.to_vec()),
            bookmark_data: Vec::new(),
            old: Some(Vec::new()),
        }
    }

    fn pages_in_memory(replayer: &Replayer<Vec<u8>>) -> usize {
        (1..=LEAVES + 1).filter(|page| replayer.pages.holds(*page)).count()
    }

    #[test]
    fn a_node_that_is_not_there_is_looked_for_in_one_leaf() {
        for unique in [true, false] {
            let mut replayer = deleted();
            let change = Change { unique, ..deletion(b"\0\0\0\0 none") };
            let error = replayer.undo_one(&change).unwrap_err();
            assert!(error.to_string().contains("is not in this tree"), "{error}");
            assert_eq!(pages_in_memory(&replayer), 2, "the root and one leaf");
        }
    }

    #[test]
    fn a_rollback_of_many_pages_holds_few_of_them_in_memory() {
        let mut replayer = deleted();
        for key in 0..LEAVES {
            replayer.undo_one(&deletion(&key.to_be_bytes())).unwrap();
        }
        assert!(pages_in_memory(&replayer) < 200, "{} pages", pages_in_memory(&replayer));
        assert_eq!(replayer.visible_nodes().unwrap().len(), LEAVES as usize);
    }
}
