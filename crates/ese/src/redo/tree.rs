//! Redo of records that make, convert and empty trees (ese.md 9.3).

use super::Replayer;
use super::fit::Verdict;
use crate::error::Error;
use crate::image::{NodeImage, PageImage};
use crate::log::Record;
use crate::log::record::{NodeChange, OtherPage, PageChange};
use crate::page::flag;
use crate::pager::PagerMut;
use crate::space::{SPACE_HEADER, SpaceHeader};

const SEVERAL_EXTENTS: u8 = 1;
const NON_UNIQUE: u8 = 2;

/// Pages that the bitmap of a tree in one extent covers.
const BITMAP_PAGES: u32 = 32;

impl<T: PagerMut> Replayer<T> {
    /// Redoes a record that changes pages and is neither a split nor a merge.
    pub(super) fn apply_page_record(&mut self, record: &Record<'_>) -> Result<(), Error> {
        match record {
            Record::CreateSingleExtentTree { page, object, parent, pages, flags }
                if self.is_ours(page.database) =>
            {
                let header = SpaceHeader {
                    pages: *pages,
                    parent: *parent,
                    flags: uniqueness(page),
                    owned_or_bitmap: free_bitmap(*pages),
                };
                self.put_root(page, *object, *flags, header)
            }
            Record::CreateMultipleExtentTree { page, object, owned, available, parent, pages, flags }
                if self.is_ours(page.database) =>
            {
                let header = SpaceHeader {
                    pages: *pages,
                    parent: *parent,
                    flags: uniqueness(page) | SEVERAL_EXTENTS,
                    owned_or_bitmap: *owned,
                };
                self.put_root(page, *object, *flags, header)?;
                let last = page.page.saturating_add(pages.saturating_sub(1));
                let in_use = 3;
                self.put_space_root(page, *object, *flags, *owned, &[(last, *pages)])?;
                let free = [(last, pages.saturating_sub(in_use))];
                self.put_space_root(page, *object, *flags, *available, &free)
            }
            Record::ConvertTree { page, .. } if self.is_ours(page.database) => self.convert_tree(record),
            Record::EmptyTree { at, pages } if self.is_ours(at.page.database) => self.empty_tree(at, pages),
            Record::NewPage { database, page, object, dbtime } if self.is_ours(*database) => {
                if self.judge_new(*page, *dbtime)? == Verdict::Apply {
                    let flags = flag::PRE_INITIALISED | flag::NEW_RECORD;
                    let mut image = PageImage::new(self.pages.size, *page, *object, flags);
                    image.dbtime = *dbtime;
                    self.pages.put(image);
                }
                Ok(())
            }
            other => match other.node_change() {
                Some(at) => self.apply_node_record(at, other),
                None => Ok(()),
            },
        }
    }

    fn put_root(
        &mut self,
        page: &PageChange,
        object: u32,
        flags: u32,
        header: SpaceHeader,
    ) -> Result<(), Error> {
        self.last_object = self.last_object.max(object);
        if self.judge_new(page.page, page.dbtime)? == Verdict::AlreadyThere {
            return Ok(());
        }
        let flags = flags | flag::ROOT | flag::LEAF | flag::NEW_RECORD;
        let mut image = PageImage::new(self.pages.size, page.page, object, flags);
        image.dbtime = page.dbtime;
        image.external = header.to_bytes().to_vec();
        self.pages.put(image);
        Ok(())
    }

    /// Makes the root of a space tree with these extents: last page and number of pages of each.
    fn put_space_root(
        &mut self,
        page: &PageChange,
        object: u32,
        flags: u32,
        number: u32,
        extents: &[(u32, u32)],
    ) -> Result<(), Error> {
        if self.judge_new(number, page.dbtime)? == Verdict::AlreadyThere {
            return Ok(());
        }
        let flags = flags | flag::ROOT | flag::LEAF | flag::SPACE_TREE | flag::NEW_RECORD;
        // Space trees have unique keys whatever their owner has.
        let mut image = PageImage::new(self.pages.size, number, object, flags);
        image.dbtime = page.dbtime;
        image.external = vec![0; SPACE_HEADER];
        let mut extents: Vec<_> = extents.iter().filter(|(_, count)| *count != 0).collect();
        extents.sort_unstable();
        image.nodes = extents
            .into_iter()
            .map(|(last, count)| NodeImage::plain(&last.to_be_bytes(), &count.to_le_bytes()))
            .collect();
        self.pages.put(image);
        Ok(())
    }

