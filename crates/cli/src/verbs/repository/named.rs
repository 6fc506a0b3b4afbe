//! The repositories that a command line names.

use std::path::Path;

use certadm_repository::{Address, CaRepository, Vault};

use crate::failure::Failure;
use crate::verbs::places;

/// An address that must be one.
pub(super) fn address(word: &Path) -> Result<Address, Failure> {
    places::address(word)?.ok_or_else(|| {
        let text = format!("{} is no address of a repository", word.display());
        Failure::usage(text, "write the vault's name of repositories.toml and a colon, such as vault:")
    })
}

/// An address of repositories, `vault:` or `vault:CA`. One that names a set is refused: what is done is done to all sets, and whoever
/// names one means another thing.
fn whole(word: &Path) -> Result<Address, Failure> {
    let address = address(word)?;
    if address.names_point {
        let text = format!("{} names a set, and this is about all sets of a repository", word.display());
        return Err(Failure::usage(text, "name the repository alone, such as vault: or vault:CA/"));
    }
    Ok(address)
}

/// The repository that an address leads to.
pub(super) fn repository(word: &Path) -> Result<CaRepository, Failure> {
    places::open(&whole(word)?)
}

/// The vault of an address, and the repository of the CA that it names; all of them where it names none.
pub(super) fn repositories(word: &Path) -> Result<(Vault, Vec<CaRepository>), Failure> {
    let address = whole(word)?;
    let vault = places::vault(&address.vault)?;
    let cas = match &address.ca {
        Some(ca) => vec![ca.clone()],
        None => vault.repositories()?,
    };
    let mut repositories = Vec::new();
    for ca in cas {
        repositories.push(places::open(&Address { ca: Some(ca), ..address.clone() })?);
    }
    Ok((vault, repositories))
}
