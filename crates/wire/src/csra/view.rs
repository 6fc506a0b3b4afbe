//! What the views' blobs hold: columns, attributes, extensions, rows (wire.md 5.10; CSRA 2.2.1.7 to 2.2.3). The numbers
//! of elements are parameters beside the blob.

use super::PackedError;
use super::packed::{Source, Tail};
use crate::ndr::{ByteOrder, Reader, Writer};

/// CERTTRANSDBCOLUMN: a column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseColumn {
    /// Low byte: 1 number, 2 date, 3 bytes, 4 string; 0x10000: indexed.
    pub kind: u32,
    /// Which column.
    pub index: u32,
    /// The size of its largest value in bytes.
    pub max_bytes: u32,
    /// Its name.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
}

impl DatabaseColumn {
    const SIZE: usize = 20;

    /// Decodes `count` columns.
    ///
    /// # Errors
    ///
    /// [`PackedError`], the server's fault.
    pub fn decode_all(count: u32, blob: &[u8]) -> Result<Vec<Self>, PackedError> {
        let (mut reader, mut source) = (Reader::new(blob, ByteOrder::Little), Source::of(blob));
        let mut columns = Vec::new();
        for _ in 0..count {
            let (kind, index, max_bytes) = (reader.u32()?, reader.u32()?, reader.u32()?);
            let (name, display_name) = (source.text(reader.u32()?)?, source.text(reader.u32()?)?);
            columns.push(Self { kind, index, max_bytes, name, display_name });
        }
        Ok(columns)
    }

    /// Encodes columns.
    #[must_use]
    pub fn encode_all(columns: &[Self]) -> Vec<u8> {
        let mut tail = Tail::behind(columns.len() * Self::SIZE);
        let mut writer = Writer::new();
        for column in columns {
            writer.u32(column.kind).u32(column.index).u32(column.max_bytes);
            writer.count(tail.text(&column.name)).count(tail.text(&column.display_name));
        }
        writer.bytes(&tail.into_bytes());
        writer.into_bytes()
    }
}

/// CERTTRANSDBATTRIBUTE: an attribute of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseAttribute {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl DatabaseAttribute {
    const SIZE: usize = 8;

    /// Decodes `count` attributes.
    ///
    /// # Errors
    ///
    /// [`PackedError`], the server's fault.
    pub fn decode_all(count: u32, blob: &[u8]) -> Result<Vec<Self>, PackedError> {
        let (mut reader, mut source) = (Reader::new(blob, ByteOrder::Little), Source::of(blob));
        let mut attributes = Vec::new();
        for _ in 0..count {
            let (name, value) = (source.text(reader.u32()?)?, source.text(reader.u32()?)?);
            attributes.push(Self { name, value });
        }
        Ok(attributes)
    }

    /// Encodes attributes.
    #[must_use]
    pub fn encode_all(attributes: &[Self]) -> Vec<u8> {
        let mut tail = Tail::behind(attributes.len() * Self::SIZE);
        let mut writer = Writer::new();
        for attribute in attributes {
            writer.count(tail.text(&attribute.name)).count(tail.text(&attribute.value));
        }
        writer.bytes(&tail.into_bytes());
        writer.into_bytes()
    }
}

/// CERTTRANSDBEXTENSION: an extension of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseExtension {
    /// Its object identifier in dotted form.
    pub oid: String,
    /// 1 critical, 2 disabled; the high bits say where it comes from.
    pub flags: i32,
    /// Its value.
    pub value: Vec<u8>,
}

impl DatabaseExtension {
    const SIZE: usize = 16;

    /// Decodes `count` extensions.
    ///
    /// # Errors
    ///
    /// [`PackedError`], the server's fault.
    pub fn decode_all(count: u32, blob: &[u8]) -> Result<Vec<Self>, PackedError> {
        let (mut reader, mut source) = (Reader::new(blob, ByteOrder::Little), Source::of(blob));
        let mut extensions = Vec::new();
        for _ in 0..count {
            let (oid, flags) = (source.text(reader.u32()?)?, reader.i32()?);
            let (length, offset) = (reader.u32()?, reader.u32()?);
            extensions.push(Self { oid, flags, value: source.bytes(offset, length)? });
        }
        Ok(extensions)
    }

    /// Encodes extensions.
    #[must_use]
    pub fn encode_all(extensions: &[Self]) -> Vec<u8> {
        let mut tail = Tail::behind(extensions.len() * Self::SIZE);
        let mut writer = Writer::new();
        for extension in extensions {
            writer.count(tail.text(&extension.oid)).i32(extension.flags).count(extension.value.len());
            writer.count(tail.bytes(&extension.value));
        }
        writer.bytes(&tail.into_bytes());
        writer.into_bytes()
    }
}

/// CERTTRANSDBRESULTROW: a row of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultRow {
    /// Which row.
    pub id: u32,
    /// Its values.
    pub columns: Vec<ResultColumn>,
}

