//! All PDUs, whole: header, body, verifier (wire.md 2.1 to 2.8).

use super::{
    AckBody, BindBody, EncodeError, FaultBody, FaultStatus, Flags, Header, Layout, NakBody, PduError,
    PduKind, Verifier,
};
use crate::ndr::{ByteOrder, Guid, Reader, Writer};

/// A fragment of a call (wire.md 2.6; C706 12.6.4.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestBody<'a> {
    /// `alloc_hint`: how much stub is still to come, this fragment included. A hint: allocate nothing by it.
    pub alloc_hint: u32,
    /// The presentation context.
    pub context_id: u16,
    /// The method.
    pub opnum: u16,
    /// The object UUID; in ORPC the IPID.
    pub object: Option<Guid>,
    /// This fragment of the stub, without authentication padding.
    pub stub: &'a [u8],
}

/// A fragment of an answer (wire.md 2.6; C706 12.6.4.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseBody<'a> {
    /// `alloc_hint`: how much stub is still to come, this fragment included. A hint: allocate nothing by it.
    pub alloc_hint: u32,
    /// The presentation context.
    pub context_id: u16,
    /// How many cancels arrived for the call.
    pub cancel_count: u8,
    /// This fragment of the stub, without authentication padding.
    pub stub: &'a [u8],
}

/// What a PDU says, by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body<'a> {
    /// request (wire.md 2.6).
    Request(RequestBody<'a>),
    /// response (wire.md 2.6).
    Response(ResponseBody<'a>),
    /// fault (wire.md 2.6).
    Fault(FaultBody<'a>),
    /// bind (wire.md 2.2).
    Bind(BindBody),
    /// bind_ack (wire.md 2.3).
    BindAck(AckBody),
    /// bind_nak (wire.md 2.3).
    BindNak(NakBody<'a>),
    /// alter_context (wire.md 2.2).
    AlterContext(BindBody),
    /// alter_context_resp (wire.md 2.3).
    AlterContextResponse(AckBody),
    /// auth3 (wire.md 2.5; RPCE 2.2.2.10): four bytes without meaning, and a verifier.
    Auth3,
    /// shutdown (wire.md 2.6; C706 12.6.4.11).
    Shutdown,
    /// co_cancel (wire.md 2.6; C706 12.6.4.6).
    Cancel,
    /// orphaned (wire.md 2.6; C706 12.6.4.8).
    Orphaned,
}

impl Body<'_> {
    /// The kind of PDU it makes.
    #[must_use]
    pub const fn kind(&self) -> PduKind {
        match self {
            Self::Request(_) => PduKind::Request,
            Self::Response(_) => PduKind::Response,
            Self::Fault(_) => PduKind::Fault,
            Self::Bind(_) => PduKind::Bind,
            Self::BindAck(_) => PduKind::BindAck,
            Self::BindNak(_) => PduKind::BindNak,
            Self::AlterContext(_) => PduKind::AlterContext,
            Self::AlterContextResponse(_) => PduKind::AlterContextResponse,
            Self::Auth3 => PduKind::Auth3,
            Self::Shutdown => PduKind::Shutdown,
            Self::Cancel => PduKind::Cancel,
            Self::Orphaned => PduKind::Orphaned,
        }
    }
}

/// One PDU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pdu<'a> {
    /// `pfc_flags` without [`Flags::OBJECT`], which the body of a request implies.
    pub flags: Flags,
    /// `call_id`.
    pub call_id: u32,
    /// What it says.
    pub body: Body<'a>,
    /// Its authentication, none when `auth_length` is 0.
    pub verifier: Option<Verifier<'a>>,
}

impl<'a> Pdu<'a> {
    /// Decodes exactly one PDU. A sealed one is to be unsealed in place first, by its [`Layout`].
    ///
    /// # Errors
    ///
    /// [`PduError`]; the sender is at fault.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, PduError> {
        let header = Header::decode(bytes)?;
        let layout = Layout::of(&header, bytes)?;
        let verifier = layout.verifier(&header, bytes)?;
        let stub = bytes.get(layout.unpadded_body()).unwrap_or_default();
        // The fields are aligned from the start of the PDU, so the reader begins there and ends with the body.
        let mut reader =
            Reader::new(bytes.get(..layout.unpadded_body().end).unwrap_or_default(), header.order);
        reader.bytes(Header::SIZE)?;
        let body = read_body(&header, &mut reader, stub)?;
        Ok(Self { flags: header.flags.without(Flags::OBJECT), call_id: header.call_id, body, verifier })
    }

    /// Encodes the PDU into `buffer`, whose content is replaced: little-endian, with authentication padding of zeros to
    /// a multiple of 16 bytes of stub, or of 4 bytes in PDUs without stub (wire.md 2.8). The answer says which bytes
    /// are to be signed, sealed and overwritten by the token; the lengths in the header are final.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`], the caller's fault: the PDU would exceed 65,535 bytes, or a list 255 entries.
    pub fn encode(&self, buffer: &mut Vec<u8>) -> Result<Layout, EncodeError> {
        buffer.clear();
        self.append_to(buffer)
    }

    /// As [`Pdu::encode`], behind the content of `buffer`. The layout counts from where the PDU begins. After an error the
    /// buffer is empty.
    ///
    /// # Errors
    ///
    /// As [`Pdu::encode`].
    pub fn append_to(&self, buffer: &mut Vec<u8>) -> Result<Layout, EncodeError> {
        let origin = buffer.len();
        let mut writer = Writer::appending(std::mem::take(buffer));
        writer.zeros(Header::SIZE);
        let (object, multiple) = self.write_body(&mut writer)?;
        let mut header = Header {
            kind: self.body.kind(),
            flags: if object { self.flags.with(Flags::OBJECT) } else { self.flags.without(Flags::OBJECT) },
            order: ByteOrder::Little,
            fragment_length: 0,
            auth_length: 0,
            call_id: self.call_id,
        };
        let start = header.body_offset();
        let unpadded = writer.position();
        let mut padding = 0;
        let mut trailer = unpadded;
        if let Some(verifier) = &self.verifier {
            let size = unpadded - start;
            padding = size.next_multiple_of(multiple) - size;
            trailer = unpadded + padding;
            header.auth_length = u16::try_from(verifier.token.len()).map_err(|_| EncodeError::TooLong)?;
            if header.auth_length == 0 {
                return Err(EncodeError::EmptyToken);
            }
            let padding = u8::try_from(padding).map_err(|_| EncodeError::TooLong)?;
            writer.zeros(padding.into());
            writer.bytes(&[verifier.auth_type.0, verifier.level.to_wire(), padding, 0]);
            // Not aligned by the writer: the stub before it may have any length when it is not padded.
            writer.bytes(&verifier.context_id.to_le_bytes()).bytes(verifier.token);
        }
        let end = writer.position();
        header.fragment_length = u16::try_from(end).map_err(|_| EncodeError::TooLong)?;
        let mut bytes = writer.into_bytes();
        if let Some(place) = bytes.get_mut(origin..origin + Header::SIZE) {
            place.copy_from_slice(&header.encode());
        }
        let token = trailer + header.trailer_size().min(8);
        *buffer = bytes;
        Ok(Layout {
            header: 0..start,
            body: start..trailer,
            sec_trailer: trailer..token,
            token: token..end,
            padding,
        })
    }

    /// Writes the body after its header; answers whether an object UUID is in it, and the multiple to pad to.
    fn write_body(&self, writer: &mut Writer) -> Result<(bool, usize), EncodeError> {
        match &self.body {
            Body::Request(request) => {
                writer.u32(request.alloc_hint).u16(request.context_id).u16(request.opnum);
                request.object.iter().for_each(|&object| {
                    writer.guid(object);
                });
                writer.bytes(request.stub);
                return Ok((request.object.is_some(), 16));
            }
            Body::Response(response) => {
                writer.u32(response.alloc_hint).u16(response.context_id).u8(response.cancel_count).u8(0);
                writer.bytes(response.stub);
                return Ok((false, 16));
            }
            Body::Fault(fault) => {
                let is_extended = u8::from(!fault.extended.is_empty());
                writer.u32(fault.alloc_hint).u16(fault.context_id).u8(fault.cancel_count).u8(is_extended);
                writer.u32(fault.status.0).u32(0).bytes(fault.extended);
                return Ok((false, 16));
            }
            Body::Bind(bind) | Body::AlterContext(bind) => bind.write(writer)?,
            Body::BindAck(ack) | Body::AlterContextResponse(ack) => ack.write(writer)?,
            Body::BindNak(nak) => nak.write(writer)?,
            Body::Auth3 => {
                writer.zeros(4);
            }
            Body::Shutdown | Body::Cancel | Body::Orphaned => {}
        }
        Ok((false, 4))
    }
}

