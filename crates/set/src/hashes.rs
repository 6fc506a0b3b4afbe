//! The hashes that a manifest has of each file: BLAKE3 always, SHA-256 where it was asked for.
//!
//! BLAKE3 alone tells any change. SHA-256 is for those whose rules or tools know no other hash; it takes as much of
//! the processors as all else that a backup of the same machine does.

use std::path::Path;

use certadm_files::Checksum;
use certadm_rules::hex;
use certadm_store::chain::compare_sum;
use certadm_store::trailer::Trailer;
use sha2::{Digest, Sha256};

use crate::error::Result;

/// Which hashes of a file are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hashing {
    /// BLAKE3.
    #[default]
    Blake3,
    /// BLAKE3 and SHA-256.
    Both,
}

/// Length and hashes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashes {
    /// Bytes.
    pub size: u64,
    /// BLAKE3, hexadecimal.
    pub blake3: String,
    /// SHA-256, hexadecimal, where it was asked for.
    pub sha256: Option<String>,
}

/// Hashes what comes piece by piece.
pub struct Hasher {
    size: u64,
    blake3: blake3::Hasher,
    sha256: Option<Sha256>,
}

impl Hasher {
    /// Nothing has come yet.
    #[must_use]
    pub fn new(hashing: Hashing) -> Self {
        let sha256 = (hashing == Hashing::Both).then(Sha256::new);
        Self { size: 0, blake3: blake3::Hasher::new(), sha256 }
    }

    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.blake3.update(bytes);
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
    }

    /// Bytes that came.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What came.
    #[must_use]
    pub fn finish(self) -> Hashes {
        Hashes {
            size: self.size,
            blake3: self.blake3.finalize().to_hex().to_string(),
            sha256: self.sha256.map(|sha256| hex::encode(&sha256.finalize())),
        }
    }
}

/// The checksum of an image's pages while it passes by; of nothing where no trailer tells how many there are.
#[derive(Debug, Default)]
pub(crate) struct PagesSum {
    sum: Checksum,
    /// Bytes of the pages that have not come yet. The trailer behind them is not in its own checksum.
    left: u64,
}

impl PagesSum {
    /// Nothing has come yet of the pages before this trailer.
    pub(crate) fn before(trailer: Option<&Trailer>) -> Self {
        Self { left: trailer.map_or(0, Trailer::pages_len), ..Self::default() }
    }

    /// The next bytes of the file.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        self.sum.update(&bytes[..len]);
        self.left -= len as u64;
    }

    /// Compares what came with the trailer, if there is one. `path` only names the image in the error.
    ///
    /// # Errors
    /// As [`compare_sum`].
    pub(crate) fn compare(&self, path: &Path, trailer: Option<&Trailer>) -> Result<()> {
        trailer.map_or(Ok(()), |trailer| Ok(compare_sum(path, trailer, &self.sum)?))
    }
}
