//! What lies at a path: the one place that tells sets of our own, files of a Windows CA and a CA's folder apart.
//!
//! ```no_run
//! use certadm_set::Opened;
//!
//! match certadm_set::open(&["/backup/monday".into(), "/backup/monday-noon".into()])? {
//!     Opened::Ours(sets) => println!("{} sets of our own CA, the first {}", sets.len(), sets[0].kind()),
//!     Opened::Windows(sets) => println!("a Windows CA, {} logs", sets[0].logs.len()),
//!     Opened::Folder(folder) => println!("the folder of a CA, {}", folder.path().display()),
//! }
//! # Ok::<(), certadm_set::Error>(())
//! ```

use std::path::{Path, PathBuf};

use certadm_store::Folder;

use crate::error::{Error, Result};
use crate::layout::file_of;
use crate::manifest;
use crate::reader::Set;
use crate::windows::WindowsSet;

/// What lies at one or several paths.
#[derive(Clone, Debug)]
pub enum Opened {
    /// Sets of our own CA, in the order named; a set with a manifest is complete ([`Set::manifest`]).
    Ours(Vec<Set>),
    /// Sets of a Windows CA, with a manifest or without, or loose files of it ([`WindowsSet::is_single_file`]).
    Windows(Vec<WindowsSet>),
    /// The folder of a CA; always named alone.
    Folder(Folder),
}

/// Looks at paths that are to be used together.
///
/// # Errors
/// [`Error::NotASet`] (0x8007010B) when a path holds nothing of the kind, or more than one database; [`Error::Mixed`] when
/// the paths hold things that do not go together; [`Error::BadManifest`], [`Error::Damaged`], [`Error::Store`] as
/// [`Set::open`].
pub fn open(paths: &[PathBuf]) -> Result<Opened> {
    together(paths, open_each(paths).into_iter().collect::<Result<_>>()?)
}

/// The set at a path, of our own CA or of a Windows CA, that has its manifest.
///
/// # Errors
/// As [`open`]; [`Error::Incomplete`] for one without a manifest; [`Error::NotASet`] for anything else that can be opened.
pub fn complete(path: &Path) -> Result<Set> {
    let (set, is_of_certutil) = match open(&[path.to_owned()])? {
        Opened::Windows(sets) => match sets.into_iter().next() {
            Some(set) if set.is_to_be_sealed() => (None, true),
            set => (set.and_then(|set| set.complete), false),
        },
        other => (other.into_ours()?.into_iter().next(), false),
    };
    set.filter(|set| set.manifest.is_some())
        .ok_or_else(|| Error::Incomplete { path: path.to_owned(), is_of_certutil })
}

/// Looks at each path by itself, so that a check can say of each what is wrong with it.
pub(crate) fn open_each(paths: &[PathBuf]) -> Vec<Result<Opened>> {
    paths.iter().map(|path| open_one(path)).collect()
}

/// Puts together what was found at several paths.
///
/// # Errors
/// [`Error::Mixed`] for the first path that does not go with the first one.
pub(crate) fn together(paths: &[PathBuf], found: Vec<Opened>) -> Result<Opened> {
    let mut all = Opened::Ours(Vec::new());
    for (place, (path, opened)) in paths.iter().zip(found).enumerate() {
        all = match (all, opened) {
            (_, first) if place == 0 => first,
            (Opened::Ours(mut sets), Opened::Ours(more)) => {
                sets.extend(more);
                Opened::Ours(sets)
            }
            (Opened::Windows(mut sets), Opened::Windows(more)) => {
                sets.extend(more);
                Opened::Windows(sets)
            }
            (first, other) => {
                return Err(Error::Mixed {
                    path: path.clone(),
                    word: other.word(),
                    first: paths[0].clone(),
                    first_word: first.word(),
                });
            }
        };
    }
    Ok(all)
}

fn open_one(path: &Path) -> Result<Opened> {
    let not_a_set = |detail: &str| Err(Error::NotASet { path: path.to_owned(), detail: detail.to_owned() });
    if path.metadata().is_ok_and(|found| !found.is_dir() && !found.is_file()) {
        return not_a_set("it is a device, a pipe or a socket");
    }
    let is_complete = file_of(path, manifest::FILE_NAME).is_there();
    if !is_complete && has_what_a_ca_has(path) {
        return Ok(Opened::Folder(Folder::new(path)));
    }
    if ca_around(path).is_some() {
        return not_a_set("it is a part of the folder of a CA");
    }
    if is_complete {
        let set = Set::open(path)?;
        return Ok(if WindowsSet::is(&set)? {
            Opened::Windows(vec![WindowsSet::of_complete(set)])
        } else {
            Opened::Ours(vec![set])
        });
    }
    match WindowsSet::find(path)? {
        Some(set) => Ok(Opened::Windows(vec![set])),
        None => Ok(Opened::Ours(vec![Set::open(path)?])),
    }
}

