//! The catalog: which tables, columns and indexes there are (ese.md 5).

use std::collections::{BTreeMap, HashMap};

use crate::bytes::index;
use crate::column::{Column, ColumnType, windows_1252};
use crate::database::Database;
use crate::error::Error;
use crate::pager::Pager;
use crate::pagesize::PageSize;
use crate::record::{Cell, Part, Record};

/// Root page of MSysObjects.
pub const CATALOG_ROOT: u32 = 4;

/// Root page of its copy MSysObjectsShadow.
pub const SHADOW_ROOT: u32 = 24;

/// Object of MSysObjects (ese.md 3.4).
pub(crate) const CATALOG_OBJECT: u32 = 2;

/// Object of MSysObjectsShadow.
pub(crate) const SHADOW_OBJECT: u32 = 3;

/// An index of a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// Object identifier.
    pub object_id: u32,
    /// Root page of its tree; for the primary index that of the table.
    pub root: u32,
    /// Index flags (ese.md 5).
    pub flags: u32,
    /// Column identifiers, most significant first.
    pub columns: Vec<u32>,
    /// True when rows give entries in the plain way: no conditions, no parts of text, no descending columns.
    pub is_plain: bool,
}

impl Index {
    /// True for the index that orders the table itself.
    pub fn is_primary(&self) -> bool {
        self.flags & 0x20 != 0
    }
}

/// A table as the catalog describes it.
#[derive(Clone, PartialEq, Debug)]
pub struct TableDefinition {
    /// Its name.
    pub name: String,
    /// Object identifier.
    pub object_id: u32,
    /// Root page of its tree.
    pub root: u32,
    /// Table flags.
    pub flags: u32,
    /// Name of the table whose columns it inherits.
    pub template: Option<String>,
    /// Columns by identifier, inherited ones first.
    pub columns: Vec<Column>,
    /// Indexes by object identifier.
    pub indexes: Vec<Index>,
    /// Root page of its long-value tree, if there is one.
    pub long_values: Option<u32>,
    /// Object identifier of that tree.
    pub long_values_object: Option<u32>,
}

impl TableDefinition {
    /// Finds a column by name. The `$` that a CA puts before the names of text columns may be left out
    /// (ese.md 12); ASCII case is ignored.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| {
            let plain = column.name.strip_prefix('$').unwrap_or(&column.name);
            column.name.eq_ignore_ascii_case(name) || plain.eq_ignore_ascii_case(name)
        })
    }

    /// Root pages of the table's tree and of all trees that hang on it.
    pub fn roots(&self) -> impl Iterator<Item = u32> {
        let indexes = self.indexes.iter().map(|index| index.root);
        core::iter::once(self.root).chain(indexes).chain(self.long_values).filter(|root| *root != 0)
    }
}

/// All tables of a database.
#[derive(Clone, PartialEq, Debug)]
pub struct Catalog {
    tables: Vec<TableDefinition>,
}

const TYPE_TABLE: i64 = 1;
const TYPE_COLUMN: i64 = 2;
const TYPE_INDEX: i64 = 3;
const TYPE_LONG_VALUES: i64 = 4;

/// Columns of MSysObjects itself, which cannot be looked up in it: identifier, type, offset of fixed ones.
const BOOTSTRAP: [(u32, u32, usize); 20] = [
    (1, 4, 4),    // ObjidTable
    (2, 3, 8),    // Type
    (3, 4, 10),   // Id
    (4, 4, 14),   // ColtypOrPgnoFDP
    (5, 4, 18),   // SpaceUsage
    (6, 4, 22),   // Flags
    (7, 4, 26),   // PagesOrLocale
    (8, 1, 30),   // RootFlag
    (9, 3, 31),   // RecordOffset
    (10, 4, 33),  // LCMapFlags
    (11, 17, 37), // KeyMost
    (12, 4, 39),  // LVChunkMax
    (128, 10, 0), // Name
    (129, 9, 0),  // Stats
    (130, 10, 0), // TemplateTable
    (131, 9, 0),  // DefaultValue
    (132, 9, 0),  // KeyFldIDs
    (133, 9, 0),  // VarSegMac
    (134, 9, 0),  // ConditionalColumns
    (135, 9, 0),  // TupleLimits
];

