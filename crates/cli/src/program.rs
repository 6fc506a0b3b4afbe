//! The file of this program, to start it again.

use std::path::PathBuf;

use crate::failure::Failure;

/// The file of this program, by the name under which it was started. Where a package was upgraded meanwhile, the file of that name is
/// the new program, and does the same.
///
/// # Errors
/// Internal, when the system does not tell.
pub(crate) fn own() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map(named)
        .map_err(|error| Failure::internal(format!("this program does not find its own file: {error}")))
}

/// Linux adds a word to the name of a program whose file was replaced: `/usr/bin/certadm (deleted)`.
fn named(found: PathBuf) -> PathBuf {
    let replaced = found.to_str().and_then(|name| name.strip_suffix(" (deleted)")).map(PathBuf::from);
    replaced.filter(|_| !found.exists()).unwrap_or(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_program_keeps_its_name() {
        assert_eq!(named("/usr/bin/certadm (deleted)".into()), PathBuf::from("/usr/bin/certadm"));
        assert_eq!(named("/usr/bin/certadm".into()), PathBuf::from("/usr/bin/certadm"));
        let dir = certadm_files::scratch::for_test();
        let odd = dir.path().join("certadm (deleted)");
        std::fs::write(&odd, "").unwrap();
        assert_eq!(named(odd.clone()), odd, "a program may be called so");
    }
}
