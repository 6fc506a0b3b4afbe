//! Pages looked at by themselves, and by the terms of their tree: this needs nothing of the pages before.

use super::fault::{Problem, TreeKind};
use super::order::{Range, misorder};
use crate::checksum::{PageCheck, check_page, flip};
use crate::database::Database;
use crate::error::Error;
use crate::page::{Node, Page, flag};
use crate::pager::Pager;
use crate::pagesize::PageSize;

/// Leaves are read this many bytes at a time.
pub(super) const WINDOW: usize = 1 << 20;

/// What a page says of itself in its header.
pub(crate) struct Facts {
    pub(crate) object: u32,
    pub(crate) previous: u32,
    pub(crate) next: u32,
    /// It has nodes, and was not emptied.
    pub(crate) holds_nodes: bool,
}

/// How a page looked by its checksum and its structure.
pub(crate) struct Sight {
    /// What its checksum says.
    pub(crate) check: PageCheck,
    /// What the page says, or why it makes no sense; `None` where the checksum does not let it be used.
    pub(crate) facts: Option<Result<Facts, Error>>,
}

impl Sight {
    /// Looks at the bytes of the page with this number, and gives the page where it can be used, flipped bits put right.
    /// The page lies in `memory`, which is taken.
    pub(crate) fn of(number: u32, bytes: &[u8], memory: &mut Vec<u8>) -> (Self, Option<Page>) {
        let check = check_page(bytes, number);
        let bits = match &check {
            PageCheck::Valid => &[][..],
            PageCheck::Correctable(bits) => bits,
            PageCheck::Zero | PageCheck::Misplaced { .. } | PageCheck::Damaged => {
                return (Self { check, facts: None }, None);
            }
        };
        let mut whole = core::mem::take(memory);
        whole.clear();
        whole.extend_from_slice(bytes);
        bits.iter().for_each(|bit| flip(&mut whole, *bit));
        match Page::parse(number, whole) {
            Err(error) => (Self { check, facts: Some(Err(error)) }, None),
            Ok(page) => {
                let facts = Facts {
                    object: page.object_id(),
                    previous: page.previous(),
                    next: page.next(),
                    holds_nodes: page.node_count() != 0 && !page.has(flag::EMPTY),
                };
                (Self { check, facts: Some(Ok(facts)) }, Some(page))
            }
        }
    }

    /// What the page says, where it can be used.
    pub(crate) fn usable(&self) -> Option<&Facts> {
        self.facts.as_ref()?.as_ref().ok()
    }
}

/// What is done with each node of the leaves of a tree.
pub(super) trait Visit: Send + Sized {
    /// The next node, and its line on the page, deleted ones too. Of the problems of a page the first is told.
    fn node(&mut self, line: usize, node: &Node<'_>) -> Option<Problem>;

    /// One that has seen no leaf, for leaves that another core looks at meanwhile; `None` where their order counts.
    fn part(&self) -> Option<Self>;

    /// Adds what a part has seen.
    fn add(&mut self, part: Self);
}

/// Leaves that have to come in their order, or are not looked at.
pub(super) struct InOrder<F>(pub(super) F);

impl<F: FnMut(&Node<'_>) -> Option<Problem> + Send> Visit for InOrder<F> {
    fn node(&mut self, _: usize, node: &Node<'_>) -> Option<Problem> {
        (self.0)(node)
    }

    fn part(&self) -> Option<Self> {
        None
    }

    fn add(&mut self, _: Self) {}
}

/// What all pages of a tree have in common.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    pub(super) kind: TreeKind,
    pub(super) object: u32,
    pub(super) non_unique: bool,
}

impl Terms {
    /// Why a page cannot be at its place.
    pub(super) fn misfit(&self, page: &Page, root: bool, leaf: Option<bool>) -> Option<Problem> {
        let wrong = |what| Some(Problem::WrongKind(what));
        if page.has(flag::PRE_INITIALISED) {
            return wrong("nothing was put on it yet");
        }
        if page.has(flag::EMPTY) {
            return wrong("it was emptied");
        }
        if page.object_id() != self.object {
            return Some(Problem::WrongObject { found: page.object_id(), expected: self.object });
        }
        if page.has(flag::ROOT) != root {
            return wrong(if root { "it is no root page" } else { "it is a root page" });
        }
        if leaf.is_some_and(|leaf| page.has(flag::LEAF) != leaf) {
            return wrong("it is on another level");
        }
        if !self.has_flags(page) {
            return wrong("it is of another kind of tree");
        }
        if page.has(flag::NON_UNIQUE) != self.non_unique {
            return wrong("it has another kind of keys");
        }
        None
    }

