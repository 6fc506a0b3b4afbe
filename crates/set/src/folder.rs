//! A folder with plain sets in it, as backups by hand or by a job leave it: what lies there, read by the manifests alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use certadm_files::{Found, IoContext, durable, found, unfinished};
use certadm_rules::{FileTime, hex, is_ahead};
use certadm_store::Folder;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::layout::file_of;
use crate::links::{self, Headers, Links};
use crate::manifest::{self, Manifest, Role, SetKind};
use crate::open::{Opened, open};
use crate::reader::Set;
use crate::signing::AllowedSigners;
use crate::stored::{Stored, leaning_on};

/// The folder of notes about what is proven, among the sets.
const PROVEN: &str = ".proven";
/// What file systems have at their top, for root alone.
const LOST_AND_FOUND: &str = "lost+found";
/// A folder with more entries is refused.
const MOST_ENTRIES: usize = 1_000_000;
/// No note is longer, in bytes.
const MAX_NOTE: u64 = 64;

/// A complete set in a folder of sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderSet {
    /// The name of its folder; `%E4` stands for a byte of it that is of no UTF-8 text.
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
    /// When its backup ended, in seconds since 1970, UTC.
    pub time: i64,
    /// How long its backup took, in seconds; 0 where nothing tells.
    pub seconds: u64,
    /// The CA's sanitized name.
    pub ca: String,
    /// Full or logs only.
    pub kind: SetKind,
    /// The signatures of its database and of its stream of logs; empty where they are not known.
    pub signatures: (String, String),
    /// Its lowest and its highest generation.
    pub generations: (u32, u32),
    /// Bytes of its files.
    pub bytes: u64,
    /// Whether it never expires: something lies in it that is not of the set, and that nobody may delete unseen.
    pub held: bool,
    /// Its logs by their hashes, where they are known.
    pub links: Option<Arc<Links>>,
}

impl FolderSet {
    pub(crate) fn of(path: PathBuf, manifest: &Manifest) -> Option<Self> {
        let (began, time) = (manifest.started_at(), manifest.finished_at()?.unix_seconds());
        Some(Self {
            name: name_of(&path),
            path,
            time,
            seconds: began
                .and_then(|began| u64::try_from(time.checked_sub(began.unix_seconds())?).ok())
                .unwrap_or_default(),
            ca: manifest.ca.name.clone(),
            kind: manifest.kind,
            signatures: (manifest.ca.database_signature.clone(), manifest.ca.stream_signature.clone()),
            generations: (manifest.generations.low, manifest.generations.high),
            bytes: manifest.total_size(),
            held: false,
            links: Links::of_manifest(manifest).map(Arc::new),
        })
    }

    /// SHA-256 of its manifest in hexadecimal, by which the evidence of a rehearsal names it; `None` when it cannot be read.
    #[must_use]
    pub fn manifest_sha256(&self) -> Option<String> {
        let bytes = file_of(&self.path, manifest::FILE_NAME).read(manifest::MAX_LEN).ok()?;
        Some(hex::encode(&Sha256::digest(bytes)))
    }
}

/// The last name of a path as text, other names by other texts. Nobody opens a set by it.
fn name_of(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.file_name().unwrap_or_default().as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("%{byte:02X}")));
    }
    text
}

impl Stored for FolderSet {
    fn id(&self) -> &str {
        &self.name
    }

    fn time(&self) -> i64 {
        self.time
    }

    fn ca(&self) -> &str {
        &self.ca
    }

    fn kind(&self) -> SetKind {
        self.kind
    }

    fn database(&self) -> &str {
        &self.signatures.0
    }

    fn stream(&self) -> &str {
        &self.signatures.1
    }

    fn generations(&self) -> (u32, u32) {
        self.generations
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn is_held(&self) -> bool {
        self.held
    }

    fn links(&self) -> Option<&Links> {
        self.links.as_deref()
    }
}

/// What lies in a folder of sets.
#[derive(Debug, Default)]
pub struct Listed {
    /// The complete sets, the oldest first.
    pub sets: Vec<FolderSet>,
    /// Sets without a manifest, such as certutil writes them, by their folders.
    pub unsealed: Vec<PathBuf>,
    /// Sets that cannot be read, by their folders.
    pub unreadable: Vec<(PathBuf, Error)>,
    /// What is under construction, or was left by a process that was killed.
    pub unfinished: Vec<PathBuf>,
}

impl Listed {
    /// The same, where the sets have all their files, each as long as its manifest says. Others count as sets that cannot be read:
    /// nothing can be restored from them, so they stand for no state. No file is opened.
    #[must_use]
    pub fn with_all_files(mut self) -> Self {
        for set in std::mem::take(&mut self.sets) {
            match check_lengths(&set.path) {
                Ok(()) => self.sets.push(set),
                Err(error) => self.unreadable.push((set.path, error)),
            }
        }
        self
    }

