//! Rows of a table as typed values.

use crate::bytes::index;
use crate::catalog::TableDefinition;
use crate::column::{Column, Value};
use crate::database::Database;
use crate::error::Error;
use crate::longvalue;
use crate::pager::Pager;
use crate::record::{Cell, Part, Raw, Record};
use crate::tree::{NodeRef, Scan};

/// So many bytes the value of a cell may have, whatever its column says: as many as the longest column of a CA, that of its
/// CRLs (ese.md 12).
const MOST_OF_CELL: usize = 512 << 20;

/// The same for the values of a cell that has several. Each may be the same long value.
const MOST_OF_SEVERAL: usize = 64 << 20;

/// A table opened for reading.
pub struct Table<'d, P> {
    database: &'d Database<P>,
    definition: TableDefinition,
}

impl<P: Pager> Database<P> {
    /// Opens a table by name (ASCII case is ignored).
    ///
    /// # Errors
    /// [`Error::NoSuchTable`] (HRESULT 0xC8000519), and as [`Database::catalog`].
    pub fn table(&self, name: &str) -> Result<Table<'_, P>, Error> {
        Ok(Table::new(self, self.catalog()?.table(name)?.clone()))
    }
}

impl<'d, P: Pager> Table<'d, P> {
    pub(crate) fn new(database: &'d Database<P>, definition: TableDefinition) -> Self {
        Self { database, definition }
    }

    /// What the catalog says of it.
    pub fn definition(&self) -> &TableDefinition {
        &self.definition
    }

    /// A column by name, as [`TableDefinition::column`].
    ///
    /// # Errors
    /// [`Error::NoSuchColumn`] (HRESULT 0xC80005E3).
    pub fn column(&self, name: &str) -> Result<&Column, Error> {
        self.definition.column(name).ok_or_else(|| Error::NoSuchColumn {
            table: self.definition.name.clone(),
            column: name.to_owned(),
        })
    }

    /// All rows in the order of the primary index.
    pub fn rows(&self) -> Rows<'_, 'd, P> {
        Rows { table: self, scan: self.database.tree(self.definition.root).scan() }
    }

    /// The row whose primary key is this 32-bit number (ese.md 5.1), such as a request by its identifier.
    ///
    /// # Errors
    /// As [`Database::page`].
    pub fn row_by_number(&self, number: i32) -> Result<Option<Row<'_, 'd, P>>, Error> {
        let mut key = vec![0x7F];
        key.extend_from_slice(&(number.cast_unsigned() ^ 1 << 31).to_be_bytes());
        let found = self.database.tree(self.definition.root).find(&key)?;
        Ok(found.map(|node| Row { table: self, node }))
    }
}

impl<P: Pager> Table<'_, P> {
    /// Whether the row with this number exists and has a value in a column, which is not read.
    pub(crate) fn has_value(&self, number: i64, column: &str) -> Result<bool, Error> {
        let Ok(number) = i32::try_from(number) else {
            return Ok(false);
        };
        let Some(row) = self.row_by_number(number)? else {
            return Ok(false);
        };
        let record = Record::parse(row.node.node()?.data, self.database.page_size())?;
        Ok(!matches!(record.raw(self.column(column)?)?, Raw::Absent | Raw::Null))
    }
}

/// Rows of a table; ends after the first error of the tree. A damaged cell fails alone ([`Row::value`]).
pub struct Rows<'t, 'd, P> {
    table: &'t Table<'d, P>,
    scan: Scan<'d, P>,
}

impl<'t, 'd, P: Pager> Iterator for Rows<'t, 'd, P> {
    type Item = Result<Row<'t, 'd, P>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let node = self.scan.next()?;
        Some(node.map(|node| Row { table: self.table, node }))
    }
}

/// One row.
pub struct Row<'t, 'd, P> {
    table: &'t Table<'d, P>,
    node: NodeRef,
}

impl<P: Pager> Row<'_, '_, P> {
    /// The value of a column; its default where the record does not mention it.
    ///
    /// # Errors
    /// [`Error::MalformedPage`] (HRESULT 0xC80004B6), [`Error::UnsupportedCompression`], [`Error::Encrypted`], and
    /// as [`Database::page`] for long values.
    pub fn value(&self, column: &Column) -> Result<Value, Error> {
        let (page, _) = self.node.position();
        self.value_inner(column).map_err(|error| error.on_page(page))
    }

    fn value_inner(&self, column: &Column) -> Result<Value, Error> {
        let node = self.node.node()?;
        let record = Record::parse(node.data, self.table.database.page_size())?;
        match record.cell(column)? {
            Cell::Null => Ok(Value::Null),
            Cell::Absent => match &column.default {
                Some(bytes) => column.value(bytes),
                None => Ok(Value::Null),
            },
            Cell::One(part) => self.typed(column, part, &mut { MOST_OF_CELL }),
            Cell::Many(parts) => {
                let mut left = MOST_OF_SEVERAL;
                let values: Result<_, _> =
                    parts.into_iter().map(|part| self.typed(column, part, &mut left)).collect();
                Ok(Value::Multi(values?))
            }
        }
    }

    /// `left` is what the cell may still have.
    fn typed(&self, column: &Column, part: Part, left: &mut usize) -> Result<Value, Error> {
        let definition = &self.table.definition;
        match part {
            Part::Here(bytes) => column.value(&bytes),
            Part::Elsewhere(id) => {
                let root = definition.long_values.ok_or(Error::Malformed {
                    what: "a long value",
                    problem: "the table has no tree for long values",
                })?;
                let database = self.table.database;
                let most = match index(column.max_length) {
                    0 => *left,
                    longest => longest.min(*left),
                };
                let bytes = longvalue::read(database, root, id, most)?;
                *left -= bytes.len();
                column.value(&bytes)
            }
        }
    }

    /// The value of a column by name; see [`Table::column`].
    ///
    /// # Errors
    /// [`Error::NoSuchColumn`] (HRESULT 0xC80005E3), and as [`Row::value`].
    pub fn by_name(&self, name: &str) -> Result<Value, Error> {
        self.value(self.table.column(name)?)
    }

    /// Page and node number, for messages.
    pub fn position(&self) -> (u32, usize) {
        self.node.position()
    }
}
