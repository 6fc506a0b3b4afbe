//! The CA with its key, for the commands that sign.

use certadm_ca::Authority;
use certadm_store::Folder;

use crate::failure::Failure;
use crate::secrets::PassphraseArgs;

/// Opens the CA for signing. A folder that is none is refused before anybody is asked for a passphrase.
pub(crate) fn open(folder: &Folder, passphrase: &PassphraseArgs) -> Result<Authority, Failure> {
    certadm_ca::Config::load(&folder.config_path())?;
    Ok(Authority::open(folder, &passphrase.read()?)?)
}
