//! The verification trailer: what a client repeats inside the protected body, so that a header changed on the way
//! shows (wire.md 2.15; RPCE 2.2.2.13). Only in requests.

use super::{FaultStatus, PduError, PduKind, SyntaxId};
use crate::ndr::{ByteOrder, NdrError, Reader, Writer};

/// The 8 bytes that a trailer begins with.
const SIGNATURE: [u8; 8] = [0x8a, 0xe3, 0x13, 0x71, 0x02, 0xf4, 0x36, 0x71];
/// The bit of the last command.
const LAST: u16 = 0x4000;
/// The bit of a command that the server must understand.
const MUST_PROCESS: u16 = 0x8000;
/// The bit of the bitmask command: the client supports header signing.
const HEADER_SIGNING: u32 = 1;

/// What one command of a trailer says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// 1: bits; bit 0 says that the client supports header signing.
    Bitmask(u32),
    /// 2: the presentation context of the request.
    PresentationContext {
        /// Its interface.
        interface: SyntaxId,
        /// Its transfer syntax.
        transfer: SyntaxId,
    },
    /// 3: fields of the request's header.
    Header {
        /// `ptype`.
        ptype: u8,
        /// `drep`.
        representation: [u8; 4],
        /// `call_id`.
        call_id: u32,
        /// The presentation context.
        context_id: u16,
        /// The method.
        opnum: u16,
    },
    /// A command that no document defines.
    Unknown {
        /// Its number, 14 bits, none of the above.
        number: u16,
        /// Its data, at most 65,535 bytes.
        data: Vec<u8>,
    },
}

/// A command and whether the server must understand it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailerEntry {
    /// Whether an unknown command makes the call fail.
    pub must_process: bool,
    /// What it says.
    pub command: Command,
}

/// A verification trailer: its commands in their order, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerificationTrailer {
    /// The commands.
    pub entries: Vec<TrailerEntry>,
}

/// The facts of a request that its trailer must repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrailerContext {
    /// The interface of the presentation context.
    pub interface: SyntaxId,
    /// Its transfer syntax.
    pub transfer: SyntaxId,
    /// The call.
    pub call_id: u32,
    /// The presentation context.
    pub context_id: u16,
    /// The method.
    pub opnum: u16,
    /// Whether header signing was agreed on the connection (wire.md 2.11).
    pub header_signing: bool,
}

/// Why a trailer makes its call fail. The client's fault or that of somebody between; answered with
/// [`TrailerError::fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrailerError {
    /// The trailer does not decode.
    #[error("the verification trailer does not decode; the request was damaged or forged")]
    Malformed,
    /// The presentation context is another one.
    #[error(
        "the verification trailer names another interface than the request; the bind was changed on the way"
    )]
    PresentationContext,
    /// The header is another one.
    #[error("the verification trailer names another call than the header; the header was changed on the way")]
    Header,
    /// The client supports header signing, but its flag did not arrive.
    #[error(
        "the client supports header signing, but its bind did not say so; the flag was stripped on the way"
    )]
    StrippedHeaderSigning,
    /// A command that must be understood is not.
    #[error("the verification trailer demands the unknown command {number}")]
    UnknownCommand {
        /// Its number.
        number: u16,
    },
}

impl TrailerError {
    /// The status of the fault: access denied (wire.md 2.15).
    #[must_use]
    pub const fn fault(self) -> FaultStatus {
        FaultStatus::ACCESS_DENIED
    }
}

impl From<NdrError> for TrailerError {
    fn from(_: NdrError) -> Self {
        Self::Malformed
    }
}

impl From<PduError> for TrailerError {
    fn from(_: PduError) -> Self {
        Self::Malformed
    }
}

impl VerificationTrailer {
    /// Looks for a trailer in `stub`, at multiples of 4 bytes from `end_of_parameters` on, and decodes the first one.
    ///
    /// # Errors
    ///
    /// [`TrailerError::Malformed`] when the signature is there but what follows is no trailer.
    pub fn find(
        stub: &[u8],
        end_of_parameters: usize,
        order: ByteOrder,
    ) -> Result<Option<Self>, TrailerError> {
        let start = end_of_parameters.min(stub.len()).next_multiple_of(4);
        let remainder = stub.get(start..).unwrap_or_default();
        let place = (0..remainder.len())
            .step_by(4)
            .find_map(|offset| remainder.get(offset..)?.strip_prefix(&SIGNATURE));
        place.map(|commands| Self::decode(commands, order)).transpose()
    }

