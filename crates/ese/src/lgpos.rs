//! Positions in the log sequence (ese.md 3.1).

use core::fmt;

use certadm_rules::finding::Spot;

/// A position in the log sequence: generation, sector or segment, byte within it.
///
/// Orders as the log was written. The text form is the usual `gen:isec:ib` in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lgpos {
    /// Log generation, from 1.
    pub generation: u32,
    /// Sectors (version 7) or segments (version 8) from the start of the file.
    pub segment: u16,
    /// Bytes into that sector or segment.
    pub offset: u16,
}

impl Lgpos {
    /// Reads the 8 bytes of the on-disk form.
    pub(crate) fn from_bytes(bytes: [u8; 8]) -> Self {
        let [offset_low, offset_high, segment_low, segment_high, generation @ ..] = bytes;
        Self {
            offset: u16::from_le_bytes([offset_low, offset_high]),
            segment: u16::from_le_bytes([segment_low, segment_high]),
            generation: u32::from_le_bytes(generation),
        }
    }

    /// The 8 bytes of the on-disk form.
    pub fn to_bytes(self) -> [u8; 8] {
        let mut out = [0; 8];
        out[..2].copy_from_slice(&self.offset.to_le_bytes());
        out[2..4].copy_from_slice(&self.segment.to_le_bytes());
        out[4..].copy_from_slice(&self.generation.to_le_bytes());
        out
    }

    /// True for the all-zero value, which means "none".
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

impl From<Lgpos> for Spot {
    fn from(position: Lgpos) -> Self {
        let Lgpos { generation, segment, offset } = position;
        Self::Position { generation, segment, offset }
    }
}

impl fmt::Display for Lgpos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}:{:x}:{:x}", self.generation, self.segment, self.offset)
    }
}

impl fmt::Debug for Lgpos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_order_by_generation_then_segment_then_offset() {
        let at = |generation, segment, offset| Lgpos { generation, segment, offset };
        assert!(at(1, 9, 9) < at(2, 1, 0));
        assert!(at(2, 1, 9) < at(2, 2, 0));
        assert_eq!(at(2, 0x1f, 0).to_string(), "0x2:1f:0");
        let bytes = at(2, 0x1f, 7).to_bytes();
        assert_eq!(Lgpos::from_bytes(bytes), at(2, 0x1f, 7));
    }
}
