//! The repositories that a command line names.

use std::path::Path;

use certadm_repository::{Address, CaRepository};

use crate::failure::Failure;
use crate::verbs::places;

/// An address that must be one: `vault:` or `vault:CA`.
pub(super) fn address(word: &Path) -> Result<Address, Failure> {
    places::address(word)?.ok_or_else(|| {
        let text = format!("{} is no address of a repository", word.display());
        Failure::usage(text, "write the vault's name of repositories.toml and a colon, such as vault:")
    })
}

/// The repository that an address leads to.
pub(super) fn repository(word: &Path) -> Result<CaRepository, Failure> {
    places::open(&address(word)?)
}