/// One row of the catalog, by column identifier.
struct Entry {
    values: BTreeMap<u32, Vec<u8>>,
}

impl Entry {
    fn read(bytes: &[u8], page_size: PageSize) -> Result<Self, Error> {
        let record = Record::parse(bytes, page_size)?;
        let mut values = BTreeMap::new();
        for (id, kind, offset) in BOOTSTRAP {
            let column = bootstrap_column(id, kind, offset);
            if let Cell::One(Part::Here(value)) = record.cell(&column)? {
                values.insert(id, value);
            }
        }
        Ok(Self { values })
    }

    fn number(&self, id: u32) -> Option<u32> {
        let bytes = self.values.get(&id)?;
        let mut wide = [0; 4];
        wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(u32::from_le_bytes(wide))
    }

    fn required(&self, id: u32) -> Result<u32, Error> {
        self.number(id).ok_or(Error::Malformed {
            what: "a row of the catalog",
            problem: "a column that must be there is missing",
        })
    }

    fn text(&self, id: u32) -> Option<String> {
        let bytes = self.values.get(&id)?;
        Some(bytes.iter().map(|byte| windows_1252(*byte)).collect())
    }
}

fn bootstrap_column(id: u32, kind: u32, record_offset: usize) -> Column {
    Column {
        id,
        name: String::new(),
        kind: ColumnType::from(kind),
        flags: 0,
        code_page: 1252,
        max_length: 0,
        record_offset,
        default: None,
        derived: false,
    }
}

impl<P: Pager> Database<P> {
    /// Reads the catalog: every table, column and index.
    ///
    /// # Errors
    /// As [`Database::page`], and [`Error::Malformed`] for rows that contradict each other.
    pub fn catalog(&self) -> Result<Catalog, Error> {
        Catalog::read(self)
    }
}

impl Catalog {
    /// Reads the rows of MSysObjects.
    fn read<P: Pager>(database: &Database<P>) -> Result<Self, Error> {
        let page_size = database.page_size();
        let mut tables: BTreeMap<u32, TableDefinition> = BTreeMap::new();
        if database.is_salvaging() {
            // Each row as far as the catalog or its copy has it; rows of a table that neither has say nothing.
            for row in salvaged_rows(database)? {
                let _ = Entry::read(&row, page_size).and_then(|entry| add_entry(&mut tables, &entry));
            }
            let mut tables: Vec<_> = tables.into_values().collect();
            inherit(&mut tables)?;
            return Ok(Self { tables });
        }
        let mut room = Room::default();
        for node in database.tree(CATALOG_ROOT).scan() {
            let node = node?;
            let (page, _) = node.position();
            let data = node.node()?.data;
            room.take(data)?;
            let entry = Entry::read(data, page_size);
            entry.and_then(|entry| add_entry(&mut tables, &entry)).map_err(|error| error.on_page(page))?;
        }
        let mut tables: Vec<_> = tables.into_values().collect();
        inherit(&mut tables)?;
        Ok(Self { tables })
    }

    /// All tables by object identifier.
    pub fn tables(&self) -> &[TableDefinition] {
        &self.tables
    }

    /// A table by name; ASCII case is ignored.
    ///
    /// # Errors
    /// [`Error::NoSuchTable`] (HRESULT 0xC8000519).
    pub fn table(&self, name: &str) -> Result<&TableDefinition, Error> {
        self.tables
            .iter()
            .find(|table| table.name.eq_ignore_ascii_case(name))
            .ok_or_else(|| Error::NoSuchTable { name: name.to_owned() })
    }

    /// Root pages of every tree, each with its object identifier.
    pub fn roots(&self) -> Vec<(u32, u32)> {
        let mut roots = Vec::new();
        for table in &self.tables {
            roots.push((table.root, table.object_id));
            for index in &table.indexes {
                roots.push((index.root, index.object_id));
            }
            roots.extend(table.long_values.map(|root| (root, 0)));
        }
        roots.retain(|(root, _)| *root != 0);
        roots.sort_unstable();
        roots.dedup_by_key(|(root, _)| *root);
        roots
    }
}

