//! krb5.conf, as far as it says which realm a host is in and where a realm has its KDCs (kerberos.md 2.4). Everything else
//! in it is passed over.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use certadm_files::Found;
use certadm_rules::diagnosis::chain_of;

/// A file is not longer than this, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// Most files, included ones among them.
const MAX_FILES: usize = 64;
/// Most KDCs of a realm.
const MAX_KDCS: usize = 16;

/// What the files say, laid over one another: of two values the first counts, of KDCs all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Krb5Conf {
    /// The realm of accounts and hosts of which nothing else is known.
    pub(crate) default_realm: Option<String>,
    /// Where tickets are kept.
    pub(crate) default_cache: Option<String>,
    /// Hosts, and domains with a dot before them, in small letters, with their realms.
    domain_realm: BTreeMap<String, String>,
    /// The KDCs of each realm, as host or host:port.
    kdcs: BTreeMap<String, Vec<String>>,
}

impl Krb5Conf {
    /// Reads files, those of folders, and those that they include, each where it is included: of two values the first counts. What cannot be read is passed
    /// over, as it may say nothing of interest.
    pub(crate) fn read(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let (mut conf, mut left) = (Self::default(), MAX_FILES);
        for path in paths {
            // As MIT has it, a folder stands for the files in it.
            let files = if path.is_dir() { files_in(&path) } else { vec![path] };
            for file in files {
                conf.file(&file, &mut left);
            }
        }
        conf
    }

    /// Whether a file or folder that somebody has named can be read.
    ///
    /// # Errors
    /// Why it cannot.
    pub(crate) fn can_read(path: &Path) -> Result<(), certadm_files::Error> {
        if path.is_dir() || is_null_device(path) {
            return Ok(());
        }
        Found::named(path).read(MAX_FILE).map(drop)
    }

    /// Reads one file; `left` more may be read, this one among them. One that includes itself so comes to an end.
    fn file(&mut self, path: &Path, left: &mut usize) {
        let Some(less) = left.checked_sub(1) else {
            tracing::warn!(path = %path.display(), "there are more files of krb5.conf than are read");
            return;
        };
        *left = less;
        if is_null_device(path) {
            return;
        }
        match Found::named(path).read(MAX_FILE) {
            Ok(bytes) => self.lines(&String::from_utf8_lossy(&bytes), &mut |conf, include| {
                for path in include.files() {
                    conf.file(&path, left);
                }
            }),
            Err(error) => tracing::debug!(path = %path.display(), error = %chain_of(&error), "passed over"),
        }
    }

    /// Takes the text of a file; answers what it includes.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn take(&mut self, text: &str) -> Vec<Include> {
        let mut included = Vec::new();
        self.lines(text, &mut |_, include| {
            if included.len() < MAX_FILES {
                included.push(include);
            }
        });
        included
    }

    fn lines(&mut self, text: &str, included: &mut dyn FnMut(&mut Self, Include)) {
        let (mut section, mut group, mut depth) = ("", "", 0_usize);
        // A key without a value: its group opens on the next line.
        let mut pending = None;
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(key) = pending.take()
                && line.starts_with('{')
            {
                depth += 1;
                if depth == 1 {
                    group = key;
                }
                continue;
            }
            if let Some(directive) = include_of(line) {
                included(self, directive);
            } else if let Some(name) = line.strip_prefix('[') {
                section = name.split(']').next().unwrap_or_default().trim();
                depth = 0;
            } else if line.starts_with('}') {
                depth = depth.saturating_sub(1);
            } else if let Some((key, value)) = line.split_once('=') {
                let (key, value) = (key.trim().trim_end_matches('*'), value.trim());
                if value.is_empty() {
                    pending = Some(key);
                } else if value == "{" {
                    // With anything behind the brace it is a value, as MIT has it: `{ }`, `{RULE:...}`.
                    depth += 1;
                    if depth == 1 {
                        group = key;
                    }
                } else {
                    self.set(section, (depth, group), key, value.trim_matches('"'));
                }
            }
        }
    }

    fn set(&mut self, section: &str, (depth, group): (usize, &str), key: &str, value: &str) {
        match (section, depth, key) {
            ("libdefaults", 0, "default_realm") => {
                self.default_realm.get_or_insert_with(|| value.to_owned());
            }
            ("libdefaults", 0, "default_ccache_name") => {
                self.default_cache.get_or_insert_with(|| value.to_owned());
            }
            ("domain_realm", 0, host) => {
                self.domain_realm.entry(host.to_ascii_lowercase()).or_insert_with(|| value.to_owned());
            }
            ("realms", 1, "kdc") => {
                // What follows a blank is no part of the name, as MIT has it: a comment, or a second name.
                let Some(name) = value.split_whitespace().next() else { return };
                let kdcs = self.kdcs.entry(group.to_owned()).or_default();
                if kdcs.len() < MAX_KDCS {
                    kdcs.push(name.to_owned());
                }
            }
            _ => {}
        }
    }

    /// The realm of a host: by its own name, else by the nearest domain that it is in, with a dot before it or without. Of
    /// `ca1.corp.example` these are `.corp.example`, `corp.example`, `.example` and `example`, as MIT has it.
    pub(crate) fn realm_of(&self, host: &str) -> Option<&str> {
        let host = host.to_ascii_lowercase();
        let mut rest = host.as_str();
        loop {
            if let Some(realm) = self.domain_realm.get(rest) {
                return Some(realm);
            }
            rest = match rest.strip_prefix('.') {
                Some(bare) => bare,
                None => &rest[rest.find('.')?..],
            };
        }
    }

    /// The KDCs of a realm, whose name counts in any letters.
    pub(crate) fn kdcs(&self, realm: &str) -> &[String] {
        let named = self.kdcs.iter().find(|(name, _)| name.eq_ignore_ascii_case(realm));
        named.map_or(&[], |(_, kdcs)| kdcs)
    }
}

