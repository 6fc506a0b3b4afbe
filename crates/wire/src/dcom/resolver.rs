//! `IObjectExporter`: finding exporters and keeping objects alive (wire.md 4.5, 4.16; DCOM 3.1.2.5.1). Its calls have
//! neither ORPCTHIS nor ORPCTHAT.

use super::{ComVersion, DcomError, DualStringArray, Ipid, Oid, Oxid, SetId};
use crate::ndr::{NdrError, Reader, Writer};

/// The error_status of a resolver's answer: a Win32 error, 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResolverStatus(pub u32);

impl ResolverStatus {
    /// The call succeeded.
    pub const OK: Self = Self(0);
    /// ERROR_ACCESS_DENIED.
    pub const ACCESS_DENIED: Self = Self(5);
    /// OR_INVALID_OXID: no such exporter.
    pub const INVALID_OXID: Self = Self(0x776);
    /// OR_INVALID_OID: no such object.
    pub const INVALID_OID: Self = Self(0x777);
    /// OR_INVALID_SET: no such ping set.
    pub const INVALID_SET: Self = Self(0x778);
}

/// What a client asks of a resolver.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResolverRequest {
    /// `ResolveOxid`, opnum 0: where an exporter listens.
    ResolveOxid {
        /// Which exporter.
        oxid: Oxid,
        /// The protocols the client speaks.
        towers: Vec<u16>,
    },
    /// `SimplePing`, opnum 1: keeps all objects of a set alive.
    SimplePing {
        /// Which set.
        set: SetId,
    },
    /// `ComplexPing`, opnum 2: changes a set and keeps it alive.
    ComplexPing {
        /// Which set; 0 asks for a new one.
        set: SetId,
        /// Rises with every change; a lower one than before is a duplicate (wire.md 4.16).
        sequence: u16,
        /// Objects that the client now holds.
        add: Vec<Oid>,
        /// Objects that it no longer holds.
        delete: Vec<Oid>,
    },
    /// `ServerAlive`, opnum 3: answered without authentication.
    ServerAlive,
    /// `ResolveOxid2`, opnum 4: as opnum 0, and the exporter's version.
    ResolveOxid2 {
        /// Which exporter.
        oxid: Oxid,
        /// The protocols the client speaks.
        towers: Vec<u16>,
    },
    /// `ServerAlive2`, opnum 5: the resolver's version and bindings, answered without authentication.
    ServerAlive2,
}

impl ResolverRequest {
    /// Its opnum.
    #[must_use]
    pub const fn opnum(&self) -> u16 {
        match self {
            Self::ResolveOxid { .. } => 0,
            Self::SimplePing { .. } => 1,
            Self::ComplexPing { .. } => 2,
            Self::ServerAlive => 3,
            Self::ResolveOxid2 { .. } => 4,
            Self::ServerAlive2 => 5,
        }
    }

    /// Whether a server answers the method of this opnum without authentication and without asking who calls
    /// (wire.md 4.5).
    #[must_use]
    pub const fn is_open_to_all(opnum: u16) -> bool {
        matches!(opnum, 3 | 5)
    }

    /// Reads the parameters of `opnum`. What follows them is left to `reader`.
    ///
    /// # Errors
    ///
    /// [`DcomError::Opnum`]; [`DcomError::Stub`].
    pub fn read(opnum: u16, reader: &mut Reader<'_>) -> Result<Self, DcomError> {
        Ok(match opnum {
            0 => Self::ResolveOxid { oxid: Oxid::read(reader)?, towers: read_towers(reader)? },
            1 => Self::SimplePing { set: SetId::read(reader)? },
            2 => {
                let set = SetId::read(reader)?;
                let (sequence, add, delete) = (reader.u16()?, reader.u16()?, reader.u16()?);
                let (add, delete) = (read_oids(reader, add)?, read_oids(reader, delete)?);
                Self::ComplexPing { set, sequence, add, delete }
            }
            3 => Self::ServerAlive,
            4 => Self::ResolveOxid2 { oxid: Oxid::read(reader)?, towers: read_towers(reader)? },
            5 => Self::ServerAlive2,
            _ => return Err(DcomError::Opnum { opnum }),
        })
    }

    /// Writes the parameters. Of objects and protocols at most 65535 each are written, all that their counts can say.
    pub fn write(&self, writer: &mut Writer) {
        match self {
            Self::ResolveOxid { oxid, towers } | Self::ResolveOxid2 { oxid, towers } => {
                oxid.write(writer);
                let (count, towers) = counted(towers);
                writer.u16(count).conformant_units(towers);
            }
            Self::SimplePing { set } => set.write(writer),
            Self::ComplexPing { set, sequence, add, delete } => {
                set.write(writer);
                let ((adds, add), (deletes, delete)) = (counted(add), counted(delete));
                writer.u16(*sequence).u16(adds).u16(deletes);
                write_oids(writer, add);
                write_oids(writer, delete);
            }
            Self::ServerAlive | Self::ServerAlive2 => {}
        }
    }
}

/// Where an exporter listens, as a resolver tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// With ports.
    pub bindings: DualStringArray,
    /// Its Remote Unknown.
    pub rem_unknown: Ipid,
    /// The lowest level of authentication that it accepts, as on the wire.
    pub authentication_hint: u32,
}

/// What a resolver answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResolverResponse {
    /// SimplePing, ServerAlive: only the status.
    Status(ResolverStatus),
    /// ResolveOxid and ResolveOxid2.
    Resolved {
        /// Where the exporter is; none on failure.
        resolution: Option<Resolution>,
        /// Its version, in answers to ResolveOxid2 only.
        version: Option<ComVersion>,
        /// The status.
        status: ResolverStatus,
    },
    /// ComplexPing.
    Pinged {
        /// Which set it is from now on.
        set: SetId,
        /// `pPingBackoffFactor`: 0.
        backoff: u16,
        /// The status.
        status: ResolverStatus,
    },
    /// ServerAlive2.
    Alive {
        /// The version the resolver's machine speaks.
        version: ComVersion,
        /// Its addresses without ports, and how to authenticate; none on failure.
        bindings: Option<DualStringArray>,
        /// The status.
        status: ResolverStatus,
    },
}

