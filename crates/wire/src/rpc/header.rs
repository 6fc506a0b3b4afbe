//! The common header of every PDU (wire.md 2.1; C706 12.6.3.1; RPCE 2.2.2).

use super::PduError;
use crate::ndr::{ByteOrder, Reader};

/// The smallest fragment size that may be negotiated (wire.md 2.3; C706 12.6.3.1).
pub const MIN_FRAGMENT: u16 = 1432;
/// The size of the fragments of calls that Windows and this program propose (wire.md 2.3).
pub const MAX_FRAGMENT: u16 = 5840;

/// What a PDU is: the field `ptype` (wire.md 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PduKind {
    /// 0: a fragment of a call (wire.md 2.6).
    Request,
    /// 2: a fragment of an answer (wire.md 2.6).
    Response,
    /// 3: the call failed before or outside the method (wire.md 2.6).
    Fault,
    /// 11: proposes presentation contexts (wire.md 2.2).
    Bind,
    /// 12: answers a bind (wire.md 2.3).
    BindAck,
    /// 13: refuses a bind (wire.md 2.3).
    BindNak,
    /// 14: changes presentation contexts (wire.md 2.2).
    AlterContext,
    /// 15: answers an alter_context (wire.md 2.3).
    AlterContextResponse,
    /// 16: the last leg of an authentication with an odd number of legs (wire.md 2.5).
    Auth3,
    /// 17: the server asks the client to close the connection (wire.md 2.6).
    Shutdown,
    /// 18: the client wants its call cancelled (wire.md 2.6).
    Cancel,
    /// 19: the client gives its call up (wire.md 2.6).
    Orphaned,
}

impl PduKind {
    /// The kind of a `ptype`; none for those of the datagram protocol and unknown ones.
    #[must_use]
    pub const fn from_wire(ptype: u8) -> Option<Self> {
        Some(match ptype {
            0 => Self::Request,
            2 => Self::Response,
            3 => Self::Fault,
            11 => Self::Bind,
            12 => Self::BindAck,
            13 => Self::BindNak,
            14 => Self::AlterContext,
            15 => Self::AlterContextResponse,
            16 => Self::Auth3,
            17 => Self::Shutdown,
            18 => Self::Cancel,
            19 => Self::Orphaned,
            _ => return None,
        })
    }

    /// Whether it is one of those that begin or change an association, which travel whole (wire.md 2.2 to 2.5).
    #[must_use]
    pub const fn is_bind_class(self) -> bool {
        matches!(
            self,
            Self::Bind | Self::BindAck | Self::AlterContext | Self::AlterContextResponse | Self::Auth3
        )
    }

    /// The `ptype`.
    #[must_use]
    pub const fn to_wire(self) -> u8 {
        match self {
            Self::Request => 0,
            Self::Response => 2,
            Self::Fault => 3,
            Self::Bind => 11,
            Self::BindAck => 12,
            Self::BindNak => 13,
            Self::AlterContext => 14,
            Self::AlterContextResponse => 15,
            Self::Auth3 => 16,
            Self::Shutdown => 17,
            Self::Cancel => 18,
            Self::Orphaned => 19,
        }
    }
}

/// The field `pfc_flags` (wire.md 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(u8);

impl Flags {
    /// 0x01: the first fragment of its call.
    pub const FIRST: Self = Self(0x01);
    /// 0x02: the last fragment of its call.
    pub const LAST: Self = Self(0x02);
    /// 0x03: the only fragment of its call; on every PDU that is never split.
    pub const ONLY: Self = Self(0x03);
    /// 0x04 on bind-class PDUs: the sender can sign headers (wire.md 2.11).
    pub const HEADER_SIGNING: Self = Self(0x04);
    /// 0x04 on other PDUs: the client wants the call cancelled.
    pub const PENDING_CANCEL: Self = Self(0x04);
    /// 0x10: several calls at once on the connection.
    pub const CONCURRENT_MULTIPLEXING: Self = Self(0x10);
    /// 0x20 on a fault: the call was not executed.
    pub const DID_NOT_EXECUTE: Self = Self(0x20);
    /// 0x40: the client does not want to know how the call ended.
    pub const MAYBE: Self = Self(0x40);
    /// 0x80 on a request: an object UUID follows. Set by encoding, never by hand.
    pub const OBJECT: Self = Self(0x80);

    /// The flags with exactly these bits.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The bits as they stand on the wire.
    #[must_use]
    pub const fn to_bits(self) -> u8 {
        self.0
    }

