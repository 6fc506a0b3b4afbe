//! What the rows of a table promise to its other trees, and whether these keep it.

use super::Walk;
use super::fault::{Problem, TreeKind, name};
use super::keys::{Entry, KeyPlan};
use super::longvalues::LongValues;
use super::tally::{Tally, hash, joined};
use crate::catalog::{Index, TableDefinition};
use crate::column::Column;
use crate::error::Error;
use crate::page::Page;
use crate::pager::Pager;
use crate::record::{Raw, Record};
use crate::space::DATABASE_ROOT;

/// What is remembered of the rows of a table: sums, whatever their number.
pub(super) struct Rows {
    /// No row was left out, and each could be read.
    pub(super) whole: bool,
    /// The keys of the rows.
    pub(super) keys: Tally,
    /// Long values that they refer to.
    references: Tally,
    /// Keys of the rows that the column of interest marks, see [`Mark`].
    pub(super) marked: Tally,
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

/// What an index must hold, by the rows of its table.
struct Expected<'t> {
    index: &'t Index,
    plan: KeyPlan,
    /// Keys of the rows that have an entry.
    rows: Tally,
    /// The same, each with the part of the index key that can be told.
    values: Tally,
}

impl<P: Pager> Walk<'_, P> {
    /// Walks all trees of a table and compares them.
    pub(super) fn table(&mut self, table: &TableDefinition, mark: Option<&Mark>) -> Result<Rows, Error> {
        let secondary = table.indexes.iter().filter(|index| !index.is_primary() && index.root != 0);
        let mut expected: Vec<Expected<'_>> = secondary
            .map(|index| Expected {
                index,
                plan: KeyPlan::new(table, index),
                rows: Tally::default(),
                values: Tally::default(),
            })
            .collect();
        let rows = self.rows(table, mark, &mut expected)?;
        self.enter_table();
        for expected in &expected {
            self.index(table, &rows, expected)?;
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
        expected: &mut [Expected<'_>],
    ) -> Result<Rows, Error> {
        let page_size = self.walker.database.page_size();
        let primary =
            table.indexes.iter().find(|index| index.is_primary()).map(|index| KeyPlan::new(table, index));
        let primary = primary.filter(|plan| plan.one_entry_a_row);
        let mut rows = Rows {
            whole: false,
            keys: Tally::default(),
            references: Tally::default(),
            marked: Tally::default(),
        };
        let mut buffers = Buffers::default();
        let mut readable = true;
        let mut visit = |page: &Page, tell: &mut dyn FnMut(Problem)| {
            let mut told = false;
            for (line, node) in page.nodes().enumerate() {
                if node.is_deleted() {
                    continue;
                }
                buffers.row.clear();
                buffers.row.extend_from_slice(node.prefix);
                buffers.row.extend_from_slice(node.suffix);
                let row = hash(&buffers.row);
                rows.keys.add_hash(row);
                let seen = Record::parse(node.data, page_size).and_then(|record| {
                    record.long_values(&mut |id| rows.references.add(&id.to_le_bytes()))?;
                    if mark.map_or(Ok(false), |mark| mark.applies(&record))? {
                        rows.marked.add_hash(row);
                    }
                    for expected in expected.iter_mut().filter(|expected| expected.plan.one_entry_a_row) {
                        buffers.entry.clear();
                        if let Entry::Key = expected.plan.of_row(&record, &mut buffers.entry)? {
                            expected.rows.add_hash(row);
                            expected.values.add_hash(joined(hash(&buffers.entry), row));
                        }
                    }
                    let Some(primary) = &primary else {
                        return Ok(true);
                    };
                    buffers.entry.clear();
                    buffers.key.clear();
                    primary.of_row(&record, &mut buffers.entry)?;
                    primary.comparable(&buffers.row, &mut buffers.key);
                    Ok(buffers.entry == buffers.key)
                });
                let problem = match seen {
                    Ok(true) => continue,
                    Ok(false) => Problem::RowKey { line },
                    Err(_) => Problem::Row { line },
                };
                readable &= matches!(problem, Problem::RowKey { .. });
                if !core::mem::replace(&mut told, true) {
                    tell(problem);
                }
            }
        };
        let name = name(TreeKind::Rows, &table.name, "");
        let whole = self.tree(name, table.root, Some(table.object_id), DATABASE_ROOT, &mut visit)?;
        rows.whole = whole && readable;
        Ok(rows)
    }

    fn index(&mut self, table: &TableDefinition, rows: &Rows, expected: &Expected<'_>) -> Result<(), Error> {
        let index = expected.index;
        let plan = &expected.plan;
        let (mut entries, mut values) = (Tally::default(), Tally::default());
        let mut buffer = Vec::new();
        let mut visit = |page: &Page, _: &mut dyn FnMut(Problem)| {
            for node in page.nodes().filter(|node| !node.is_deleted()) {
                let row = hash(node.data);
                entries.add_hash(row);
                if plan.one_entry_a_row {
                    buffer.clear();
                    plan.comparable_parts([node.prefix, node.suffix], &mut buffer);
                    values.add_hash(joined(hash(&buffer), row));
                }
            }
        };
        let name = name(TreeKind::Index, &table.name, &index.name);
        let whole = self.tree(name.clone(), index.root, Some(index.object_id), table.root, &mut visit)?;
        if !whole || !rows.whole || !plan.one_entry_a_row {
            return Ok(());
        }
        self.summary.indexes_compared += 1;
        let problem = if entries.count != expected.rows.count {
            Problem::IndexCount { entries: entries.count, rows: expected.rows.count }
        } else if entries != expected.rows {
            Problem::IndexRows
        } else if values != expected.values {
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
        let whole = self.tree(name.clone(), root, table.long_values_object, table.root, &mut |page, _| {
            found.leaf(page);
        })?;
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
                    self.walker.add(&name, page, Problem::LongValueMissing { id });
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

/// Reused from row to row.
#[derive(Default)]
struct Buffers {
    row: Vec<u8>,
    entry: Vec<u8>,
    key: Vec<u8>,
}
