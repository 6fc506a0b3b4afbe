//! All PDUs, whole: header, body, verifier (wire.md 2.1 to 2.8).

use super::{AckBody, BindBody, FaultBody, FaultStatus, Flags, Header, Layout, NakBody, PduKind, Verifier};
use crate::ndr::{ByteOrder, Guid, NdrError, Reader, Writer};

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
    Fault(FaultBody),
    /// bind (wire.md 2.2).
    Bind(BindBody),
    /// bind_ack (wire.md 2.3).
    BindAck(AckBody),
    /// bind_nak (wire.md 2.3).
    BindNak(NakBody),
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
                writer.u32(fault.alloc_hint).u16(fault.context_id).u8(fault.cancel_count).u8(0);
                writer.u32(fault.status.0).u32(0);
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

fn read_body<'a>(header: &Header, reader: &mut Reader<'_>, stub: &'a [u8]) -> Result<Body<'a>, PduError> {
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
            reader.u8()?;
            let status = FaultStatus(reader.u32()?);
            Body::Fault(FaultBody { alloc_hint, context_id, cancel_count, status })
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

/// Why bytes are no PDU. The sender's fault; a server answers with fault nca_s_proto_error where a call is known, and
/// closes the connection (wire.md 2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PduError {
    /// There are not exactly as many bytes as the header or the PDU demands.
    #[error(
        "the PDU has {available} bytes where {needed} are needed; the peer cut it short or ran two together"
    )]
    Truncated {
        /// How many there should be.
        needed: usize,
        /// How many there are.
        available: usize,
    },
    /// Not version 5.0 or 5.1.
    #[error("the peer speaks RPC version {version}.{minor}, not 5.0; is it an RPC port at all?")]
    Version {
        /// Major version.
        version: u8,
        /// Minor version.
        minor: u8,
    },
    /// Characters that are not ASCII, or floating-point numbers that are not IEEE.
    #[error(
        "the peer's data representation {integers:02x} {floats:02x} is not supported; use ASCII and IEEE"
    )]
    DataRepresentation {
        /// First byte of `drep`: integers and characters.
        integers: u8,
        /// Second byte of `drep`: floating point.
        floats: u8,
    },
    /// The integers are big-endian, which a connection refuses (wire.md 2.1). The peer's fault.
    #[error("call {call_id} comes with big-endian integers, which are not spoken here; close the connection")]
    BigEndian {
        /// The call it belongs to.
        call_id: u32,
    },
    /// No PDU of the connection-oriented protocol has this type.
    #[error("the peer sent a PDU of unknown type {ptype}")]
    Kind {
        /// `ptype`.
        ptype: u8,
    },
    /// The token does not fit into the PDU, or the PDU is shorter than its kind allows.
    #[error(
        "the peer sent a PDU of {fragment_length} bytes with a token of {auth_length}, which does not fit"
    )]
    Lengths {
        /// `frag_length`.
        fragment_length: u16,
        /// `auth_length`.
        auth_length: u16,
    },
    /// Larger than was negotiated.
    #[error("the peer sent a PDU of {fragment_length} bytes; {limit} were agreed")]
    FragmentTooLarge {
        /// `frag_length`.
        fragment_length: u16,
        /// What was agreed.
        limit: u16,
    },
    /// More padding than body.
    #[error("the peer claims {padding} bytes of padding in a body of {body}")]
    Padding {
        /// `auth_pad_length`.
        padding: usize,
        /// The size of the body with padding.
        body: usize,
    },
    /// An authentication level outside the table of wire.md 2.8.
    #[error("the peer asks for authentication level {level}; levels go from 1 to 6")]
    AuthLevel {
        /// `auth_level`.
        level: u8,
    },
    /// A result outside the table of wire.md 2.3.
    #[error("the peer answers a bind with result {result}; results go from 0 to 3")]
    BindResult {
        /// `result`.
        result: u16,
    },
    /// A field of the body does not decode.
    #[error("the body of the peer's PDU does not decode: {0}")]
    Body(#[from] NdrError),
}

/// Why a PDU cannot be encoded: what the caller put into it does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// More than 65,535 bytes in all, or more than 255 entries in a list. Cut the stub by a
    /// [`FragmentPlan`](super::FragmentPlan).
    #[error("the PDU would be larger than its length fields can say; split it")]
    TooLong,
    /// A verifier without token: `auth_length` 0 means that there is no verifier.
    #[error("the verifier has an empty token; leave the verifier out")]
    EmptyToken,
}
