//! The bytes of a record, found by column (ese.md 6.1).

use crate::bytes::Fields;
use crate::column::Column;
use crate::compress::decompress;
use crate::error::Error;
use crate::longvalue::LongValueId;
use crate::pagesize::PageSize;

const FIRST_VARIABLE: u32 = 128;
const FIRST_TAGGED: u32 = 256;

fn malformed(problem: &'static str) -> Error {
    Error::Malformed { what: "a record", problem }
}

/// One value of a cell before it is typed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// The bytes themselves, decompressed.
    Here(Vec<u8>),
    /// The identifier of a long value; compression is decided chunk by chunk.
    Elsewhere(LongValueId),
}

/// A cell before it is typed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Cell {
    /// The record says nothing: the default counts.
    Absent,
    /// The record says: no value.
    Null,
    /// One value.
    One(Part),
    /// Several values.
    Many(Vec<Part>),
}

/// A cell as its bytes lie there, for whatever does not need the value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Raw<'a> {
    /// The record says nothing: the default counts.
    Absent,
    /// The record says: no value.
    Null,
    /// One value, stored plain.
    Value(&'a [u8]),
    /// A value that is compressed, encrypted or elsewhere, or several values.
    Other,
}

/// Header byte, if there is one, and bytes of a tagged value.
type Tagged<'a> = (Option<u8>, &'a [u8]);

/// A record whose fixed part was found to fit.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    bytes: &'a [u8],
    page_size: PageSize,
    last_fixed: u8,
    last_variable: u8,
    /// Where the variable-offset table starts.
    end_fixed: usize,
    /// Where the null bitmap starts.
    null_bitmap: usize,
    /// Where variable data starts.
    variable_data: usize,
    tagged: &'a [u8],
}

/// Header byte of a tagged value.
mod header {
    pub(super) const LONG: u8 = 0x01;
    pub(super) const COMPRESSED: u8 = 0x02;
    pub(super) const SEPARATED: u8 = 0x04;
    pub(super) const MULTI: u8 = 0x08;
    pub(super) const TWO: u8 = 0x10;
    pub(super) const NULL: u8 = 0x20;
    pub(super) const ENCRYPTED: u8 = 0x40;
}

impl<'a> Record<'a> {
    /// Checks the fixed part, the null bitmap and the variable offsets.
    #[inline]
    pub(crate) fn parse(bytes: &'a [u8], page_size: PageSize) -> Result<Self, Error> {
        let fields = Fields::new(bytes, "a record");
        let (last_fixed, last_variable) = (fields.u8(0)?, fields.u8(1)?);
        let end_fixed = usize::from(fields.u16(2)?);
        let null_bitmap = end_fixed
            .checked_sub(usize::from(last_fixed).div_ceil(8))
            .filter(|start| 4 <= *start)
            .ok_or_else(|| malformed("its fixed part is too short"))?;
        let variable_count = usize::from(last_variable).saturating_sub(127);
        let variable_data = end_fixed + variable_count * 2;
        if bytes.len() < variable_data {
            return Err(malformed("it ends before its variable columns"));
        }
        let mut record = Self {
            bytes,
            page_size,
            last_fixed,
            last_variable,
            end_fixed,
            null_bitmap,
            variable_data,
            tagged: &[],
        };
        let end = match variable_count {
            0 => 0,
            count => record.variable_end(count - 1)?,
        };
        record.tagged =
            bytes.get(variable_data + end..).ok_or_else(|| malformed("a variable column ends outside it"))?;
        Ok(record)
    }

    #[inline]
    fn variable_offset(&self, index: usize) -> Result<u16, Error> {
        Fields::new(self.bytes, "a record").u16(self.end_fixed + 2 * index)
    }

    #[inline]
    fn variable_end(&self, index: usize) -> Result<usize, Error> {
        Ok(usize::from(self.variable_offset(index)? & 0x7FFF))
    }

    /// What the record says about a column.
    pub(crate) fn cell(&self, column: &Column) -> Result<Cell, Error> {
        match column.id {
            1..FIRST_VARIABLE => self.fixed(column),
            FIRST_VARIABLE..FIRST_TAGGED => self.variable(column),
            FIRST_TAGGED.. => self.tagged(column),
            0 => Err(malformed("column 0 does not exist")),
        }
    }

