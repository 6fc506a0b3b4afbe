//! Presentation contexts: proposing, answering, feature negotiation (wire.md 2.2, 2.3, 2.4).

use super::{EncodeError, PduError};
use crate::ndr::{Guid, Reader, Writer};

/// The 8 bytes that the pseudo-syntax of feature negotiation begins with (wire.md 1.2, 2.4; RPCE 2.2.2.14).
const FEATURE_PREFIX: [u8; 8] = [0x2c, 0x1c, 0xb7, 0x6c, 0x12, 0x98, 0x40, 0x45];

/// An interface or a transfer syntax with its version (wire.md 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SyntaxId {
    /// Its UUID.
    pub uuid: Guid,
    /// Major version.
    pub major: u16,
    /// Minor version.
    pub minor: u16,
}

impl SyntaxId {
    /// NDR 2.0, the only transfer syntax that is proposed and accepted (wire.md 1.2).
    pub const NDR: Self =
        Self::new(Guid::new(0x8a88_5d04, 0x1ceb, 0x11c9, [0x9f, 0xe8, 8, 0, 0x2b, 0x10, 0x48, 0x60]), 2, 0);
    /// NDR64 1.0, which Windows offers and we refuse (wire.md 1.2).
    pub const NDR64: Self = Self::new(
        Guid::new(0x7171_0533, 0xbeba, 0x4937, [0x83, 0x19, 0xb5, 0xdb, 0xef, 0x9c, 0xcc, 0x36]),
        1,
        0,
    );

    /// The syntax `uuid` in version `major.minor`.
    #[must_use]
    pub const fn new(uuid: Guid, major: u16, minor: u16) -> Self {
        Self { uuid, major, minor }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, PduError> {
        Ok(Self { uuid: reader.guid()?, major: reader.u16()?, minor: reader.u16()? })
    }

    pub(super) fn write(self, writer: &mut Writer) {
        writer.guid(self.uuid).u16(self.major).u16(self.minor);
    }
}

/// What both ends can do besides the protocol of C706 (wire.md 2.4; RPCE 2.2.2.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Features(u16);

impl Features {
    /// Several security contexts on one connection.
    pub const SECURITY_CONTEXT_MULTIPLEXING: Self = Self(1);
    /// The connection stays open after an orphaned call.
    pub const KEEP_CONNECTION_ON_ORPHAN: Self = Self(2);

    /// The features with exactly these bits.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The bits as the answer carries them.
    #[must_use]
    pub const fn to_bits(self) -> u16 {
        self.0
    }

    /// Whether all of `others` are among them.
    #[must_use]
    pub const fn has(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// The transfer syntax that proposes them, version 1.0.
    #[must_use]
    pub const fn proposal(self) -> SyntaxId {
        let [a, b, c, d, e, f, g, h] = FEATURE_PREFIX;
        let [low, high] = self.0.to_le_bytes();
        let bytes = [a, b, c, d, e, f, g, h, low, high, 0, 0, 0, 0, 0, 0];
        SyntaxId::new(Guid::from_le_bytes(bytes), 1, 0)
    }

    /// The features a transfer syntax proposes; none when it is an ordinary one. Bits above the 16 that an answer can
    /// carry are dropped.
    #[must_use]
    pub fn proposed_by(syntax: &SyntaxId) -> Option<Self> {
        let bytes = syntax.uuid.to_le_bytes();
        let mask = bytes.strip_prefix(&FEATURE_PREFIX)?.first_chunk()?;
        (syntax.major == 1 && syntax.minor == 0).then(|| Self(u16::from_le_bytes(*mask)))
    }
}

/// One presentation context that a client proposes (wire.md 2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextElement {
    /// `context id`: chosen by the client, named in its requests.
    pub id: u16,
    /// The interface.
    pub abstract_syntax: SyntaxId,
    /// The encodings it is offered in.
    pub transfer_syntaxes: Vec<SyntaxId>,
}

/// The body of bind and alter_context (wire.md 2.2; C706 12.6.4.3, 12.6.4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindBody {
    /// `max_xmit_frag`: the largest fragment that the sender sends, in bytes.
    pub max_transmit: u16,
    /// `max_recv_frag`: the largest fragment that the sender accepts, in bytes.
    pub max_receive: u16,
    /// `assoc_group_id`: 0 for a new association group.
    pub association_group: u32,
    /// The proposals, at most 255.
    pub elements: Vec<ContextElement>,
}

