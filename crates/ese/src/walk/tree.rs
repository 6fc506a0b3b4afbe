//! One tree from its root down: every page read once, judged by the page above it and by its neighbours (ese.md 3.4).

use core::cmp::Ordering;

use certadm_files::AlignedBuffer;

use super::fault::{Fault, Problem, TreeKind, TreeName};
use crate::database::Database;
use crate::error::Error;
use crate::page::{Node, Page, flag};
use crate::pager::Pager;
use crate::space::{Extent, PageSet, SpaceMap};

/// Deeper trees than this do not occur: a level multiplies the size by at least 2.
const DEEPEST: usize = 32;

/// Leaves are read this many bytes at a time.
const WINDOW: usize = 1 << 20;

/// Faults kept; further ones are only counted.
const MOST_FAULTS: usize = 100_000;

/// How a page looked to whatever judges pages.
pub(crate) enum Look {
    /// It can be used.
    Page(Page),
    /// It was never written.
    Zero,
    /// It cannot be used; why, where that is not told elsewhere.
    Bad(Option<String>),
}

/// A tree that is to be walked.
pub(super) struct Spec {
    pub(super) name: TreeName,
    /// Its object where the catalog names it; otherwise that of the root page counts.
    pub(super) object: Option<u32>,
}

impl Spec {
    /// True for the flags of this kind of tree. The pages of a space tree have those of the tree it is about, too.
    fn has_flags(&self, page: &Page) -> bool {
        let flags = page.flags() & (flag::SPACE_TREE | flag::INDEX | flag::LONG_VALUE);
        match self.name.kind {
            TreeKind::Database | TreeKind::Rows => flags == 0,
            TreeKind::Index => flags == flag::INDEX,
            TreeKind::LongValues => flags == flag::LONG_VALUE,
            TreeKind::Space => flags & flag::SPACE_TREE != 0,
        }
    }
}

/// What a walk down a tree came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Walked {
    /// No page of it was left out, so that what it holds can be compared.
    pub(super) whole: bool,
}

/// What is done with each leaf; problems of its nodes are handed on.
pub(super) type Visit<'v> = dyn FnMut(&Page, &mut dyn FnMut(Problem)) + 'v;

/// Judges the bytes of a page that is met for the first time.
pub(super) type Judge<'j> = dyn FnMut(u32, &[u8]) -> Look + 'j;

/// The pages of a database while its trees are walked. Memory: two bits a page, a page a level, one window.
pub(super) struct Walker<'w, P> {
    pub(super) database: &'w Database<P>,
    judge: &'w mut Judge<'w>,
    /// Last page that the database owns and the file has.
    last: u32,
    /// Last page that the database owns, in a file that may have been cut.
    pub(super) last_owned: u32,
    free: Option<&'w PageSet>,
    /// The pages that trees referred to.
    pub(super) reached: PageSet,
    /// The pages that the tree owns which is being walked.
    pub(super) owned: Owned,
    window: AlignedBuffer,
    pub(super) faults: Vec<Fault>,
    pub(super) left_out: usize,
}

/// The range of keys that a page may hold; the upper end is exclusive, and none is infinity.
#[derive(Clone, Copy)]
struct Range<'k> {
    low: &'k [u8],
    high: Option<&'k [u8]>,
}

/// The pages that a tree owns.
pub(super) enum Owned {
    /// Not told, or not readable.
    Unknown,
    /// Of a tree of one extent.
    One(Extent),
    /// Of a tree with space trees.
    Many(PageSet),
}

impl Owned {
    /// True where the tree owns the page, as far as that is known.
    pub(super) fn contains(&self, page: u32) -> bool {
        match self {
            Self::Unknown => true,
            Self::One(extent) => (extent.first..=extent.last).contains(&page),
            Self::Many(set) => set.contains(page),
        }
    }
}

/// The leaf before the one that is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// There is none: the next is the first of the tree.
    Nothing,
    /// This one, and its link to the right where it could be read.
    Leaf { number: u32, next: Option<u32> },
    /// Pages were left out that may have had leaves.
    Unknown,
}

/// One tree on the way.
struct Descent<'t, 'v> {
    spec: &'t Spec,
    object: u32,
    non_unique: bool,
    before: Before,
    whole: bool,
    visit: &'t mut Visit<'v>,
}