    /// The same without decompressing or copying anything.
    #[inline]
    pub(crate) fn raw(&self, column: &Column) -> Result<Raw<'a>, Error> {
        match column.id {
            1..FIRST_VARIABLE => self.fixed_raw(column),
            FIRST_VARIABLE..FIRST_TAGGED => self.variable_raw(column),
            FIRST_TAGGED.. => Ok(match self.tagged_value(column)? {
                None => Raw::Absent,
                Some((None | Some(0 | header::LONG), value)) => Raw::Value(value),
                Some((Some(flags), _)) if flags & header::NULL != 0 => Raw::Null,
                Some(_) => Raw::Other,
            }),
            0 => Err(malformed("column 0 does not exist")),
        }
    }

    fn fixed(&self, column: &Column) -> Result<Cell, Error> {
        Ok(self.fixed_raw(column)?.into_cell())
    }

    #[inline]
    fn fixed_raw(&self, column: &Column) -> Result<Raw<'a>, Error> {
        if u32::from(self.last_fixed) < column.id {
            return Ok(Raw::Absent);
        }
        let bit = crate::bytes::index(column.id - 1);
        let nulls = Fields::new(self.bytes, "a record").u8(self.null_bitmap + bit / 8)?;
        if nulls >> (bit % 8) & 1 != 0 {
            return Ok(Raw::Null);
        }
        let width = match column.kind.width() {
            Some(width) => width,
            None => crate::bytes::index(column.max_length),
        };
        let start = column.record_offset;
        let value = start
            .checked_add(width)
            .filter(|end| *end <= self.null_bitmap)
            .and_then(|end| self.bytes.get(start..end))
            .ok_or_else(|| malformed("a fixed column lies outside it"))?;
        Ok(Raw::Value(value))
    }

    fn variable(&self, column: &Column) -> Result<Cell, Error> {
        Ok(self.variable_raw(column)?.into_cell())
    }

    fn variable_raw(&self, column: &Column) -> Result<Raw<'a>, Error> {
        if u32::from(self.last_variable) < column.id {
            return Ok(Raw::Absent);
        }
        let index = crate::bytes::index(column.id - FIRST_VARIABLE);
        if self.variable_offset(index)? & 0x8000 != 0 {
            return Ok(Raw::Null);
        }
        let start = match index {
            0 => 0,
            _ => self.variable_end(index - 1)?,
        };
        let end = self.variable_end(index)?;
        let value = (start <= end)
            .then(|| self.bytes.get(self.variable_data + start..self.variable_data + end))
            .flatten()
            .ok_or_else(|| malformed("a variable column ends outside it"))?;
        Ok(Raw::Value(value))
    }

    /// Hands the identifier of every long value that the record refers to.
    pub(crate) fn long_values(&self, visit: &mut dyn FnMut(LongValueId)) -> Result<(), Error> {
        if self.tagged.is_empty() {
            return Ok(());
        }
        let fields = Fields::new(self.tagged, "the tagged columns of a record");
        let mask = self.page_size.mask();
        let count = usize::from(fields.u16(2)? & mask) / 4;
        for entry in 0..count {
            let offset = fields.u16(entry * 4 + 2)?;
            let has_header = self.page_size.is_large() || offset & 0x6000 == 0x4000;
            let start = usize::from(offset & mask);
            let end = if entry + 1 < count {
                usize::from(fields.u16(entry * 4 + 6)? & mask)
            } else {
                self.tagged.len()
            };
            let Some((&flags, value)) = self.tagged.get(start..end).and_then(<[u8]>::split_first) else {
                continue;
            };
            if !has_header || flags & (header::NULL | header::TWO) != 0 {
                continue;
            }
            if flags & header::MULTI != 0 {
                separated_of_many(value, visit)?;
            } else if flags & header::SEPARATED != 0
                && let Part::Elsewhere(id) = long_value_id(value)?
            {
                visit(id);
            }
        }
        Ok(())
    }

    fn tagged(&self, column: &Column) -> Result<Cell, Error> {
        let Some((flags, value)) = self.tagged_value(column)? else {
            return Ok(Cell::Absent);
        };
        let Some(flags) = flags else {
            return Ok(Cell::One(Part::Here(value.to_vec())));
        };
        if flags & header::NULL != 0 {
            return Ok(Cell::Null);
        }
        if flags & header::ENCRYPTED != 0 {
            return Err(Error::Encrypted);
        }
        if flags & header::TWO != 0 {
            return two_values(value, flags);
        }
        if flags & header::MULTI != 0 {
            return many_values(value, flags);
        }
        single_value(value, flags).map(Cell::One)
    }

    /// Header byte, if there is one, and bytes of a tagged column.
    fn tagged_value(&self, column: &Column) -> Result<Option<Tagged<'a>>, Error> {
        if self.tagged.is_empty() {
            return Ok(None);
        }
        let fields = Fields::new(self.tagged, "the tagged columns of a record");
        let mask = self.page_size.mask();
        let count = usize::from(fields.u16(2)? & mask) / 4;
        let id = |entry: usize| fields.u16(entry * 4).map(u32::from);
        // Entries are sorted by identifier; inherited columns may repeat one, so look at all with it.
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low.midpoint(high);
            if id(middle)? < column.id {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let first = if column.derived { 0 } else { low };
        for entry in first..count {
            if !column.derived && id(entry)? != column.id {
                break;
            }
            let offset = fields.u16(entry * 4 + 2)?;
            let derived = offset & 0x8000 != 0;
            if id(entry)? != column.id || derived != column.derived {
                continue;
            }
            let start = usize::from(offset & mask);
            let end = if entry + 1 < count {
                usize::from(fields.u16(entry * 4 + 6)? & mask)
            } else {
                self.tagged.len()
            };
            let value =
                self.tagged.get(start..end).ok_or_else(|| malformed("a tagged column lies outside it"))?;
            let small = !self.page_size.is_large();
            if small && offset & 0x2000 != 0 {
                return Ok(Some((Some(header::NULL), &[])));
            }
            if small && offset & 0x4000 == 0 {
                return Ok(Some((None, value)));
            }
            return match value.split_first() {
                Some((flags, value)) => Ok(Some((Some(*flags), value))),
                None if small => Err(malformed("a tagged column lacks its header")),
                None => Ok(Some((None, value))),
            };
        }
        Ok(None)
    }
}

