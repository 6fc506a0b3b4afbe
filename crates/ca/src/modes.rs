//! Who may read and write a CA's folder. Whoever may write to it is the CA's administrator, and whoever may read it has every
//! request, with what is in it about people.

use std::fs;
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

/// No more files and folders are looked at below a folder that others can pass through.
const MOST_LOOKED_AT: usize = 20_000;
/// Folders within each other below the CA's.
const DEEPEST: usize = 3;

/// What is open to others in a CA's folder: the folder, those of database and logs, and the key. The right to pass through
/// a folder (mode 0711) is none of it: a published CRL below needs it. But where others have it, a mode of the folder says nothing of
/// what lies below, and that is looked at, too. On Windows the rights of the folder decide, and nothing is found.
pub fn exposures(folder: &Folder) -> Vec<Exposure> {
    let dir = folder.path();
    let everything = format!("chmod -R go= {}", certadm_rules::words::shell_word(dir.display()));
    let key = folder.key_path();
    let whole = [
        (dir.to_owned(), 0o066, everything.clone()),
        (folder.database_dir(), 0o022, everything.clone()),
        (folder.log_dir(), 0o022, everything),
        (key.clone(), 0o077, format!("chmod 600 {}", certadm_rules::words::shell_word(key.display()))),
    ];
    let exposed = |(path, refused, remedy): (PathBuf, u32, String)| {
        let mode = mode_of(&path)? & refused;
        (mode != 0).then_some(Exposure { path, writable: mode & 0o022 != 0, remedy })
    };
    let mut found: Vec<Exposure> = whole.into_iter().filter_map(exposed).collect();
    // One command for all closes what is below, too.
    if found.iter().all(|exposure| exposure.path == key) {
        found.extend(below(folder, passing(mode_of(dir).unwrap_or_default())));
    }
    found
}

/// What those can open who may pass through the folder: `reach` has all bits of group and others, as far as they may. `users.toml`
/// is not looked at: the service refuses it by itself.
fn below(folder: &Folder, reach: u32) -> Vec<Exposure> {
    if reach == 0 {
        return Vec::new();
    }
    let dir = folder.path();
    let mut parts = vec![
        // Whoever may read a lock file can hold the lock.
        (folder.owner_lock_path(), Kept::OfGroup),
        (folder.use_lock_path(), Kept::Private),
        (folder.commit_lock_path(), Kept::Private),
        (folder.database_dir(), Kept::Private),
        (folder.log_dir(), Kept::Private),
        (folder.restore_requests_dir(), Kept::Requests),
        (folder.restore_record_path(), Kept::Unchanged),
        (folder.restore_swap_path(), Kept::Unchanged),
        (folder.config_path(), Kept::Unchanged),
        (folder.certificate_path(), Kept::Unchanged),
        (folder.crl_dir(), Kept::Unchanged),
    ];
    // Databases that a restore has moved aside, or had copied when it was killed.
    let copies = fs::read_dir(dir).into_iter().flatten().flatten().take(MOST_LOOKED_AT).filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("replaced-") || name == "restore.staging"
    });
    parts.extend(copies.map(|entry| (entry.path(), Kept::Private)));
    let mut left = MOST_LOOKED_AT;
    let exposed = |(part, kept): (PathBuf, Kept)| {
        let (path, writable) = first_open(&part, kept, reach, DEEPEST, &mut left)?;
        let recursive = if part.is_dir() { "-R " } else { "" };
        let remedy = format!(
            "chmod {recursive}{} {}",
            kept.closed(),
            certadm_rules::words::shell_word(part.display())
        );
        Some(Exposure { path, writable, remedy })
    };
    parts.into_iter().filter_map(exposed).collect()
}

/// Whom a part of the folder is for.
#[derive(Clone, Copy)]
enum Kept {
    /// The owner alone.
    Private,
    /// The owner, and a group that may restore without owning the CA (docs/c-api.md).
    OfGroup,
    /// The same may write it, and everyone may read it: the service has an account of its own.
    Requests,
    /// Everyone may read it, and nobody else may change it.
    Unchanged,
}

impl Kept {
    /// The bits of a mode that are refused. A listing gives nothing but names, which tell no more than that there is a CA.
    const fn refused(self, is_dir: bool) -> u32 {
        match self {
            Self::Private if !is_dir => 0o066,
            Self::OfGroup if !is_dir => 0o006,
            Self::OfGroup | Self::Requests => 0o002,
            Self::Private | Self::Unchanged => 0o022,
        }
    }

    /// The change of a mode that closes it.
    const fn closed(self) -> &'static str {
        match self {
            Self::Private => "go=",
            Self::OfGroup => "o=",
            Self::Requests => "o-w",
            Self::Unchanged => "go-w",
        }
    }
}

/// The first thing at or below `path` that others can open, and whether they can change it. A link has no mode of its own.
fn first_open(
    path: &Path,
    kept: Kept,
    reach: u32,
    depth: usize,
    left: &mut usize,
) -> Option<(PathBuf, bool)> {
    *left = left.checked_sub(1)?;
    let metadata = path.symlink_metadata().ok().filter(|found| !found.is_symlink())?;
    let is_dir = metadata.is_dir();
    let mode = mode_of(path)?;
    let open = mode & kept.refused(is_dir) & reach;
    if open != 0 {
        return Some((path.to_owned(), open & 0o022 != 0));
    }
    let reach = reach & passing(mode);
    if !is_dir || reach == 0 || depth == 0 {
        return None;
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.take(*left).find_map(|entry| first_open(&entry.path(), kept, reach, depth - 1, left))
}

/// All bits of group and others, as far as a folder of this mode lets them pass.
const fn passing(mode: u32) -> u32 {
    (mode & 0o011) * 0o7
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
