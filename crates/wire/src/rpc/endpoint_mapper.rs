//! The endpoint mapper, as far as a fallback needs it: `ept_map`, opnum 3, and `ept_lookup_handle_free`, opnum 4
//! (wire.md 1.3, 1.6; C706 appendices L, O; RPCE 2.2.1.2).

use super::SyntaxId;
use crate::ndr::{Guid, NdrError, Reader, Writer};

/// The most bytes of a tower.
const MAX_TOWER: usize = 2000;
/// The most floors of a tower.
const MAX_FLOORS: usize = 6;
/// The most towers of an answer.
const MAX_TOWERS: usize = 500;
/// The protocol identifier of a floor that holds a UUID.
const UUID: u8 = 0x0D;
/// The floors of connection-oriented RPC, TCP and IP.
const RPC: u8 = 0x0B;
const TCP: u8 = 0x07;
const IP: u8 = 0x09;

impl SyntaxId {
    /// The endpoint mapper, version 3.0.
    pub const ENDPOINT_MAPPER: Self =
        Self::new(Guid::new(0xE1AF_8308, 0x5D1F, 0x11C9, [0x91, 0xA4, 8, 0, 0x2B, 0x14, 0xA0, 0xFA]), 3, 0);
}

/// A floor of a tower: a protocol identifier with what belongs to it, and its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Floor {
    /// Identifier, then data.
    pub left: Vec<u8>,
    /// The address.
    pub right: Vec<u8>,
}

/// A tower: how an interface is reached, from the interface down to the address. Not longer than what is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tower {
    floors: Vec<Floor>,
}

/// What a tower of TCP says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpTower {
    /// Which interface.
    pub interface: SyntaxId,
    /// In which encoding.
    pub transfer_syntax: SyntaxId,
    /// The TCP port; 0 in a request.
    pub port: u16,
    /// The IPv4 address; 0.0.0.0 in a request.
    pub address: [u8; 4],
}

impl Tower {
    /// The five floors of TCP.
    #[must_use]
    pub fn tcp(tower: TcpTower) -> Self {
        let uuid = |syntax: SyntaxId| {
            let mut left = vec![UUID];
            left.extend(syntax.uuid.to_le_bytes());
            left.extend(syntax.major.to_le_bytes());
            Floor { left, right: syntax.minor.to_le_bytes().to_vec() }
        };
        let floor = |id, right: &[u8]| Floor { left: vec![id], right: right.to_vec() };
        let floors = vec![
            uuid(tower.interface),
            uuid(tower.transfer_syntax),
            floor(RPC, &[0, 0]),
            floor(TCP, &tower.port.to_be_bytes()),
            floor(IP, &tower.address),
        ];
        Self { floors }
    }

    /// What it says, if it is one of TCP.
    #[must_use]
    pub fn as_tcp(&self) -> Option<TcpTower> {
        let uuid = |floor: &Floor| {
            let (&[UUID, ref left @ ..], &[low, high]) = (floor.left.as_slice(), floor.right.as_slice())
            else {
                return None;
            };
            let (uuid, major) = left.split_first_chunk::<16>()?;
            let major = u16::from_le_bytes(*major.first_chunk()?);
            Some(SyntaxId::new(Guid::from_le_bytes(*uuid), major, u16::from_le_bytes([low, high])))
        };
        let [interface, transfer_syntax, rpc, tcp, ip] = self.floors.as_slice() else { return None };
        if (rpc.left.as_slice(), tcp.left.as_slice(), ip.left.as_slice()) != (&[RPC], &[TCP], &[IP]) {
            return None;
        }
        Some(TcpTower {
            interface: uuid(interface)?,
            transfer_syntax: uuid(transfer_syntax)?,
            port: u16::from_be_bytes(tcp.right.as_slice().try_into().ok()?),
            address: ip.right.as_slice().try_into().ok()?,
        })
    }

    /// Its floors.
    #[must_use]
    pub fn floors(&self) -> &[Floor] {
        &self.floors
    }