impl<'w, P: Pager> Walker<'w, P> {
    pub(super) fn new(
        database: &'w Database<P>,
        space: Option<&'w SpaceMap>,
        judge: &'w mut Judge<'w>,
    ) -> Self {
        let slots = database.page_slots();
        Self {
            database,
            judge,
            last: space.map_or(slots, |space| space.last_owned.min(slots)),
            last_owned: space.map_or(slots, |space| space.last_owned),
            free: space.map(|space| &space.free),
            reached: PageSet::new(slots),
            owned: Owned::Unknown,
            window: AlignedBuffer::new(WINDOW),
            faults: Vec::new(),
            left_out: 0,
        }
    }

    pub(super) fn add(&mut self, name: &TreeName, page: u32, problem: Problem) {
        if MOST_FAULTS <= self.faults.len() {
            self.left_out += 1;
            return;
        }
        self.faults.push(Fault { page, tree: name.clone(), problem });
    }

    /// True for the number of a page that the database owns.
    fn has_page(&self, page: u32) -> bool {
        (1..=self.last).contains(&page)
    }

    /// Reads a page that the tree refers to, for the first time; `None` where it cannot be used.
    pub(super) fn first_look(
        &mut self,
        name: &TreeName,
        from: u32,
        page: u32,
    ) -> Result<Option<Page>, Error> {
        if !self.may_look(name, from, page) {
            return Ok(None);
        }
        let bytes = self.database.raw_page(page)?;
        let look = (self.judge)(page, &bytes);
        Ok(self.told(name, page, look))
    }

    fn may_look(&mut self, name: &TreeName, from: u32, page: u32) -> bool {
        if !self.has_page(page) {
            self.add(name, from, Problem::NoSuchPage { child: page });
            return false;
        }
        if self.reached.contains(page) {
            self.add(name, page, Problem::ReachedTwice);
            return false;
        }
        self.reached.insert(Extent { first: page, last: page });
        if self.free.is_some_and(|free| free.contains(page)) {
            self.add(name, page, Problem::CalledFree);
        }
        if !self.owned.contains(page) {
            self.add(name, page, Problem::NotOwned);
        }
        true
    }

    fn told(&mut self, name: &TreeName, page: u32, look: Look) -> Option<Page> {
        match look {
            Look::Page(page) => return Some(page),
            Look::Zero => self.add(name, page, Problem::NeverWritten),
            Look::Bad(Some(problem)) => self.add(name, page, Problem::Unreadable(problem)),
            // Whatever judged it has told.
            Look::Bad(None) => {}
        }
        None
    }

    /// Walks a tree whose root page was read.
    pub(super) fn walk(&mut self, spec: &Spec, root: &Page, visit: &mut Visit<'_>) -> Result<Walked, Error> {
        let mut descent = Descent {
            spec,
            object: spec.object.unwrap_or(root.object_id()),
            non_unique: root.has(flag::NON_UNIQUE),
            before: Before::Nothing,
            whole: true,
            visit,
        };
        if let Some(problem) = descent.misfit(root, true, None) {
            self.add(&spec.name, root.number(), problem);
            return Ok(Walked { whole: false });
        }
        self.below(&mut descent, root, Range { low: &[], high: None }, 0)?;
        if let Before::Leaf { number: left, next: Some(right) } = descent.before
            && right != 0
        {
            self.add(&spec.name, left, Problem::Sibling { left, right });
        }
        Ok(Walked { whole: descent.whole })
    }

    /// A page that fits its place, and what lies below it.
    fn below(
        &mut self,
        descent: &mut Descent<'_, '_>,
        page: &Page,
        range: Range<'_>,
        depth: usize,
    ) -> Result<(), Error> {
        if page.has(flag::LEAF) {
            self.leaf(descent, page, range);
            return Ok(());
        }
        if let Some(problem) = descent.misorder(page, range) {
            self.add(&descent.spec.name, page.number(), problem);
        }
        if page.node_count() == 0 || DEEPEST <= depth {
            descent.whole = false;
            self.add(&descent.spec.name, page.number(), Problem::WrongKind("nothing is below it"));
            return Ok(());
        }
        if page.has(flag::PARENT_OF_LEAF) {
            return self.leaves(descent, page, range);
        }
        for line in 0..page.node_count() {
            let child = child_of(page, line);
            let Some(below) = self.first_look(&descent.spec.name, page.number(), child)? else {
                descent.miss(Before::Unknown);
                continue;
            };
            self.child(descent, page, line, &below, range, depth)?;
        }
        Ok(())
    }

