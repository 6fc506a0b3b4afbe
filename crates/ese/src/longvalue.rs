//! Values too large for their record, in a tree of their own (ese.md 6.2).

use crate::bytes::{Fields, index};
use crate::compress::decompress;
use crate::database::Database;
use crate::error::Error;
use crate::pager::Pager;

fn malformed(problem: &'static str) -> Error {
    Error::Malformed { what: "a long value", problem }
}

/// Keys of a value: identifiers above 32 bits have a longer form with the top bit set.
fn root_key(id: u64) -> Vec<u8> {
    match u32::try_from(id) {
        Ok(short) => short.to_be_bytes().to_vec(),
        Err(_) => (id | 1 << 63).to_be_bytes().to_vec(),
    }
}

/// Reads the long value `id` from the tree with this root.
///
/// Memory grows with the chunks that are really there, not with the size the value claims.
///
/// # Errors
/// [`Error::Malformed`] (HRESULT 0xC80004B6) when the value or a chunk is missing or has another size,
/// [`Error::UnsupportedCompression`], [`Error::Encrypted`], and as [`Database::page`].
pub(crate) fn read<P: Pager>(
    database: &Database<P>,
    root: u32,
    id: u64,
    chunk_size: usize,
) -> Result<Vec<u8>, Error> {
    let key = root_key(id);
    let mut scan = database.tree(root).seek(&key);
    let first = scan.next().transpose()?.ok_or_else(|| malformed("it is missing"))?;
    let node = first.node()?;
    if node.key() != key {
        return Err(malformed("it is missing"));
    }
    let fields = Fields::new(node.data, "the head of a long value");
    let total = index(fields.u32(4)?);
    if node.data.get(8).is_some_and(|flags| flags & 1 != 0) {
        return Err(Error::Encrypted);
    }
    let mut value = Vec::new();
    while value.len() < total {
        let chunk = scan.next().transpose()?.ok_or_else(|| malformed("a chunk is missing"))?;
        let node = chunk.node()?;
        let offset = crate::bytes::count32(value.len()).to_be_bytes();
        if node.key() != [key.as_slice(), &offset].concat() {
            return Err(malformed("a chunk is missing"));
        }
        let expected = chunk_size.min(total - value.len());
        if node.data.len() == expected {
            value.extend_from_slice(node.data);
            continue;
        }
        let part = decompress(node.data)?;
        if part.len() != expected {
            return Err(malformed("a chunk has another size than the value says"));
        }
        value.extend_from_slice(&part);
    }
    Ok(value)
}
