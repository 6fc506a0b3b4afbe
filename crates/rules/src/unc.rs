//! Paths of a host in the UNC form that the lists need (certbcli.md 5, D29, D31).
//!
//! On a host without drive letters `\\host\root$\var\ca\CA.db` stands for `/var/ca/CA.db`; on Windows
//! `\\host\C$\ca\CA.db` stands for `C:\ca\CA.db`. Pure text: no file is looked at, and a server never opens what comes out
//! of here for a name that a peer sent; it looks the name up in its own lists (wire.md 5.5). The way back is for restores,
//! whose paths an administrator gives.

use crate::Hresult;
use crate::names::same_ignoring_case;
use crate::wide::{self, WideError};

/// The share that stands for the root folder, unless the configuration names another.
pub const DEFAULT_SHARE: &str = "root$";

/// A host and what stands for its folders: one share for its root folder, or a share for each of its drives. Also the other
/// names this host answers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UncRoot {
    host: String,
    shares: Shares,
    aliases: Vec<String>,
}

/// How a host's folders are shared, and with that how its own paths look.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shares {
    /// `/var/ca` is `\\host\share\var\ca`.
    Root(String),
    /// `C:\ca` is `\\host\C$\ca`. Names are the same in upper and lower case.
    Drives,
}

impl UncRoot {
    /// The folders of `host` as the system this program was built for names them: [`UncRoot::new`], and on Windows
    /// [`UncRoot::with_drives`].
    ///
    /// # Errors
    ///
    /// [`UncError::Root`] as [`UncRoot::new`].
    pub fn of_this_system(host: impl Into<String>) -> Result<Self, UncError> {
        let root = Self::new(host)?;
        Ok(if cfg!(windows) { root.with_drives() } else { root })
    }

    /// The root of `host`, under [`DEFAULT_SHARE`].
    ///
    /// # Errors
    ///
    /// [`UncError::Root`] when the name is empty, `.`, `..` or `?`, or holds a separator or a control character.
    pub fn new(host: impl Into<String>) -> Result<Self, UncError> {
        let shares = Shares::Root(DEFAULT_SHARE.to_owned());
        Ok(Self { host: root_part(host.into())?, shares, aliases: Vec::new() })
    }

    /// The same root under another share name.
    ///
    /// # Errors
    ///
    /// [`UncError::Root`] as above.
    pub fn with_share(self, share: impl Into<String>) -> Result<Self, UncError> {
        Ok(Self { shares: Shares::Root(root_part(share.into())?), ..self })
    }

    /// The same host with drive letters, each under its administrative share: `C$` for `C:\` (certbcli.md 5).
    #[must_use]
    pub fn with_drives(self) -> Self {
        Self { shares: Shares::Drives, ..self }
    }

    /// The same root, which also takes `host` for this machine on the way back: another of its names, or the host that a
    /// set came from (certbcli.md D31).
    ///
    /// # Errors
    ///
    /// [`UncError::Root`] as above.
    pub fn accepting(mut self, host: impl Into<String>) -> Result<Self, UncError> {
        self.aliases.push(root_part(host.into())?);
        Ok(self)
    }

    /// The host's name in the UNC form.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The separator of this host's own paths.
    #[must_use]
    pub const fn separator(&self) -> char {
        match self.shares {
            Shares::Root(_) => '/',
            Shares::Drives => '\\',
        }
    }

    /// Whether a text has the form of an absolute path of this host, which is not UNC: it begins with a slash or with a
    /// drive.
    #[must_use]
    pub fn is_own_form(&self, path: &str) -> bool {
        match self.shares {
            Shares::Root(_) => path.starts_with('/'),
            Shares::Drives => split_drive(path).is_some(),
        }
    }

    /// Whether two absolute paths of this host name the same, as far as their texts say.
    #[must_use]
    pub fn same_path(&self, left: &str, right: &str) -> bool {
        match self.shares {
            Shares::Root(_) => left == right,
            Shares::Drives => same_ignoring_case(left, right),
        }
    }

