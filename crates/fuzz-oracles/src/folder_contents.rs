//! What lies in a folder, so that an oracle can say what an input may change.

use std::fs::FileType;
use std::io::Result;
use std::path::{Path, PathBuf};

/// Every file below a folder, by its path there, with what it holds; a link and what is no file by its kind alone.
pub(crate) fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let held = |(path, kind): (PathBuf, Result<FileType>)| {
        let content = match kind {
            Ok(kind) if kind.is_file() => std::fs::read(folder.join(&path)).unwrap_or_default(),
            kind => format!("{kind:?}").into_bytes(),
        };
        (path, content)
    };
    let mut found: Vec<_> = files(folder).into_iter().map(held).collect();
    found.sort();
    found
}

/// How many files lie below a folder. Unlike [`contents`] it reads none of them: a script may have made one of gigabytes.
pub(crate) fn number(folder: &Path) -> usize {
    files(folder).len()
}

/// What lies below a folder and is no folder.
fn files(folder: &Path) -> Vec<(PathBuf, Result<FileType>)> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(way) = folders.pop() {
        for entry in std::fs::read_dir(folder.join(&way)).into_iter().flatten().flatten() {
            let path = way.join(entry.file_name());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                kind => found.push((path, kind)),
            }
        }
    }
    found
}
