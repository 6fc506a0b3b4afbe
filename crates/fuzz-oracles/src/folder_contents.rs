//! What lies in a folder, so that an oracle can say what an input may change.

use std::path::{Path, PathBuf};

/// Every file below a folder, by its path there, with what it holds; a link and what is no file by its kind alone.
pub(crate) fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(way) = folders.pop() {
        for entry in std::fs::read_dir(folder.join(&way)).into_iter().flatten().flatten() {
            let path = way.join(entry.file_name());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                Ok(kind) if kind.is_file() => {
                    found.push((path, std::fs::read(entry.path()).unwrap_or_default()));
                }
                kind => found.push((path, format!("{kind:?}").into_bytes())),
            }
        }
    }
    found.sort();
    found
}