    /// The UNC form of an absolute path. One separator at the end is dropped: lists name folders without it. Behind a drive
    /// a slash is a separator as well.
    ///
    /// # Errors
    ///
    /// [`UncError`] for a path that is not absolute; that has an empty, `.` or `..` component, the other kind of slash or a
    /// control character, or behind a drive a colon; or whose UNC form is too long.
    pub fn to_unc(&self, path: &str) -> Result<String, UncError> {
        let not_absolute = || UncError::NotAbsolute { path: path.to_owned() };
        let unc = match &self.shares {
            Shares::Root(share) => {
                let rest = path.strip_prefix('/').ok_or_else(not_absolute)?;
                format!(r"\\{}\{share}{}", self.host, join(rest, '/', '\\', path)?)
            }
            Shares::Drives => {
                let (drive, rest) = split_drive(path).ok_or_else(not_absolute)?;
                refuse_colon(rest, path)?;
                let rest = rest.replace('/', "\\");
                format!(r"\\{}\{drive}${}", self.host, join(&rest, '\\', '\\', path)?)
            }
        };
        wide::check(&unc)?;
        Ok(unc)
    }

    /// The absolute path that a UNC form stands for. Host and share are compared without case; one backslash at the end
    /// is dropped.
    ///
    /// # Errors
    ///
    /// [`UncError`] for what is not a UNC path; for another host or share; for an empty, `.` or `..` component, a slash or
    /// a control character, or below a drive's share a colon; for more than [`wide::MAX_PATH_UNITS`].
    pub fn to_path(&self, unc: &str) -> Result<String, UncError> {
        wide::check(unc)?;
        let (host, rest) = split_host(unc).ok_or_else(|| UncError::NotUnc { path: unc.to_owned() })?;
        let (share, rest) = rest.split_once('\\').unwrap_or((rest, ""));
        let mut known_hosts = std::iter::once(&self.host).chain(&self.aliases);
        if !known_hosts.any(|known| same_ignoring_case(known, host)) {
            return Err(UncError::OtherHost { host: host.to_owned() });
        }
        let other_share = || UncError::OtherShare { share: share.to_owned() };
        match &self.shares {
            Shares::Root(own) if !same_ignoring_case(own, share) => Err(other_share()),
            Shares::Root(_) => {
                let path = join(rest, '\\', '/', unc)?;
                Ok(if path.is_empty() { "/".to_owned() } else { path })
            }
            Shares::Drives => {
                let drive = share.strip_suffix('$').and_then(drive_letter).ok_or_else(other_share)?;
                refuse_colon(rest, unc)?;
                let path = join(rest, '\\', '\\', unc)?;
                Ok(if path.is_empty() { format!("{drive}:\\") } else { format!("{drive}:{path}") })
            }
        }
    }
}

/// The one letter of a drive, in upper case.
fn drive_letter(text: &str) -> Option<char> {
    let letter = text.chars().next().filter(char::is_ascii_alphabetic)?;
    (text.len() == 1).then(|| letter.to_ascii_uppercase())
}

/// Drive letter and rest of a path such as `C:\ca`, either kind of slash behind the drive.
fn split_drive(path: &str) -> Option<(char, &str)> {
    let (drive, rest) = path.split_once(':')?;
    Some((drive_letter(drive)?, rest.strip_prefix(['\\', '/'])?))
}

/// A colon in a name of Windows would name another stream of the file.
fn refuse_colon(rest: &str, whole: &str) -> Result<(), UncError> {
    if rest.contains(':') { Err(UncError::Name { path: whole.to_owned() }) } else { Ok(()) }
}

/// Whether an absolute path of this system has a UNC form. That of a CA's folder needs one: backups tell where the database
/// is, and a restore records where it goes.
///
/// # Errors
///
/// As [`UncRoot::to_unc`].
pub fn check_path(path: &str) -> Result<(), UncError> {
    UncRoot::of_this_system("localhost")?.to_unc(path).map(drop)
}

/// The host of a UNC path, as it stands there; nothing for another text.
#[must_use]
pub fn host_of(unc: &str) -> Option<&str> {
    split_host(unc).map(|(host, _)| host)
}

