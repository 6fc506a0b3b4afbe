//! A folder that may be a set: files, links, queues, folders, sparse and short files, under the names of a set and beside
//! them.
//!
//! Whatever lies there, looking at it ends with a verdict, reads and changes nothing outside, and a restore from it either
//! gives the CA that was backed up or leaves the target as it was. A set whose files are not those of its manifest is not
//! good.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use certadm_set::manifest::{Manifest, Role};
use certadm_set::restore::{Options, plan};
use certadm_set::verify::verify;
use certadm_set::{Silent, open};

use crate::folder_contents;
use crate::kept_files::{KeptFiles, long_ago};
use crate::script::Script;
use crate::small_ca::CA;

/// The files of a good set.
static SET: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| CA.set_with(&CA.database, true));
/// What lies there for every input; one input at a time.
static PLACE: LazyLock<Mutex<Place>> = LazyLock::new(|| Mutex::new(Place::new()));

/// From this length on, in bytes, a file was made long by a script; it is sparse, and nothing here reads it.
const LONG: u64 = 64 << 20;

/// What lies outside.
const SECRET: &[u8] = b"what lies outside";

/// Names beside those of the set's files.
const NAMES: [&str; 12] = [
    "DataBase",
    "DynamicFiles",
    "DataBase/edb00002.log",
    "DataBase/EDB00001.LOG",
    "DataBase/other.edb",
    "DataBase/ca.db-wal",
    "MANIFEST.JSON",
    "ca.toml",
    "CertLog.edb",
    "DynamicFiles/other.crl",
    "DynamicFiles/evil.toml",
    ".set.unfinished-1",
];

/// The folders of an input. What it has not touched stays there for the next one.
struct Place {
    /// The set that is changed. It lies in a folder, because a script may reach the one above its own.
    sets: KeptFiles,
    set: PathBuf,
    /// What nobody may read or change.
    outside: KeptFiles,
    secret: PathBuf,
    /// The folder to restore to, of a CA without a database.
    target: KeptFiles,
    ca: PathBuf,
    /// What is in it before a restore.
    in_target: Vec<(PathBuf, Vec<u8>)>,
}

impl Place {
    fn new() -> Self {
        let place = CA.place.path();
        let (sets, outside, ca) = (place.join("sets"), place.join("outside"), place.join("target"));
        let in_set = |(path, content): &(String, Vec<u8>)| (Path::new("set").join(path), content.clone());
        let mut in_target = CA.own_files.clone();
        in_target.sort();
        Self {
            set: sets.join("set"),
            secret: outside.join("secret.crl"),
            sets: KeptFiles::new(sets, SET.iter().map(in_set)),
            outside: KeptFiles::new(outside, [("secret.crl".into(), SECRET.to_vec())]),
            in_target,
            target: KeptFiles::new(ca.clone(), CA.own_files.clone()),
            ca,
        }
    }

    /// A good set, and a folder to restore to.
    fn renew(&mut self) {
        self.sets.renew();
        self.outside.renew();
        self.target.renew();
    }
}

/// The input is a sequence of changes of a good set, see [`change`].
pub(crate) fn run(data: &[u8]) {
    let place = &mut *PLACE.lock().unwrap_or_else(PoisonError::into_inner);
    place.renew();
    let mut script = Script::new(data);
    while !script.is_over() {
        change(&place.set, &place.secret, &mut script);
    }
    // Behind a link of its own, a script may have made more than the secret.
    let outside = place.secret.parent().unwrap_or(&place.set);
    let beside = folder_contents::number(outside);
    let watched = Watched::new(&place.secret);
    let untouched = place.sets.untouched();

    let paths = std::slice::from_ref(&place.set);
    let report = verify(paths, &mut Silent);
    assert!(report.is_good() || !report.findings.is_empty(), "bad without a reason");
    if report.is_good() {
        assert!(open(paths).is_ok(), "good, and does not open");
        assert!(is_what_its_manifest_says(&place.set), "good, and not what its manifest says");
    }
    let options = Options { incomplete: data.first().is_some_and(|first| first & 0x80 != 0), ..Options::default() };
    let restored = plan(paths, &place.ca, options).and_then(|plan| plan.execute("host", &mut Silent));
    watched.check();
    assert_eq!(folder_contents::number(outside), beside, "a file outside");
    assert_eq!(place.sets.untouched(), untouched, "a file of the set was written to");
    let mut found = folder_contents::contents(&place.ca);
    for (path, content) in &found {
        let is_of_the_set = SET.iter().any(|(_, of_the_set)| of_the_set == content);
        assert!(is_of_the_set || !contains(content, SECRET), "{} has what lies outside", path.display());
    }
    match restored {
        Ok(_) => assert!(report.is_good(), "restored, and not good"),
        Err(error) => {
            // Nothing but locks are held on these.
            found.retain(|(path, _)| !path.to_string_lossy().ends_with("lock"));
            assert!(found == place.in_target, "the target has changed: {error}");
        }
    }
}

fn contains(content: &[u8], part: &[u8]) -> bool {
    // The fuzzer looks at each comparison of several octets, so there are few.
    content.windows(part.len()).any(|window| window.first() == part.first() && window == part)
}

