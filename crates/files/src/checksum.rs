//! The checksum of an image, as its trailer carries it; also for comparing what was stored with what was to be stored.

use twox_hash::XxHash3_128;

/// A running checksum: XXH3, 128 bits, without secret or seed.
///
/// It finds every accident. It is no proof against an author, who could write a checksum of their own anyway; hashes that are
/// compared with what somebody keeps elsewhere are the manifest's. In exchange it costs a tenth of what BLAKE3 costs, on a CA that has
/// to go on issuing while it is backed up.
///
/// ```
/// # use certadm_files::Checksum;
/// let mut whole = Checksum::new();
/// whole.update(b"an image");
/// let mut pieces = Checksum::new();
/// pieces.update(b"an ");
/// pieces.update(b"image");
/// assert_eq!(whole.finish(), pieces.finish());
/// ```
#[derive(Clone)]
pub struct Checksum(XxHash3_128);

impl Checksum {
    /// The checksum of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self(XxHash3_128::new())
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// The checksum of what has been added, in its canonical order: the most significant byte first.
    #[must_use]
    pub fn finish(&self) -> [u8; 16] {
        self.0.finish_128().to_be_bytes()
    }
}

impl Default for Checksum {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Checksum(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published value for no input (xxHash specification, XXH3 128 bits), and pieces that make no difference.
    #[test]
    fn it_is_xxh3_of_all_pieces() {
        assert_eq!(Checksum::new().finish(), 0x99aa_06d3_0147_98d8_6001_c324_468d_497f_u128.to_be_bytes());
        let bytes: Vec<u8> = (0..10_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let mut sum = Checksum::new();
        for piece in bytes.chunks(777) {
            sum.update(piece);
        }
        assert_eq!(sum.finish(), XxHash3_128::oneshot(&bytes).to_be_bytes());
    }
}
