//! Redo of records that change one page (ese.md 9.3).

use bytes::Bytes;

use super::Replayer;
use super::fit::Verdict;
use super::transaction::{Before, Change, ChangeKind};
use crate::bytes::Fields;
use crate::error::Error;
use crate::image::{NodeImage, PageImage};
use crate::log::Record;
use crate::log::record::{NodeChange, Operation};
use crate::page::node_flag;
use crate::pager::PagerMut;

impl<T: PagerMut> Replayer<T> {
    /// Redoes a record on one node or on tag 0.
    pub(super) fn apply_node_record(&mut self, at: &NodeChange, record: &Record<'_>) -> Result<(), Error> {
        if !self.is_ours(at.page.database) {
            return Ok(());
        }
        self.last_object = self.last_object.max(at.object);
        match record {
            Record::UndoInfo { key, bookmark_data, before, operation, .. } => {
                self.note_undo_info(at, *operation, key, bookmark_data, before);
                return Ok(());
            }
            Record::Undo { .. } => return self.redo_undo(at),
            _ => {}
        }
        let made = self.remember(at, record);
        // All ones: the operation is part of the split before it, which judged the pages.
        let verdict = if at.page.before == u64::MAX {
            Verdict::AlreadyThere
        } else {
            self.judge(at.page.page, at.page.dbtime, at.page.before)?
        };
        if verdict == Verdict::Apply {
            let (number, dbtime) = (at.page.page, at.page.dbtime);
            let page = self.pages.change(number)?;
            let done = change_page(page, at, record, made.is_some());
            page.dbtime = dbtime;
            let before = done.map_err(|problem| self.contradiction(number, problem))?;
            self.complete(at, made, before);
        }
        // Where a split did the operation already, the split knows the data before it.
        let prepared = self.prepared.take().filter(|(version, _)| *version == at.version);
        self.complete(at, made, prepared.map(|(_, before)| before));
        Ok(())
    }

    fn complete(&mut self, at: &NodeChange, made: Option<u64>, before: Option<Before>) {
        if let (Some(made), Some(before)) = (made, before) {
            self.session(at.page.session).complete_made(made, before);
        }
    }

    /// Keeps a record that changes one page, and no other, until that page is needed; false for one that does not wait.
    pub(super) fn let_wait(&mut self, record: &Record<'_>, bytes: &[u8]) -> bool {
        let Some(at) = waits(record) else { return false };
        let page = at.page.page;
        // A page in memory is changed at once; another order than that of the log is none of its records' business.
        let at_once = self.waiting.is_off()
            || !self.is_ours(at.page.database)
            || self.prepared.is_some()
            || !Self::is_possible(page)
            || self.pages.holds(page) && !self.waiting.has(page);
        if at_once {
            return false;
        }
        self.last_object = self.last_object.max(at.object);
        self.dbtime = self.dbtime.max(at.page.dbtime);
        let made = self.remember(at, record).unwrap_or(0);
        // Numbers that large do not occur: a session would have to change four billion nodes.
        self.waiting.add(page, self.position, bytes, u32::try_from(made).unwrap_or(0));
        true
    }

    /// Remembers what a rollback of this record would have to know, as far as the record itself says it. Returns the
    /// number of the change, to which the page adds what it says; `None` where there is nothing to undo.
    fn remember(&mut self, at: &NodeChange, record: &Record<'_>) -> Option<u64> {
        if !at.page.is_versioned() {
            return None;
        }
        let mut bookmark_data: &[u8] = &[];
        let mut version = at.version;
        let (kind, key) = match record {
            Record::Insert { prefix, suffix, data, .. } => {
                bookmark_data = data;
                (ChangeKind::Insert, Some([*prefix, *suffix].concat()))
            }
            Record::FlagInsert { key, data, .. } => {
                bookmark_data = data;
                (ChangeKind::Insert, Some(key.to_vec()))
            }
            Record::FlagInsertAndReplace { key, data, replace_version, .. } => {
                // Two changes, which a rollback of the engine undoes by two records, the newer one first.
                self.remember_change(at, at.version, ChangeKind::Insert, Some(key.to_vec()), data);
                version = *replace_version;
                (ChangeKind::Replace, Some(key.to_vec()))
            }
            Record::Replace { .. } | Record::ReplaceDifference { .. } => (ChangeKind::Replace, None),
            Record::FlagDelete { .. } => (ChangeKind::Delete, None),
            Record::Delta { key, delta, offset, wide, .. } => {
                let kind = ChangeKind::Delta { delta: *delta, offset: *offset, wide: *wide };
                (kind, Some(key.to_vec()))
            }
            _ => return None,
        };
        Some(self.remember_change(at, version, kind, key, bookmark_data))
    }

    fn remember_change(
        &mut self,
        at: &NodeChange,
        version: u32,
        kind: ChangeKind,
        key: Option<Vec<u8>>,
        bookmark_data: &[u8],
    ) -> u64 {
        let change = Change {
            position: self.position,
            version,
            level: at.page.level,
            root: at.root,
            unique: at.page.is_unique(),
            kind,
            key,
            bookmark_data: bookmark_data.to_vec(),
            old: None,
        };
        self.session(at.page.session).remember(change)
    }

