//! Links in a CA's folder that an administrator has made.

use std::path::{Path, PathBuf};

/// Where a link leads that root has made, or whoever calls; `None` for everything else. Example: `crl -> /var/www/crl`.
///
/// The CA's folder may belong to the account of its service. Somebody who has taken that over can rename links of root's and exchange
/// what lies below the folder at any moment, so nothing there decides: owner and target are read from the link that was opened, the
/// target has to be absolute, and nobody but root and the caller may be able to change the way there, on which no further link lies.
#[cfg(target_os = "linux")]
pub(crate) fn led_to(path: &Path) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;

    use rustix::fs::{FileType, Mode, OFlags, fstat, open, readlinkat};

    let link = open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let found = fstat(&link).ok()?;
    if FileType::from_raw_mode(found.st_mode) != FileType::Symlink || !is_trusted(found.st_uid) {
        return None;
    }
    let target = readlinkat(&link, "", Vec::new()).ok()?;
    let target = PathBuf::from(std::ffi::OsString::from_vec(target.into_bytes()));
    is_fixed(&target).then_some(target)
}

/// Elsewhere no link is followed.
#[cfg(not(target_os = "linux"))]
pub(crate) fn led_to(_path: &Path) -> Option<PathBuf> {
    None
}

#[cfg(target_os = "linux")]
fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// Whether nobody but root and the caller can change what an absolute path leads to. Its last part may be anybody's, in a folder that is
/// not: a service publishes into `/var/www/crl`, and cannot exchange it.
#[cfg(target_os = "linux")]
fn is_fixed(target: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    use std::path::Component;

    let mut way = PathBuf::from("/");
    let mut parts = target.components();
    if parts.next() != Some(Component::RootDir) {
        return false;
    }
    // Others may make files in it, and remove their own alone (mode 1777).
    let mut is_shared = false;
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else { return false };
        way.push(name);
        let Ok(found) = way.symlink_metadata() else { return false };
        let is_owned = is_trusted(found.uid());
        if found.is_symlink() || is_shared && !is_owned {
            return false;
        }
        if parts.peek().is_none() {
            return true;
        }
        let (is_open, is_sticky) = (found.mode() & 0o022 != 0, found.mode() & 0o1000 != 0);
        if !found.is_dir() || !is_owned || is_open && !is_sticky {
            return false;
        }
        is_shared = is_open;
    }
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, lchown, symlink};

    use super::*;

    #[test]
    fn only_a_link_of_an_administrator_with_a_way_that_is_his_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name);
        fs::create_dir_all(place("www/crl")).unwrap();
        let link = |name: &str, target: &Path| {
            symlink(target, place(name)).unwrap();
            led_to(&place(name))
        };
        assert_eq!(link("crl", &place("www/crl")), Some(place("www/crl")));
        assert_eq!(led_to(&place("www/crl")), None, "no link");
        assert_eq!(link("relative", Path::new("www/crl")), None, "a rename changes where it leads");
        assert_eq!(link("second", &place("crl")), None, "a link behind a link");
        assert_eq!(link("up", &place("www/crl/../crl")), None);
        assert_eq!(link("nowhere", &place("not-there")), None);
        // Whoever may write to a folder of the way decides where it leads; what he has at its end is his.
        fs::set_permissions(place("www"), PermissionsExt::from_mode(0o777)).unwrap();
        assert_eq!(led_to(&place("crl")), None);
        fs::set_permissions(place("www"), PermissionsExt::from_mode(0o755)).unwrap();
        if !rustix::process::geteuid().is_root() {
            return;
        }
        lchown(place("www/crl"), Some(65_534), None).unwrap();
        assert_eq!(led_to(&place("crl")), Some(place("www/crl")));
        lchown(place("www"), Some(65_534), None).unwrap();
        assert_eq!(led_to(&place("crl")), None);
        lchown(place("www"), Some(0), None).unwrap();
        lchown(place("crl"), Some(65_534), None).unwrap();
        assert_eq!(led_to(&place("crl")), None, "a link of somebody else");
    }
}
