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
    found.extend(file.left_out.iter().map(|reason| {
        let text = format!("a further key in it is left out: {reason}");
        Finding::warning(Kind::KeyLeftOut, text).in_file(path)
    }));
    Ok(file)
}

/// Leaves out the keys of a file that are not the CA's, where another one of the same file is: a file often holds more than the key
/// of the CA. Of a file without any key of the CA all stay, so that they are refused as they would be alone.
pub(crate) fn keep_those_of_the_ca(
    keys: &mut Vec<(PathBuf, PrivateKey)>,
    is_of_the_ca: impl Fn(&PrivateKey) -> bool,
    found: &mut Vec<Finding>,
) {
    let of_the_ca: Vec<bool> = keys.iter().map(|(_, key)| is_of_the_ca(key)).collect();
    let files: Vec<PathBuf> =
        keys.iter().zip(&of_the_ca).filter(|(_, is)| **is).map(|((path, _), _)| path.clone()).collect();
    let mut each = of_the_ca.into_iter();
    keys.retain(|(path, key)| {
        let stays = each.next().unwrap_or(true) || !files.contains(path);
        if !stays {
            let kind = key.public_key().kind_name();
            let text = format!("a further key in it ({kind}) is left out: it is none of this CA");
            found.push(Finding::note(Kind::KeyLeftOut, text).in_file(path));
        }
        stays
    });
}