    fn note_undo_info(
        &mut self,
        at: &NodeChange,
        operation: Operation,
        key: &[u8],
        bookmark_data: &[u8],
        before: &[u8],
    ) {
        self.session(at.page.session).complete(at.version, |change| {
            if change.key.is_none() {
                change.key = Some(key.to_vec());
                change.bookmark_data = bookmark_data.to_vec();
            }
            if operation == Operation::Replace && change.old.is_none() {
                change.old = Some(before.to_vec());
            }
        });
    }

    /// A rollback that the engine logged itself.
    fn redo_undo(&mut self, at: &NodeChange) -> Result<(), Error> {
        let verdict = self.judge(at.page.page, at.page.dbtime, at.page.before)?;
        let change = self.session(at.page.session).take_change(at.version);
        if verdict == Verdict::AlreadyThere {
            return Ok(());
        }
        let number = at.page.page;
        let Some(change) = change else {
            return Err(self.contradiction(number, "a rollback of a change that is not in the log"));
        };
        let page = self.pages.change(number)?;
        page.dbtime = at.page.dbtime;
        let done = match page.nodes.get_mut(usize::from(at.page.line)) {
            Some(node) => undo_change(node, &change),
            None => Err("the node to roll back does not exist"),
        };
        done.map_err(|problem| self.contradiction(number, problem))
    }
}

/// What a record changes that changes one page, by what this page alone says.
pub(super) fn waits<'r>(record: &'r Record<'_>) -> Option<&'r NodeChange> {
    // All ones: the split before it judged the page.
    let waits = |at: &&NodeChange| at.page.before != u64::MAX;
    match record {
        Record::UndoInfo { .. } | Record::Undo { .. } => None,
        other => other.node_change().filter(waits),
    }
}

/// Puts a node back into the state before a change.
pub(super) fn undo_change(node: &mut NodeImage, change: &Change) -> Result<(), &'static str> {
    const NO_BEFORE_IMAGE: &str = "the data before the change is not known: a log is incomplete";
    match &change.kind {
        ChangeKind::Insert => node.set_deleted(true),
        ChangeKind::Replace => node.data = change.old.clone().ok_or(NO_BEFORE_IMAGE)?.into(),
        ChangeKind::Delete => node.set_deleted(false),
        ChangeKind::Delta { delta, offset, wide } => {
            node.data = added(&node.data, *offset, delta.wrapping_neg(), *wide)?;
        }
    }
    Ok(())
}

/// Changes a page as the record says; the verdict was given before. Where somebody wants to know it, also returns what the
/// node was before.
pub(super) fn change_page(
    page: &mut PageImage,
    at: &NodeChange,
    record: &Record<'_>,
    wants_before: bool,
) -> Result<Option<Before>, &'static str> {
    let line = usize::from(at.page.line);
    match record {
        Record::SetExternalHeader { header, .. } => {
            // The prefix of a space tree's root follows its split buffer; nodes keep their lengths.
            page.external = header.to_vec();
            return Ok(None);
        }
        Record::Insert { prefix, suffix, data, .. } => {
            if page.nodes.len() < line {
                return Err("the record inserts behind the last node");
            }
            if page.prefix().get(..prefix.len()) != Some(*prefix) {
                return Err("the record shares key bytes that the page does not have");
            }
            let node = NodeImage {
                flags: inserted_flags(at),
                prefix: prefix.len(),
                suffix: Bytes::copy_from_slice(suffix),
                data: Bytes::copy_from_slice(data),
            };
            page.nodes.insert(line, node);
            return Ok(None);
        }
        _ => {}
    }
    let Some(node) = page.nodes.get(line) else {
        return Err("the record changes a node that does not exist");
    };
    if at.page.is_versioned() && named_key(record).is_some_and(|key| !page.has_key(node, key)) {
        return Err("the record names another key than the node has");
    }
    let before = wants_before.then(|| Before { key: page.key(node), data: node.data.to_vec() });
    let node = &mut page.nodes[line];
    match record {
        Record::FlagInsert { .. } => node.set_deleted(false),
        Record::FlagInsertAndReplace { data, .. } => {
            node.set_deleted(false);
            node.data = Bytes::copy_from_slice(data);
        }
        Record::FlagDelete { .. } => node.set_deleted(true),
        Record::Delete { .. } => {
            page.nodes.remove(line);
        }
        Record::Replace { .. } | Record::ReplaceDifference { .. } => {
            node.data = replaced(&node.data, record)?.into();
        }
        Record::Delta { delta, offset, wide, .. } => node.data = added(&node.data, *offset, *delta, *wide)?,
        _ => return Err("the record is not one of a node"),
    }
    Ok(before)
}

/// The key that a record on an existing node says the node has.
fn named_key<'a>(record: &Record<'a>) -> Option<&'a [u8]> {
    match record {
        Record::FlagInsert { key, .. }
        | Record::FlagInsertAndReplace { key, .. }
        | Record::Delta { key, .. } => Some(key),
        _ => None,
    }
}

