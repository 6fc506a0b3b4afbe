//! `IRemUnknown` and `IRemUnknown2`, after ORPCTHIS and ORPCTHAT: further interfaces of an object, and its references
//! (wire.md 4.15; DCOM 3.1.1.5.6, 3.1.1.5.7).

use super::objref::{read_interface_pointer, write_interface_pointer};
use super::{DcomError, Iid, Ipid, ObjRef, StdObjRef};
use crate::ndr::{NdrError, Reader, Writer};
use certadm_rules::Hresult;

/// Which interface a call arrives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RemUnknownInterface {
    /// `IRemUnknown`: opnums 3 to 5.
    RemUnknown,
    /// `IRemUnknown2`, which derives from it: opnums 3 to 6.
    RemUnknown2,
}

/// REMINTERFACEREF: references to one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InterfaceReferences {
    /// The interface.
    pub ipid: Ipid,
    /// How many public references.
    pub public: u32,
    /// How many private ones.
    pub private: u32,
}

/// What a client asks of a Remote Unknown, without ORPCTHIS.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemUnknownRequest {
    /// `RemQueryInterface`, opnum 3: further interfaces of an object.
    QueryInterface {
        /// Any interface of the object.
        ipid: Ipid,
        /// How many references to each the client wants.
        references: u32,
        /// Which interfaces.
        interfaces: Vec<Iid>,
    },
    /// `RemAddRef`, opnum 4: more references.
    AddRef(Vec<InterfaceReferences>),
    /// `RemRelease`, opnum 5: references given back.
    Release(Vec<InterfaceReferences>),
    /// `RemQueryInterface2`, opnum 6: as opnum 3, with whole object references as answers.
    QueryInterface2 {
        /// Any interface of the object.
        ipid: Ipid,
        /// Which interfaces.
        interfaces: Vec<Iid>,
    },
}

impl RemUnknownRequest {
    /// Its opnum.
    #[must_use]
    pub const fn opnum(&self) -> u16 {
        match self {
            Self::QueryInterface { .. } => 3,
            Self::AddRef(_) => 4,
            Self::Release(_) => 5,
            Self::QueryInterface2 { .. } => 6,
        }
    }

    /// Reads the parameters of `opnum` after ORPCTHIS. What follows them is left to `reader`.
    ///
    /// # Errors
    ///
    /// [`DcomError::Opnum`]; [`DcomError::Stub`].
    pub fn read(
        interface: RemUnknownInterface,
        opnum: u16,
        reader: &mut Reader<'_>,
    ) -> Result<Self, DcomError> {
        Ok(match (opnum, interface) {
            (3, _) => {
                let (ipid, references) = (Ipid::read(reader)?, reader.u32()?);
                Self::QueryInterface { ipid, references, interfaces: read_iids(reader)? }
            }
            (4, _) => Self::AddRef(read_references(reader)?),
            (5, _) => Self::Release(read_references(reader)?),
            (6, RemUnknownInterface::RemUnknown2) => {
                Self::QueryInterface2 { ipid: Ipid::read(reader)?, interfaces: read_iids(reader)? }
            }
            _ => return Err(DcomError::Opnum { opnum }),
        })
    }

    /// Writes the parameters after ORPCTHIS. At most 65535 elements are written, all that their count can say.
    pub fn write(&self, writer: &mut Writer) {
        match self {
            Self::QueryInterface { ipid, references, interfaces } => {
                ipid.write(writer);
                writer.u32(*references);
                write_iids(writer, interfaces);
            }
            Self::AddRef(references) | Self::Release(references) => {
                let count = u16::try_from(references.len()).unwrap_or(u16::MAX);
                writer.u16(count).u32(count.into());
                for reference in references.iter().take(count.into()) {
                    reference.ipid.write(writer);
                    writer.u32(reference.public).u32(reference.private);
                }
            }
            Self::QueryInterface2 { ipid, interfaces } => {
                ipid.write(writer);
                write_iids(writer, interfaces);
            }
        }
    }

    /// How many elements the answer's arrays have.
    const fn results(&self) -> usize {
        match self {
            Self::QueryInterface { interfaces, .. } | Self::QueryInterface2 { interfaces, .. } => {
                interfaces.len()
            }
            Self::AddRef(references) | Self::Release(references) => references.len(),
        }
    }
}

/// REMQIRESULT: what became of one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryResult {
    /// [`Hresult::S_OK`], or [`Hresult::E_NOINTERFACE`].
    pub code: Hresult,
    /// The interface; all zero on failure.
    pub reference: StdObjRef,
}

/// What a Remote Unknown answers, without ORPCTHAT.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemUnknownResponse {
    /// RemQueryInterface.
    Interfaces {
        /// One for each interface that was asked for; empty, which travels as NULL, when the object is unknown.
        results: Vec<QueryResult>,
        /// Of all together; see [`query_code`].
        code: Hresult,
    },
    /// RemAddRef.
    Added {
        /// One for each element: [`Hresult::S_OK`], or [`Hresult::CO_E_OBJNOTREG`].
        results: Vec<Hresult>,
        /// Of all together.
        code: Hresult,
    },
    /// RemRelease: only the code.
    Released(Hresult),
    /// RemQueryInterface2.
    References {
        /// One for each interface that was asked for.
        results: Vec<(Hresult, Option<ObjRef>)>,
        /// Of all together; see [`query_code`].
        code: Hresult,
    },
}