/// CERTTRANSDBRESULTCOLUMN: a value in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultColumn {
    /// As [`DatabaseColumn::kind`].
    pub kind: u32,
    /// Which column.
    pub index: u32,
    /// The value, as its kind has it.
    pub value: Vec<u8>,
}

impl ResultRow {
    const HEAD: usize = 12;
    const COLUMN: usize = 16;

    /// Decodes `count` rows.
    ///
    /// # Errors
    ///
    /// [`PackedError`], the server's fault.
    pub fn decode_all(count: u32, blob: &[u8]) -> Result<Vec<Self>, PackedError> {
        let mut rest = blob;
        let mut rows = Vec::new();
        for _ in 0..count {
            let mut reader = Reader::new(rest, ByteOrder::Little);
            let (id, columns, size) = (reader.u32()?, reader.u32()?, reader.u32()?);
            // A row without room for its own head would be read again and again.
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            let (row, after) = rest
                .split_at_checked(size)
                .filter(|(row, _)| Self::HEAD <= row.len())
                .ok_or(PackedError::Unterminated { offset: blob.len() - rest.len() })?;
            rows.push(Self { id, columns: ResultColumn::decode_all(columns, row)? });
            rest = after;
        }
        Ok(rows)
    }

    /// Encodes rows.
    #[must_use]
    pub fn encode_all(rows: &[Self]) -> Vec<u8> {
        let mut writer = Writer::new();
        for row in rows {
            let mut tail = Tail::behind(Self::HEAD + Self::COLUMN * row.columns.len());
            let mut columns = Writer::new();
            for column in &row.columns {
                columns.u32(column.kind).u32(column.index);
                columns.count(tail.bytes(&column.value)).count(column.value.len());
            }
            let (columns, tail) = (columns.into_bytes(), tail.into_bytes());
            writer.u32(row.id).count(row.columns.len()).count(Self::HEAD + columns.len() + tail.len());
            writer.bytes(&columns).bytes(&tail);
        }
        writer.into_bytes()
    }
}

impl ResultColumn {
    /// The columns behind the head of a row; their offsets count from the beginning of the row.
    fn decode_all(count: u32, row: &[u8]) -> Result<Vec<Self>, PackedError> {
        let (mut reader, mut source) = (Reader::new(row, ByteOrder::Little), Source::of(row));
        reader.bytes(ResultRow::HEAD)?;
        let mut columns = Vec::new();
        for _ in 0..count {
            let (kind, index, offset, length) = (reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?);
            columns.push(Self { kind, index, value: source.bytes(offset, length)? });
        }
        Ok(columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_attributes_and_extensions_come_back() {
        let column = DatabaseColumn {
            kind: 0x10001,
            index: 0,
            max_bytes: 4,
            name: "RequestID".to_owned(),
            display_name: "Request ID".to_owned(),
        };
        let columns = vec![column.clone(), DatabaseColumn { index: 1, ..column }];
        let blob = DatabaseColumn::encode_all(&columns);
        assert_eq!(blob[..20], [1, 0, 1, 0, 0, 0, 0, 0, 4, 0, 0, 0, 40, 0, 0, 0, 60, 0, 0, 0]);
        assert_eq!(DatabaseColumn::decode_all(2, &blob), Ok(columns));
        let attributes = vec![DatabaseAttribute { name: "a".to_owned(), value: "b".to_owned() }];
        let blob = DatabaseAttribute::encode_all(&attributes);
        assert_eq!(blob, [8, 0, 0, 0, 12, 0, 0, 0, 0x61, 0, 0, 0, 0x62, 0, 0, 0]);
        assert_eq!(DatabaseAttribute::decode_all(1, &blob), Ok(attributes));
        let extensions =
            vec![DatabaseExtension { oid: "2.5.29.15".to_owned(), flags: 1, value: vec![1, 2, 3] }];
        let blob = DatabaseExtension::encode_all(&extensions);
        assert_eq!(DatabaseExtension::decode_all(1, &blob), Ok(extensions));
        for cut in 0..16 {
            assert!(DatabaseExtension::decode_all(1, &blob[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn rows_follow_one_another() {
        let column = |index, value: &[u8]| ResultColumn { kind: 3, index, value: value.to_vec() };
        let rows = vec![
            ResultRow { id: 1, columns: vec![column(0, b"abc"), column(5, b"")] },
            ResultRow { id: 2, columns: vec![] },
        ];
        let blob = ResultRow::encode_all(&rows);
        assert_eq!(blob[..12], [1, 0, 0, 0, 2, 0, 0, 0, 48, 0, 0, 0]);
        assert_eq!(ResultRow::decode_all(2, &blob), Ok(rows));
        // A row of size 0 would never end; values laid over one another would grow.
        assert!(ResultRow::decode_all(u32::MAX, &[0; 12]).is_err());
        let mut overlaid = Writer::new();
        overlaid.u32(1).u32(3).u32(60);
        for index in 0..3 {
            overlaid.u32(3).u32(index).u32(0).u32(60);
        }
        assert_eq!(ResultRow::decode_all(1, &overlaid.into_bytes()), Err(PackedError::Overlaid));
    }
}
