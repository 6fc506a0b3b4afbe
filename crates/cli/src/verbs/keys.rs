//! Key files of a CA that a command is given, each with its passphrase.

use std::path::PathBuf;

use certadm_recovery::{KeyFile, PrivateKey};
use certadm_rules::finding::{Finding, Kind};

use crate::failure::Failure;
use crate::secrets::PassphrasesArgs;

/// Opens key files. One that nothing protects against changes is a finding.
///
/// # Errors
/// As [`PassphrasesArgs::read`] and [`KeyFile::open`].
pub(crate) fn open_all(
    files: &[PathBuf],
    passphrases: &PassphrasesArgs,
    found: &mut Vec<Finding>,
) -> Result<Vec<(PathBuf, PrivateKey)>, Failure> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let passphrases = passphrases.read(files.len())?;
    let mut keys = Vec::new();
    for (place, path) in files.iter().enumerate() {
        let file = KeyFile::open(path, passphrases.of(place))?;
        if file.unprotected {
            let text = "the key file has no MAC: nothing shows whether it was changed";
            found.push(Finding::warning(Kind::KeyUnprotected, text).in_file(path));
        }
        keys.extend(file.keys.into_iter().map(|key| (path.clone(), key)));
    }
    Ok(keys)
}