/// How much more a catalog may have: rows, which are tables, columns and indexes, and their bytes. That of a CA has some hundreds of
/// rows with less than 100 bytes each. All of it is in memory, and each table is looked up for each check.
struct Room {
    rows: usize,
    bytes: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { rows: 100_000, bytes: 16 << 20 }
    }
}

impl Room {
    fn take(&mut self, row: &[u8]) -> Result<(), Error> {
        let too_much =
            Error::Malformed { what: "the catalog", problem: "it has more than 100,000 rows or 16 MiB" };
        let (rows, bytes) = (self.rows.checked_sub(1), self.bytes.checked_sub(row.len()));
        (self.rows, self.bytes) = rows.zip(bytes).ok_or(too_much)?;
        Ok(())
    }
}

/// The rows of the catalog in their order, and those of its copy that it lacks.
fn salvaged_rows<P: Pager>(database: &Database<P>) -> Result<impl Iterator<Item = Vec<u8>>, Error> {
    let mut rows = BTreeMap::new();
    for root in [CATALOG_ROOT, SHADOW_ROOT] {
        let mut room = Room::default();
        for node in database.tree(root).scan() {
            let node = node?;
            let node = node.node()?;
            room.take(node.data)?;
            rows.entry(node.key()).or_insert_with(|| node.data.to_vec());
        }
    }
    Ok(rows.into_values())
}

/// So many indexes a table may have. Those of a CA have about ten, and each row is compared with each index of its table.
const MOST_INDEXES: usize = 500;

fn add_entry(tables: &mut BTreeMap<u32, TableDefinition>, entry: &Entry) -> Result<(), Error> {
    let (table_id, id) = (entry.required(1)?, entry.required(3)?);
    let kind = i64::from(entry.required(2)?);
    let name = entry.text(128).unwrap_or_default();
    if kind == TYPE_TABLE {
        let table = TableDefinition {
            name,
            object_id: table_id,
            root: entry.required(4)?,
            flags: entry.number(6).unwrap_or(0),
            template: entry.text(130).filter(|template| !template.is_empty()),
            columns: Vec::new(),
            indexes: Vec::new(),
            long_values: None,
            long_values_object: None,
        };
        tables.insert(table_id, table);
        return Ok(());
    }
    // Rows are ordered by table and type, so the table's own row came first.
    let table = tables.get_mut(&table_id).ok_or(Error::Malformed {
        what: "a row of the catalog",
        problem: "it belongs to a table that is not there",
    })?;
    match kind {
        TYPE_COLUMN => table.columns.push(Column {
            id,
            name,
            kind: ColumnType::from(entry.required(4)?),
            flags: entry.number(6).unwrap_or(0),
            code_page: entry.number(7).unwrap_or(0),
            max_length: entry.number(5).unwrap_or(0),
            record_offset: record_offset(entry, table_id, id),
            default: entry.values.get(&131).cloned(),
            derived: false,
        }),
        TYPE_INDEX if MOST_INDEXES <= table.indexes.len() => {
            return Err(Error::Malformed { what: "the catalog", problem: "a table has too many indexes" });
        }
        TYPE_INDEX => table.indexes.push(Index {
            name,
            object_id: id,
            root: entry.required(4)?,
            flags: entry.number(6).unwrap_or(0),
            columns: index_columns(entry.values.get(&132).map_or(&[], Vec::as_slice)),
            is_plain: has_plain_entries(entry),
        }),
        TYPE_LONG_VALUES => {
            table.long_values = Some(entry.required(4)?);
            table.long_values_object = Some(id);
        }
        _ => {}
    }
    Ok(())
}

/// The catalog does not describe its own fixed columns truthfully, nor those of its shadow.
fn record_offset(entry: &Entry, table: u32, column: u32) -> usize {
    let own = matches!(table, 2 | 3);
    BOOTSTRAP
        .iter()
        .find(|(id, _, _)| own && *id == column)
        .map_or_else(|| index(entry.number(9).unwrap_or(0)), |(_, _, at)| *at)
}