/// Whether it is the device that holds nothing, by its own name or by a link: whoever wants no krb5.conf to count names it.
#[cfg(unix)]
fn is_null_device(path: &Path) -> bool {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let device = |path: &Path| {
        let metadata = path.metadata().ok().filter(|metadata| metadata.file_type().is_char_device())?;
        Some(metadata.rdev())
    };
    device(path).is_some_and(|own| Some(own) == device(Path::new("/dev/null")))
}

/// Whether it is the device that holds nothing: whoever wants no krb5.conf to count names it.
#[cfg(not(unix))]
fn is_null_device(path: &Path) -> bool {
    path.as_os_str().eq_ignore_ascii_case("NUL")
}

/// What a line includes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Include {
    File(PathBuf),
    Folder(PathBuf),
}

impl Include {
    /// The files that are meant.
    fn files(self) -> Vec<PathBuf> {
        match self {
            Self::File(path) => vec![path],
            Self::Folder(path) => files_in(&path),
        }
    }
}

/// What a line includes, if it is one that does.
fn include_of(line: &str) -> Option<Include> {
    let (word, rest) = line.split_once(char::is_whitespace)?;
    let path = PathBuf::from(rest.trim());
    match word {
        "include" => Some(Include::File(path)),
        "includedir" => Some(Include::Folder(path)),
        _ => None,
    }
}

