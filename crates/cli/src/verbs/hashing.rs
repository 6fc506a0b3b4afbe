//! The option about hashes of sets.

use certadm_set::hashes::Hashing;
use clap::Args;

/// Which hashes the manifest of a new set gets.
#[derive(Debug, Args)]
pub(crate) struct HashArgs {
    /// Put the SHA-256 of each file into the manifest, too, for those whose rules or tools know no BLAKE3. It takes as much
    /// of the processors as all else that a backup of the same machine does
    #[arg(long)]
    sha256: bool,
}

impl HashArgs {
    pub(crate) fn hashing(&self) -> Hashing {
        if self.sha256 { Hashing::Both } else { Hashing::Blake3 }
    }
}
