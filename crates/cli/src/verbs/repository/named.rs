//! The repositories that a command line names.

use std::path::Path;

use certadm_repository::{Address, CaRepository, Vault};
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::verbs::each::Each;
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

/// The vault of an address, and the address of the repository of the CA that it names; those of all where it names none.
pub(super) fn repositories(word: &Path) -> Result<(Vault, Vec<Address>), Failure> {
    let address = whole(word)?;
    let vault = places::vault(&address.vault)?;
    let cas = match &address.ca {
        Some(ca) => vec![ca.clone()],
        None => vault.repositories()?,
    };
    Ok((vault, cas.into_iter().map(|ca| Address { ca: Some(ca), ..address.clone() }).collect()))
}

/// Does something with each of these repositories. One that is damaged, or whose key is on another machine, keeps none of the others
/// from its turn: it is told, and its failure is kept for the end. An interruption ends it at once.
pub(super) fn each(
    addresses: &[Address],
    output: Output,
    mut work: impl FnMut(&CaRepository) -> Result<Value, Failure>,
) -> Each {
    let mut each = Each::default();
    for address in addresses {
        let mut failure = match places::open(address).and_then(|repository| work(&repository)) {
            Ok(result) => {
                each.results.push(result);
                continue;
            }
            Err(failure) => failure,
        };
        let name = format!("{}:{}", address.vault, address.ca.as_deref().unwrap_or_default());
        let result = failure.done.take().map_or_else(|| json!({ "repository": name }), |done| *done);
        if matches!(failure.exit, Exit::Interrupted | Exit::Terminated) {
            each.ends(result, failure);
            break;
        }
        if 1 < addresses.len() {
            output.result(format!("{name}: FAILED: {}", failure.message));
        }
        each.fails(result, failure);
    }
    each
}