    /// The same, without the sets that none of these has signed; each of those with why it does not count.
    #[must_use]
    pub fn vouched_for(mut self, allowed: &AllowedSigners) -> (Self, Vec<(FolderSet, Error)>) {
        let mut left_out = Vec::new();
        for set in std::mem::take(&mut self.sets) {
            let signed = open(std::slice::from_ref(&set.path)).and_then(|opened| allowed.check(&opened));
            match signed {
                Ok(_) => self.sets.push(set),
                Err(error) => left_out.push((set, error)),
            }
        }
        (self, left_out)
    }

    /// The same, where the disk told all of it. What it does not tell now it may tell tomorrow: that set may be the newest, or need one
    /// that would be deleted.
    ///
    /// # Errors
    /// The first one of the disk.
    pub fn told_by_the_disk(mut self) -> Result<Self> {
        match self.unreadable.iter().position(|(_, error)| error.is_of_disk()) {
            Some(at) => Err(self.unreadable.swap_remove(at).1),
            None => Ok(self),
        }
    }
}

/// Looks at the sets in `dir`. Folders that hold anything else are passed over, and so are links.
///
/// # Errors
/// [`Error::NoFolderOfSets`] when it is a set or a CA's folder itself, [`Error::TooManySets`], [`Error::File`].
pub fn list(dir: &Path) -> Result<Listed> {
    list_at_most(dir, MOST_ENTRIES)
}

fn list_at_most(dir: &Path, most: usize) -> Result<Listed> {
    let is = |detail| Err(Error::NoFolderOfSets { path: dir.to_owned(), detail });
    let entries = fs::read_dir(dir).during("list", dir)?;
    if file_of(dir, manifest::FILE_NAME).is_there() || dir.join("DataBase").is_dir() {
        return is("it is a set itself");
    }
    let ca = Folder::new(dir);
    // A copy of a CA's configuration may lie beside its sets.
    if ca.config_path().exists() && ca.database_dir().is_dir() {
        return is("it is the folder of a CA");
    }
    let mut folders = Vec::new();
    let mut listed = Listed::default();
    for (number, entry) in entries.enumerate() {
        if number == most {
            return Err(Error::TooManySets { path: dir.to_owned(), most });
        }
        let path = entry.during("list", dir)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_passed_over = name.starts_with('.') || name == LOST_AND_FOUND;
        if unfinished::is_named_so(&path) {
            listed.unfinished.push(path);
        } else if !is_passed_over && found::is_folder(&path) {
            folders.push(path);
        }
    }
    folders.sort();
    listed.unfinished.sort();
    for path in folders {
        match look(&path) {
            Ok(Lies::Set(set)) => listed.sets.push(set),
            Ok(Lies::Unsealed) => listed.unsealed.push(path),
            Ok(Lies::Other) => {}
            Err(error) => listed.unreadable.push((path, error)),
        }
    }
    tell_pasts(&mut listed.sets);
    listed.sets.sort_by(|one, other| crate::stored::age(other).cmp(&crate::stored::age(one)));
    Ok(listed)
}

/// Where manifests alone do not tell whether two files are one log, the headers of the logs do.
fn tell_pasts(sets: &mut [FolderSet]) {
    let of = |set: &FolderSet| (set.ca.clone(), set.signatures.clone());
    let streams: BTreeMap<_, usize> = sets.iter().map(of).zip(0..).collect();
    let stream_of = |set: &FolderSet| streams.get(&of(set)).copied();
    let doubtful = links::doubtful(sets.iter().map(|set| (stream_of(set), set.links.as_deref())));
    let mut headers = Headers::default();
    let tells = |set: &FolderSet| set.links.as_deref().is_some_and(Links::tell_logs);
    for set in sets.iter_mut().filter(|set| doubtful.contains(&stream_of(set)) && !tells(set)) {
        set.links = Set::open(&set.path).ok().and_then(|set| headers.links(&set)).map(Arc::new);
    }
}

/// Looks at the length of each file of a set. A restore needs no copy of a CRL.
pub(crate) fn check_lengths(path: &Path) -> Result<()> {
    let set = Set::open(path)?;
    for (entry, file) in set.entries().filter(|(entry, _)| entry.role != Role::Dynamic) {
        let path = file.path().to_owned();
        match file.size() {
            Ok(len) if len == entry.size => {}
            Ok(len) => {
                let detail = format!("it has {len} bytes, the manifest says {}", entry.size);
                return Err(Error::Damaged {
                    path,
                    detail,
                    code: entry.role.code_of_damage(len < entry.size),
                });
            }
            Err(error) if error.is_not_found() => {
                return Err(Error::Missing { path, code: entry.role.code_of_absence() });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What a folder is.
enum Lies {
    Set(FolderSet),
    Unsealed,
    Other,
}

fn look(path: &Path) -> Result<Lies> {
    let bad = |detail: &str| Error::BadManifest { path: path.to_owned(), detail: detail.to_owned() };
    let has_manifest = match file_of(path, manifest::FILE_NAME).path().symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        other => other.map(|_| true).during("look at", path)?,
    };
    if has_manifest {
        let manifest = Set::open(path)?.manifest.ok_or_else(|| bad("it went meanwhile"))?;
        let set = FolderSet::of(path.to_owned(), &manifest);
        return set.map(Lies::Set).ok_or_else(|| bad("it does not say when the set was taken"));
    }
    match open(&[path.to_owned()]) {
        Ok(Opened::Ours(_) | Opened::Windows(_)) => Ok(Lies::Unsealed),
        Ok(Opened::Folder(_)) | Err(Error::NotASet { .. }) => Ok(Lies::Other),
        Err(error) => Err(error),
    }
}

/// When the state that ends with a set of a folder was proven, in seconds since 1970, as it is at `now`; `None` where no note says
/// so. A note that is older than the set is of another one, which had its name. A set that is dated in the future tells nothing of that.
#[must_use]
pub fn proven_at(dir: &Path, set: &FolderSet, now: i64) -> Option<i64> {
    let note = Found::below(dir, Path::new(PROVEN).join(&set.name)).read(MAX_NOTE).ok()?;
    let noted = FileTime::from_rfc3339(std::str::from_utf8(&note).ok()?.trim())?.unix_seconds();
    (!is_ahead(set.time, noted) || is_ahead(set.time, now)).then_some(noted)
}

/// The names of the sets in `sets` whose state was noted as proven, as it is at `now`.
#[must_use]
pub fn proven(dir: &Path, sets: &[FolderSet], now: i64) -> BTreeSet<String> {
    let noted = sets.iter().filter(|set| proven_at(dir, set, now).is_some());
    noted.map(|set| set.name.clone()).collect()
}

/// Notes that the state which ends with a set of a folder was proven. `when` is in RFC 3339.
///
/// # Errors
/// [`Error::File`].
pub fn note_proven(dir: &Path, name: &str, when: &str) -> certadm_files::Result<()> {
    let notes = dir.join(PROVEN);
    durable::create_dir(&notes)?;
    durable::replace(&notes.join(name), when.as_bytes())
}

/// Forgets that states were proven which lean on sets that were found damaged since, by the names of these: what is known to be broken
/// must not stand for the newest proven state, for which older ones go. `now` is in seconds since 1970.
///
/// # Errors
/// As [`list`].
pub fn withdraw_proven(dir: &Path, damaged: &[String], now: i64) -> Result<()> {
    let listed = list(dir)?;
    for set in leaning_on(&listed.sets.iter().collect::<Vec<_>>(), damaged, now) {
        forget_proven(dir, &set.name)?;
    }
    Ok(())
}

/// Forgets that the state of a set that has gone was proven.
pub(crate) fn forget_proven(dir: &Path, name: &str) -> certadm_files::Result<()> {
    durable::remove_if_present(&dir.join(PROVEN).join(name))
}

/// The folder of a set that is not there yet in a folder of sets: a name of its date, in seconds since 1970, and its kind, such as
/// `20261201T020000Z-full`.
#[must_use]
pub fn new_set(dir: &Path, kind: SetKind, time: i64) -> PathBuf {
    let moment = FileTime::from_unix_seconds(time).to_rfc3339();
    let moment: String = moment.chars().filter(|letter| !matches!(letter, '-' | ':')).collect();
    let name = |ending: &str| dir.join(format!("{moment}-{kind}{ending}"));
    let further = (2_u32..).map(|number| name(&format!("-{number}")));
    let mut names = std::iter::once(name("")).chain(further);
    names.find(|path| path.symlink_metadata().is_err()).unwrap_or_else(|| name(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_ca_is_told_by_more_than_its_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let ca = Folder::new(dir.path());
        fs::write(ca.config_path(), "").unwrap();
        assert!(list(dir.path()).unwrap().sets.is_empty());
        fs::create_dir(ca.database_dir()).unwrap();
        assert!(matches!(list(dir.path()), Err(Error::NoFolderOfSets { .. })));
    }

    #[test]
    fn a_folder_with_more_entries_than_are_looked_at_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["one", "two", "three"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        assert!(list_at_most(dir.path(), 3).unwrap().sets.is_empty());
        assert!(matches!(list_at_most(dir.path(), 2), Err(Error::TooManySets { most: 2, .. })));
    }

    #[test]
    fn a_folder_of_which_the_disk_does_not_tell_all_is_refused() {
        let of = |error: Error| {
            let unreadable = vec![("damaged".into(), bad("damaged")), ("set".into(), error)];
            Listed { unreadable, ..Listed::default() }.told_by_the_disk()
        };
        let io = || certadm_files::Error::Io {
            action: "read",
            path: "set".into(),
            source: std::io::Error::from(ErrorKind::PermissionDenied),
        };
        assert!(of(bad("set")).is_ok());
        assert!(matches!(of(io().into()), Err(Error::File(_))));
        assert!(matches!(of(certadm_store::Error::File(io()).into()), Err(Error::Store(_))));
    }

    fn bad(path: &str) -> Error {
        Error::BadManifest { path: path.into(), detail: "it is damaged".to_owned() }
    }
}