impl Raw<'_> {
    fn into_cell(self) -> Cell {
        match self {
            Self::Absent => Cell::Absent,
            Self::Value(value) => Cell::One(Part::Here(value.to_vec())),
            Self::Null | Self::Other => Cell::Null,
        }
    }
}

fn separated_of_many(value: &[u8], visit: &mut dyn FnMut(LongValueId)) -> Result<(), Error> {
    let fields = Fields::new(value, "a cell of several values");
    let count = usize::from(fields.u16(0)? & 0x7FFF) / 2;
    for entry in 0..count {
        let offset = fields.u16(entry * 2)?;
        let start = usize::from(offset & 0x7FFF);
        let end =
            if entry + 1 < count { usize::from(fields.u16(entry * 2 + 2)? & 0x7FFF) } else { value.len() };
        if offset & 0x8000 != 0
            && let Some(part) = value.get(start..end)
            && let Part::Elsewhere(id) = long_value_id(part)?
        {
            visit(id);
        }
    }
    Ok(())
}

fn single_value(value: &[u8], flags: u8) -> Result<Part, Error> {
    if flags & header::SEPARATED != 0 {
        return long_value_id(value);
    }
    if flags & header::COMPRESSED != 0 {
        return decompress(value).map(Part::Here);
    }
    Ok(Part::Here(value.to_vec()))
}

fn long_value_id(value: &[u8]) -> Result<Part, Error> {
    let id = LongValueId::in_record(value);
    id.map(Part::Elsewhere).ok_or_else(|| malformed("the reference to a long value has a strange length"))
}

fn two_values(value: &[u8], flags: u8) -> Result<Cell, Error> {
    let short = || malformed("a cell of two values is shorter than the first");
    let (first_length, rest) = value.split_first().ok_or_else(short)?;
    let (first, second) = rest.split_at_checked(usize::from(*first_length)).ok_or_else(short)?;
    Ok(Cell::Many(vec![single_value(first, flags & header::COMPRESSED)?, Part::Here(second.to_vec())]))
}

fn many_values(value: &[u8], flags: u8) -> Result<Cell, Error> {
    let fields = Fields::new(value, "a cell of several values");
    let count = usize::from(fields.u16(0)? & 0x7FFF) / 2;
    let mut parts = Vec::with_capacity(count);
    for entry in 0..count {
        let offset = fields.u16(entry * 2)?;
        let start = usize::from(offset & 0x7FFF);
        let end =
            if entry + 1 < count { usize::from(fields.u16(entry * 2 + 2)? & 0x7FFF) } else { value.len() };
        let part =
            value.get(start..end).ok_or_else(|| malformed("one of several values lies outside its cell"))?;
        // Only the first value is ever compressed (ese.md 6.1).
        let compressed = if entry == 0 { flags & header::COMPRESSED } else { 0 };
        let separated = if offset & 0x8000 != 0 { header::SEPARATED } else { 0 };
        parts.push(single_value(part, compressed | separated)?);
    }
    Ok(Cell::Many(parts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::ColumnType;
    use proptest::prelude::*;

    fn column(id: u32, kind: ColumnType) -> Column {
        Column {
            id,
            name: "c".to_owned(),
            kind,
            flags: 0,
            code_page: 1252,
            max_length: 0,
            record_offset: 4,
            default: None,
            derived: false,
        }
    }

    fn small() -> PageSize {
        PageSize::new(4096).unwrap()
    }

    #[test]
    fn two_values_share_a_cell() {
        let record = [&[0, 127, 4, 0][..], &[0, 1, 4, 0x40], &[0x10, 2, b'a', b'b', b'c']].concat();
        let record = Record::parse(&record, small()).unwrap();
        let cell = record.cell(&column(256, ColumnType::LongBinary)).unwrap();
        let expected = vec![Part::Here(b"ab".to_vec()), Part::Here(b"c".to_vec())];
        assert_eq!(cell, Cell::Many(expected));
    }

    #[test]
    fn columns_beyond_the_last_are_absent() {
        let record = Record::parse(&[0, 127, 4, 0], small()).unwrap();
        for id in [1, 128, 256] {
            let cell = record.cell(&column(id, ColumnType::U8)).unwrap();
            assert_eq!(cell, Cell::Absent);
        }
    }

    proptest! {
        #[test]
        fn hostile_records_do_not_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            id in 0u32..300,
            large in any::<bool>(),
        ) {
            let size = PageSize::new(if large { 32_768 } else { 4096 }).unwrap();
            if let Ok(record) = Record::parse(&bytes, size) {
                let _ = record.cell(&column(id, ColumnType::LongBinary));
                let _ = record.cell(&column(id, ColumnType::I32));
            }
        }
    }
}