/// A folder's path without the separator at its end, which callers may leave there (certbcli.md D16). The root keeps
/// its own.
#[must_use]
pub fn without_trailing(path: &str, separator: char) -> &str {
    match path.strip_suffix(separator) {
        Some(shorter) if !shorter.is_empty() => shorter,
        _ => path,
    }
}

/// Why a path has no other form here. The fault of whoever supplied it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UncError {
    /// A host or share name that no UNC path can carry.
    #[error("{name:?} cannot be the host or the share of a UNC path; check the configuration")]
    Root {
        /// The name.
        name: String,
    },
    /// A path that does not start at the root folder or a drive.
    #[error("{path:?} is not an absolute path")]
    NotAbsolute {
        /// The path.
        path: String,
    },
    /// Something that is not `\\host\share` with or without a path.
    #[error(r"{path:?} is not a UNC path; write \\host\share\path")]
    NotUnc {
        /// The path.
        path: String,
    },
    /// A name of another host.
    #[error("the path is on host {host:?}, which is not this machine")]
    OtherHost {
        /// The host named.
        host: String,
    },
    /// A share that stands neither for the root folder nor for a drive.
    #[error("the path is on share {share:?}, which stands for no folder here")]
    OtherShare {
        /// The share named.
        share: String,
    },
    /// A component that is empty, `.` or `..`.
    #[error("{path:?} has an empty, `.` or `..` component; write the path without it")]
    Component {
        /// The whole path.
        path: String,
    },
    /// A name that the other form cannot hold.
    #[error(
        "{path:?} has a name with the other kind of slash or a control character in it; rename the file or folder"
    )]
    Name {
        /// The whole path.
        path: String,
    },
    /// A path that cannot travel as a wide string.
    #[error("the path cannot be sent")]
    Wide(#[from] WideError),
}

impl UncError {
    /// The code for it: always [`Hresult::E_INVALIDARG`].
    pub const fn hresult(&self) -> Hresult {
        Hresult::E_INVALIDARG
    }
}

fn root_part(name: String) -> Result<String, UncError> {
    if matches!(name.as_str(), "" | "." | ".." | "?") || name.contains(is_forbidden) {
        return Err(UncError::Root { name });
    }
    Ok(name)
}

/// What neither form can hold inside a name, or not without meaning another thing in the other.
fn is_forbidden(character: char) -> bool {
    character.is_control() || matches!(character, '/' | '\\')
}

fn split_host(unc: &str) -> Option<(&str, &str)> {
    let (host, rest) = unc.strip_prefix(r"\\")?.split_once('\\')?;
    if host.is_empty() { None } else { Some((host, rest)) }
}

