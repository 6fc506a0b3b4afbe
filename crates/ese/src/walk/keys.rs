//! Index keys out of the columns of a row, as far as they can be told without the tables of the system (ese.md 5.1).

use super::tally::KeyHash;
use crate::catalog::{Index, TableDefinition};
use crate::column::{Column, ColumnType};
use crate::error::Error;
use crate::record::{Raw, Record};

/// First byte of a key segment.
const NULL: u8 = 0x00;
const NULL_HIGH: u8 = 0xC0;
const VALUE: u8 = 0x7F;

/// What stands for a segment that ends before its value does; no row gives it.
const CUT: u8 = 0x01;

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

    /// The hash of the part of the key of a row that [`KeyPlan::of_entry`] also takes, and whether the index has an entry
    /// for the row: it may leave out rows with nulls.
    pub(super) fn of_row(&self, record: &Record<'_>) -> Result<(KeyHash, bool), Error> {
        let (mut nulls, mut first_is_null, mut open, mut hash) = (0, false, true, KeyHash::NONE);
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
                (hash, open) = with_value(hash, column.kind, &raw);
            }
        }
        let allowed = |flag: u32| self.flags & flag != 0;
        let left_out = match nulls {
            0 => false,
            all if all == self.columns.len() => !allowed(index_flag::ALLOW_ALL_NULLS),
            _ if first_is_null => !allowed(index_flag::ALLOW_FIRST_NULL),
            _ => !allowed(index_flag::ALLOW_SOME_NULLS),
        };
        Ok((hash, !left_out))
    }

    /// As [`KeyPlan::of_entry`], for a key in two parts.
    pub(super) fn of_parts(&self, [prefix, suffix]: [&[u8]; 2]) -> KeyHash {
        if prefix.is_empty() {
            return self.of_entry(suffix);
        }
        // Keys have at most 255 bytes as a rule; longer ones go through the heap.
        let mut whole = [0; 256];
        match whole.get_mut(..prefix.len() + suffix.len()) {
            Some(whole) => {
                whole[..prefix.len()].copy_from_slice(prefix);
                whole[prefix.len()..].copy_from_slice(suffix);
                self.of_entry(whole)
            }
            None => self.of_entry(&[prefix, suffix].concat()),
        }
    }

    /// The hash of the part of an entry's key that a row also gives: segments up to the first that needs the tables of the
    /// system, and whether that one is null.
    pub(super) fn of_entry(&self, mut entry: &[u8]) -> KeyHash {
        let mut hash = KeyHash::NONE;
        for column in &self.columns {
            let Some((&mark, rest)) = entry.split_first() else {
                return hash;
            };
            if matches!(mark, NULL | NULL_HIGH) {
                hash = hash.with(NULL, 0);
                entry = rest;
                continue;
            }
            let Some(width) = comparable_width(column.kind) else {
                return hash.with(VALUE, 0);
            };
            let Some((value, rest)) = rest.split_at_checked(width) else {
                return hash.with(CUT, 0);
            };
            hash = hash.with(VALUE, big_endian(value));
            entry = rest;
        }
        hash
    }
}

/// Bytes of the key of a type whose keys follow from the value alone.
fn comparable_width(kind: ColumnType) -> Option<usize> {
    match kind {
        ColumnType::Guid => None,
        other => other.width().filter(|width| *width <= 8),
    }
}

fn big_endian(bytes: &[u8]) -> u64 {
    match *bytes {
        [one] => u64::from(one),
        [one, two] => u64::from(u16::from_be_bytes([one, two])),
        [one, two, three, four] => u64::from(u32::from_be_bytes([one, two, three, four])),
        _ => bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)),
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    match *bytes {
        [one] => u64::from(one),
        [one, two] => u64::from(u16::from_le_bytes([one, two])),
        [one, two, three, four] => u64::from(u32::from_le_bytes([one, two, three, four])),
        _ => bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)),
    }
}

/// With the segment of a value; false where what follows in a key cannot be found, because the length of this one is not
/// known.
fn with_value(hash: KeyHash, kind: ColumnType, raw: &Raw<'_>) -> (KeyHash, bool) {
    let bytes = match raw {
        Raw::Null | Raw::Absent => return (hash.with(NULL, 0), true),
        Raw::Value(bytes) => *bytes,
        Raw::Other => &[],
    };
    let Some(width) = comparable_width(kind) else {
        return (hash.with(VALUE, 0), false);
    };
    let number = little_endian(&bytes[..width.min(bytes.len())]);
    let bits = 8 * u32::try_from(width).unwrap_or(8);
    let top = 1u64 << (bits - 1);
    let sorted = match kind {
        ColumnType::Bit if number == 0 => 0,
        ColumnType::Bit => 0xFF,
        ColumnType::I16 | ColumnType::I32 | ColumnType::I64 | ColumnType::Currency => number ^ top,
        // Negative numbers sort by their complement.
        ColumnType::F32 | ColumnType::F64 | ColumnType::DateTime if number & top != 0 => !number,
        ColumnType::F32 | ColumnType::F64 | ColumnType::DateTime => number | top,
        _ => number,
    };
    (hash.with(VALUE, sorted & (u64::MAX >> (64 - bits))), true)
}