pub(super) fn inserted_flags(at: &NodeChange) -> u8 {
    if at.page.is_versioned() { node_flag::VERSIONED } else { 0 }
}

/// The data after a replace, both lengths checked.
pub(super) fn replaced(old: &[u8], record: &Record<'_>) -> Result<Vec<u8>, &'static str> {
    let (new, old_length, new_length) = match record {
        Record::Replace { data, old_length, new_length, .. } => (data.to_vec(), *old_length, *new_length),
        Record::ReplaceDifference { difference, old_length, new_length, long_headers, .. } => {
            let new = apply_difference(old, difference, *long_headers)
                .ok_or("the difference in the record does not fit the data")?;
            (new, *old_length, *new_length)
        }
        _ => return Err("the record is no replacement"),
    };
    if old.len() != usize::from(old_length) {
        return Err("the data had another length than the record expects");
    }
    if new.len() != usize::from(new_length) {
        return Err("the data gets another length than the record says");
    }
    Ok(new)
}

/// Applies logged differences to the data they were made from (ese.md 9.3).
pub fn apply_difference(old: &[u8], difference: &[u8], long_headers: bool) -> Option<Vec<u8>> {
    const WIDE_LENGTHS: u8 = 0x80;
    const INSERT: u8 = 0x40;
    const SAME_LENGTH: u8 = 0x20;
    let fields = Fields::new(difference, "a difference");
    let mut new = Vec::new();
    let (mut at, mut consumed) = (0, 0);
    while at < difference.len() {
        let word = fields.u16(at).ok()?;
        let (offset, flags) = if long_headers {
            let flags = fields.u8(at + 2).ok()?;
            at += 3;
            (usize::from(word), flags)
        } else {
            at += 2;
            (usize::from(word & 0x1FFF), word.to_le_bytes()[1])
        };
        let mut length = || {
            if flags & WIDE_LENGTHS != 0 {
                at += 2;
                fields.u16(at - 2).ok().map(usize::from)
            } else {
                at += 1;
                fields.u8(at - 1).ok().map(usize::from)
            }
        };
        let new_length = length()?;
        let old_length = match flags & (INSERT | SAME_LENGTH) {
            0 => length()?,
            SAME_LENGTH => new_length,
            _ => 0,
        };
        new.extend_from_slice(old.get(consumed..offset)?);
        new.extend_from_slice(fields.slice(at, new_length).ok()?);
        at += new_length;
        consumed = offset + old_length;
    }
    new.extend_from_slice(old.get(consumed..)?);
    Some(new)
}

/// Data with a counter in it, the counter changed.
fn added(data: &[u8], offset: u16, delta: i64, wide: bool) -> Result<Bytes, &'static str> {
    const OUTSIDE: &str = "the counter lies outside the data";
    let mut data = data.to_vec();
    let place = data.get_mut(usize::from(offset)..).ok_or(OUTSIDE)?;
    if wide {
        let bytes = place.first_chunk_mut::<8>().ok_or(OUTSIDE)?;
        *bytes = i64::from_le_bytes(*bytes).wrapping_add(delta).to_le_bytes();
    } else {
        let bytes = place.first_chunk_mut::<4>().ok_or(OUTSIDE)?;
        // A 32-bit counter wraps in 32 bits.
        #[allow(clippy::cast_possible_truncation)]
        let delta = delta as i32;
        *bytes = i32::from_le_bytes(*bytes).wrapping_add(delta).to_le_bytes();
    }
    Ok(data.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn differences_insert_replace_and_remove() {
        let old = b"0123456789";
        // Insert "ab" at 2.
        let insert = [2, 0x40, 2, b'a', b'b'];
        assert_eq!(apply_difference(old, &insert, false).unwrap(), b"01ab23456789");
        // Same length at 4, then two bytes become one at 8.
        let both = [4, 0x20, 1, b'x', 8, 0, 1, 2, b'y'];
        assert_eq!(apply_difference(old, &both, false).unwrap(), b"0123x567y");
        // A long header, with a wide length.
        let long = [0, 0, 0xC0, 1, 0, b'z'];
        assert_eq!(apply_difference(old, &long, true).unwrap(), b"z0123456789");
    }

    #[test]
    fn counters_wrap_in_their_own_width() {
        let data = added(&u32::MAX.to_le_bytes(), 0, 2, false).unwrap();
        assert_eq!(data.as_ref(), 1u32.to_le_bytes());
        assert!(added(&data, 1, 1, false).is_err());
        assert!(added(&data, 0, 1, true).is_err());
    }

    proptest! {
        #[test]
        fn hostile_differences_do_not_panic(
            old in proptest::collection::vec(any::<u8>(), 0..60),
            difference in proptest::collection::vec(any::<u8>(), 0..60),
            long in any::<bool>(),
        ) {
            let _ = apply_difference(&old, &difference, long);
        }
    }
}
