//! Who may read and write a CA's folder. Whoever may write to it is the CA's administrator, and whoever may read it has every
//! request, with what is in it about people.

use std::path::{Path, PathBuf};

use certadm_store::Folder;

use crate::error::Error;

/// Something in a CA's folder is open to other accounts than its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// The folder, or the key.
    pub path: PathBuf,
    /// Whether others may change it.
    pub writable: bool,
    /// The command that mends it.
    pub remedy: String,
}

impl Exposure {
    /// What others may do, in words.
    pub fn text(&self) -> &'static str {
        if self.writable {
            "others than its owner can write to it"
        } else {
            "others than its owner can read it"
        }
    }

    /// The refusal to work with it.
    pub fn refused(self) -> Error {
        Error::Exposed { what: self.text(), path: self.path, remedy: self.remedy }
    }
}

/// What is open to others in a CA's folder: the folder, those of database and logs, and the key. The right to pass through
/// a folder (mode 0711) is none of it: a published CRL below needs it. On Windows the rights of the folder decide, and
/// nothing is found.
pub fn exposures(folder: &Folder) -> Vec<Exposure> {
    let dir = folder.path();
    let everything = format!("chmod -R go= '{}'", dir.display());
    let key = folder.key_path();
    let found = [
        (dir.to_owned(), 0o066, everything.clone()),
        (folder.database_dir(), 0o022, everything.clone()),
        (folder.log_dir(), 0o022, everything),
        (key.clone(), 0o077, format!("chmod 600 '{}'", key.display())),
    ];
    let exposed = |(path, refused, remedy): (PathBuf, u32, String)| {
        let mode = mode_of(&path)? & refused;
        (mode != 0).then_some(Exposure { path, writable: mode & 0o022 != 0, remedy })
    };
    found.into_iter().filter_map(exposed).collect()
}

#[cfg(unix)]
fn mode_of(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    Some(std::fs::metadata(path).ok()?.permissions().mode())
}

#[cfg(not(unix))]
fn mode_of(_path: &Path) -> Option<u32> {
    None
}