impl BindBody {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, PduError> {
        let (max_transmit, max_receive, association_group) = (reader.u16()?, reader.u16()?, reader.u32()?);
        let count = reader.u8()?;
        reader.bytes(3)?;
        // At most 255 elements of 255 syntaxes, each of which must be there: a PDU has 65,535 bytes.
        let mut elements = Vec::new();
        for _ in 0..count {
            let (id, syntaxes) = (reader.u16()?, reader.u8()?);
            reader.u8()?;
            let abstract_syntax = SyntaxId::read(reader)?;
            let transfer_syntaxes =
                (0..syntaxes).map(|_| SyntaxId::read(reader)).collect::<Result<_, _>>()?;
            elements.push(ContextElement { id, abstract_syntax, transfer_syntaxes });
        }
        Ok(Self { max_transmit, max_receive, association_group, elements })
    }

    pub(super) fn write(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.u16(self.max_transmit).u16(self.max_receive).u32(self.association_group);
        writer.u8(count(self.elements.len())?).zeros(3);
        for element in &self.elements {
            writer.u16(element.id).u8(count(element.transfer_syntaxes.len())?).u8(0);
            element.abstract_syntax.write(writer);
            element.transfer_syntaxes.iter().for_each(|syntax| syntax.write(writer));
        }
        Ok(())
    }
}

/// Why a provider refuses a presentation context (wire.md 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProviderReason(pub u16);

impl ProviderReason {
    /// No reason given.
    pub const UNSPECIFIED: Self = Self(0);
    /// The interface is unknown: RPC_S_UNKNOWN_IF (0x6B5) to the caller.
    pub const ABSTRACT_SYNTAX: Self = Self(1);
    /// None of the transfer syntaxes is supported.
    pub const TRANSFER_SYNTAXES: Self = Self(2);
    /// Too many presentation contexts.
    pub const LOCAL_LIMIT: Self = Self(3);
}

/// What became of one proposed presentation context (wire.md 2.3). Equal in number and order to the proposals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindOutcome {
    /// 0: accepted, in this transfer syntax.
    Accepted(SyntaxId),
    /// 1: the service does not want it.
    UserRejection {
        /// Its reason, whose values nobody defined.
        reason: u16,
    },
    /// 2: the protocol machinery refuses it.
    ProviderRejection(ProviderReason),
    /// 3: the proposal was a feature negotiation; these are granted (wire.md 2.4).
    NegotiateAck(Features),
}

impl BindOutcome {
    fn read(reader: &mut Reader<'_>) -> Result<Self, PduError> {
        let (result, reason, syntax) = (reader.u16()?, reader.u16()?, SyntaxId::read(reader)?);
        Ok(match result {
            0 => Self::Accepted(syntax),
            1 => Self::UserRejection { reason },
            2 => Self::ProviderRejection(ProviderReason(reason)),
            3 => Self::NegotiateAck(Features(reason)),
            _ => return Err(PduError::BindResult { result }),
        })
    }

    fn write(self, writer: &mut Writer) {
        let (result, reason, syntax) = match self {
            Self::Accepted(syntax) => (0, 0, syntax),
            Self::UserRejection { reason } => (1, reason, SyntaxId::default()),
            Self::ProviderRejection(reason) => (2, reason.0, SyntaxId::default()),
            Self::NegotiateAck(features) => (3, features.0, SyntaxId::default()),
        };
        writer.u16(result).u16(reason);
        syntax.write(writer);
    }
}

/// The body of bind_ack and alter_context_resp (wire.md 2.3; C706 12.6.4.4, 12.6.4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AckBody {
    /// `max_xmit_frag`: the largest fragment that the server sends, in bytes.
    pub max_transmit: u16,
    /// `max_recv_frag`: the largest fragment that the server accepts, in bytes.
    pub max_receive: u16,
    /// `assoc_group_id`: the group the connection belongs to, not 0.
    pub association_group: u32,
    /// `sec_addr` without its NUL: the port in decimal in a bind_ack, empty in an alter_context_resp.
    pub secondary_address: Vec<u8>,
    /// One result for each proposal, at most 255.
    pub results: Vec<BindOutcome>,
}

impl AckBody {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, PduError> {
        let (max_transmit, max_receive, association_group) = (reader.u16()?, reader.u16()?, reader.u32()?);
        let length = reader.u16()?;
        let address = reader.bytes(length.into())?;
        let secondary_address = address.strip_suffix(&[0]).unwrap_or(address).to_vec();
        reader.align(4)?;
        let count = reader.u8()?;
        reader.bytes(3)?;
        let results = (0..count).map(|_| BindOutcome::read(reader)).collect::<Result<_, _>>()?;
        Ok(Self { max_transmit, max_receive, association_group, secondary_address, results })
    }

