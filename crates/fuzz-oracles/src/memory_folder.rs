//! Folders in memory, for what works on files: a disk would be the slowest part of every input.

use std::path::{Path, PathBuf};

use certadm_files::unfinished;
use tempfile::TempDir;

/// A new folder, in memory where the system has a place for that. It goes away when it is dropped; those of a fuzzer,
/// which ends without dropping anything, go when the next one begins.
pub(crate) fn new() -> TempDir {
    let shared = Path::new("/dev/shm");
    let place = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
    unfinished::remove_abandoned(&place).unwrap_or_default();
    let ending = unfinished::ending();
    let mut named = tempfile::Builder::new();
    named.prefix(".certadm-fuzz-").suffix(&ending);
    // Without a folder nothing can be tried; the machine is full or its folder is not writable.
    named.tempdir_in(place).expect("a folder for temporary files")
}

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