/// One change of one path: kind, path, and what the kind needs. What cannot be done is left as it is.
fn change(set: &Path, secret: &Path, script: &mut Script<'_>) {
    let (kind, name) = (script.byte(), usize::from(script.byte()));
    let names: Vec<&str> = SET.iter().map(|(path, _)| path.as_str()).chain(NAMES).collect();
    let path = set.join(names[name % names.len()]);
    let clear = || {
        if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }
            .unwrap_or_default();
        fs::create_dir_all(path.parent().unwrap_or(set)).unwrap_or_default();
    };
    match kind & 0xF {
        0 => clear(),
        1 => {
            clear();
            fs::create_dir_all(&path).unwrap_or_default();
        }
        2 => {
            let to = script.byte();
            clear();
            link(&link_target(set, secret, to), &path);
        }
        3 => {
            clear();
            queue(&path);
        }
        4 => {
            clear();
            sparse(&path, 1 << (script.byte() % 40));
        }
        5 => {
            let bytes = script.bytes();
            clear();
            fs::write(&path, bytes).unwrap_or_default();
        }
        // The others work on what is there as a regular file, and not on one that was made long.
        _ if path.is_symlink() || !path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() < LONG) => {}
        6 => {
            let (at, octet) = (usize::from(script.word()), script.byte());
            let mut content = fs::read(&path).unwrap_or_default();
            if let Some(place) = content.len().checked_sub(1).map(|last| at.min(last)) {
                content[place] ^= octet;
            }
            fs::write(&path, content).unwrap_or_default();
        }
        7 => {
            let mut content = fs::read(&path).unwrap_or_default();
            content.truncate(content.len().saturating_sub(script.word().into()));
            fs::write(&path, content).unwrap_or_default();
        }
        8 => {
            let mut content = fs::read(&path).unwrap_or_default();
            content.extend_from_slice(script.bytes());
            fs::write(&path, content).unwrap_or_default();
        }
        9 => sparse_end(&path, 1 << (script.byte() % 40)),
        _ => {
            let to = set.join(names[usize::from(script.byte()) % names.len()]);
            fs::create_dir_all(to.parent().unwrap_or(set)).unwrap_or_default();
            if kind & 0xF == 10 {
                fs::rename(&path, &to).unwrap_or_default();
            } else {
                fs::hard_link(&path, &to).unwrap_or_default();
            }
        }
    }
}

fn link_target(set: &Path, secret: &Path, to: u8) -> PathBuf {
    match to % 8 {
        0 => secret.to_owned(),
        1 => secret.parent().unwrap_or(secret).to_owned(),
        2 => "/dev/zero".into(),
        3 => "/dev/null".into(),
        4 => set.to_owned(),
        5 => "..".into(),
        6 => "nowhere".into(),
        _ => set.join(&SET[0].0),
    }
}

#[cfg(unix)]
fn link(to: &Path, path: &Path) {
    std::os::unix::fs::symlink(to, path).unwrap_or_default();
}

/// Where links need a privilege there are none.
#[cfg(not(unix))]
fn link(_to: &Path, _path: &Path) {}

#[cfg(unix)]
fn queue(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap_or_default();
}

#[cfg(not(unix))]
fn queue(_path: &Path) {}

fn sparse(path: &Path, len: u64) {
    if let Ok(file) = fs::File::create(path) {
        file.set_len(len).unwrap_or_default();
    }
}

fn sparse_end(path: &Path, len: u64) {
    let Ok(file) = fs::OpenOptions::new().write(true).open(path) else { return };
    let now = file.metadata().map_or(0, |metadata| metadata.len());
    file.set_len(now + len).unwrap_or_default();
}

/// Whether every file that the manifest names, but for dynamic ones, is there and as it says. Read here a second time, by other
/// code. A set without a manifest says nothing.
fn is_what_its_manifest_says(set: &Path) -> bool {
    let plain = |path: &Path| {
        let metadata = path.symlink_metadata().ok()?;
        (metadata.is_file() && metadata.len() < LONG).then(|| fs::read(path).ok()).flatten()
    };
    let Some(bytes) = plain(&find(set, "manifest.json")) else { return true };
    let Ok(manifest) = Manifest::parse(&bytes) else { return false };
    manifest.files.iter().filter(|entry| entry.role != Role::Dynamic).all(|entry| {
        let path = entry.path.split('/').fold(set.to_owned(), |folder, name| find(&folder, name));
        plain(&path).is_some_and(|content| {
            content.len() as u64 == entry.size && blake3::hash(&content).to_hex().to_string() == entry.blake3
        })
    })
}

/// What a folder has under a name, in whatever letters.
fn find(folder: &Path, name: &str) -> PathBuf {
    let exact = folder.join(name);
    if exact.symlink_metadata().is_ok() {
        return exact;
    }
    let mut alike: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name())
        .filter(|found| found.eq_ignore_ascii_case(name))
        .collect();
    alike.sort();
    alike.first().map_or(exact, |found| folder.join(found))
}

/// A file that nobody may read or change.
struct Watched {
    path: PathBuf,
    #[cfg(unix)]
    before: (i64, i64, i64, i64, u64),
}

impl Watched {
    #[cfg(unix)]
    fn new(path: &Path) -> Self {
        let opened = fs::OpenOptions::new().write(true).open(path);
        opened.and_then(|file| file.set_times(long_ago())).expect("a file in memory");
        Self { path: path.to_owned(), before: stamp(path) }
    }

    #[cfg(unix)]
    fn check(&self) {
        assert_eq!(stamp(&self.path), self.before, "a file outside was read or changed");
    }

    #[cfg(not(unix))]
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    #[cfg(not(unix))]
    fn check(&self) {
        assert!(self.path.is_file());
    }
}

#[cfg(unix)]
fn stamp(path: &Path) -> (i64, i64, i64, i64, u64) {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::symlink_metadata(path).expect("the file outside is there");
    (metadata.atime(), metadata.mtime(), metadata.ctime(), metadata.ctime_nsec(), metadata.len())
}
