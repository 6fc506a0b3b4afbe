//! The activation blob: a header and properties, each in type serialisation version 1 (wire.md 4.6 to 4.8;
//! DCOM 2.2.22; RPCE 2.2.6).

use crate::dcom::{Clsid, ObjRefError};
use crate::ndr::{ByteOrder, Guid, Reader, Writer};

/// The most properties of a blob (wire.md 4.8).
const MAX_PROPERTIES: usize = 10;
/// The header of a type serialisation, in bytes.
const SERIALISATION_HEADER: usize = 16;
/// `destCtx`: a different machine.
const DIFFERENT_MACHINE: u32 = 2;

/// A property: its identifier and its body.
pub(super) type Property<T> = (Clsid, T);

/// Takes a blob apart. Unknown properties are kept for the caller to skip; the order is that of the blob.
///
/// # Errors
///
/// [`ObjRefError::Field`], [`ObjRefError::Serialisation`], or [`ObjRefError::Sizes`] when the sizes in the header do
/// not fit into the blob.
pub(super) fn read(blob: &[u8]) -> Result<Vec<Property<Reader<'_>>>, ObjRefError> {
    let mut outer = Reader::new(blob, ByteOrder::Little);
    let size = outer.u32()?;
    outer.u32()?; // reserved
    let blob = usize::try_from(size).ok().and_then(|size| outer.remaining().get(..size));
    let blob = blob.ok_or(ObjRefError::Sizes)?;
    let mut header = body(blob)?;
    header.u32()?; // the size once more
    let header_size = header.u32()?;
    header.u32()?; // reserved
    header.u32()?; // the destination context
    let count = header.u32()?;
    header.guid()?;
    let (has_ids, has_sizes) = (header.referent()?, header.referent()?);
    header.u32()?; // reserved
    if !has_ids || !has_sizes {
        return Err(ObjRefError::Sizes);
    }
    let ids = header.conformance(MAX_PROPERTIES)?;
    header.expect_count(ids as u64, count.into())?;
    let ids = (0..ids).map(|_| Clsid::read(&mut header)).collect::<Result<Vec<_>, _>>()?;
    let sizes = header.conformance(MAX_PROPERTIES)?;
    header.expect_count(sizes as u64, count.into())?;
    let read_to = SERIALISATION_HEADER + header.position() + 4 * sizes;
    let mut rest = usize::try_from(header_size)
        .ok()
        .filter(|&size| read_to <= size)
        .and_then(|size| blob.get(size..))
        .ok_or(ObjRefError::Sizes)?;
    let mut properties = Vec::new();
    for id in ids {
        let size = usize::try_from(header.u32()?).unwrap_or(usize::MAX);
        let (property, after) = rest.split_at_checked(size).ok_or(ObjRefError::Sizes)?;
        properties.push((id, body(property)?));
        rest = after;
    }
    Ok(properties)
}

/// Puts a blob together.
pub(super) fn write(properties: &[Property<Writer>]) -> Vec<u8> {
    let bodies: Vec<(Clsid, Vec<u8>)> =
        properties.iter().map(|(id, writer)| (*id, serialised(writer.clone().into_bytes()))).collect();
    let length: usize = bodies.iter().map(|(_, body)| body.len()).sum();
    // 48 bytes of fields, two counts, 16 and 4 bytes for each property, padded.
    let header_size =
        SERIALISATION_HEADER + (48 + 4 + 4 + 20 * properties.len()).next_multiple_of(SERIALISATION_ALIGNMENT);
    let mut header = Writer::new();
    header.count(header_size + length).count(header_size).u32(0).u32(DIFFERENT_MACHINE);
    header.count(bodies.len()).guid(Guid::NIL).referent().referent().null();
    header.count(bodies.len());
    for (id, _) in &bodies {
        id.write(&mut header);
    }
    header.count(bodies.len());
    for (_, body) in &bodies {
        header.count(body.len());
    }
    let mut blob = Writer::new();
    blob.count(header_size + length).u32(0).bytes(&serialised(header.into_bytes()));
    for (_, body) in &bodies {
        blob.bytes(body);
    }
    blob.into_bytes()
}

/// Bodies are padded to a multiple of this.
const SERIALISATION_ALIGNMENT: usize = 8;

/// The body of a part in type serialisation version 1 (wire.md 4.7). Its own length is not looked at: the part's is
/// known from elsewhere.
fn body(part: &[u8]) -> Result<Reader<'_>, ObjRefError> {
    match part {
        [1, 0x10, 8, 0, ..] => {}
        _ => return Err(ObjRefError::Serialisation),
    }
    let body = part.get(SERIALISATION_HEADER..).ok_or(ObjRefError::Serialisation)?;
    Ok(Reader::new(body, ByteOrder::Little))
}

/// A part in type serialisation version 1 (wire.md 4.7).
fn serialised(body: Vec<u8>) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.bytes(&[1, 0x10, 8, 0, 0xCC, 0xCC, 0xCC, 0xCC]);
    writer.count(body.len().next_multiple_of(SERIALISATION_ALIGNMENT)).u32(0);
    writer.bytes(&body).align(SERIALISATION_ALIGNMENT);
    writer.into_bytes()
}