impl ResolverResponse {
    /// The complete answer to `request` that says nothing but `status`.
    #[must_use]
    pub const fn failure(request: &ResolverRequest, status: ResolverStatus) -> Self {
        match request {
            ResolverRequest::SimplePing { .. } | ResolverRequest::ServerAlive => Self::Status(status),
            ResolverRequest::ResolveOxid { .. } => Self::Resolved { resolution: None, version: None, status },
            ResolverRequest::ResolveOxid2 { .. } => {
                Self::Resolved { resolution: None, version: Some(ComVersion::OURS), status }
            }
            ResolverRequest::ComplexPing { set, .. } => Self::Pinged { set: *set, backoff: 0, status },
            ResolverRequest::ServerAlive2 => {
                Self::Alive { version: ComVersion::OURS, bindings: None, status }
            }
        }
    }

    /// Reads the answer to the method of `opnum`. What follows is ignored.
    ///
    /// # Errors
    ///
    /// [`DcomError`], the server's fault.
    pub fn read(opnum: u16, reader: &mut Reader<'_>) -> Result<Self, DcomError> {
        Ok(match opnum {
            1 | 3 => Self::Status(read_status(reader)?),
            0 | 4 => {
                let bindings = read_bindings(reader)?;
                let rem_unknown = Ipid::read(reader)?;
                let authentication_hint = reader.u32()?;
                let version = if opnum == 4 { Some(read_version(reader)?) } else { None };
                let resolution =
                    bindings.map(|bindings| Resolution { bindings, rem_unknown, authentication_hint });
                Self::Resolved { resolution, version, status: read_status(reader)? }
            }
            2 => {
                let (set, backoff) = (SetId::read(reader)?, reader.u16()?);
                Self::Pinged { set, backoff, status: read_status(reader)? }
            }
            5 => {
                let version = read_version(reader)?;
                let bindings = read_bindings(reader)?;
                reader.u32()?; // reserved
                Self::Alive { version, bindings, status: read_status(reader)? }
            }
            _ => return Err(DcomError::Opnum { opnum }),
        })
    }

    /// Writes the answer.
    pub fn write(&self, writer: &mut Writer) {
        match self {
            Self::Status(_) => {}
            Self::Resolved { resolution, version, .. } => {
                let bindings = resolution.as_ref().map(|resolution| &resolution.bindings);
                write_bindings(writer, bindings);
                match resolution {
                    Some(resolution) => {
                        resolution.rem_unknown.write(writer);
                        writer.u32(resolution.authentication_hint);
                    }
                    None => {
                        Ipid::default().write(writer);
                        writer.u32(0);
                    }
                }
                if let Some(version) = version {
                    writer.u16(version.major).u16(version.minor);
                }
            }
            Self::Pinged { set, backoff, .. } => {
                set.write(writer);
                writer.u16(*backoff);
            }
            Self::Alive { version, bindings, .. } => {
                writer.u16(version.major).u16(version.minor);
                write_bindings(writer, bindings.as_ref());
                writer.u32(0);
            }
        }
        writer.u32(self.status().0);
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> ResolverStatus {
        match self {
            Self::Status(status)
            | Self::Resolved { status, .. }
            | Self::Pinged { status, .. }
            | Self::Alive { status, .. } => *status,
        }
    }
}

fn read_towers(reader: &mut Reader<'_>) -> Result<Vec<u16>, NdrError> {
    let count = reader.u16()?;
    let towers = reader.conformant_units(count.into())?;
    reader.expect_count(towers.len() as u64, count.into())?;
    Ok(towers)
}

/// A unique pointer to an array of objects whose count stands before both arrays.
fn read_oids(reader: &mut Reader<'_>, count: u16) -> Result<Vec<Oid>, NdrError> {
    if !reader.referent()? {
        reader.expect_count(0, count.into())?;
        return Ok(Vec::new());
    }
    let maximum = reader.conformance(count.into())?;
    reader.expect_count(maximum as u64, count.into())?;
    (0..maximum).map(|_| Oid::read(reader)).collect()
}

fn write_oids(writer: &mut Writer, oids: &[Oid]) {
    if oids.is_empty() {
        writer.null();
        return;
    }
    writer.referent().count(oids.len());
    for oid in oids {
        oid.write(writer);
    }
}

fn read_version(reader: &mut Reader<'_>) -> Result<ComVersion, NdrError> {
    Ok(ComVersion { major: reader.u16()?, minor: reader.u16()? })
}

fn read_status(reader: &mut Reader<'_>) -> Result<ResolverStatus, NdrError> {
    reader.u32().map(ResolverStatus)
}

fn read_bindings(reader: &mut Reader<'_>) -> Result<Option<DualStringArray>, DcomError> {
    if reader.referent()? { Ok(Some(DualStringArray::read(reader)?)) } else { Ok(None) }
}

fn write_bindings(writer: &mut Writer, bindings: Option<&DualStringArray>) {
    writer.unique(bindings, |writer, bindings| bindings.write(writer));
}

/// The count for the wire and the elements it covers.
fn counted<T>(elements: &[T]) -> (u16, &[T]) {
    match u16::try_from(elements.len()) {
        Ok(count) => (count, elements),
        Err(_) => (u16::MAX, elements.split_at(u16::MAX.into()).0),
    }
}