    /// True for the flags of this kind of tree. The pages of a space tree have those of the tree it is about, too.
    fn has_flags(&self, page: &Page) -> bool {
        let flags = page.flags() & (flag::SPACE_TREE | flag::INDEX | flag::LONG_VALUE);
        match self.kind {
            TreeKind::Database | TreeKind::Rows => flags == 0,
            TreeKind::Index => flags == flag::INDEX,
            TreeKind::LongValues => flags == flag::LONG_VALUE,
            TreeKind::Space => flags & flag::SPACE_TREE != 0,
        }
    }

    /// What is wrong with a leaf that fits its place, in itself and by what its nodes hold.
    pub(super) fn problems<V: Visit>(&self, page: &Page, range: Range<'_>, visit: &mut V) -> Vec<Problem> {
        let mut first = None;
        let misorder = misorder(page, self.non_unique, range, |line, node| {
            let problem = visit.node(line, node);
            if first.is_none() {
                first = problem;
            }
        });
        misorder.into_iter().chain(first).collect()
    }
}

/// A leaf that was looked at, or another page in the place of one.
pub(super) struct Seen {
    pub(super) sight: Sight,
    /// Why it cannot be at its place; then nothing else was looked at.
    pub(super) misfit: Option<Problem>,
    pub(super) problems: Vec<Problem>,
}

impl Seen {
    /// Looks at the bytes of the page with this number, which lies in `memory` meanwhile.
    pub(super) fn of<V: Visit>(
        terms: &Terms,
        number: u32,
        bytes: &[u8],
        range: Range<'_>,
        visit: &mut V,
        memory: &mut Vec<u8>,
    ) -> Self {
        let (sight, page) = Sight::of(number, bytes, memory);
        let mut seen = Self { sight, misfit: None, problems: Vec::new() };
        if let Some(page) = page {
            seen.misfit = terms.misfit(&page, false, Some(true));
            if seen.misfit.is_none() {
                seen.problems = terms.problems(&page, range, visit);
            }
            *memory = page.into_bytes();
        }
        seen
    }
}

/// Leaves that follow each other below a page, with all that is needed to look at them.
pub(super) struct Batch {
    /// The number of each.
    pub(super) numbers: Vec<u32>,
    /// Those that are to be read, by number, each with its place among the others.
    pub(super) wanted: Vec<(u32, usize)>,
    /// The keys between which each lies: one more than there are leaves. The last may be infinity.
    pub(super) bounds: Vec<Option<Vec<u8>>>,
}

/// What looks at leaves: a file, what its tree is, and memory.
pub(super) struct Looker<'w, P> {
    file: &'w P,
    size: PageSize,
    terms: Terms,
    /// The pages of a batch; as large as the largest one was.
    window: Vec<u8>,
    memory: Vec<u8>,
}

impl<'w, P: Pager> Looker<'w, P> {
    pub(super) fn new(database: &'w Database<P>, terms: Terms) -> Self {
        Self {
            file: database.file(),
            size: database.page_size(),
            terms,
            window: Vec::new(),
            memory: Vec::new(),
        }
    }

    /// Reads leaves, neighbours in the file with one read, and looks at them in their order.
    pub(super) fn look<V: Visit>(&mut self, batch: &Batch, visit: &mut V) -> Result<Vec<Seen>, Error> {
        let size = self.size.bytes();
        // Where in the window the page of each lies.
        let mut places = vec![None; batch.numbers.len()];
        let mut read = 0;
        self.window.resize(self.window.len().max(batch.wanted.len() * size), 0);
        for run in batch.wanted.chunk_by(|(left, _), (right, _)| left + 1 == *right) {
            let bytes = &mut self.window[read * size..][..run.len() * size];
            self.file.read_at(self.size.offset_of(run[0].0), bytes)?;
            for (_, place) in run {
                places[*place] = Some(read * size);
                read += 1;
            }
        }
        let leaves = batch.numbers.iter().zip(places).zip(batch.bounds.windows(2));
        let seen = leaves.filter_map(|((number, place), bounds)| {
            let bytes = &self.window[place?..][..size];
            let range = Range { low: bounds[0].as_deref().unwrap_or_default(), high: bounds[1].as_deref() };
            Some(Seen::of(&self.terms, *number, bytes, range, visit, &mut self.memory))
        });
        Ok(seen.collect())
    }
}