    fn child(
        &mut self,
        descent: &mut Descent<'_, '_>,
        parent: &Page,
        line: usize,
        child: &Page,
        range: Range<'_>,
        depth: usize,
    ) -> Result<(), Error> {
        let leaf = parent.has(flag::PARENT_OF_LEAF);
        if let Some(problem) = descent.misfit(child, false, Some(leaf)) {
            let missed = Before::Leaf { number: child.number(), next: None };
            descent.miss(if leaf { missed } else { Before::Unknown });
            self.add(&descent.spec.name, child.number(), problem);
            return Ok(());
        }
        let low = line.checked_sub(1).map(|before| key_of(parent, before));
        let high = if line + 1 == parent.node_count() { None } else { Some(key_of(parent, line)) };
        let range = Range { low: low.as_deref().unwrap_or(range.low), high: high.as_deref().or(range.high) };
        self.below(descent, child, range, depth + 1)
    }

    /// The leaves below a page, a window at a time, neighbours in the file with one read.
    fn leaves(&mut self, descent: &mut Descent<'_, '_>, page: &Page, range: Range<'_>) -> Result<(), Error> {
        let size = self.database.page_size();
        let count = page.node_count();
        let mut line = 0;
        while line < count {
            let lines = line..count.min(line + WINDOW / size.bytes());
            line = lines.end;
            let mut wanted: Vec<(u32, usize)> = Vec::with_capacity(lines.len());
            for line in lines.clone() {
                let child = child_of(page, line);
                if self.may_look(&descent.spec.name, page.number(), child) {
                    wanted.push((child, line));
                }
            }
            wanted.sort_unstable();
            self.read_window(&wanted)?;
            // Where in the window the page of each line lies.
            let mut places = vec![None; lines.len()];
            for (place, (_, line)) in wanted.iter().enumerate() {
                places[line - lines.start] = Some(place);
            }
            for (line, place) in lines.zip(places) {
                let number = child_of(page, line);
                let look = place.map(|place| {
                    let start = place * size.bytes();
                    (self.judge)(number, &self.window[start..start + size.bytes()])
                });
                let child = look.and_then(|look| self.told(&descent.spec.name, number, look));
                match child {
                    Some(child) => self.child(descent, page, line, &child, range, 0)?,
                    None if place.is_some() => descent.miss(Before::Leaf { number, next: None }),
                    None => descent.miss(Before::Unknown),
                }
            }
        }
        Ok(())
    }

    /// Fills the window with these pages, which are sorted.
    fn read_window(&mut self, wanted: &[(u32, usize)]) -> Result<(), Error> {
        let size = self.database.page_size();
        let mut place = 0;
        for run in wanted.chunk_by(|(left, _), (right, _)| left + 1 == *right) {
            let bytes = &mut self.window[place * size.bytes()..][..run.len() * size.bytes()];
            self.database.file().read_at(size.offset_of(run[0].0), bytes)?;
            place += run.len();
        }
        Ok(())
    }

    fn leaf(&mut self, descent: &mut Descent<'_, '_>, page: &Page, range: Range<'_>) {
        let name = &descent.spec.name;
        let number = page.number();
        let broken = match descent.before {
            Before::Nothing if page.previous() != 0 => Some(0),
            Before::Leaf { number: left, next }
                if page.previous() != left || next.is_some_and(|next| next != number) =>
            {
                Some(left)
            }
            _ => None,
        };
        if let Some(left) = broken {
            self.add(name, number, Problem::Sibling { left, right: number });
        }
        descent.before = Before::Leaf { number, next: Some(page.next()) };
        if let Some(problem) = descent.misorder(page, range) {
            self.add(name, number, problem);
        }
        let mut problems = Vec::new();
        (descent.visit)(page, &mut |problem| problems.push(problem));
        for problem in problems {
            self.add(name, number, problem);
        }
    }
}

impl Descent<'_, '_> {
    /// A child that cannot be used.
    fn miss(&mut self, before: Before) {
        self.whole = false;
        self.before = before;
    }

    /// Why a page cannot be at its place.
    fn misfit(&self, page: &Page, root: bool, leaf: Option<bool>) -> Option<Problem> {
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
        if !self.spec.has_flags(page) {
            return wrong("it is of another kind of tree");
        }
        if page.has(flag::NON_UNIQUE) != self.non_unique {
            return wrong("it has another kind of keys");
        }
        None
    }