    fn convert_tree(&mut self, record: &Record<'_>) -> Result<(), Error> {
        let Record::ConvertTree {
            page,
            object,
            owned,
            available,
            parent,
            secondary_first,
            primary,
            secondary,
            free,
            flags,
        } = record
        else {
            return Ok(());
        };
        if self.judge(page.page, page.dbtime, page.before)? == Verdict::Apply {
            let header = SpaceHeader {
                pages: *primary,
                parent: *parent,
                flags: uniqueness(page) | SEVERAL_EXTENTS,
                owned_or_bitmap: *secondary_first,
            };
            let image = self.pages.change(page.page)?;
            image.dbtime = page.dbtime;
            // In the extended form only the space header part changes.
            match SpaceHeader::start(&image.external) {
                Some(start) => {
                    crate::bytes::put(&mut image.external, start, &header.to_bytes());
                }
                None => image.external = header.to_bytes().to_vec(),
            }
        }
        let secondary_last = secondary_first.saturating_add(secondary.saturating_sub(1));
        let primary_last = page.page.saturating_add(primary.saturating_sub(1));
        let extents = [(primary_last, *primary), (secondary_last, *secondary)];
        self.put_space_root(page, *object, *flags, *owned, &extents)?;
        // The space trees took the first two pages of the second extent.
        let mut extents = free_runs(page.page, *primary, *free);
        extents.push((secondary_last, secondary.saturating_sub(2)));
        self.put_space_root(page, *object, *flags, *available, &extents)
    }

    fn empty_tree(&mut self, at: &NodeChange, pages: &[OtherPage]) -> Result<(), Error> {
        let dbtime = at.page.dbtime;
        for OtherPage { page, before } in pages {
            if self.judge(*page, dbtime, *before)? == Verdict::Apply {
                let image = self.pages.change(*page)?;
                image.empty();
                image.dbtime = dbtime;
            }
        }
        if self.judge(at.page.page, dbtime, at.page.before)? == Verdict::Apply {
            let image = self.pages.change(at.page.page)?;
            image.nodes.pop();
            image.flags = image.flags & !flag::PARENT_OF_LEAF | flag::LEAF;
            image.dbtime = dbtime;
        }
        Ok(())
    }
}

fn uniqueness(page: &PageChange) -> u8 {
    if page.is_unique() { 0 } else { NON_UNIQUE }
}

/// All pages of a fresh extent behind its root are free.
fn free_bitmap(pages: u32) -> u32 {
    let free = pages.saturating_sub(1);
    if BITMAP_PAGES <= free { u32::MAX } else { (1 << free) - 1 }
}

/// Runs of free pages of a tree's first extent: last page and number of pages of each.
fn free_runs(root: u32, pages: u32, bitmap: u32) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    let mut add = |page: u32| match runs.last_mut() {
        Some((last, count)) if last.checked_add(1) == Some(page) => {
            *last = page;
            *count += 1;
        }
        _ => runs.push((page, 1)),
    };
    let behind_root = pages.saturating_sub(1);
    for bit in (0..BITMAP_PAGES.min(behind_root)).filter(|bit| bitmap >> bit & 1 != 0) {
        add(root.saturating_add(1 + bit));
    }
    if BITMAP_PAGES < behind_root {
        let beyond = behind_root - BITMAP_PAGES;
        let first = root.saturating_add(1 + BITMAP_PAGES);
        add(first);
        if let Some((last, count)) = runs.last_mut() {
            *last = last.saturating_add(beyond - 1);
            *count += beyond - 1;
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_free_pages_join_across_the_bitmap() {
        assert_eq!(free_runs(10, 1, 0), []);
        assert_eq!(free_runs(10, 8, 0b110_0101), [(11, 1), (13, 1), (17, 2)]);
        assert_eq!(free_runs(10, 40, 1 << 31), [(49, 8)]);
        assert_eq!(free_runs(10, 40, 0), [(49, 7)]);
        assert_eq!(free_bitmap(1), 0);
        assert_eq!(free_bitmap(8), 0x7f);
        assert_eq!(free_bitmap(40), u32::MAX);
    }
}