/// The files of a folder that count, in the order of their names: those of letters, digits, hyphens and underscores, and
/// those that end in .conf.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let counts = |name: &OsStr| {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
        name.to_str().is_some_and(|name| {
            !name.starts_with('.') && (name.ends_with(".conf") || name.chars().all(plain))
        })
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter(|entry| counts(&entry.file_name())).map(|entry| entry.path());
    let mut names: Vec<_> = names.take(MAX_FILES).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
        # a comment
        [libdefaults]
            default_realm = TOY.TEST
            default_realm = LATER.TEST
            default_ccache_name = KCM:
            dns_lookup_kdc = false
        [realms]
            TOY.TEST = {
                kdc = dc1.toy.test
                kdc* = dc2.toy.test:1088
                auth_to_local_names = {
                    kdc = not.this
                }
                admin_server = dc1.toy.test
            }
            OTHER.TEST = {
                admin_server = x
            }
        [domain_realm]
            .toy.test = TOY.TEST
            sub.toy.test = OTHER.TEST
            .sub.toy.test = SUB.TEST
        [unknown]
            kdc = nowhere
    ";

    #[test]
    fn what_matters_is_taken_and_the_rest_passed_over() {
        let mut conf = Krb5Conf::default();
        assert!(conf.take(TEXT).is_empty());
        assert_eq!(conf.default_realm.as_deref(), Some("TOY.TEST"));
        assert_eq!(conf.default_cache.as_deref(), Some("KCM:"));
        assert_eq!(conf.kdcs("toy.test"), ["dc1.toy.test", "dc2.toy.test:1088"]);
        assert!(conf.kdcs("OTHER.TEST").is_empty());
        for (host, realm) in [
            ("ca1.toy.test", Some("TOY.TEST")),
            ("CA1.Toy.Test", Some("TOY.TEST")),
            ("a.b.toy.test", Some("TOY.TEST")),
            ("sub.toy.test", Some("OTHER.TEST")),
            ("ca1.sub.toy.test", Some("SUB.TEST")),
            ("toy.test", None),
            ("ca1", None),
            ("ca1.elsewhere.test", None),
        ] {
            assert_eq!(conf.realm_of(host), realm, "{host}");
        }
    }

    #[test]
    fn a_group_may_open_on_the_next_line() {
        let mut conf = Krb5Conf::default();
        conf.take(
            "[libdefaults]\ndefault_realm =\n[realms]\nTOY.TEST =\n\n  # its KDC\n  {\n kdc = dc1.toy.test\n admin_server =\n\
             kdc = dc2.toy.test\n }\nOTHER.TEST = {\n auth_to_local =\n {\n kdc = x\n }\n kdc = dc3.other.test\n }\n",
        );
        assert_eq!(conf.default_realm, None);
        assert_eq!(conf.kdcs("TOY.TEST"), ["dc1.toy.test", "dc2.toy.test"]);
        assert_eq!(conf.kdcs("OTHER.TEST"), ["dc3.other.test"]);
    }

    /// As MIT reads them: `kdc = vm  # first` names vm.
    #[test]
    fn what_follows_the_name_of_a_kdc_is_no_part_of_it() {
        let mut conf = Krb5Conf::default();
        conf.take(
            "[realms]\nTOY.TEST = {\n kdc = a  # first\n kdc = b:1088 ; old\n kdc = c 127.0.0.1\n kdc = d\t# tab\n kdc = \"e\"\n \
             kdc = \" \"\n}\n",
        );
        assert_eq!(conf.kdcs("TOY.TEST"), ["a", "b:1088", "c", "d", "e"]);
    }

    /// A brace with something behind it opens no group, so that nothing closes the one around it too early or too late.
    #[test]
    fn a_group_on_one_line_is_a_value() {
        let mut conf = Krb5Conf::default();
        conf.take(
            "[realms]\nOLD.TEST = { }\nEMPTY.TEST = {}\nTOY.TEST = {\n auth_to_local = {RULE:[1:$1]}\n kdc = dc1.toy.test\n}\n\
             OTHER.TEST = {  \n kdc = dc2.other.test\n}\n[libdefaults]\nappdefaults = { a = b }\ndefault_realm = TOY.TEST\n",
        );
        assert_eq!(conf.kdcs("TOY.TEST"), ["dc1.toy.test"]);
        assert_eq!(conf.kdcs("OTHER.TEST"), ["dc2.other.test"]);
        assert_eq!(conf.default_realm.as_deref(), Some("TOY.TEST"));
    }

    #[test]
    fn files_are_included_and_their_number_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("krb5.conf");
        let parts = dir.path().join("parts");
        std::fs::create_dir(&parts).unwrap();
        std::fs::write(parts.join("b.conf"), "[libdefaults]\ndefault_realm = B\n").unwrap();
        std::fs::write(parts.join("a"), "[libdefaults]\ndefault_realm = A\n").unwrap();
        std::fs::write(parts.join("x.rpmsave"), "[libdefaults]\ndefault_realm = X\n").unwrap();
        let include = |what: &str, path: &Path| format!("{what} {}\n", path.display());
        std::fs::write(&main, include("includedir", &parts)).unwrap();
        assert_eq!(Krb5Conf::read([main.clone()]).default_realm.as_deref(), Some("A"));
        // What is included counts where it stands: before what follows, and behind what came before.
        let own = "[libdefaults]\ndefault_realm = ME\n[domain_realm]\nbase.test = BASE.TEST\n";
        std::fs::write(&main, include("includedir", &parts) + own).unwrap();
        let conf = Krb5Conf::read([main.clone()]);
        assert_eq!(
            (conf.default_realm.as_deref(), conf.realm_of("ca1.x.base.test")),
            (Some("A"), Some("BASE.TEST"))
        );
        assert_eq!(
            (conf.realm_of("base.test"), conf.realm_of("ca1.database.test")),
            (Some("BASE.TEST"), None)
        );
        std::fs::write(&main, own.to_owned() + &include("includedir", &parts)).unwrap();
        assert_eq!(Krb5Conf::read([main.clone()]).default_realm.as_deref(), Some("ME"));
        // A folder stands for its files, whoever names it.
        assert_eq!(Krb5Conf::read([parts.clone()]).default_realm.as_deref(), Some("A"));
        assert!(Krb5Conf::can_read(&parts).is_ok() && Krb5Conf::can_read(&main).is_ok());
        assert!(Krb5Conf::can_read(&dir.path().join("none")).is_err());
        // The device that holds nothing is a file without a line; other devices are none.
        #[cfg(unix)]
        {
            let link = dir.path().join("masked");
            std::os::unix::fs::symlink("/dev/null", &link).unwrap();
            for empty in [Path::new("/dev/null"), &link] {
                assert!(Krb5Conf::can_read(empty).is_ok(), "{}", empty.display());
                assert_eq!(Krb5Conf::read([empty.to_owned()]), Krb5Conf::default());
            }
            assert!(Krb5Conf::can_read(Path::new("/dev/zero")).is_err());
        }
        // One that includes itself comes to an end.
        std::fs::write(&main, include("include", &main) + "[libdefaults]\ndefault_realm = ME\n").unwrap();
        assert_eq!(Krb5Conf::read([main]).default_realm.as_deref(), Some("ME"));
        assert_eq!(Krb5Conf::read([dir.path().join("none")]), Krb5Conf::default());
    }
}
