//! What the rows of a table promise to its other trees, and whether these keep it.

use super::Walk;
use super::fault::{Problem, TreeKind, name};
use super::keys::KeyPlan;
use super::leaf::{InOrder, Visit};
use super::longvalues::LongValues;
use super::tally::{KeyHash, Tally, hash, joined};
use crate::catalog::{CATALOG_OBJECT, Index, SHADOW_OBJECT, TableDefinition};
use crate::column::Column;
use crate::error::Error;
use crate::page::Node;
use crate::pager::Pager;
use crate::pagesize::PageSize;
use crate::record::{Raw, Record};
use crate::space::DATABASE_ROOT;

/// What is remembered of the rows of a table: sums, whatever their number.
pub(super) struct Rows {
    /// No row was left out, and each could be read.
    pub(super) whole: bool,
    /// The keys of the rows.
    pub(super) keys: Tally,
    /// The rows of a catalog, each with its key; those of other tables have no copy to compare them with.
    pub(super) data: Tally,
    /// Long values that they refer to.
    references: Tally,
    /// Keys of the rows that the column of interest marks, see [`Mark`].
    pub(super) marked: Tally,
    /// What each of its secondary indexes must hold.
    promised: Vec<Entries>,
}

/// Rows that another table must have, too.
pub(super) enum Mark {
    /// A 32-bit number in this column that is one of these.
    OneOf(Column, &'static [i32]),
    /// Any value in this column.
    Present(Column),
}

impl Mark {
    fn applies(&self, record: &Record<'_>) -> Result<bool, Error> {
        Ok(match self {
            Self::OneOf(column, numbers) => match record.raw(column)? {
                Raw::Value(bytes) => {
                    bytes.first_chunk().is_some_and(|bytes| numbers.contains(&i32::from_le_bytes(*bytes)))
                }
                _ => false,
            },
            Self::Present(column) => !matches!(record.raw(column)?, Raw::Absent | Raw::Null),
        })
    }
}

/// An index that is compared with the rows of its table.
struct Expected<'t> {
    index: &'t Index,
    plan: KeyPlan,
}

/// What an index holds, or must hold by the rows of its table.
#[derive(Clone, Default)]
struct Entries {
    /// Keys of the rows that have an entry.
    rows: Tally,
    /// The same, each with the part of the index key that can be told.
    values: Tally,
}

impl Entries {
    #[inline]
    fn add(&mut self, key: KeyHash, row: u64) {
        self.rows.add_hash(row);
        self.values.add_hash(joined(key.value(), row));
    }

    fn add_all(&mut self, other: &Self) {
        self.rows.add_all(other.rows);
        self.values.add_all(other.values);
    }
}

/// How the rows of a table are read.
struct RowTerms<'t> {
    page_size: PageSize,
    is_catalog: bool,
    mark: Option<&'t Mark>,
    primary: Option<KeyPlan>,
    expected: &'t [Expected<'t>],
}

/// The rows of a table as they come by.
struct RowVisit<'t> {
    terms: &'t RowTerms<'t>,
    rows: Rows,
    readable: bool,
}

impl<'t> RowVisit<'t> {
    fn new(terms: &'t RowTerms<'t>) -> Self {
        let promised = vec![Entries::default(); terms.expected.len()];
        let rows = Rows {
            whole: false,
            keys: Tally::default(),
            data: Tally::default(),
            references: Tally::default(),
            marked: Tally::default(),
            promised,
        };
        Self { terms, rows, readable: true }
    }

    /// Adds a row by its key; true where the key is that of its columns.
    #[inline]
    fn row(&mut self, key: &[u8], data: &[u8]) -> Result<bool, Error> {
        let row = hash(key);
        let Self { terms, rows, .. } = self;
        rows.keys.add_hash(row);
        if terms.is_catalog {
            rows.data.add_hash(joined(row, hash(data)));
        }
        let record = Record::parse(data, terms.page_size)?;
        record.long_values(&mut |id| rows.references.add(&id.to_bytes()))?;
        if terms.mark.map_or(Ok(false), |mark| mark.applies(&record))? {
            rows.marked.add_hash(row);
        }
        for (expected, promised) in terms.expected.iter().zip(&mut rows.promised) {
            if expected.plan.one_entry_a_row
                && let (key, true) = expected.plan.of_row(&record)?
            {
                promised.add(key, row);
            }
        }
        match &terms.primary {
            Some(primary) => Ok(primary.of_row(&record)?.0 == primary.of_entry(key)),
            None => Ok(true),
        }
    }
}

impl Visit for RowVisit<'_> {
    fn node(&mut self, line: usize, node: &Node<'_>) -> Option<Problem> {
        if node.is_deleted() {
            return None;
        }
        let seen = if node.prefix.is_empty() {
            self.row(node.suffix, node.data)
        } else {
            self.row(&node.key(), node.data)
        };
        match seen {
            Ok(true) => None,
            Ok(false) => Some(Problem::RowKey { line }),
            Err(_) => {
                self.readable = false;
                Some(Problem::Row { line })
            }
        }
    }

    fn part(&self) -> Option<Self> {
        Some(Self::new(self.terms))
    }

    fn add(&mut self, part: Self) {
        self.readable &= part.readable;
        self.rows.keys.add_all(part.rows.keys);
        self.rows.data.add_all(part.rows.data);
        self.rows.references.add_all(part.rows.references);
        self.rows.marked.add_all(part.rows.marked);
        for (promised, more) in self.rows.promised.iter_mut().zip(&part.rows.promised) {
            promised.add_all(more);
        }
    }
}

