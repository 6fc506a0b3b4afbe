//! Redo of merges (ese.md 9.5).

use super::Replayer;
use super::fit::Verdict;
use super::pages::Slot;
use crate::error::Error;
use crate::image::{FullNode, PageImage, pointer};
use crate::log::record::{Merge, MergeKind, OtherPage};
use crate::pager::PagerMut;

/// What a merge does on one level.
mod level {
    pub(super) const KEY_CHANGE: u8 = 1;
    pub(super) const DELETE_NODE: u8 = 2;
    pub(super) const EMPTY_PAGE: u8 = 4;
}

impl<T: PagerMut> Replayer<T> {
    /// Redoes the levels of one merge, root first and leaf last.
    pub(super) fn apply_merges(&mut self, levels: &[Merge<'_>]) -> Result<(), Error> {
        let Some((leaf, upper)) = levels.split_last() else {
            return Ok(());
        };
        if !self.is_ours(leaf.page.database) {
            return Ok(());
        }
        if matches!(leaf.kind, MergeKind::PageMove | MergeKind::Unknown(_)) {
            return Err(self.fault(
                Some(leaf.page.page),
                crate::Code::BAD_LOG_VERSION,
                "replay of a merge of this kind is not supported: recover on Windows",
            ));
        }
        for merge in upper {
            self.pages.trim()?;
            let page = merge.page;
            if self.judge(page.page, page.dbtime, page.before)? == Verdict::Apply {
                let image = self.pages.change(page.page)?;
                let done = change_branch(image, merge, leaf);
                image.dbtime = page.dbtime;
                done.map_err(|problem| self.contradiction(page.page, problem))?;
            }
        }
        self.merge_leaf(leaf)
    }

    fn merge_leaf(&mut self, merge: &Merge<'_>) -> Result<(), Error> {
        let page = merge.page;
        let verdict = self.judge(page.page, page.dbtime, page.before)?;
        let full = matches!(merge.kind, MergeKind::EmptyPage | MergeKind::FullRight | MergeKind::FullLeft);
        let to_right = matches!(merge.kind, MergeKind::FullRight | MergeKind::PartialRight);
        let to_left = matches!(merge.kind, MergeKind::FullLeft | MergeKind::PartialLeft);
        // Also a neighbour that the merge leaves alone, as a partial one does, gets its time.
        let right = self.judge_sibling(merge, merge.right)?;
        let left = self.judge_sibling(merge, merge.left)?;
        let receives =
            (to_right && right == Some(Verdict::Apply)) || (to_left && left == Some(Verdict::Apply));
        let moved = if receives {
            moved_nodes(&self.merge_source(merge, verdict)?, merge, to_right)
        } else {
            Vec::new()
        };
        if right == Some(Verdict::Apply) {
            let image = self.pages.change(merge.right.page)?;
            image.dbtime = page.dbtime;
            if full {
                image.previous = merge.left.page;
            }
            if to_right {
                let present = image.full_nodes();
                image.set_nodes(moved.iter().cloned().chain(present));
            }
        }
        if left == Some(Verdict::Apply) {
            let image = self.pages.change(merge.left.page)?;
            image.dbtime = page.dbtime;
            if full {
                image.next = merge.right.page;
            }
            if to_left {
                let present = image.full_nodes();
                image.set_nodes(present.into_iter().chain(moved));
            }
        }
        if verdict == Verdict::Apply {
            let image = self.pages.change(page.page)?;
            image.dbtime = page.dbtime;
            let line = usize::from(merge.line);
            if merge.flags & level::EMPTY_PAGE != 0 {
                image.empty();
            } else if to_right {
                image.nodes.truncate(line);
            } else if to_left {
                let end = (line + 1).min(image.nodes.len());
                image.nodes.drain(..end);
            }
        }
        Ok(())
    }

    fn judge_sibling(&mut self, merge: &Merge<'_>, sibling: OtherPage) -> Result<Option<Verdict>, Error> {
        if sibling.page == 0 {
            return Ok(None);
        }
        self.judge(sibling.page, merge.page.dbtime, sibling.before).map(Some)
    }

    fn merge_source(&mut self, merge: &Merge<'_>, verdict: Verdict) -> Result<PageImage, Error> {
        let page = merge.page;
        if verdict == Verdict::Apply
            && let Slot::Present(image) = self.pages.slot(page.page)?
        {
            return Ok(image.clone());
        }
        self.image_before(&page, merge.image_flags, merge.image)
    }
}

/// The nodes that leave the page: those not flagged deleted, from or up to the line of the merge.
fn moved_nodes(source: &PageImage, merge: &Merge<'_>, to_right: bool) -> Vec<FullNode> {
    let line = usize::from(merge.line);
    source
        .full_nodes()
        .into_iter()
        .enumerate()
        .filter(|(index, _)| if to_right { line <= *index } else { *index <= line })
        .filter(|(index, _)| !source.nodes[*index].is_deleted())
        .map(|(_, node)| node)
        .collect()
}

/// Changes a page above the leaves as its own flags say.
fn change_branch(page: &mut PageImage, merge: &Merge<'_>, leaf: &Merge<'_>) -> Result<(), &'static str> {
    const MISSING: &str = "a merge changes a pointer that does not exist";
    let line = usize::from(merge.page.line);
    if merge.flags & level::EMPTY_PAGE != 0 {
        page.empty();
        return Ok(());
    }
    let both = level::KEY_CHANGE | level::DELETE_NODE;
    if merge.flags & both == both && leaf.kind == MergeKind::FullLeft {
        let node = page.nodes.get_mut(line).ok_or(MISSING)?;
        node.data = pointer(leaf.left.page);
        let before = line.checked_sub(1).ok_or(MISSING)?;
        page.nodes.remove(before);
        return Ok(());
    }
    if merge.flags & level::DELETE_NODE != 0 {
        if page.nodes.len() <= line {
            return Err(MISSING);
        }
        let removed = page.nodes.remove(line);
        let was_last = removed.prefix == 0 && removed.suffix.is_empty();
        if let (true, Some(last)) = (was_last, page.nodes.last_mut()) {
            // The last node of a level stands for infinity.
            last.prefix = 0;
            last.suffix.clear();
        }
        return Ok(());
    }
    if merge.flags & level::KEY_CHANGE != 0 {
        let line =
            if leaf.kind == MergeKind::PartialLeft { line.checked_sub(1).ok_or(MISSING)? } else { line };
        let old = page.nodes.get(line).ok_or(MISSING)?;
        // The record of the leaf has the new key, for all levels above it.
        if leaf.separator.is_empty() {
            return Err("a merge changes a key and does not say to what");
        }
        let node = page.compressed(old.flags, leaf.separator, old.data.clone());
        page.nodes[line] = node;
    }
    Ok(())
}
