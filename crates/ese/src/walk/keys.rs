//! Index keys out of the columns of a row, as far as they can be told without the tables of the system (ese.md 5.1).

use crate::catalog::{Index, TableDefinition};
use crate::column::{Column, ColumnType};
use crate::error::Error;
use crate::record::{Raw, Record};

/// First byte of a key segment.
const NULL: u8 = 0x00;
const NULL_HIGH: u8 = 0xC0;
const VALUE: u8 = 0x7F;

/// Index flags (ese.md 5).
mod index_flag {
    pub(super) const ALLOW_ALL_NULLS: u32 = 0x2;
    pub(super) const ALLOW_FIRST_NULL: u32 = 0x4;
    pub(super) const ALLOW_SOME_NULLS: u32 = 0x8;
    pub(super) const MULTI_VALUED: u32 = 0x80;
    pub(super) const OF_TEMPLATE: u32 = 0x300;
}

/// Column flag: the default comes from a function of the program.
const USER_DEFINED_DEFAULT: u32 = 0x8000;

/// How the entries of an index follow from the rows of its table.
pub(super) struct KeyPlan {
    columns: Vec<Column>,
    flags: u32,
    /// Rows and entries can be compared one by one.
    pub(super) one_entry_a_row: bool,
}

/// What a row contributes to an index.
pub(super) enum Entry {
    /// Nothing: the index leaves out rows with these nulls.
    LeftOut,
    /// An entry whose key begins with these bytes, as [`KeyPlan::comparable`] gives them.
    Key,
}

impl KeyPlan {
    /// `None` where entries do not follow from rows in a way that this reader knows.
    pub(super) fn new(table: &TableDefinition, index: &Index) -> Self {
        let find = |id: &u32| table.columns.iter().find(|column| column.id == *id).cloned();
        let columns: Option<Vec<_>> = index.columns.iter().map(find).collect();
        let columns = columns.unwrap_or_default();
        let plain = index.is_plain
            && index.flags & (index_flag::MULTI_VALUED | index_flag::OF_TEMPLATE) == 0
            && !columns.is_empty()
            && columns.iter().all(|column| {
                !column.is_multi_valued() && !column.derived && column.flags & USER_DEFINED_DEFAULT == 0
            });
        Self { columns, flags: index.flags, one_entry_a_row: plain }
    }

    /// The comparable part of the key of a row, appended to `key`.
    pub(super) fn of_row(&self, record: &Record<'_>, key: &mut Vec<u8>) -> Result<Entry, Error> {
        let (mut nulls, mut first_is_null, mut open) = (0, false, true);
        for (place, column) in self.columns.iter().enumerate() {
            let raw = match record.raw(column)? {
                Raw::Absent => column.default.as_deref().map_or(Raw::Null, Raw::Value),
                other => other,
            };
            if matches!(raw, Raw::Null) {
                nulls += 1;
                first_is_null |= place == 0;
            }
            if open {
                open = append(column, &raw, key);
            }
        }
        let allowed = |flag: u32| self.flags & flag != 0;
        let left_out = match nulls {
            0 => false,
            all if all == self.columns.len() => !allowed(index_flag::ALLOW_ALL_NULLS),
            _ if first_is_null => !allowed(index_flag::ALLOW_FIRST_NULL),
            _ => !allowed(index_flag::ALLOW_SOME_NULLS),
        };
        Ok(if left_out { Entry::LeftOut } else { Entry::Key })
    }

    /// As [`KeyPlan::comparable`], for a key in two parts; what is put together lies in `key` only for a moment.
    pub(super) fn comparable_parts(&self, [prefix, suffix]: [&[u8]; 2], key: &mut Vec<u8>) {
        if prefix.is_empty() {
            return self.comparable(suffix, key);
        }
        // Keys have at most 255 bytes as a rule; longer ones go through the heap.
        let mut whole = [0; 256];
        match whole.get_mut(..prefix.len() + suffix.len()) {
            Some(whole) => {
                whole[..prefix.len()].copy_from_slice(prefix);
                whole[prefix.len()..].copy_from_slice(suffix);
                self.comparable(whole, key);
            }
            None => self.comparable(&[prefix, suffix].concat(), key),
        }
    }

    /// The part of an entry's key that a row also gives: segments up to the first that needs the tables of the system,
    /// and whether that one is null. Appended to `key`.
    pub(super) fn comparable(&self, mut entry: &[u8], key: &mut Vec<u8>) {
        for column in &self.columns {
            let Some((&mark, rest)) = entry.split_first() else {
                return;
            };
            if matches!(mark, NULL | NULL_HIGH) {
                key.push(NULL);
                entry = rest;
                continue;
            }
            key.push(VALUE);
            let Some(width) = comparable_width(column.kind) else {
                return;
            };
            let (value, rest) = rest.split_at(width.min(rest.len()));
            key.extend_from_slice(value);
            entry = rest;
        }
    }
}

/// Bytes of the key of a type whose keys follow from the value alone.
fn comparable_width(kind: ColumnType) -> Option<usize> {
    match kind {
        ColumnType::Guid => None,
        other => other.width(),
    }
}

/// Appends a segment; false where what follows in a key cannot be found, because the length of this one is not known.
fn append(column: &Column, raw: &Raw<'_>, key: &mut Vec<u8>) -> bool {
    let bytes = match raw {
        Raw::Null | Raw::Absent => {
            key.push(NULL);
            return true;
        }
        Raw::Value(bytes) => *bytes,
        Raw::Other => &[],
    };
    key.push(VALUE);
    let Some(width) = comparable_width(column.kind) else {
        return false;
    };
    let mut wide = [0; 8];
    let take = width.min(bytes.len());
    wide[..take].copy_from_slice(&bytes[..take]);
    let number = u64::from_le_bytes(wide);
    let bits = 8 * u32::try_from(width).unwrap_or(8);
    let top = 1u64 << (bits - 1);
    let sorted = match column.kind {
        ColumnType::Bit if number == 0 => 0,
        ColumnType::Bit => 0xFF,
        ColumnType::I16 | ColumnType::I32 | ColumnType::I64 | ColumnType::Currency => number ^ top,
        // Negative numbers sort by their complement.
        ColumnType::F32 | ColumnType::F64 | ColumnType::DateTime if number & top != 0 => !number,
        ColumnType::F32 | ColumnType::F64 | ColumnType::DateTime => number | top,
        _ => number,
    };
    key.extend_from_slice(&sorted.to_be_bytes()[8 - width..]);
    true
}
