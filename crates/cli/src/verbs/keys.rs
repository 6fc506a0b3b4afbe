//! Key files of a CA that a command is given.

use std::path::{Path, PathBuf};

use certadm_ca::Passphrase;
use certadm_recovery::{KeyFile, PrivateKey};
use certadm_rules::finding::{Finding, Kind};

use crate::failure::Failure;
use crate::secrets::PassphraseArgs;

/// Opens key files. One that nothing protects against changes is a finding. Without files no passphrase is asked for.
///
/// # Errors
/// As [`PassphraseArgs::read`] and [`KeyFile::open`].
pub(crate) fn open_all(
    files: &[PathBuf],
    passphrase: &PassphraseArgs,
    found: &mut Vec<Finding>,
) -> Result<Vec<(PathBuf, PrivateKey)>, Failure> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let passphrase = passphrase.read()?;
    let mut keys = Vec::new();
    for path in files {
        let file = open(path, &passphrase, found)?;
        keys.extend(file.keys.into_iter().map(|key| (path.clone(), key)));
    }
    Ok(keys)
}

/// Opens one of them.
///
/// # Errors
/// As [`KeyFile::open`].
pub(crate) fn open(
    path: &Path,
    passphrase: &Passphrase,
    found: &mut Vec<Finding>,
) -> Result<KeyFile, Failure> {
    let file = KeyFile::open(path, passphrase)?;
    if file.unprotected {
        let text = "the key file has no MAC: nothing shows whether it was changed";
        found.push(Finding::warning(Kind::KeyUnprotected, text).in_file(path));
    }
    Ok(file)
}
