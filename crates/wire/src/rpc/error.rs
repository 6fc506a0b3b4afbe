//! Why bytes are no PDU, and why values make none.

use crate::ndr::NdrError;

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