    /// Reads it as an NDR structure: maximum count, length, bytes.
    ///
    /// # Errors
    ///
    /// [`NdrError`]: among others [`NdrError::TooLarge`] above 2000 bytes or 6 floors.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, NdrError> {
        let maximum = reader.conformance(MAX_TOWER)?;
        let length = reader.u32()?;
        reader.expect_count(length.into(), maximum as u64)?;
        let mut rest = reader.bytes(maximum)?;
        let count = u16::from_le_bytes(take(&mut rest)?);
        if usize::from(count) > MAX_FLOORS {
            return Err(NdrError::TooLarge { offset: 0, count: count.into(), limit: MAX_FLOORS });
        }
        let mut floors = Vec::new();
        for _ in 0..count {
            floors.push(Floor { left: take_counted(&mut rest)?, right: take_counted(&mut rest)? });
        }
        Ok(Self { floors })
    }

    /// Writes it as an NDR structure.
    pub fn write(&self, writer: &mut Writer) {
        let mut bytes = Vec::new();
        let count = |length: usize| u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes();
        bytes.extend(count(self.floors.len()));
        for side in self.floors.iter().flat_map(|floor| [&floor.left, &floor.right]) {
            bytes.extend(count(side.len()));
            bytes.extend(side);
        }
        writer.count(bytes.len()).count(bytes.len()).bytes(&bytes);
    }
}

/// A lookup that may go on: 20 bytes, all zero at first and at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LookupHandle {
    attributes: u32,
    uuid: Guid,
}

impl LookupHandle {
    fn read(reader: &mut Reader<'_>) -> Result<Self, NdrError> {
        Ok(Self { attributes: reader.u32()?, uuid: reader.guid()? })
    }

    fn write(self, writer: &mut Writer) {
        writer.u32(self.attributes).guid(self.uuid);
    }
}

/// What a client asks of the endpoint mapper.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MapperRequest {
    /// `ept_map`, opnum 3.
    Map {
        /// The object; none or nil for any.
        object: Option<Guid>,
        /// What is looked for; its address does not matter.
        tower: Option<Tower>,
        /// Where to go on.
        handle: LookupHandle,
        /// How many towers the client takes.
        max_towers: u32,
    },
    /// `ept_lookup_handle_free`, opnum 4.
    Free {
        /// The lookup that ends.
        handle: LookupHandle,
    },
}

impl MapperRequest {
    /// Its opnum.
    #[must_use]
    pub const fn opnum(&self) -> u16 {
        match self {
            Self::Map { .. } => 3,
            Self::Free { .. } => 4,
        }
    }

    /// Reads the parameters of `opnum`; none for the opnums that are not served here: fault
    /// [`FaultStatus::OPNUM_OUT_OF_RANGE`](super::FaultStatus::OPNUM_OUT_OF_RANGE).
    ///
    /// # Errors
    ///
    /// [`NdrError`].
    pub fn read(opnum: u16, reader: &mut Reader<'_>) -> Result<Option<Self>, NdrError> {
        Ok(Some(match opnum {
            3 => Self::Map {
                object: reader.unique(Reader::guid)?,
                tower: reader.unique(Tower::read)?,
                handle: LookupHandle::read(reader)?,
                max_towers: reader.u32()?,
            },
            4 => Self::Free { handle: LookupHandle::read(reader)? },
            _ => return Ok(None),
        }))
    }

    /// Writes the parameters.
    pub fn write(&self, writer: &mut Writer) {
        match self {
            Self::Map { object, tower, handle, max_towers } => {
                writer.unique(*object, |writer, object| {
                    writer.guid(object);
                });
                writer.unique(tower.as_ref(), |writer, tower| tower.write(writer));
                handle.write(writer);
                writer.u32(*max_towers);
            }
            Self::Free { handle } => handle.write(writer),
        }
    }
}

/// What the endpoint mapper answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapperResponse {
    /// Where the client may go on; all zero at the end.
    pub handle: LookupHandle,
    /// What was found; always empty in answers to `ept_lookup_handle_free`.
    pub towers: Vec<Tower>,
    /// 0, [`MapperResponse::NOT_REGISTERED`], or [`MapperResponse::CANNOT_PERFORM`].
    pub status: u32,
}

impl MapperResponse {
    /// Nothing is found.
    pub const NOT_REGISTERED: u32 = 0x16C9_A0D6;
    /// The request makes no sense.
    pub const CANNOT_PERFORM: u32 = 0x16C9_A0CD;

