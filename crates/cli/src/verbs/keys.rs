//! Key files of a CA that a command is given, each with its passphrase.

use std::path::{Path, PathBuf};

use certadm_ca::Passphrase;
use certadm_recovery::{KeyFile, MAX_KEY_FILE, PrivateKey};
use certadm_rules::finding::{Finding, Kind};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::secrets::PassphrasesArgs;

/// Opens key files. One that nothing protects against changes is a finding. Without files no passphrase is asked for.
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
        let file = open(path, passphrases.of(place), found)?;
        keys.extend(file.keys.into_iter().map(|key| (path.clone(), key)));
    }
    Ok(keys)
}

/// Opens one of them.
///
/// # Errors
/// As [`KeyFile::open`].
fn open(path: &Path, passphrase: &Passphrase, found: &mut Vec<Finding>) -> Result<KeyFile, Failure> {
    let content = Zeroizing::new(certadm_files::read::bounded(path, MAX_KEY_FILE)?);
    open_content(path, &content, passphrase, found)
}

/// The same, of a file that was read already.
///
/// # Errors
/// As [`KeyFile::parse`].
pub(crate) fn open_content(
    path: &Path,
    content: &[u8],
    passphrase: &Passphrase,
    found: &mut Vec<Finding>,
) -> Result<KeyFile, Failure> {
    let file = KeyFile::parse(path, content, passphrase)?;
    if file.unprotected {
        let text = "the key file has no MAC: nothing shows whether it was changed";
        found.push(Finding::warning(Kind::KeyUnprotected, text).in_file(path));
    }
    Ok(file)
}
