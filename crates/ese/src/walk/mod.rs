//! Every tree that the catalog and the space trees name, walked from its root down (ese.md 13, point 2), and the trees
//! of a table compared with each other: what a right checksum cannot show. A page in use that was never written, and an
//! older page in the place of a newer one, have right checksums.
//!
//! Only the trees of a clean database fit together: the pages of one that needs its logs are of different ages.
//!
//! What is compared, in one pass and with sums instead of lists:
//! * each page with its parent, its neighbours and the space trees,
//! * the rows of a table with the entries of its indexes: which rows, and the values whose keys can be told,
//! * the long values that rows refer to with those that are there,
//! * in the database of a CA the requests with their certificates, and in each the catalog with its copy.

mod beside;
mod ca;
mod fault;
mod finding;
mod keys;
mod leaf;
mod longvalues;
mod order;
mod space;
mod tables;
mod tally;
mod tree;

pub use fault::{Fault, Problem, TreeKind, TreeName};
pub(crate) use leaf::{Facts, Sight};

use crate::catalog::Catalog;
use crate::checksum::PageCheck;
use crate::database::Database;
use crate::error::Error;
use crate::page::Node;
use crate::pager::Pager;
use crate::space::{DATABASE_ROOT, PageSet, SpaceMap};
use fault::name;
use leaf::{InOrder, Visit};
use tree::{Judge, Owned, Spec, Walker};

/// How much a walk looked at.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Summary {
    /// Trees, space trees not counted.
    pub trees: u32,
    /// Pages that trees refer to.
    pub pages: u32,
    /// Rows of all tables.
    pub rows: u64,
    /// Indexes that were compared with their tables.
    pub indexes_compared: u32,
}

/// What a walk came to.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Outcome {
    /// What is wrong, in the order in which it was met.
    pub faults: Vec<Fault>,
    /// Further faults that were only counted.
    pub left_out: usize,
    /// How much was looked at.
    pub summary: Summary,
}

impl Outcome {
    /// True when nothing is lost.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.left_out == 0 && self.faults.iter().all(|fault| !fault.problem.is_damage())
    }
}

impl<P: Pager> Database<P> {
    /// Walks every tree. The database has to be clean: other ones are not consistent before their logs are replayed.
    ///
    /// # Errors
    /// [`Error::Io`], and as [`Database::catalog`] where nothing says which trees there are.
    pub fn walk(&self) -> Result<Outcome, Error> {
        let catalog = self.catalog()?;
        let roots = catalog.roots();
        let space = SpaceMap::read(self, roots.into_iter().map(|(root, _)| root)).ok();
        Ok(walk(self, &catalog, space.as_ref(), &mut |_, sight| unusable(sight))?.0)
    }
}

/// Why a page cannot be used that has something on it.
pub(crate) fn unusable(sight: &Sight) -> Option<String> {
    match (&sight.check, &sight.facts) {
        (PageCheck::Misplaced { .. }, _) => Some("it belongs to another place".to_owned()),
        (PageCheck::Damaged, _) => Some("its checksum is wrong".to_owned()),
        (_, Some(Err(error))) => Some(error.to_string()),
        _ => None,
    }
}

/// Walks every tree; also returns the pages that trees refer to. `judge` sees each page once.
pub(crate) fn walk<P: Pager>(
    database: &Database<P>,
    catalog: &Catalog,
    space: Option<&SpaceMap>,
    judge: &mut Judge<'_>,
) -> Result<(Outcome, PageSet), Error> {
    let mut walk = Walk {
        walker: Walker::new(database, space, judge),
        spare: PageSet::new(0),
        of_table: Owned::Unknown,
        summary: Summary::default(),
    };
    walk.tree(
        name(TreeKind::Database, "", ""),
        DATABASE_ROOT,
        Some(1),
        0,
        &mut InOrder(|_: &Node<'_>| None),
    )?;
    walk.tables(catalog)?;
    let Walk { walker, mut summary, .. } = walk;
    summary.pages = walker.reached.count();
    let Walker { faults, left_out, reached, .. } = walker;
    Ok((Outcome { faults, left_out, summary }, reached))
}

/// A walk under way.
struct Walk<'w, P> {
    walker: Walker<'w, P>,
    /// A set for the pages of the next tree.
    spare: PageSet,
    /// The pages of the table whose indexes and long values are walked.
    of_table: Owned,
    summary: Summary,
}

impl<P: Pager> Walk<'_, P> {
    /// Walks one tree and the trees of its space; true when no page was left out.
    fn tree(
        &mut self,
        name: TreeName,
        root: u32,
        object: Option<u32>,
        parent: u32,
        visit: &mut impl Visit,
    ) -> Result<bool, Error> {
        self.summary.trees += 1;
        self.recycle_owned();
        let Some(page) = self.walker.first_look(&name, root, root)? else {
            return Ok(false);
        };
        if !self.of_table.contains(root) {
            self.walker.add(&name, root, Problem::NotOwned);
        }
        self.walker.owned = self.space(&name, &page, parent)?;
        let spec = Spec { name, object };
        Ok(self.walker.walk(&spec, &page, visit)?.whole)
    }
}