    /// Reads the answer to `request`. What follows is ignored.
    ///
    /// # Errors
    ///
    /// [`NdrError`], the server's fault: among others [`NdrError::TooLarge`] for more than 500 towers.
    pub fn read(request: &MapperRequest, reader: &mut Reader<'_>) -> Result<Self, NdrError> {
        let handle = LookupHandle::read(reader)?;
        let mut towers = Vec::new();
        if let MapperRequest::Map { .. } = request {
            let count = reader.u32()?;
            let actual = reader.varying_conformance(MAX_TOWERS)?;
            reader.expect_count(actual as u64, count.into())?;
            let present = (0..actual).map(|_| reader.referent()).collect::<Result<Vec<_>, _>>()?;
            for _ in present.into_iter().filter(|&present| present) {
                towers.push(Tower::read(reader)?);
            }
        }
        Ok(Self { handle, towers, status: reader.u32()? })
    }

    /// Writes the answer to `request`.
    pub fn write(&self, request: &MapperRequest, writer: &mut Writer) {
        self.handle.write(writer);
        if let MapperRequest::Map { max_towers, .. } = request {
            let count = self.towers.len();
            let maximum = usize::try_from(*max_towers).unwrap_or(usize::MAX).max(count);
            writer.count(count).count(maximum).u32(0).count(count);
            for _ in &self.towers {
                writer.referent();
            }
            for tower in &self.towers {
                tower.write(writer);
            }
        }
        writer.u32(self.status);
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], NdrError> {
    let (taken, after) = rest.split_first_chunk::<N>().ok_or(NdrError::Truncated {
        offset: 0,
        needed: N,
        length: rest.len(),
    })?;
    *rest = after;
    Ok(*taken)
}

fn take_counted(rest: &mut &[u8]) -> Result<Vec<u8>, NdrError> {
    let count = usize::from(u16::from_le_bytes(take(rest)?));
    let (taken, after) = rest.split_at_checked(count).ok_or(NdrError::Truncated {
        offset: 0,
        needed: count,
        length: rest.len(),
    })?;
    *rest = after;
    Ok(taken.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ndr::ByteOrder;

    fn tower(port: u16) -> TcpTower {
        let interface = SyntaxId::ENDPOINT_MAPPER;
        TcpTower { interface, transfer_syntax: SyntaxId::NDR, port, address: [10, 0, 0, 5] }
    }

    #[test]
    fn a_tower_has_the_layout_of_the_document() {
        let mut writer = Writer::new();
        Tower::tcp(tower(135)).write(&mut writer);
        let bytes = writer.into_bytes();
        assert_eq!(bytes.len(), 8 + 75);
        assert_eq!(bytes[..13], [75, 0, 0, 0, 75, 0, 0, 0, 5, 0, 19, 0, 0x0D]);
        assert_eq!(bytes[29..35], [3, 0, 2, 0, 0, 0]);
        assert_eq!(bytes[60..], [1, 0, 0x0B, 2, 0, 0, 0, 1, 0, 7, 2, 0, 0, 135, 1, 0, 9, 4, 0, 10, 0, 0, 5]);
        let mut reader = Reader::new(&bytes, ByteOrder::Little);
        assert_eq!(Tower::read(&mut reader).unwrap().as_tcp(), Some(tower(135)));
        assert_eq!(Tower::default().as_tcp(), None);
        for cut in 0..bytes.len() {
            assert!(Tower::read(&mut Reader::new(&bytes[..cut], ByteOrder::Little)).is_err(), "{cut}");
        }
    }

    #[test]
    fn calls_come_back() {
        let object = Some(Guid::NIL);
        let handle = LookupHandle { attributes: 0, uuid: SyntaxId::NDR.uuid };
        let map = MapperRequest::Map { object, tower: Some(Tower::tcp(tower(0))), handle, max_towers: 4 };
        for request in [map, MapperRequest::Free { handle }] {
            let mut writer = Writer::new();
            request.write(&mut writer);
            let bytes = writer.into_bytes();
            let mut reader = Reader::new(&bytes, ByteOrder::Little);
            assert_eq!(MapperRequest::read(request.opnum(), &mut reader), Ok(Some(request.clone())));
            let is_map = matches!(request, MapperRequest::Map { .. });
            let towers = if is_map { vec![Tower::tcp(tower(1)), Tower::tcp(tower(2))] } else { Vec::new() };
            let response = MapperResponse { handle, towers, status: MapperResponse::NOT_REGISTERED };
            let mut writer = Writer::new();
            response.write(&request, &mut writer);
            let bytes = writer.into_bytes();
            let mut reader = Reader::new(&bytes, ByteOrder::Little);
            assert_eq!(MapperResponse::read(&request, &mut reader), Ok(response));
        }
        assert_eq!(MapperRequest::read(2, &mut Reader::new(&[], ByteOrder::Little)), Ok(None));
    }
}
