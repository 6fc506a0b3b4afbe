//! Object references: STDOBJREF, OBJREF, MInterfacePointer (wire.md 4.4; DCOM 2.2.14, 2.2.18).

use super::{Clsid, DualStringArray, Iid, Ipid, ObjRefError, Oid, Oxid};
use crate::ndr::{ByteOrder, NdrError, Reader, Writer};

/// "MEOW".
const SIGNATURE: u32 = 0x574F_454D;
const STANDARD: u32 = 1;
const HANDLER: u32 = 2;
const CUSTOM: u32 = 4;
const EXTENDED: u32 = 8;
/// Where the object data of a custom OBJREF begins.
const CUSTOM_DATA: usize = 48;

/// STDOBJREF: one interface of one object, and the references handed over with it (wire.md 4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct StdObjRef {
    /// [`StdObjRef::NO_PING`] or 0; other bits mean nothing.
    pub flags: u32,
    /// `cPublicRefs`: how many references are handed over.
    pub references: u32,
    /// The exporter.
    pub oxid: Oxid,
    /// The object.
    pub oid: Oid,
    /// The interface.
    pub ipid: Ipid,
}

impl StdObjRef {
    /// The object does not expire without pings.
    pub const NO_PING: u32 = 0x1000;
    /// How many references a server hands over that was not told a number (wire.md 4.4).
    pub const DEFAULT_REFERENCES: u32 = 5;

    /// Whether the client has to ping the object (wire.md 4.16).
    #[must_use]
    pub const fn wants_pings(&self) -> bool {
        self.flags & Self::NO_PING == 0
    }

    /// Reads it; as part of an NDR structure it is 8-aligned.
    ///
    /// # Errors
    ///
    /// [`NdrError::Truncated`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, NdrError> {
        reader.align(8)?;
        let (flags, references) = (reader.u32()?, reader.u32()?);
        let (oxid, oid) = (Oxid::read(reader)?, Oid::read(reader)?);
        Ok(Self { flags, references, oxid, oid, ipid: Ipid::read(reader)? })
    }

    /// Writes it, 8-aligned: 40 bytes.
    pub fn write(&self, writer: &mut Writer) {
        writer.align(8).u32(self.flags).u32(self.references);
        self.oxid.write(writer);
        self.oid.write(writer);
        self.ipid.write(writer);
    }
}

/// A reference to an interface of an object that lives elsewhere. Written as a standard OBJREF; read from a standard,
/// handler or extended one, whose other parts are dropped (wire.md 4.4).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjRef {
    /// The interface the reference is for.
    pub iid: Iid,
    /// The object.
    pub reference: StdObjRef,
    /// Where the object's resolver is, without ports.
    pub resolver: DualStringArray,
}

impl ObjRef {
    /// Decodes an OBJREF. What follows it is ignored.
    ///
    /// # Errors
    ///
    /// [`ObjRefError`]: among others [`ObjRefError::Kind`] for a custom one.
    pub fn decode(bytes: &[u8]) -> Result<Self, ObjRefError> {
        let mut reader = Reader::new(bytes, ByteOrder::Little);
        let (flags, iid) = read_prefix(&mut reader)?;
        if !matches!(flags, STANDARD | HANDLER | EXTENDED) {
            return Err(ObjRefError::Kind { flags });
        }
        let reference = StdObjRef::read(&mut reader)?;
        match flags {
            HANDLER => drop(Clsid::read(&mut reader)?),
            EXTENDED => drop(reader.u32()?), // a signature of its own
            _ => {}
        }
        let resolver = DualStringArray::read_packed(&mut reader)?;
        Ok(Self { iid, reference, resolver })
    }

    /// Encodes it as a standard OBJREF.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u32(SIGNATURE).u32(STANDARD);
        self.iid.write(&mut writer);
        self.reference.write(&mut writer);
        self.resolver.write_packed(&mut writer);
        writer.into_bytes()
    }
}

/// A custom OBJREF: data that its own class knows how to read, here the activation properties and the client's
/// context (wire.md 4.4, 4.6, 4.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CustomObjRef<'a> {
    /// The interface the reference is for.
    pub iid: Iid,
    /// The class that reads the data.
    pub class: Clsid,
    /// The data.
    pub data: &'a [u8],
}

impl<'a> CustomObjRef<'a> {
    /// Decodes a custom OBJREF. All that follows its head is data.
    ///
    /// # Errors
    ///
    /// [`ObjRefError::Field`]; [`ObjRefError::Signature`]; [`ObjRefError::Kind`] for one that is not custom.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, ObjRefError> {
        let mut reader = Reader::new(bytes, ByteOrder::Little);
        let (flags, iid) = read_prefix(&mut reader)?;
        if flags != CUSTOM {
            return Err(ObjRefError::Kind { flags });
        }
        let class = Clsid::read(&mut reader)?;
        reader.bytes(8)?; // extension size and a reserved field: arbitrary
        Ok(Self { iid, class, data: reader.remaining() })
    }

    /// Encodes one that travels as a parameter. The reserved field is the size of the data and 8, as Windows has it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.encode_with(self.data.len().saturating_add(8))
    }

    /// Encodes one that stands in another one: the reserved field is the size of the data, as Windows has it.
    #[must_use]
    pub fn encode_inner(&self) -> Vec<u8> {
        self.encode_with(self.data.len())
    }

    fn encode_with(&self, reserved: usize) -> Vec<u8> {
        let mut writer = Writer::appending(Vec::with_capacity(CUSTOM_DATA + self.data.len()));
        writer.u32(SIGNATURE).u32(CUSTOM);
        self.iid.write(&mut writer);
        self.class.write(&mut writer);
        writer.u32(0).count(reserved).bytes(self.data);
        writer.into_bytes()
    }
}

fn read_prefix(reader: &mut Reader<'_>) -> Result<(u32, Iid), ObjRefError> {
    let found = reader.u32()?;
    if found != SIGNATURE {
        return Err(ObjRefError::Signature { found });
    }
    Ok((reader.u32()?, Iid::read(reader)?))
}

/// Reads the target of a pointer to MInterfacePointer: maximum count, size, the bytes of an OBJREF (wire.md 4.4).
///
/// # Errors
///
/// [`NdrError::Truncated`]; [`NdrError::CountMismatch`].
pub(super) fn read_interface_pointer<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], NdrError> {
    let count = reader.u32()?;
    let size = reader.u32()?;
    reader.expect_count(size.into(), count.into())?;
    reader.bytes(usize::try_from(size).unwrap_or(usize::MAX))
}

/// Writes the target of a pointer to MInterfacePointer.
pub(super) fn write_interface_pointer(writer: &mut Writer, objref: &[u8]) {
    writer.count(objref.len()).count(objref.len()).bytes(objref);
}
