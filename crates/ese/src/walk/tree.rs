//! One tree from its root down: every page read once, judged by the page above it and by its neighbours (ese.md 3.4).

use std::collections::VecDeque;
use std::thread;

use super::beside::Beside;
use super::fault::{Fault, Problem, TreeName};
use super::leaf::{Batch, Looker, Seen, Sight, Terms, Visit, WINDOW};
use super::order::{Range, misorder};
use crate::checksum::PageCheck;
use crate::database::Database;
use crate::error::Error;
use crate::page::{Page, flag};
use crate::pager::Pager;
use crate::space::{Extent, PageSet, SpaceMap};

/// Deeper trees than this do not occur: a level multiplies the size by at least 2.
const DEEPEST: usize = 32;

/// Faults kept; further ones are only counted.
const MOST_FAULTS: usize = 100_000;

/// A tree that is to be walked.
pub(super) struct Spec {
    pub(super) name: TreeName,
    /// Its object where the catalog names it; otherwise that of the root page counts.
    pub(super) object: Option<u32>,
}

/// What a walk down a tree came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Walked {
    /// No page of it was left out, so that what it holds can be compared.
    pub(super) whole: bool,
}

/// Told of each page that is met for the first time. Says why it cannot be used, where it is not zero and that is not told
/// elsewhere.
pub(super) type Judge<'j> = dyn FnMut(u32, &Sight) -> Option<String> + 'j;

/// What is told of a tree in the order of its pages, while leaves that come before are still looked at on another core.
enum Event {
    Told(TreeName, u32, Sight),
    Fault(Fault),
    Miss(Before),
    /// Leaves, each with whether it was read.
    Leaves(Vec<(u32, bool)>, Looked),
}

/// Where leaves are looked at.
enum Looked {
    Here(Vec<Seen>),
    Beside,
}

/// More events than this do not wait for leaves that another core looks at.
const MOST_EVENTS: usize = 256;