impl RemUnknownResponse {
    /// The complete answer to `request` that says nothing but `code`, which is a failure.
    #[must_use]
    pub fn failure(request: &RemUnknownRequest, code: Hresult) -> Self {
        match request {
            RemUnknownRequest::QueryInterface { .. } => Self::Interfaces { results: Vec::new(), code },
            RemUnknownRequest::AddRef(references) => {
                Self::Added { results: vec![code; references.len()], code }
            }
            RemUnknownRequest::Release(_) => Self::Released(code),
            RemUnknownRequest::QueryInterface2 { interfaces, .. } => {
                Self::References { results: vec![(code, None); interfaces.len()], code }
            }
        }
    }

    /// Its code.
    pub const fn code(&self) -> Hresult {
        match self {
            Self::Interfaces { code, .. }
            | Self::Added { code, .. }
            | Self::Released(code)
            | Self::References { code, .. } => *code,
        }
    }

    /// Reads the answer to `request` after ORPCTHAT. What follows is ignored.
    ///
    /// # Errors
    ///
    /// [`DcomError`], the server's fault.
    pub fn read(request: &RemUnknownRequest, reader: &mut Reader<'_>) -> Result<Self, DcomError> {
        let expected = request.results();
        Ok(match request {
            RemUnknownRequest::QueryInterface { .. } => {
                let mut results = Vec::new();
                if reader.referent()? {
                    read_count(reader, expected)?;
                    for _ in 0..expected {
                        reader.align(8)?;
                        let code = Hresult::from_bits(reader.u32()?);
                        results.push(QueryResult { code, reference: StdObjRef::read(reader)? });
                    }
                }
                Self::Interfaces { results, code: read_code(reader)? }
            }
            RemUnknownRequest::AddRef(_) => {
                let results = read_codes(reader, expected)?;
                Self::Added { results, code: read_code(reader)? }
            }
            RemUnknownRequest::Release(_) => Self::Released(read_code(reader)?),
            RemUnknownRequest::QueryInterface2 { .. } => {
                let codes = read_codes(reader, expected)?;
                read_count(reader, expected)?;
                let present = (0..expected).map(|_| reader.referent()).collect::<Result<Vec<_>, _>>()?;
                let mut results = Vec::new();
                for (code, present) in codes.into_iter().zip(present) {
                    let reference =
                        if present { Some(ObjRef::decode(read_interface_pointer(reader)?)?) } else { None };
                    results.push((code, reference));
                }
                Self::References { results, code: read_code(reader)? }
            }
        })
    }

    /// Writes the answer after ORPCTHAT.
    pub fn write(&self, writer: &mut Writer) {
        match self {
            Self::Interfaces { results, .. } if results.is_empty() => {
                writer.null();
            }
            Self::Interfaces { results, .. } => {
                writer.referent().count(results.len());
                for result in results {
                    writer.align(8).u32(result.code.to_bits());
                    result.reference.write(writer);
                }
            }
            Self::Added { results, .. } => {
                writer.count(results.len());
                for code in results {
                    writer.u32(code.to_bits());
                }
            }
            Self::Released(_) => {}
            Self::References { results, .. } => {
                writer.count(results.len());
                for (code, _) in results {
                    writer.u32(code.to_bits());
                }
                writer.count(results.len());
                for (_, reference) in results {
                    if reference.is_some() {
                        writer.referent()
                    } else {
                        writer.null()
                    };
                }
                for reference in results.iter().filter_map(|(_, reference)| reference.as_ref()) {
                    write_interface_pointer(writer, &reference.encode());
                }
            }
        }
        writer.u32(self.code().to_bits());
    }
}

/// The code of a query of which `found` of `asked` interfaces exist: success for all, S_FALSE (1) for some,
/// [`Hresult::E_NOINTERFACE`] for none (wire.md 4.15).
pub const fn query_code(found: usize, asked: usize) -> Hresult {
    match found {
        0 => Hresult::E_NOINTERFACE,
        _ if found < asked => Hresult::from_bits(1),
        _ => Hresult::S_OK,
    }
}

fn read_code(reader: &mut Reader<'_>) -> Result<Hresult, NdrError> {
    reader.u32().map(Hresult::from_bits)
}

/// A maximum count that must be `expected`.
fn read_count(reader: &mut Reader<'_>, expected: usize) -> Result<(), NdrError> {
    let count = reader.u32()?;
    reader.expect_count(count.into(), expected as u64)
}

fn read_codes(reader: &mut Reader<'_>, expected: usize) -> Result<Vec<Hresult>, NdrError> {
    read_count(reader, expected)?;
    (0..expected).map(|_| read_code(reader)).collect()
}

/// A 16-bit count, then a conformant array of as many IIDs.
fn read_iids(reader: &mut Reader<'_>) -> Result<Vec<Iid>, NdrError> {
    let count = reader.u16()?;
    read_count(reader, count.into())?;
    (0..count).map(|_| Iid::read(reader)).collect()
}

fn write_iids(writer: &mut Writer, iids: &[Iid]) {
    let count = u16::try_from(iids.len()).unwrap_or(u16::MAX);
    writer.u16(count).u32(count.into());
    for iid in iids.iter().take(count.into()) {
        iid.write(writer);
    }
}

fn read_references(reader: &mut Reader<'_>) -> Result<Vec<InterfaceReferences>, NdrError> {
    let count = reader.u16()?;
    read_count(reader, count.into())?;
    let read_one = |reader: &mut Reader<'_>| {
        let (ipid, public, private) = (Ipid::read(reader)?, reader.u32()?, reader.u32()?);
        Ok(InterfaceReferences { ipid, public, private })
    };
    (0..count).map(|_| read_one(reader)).collect()
}