/// A CA's folder has a configuration, or the record of a restore; a set has neither, but a manifest.
fn is_ca_folder(path: &Path) -> bool {
    !file_of(path, manifest::FILE_NAME).is_there() && has_what_a_ca_has(path)
}

fn has_what_a_ca_has(path: &Path) -> bool {
    let folder = Folder::new(path);
    let is_file = |path: PathBuf| path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    is_file(folder.config_path()) || is_file(folder.restore_record_path())
}

/// The folder of a CA that a path is a part of: its database, its logs, or a file in one of these.
fn ca_around(path: &Path) -> Option<PathBuf> {
    let part = if path.is_file() { path.parent()? } else { path };
    let dir = part.parent()?;
    let folder = Folder::new(dir);
    // By their names first: the folder around a set may have thousands of others.
    let is_part = part == folder.database_dir() || part == folder.log_dir();
    (is_part && is_ca_folder(dir)).then(|| dir.to_owned())
}

impl Opened {
    /// What it is, in words.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ours(_) => "a set of certadm's own CA",
            Self::Windows(_) => "of a Windows CA",
            Self::Folder(_) => "the folder of a CA",
        }
    }

    /// What was named, and the set with its manifest where there is one; nothing for a CA's folder.
    pub(crate) fn named(&self) -> Vec<(&Path, Option<&Set>)> {
        match self {
            Self::Ours(sets) => sets
                .iter()
                .map(|set| (set.path.as_path(), Some(set).filter(|set| set.manifest.is_some())))
                .collect(),
            Self::Windows(sets) => {
                sets.iter().map(|set| (set.path.as_path(), set.complete.as_ref())).collect()
            }
            Self::Folder(folder) => vec![(folder.path(), None)],
        }
    }

    /// The sets of our own CA, for what works on nothing else.
    ///
    /// # Errors
    /// [`Error::OfWindows`], [`Error::NotASet`] (0x8007010B).
    pub fn into_ours(self) -> Result<Vec<Set>> {
        let (path, detail) = match self {
            Self::Ours(sets) => return Ok(sets),
            Self::Windows(sets) => {
                let path = sets.into_iter().next().map(|set| set.path).unwrap_or_default();
                return Err(Error::OfWindows { path });
            }
            Self::Folder(folder) => (folder.path().to_owned(), "it is the folder of a CA"),
        };
        Err(Error::NotASet { path, detail: detail.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn named(dir: &Path, name: &str, file: &str, bytes: &[u8]) -> PathBuf {
        let path = dir.join(name);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join(file), bytes).unwrap();
        path
    }

    #[test]
    fn each_thing_is_told_by_what_lies_there() {
        let dir = tempfile::tempdir().unwrap();
        let ours = named(dir.path(), "ours", "ca.db", b"SQLite format 3\0");
        let windows = named(dir.path(), "windows", "CertLog.edb", b"");
        let folder = named(dir.path(), "ca", "ca.toml", b"");
        let empty = dir.path().join("empty");
        fs::create_dir(&empty).unwrap();
        let one = |path: &PathBuf| open(std::slice::from_ref(path));
        assert!(matches!(one(&ours).unwrap(), Opened::Ours(sets) if sets.len() == 1));
        assert!(
            matches!(open(&[ours.clone(), ours.clone()]).unwrap(), Opened::Ours(sets) if sets.len() == 2)
        );
        assert!(matches!(one(&windows).unwrap(), Opened::Windows(_)));
        assert!(matches!(one(&windows.join("CertLog.edb")).unwrap(), Opened::Windows(_)));
        assert!(matches!(one(&folder).unwrap(), Opened::Folder(_)));
        for nothing in [empty, dir.path().join("missing")] {
            assert!(matches!(one(&nothing).unwrap_err(), Error::NotASet { .. }));
        }
        for (first, other) in [(&ours, &windows), (&windows, &ours), (&ours, &folder), (&folder, &folder)] {
            let error = open(&[first.clone(), other.clone()]).unwrap_err();
            assert!(matches!(&error, Error::Mixed { path, .. } if path == other), "{error}");
        }
        let database = named(&folder, "database", "ca.db", b"SQLite format 3\0");
        let log = named(&folder, "log", "edb00001.log", b"");
        for part in [database.join("ca.db"), log.join("edb00001.log"), database, log] {
            assert!(matches!(one(&part).unwrap_err(), Error::NotASet { .. }));
            assert_eq!(ca_around(&part), Some(folder.clone()));
        }
        assert_eq!(ca_around(&ours), None);
        assert!(one(&windows).unwrap().into_ours().is_err());
        assert!(one(&folder).unwrap().into_ours().is_err());
        assert_eq!(one(&ours).unwrap().into_ours().unwrap().len(), 1);
    }
}