/// The pages of a database while its trees are walked. Memory: two bits a page, a page a level, a window for each of two cores.
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
    /// What waits for leaves on another core; empty when nothing does.
    behind: VecDeque<Event>,
    /// Cores that may be used.
    cores: usize,
    pub(super) faults: Vec<Fault>,
    pub(super) left_out: usize,
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
struct Descent<'t, 's, P, V> {
    spec: &'t Spec,
    terms: Terms,
    looker: Looker<'t, P>,
    before: Before,
    whole: bool,
    visit: &'t mut V,
    /// Another core that looks at leaves, where there is one and their order does not count.
    beside: Option<Beside<'s, V>>,
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
            behind: VecDeque::new(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            faults: Vec::new(),
            left_out: 0,
        }
    }

    /// Tells of a problem when its turn comes.
    pub(super) fn add(&mut self, name: &TreeName, page: u32, problem: Problem) {
        if self.behind.is_empty() {
            self.add_now(name, page, problem);
        } else {
            self.behind.push_back(Event::Fault(Fault { page, tree: name.clone(), problem }));
        }
    }

    fn add_now(&mut self, name: &TreeName, page: u32, problem: Problem) {
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
        let (sight, usable) = Sight::of(page, &bytes, &mut Vec::new());
        if self.behind.is_empty() {
            self.told(name, page, &sight);
        } else {
            self.behind.push_back(Event::Told(name.clone(), page, sight));
        }
        Ok(usable)
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

    /// Hands a page on that was looked at, and tells why it cannot be used.
    fn told(&mut self, name: &TreeName, page: u32, sight: &Sight) {
        let why = (self.judge)(page, sight);
        if sight.check == PageCheck::Zero {
            self.add_now(name, page, Problem::NeverWritten);
        } else if let Some(why) = why {
            self.add_now(name, page, Problem::Unreadable(why));
        }
    }

    /// Walks a tree whose root page was read.
    pub(super) fn walk<V: Visit>(
        &mut self,
        spec: &Spec,
        root: &Page,
        visit: &mut V,
    ) -> Result<Walked, Error> {
        let terms = Terms {
            kind: spec.name.kind,
            object: spec.object.unwrap_or(root.object_id()),
            non_unique: root.has(flag::NON_UNIQUE),
        };
        if let Some(problem) = terms.misfit(root, true, None) {
            self.add(&spec.name, root.number(), problem);
            return Ok(Walked { whole: false });
        }
        let part = if self.cores < 2 || root.has(flag::LEAF) { None } else { visit.part() };
        thread::scope(|scope| {
            let looker = || Looker::new(self.database, terms);
            let beside = part.and_then(|part| Beside::start(scope, looker(), part));
            let mut descent = Descent {
                spec,
                terms,
                looker: looker(),
                before: Before::Nothing,
                whole: true,
                visit: &mut *visit,
                beside,
            };
            let came = self
                .below(&mut descent, root, Range { low: &[], high: None }, 0)
                .and_then(|()| self.catch_up(&mut descent, true));
            // What an error left waiting is of no use.
            self.behind.clear();
            let Descent { before, whole, beside, .. } = descent;
            if let Some(beside) = beside {
                visit.add(beside.end());
            }
            came?;
            if let Before::Leaf { number: left, next: Some(right) } = before
                && right != 0
            {
                self.add(&spec.name, left, Problem::Sibling { left, right });
            }
            Ok(Walked { whole })
        })
    }

    /// A page that fits its place, and what lies below it.
    fn below<V: Visit>(
        &mut self,
        descent: &mut Descent<'_, '_, P, V>,
        page: &Page,
        range: Range<'_>,
        depth: usize,
    ) -> Result<(), Error> {
        if page.has(flag::LEAF) {
            let problems = descent.terms.problems(page, range, descent.visit);
            self.leaf(descent, page.number(), [page.previous(), page.next()], problems);
            return Ok(());
        }
        if let Some(problem) = misorder(page, descent.terms.non_unique, range, |_, _| {}) {
            self.add(&descent.spec.name, page.number(), problem);
        }
        if page.node_count() == 0 || DEEPEST <= depth {
            // Never set again: it need not wait for its turn.
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
                self.miss(descent, Before::Unknown);
                continue;
            };
            self.child(descent, page, line, &below, range, depth)?;
        }
        Ok(())
    }

    fn child<V: Visit>(
        &mut self,
        descent: &mut Descent<'_, '_, P, V>,
        parent: &Page,
        line: usize,
        child: &Page,
        range: Range<'_>,
        depth: usize,
    ) -> Result<(), Error> {
        if let Some(problem) = descent.terms.misfit(child, false, Some(false)) {
            self.miss(descent, Before::Unknown);
            self.add(&descent.spec.name, child.number(), problem);
            return Ok(());
        }
        let low = line.checked_sub(1).map(|before| key_of(parent, before));
        let high = if line + 1 == parent.node_count() { None } else { Some(key_of(parent, line)) };
        let range = Range { low: low.as_deref().unwrap_or(range.low), high: high.as_deref().or(range.high) };
        self.below(descent, child, range, depth + 1)
    }

    /// The leaves below a page, a window at a time, neighbours in the file with one read.
    fn leaves<V: Visit>(
        &mut self,
        descent: &mut Descent<'_, '_, P, V>,
        page: &Page,
        range: Range<'_>,
    ) -> Result<(), Error> {
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
                    wanted.push((child, line - lines.start));
                }
            }
            wanted.sort_unstable();
            let low =
                lines.start.checked_sub(1).map_or_else(|| range.low.to_vec(), |line| key_of(page, line));
            let high = |line: usize| {
                if line + 1 == count { range.high.map(<[u8]>::to_vec) } else { Some(key_of(page, line)) }
            };
            let bounds = std::iter::once(Some(low)).chain(lines.clone().map(high)).collect();
            let numbers = lines.map(|line| child_of(page, line)).collect();
            self.look(descent, Batch { numbers, wanted, bounds })?;
        }
        Ok(())
    }

    /// Has leaves looked at: on the other core if it has nothing to wait for, otherwise here.
    fn look<V: Visit>(&mut self, descent: &mut Descent<'_, '_, P, V>, batch: Batch) -> Result<(), Error> {
        let mut lines: Vec<_> = batch.numbers.iter().map(|number| (*number, false)).collect();
        batch.wanted.iter().for_each(|(_, place)| lines[*place].1 = true);
        let refused = match &mut descent.beside {
            Some(beside) => beside.take(batch),
            None => Some(batch),
        };
        let looked = match refused {
            None => Looked::Beside,
            Some(batch) => Looked::Here(descent.looker.look(&batch, descent.visit)?),
        };
        self.behind.push_back(Event::Leaves(lines, looked));
        self.catch_up(descent, false)
    }

    /// Tells what waited for leaves that were looked at meanwhile. `wait` is for all of them.
    fn catch_up<V: Visit>(&mut self, descent: &mut Descent<'_, '_, P, V>, wait: bool) -> Result<(), Error> {
        while let Some(event) = self.behind.pop_front() {
            match event {
                Event::Told(name, page, sight) => self.told(&name, page, &sight),
                Event::Fault(Fault { page, tree, problem }) => self.add_now(&tree, page, problem),
                Event::Miss(before) => descent.miss(before),
                Event::Leaves(lines, Looked::Here(seen)) => self.leaves_seen(descent, lines, seen),
                Event::Leaves(lines, Looked::Beside) => {
                    let must = wait || MOST_EVENTS < self.behind.len();
                    let Some(seen) = descent.beside.as_mut().and_then(|beside| beside.next(must)) else {
                        self.behind.push_front(Event::Leaves(lines, Looked::Beside));
                        return Ok(());
                    };
                    self.leaves_seen(descent, lines, seen?);
                }
            }
        }
        Ok(())
    }

    fn leaves_seen<V>(
        &mut self,
        descent: &mut Descent<'_, '_, P, V>,
        lines: Vec<(u32, bool)>,
        seen: Vec<Seen>,
    ) {
        let mut seen = seen.into_iter();
        for (number, was_read) in lines {
            match was_read.then(|| seen.next()).flatten() {
                Some(seen) => self.seen(descent, number, seen),
                None => descent.miss(Before::Unknown),
            }
        }
    }

    /// Notes a child that cannot be used when its turn comes.
    fn miss<V>(&mut self, descent: &mut Descent<'_, '_, P, V>, before: Before) {
        if self.behind.is_empty() {
            descent.miss(before);
        } else {
            self.behind.push_back(Event::Miss(before));
        }
    }

    /// A page in the place of a leaf that was looked at.
    fn seen<V>(&mut self, descent: &mut Descent<'_, '_, P, V>, number: u32, seen: Seen) {
        let name = &descent.spec.name;
        self.told(name, number, &seen.sight);
        match (seen.sight.usable(), seen.misfit) {
            (Some(page), None) => self.leaf(descent, number, [page.previous, page.next], seen.problems),
            (_, misfit) => {
                if let Some(problem) = misfit {
                    self.add_now(name, number, problem);
                }
                descent.miss(Before::Leaf { number, next: None });
            }
        }
    }

    /// A leaf that fits its place, and what is wrong with it.
    fn leaf<V>(
        &mut self,
        descent: &mut Descent<'_, '_, P, V>,
        number: u32,
        [previous, following]: [u32; 2],
        problems: Vec<Problem>,
    ) {
        let name = &descent.spec.name;
        let broken = match descent.before {
            Before::Nothing if previous != 0 => Some(0),
            Before::Leaf { number: left, next }
                if previous != left || next.is_some_and(|next| next != number) =>
            {
                Some(left)
            }
            _ => None,
        };
        if let Some(left) = broken {
            self.add_now(name, number, Problem::Sibling { left, right: number });
        }
        descent.before = Before::Leaf { number, next: Some(following) };
        for problem in problems {
            self.add_now(name, number, problem);
        }
    }
}

impl<P, V> Descent<'_, '_, P, V> {
    /// A child that cannot be used.
    fn miss(&mut self, before: Before) {
        self.whole = false;
        self.before = before;
    }
}

/// The page that a node above the leaves refers to; 0, which is no page, where its data is no number.
fn child_of(page: &Page, line: usize) -> u32 {
    page.node(line).and_then(|node| node.child()).unwrap_or(0)
}

fn key_of(page: &Page, line: usize) -> Vec<u8> {
    page.node(line).map(|node| node.key()).unwrap_or_default()
}
