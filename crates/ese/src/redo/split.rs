//! Redo of splits (ese.md 9.4).
//!
//! # One split, worked through
//!
//! Page 21 is a leaf with the keys `a b d e`; page 30 is the leaf to the right of it. Their parent is page 20. A
//! pointer in a parent has a key that all keys of its child are below, so page 20 has the nodes `f -> 21` and, as the
//! last one of its level, ` -> 30` with an empty key. The key `c` is to be inserted and does not fit on page 21. The
//! engine logs
//!
//! ```text
//! MacroBegin
//! Split    page 21, new 33, right 30, parent 20, kind right, operation insert
//!          operation_line 2, split_line 3, lines 5, parent_key "d", image: page 21 as it was
//! Insert   page 21, line 2, key c, time before: all ones
//! MacroCommit
//! ```
//!
//! All of it is applied at `MacroCommit`, because a half of it would lose nodes:
//!
//! 1. The operation is done on a list, where nothing is too long: `a b c d e`, which are `lines` nodes. ([`divide`]
//!    refuses another number: then database and log were not written together.)
//! 2. Lines from `split_line` on move: page 33 gets `d e`, page 21 keeps `a b c`. Each page has a prefix that its keys
//!    may leave out, and both prefixes change, so all nodes are written anew from full keys.
//! 3. The chain of leaves: 21 points right to 33, 33 back to 21 and right to 30, and 30 back to 33.
//! 4. The parent is searched for the pointer to 21, which was `f -> 21`. `d -> 21` comes before it, and it becomes `f
//!    -> 33`. Where the parent has no room for this, it is split by a level of the record of its own, which comes
//!    before that of its child, and then the pointer is the operation of that level ([`operate_on_branch`]).
//! 5. The four pages get the database time of the record. The `Insert` that follows does nothing to a page any more
//!    (all ones say so), but its transaction may be rolled back, so the change is remembered.
//!
//! The engine wrote the four pages to the file one by one, in any order, and may have crashed between any two. Each
//! page is therefore judged by its own time ([`Replayer::judge`]), and those that are there already are left alone.
//! One case needs more: page 21 is new in the file and page 33 is not. Then `d e` are on no page. For this case the
//! record holds the image of page 21 before the split, and [`Replayer::split_source`] takes it. A split that appends
//! needs no image, since the only node that moves is the inserted one, which the record of the operation holds.
//!
//! [`divide`]: Replayer::divide

use super::node::{inserted_flags, replaced};
use bytes::Bytes;

use super::Replayer;
use super::fit::Verdict;
use super::pages::Slot;
use super::transaction::Before;
use crate::compress::xpress;
use crate::error::Error;
use crate::image::{FullNode, NodeImage, PageImage, pointer};
use crate::lgpos::Lgpos;
use crate::log::Record;
use crate::log::record::{NodeChange, OtherPage, PageChange, Split, SplitKind, SplitOperation};
use crate::page::{Page, flag};
use crate::pager::PagerMut;
use crate::pagesize::PageSize;

/// More nodes than fit on a page.
const LONGEST_PAGE: u16 = 0xFFF;