fn read_body<'a>(header: &Header, reader: &mut Reader<'a>, stub: &'a [u8]) -> Result<Body<'a>, PduError> {
    Ok(match header.kind {
        PduKind::Request => {
            let (alloc_hint, context_id, opnum) = (reader.u32()?, reader.u16()?, reader.u16()?);
            let object = if header.flags.has(Flags::OBJECT) { Some(reader.guid()?) } else { None };
            Body::Request(RequestBody { alloc_hint, context_id, opnum, object, stub })
        }
        PduKind::Response => {
            let (alloc_hint, context_id, cancel_count) = (reader.u32()?, reader.u16()?, reader.u8()?);
            Body::Response(ResponseBody { alloc_hint, context_id, cancel_count, stub })
        }
        PduKind::Fault => {
            let (alloc_hint, context_id, cancel_count) = (reader.u32()?, reader.u16()?, reader.u8()?);
            let flags = reader.u8()?;
            let status = FaultStatus(reader.u32()?);
            // Extended error data stands where the stub of other answers does, behind a reserved word.
            let extended = if flags & 1 == 1 { stub.get(8..).unwrap_or_default() } else { &[] };
            Body::Fault(FaultBody { alloc_hint, context_id, cancel_count, status, extended })
        }
        PduKind::Bind => Body::Bind(BindBody::read(reader)?),
        PduKind::AlterContext => Body::AlterContext(BindBody::read(reader)?),
        PduKind::BindAck => Body::BindAck(AckBody::read(reader)?),
        PduKind::AlterContextResponse => Body::AlterContextResponse(AckBody::read(reader)?),
        PduKind::BindNak => Body::BindNak(NakBody::read(reader)?),
        PduKind::Auth3 => Body::Auth3,
        PduKind::Shutdown => Body::Shutdown,
        PduKind::Cancel => Body::Cancel,
        PduKind::Orphaned => Body::Orphaned,
    })
}
