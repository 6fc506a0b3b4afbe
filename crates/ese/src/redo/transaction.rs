//! Sessions, their open transactions and macros (ese.md 9.2, 10).

use crate::lgpos::Lgpos;

/// What a rollback has to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ChangeKind {
    /// The node appeared: mark it deleted.
    Insert,
    /// The node appeared in place of a deleted one with other data: old data back, mark it deleted.
    InsertAndReplace,
    /// The data changed: old data back.
    Replace,
    /// The node was marked deleted: clear the mark.
    Delete,
    /// A counter changed: subtract.
    Delta { delta: i64, offset: u16, wide: bool },
}

/// A change that a rollback undoes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Change {
    pub(super) position: Lgpos,
    pub(super) version: u32,
    /// Second version number of a change that also replaces.
    pub(super) replace_version: u32,
    pub(super) level: u8,
    pub(super) root: u32,
    pub(super) unique: bool,
    pub(super) kind: ChangeKind,
    /// Full key of the node; unknown while only the page, already newer, knows.
    pub(super) key: Option<Vec<u8>>,
    /// Data of the node as part of its bookmark, in trees whose keys are not unique.
    pub(super) bookmark_data: Vec<u8>,
    /// Data before the change.
    pub(super) old: Option<Vec<u8>>,
}

/// A session of the log.
#[derive(Clone, Default, Debug)]
pub(super) struct Session {
    level: u8,
    changes: Vec<Change>,
    collected: Option<Vec<(Lgpos, Vec<u8>)>>,
}

impl Session {
    pub(super) fn is_open(&self) -> bool {
        0 < self.level
    }

    pub(super) fn begin(&mut self, from: u8, levels: u8) {
        if from == 0 {
            self.changes.clear();
        }
        self.level = from.saturating_add(levels);
    }

    pub(super) fn commit(&mut self, to: u8) {
        self.level = to;
        if to == 0 {
            self.changes.clear();
        }
        for change in &mut self.changes {
            change.level = change.level.min(to);
        }
    }

    pub(super) fn rollback(&mut self, levels: u8) {
        self.level = self.level.saturating_sub(levels);
        let level = self.level;
        self.changes.retain(|change| change.level <= level);
    }

    pub(super) fn in_macro(&self) -> bool {
        self.collected.is_some()
    }

    pub(super) fn macro_begin(&mut self) {
        self.collected = Some(Vec::new());
    }

    pub(super) fn macro_end(&mut self) -> Vec<(Lgpos, Vec<u8>)> {
        self.collected.take().unwrap_or_default()
    }

    pub(super) fn collect(&mut self, position: Lgpos, bytes: Vec<u8>) {
        if let Some(collected) = &mut self.collected {
            collected.push((position, bytes));
        }
    }

    pub(super) fn remember(&mut self, change: Change) {
        // Without a Begin in sight the transaction began before the first record: it is open all the same.
        self.level = self.level.max(1);
        self.changes.push(change);
    }

    /// The change with this version number.
    pub(super) fn change(&mut self, version: u32) -> Option<&mut Change> {
        self.changes.iter_mut().rev().find(|change| {
            change.version == version || (change.replace_version == version && change.replace_version != 0)
        })
    }

    /// Takes a change out because the log itself undid it: by its version number, else the newest of that node.
    pub(super) fn take_change(&mut self, version: u32, root: u32, key: &[u8]) -> Option<Change> {
        let by_version = self.changes.iter().rposition(|change| change.version == version);
        let of_node = |change: &Change| change.root == root && change.key.as_deref() == Some(key);
        let index = by_version.or_else(|| self.changes.iter().rposition(of_node))?;
        Some(self.changes.remove(index))
    }

    pub(super) fn take_all(&mut self) -> Vec<Change> {
        self.level = 0;
        core::mem::take(&mut self.changes)
    }
}
