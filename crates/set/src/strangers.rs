//! What is said of files in a complete set that its manifest does not know.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use certadm_rules::finding::{Finding, Kind};

/// A file that the manifest does not know.
pub(crate) fn unknown(path: PathBuf) -> Finding {
    if is_key(&path) {
        return Finding::warning(
            Kind::UnknownFile,
            "a file with keys, as certutil -backup writes that of the CA, and no part of the set",
        )
        .in_file(path)
        .remedy("keep it elsewhere, apart from the set; while it lies here, prune keeps the set");
    }
    Finding::warning(Kind::UnknownFile, "the manifest does not know this file")
        .in_file(path)
        .remedy("find out who put it there; a restore ignores it")
}

/// The keys that `certutil -backup` put into the folder of a set, which no manifest will know.
pub(crate) fn keys_in(set: &Path) -> impl Iterator<Item = Finding> {
    let paths = fs::read_dir(set).into_iter().flatten().flatten().map(|entry| entry.path());
    paths.filter(|path| is_key(path)).map(unknown)
}

fn is_key(path: &Path) -> bool {
    path.extension().and_then(OsStr::to_str).is_some_and(|kind| kind.eq_ignore_ascii_case("p12"))
}