impl<T: PagerMut> Replayer<T> {
    /// Redoes the levels of one split, root first; `operation` is the record that caused it.
    pub(super) fn apply_splits(
        &mut self,
        levels: &[(Split<'_>, Lgpos)],
        operation: Option<&Record<'_>>,
    ) -> Result<(), Error> {
        for (level, (split, position)) in levels.iter().enumerate() {
            self.pages.trim()?;
            self.position = *position;
            // A level without a new page only announces the pointer that its child sets.
            if split.new == 0 || !self.is_ours(split.page.database) {
                continue;
            }
            let child = levels.get(level + 1).map(|(child, _)| child);
            self.split_level(split, child, operation)?;
            let parent_splits = levels[..level]
                .iter()
                .any(|(other, _)| other.new != 0 && other.page.page == split.parent.page);
            if split.kind != SplitKind::Vertical && !parent_splits {
                self.point_parent(split)?;
            }
        }
        Ok(())
    }

    fn split_level(
        &mut self,
        split: &Split<'_>,
        child: Option<&Split<'_>>,
        operation: Option<&Record<'_>>,
    ) -> Result<(), Error> {
        let old = split.page;
        self.last_object = self.last_object.max(split.object);
        let new_verdict = self.judge_new(split.new, old.dbtime)?;
        let old_verdict = self.judge(old.page, old.dbtime, old.before)?;
        let is_leaf = split.new_flags & flag::LEAF != 0;
        let right_verdict = match split.right.page {
            right if right != 0 && is_leaf && split.kind != SplitKind::Vertical => {
                Some(self.judge(right, old.dbtime, split.right.before)?)
            }
            _ => None,
        };
        if (new_verdict, old_verdict) != (Verdict::AlreadyThere, Verdict::AlreadyThere) {
            let source = self.split_source(split, child, old_verdict)?;
            let (left, right) = self.divide(split, source, child, operation)?;
            if new_verdict == Verdict::Apply {
                self.pages.put(right);
            }
            if old_verdict == Verdict::Apply {
                self.pages.put(left);
            }
        }
        if right_verdict == Some(Verdict::Apply) {
            let page = self.pages.change(split.right.page)?;
            page.previous = split.new;
            page.dbtime = old.dbtime;
        }
        Ok(())
    }

    /// The old page before the split: as it is, or from the record when it is already newer on disk.
    fn split_source(
        &mut self,
        split: &Split<'_>,
        child: Option<&Split<'_>>,
        verdict: Verdict,
    ) -> Result<PageImage, Error> {
        let number = split.page.page;
        if verdict == Verdict::Apply
            && let Slot::Present(image) = self.pages.slot(number)?
        {
            return Ok(image.clone());
        }
        match self.append_source(split, child) {
            Some(source) => Ok(source),
            None => self.image_before(&split.page, split.image_flags, split.image),
        }
    }

    /// An append that moves nothing but what it inserts keeps no copy of the old page, because the new page follows
    /// from the record alone. The nodes that stay are stood in for; the old page is not written.
    fn append_source(&self, split: &Split<'_>, child: Option<&Split<'_>>) -> Option<PageImage> {
        let inserted = split.operation_line;
        let is_leaf = split.new_flags & flag::LEAF != 0;
        let behind_inserted = split.lines.checked_sub(inserted)?;
        let moves_only_inserted = split.kind == SplitKind::Append
            && split.operation == SplitOperation::Insert
            && inserted <= split.split_line
            && split.image.is_empty();
        let known = if is_leaf { 1 } else { 2 };
        if !moves_only_inserted || behind_inserted != known || LONGEST_PAGE < split.lines {
            return None;
        }
        let mut source = PageImage::new(self.pages.size, split.page.page, split.object, split.old_flags);
        source.nodes = vec![NodeImage::plain(&[], &[]); usize::from(split.lines) - 1];
        if let (false, Some(last)) = (is_leaf, source.nodes.last_mut()) {
            last.data = pointer(child?.page.page);
        }
        Some(source)
    }

    /// A page as the record kept it. The copy was taken when the page already carried its new time.
    pub(super) fn image_before(
        &mut self,
        page: &PageChange,
        flags: u32,
        image: &[u8],
    ) -> Result<PageImage, Error> {
        let number = page.page;
        if image.is_empty() {
            return Err(self.contradiction(
                number,
                "newer than the page it was split or merged with, and the record keeps no copy",
            ));
        }
        let decoded = decode_image(self.pages.size, flags, image)
            .and_then(|bytes| Page::parse(number, bytes).ok())
            .map(PageImage::from_page)
            .filter(|image| [page.before, page.dbtime].contains(&image.dbtime));
        decoded
            .ok_or_else(|| self.contradiction(number, "the copy of the page in the record is not readable"))
    }

    /// Divides the source page: what stays, what moves.
    fn divide(
        &mut self,
        split: &Split<'_>,
        source: PageImage,
        child: Option<&Split<'_>>,
        operation: Option<&Record<'_>>,
    ) -> Result<(PageImage, PageImage), Error> {
        let number = split.page.page;
        let is_leaf = split.new_flags & flag::LEAF != 0;
        let mut nodes = source.full_nodes();
        let done = if is_leaf {
            self.operate_on_leaf(split, &mut nodes, operation)
        } else {
            operate_on_branch(split, &mut nodes, child)
        };
        done.map_err(|problem| self.contradiction(number, problem))?;
        let first_moved = usize::from(split.split_line);
        if nodes.len() != usize::from(split.lines) || nodes.len() < first_moved {
            return Err(self.contradiction(number, "a split expects another number of nodes"));
        }
        let moved = nodes.split_off(first_moved);

        let mut right =
            PageImage::new(self.pages.size, split.new, split.object, split.new_flags | flag::NEW_RECORD);
        right.dbtime = split.page.dbtime;
        if let Ok(line) = usize::try_from(split.new_prefix_line) {
            let node = moved
                .get(line)
                .ok_or_else(|| self.contradiction(number, "a split takes its prefix from a missing node"))?;
            right.external.clone_from(&node.key);
        }
        right.set_nodes(moved);

        let mut left = source;
        left.dbtime = split.page.dbtime;
        if split.kind == SplitKind::Vertical {
            left.flags = split.old_flags | left.flags & flag::FLUSH_COUNTER;
            left.nodes = vec![NodeImage::plain(&[], &split.new.to_le_bytes())];
            return Ok((left, right));
        }
        let appended = split.kind == SplitKind::Append && split.split_line <= split.operation_line;
        if appended {
            left.nodes.truncate(first_moved);
        } else {
            left.external = split.new_prefix.to_vec();
            left.set_nodes(nodes);
        }
        left.flags = split.old_flags | left.flags & flag::FLUSH_COUNTER;
        if is_leaf {
            right.previous = number;
            right.next = split.right.page;
            left.next = split.new;
        }
        Ok((left, right))
    }

    /// Does on the list of nodes what the record that caused the split did, and remembers it for a rollback.
    fn operate_on_leaf(
        &mut self,
        split: &Split<'_>,
        nodes: &mut Vec<FullNode>,
        operation: Option<&Record<'_>>,
    ) -> Result<(), &'static str> {
        const MISSING: &str = "a split is not followed by the operation that caused it";
        let line = usize::from(split.operation_line);
        match split.operation {
            SplitOperation::None => return Ok(()),
            SplitOperation::Insert => {
                let Some(Record::Insert { at, prefix, suffix, data }) = operation else {
                    return Err(MISSING);
                };
                if nodes.len() < line {
                    return Err("a split inserts behind the last node");
                }
                nodes.insert(line, full_node(at, &[*prefix, *suffix].concat(), data));
                return Ok(());
            }
            SplitOperation::Replace | SplitOperation::FlagInsertAndReplace => {}
            SplitOperation::Unknown(_) => return Err("a split names an unknown operation"),
        }
        let node = nodes.get_mut(line).ok_or("a split changes a node that does not exist")?;
        let record = operation.ok_or(MISSING)?;
        let (at, new) = match record {
            Record::Replace { at, .. } | Record::ReplaceDifference { at, .. } => {
                (at, replaced(&node.data, record)?)
            }
            Record::FlagInsertAndReplace { at, data, .. } => (at, data.to_vec()),
            _ => return Err(MISSING),
        };
        let before = Before { key: node.key.clone(), data: node.data.to_vec() };
        self.prepared = at.page.is_versioned().then_some((at.version, before));
        node.data = new.into();
        if split.operation == SplitOperation::FlagInsertAndReplace {
            node.flags &= !crate::page::node_flag::DELETED;
        }
        Ok(())
    }

    /// Sets the pointer to the new page in a parent that is not split itself.
    fn point_parent(&mut self, split: &Split<'_>) -> Result<(), Error> {
        let OtherPage { page, before } = split.parent;
        let dbtime = split.page.dbtime;
        if page == 0 || self.judge(page, dbtime, before)? == Verdict::AlreadyThere {
            return Ok(());
        }
        let parent = self.pages.change(page)?;
        let old_pointer = pointer(split.page.page);
        let Some(line) = parent.nodes.iter().position(|node| node.data == old_pointer) else {
            return Err(self.contradiction(page, "the parent does not point to the split page"));
        };
        let node = parent.compressed(0, split.parent_key, old_pointer);
        parent.nodes.insert(line, node);
        if let Some(following) = parent.nodes.get_mut(line + 1) {
            following.data = pointer(split.new);
        }
        parent.dbtime = dbtime;
        Ok(())
    }
}

fn full_node(at: &NodeChange, key: &[u8], data: &[u8]) -> FullNode {
    FullNode { flags: inserted_flags(at), key: key.to_vec(), data: Bytes::copy_from_slice(data) }
}

/// Above the leaves the operation is the pointer to the child's new page.
fn operate_on_branch(
    split: &Split<'_>,
    nodes: &mut Vec<FullNode>,
    child: Option<&Split<'_>>,
) -> Result<(), &'static str> {
    if split.operation == SplitOperation::None {
        return Ok(());
    }
    let child = child.ok_or("a split above the leaves lacks its child's")?;
    let line = usize::from(split.operation_line);
    let following = nodes.get_mut(line).ok_or("a split above the leaves points behind the last node")?;
    let old_pointer = pointer(child.page.page);
    if following.data != old_pointer {
        return Err("a split above the leaves does not point to the split page");
    }
    following.data = pointer(child.new);
    nodes.insert(line, FullNode { flags: 0, key: child.parent_key.to_vec(), data: old_pointer });
    Ok(())
}