    /// The first node that does not follow the one before it, or lies outside the range of the page.
    fn misorder(&self, page: &Page, range: Range<'_>) -> Option<Problem> {
        let leaf = page.has(flag::LEAF);
        let last = page.node_count().checked_sub(1)?;
        let with_data = self.non_unique && leaf;
        let mut before: Option<Node<'_>> = None;
        for (line, node) in page.nodes().enumerate() {
            // The last node of a level has no key, which stands for infinity.
            let infinite = !leaf && line == last && node.suffix.is_empty() && node.prefix.is_empty();
            if let Some(before) = before
                && !infinite
                && compare_nodes(&before, &node, with_data) != Ordering::Less
            {
                return Some(Problem::KeyOrder { line });
            }
            if line == 0 && !infinite && compare(&node, with_data, range.low) == Ordering::Less {
                return Some(Problem::OutsideParent { line });
            }
            if line == last {
                let fits = match range.high {
                    None => leaf || infinite,
                    Some(high) if leaf => compare(&node, with_data, high) == Ordering::Less,
                    Some(high) => !infinite && compare(&node, with_data, high) != Ordering::Greater,
                };
                return (!fits).then_some(Problem::OutsideParent { line });
            }
            before = Some(node);
        }
        None
    }
}

/// The page that a node above the leaves refers to; 0, which is no page, where its data is no number.
fn child_of(page: &Page, line: usize) -> u32 {
    page.node(line).and_then(|node| node.child()).unwrap_or(0)
}

fn key_of(page: &Page, line: usize) -> Vec<u8> {
    page.node(line).map(|node| node.key()).unwrap_or_default()
}

/// Compares nodes of one page: by key, and where keys are not unique by data too.
fn compare_nodes(left: &Node<'_>, right: &Node<'_>, with_data: bool) -> Ordering {
    let keys = if left.prefix.len() == right.prefix.len() {
        left.suffix.cmp(right.suffix)
    } else {
        left.prefix.iter().chain(left.suffix).cmp(right.prefix.iter().chain(right.suffix))
    };
    if with_data { keys.then_with(|| left.data.cmp(right.data)) } else { keys }
}

/// Compares a node with a separator, which where keys are not unique may have a part of the data behind the key.
fn compare(node: &Node<'_>, with_data: bool, separator: &[u8]) -> Ordering {
    let mut rest = separator;
    let parts = [node.prefix, node.suffix, if with_data { node.data } else { &[] }];
    for (place, part) in parts.iter().enumerate() {
        let common = part.len().min(rest.len());
        match part[..common].cmp(&rest[..common]) {
            Ordering::Equal => {}
            other => return other,
        }
        if common < part.len() {
            return Ordering::Greater;
        }
        rest = &rest[common..];
        if rest.is_empty() {
            let more = parts[place + 1..].iter().any(|part| !part.is_empty());
            return if more { Ordering::Greater } else { Ordering::Equal };
        }
    }
    Ordering::Less
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node<'a>(prefix: &'a [u8], suffix: &'a [u8], data: &'a [u8]) -> Node<'a> {
        Node { flags: 0, prefix, suffix, data }
    }

    #[test]
    fn separators_are_compared_over_all_parts_of_a_node() {
        let one = node(b"ab", b"c", b"xy");
        for (separator, with_data, order) in [
            (&b"abc"[..], false, Ordering::Equal),
            (b"abc", true, Ordering::Greater),
            (b"abcx", true, Ordering::Greater),
            (b"abcxy", true, Ordering::Equal),
            (b"abcxz", true, Ordering::Less),
            (b"abcx", false, Ordering::Less),
            (b"ab", false, Ordering::Greater),
            (b"b", true, Ordering::Less),
            (b"", true, Ordering::Greater),
        ] {
            assert_eq!(compare(&one, with_data, separator), order, "{separator:?}");
        }
    }

    #[test]
    fn nodes_compare_by_their_whole_keys() {
        let (short, long) = (node(b"", b"abcd", b"2"), node(b"abc", b"d", b"1"));
        assert_eq!(compare_nodes(&short, &long, false), Ordering::Equal);
        assert_eq!(compare_nodes(&short, &long, true), Ordering::Greater);
        assert_eq!(compare_nodes(&node(b"abc", b"a", b""), &short, true), Ordering::Less);
    }
}
