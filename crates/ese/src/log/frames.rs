//! What both ways of framing records have in common: runs of bytes that may be trusted, and how they end.

/// How the trusted part of a log ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogEnd {
    /// Every segment of the file is in use: a closed generation.
    Full,
    /// At the end of what was written.
    Reached,
    /// In a write that was cut short; what counted of it was recovered or never completed.
    Torn(&'static str),
    /// In damage.
    Damaged(&'static str),
}

/// A run of record bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) start: usize,
    pub(super) end: usize,
    /// File offset it counts as; another than `start` in a shadow copy.
    pub(super) position: usize,
}

/// What the framing vouches for.
#[derive(Clone, Debug)]
pub(super) struct Frames {
    pub(super) pieces: Vec<Piece>,
    pub(super) end: LogEnd,
    pub(super) accumulated_xor: u64,
    /// Records may be cut into fragments.
    pub(super) fragments: bool,
    /// Flipped bits that were corrected: where their segment begins in the file, and the bit of it.
    pub(super) corrected: Vec<(usize, u32)>,
}