/// Opens the copy of a page in a record: compressed, without the gap between nodes and tags, or plain.
///
/// `None` for bytes that are no such copy.
pub fn decode_image(size: PageSize, flags: u32, image: &[u8]) -> Option<Vec<u8>> {
    const WITHOUT_GAP: u32 = 1;
    const COMPRESSED: u32 = 2;
    let plain = if flags & COMPRESSED != 0 {
        // The same form as a compressed column value: scheme byte, size, data.
        let (head, rest) = image.split_at_checked(3)?;
        if head[0] >> 3 != 3 {
            return None;
        }
        let length = usize::from(u16::from_le_bytes([head[1], head[2]]));
        xpress(rest, length).ok()?
    } else {
        image.to_vec()
    };
    if plain.len() == size.bytes() {
        return Some(plain);
    }
    if flags & WITHOUT_GAP == 0 || size.bytes() < plain.len() || plain.len() < size.page_header() {
        return None;
    }
    let used = usize::from(u16::from_le_bytes([plain[32], plain[33]]));
    let tags = 4 * usize::from(u16::from_le_bytes([plain[34], plain[35]]) & 0xFFF);
    let head = size.page_header() + used;
    if head + tags != plain.len() {
        return None;
    }
    let mut page = vec![0; size.bytes()];
    page[..head].copy_from_slice(&plain[..head]);
    let tag_start = size.bytes() - tags;
    page[tag_start..].copy_from_slice(&plain[head..]);
    Some(page)
}