/// Whether an index has one entry a row with its columns as they are. Segments of two bytes are those of old files.
fn has_plain_entries(entry: &Entry) -> bool {
    const LONG_SEGMENTS: u32 = 0x1_0000;
    let bytes = |id| entry.values.get(&id).map_or(&[][..], Vec::as_slice);
    let segments = bytes(132).as_chunks::<4>().0;
    entry.number(6).unwrap_or(0) & LONG_SEGMENTS != 0
        && bytes(134).is_empty()
        && bytes(135).is_empty()
        && segments.iter().all(|segment| segment[..2] == [0, 0])
}

/// Segments of 4 bytes: flags, column identifier.
fn index_columns(bytes: &[u8]) -> Vec<u32> {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        // No index has more columns (JET_ccolKeyMost).
        .take(16)
        .map(|segment| u32::from(u16::from_le_bytes([segment[2], segment[3]])))
        .collect()
}

/// So many columns are copied from templates. A CA has none; a hostile catalog of a megabyte could ask for a hundred million.
const MAX_INHERITED: usize = 1_000_000;

/// Copies the columns of templates into the tables made from them.
fn inherit(tables: &mut [TableDefinition]) -> Result<(), Error> {
    let mut left = MAX_INHERITED;
    let mut by_name = HashMap::with_capacity(tables.len());
    for (position, table) in tables.iter().enumerate() {
        by_name.entry(table.name.to_ascii_lowercase()).or_insert(position);
    }
    for position in 0..tables.len() {
        let Some(template) = &tables[position].template else {
            continue;
        };
        if let Some(inherited) = by_name.get(&template.to_ascii_lowercase()) {
            let columns = &tables[*inherited].columns;
            left = left.checked_sub(columns.len()).ok_or(Error::Malformed {
                what: "the catalog",
                problem: "its tables take too many columns from templates",
            })?;
            let mut columns = columns.clone();
            for column in &mut columns {
                column.derived = 256 <= column.id;
            }
            columns.append(&mut tables[position].columns);
            tables[position].columns = columns;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(tables: &mut BTreeMap<u32, TableDefinition>, kind: i64, id: u32, name: &str) -> Result<(), Error> {
        let numbers = [(1, 7), (2, u32::try_from(kind).unwrap()), (3, id), (4, 40)];
        let mut values: BTreeMap<u32, Vec<u8>> =
            numbers.into_iter().map(|(column, number)| (column, number.to_le_bytes().to_vec())).collect();
        values.insert(128, name.as_bytes().to_vec());
        add_entry(tables, &Entry { values })
    }

    #[test]
    fn a_table_has_no_more_indexes_than_any_engine_makes() {
        let mut tables = BTreeMap::new();
        add(&mut tables, TYPE_TABLE, 7, "t").unwrap();
        for id in 8..508 {
            add(&mut tables, TYPE_INDEX, id, "i").unwrap();
        }
        assert!(add(&mut tables, TYPE_INDEX, 508, "i").is_err());
    }

    #[test]
    fn a_catalog_has_no_more_rows_and_bytes_than_fit_in_memory() {
        let mut room = Room::default();
        for _ in 0..100_000 {
            room.take(&[0; 100]).unwrap();
        }
        assert!(room.take(&[0; 100]).is_err(), "rows");
        let mut room = Room::default();
        for _ in 0..512 {
            room.take(&[0; 32 << 10]).unwrap();
        }
        assert!(room.take(&[0; 1]).is_err(), "bytes");
    }

    #[test]
    fn columns_come_from_the_first_table_of_the_name_of_the_template() {
        let mut tables = BTreeMap::new();
        add(&mut tables, TYPE_TABLE, 7, "Base").unwrap();
        let base = tables.remove(&7).unwrap();
        let column = |name: &str| Column { name: name.to_owned(), ..bootstrap_column(256, 4, 0) };
        let with = |name: &str, template: Option<&str>, columns: Vec<Column>| TableDefinition {
            name: name.to_owned(),
            template: template.map(str::to_owned),
            columns,
            ..base.clone()
        };
        let mut tables = [
            with("Derived", Some("BASE"), vec![column("own")]),
            with("Base", None, vec![column("first")]),
            with("base", None, vec![column("second")]),
        ];
        inherit(&mut tables).unwrap();
        let names: Vec<_> = tables[0].columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["first", "own"]);
    }
}
