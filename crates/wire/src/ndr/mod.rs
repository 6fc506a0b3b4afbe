//! Network Data Representation 2.0: how parameters become bytes and back (wire.md 3.1; C706 chapter 14).
//!
//! Only what the interfaces of this project use. Alignment is counted from byte 0 of what a [`Reader`] or [`Writer`]
//! was made for: the reassembled stub of a call. Alignment gaps are written as zeros and never looked at.
//!
//! Nothing is allocated for a length that was not first compared with the bytes received.
//!
//! * [`Reader`]: from bytes, in either byte order.
//! * [`Writer`]: to bytes, little-endian.
//! * [`Guid`]: the 16-byte identifiers.

mod reader;
mod writer;

pub use certadm_rules::{Guid, GuidTextError};

pub use reader::Reader;
pub use writer::Writer;

/// The value of the first pointer of a stub that is not NULL; each further one is 4 more (wire.md 3.1).
pub const FIRST_REFERENT: u32 = 0x0002_0000;

/// The order of the bytes in an integer: the upper half of the first byte of `drep` (wire.md 2.1; C706 14.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ByteOrder {
    /// Least significant byte first (1 in `drep`): what everybody sends today, and all that this program writes.
    #[default]
    Little,
    /// Most significant byte first (0 in `drep`).
    Big,
}

/// Why a stub does not decode. The sender's fault, always; a server answers fault 0x6F7, RPC_X_BAD_STUB_DATA
/// (wire.md 3.1), to all but [`NdrError::TooLong`] and [`NdrError::BadUtf16`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NdrError {
    /// A value needs more bytes than there are.
    #[error(
        "the data ends at byte {length}, but {needed} bytes are needed at byte {offset}; the sender cut it short"
    )]
    Truncated {
        /// Where the value begins.
        offset: usize,
        /// How many bytes it needs.
        needed: usize,
        /// How many bytes the data has in all.
        length: usize,
    },
    /// A pointer is NULL where the interface does not allow it.
    #[error("the pointer at byte {offset} is NULL; the interface does not allow that")]
    NullPointer {
        /// Where the pointer stands.
        offset: usize,
    },
    /// A count disagrees with the parameter that governs it.
    #[error("the count at byte {offset} is {found}, but the parameters make it {expected}")]
    CountMismatch {
        /// Where the count stands.
        offset: usize,
        /// What it says.
        found: u64,
        /// What the other parameters demand.
        expected: u64,
    },
    /// An array is larger than the caller of the decoder allows.
    #[error("the array at byte {offset} has {count} elements; at most {limit} are accepted")]
    TooLarge {
        /// Where its count stands.
        offset: usize,
        /// What it says.
        count: u64,
        /// The limit.
        limit: usize,
    },
    /// A string is there as a whole, and longer than the caller of the decoder takes. The encoding is right.
    #[error("the string at byte {offset} has {units} units; at most {limit} are accepted")]
    TooLong {
        /// Where its first count stands.
        offset: usize,
        /// How many units it has.
        units: usize,
        /// The limit.
        limit: usize,
    },
    /// A varying array does not begin at its first element, or has more elements than its maximum.
    #[error("the varying array at byte {offset} does not lie inside its bounds")]
    BadVaryingBounds {
        /// Where its maximum count stands.
        offset: usize,
    },
    /// A string does not end with a NUL, or has one inside.
    #[error("the string at byte {offset} is not ended by its only NUL")]
    BadTerminator {
        /// Where its maximum count stands.
        offset: usize,
    },
    /// A string is there as a whole, and is not UTF-16. The encoding is right.
    #[error("the string at byte {offset} has an unpaired surrogate; it is not UTF-16")]
    BadUtf16 {
        /// Where its maximum count stands.
        offset: usize,
    },
    /// A VARIANT of a kind that is not decoded, with parameters behind it. Nobody's fault.
    #[error(
        "the value whose content begins at byte {offset} is of kind {kind:#06x}, which is not decoded here"
    )]
    VariantKind {
        /// Where its arm begins.
        offset: usize,
        /// Its `vt`.
        kind: u16,
    },
}
