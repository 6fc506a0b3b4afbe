//! Sessions, their open transactions and macros (ese.md 9.2, 10).

use std::collections::{BTreeMap, HashMap};

use crate::lgpos::Lgpos;

/// What a rollback has to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ChangeKind {
    /// The node appeared: mark it deleted.
    Insert,
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
    /// Its number, which no other change has that may still be undone.
    pub(super) version: u32,
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

/// What a node was before a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Before {
    /// Its full key.
    pub(super) key: Vec<u8>,
    pub(super) data: Vec<u8>,
}

impl Change {
    /// Adds what the page says of the change.
    pub(super) fn complete(&mut self, before: Before) {
        self.key = Some(before.key);
        if self.kind != ChangeKind::Insert {
            self.bookmark_data.clone_from(&before.data);
        }
        self.old = Some(before.data);
    }

    /// Bytes of memory it takes, about: with its places in two maps.
    fn weight(&self) -> usize {
        const MAPS: usize = 96;
        let key = self.key.as_ref().map_or(0, Vec::len);
        let old = self.old.as_ref().map_or(0, Vec::len);
        size_of::<Self>() + MAPS + key + self.bookmark_data.len() + old
    }
}

/// Bytes of memory that a macro takes before it has collected anything, about.
const EMPTY_MACRO: usize = 96;

/// A record of a macro.
pub(super) type Collected = (Lgpos, Vec<u8>);

/// A session of the log.
#[derive(Clone, Default, Debug)]
pub(super) struct Session {
    level: u8,
    /// By the order they were made in.
    changes: BTreeMap<u64, Change>,
    /// The newest change of each version number.
    by_version: HashMap<u32, u64>,
    made: u64,
    /// Records of each macro that has not ended, by its database time.
    macros: HashMap<u64, Vec<Collected>>,
    /// What `changes` and `macros` weigh.
    weights: [usize; 2],
}

impl Session {
    /// Bytes of memory that its open transaction takes, about.
    pub(super) fn weight(&self) -> usize {
        self.weights.iter().sum()
    }

    pub(super) fn is_open(&self) -> bool {
        0 < self.level
    }

    pub(super) fn begin(&mut self, from: u8, levels: u8) {
        if from == 0 {
            self.forget_all();
        }
        self.level = from.saturating_add(levels);
    }

    pub(super) fn commit(&mut self, to: u8) {
        self.level = to;
        if to == 0 {
            self.forget_all();
        }
        // Levels never fall from one change to the next.
        for change in self.changes.values_mut().rev().take_while(|change| to < change.level) {
            change.level = to;
        }
    }

    pub(super) fn rollback(&mut self, levels: u8) {
        self.level = self.level.saturating_sub(levels);
        while let Some((&made, change)) = self.changes.last_key_value()
            && self.level < change.level
        {
            self.take(made);
        }
    }

    fn forget_all(&mut self) {
        self.changes.clear();
        self.by_version.clear();
        self.weights[0] = 0;
    }

    pub(super) fn macro_begin(&mut self, dbtime: u64) {
        self.macro_end(dbtime);
        self.weights[1] += EMPTY_MACRO;
        self.macros.insert(dbtime, Vec::new());
    }

    /// What the macro collected; nothing where none of this time has begun.
    pub(super) fn macro_end(&mut self, dbtime: u64) -> Vec<Collected> {
        let Some(collected) = self.macros.remove(&dbtime) else { return Vec::new() };
        let records: usize = collected.iter().map(weight_of_collected).sum();
        self.weights[1] -= EMPTY_MACRO + records;
        collected
    }

    pub(super) fn drop_macros(&mut self) {
        self.macros.clear();
        self.weights[1] = 0;
    }

    /// Adds a record to the macro with this time; false where there is none.
    pub(super) fn collect(&mut self, dbtime: u64, position: Lgpos, bytes: &[u8]) -> bool {
        let Some(collected) = self.macros.get_mut(&dbtime) else { return false };
        let record = (position, bytes.to_vec());
        self.weights[1] += weight_of_collected(&record);
        collected.push(record);
        true
    }

    /// Returns the number of the change, which no other one of this session has.
    pub(super) fn remember(&mut self, change: Change) -> u64 {
        // Without a Begin in sight the transaction began before the first record: it is open all the same.
        self.level = self.level.max(1);
        self.made += 1;
        self.by_version.insert(change.version, self.made);
        self.weights[0] += change.weight();
        self.changes.insert(self.made, change);
        self.made
    }

    /// True where a change was neither committed nor undone meanwhile.
    pub(super) fn remembers(&self, made: u64) -> bool {
        self.changes.contains_key(&made)
    }

    /// Adds to a change what its page says of it, where it was neither committed nor undone meanwhile.
    pub(super) fn complete_made(&mut self, made: u64, before: Before) {
        if let Some(change) = self.changes.get_mut(&made) {
            self.weights[0] -= change.weight();
            change.complete(before);
            self.weights[0] += change.weight();
        }
    }

    /// Adds to the change with this version number what the log says of it later.
    pub(super) fn complete(&mut self, version: u32, complete: impl FnOnce(&mut Change)) {
        let made = self.by_version.get(&version);
        if let Some(change) = made.and_then(|made| self.changes.get_mut(made)) {
            self.weights[0] -= change.weight();
            complete(change);
            self.weights[0] += change.weight();
        }
    }

    /// Takes the change with this version number out because the log itself undid it.
    pub(super) fn take_change(&mut self, version: u32) -> Option<Change> {
        let made = self.by_version.get(&version).copied();
        made.and_then(|made| self.take(made))
    }

    fn take(&mut self, made: u64) -> Option<Change> {
        let change = self.changes.remove(&made)?;
        self.weights[0] -= change.weight();
        if self.by_version.get(&change.version) == Some(&made) {
            self.by_version.remove(&change.version);
        }
        Some(change)
    }

    pub(super) fn take_all(&mut self) -> Vec<Change> {
        self.level = 0;
        let changes = core::mem::take(&mut self.changes).into_values().collect();
        self.forget_all();
        changes
    }
}

fn weight_of_collected((_, bytes): &Collected) -> usize {
    size_of::<Collected>() + bytes.len()
}
