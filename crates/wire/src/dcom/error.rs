//! What can be wrong with a DCOM stub, and how a server answers it.

use crate::ndr::NdrError;
use crate::rpc::FaultStatus;
use certadm_rules::Hresult;

/// Why bindings cannot be made or read (wire.md 4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindingsError {
    /// A tower id or security service is 0, which ends a list.
    #[error("a binding has the id 0, which means the end of the list; leave it out")]
    ZeroId,
    /// An address or a principal has a NUL inside.
    #[error("a binding's text has a NUL inside; it cannot travel")]
    Nul,
    /// The bindings are longer than their 16-bit counts can say.
    #[error(
        "the bindings take {units} units of two bytes; at most 65535 can travel, so advertise fewer addresses"
    )]
    TooLong {
        /// How many 16-bit units they take.
        units: usize,
    },
    /// A list runs past its end, or the security bindings begin outside the array.
    #[error("the bindings do not end where they say; the peer sent them malformed")]
    Unterminated,
    /// A text is not UTF-16.
    #[error("a binding's text has an unpaired surrogate; it is not UTF-16")]
    BadUtf16,
}

/// Why an OBJREF, or the activation properties in one, does not decode. The sender's fault (wire.md 4.4 to 4.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjRefError {
    /// A field does not decode.
    #[error("a field of the object reference does not decode: {0}")]
    Field(#[from] NdrError),
    /// It does not begin with the signature.
    #[error("the object reference begins with {found:#010x} instead of its signature")]
    Signature {
        /// What it begins with.
        found: u32,
    },
    /// It is of another kind than is needed here.
    #[error("the object reference is of kind {flags:#x}, which is not allowed here")]
    Kind {
        /// Its flags.
        flags: u32,
    },
    /// It carries another interface or class than is needed here.
    #[error("the object reference does not carry what is needed here")]
    Class,
    /// The bindings are malformed.
    #[error(transparent)]
    Bindings(#[from] BindingsError),
    /// A part is not in type serialisation version 1, little-endian (wire.md 4.7).
    #[error("a part of the activation properties is not in the serialisation that is spoken here")]
    Serialisation,
    /// The sizes in the header contradict one another (wire.md 4.8).
    #[error("the sizes of the activation properties contradict one another")]
    Sizes,
    /// A property that must be there is missing.
    #[error("the activation properties lack {name}")]
    Missing {
        /// Which one.
        name: &'static str,
    },
}

impl ObjRefError {
    /// What the call is answered with: always [`Hresult::RPC_E_INVALID_OBJREF`] (wire.md 4.6).
    pub const fn hresult(self) -> Hresult {
        Hresult::RPC_E_INVALID_OBJREF
    }
}

/// Why a DCOM call, or the answer to one, does not decode. The sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DcomError {
    /// The interface has no such method.
    #[error("the interface has no method {opnum}")]
    Opnum {
        /// The opnum.
        opnum: u16,
    },
    /// The stub does not decode.
    #[error("the parameters of the call do not decode: {0}")]
    Stub(#[from] NdrError),
    /// An OBJREF in it does not decode.
    #[error(transparent)]
    ObjRef(#[from] ObjRefError),
}

impl From<BindingsError> for DcomError {
    fn from(error: BindingsError) -> Self {
        Self::ObjRef(error.into())
    }
}

impl DcomError {
    /// The status of the fault that answers the request; none when it is to be answered by a response with
    /// [`ObjRefError::hresult`] (wire.md 4.6).
    #[must_use]
    pub const fn fault(self) -> Option<FaultStatus> {
        match self {
            Self::Opnum { .. } => Some(FaultStatus::OPNUM_OUT_OF_RANGE),
            Self::Stub(_) => Some(FaultStatus::BAD_STUB_DATA),
            Self::ObjRef(_) => None,
        }
    }
}