    /// Decodes the commands after the signature. What follows the last one is not looked at.
    fn decode(commands: &[u8], order: ByteOrder) -> Result<Self, TrailerError> {
        let mut rest = commands;
        let mut entries = Vec::new();
        loop {
            let mut reader = Reader::new(rest, order);
            let (word, length) = (reader.u16()?, reader.u16()?);
            let data = reader.bytes(length.into())?;
            rest = reader.remaining();
            let command = decode_command(word & !(LAST | MUST_PROCESS), data, order)?;
            entries.push(TrailerEntry { must_process: word & MUST_PROCESS != 0, command });
            if word & LAST != 0 {
                return Ok(Self { entries });
            }
        }
    }

    /// Appends the trailer to a request's stub, 4-aligned with zeros. Without entries nothing is appended. Data of an
    /// unknown command beyond 65,535 bytes is cut off.
    pub fn append_to(&self, stub: &mut Vec<u8>) {
        let Some(last) = self.entries.len().checked_sub(1) else { return };
        stub.resize(stub.len().next_multiple_of(4), 0);
        stub.extend_from_slice(&SIGNATURE);
        for (index, entry) in self.entries.iter().enumerate() {
            let (number, data) = encode_command(&entry.command);
            let must = if entry.must_process { MUST_PROCESS } else { 0 };
            let end = if index == last { LAST } else { 0 };
            let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
            stub.extend_from_slice(&(number & !(LAST | MUST_PROCESS) | must | end).to_le_bytes());
            stub.extend_from_slice(&length.to_le_bytes());
            stub.extend_from_slice(data.get(..length.into()).unwrap_or_default());
        }
    }

    /// Compares the trailer with the request it came in.
    ///
    /// # Errors
    ///
    /// [`TrailerError`], naming the first command that disagrees.
    pub fn check(&self, context: &TrailerContext) -> Result<(), TrailerError> {
        self.entries.iter().try_for_each(|entry| check_entry(entry, context))
    }
}

fn check_entry(entry: &TrailerEntry, context: &TrailerContext) -> Result<(), TrailerError> {
    match entry.command {
        Command::Bitmask(bits) if bits & HEADER_SIGNING != 0 && !context.header_signing => {
            Err(TrailerError::StrippedHeaderSigning)
        }
        Command::PresentationContext { interface, transfer }
            if (interface, transfer) != (context.interface, context.transfer) =>
        {
            Err(TrailerError::PresentationContext)
        }
        Command::Header { ptype, representation, call_id, context_id, opnum }
            if ptype != PduKind::Request.to_wire()
                || representation != [0x10, 0, 0, 0]
                || (call_id, context_id, opnum) != (context.call_id, context.context_id, context.opnum) =>
        {
            Err(TrailerError::Header)
        }
        Command::Unknown { number, .. } if entry.must_process => Err(TrailerError::UnknownCommand { number }),
        _ => Ok(()),
    }
}

fn decode_command(number: u16, data: &[u8], order: ByteOrder) -> Result<Command, TrailerError> {
    let mut reader = Reader::new(data, order);
    let command = match number {
        1 => Command::Bitmask(reader.u32()?),
        2 => Command::PresentationContext {
            interface: SyntaxId::read(&mut reader)?,
            transfer: SyntaxId::read(&mut reader)?,
        },
        3 => {
            let ptype = reader.u8()?;
            reader.bytes(3)?;
            let representation = reader.bytes(4)?.try_into().map_err(|_| TrailerError::Malformed)?;
            Command::Header {
                ptype,
                representation,
                call_id: reader.u32()?,
                context_id: reader.u16()?,
                opnum: reader.u16()?,
            }
        }
        _ => return Ok(Command::Unknown { number, data: data.to_vec() }),
    };
    if reader.remaining().is_empty() { Ok(command) } else { Err(TrailerError::Malformed) }
}

fn encode_command(command: &Command) -> (u16, Vec<u8>) {
    let mut writer = Writer::new();
    let number = match command {
        Command::Bitmask(bits) => {
            writer.u32(*bits);
            1
        }
        Command::PresentationContext { interface, transfer } => {
            interface.write(&mut writer);
            transfer.write(&mut writer);
            2
        }
        Command::Header { ptype, representation, call_id, context_id, opnum } => {
            writer.u8(*ptype).zeros(3).bytes(representation).u32(*call_id).u16(*context_id).u16(*opnum);
            3
        }
        Command::Unknown { number, data } => {
            writer.bytes(data);
            *number
        }
    };
    (number, writer.into_bytes())
}