    /// Whether all of `others` are set.
    #[must_use]
    pub const fn has(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// These flags and `others`.
    #[must_use]
    pub const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// These flags but not `others`.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }
}

/// The common header (wire.md 2.1; C706 12.6.3.1). Its versions are checked and gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// `ptype`.
    pub kind: PduKind,
    /// `pfc_flags`, [`Flags::OBJECT`] included.
    pub flags: Flags,
    /// The integers of the PDU and its stub (`drep`). A connection refuses [`ByteOrder::Big`] (wire.md 2.1); it is
    /// decoded so that the refusal can name the call.
    pub order: ByteOrder,
    /// `frag_length`: the size of the PDU in bytes.
    pub fragment_length: u16,
    /// `auth_length`: the size of the token in bytes, without the 8 bytes of the sec_trailer.
    pub auth_length: u16,
    /// `call_id`.
    pub call_id: u32,
}

impl Header {
    /// How many bytes a header has.
    pub const SIZE: usize = 16;

    /// Decodes the header at the beginning of `bytes`, which may hold more or less than one PDU.
    ///
    /// # Errors
    ///
    /// [`PduError`]: truncated, another version, data representation or kind, or lengths that contradict each other.
    pub fn decode(bytes: &[u8]) -> Result<Self, PduError> {
        let available = bytes.len();
        let truncated = PduError::Truncated { needed: Self::SIZE, available };
        let &[version, minor, ptype, flags, integers, floats, _, _, ref lengths @ ..] =
            bytes.first_chunk::<{ Self::SIZE }>().ok_or(truncated)?;
        if version != 5 || minor > 1 {
            return Err(PduError::Version { version, minor });
        }
        let order = match (integers, floats) {
            (0x10, 0) => ByteOrder::Little,
            (0x00, 0) => ByteOrder::Big,
            _ => return Err(PduError::DataRepresentation { integers, floats }),
        };
        let kind = PduKind::from_wire(ptype).ok_or(PduError::Kind { ptype })?;
        let mut reader = Reader::new(lengths, order);
        let (fragment_length, auth_length, call_id) = (reader.u16()?, reader.u16()?, reader.u32()?);
        let header =
            Self { kind, flags: Flags::from_bits(flags), order, fragment_length, auth_length, call_id };
        if usize::from(fragment_length) < header.body_offset() + header.trailer_size() {
            return Err(PduError::Lengths { fragment_length, auth_length });
        }
        Ok(header)
    }

    /// Cuts a PDU from the front of a byte stream: its header once that has arrived, none before. The whole PDU is
    /// there when `bytes` has [`Header::fragment_length`] bytes.
    ///
    /// `limit` is the size of fragments that was negotiated. A PDU of the bind class is never cut into fragments, and
    /// the token in it may be a large ticket: it is as large as its header can say (wire.md 2.3).
    ///
    /// # Errors
    ///
    /// As [`Header::decode`]; [`PduError::FragmentTooLarge`] above `limit` bytes, except for the bind class.
    pub fn peek(bytes: &[u8], limit: u16) -> Result<Option<Self>, PduError> {
        if bytes.len() < Self::SIZE {
            return Ok(None);
        }
        let header = Self::decode(bytes)?;
        if header.fragment_length > limit && !header.kind.is_bind_class() {
            return Err(PduError::FragmentTooLarge { fragment_length: header.fragment_length, limit });
        }
        Ok(Some(header))
    }

    /// As [`Header::peek`], for a connection, on which only little-endian integers are spoken (wire.md 2.1).
    ///
    /// # Errors
    ///
    /// As [`Header::peek`]; [`PduError::BigEndian`].
    pub(super) fn peek_little(bytes: &[u8], limit: u16) -> Result<Option<Self>, PduError> {
        match Self::peek(bytes, limit)? {
            Some(Self { order: ByteOrder::Big, call_id, .. }) => Err(PduError::BigEndian { call_id }),
            header => Ok(header),
        }
    }

    /// Where the part that can be sealed begins: after the header in the sense of wire.md 2.11, which for a request
    /// includes the object UUID.
    #[must_use]
    pub const fn body_offset(&self) -> usize {
        match self.kind {
            PduKind::Request if self.flags.has(Flags::OBJECT) => 40,
            PduKind::Request | PduKind::Response | PduKind::Fault => 24,
            _ => Self::SIZE,
        }
    }

    /// How many bytes the sec_trailer and the token take, 0 without authentication.
    #[must_use]
    pub fn trailer_size(&self) -> usize {
        if self.auth_length == 0 { 0 } else { 8 + usize::from(self.auth_length) }
    }

    /// The header as it travels, little-endian.
    pub(super) const fn encode(&self) -> [u8; Self::SIZE] {
        let [length_low, length_high] = self.fragment_length.to_le_bytes();
        let [auth_low, auth_high] = self.auth_length.to_le_bytes();
        let [a, b, c, d] = self.call_id.to_le_bytes();
        let (kind, flags) = (self.kind.to_wire(), self.flags.to_bits());
        [5, 0, kind, flags, 0x10, 0, 0, 0, length_low, length_high, auth_low, auth_high, a, b, c, d]
    }
}
