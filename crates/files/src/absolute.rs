//! The whole path of a file or folder that a person named.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::error::{IoContext, Result};

/// A path from the root on, without `.` and `..`. Links stay in it as they are, but for those before a `..`: what is above a link
/// is above what it leads to.
///
/// # Errors
/// An empty path; a `..` behind what is not there or cannot be looked at.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    let whole = std::path::absolute(path).during("resolve", path)?;
    let parts: Vec<Component<'_>> = whole.components().collect();
    let Some(last) = parts.iter().rposition(|part| *part == Component::ParentDir) else {
        return Ok(whole);
    };
    let above: PathBuf = parts[..=last].iter().collect();
    let mut resolved = fs::canonicalize(&above).during("resolve", path)?;
    resolved.extend(&parts[last + 1..]);
    Ok(resolved)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_lies_above_is_found_as_the_system_finds_it() {
        let place = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(place.path()).unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        symlink(root.join("a/b"), root.join("link")).unwrap();
        for (path, expected) in [
            ("a/./b", "a/b"),
            ("a/b/../../x", "x"),
            ("a/../new/set", "new/set"),
            ("link/set", "link/set"),
            ("link/../set", "a/set"),
            ("link/../../link/set", "link/set"),
        ] {
            assert_eq!(absolute(&root.join(path)).unwrap(), root.join(expected), "{path}");
        }
        assert_eq!(absolute(Path::new("/../..")).unwrap(), Path::new("/"));
        absolute(&root.join("none/../x")).unwrap_err();
        absolute(Path::new("")).unwrap_err();
        let here = std::env::current_dir().unwrap();
        assert_eq!(
            absolute(Path::new("../x")).unwrap(),
            fs::canonicalize(here.join("..")).unwrap().join("x")
        );
    }
}