/// The entries of an index as they come by.
struct EntryVisit<'t> {
    plan: &'t KeyPlan,
    found: Entries,
}

impl Visit for EntryVisit<'_> {
    fn node(&mut self, _: usize, node: &Node<'_>) -> Option<Problem> {
        if node.is_deleted() {
            return None;
        }
        let row = hash(node.data);
        if self.plan.one_entry_a_row {
            self.found.add(self.plan.of_parts([node.prefix, node.suffix]), row);
        } else {
            self.found.rows.add_hash(row);
        }
        None
    }

    fn part(&self) -> Option<Self> {
        Some(Self { plan: self.plan, found: Entries::default() })
    }

    fn add(&mut self, part: Self) {
        self.found.add_all(&part.found);
    }
}

impl<P: Pager> Walk<'_, P> {
    /// Walks all trees of a table and compares them.
    pub(super) fn table(&mut self, table: &TableDefinition, mark: Option<&Mark>) -> Result<Rows, Error> {
        let secondary = table.indexes.iter().filter(|index| !index.is_primary() && index.root != 0);
        let expected: Vec<Expected<'_>> =
            secondary.map(|index| Expected { index, plan: KeyPlan::new(table, index) }).collect();
        let rows = self.rows(table, mark, &expected)?;
        self.enter_table();
        for (expected, promised) in expected.iter().zip(&rows.promised) {
            self.index(table, &rows, expected, promised)?;
        }
        if let Some(root) = table.long_values.filter(|root| *root != 0) {
            self.long_values(table, root, &rows)?;
        } else if rows.whole && rows.references.count != 0 {
            let counted = LongValues::default().counted;
            self.compare_references(table, table.root, &rows, counted)?;
        }
        self.leave_table();
        Ok(rows)
    }

    fn rows(
        &mut self,
        table: &TableDefinition,
        mark: Option<&Mark>,
        expected: &[Expected<'_>],
    ) -> Result<Rows, Error> {
        let primary =
            table.indexes.iter().find(|index| index.is_primary()).map(|index| KeyPlan::new(table, index));
        let primary = primary.filter(|plan| plan.one_entry_a_row);
        let page_size = self.walker.database.page_size();
        let is_catalog = matches!(table.object_id, CATALOG_OBJECT | SHADOW_OBJECT);
        let terms = RowTerms { page_size, is_catalog, mark, primary, expected };
        let mut visit = RowVisit::new(&terms);
        let name = name(TreeKind::Rows, &table.name, "");
        let whole = self.tree(name, table.root, Some(table.object_id), DATABASE_ROOT, &mut visit)?;
        let RowVisit { mut rows, readable, .. } = visit;
        rows.whole = whole && readable;
        Ok(rows)
    }

    fn index(
        &mut self,
        table: &TableDefinition,
        rows: &Rows,
        expected: &Expected<'_>,
        promised: &Entries,
    ) -> Result<(), Error> {
        let index = expected.index;
        let plan = &expected.plan;
        let mut visit = EntryVisit { plan, found: Entries::default() };
        let name = name(TreeKind::Index, &table.name, &index.name);
        let whole = self.tree(name.clone(), index.root, Some(index.object_id), table.root, &mut visit)?;
        let found = visit.found;
        if !whole || !rows.whole || !plan.one_entry_a_row {
            return Ok(());
        }
        self.summary.indexes_compared += 1;
        let problem = if found.rows.count != promised.rows.count {
            Problem::IndexCount { entries: found.rows.count, rows: promised.rows.count }
        } else if found.rows != promised.rows {
            Problem::IndexRows
        } else if found.values != promised.values {
            Problem::IndexValues
        } else {
            return Ok(());
        };
        self.walker.add(&name, index.root, problem);
        Ok(())
    }

    fn long_values(&mut self, table: &TableDefinition, root: u32, rows: &Rows) -> Result<(), Error> {
        let mut found = LongValues::default();
        let name = name(TreeKind::LongValues, &table.name, "");
        let mut visit = InOrder(|node: &Node<'_>| {
            found.node(node);
            None
        });
        let whole = self.tree(name.clone(), root, table.long_values_object, table.root, &mut visit)?;
        let problems = found.finish();
        if !whole {
            return Ok(());
        }
        for problem in problems {
            self.walker.add(&name, root, problem);
        }
        if rows.whole {
            self.compare_references(table, root, rows, found.counted)?;
        }
        Ok(())
    }

    /// The sums are equal as a rule; where they are not, each reference is looked up.
    fn compare_references(
        &mut self,
        table: &TableDefinition,
        root: u32,
        rows: &Rows,
        counted: Tally,
    ) -> Result<(), Error> {
        if rows.references == counted {
            return Ok(());
        }
        let name = name(TreeKind::LongValues, &table.name, "");
        let database = self.walker.database;
        let mut missing = false;
        for node in database.tree(table.root).scan() {
            let Ok(node) = node else { break };
            let (page, _) = node.position();
            let mut ids = Vec::new();
            let data = node.node()?.data;
            let read = Record::parse(data, database.page_size())
                .and_then(|record| record.long_values(&mut |id| ids.push(id)));
            if read.is_err() {
                continue;
            }
            for id in ids {
                let there =
                    table.long_values.is_some_and(|root| crate::longvalue::is_there(database, root, id));
                if !there {
                    missing = true;
                    self.walker.add(&name, page, Problem::LongValueMissing { id: id.number() });
                }
            }
        }
        if !missing {
            let problem =
                Problem::LongValueCount { references: rows.references.count, counted: counted.count };
            self.walker.add(&name, root, problem);
        }
        Ok(())
    }
}