/// The components of `rest`, which stand between `from`, each behind a `to`; nothing for no components. `whole` is what
/// an error names.
fn join(rest: &str, from: char, to: char, whole: &str) -> Result<String, UncError> {
    let mut joined = String::with_capacity(rest.len() + 1);
    if rest.is_empty() {
        return Ok(joined);
    }
    for component in without_trailing(rest, from).split(from) {
        if matches!(component, "" | "." | "..") {
            return Err(UncError::Component { path: whole.to_owned() });
        }
        if component.contains(is_forbidden) {
            return Err(UncError::Name { path: whole.to_owned() });
        }
        joined.push(to);
        joined.push_str(component);
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn root() -> UncRoot {
        UncRoot::new("ca1.example.test").unwrap()
    }

    #[test]
    fn maps_both_ways() {
        let pairs = [
            ("/var/lib/ca/database/My CA.db", r"\\ca1.example.test\root$\var\lib\ca\database\My CA.db"),
            ("/a", r"\\ca1.example.test\root$\a"),
            ("/", r"\\ca1.example.test\root$"),
            ("/a:b/ü/...", r"\\ca1.example.test\root$\a:b\ü\..."),
        ];
        for (path, unc) in pairs {
            assert_eq!(root().to_unc(path).as_deref(), Ok(unc));
            assert_eq!(root().to_path(unc).as_deref(), Ok(path));
        }
        let other = root().with_share("ca").unwrap();
        assert_eq!(other.to_unc("/a").as_deref(), Ok(r"\\ca1.example.test\ca\a"));
        assert_eq!(other.to_path(r"\\ca1.example.test\CA\a").as_deref(), Ok("/a"));
    }

    #[test]
    fn drops_one_separator_at_the_end() {
        assert_eq!(root().to_unc("/var/log/").as_deref(), Ok(r"\\ca1.example.test\root$\var\log"));
        assert_eq!(root().to_path(r"\\ca1.example.test\root$\var\log\").as_deref(), Ok("/var/log"));
        assert_eq!(root().to_path(r"\\ca1.example.test\root$\").as_deref(), Ok("/"));
        for path in ["/var//", "//", "/var//log", "///"] {
            assert_eq!(root().to_unc(path), Err(UncError::Component { path: path.to_owned() }));
            let unc = format!(r"\\ca1.example.test\root${}", path.replace('/', r"\"));
            assert_eq!(root().to_path(&unc), Err(UncError::Component { path: unc.clone() }));
        }
    }

    #[test]
    fn compares_host_and_share_without_case() {
        assert_eq!(root().to_path(r"\\CA1.Example.TEST\ROOT$\Var").as_deref(), Ok("/Var"));
        let other_host = UncError::OtherHost { host: "old.example.test".to_owned() };
        assert_eq!(root().to_path(r"\\old.example.test\root$\var"), Err(other_host));
        let moved = root().accepting("OLD.example.test").unwrap();
        assert_eq!(moved.to_path(r"\\old.example.test\root$\var").as_deref(), Ok("/var"));
        let other_share = UncError::OtherShare { share: "C$".to_owned() };
        assert_eq!(root().to_path(r"\\ca1.example.test\C$\var"), Err(other_share));
    }

    #[test]
    fn refuses_what_would_lead_elsewhere() {
        for path in ["", "var", "./var", "C:/var"] {
            assert_eq!(root().to_unc(path), Err(UncError::NotAbsolute { path: path.to_owned() }), "{path:?}");
        }
        for path in ["/var/../etc", "/var/..", "/..", "/./var", "/var/."] {
            assert_eq!(root().to_unc(path), Err(UncError::Component { path: path.to_owned() }), "{path:?}");
            let unc = format!(r"\\ca1.example.test\root${}", path.replace('/', r"\"));
            assert_eq!(root().to_path(&unc), Err(UncError::Component { path: unc.clone() }), "{unc:?}");
        }
        for path in [r"/var/a\b", r"/\", "/a\nb", "/a\u{85}b", "/a\0b"] {
            assert_eq!(root().to_unc(path), Err(UncError::Name { path: path.to_owned() }), "{path:?}");
        }
        for unc in [
            r"\\ca1.example.test\root$\a/b",
            "\\\\ca1.example.test\\root$\\a\nb",
            r"\\ca1.example.test\root$\/",
        ] {
            assert_eq!(root().to_path(unc), Err(UncError::Name { path: unc.to_owned() }), "{unc:?}");
        }
        for unc in [
            "",
            r"\",
            r"\\",
            r"\\\root$\a",
            r"\\ca1.example.test",
            r"\ca1.example.test\root$\a",
            r"C:\a",
            "/a",
        ] {
            assert_eq!(root().to_path(unc), Err(UncError::NotUnc { path: unc.to_owned() }), "{unc:?}");
        }
        assert!(matches!(root().to_path(r"\\?\root$\a"), Err(UncError::OtherHost { .. })));
        let longest = "a".repeat(wide::MAX_PATH_UNITS);
        assert!(matches!(
            root().to_unc(&format!("/{longest}")),
            Err(UncError::Wide(WideError::TooLong { .. }))
        ));
        assert!(matches!(
            root().to_path(&format!(r"\\{longest}")),
            Err(UncError::Wide(WideError::TooLong { .. }))
        ));
        assert_eq!(UncError::NotUnc { path: String::new() }.hresult(), Hresult::E_INVALIDARG);
    }

    #[test]
    fn hosts_and_shares_are_plain_names() {
        for name in ["", ".", "..", "?", r"a\b", "a/b", "a\0"] {
            assert!(UncRoot::new(name).is_err(), "{name:?}");
            assert!(root().with_share(name).is_err(), "{name:?}");
            assert!(root().accepting(name).is_err(), "{name:?}");
        }
        assert_eq!(root().host(), "ca1.example.test");
        assert_eq!(host_of(r"\\old\C$\a"), Some("old"));
        for path in ["", r"\\", r"\\old", r"\\\C$", "/a"] {
            assert_eq!(host_of(path), None, "{path:?}");
        }
    }

    #[test]
    fn drives_have_a_share_each() {
        let windows = root().with_drives();
        let pairs = [
            (r"C:\ca\database\My CA.db", r"\\ca1.example.test\C$\ca\database\My CA.db"),
            (r"Z:\", r"\\ca1.example.test\Z$"),
        ];
        for (path, unc) in pairs {
            assert_eq!(windows.to_unc(path).as_deref(), Ok(unc));
            assert_eq!(windows.to_path(unc).as_deref(), Ok(path));
            assert!(windows.is_own_form(path) && !windows.is_own_form(unc) && !root().is_own_form(path));
        }
        assert_eq!(windows.to_unc("c:/ca/log/").as_deref(), Ok(r"\\ca1.example.test\C$\ca\log"));
        assert_eq!(windows.to_path(r"\\CA1.example.test\d$\log\").as_deref(), Ok(r"D:\log"));
        assert!(windows.same_path(r"C:\CA", r"c:\ca") && !root().same_path("/CA", "/ca"));
        assert_eq!((windows.separator(), root().separator()), ('\\', '/'));
        for path in ["", "C:", "C:ca", r"\ca", "/ca", r"CC:\ca", r"1:\ca", r"ü:\ca", r"\\?\C:\ca"] {
            assert!(matches!(windows.to_unc(path), Err(UncError::NotAbsolute { .. })), "{path:?}");
        }
        for path in [r"C:\ca\..\log", r"C:\\ca", r"C:\.", "C:/a//b"] {
            assert!(matches!(windows.to_unc(path), Err(UncError::Component { .. })), "{path:?}");
        }
        for path in [r"C:\ca\CA.db:stream", "C:\\a\nb"] {
            assert!(matches!(windows.to_unc(path), Err(UncError::Name { .. })), "{path:?}");
        }
        for share in ["root$", "C", "$", "CC$", "ü$", "1$"] {
            let unc = format!(r"\\ca1.example.test\{share}\ca");
            assert!(matches!(windows.to_path(&unc), Err(UncError::OtherShare { .. })), "{unc:?}");
        }
        for (rest, slash) in [(r"a/b", true), ("a:b", true), (r"..\a", false)] {
            let refused = windows.to_path(&format!(r"\\ca1.example.test\C$\{rest}"));
            assert_eq!(matches!(refused, Err(UncError::Name { .. })), slash, "{rest:?}");
            assert!(refused.is_err());
        }
    }

    proptest! {
        #[test]
        fn every_path_comes_back(components in proptest::collection::vec("[^/\0]{1,8}|\\.\\.|\\.", 0..6)) {
            let path = format!("/{}", components.join("/"));
            match root().to_unc(&path) {
                Ok(unc) => prop_assert_eq!(root().to_path(&unc), Ok(path)),
                Err(_) => {
                    let refused = |component: &String| matches!(component.as_str(), "." | "..") || component.contains(is_forbidden);
                    prop_assert!(components.iter().any(refused), "refused without reason: {:?}", path);
                }
            }
        }

        #[test]
        fn what_comes_back_is_absolute_and_goes_there_again(rest in "[a.\\\\/ -]{0,20}") {
            if let Ok(path) = root().to_path(&format!(r"\\ca1.example.test\root$\{rest}")) {
                prop_assert!(path.starts_with('/') && !path.contains('\\'));
                prop_assert!(path.split('/').all(|component| component != ".."));
                prop_assert_eq!(root().to_path(&root().to_unc(&path).unwrap()), Ok(path));
            }
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = (root().to_path(&text), root().to_unc(&text), host_of(&text));
        }
    }
}
