//! The first parameter of every ORPC request and response (wire.md 4.2, 4.3; DCOM 2.2.11, 2.2.13).

use crate::ndr::{Guid, NdrError, Reader, Writer};

/// The largest number of extensions that is skipped; two kinds exist.
const MAX_EXTENSIONS: usize = 64;

/// COMVERSION: the version of the object protocol (wire.md 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ComVersion {
    /// 5, always.
    pub major: u16,
    /// 1, 2, 4, 6 or 7.
    pub minor: u16,
}

impl ComVersion {
    /// 5.7, what this program speaks.
    pub const OURS: Self = Self { major: 5, minor: 7 };

    /// Whether a server that speaks 5.7 takes it: the same major version and no higher minor one. Otherwise the call
    /// fails with [`FaultStatus::VERSION_MISMATCH`](crate::rpc::FaultStatus::VERSION_MISMATCH).
    #[must_use]
    pub const fn is_accepted(self) -> bool {
        self.major == Self::OURS.major && self.minor <= Self::OURS.minor
    }

    /// The version that a client of a server of this version sends: the lower of both.
    #[must_use]
    pub fn common(self) -> Self {
        Self { major: Self::OURS.major, minor: self.minor.min(Self::OURS.minor) }
    }
}

/// ORPCTHIS: the first parameter of a request (wire.md 4.3). Extensions are skipped, and sent as NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrpcThis {
    /// The version the client speaks.
    pub version: ComVersion,
    /// 0 in a call on an object, else
    /// [`FaultStatus::INVALID_HEADER`](crate::rpc::FaultStatus::INVALID_HEADER); any value in an activation.
    pub flags: u32,
    /// The causality id: ties together the calls that follow from one another.
    pub causality: Guid,
}

impl OrpcThis {
    /// The flags of an activation, which say that it goes to another machine: Windows sends them, and servers look at none.
    pub const ACTIVATION: u32 = 1;

    /// Reads it from the beginning of a stub.
    ///
    /// # Errors
    ///
    /// [`NdrError`]. Version and flags are for the caller to judge (wire.md 4.14).
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, NdrError> {
        let version = ComVersion { major: reader.u16()?, minor: reader.u16()? };
        let flags = reader.u32()?;
        reader.u32()?; // reserved
        let causality = reader.guid()?;
        reader.unique(skip_extensions)?;
        Ok(Self { version, flags, causality })
    }

    /// Writes it at the beginning of a stub: 32 bytes.
    pub fn write(&self, writer: &mut Writer) {
        writer
            .u16(self.version.major)
            .u16(self.version.minor)
            .u32(self.flags)
            .u32(0)
            .guid(self.causality)
            .null();
    }
}

/// ORPCTHAT: the first parameter of a response (wire.md 4.3). Extensions are skipped, and sent as NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrpcThat {
    /// They mean nothing to a client.
    pub flags: u32,
}

impl OrpcThat {
    /// That of an answer to a call on an object.
    pub const CALL: Self = Self { flags: 0 };
    /// That of an answer to an activation, as Windows has it.
    pub const ACTIVATION: Self = Self { flags: 1 };

    /// Reads it from the beginning of a stub.
    ///
    /// # Errors
    ///
    /// [`NdrError`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, NdrError> {
        let flags = reader.u32()?;
        reader.unique(skip_extensions)?;
        Ok(Self { flags })
    }

    /// Writes it at the beginning of a stub: 8 bytes.
    pub fn write(&self, writer: &mut Writer) {
        writer.u32(self.flags).null();
    }
}

/// Skips the target of an extensions pointer (wire.md 4.3; DCOM 2.2.21).
fn skip_extensions(reader: &mut Reader<'_>) -> Result<(), NdrError> {
    reader.u32()?; // size: how many extents are real
    reader.u32()?; // reserved
    if !reader.referent()? {
        return Ok(());
    }
    let slots = reader.conformance(MAX_EXTENSIONS)?;
    let mut extents = 0;
    for _ in 0..slots {
        extents += usize::from(reader.referent()?);
    }
    for _ in 0..extents {
        let capacity = reader.conformance(usize::MAX)?;
        reader.guid()?;
        reader.u32()?; // size: how many of the bytes are real
        reader.bytes(capacity)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ndr::ByteOrder;

    #[test]
    fn extensions_are_skipped() {
        let mut writer = Writer::new();
        writer.u16(5).u16(6).u32(1).u32(0).guid(Guid::NIL).referent();
        writer.u32(1).u32(0).referent().u32(2).referent().null(); // one extent, one filler
        writer.u32(8).guid(Guid::NIL).u32(5).bytes(b"error\0\0\0");
        writer.u32(77);
        let stub = writer.into_bytes();
        let mut reader = Reader::new(&stub, ByteOrder::Little);
        let this = OrpcThis::read(&mut reader).unwrap();
        assert_eq!((this.version, this.flags), (ComVersion { major: 5, minor: 6 }, 1));
        assert_eq!(reader.u32(), Ok(77));
        for length in 0..stub.len() - 4 {
            let mut reader = Reader::new(&stub[..length], ByteOrder::Little);
            assert!(OrpcThis::read(&mut reader).is_err(), "{length}");
        }
    }

    #[test]
    fn versions() {
        let version = |major, minor| ComVersion { major, minor };
        assert!(version(5, 7).is_accepted() && version(5, 1).is_accepted());
        assert!(!version(5, 8).is_accepted() && !version(4, 7).is_accepted() && !version(6, 1).is_accepted());
        assert_eq!(version(5, 6).common(), version(5, 6));
        assert_eq!(version(5, 9).common(), version(5, 7));
    }
}