    pub(super) fn write(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.u16(self.max_transmit).u16(self.max_receive).u32(self.association_group);
        if self.secondary_address.is_empty() {
            writer.u16(0);
        } else {
            let length = u16::try_from(self.secondary_address.len() + 1).map_err(|_| EncodeError::TooLong)?;
            writer.u16(length).bytes(&self.secondary_address).u8(0);
        }
        writer.align(4).u8(count(self.results.len())?).zeros(3);
        self.results.iter().for_each(|result| result.write(writer));
        Ok(())
    }
}

/// Why a bind was refused altogether (wire.md 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NakReason(pub u16);

impl NakReason {
    /// No reason given.
    pub const UNSPECIFIED: Self = Self(0);
    /// Too many connections for now.
    pub const CONGESTION: Self = Self(1);
    /// A limit of the server.
    pub const LOCAL_LIMIT: Self = Self(2);
    /// The protocol version is not supported.
    pub const VERSION: Self = Self(4);
    /// The authentication type is not recognised.
    pub const AUTH_TYPE: Self = Self(8);
    /// The security package rejects the first token.
    pub const INVALID_CHECKSUM: Self = Self(9);
}

/// Says that extended error data follow in a bind_nak: `90740320-fad0-11d3-82d7-009027b130ab` (RPCE 2.2.1.1.2).
const EXTENDED: Guid =
    Guid::new(0x9074_0320, 0xFAD0, 0x11D3, [0x82, 0xD7, 0x00, 0x90, 0x27, 0xB1, 0x30, 0xAB]);

/// The body of bind_nak (wire.md 2.3; C706 12.6.4.5; RPCE 2.2.2.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NakBody<'a> {
    /// Why.
    pub reason: NakReason,
    /// The protocol versions that the server speaks, major and minor; at most 255. Send `[(5, 0)]`.
    pub versions: Vec<(u8, u8)>,
    /// Extended error data of Windows, for [`ErrorRecord::read_all`](super::ErrorRecord::read_all); empty when there is none.
    pub extended: &'a [u8],
}

impl<'a> NakBody<'a> {
    /// A refusal by a server of version 5.0 that says its reason and no more.
    #[must_use]
    pub fn plain(reason: NakReason) -> Self {
        Self { reason, versions: vec![(5, 0)], extended: &[] }
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, PduError> {
        let reason = NakReason(reader.u16()?);
        let count = if reader.remaining().is_empty() { 0 } else { reader.u8()? };
        let (pairs, _) = reader.bytes(usize::from(count) * 2)?.as_chunks();
        let versions = pairs.iter().map(|&[major, minor]| (major, minor)).collect();
        Ok(Self { reason, versions, extended: extended_data(reader.remaining()) })
    }

    pub(super) fn write(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.u16(self.reason.0).u8(count(self.versions.len())?);
        self.versions.iter().for_each(|&(major, minor)| {
            writer.u8(major).u8(minor);
        });
        if !self.extended.is_empty() {
            writer.align(8).bytes(&EXTENDED.to_le_bytes()).bytes(self.extended);
        }
        Ok(())
    }
}

/// The extended error data in what stands behind the versions of a bind_nak. No document says how the signature before
/// them is aligned, so that it is looked for behind up to seven bytes; anything else there is ignored.
fn extended_data(rest: &[u8]) -> &[u8] {
    let signature = EXTENDED.to_le_bytes();
    let found = (0..8).find_map(|padding| rest.get(padding..)?.strip_prefix(&signature));
    found.unwrap_or_default()
}

/// A server's answers to the proposals of a bind, in their order (wire.md 2.3, 2.4): NDR 2.0 for every interface that
/// `serves` knows, those of the proposed features that `offered` holds, and refusals with their reason.
#[must_use]
pub fn negotiate(
    elements: &[ContextElement],
    offered: Features,
    serves: impl Fn(&SyntaxId) -> bool,
) -> Vec<BindOutcome> {
    let answer = |element: &ContextElement| {
        if let [only] = element.transfer_syntaxes.as_slice()
            && let Some(proposed) = Features::proposed_by(only)
        {
            return BindOutcome::NegotiateAck(Features(proposed.0 & offered.0));
        }
        if !serves(&element.abstract_syntax) {
            BindOutcome::ProviderRejection(ProviderReason::ABSTRACT_SYNTAX)
        } else if element.transfer_syntaxes.contains(&SyntaxId::NDR) {
            BindOutcome::Accepted(SyntaxId::NDR)
        } else {
            BindOutcome::ProviderRejection(ProviderReason::TRANSFER_SYNTAXES)
        }
    };
    elements.iter().map(answer).collect()
}

fn count(length: usize) -> Result<u8, EncodeError> {
    u8::try_from(length).map_err(|_| EncodeError::TooLong)
}
