//! Paths in UNC form and back (certbcli.md D29, D31).

use certadm_rules::unc::{UncRoot, host_of, without_trailing};

pub(crate) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    // The first line is a host, the rest a path in either form.
    let (host, path) = text.split_once('\n').unwrap_or(("pki-srv01.example", &text));
    let Ok(root) = UncRoot::new(host) else {
        return;
    };
    drives(&root.clone().with_drives(), host, path);
    if let Ok(unc) = root.to_unc(path) {
        assert_eq!(host_of(&unc), Some(host));
        assert_eq!(root.to_path(&unc).as_deref(), Ok(without_trailing(path, '/')));
        check_path(path);
    }
    if let Ok(local) = root.to_path(path) {
        check_path(&local);
        let unc = root.to_unc(&local);
        assert_eq!(unc.and_then(|unc| root.to_path(&unc)), Ok(local));
    }
}

/// The same on a host with drive letters, where a slash may stand for a backslash.
fn drives(root: &UncRoot, host: &str, path: &str) {
    let own = root.to_path(path).ok();
    for local in [root.to_unc(path).is_ok().then(|| path.to_owned()), own].into_iter().flatten() {
        assert!(root.is_own_form(&local), "{local:?}");
        let unc = root.to_unc(&local).expect("it has just been one or come from one");
        assert_eq!(host_of(&unc), Some(host));
        let again = root.to_path(&unc).expect("what goes there comes back");
        assert!(!again[2..].contains([':', '/', '\0']), "{again:?}");
        assert!(!again.split('\\').any(|part| part == "." || part == ".."), "{again:?}");
        assert_eq!(root.to_unc(&again), Ok(unc));
    }
}

/// A path that made it through leads nowhere but down.
fn check_path(path: &str) {
    assert!(path.starts_with('/') && !path.contains(['\\', '\0']), "{path:?}");
    assert!(!path.split('/').any(|part| part == "." || part == ".."), "{path:?}");
}
