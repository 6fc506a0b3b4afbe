//! The one door to files that somebody else may have put where they lie: those of a backup set above all.
//!
//! A set may come from a stranger. A link in it can lead to any file of this machine, a pipe keeps its reader waiting, and a
//! device never ends. So a file of a set is opened as what it is:
//!
//! * below the folder that the person named, no link is followed, on no part of the way;
//! * only a regular file is opened, and what was opened is looked at again;
//! * no more is read than was announced and one byte, so that a file that grows is told from one that does not.
//!
//! The folder itself is a person's choice and may be reached by links: `/backup/latest` is a usual one.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
#[cfg(unix)]
use std::io;
use std::io::{Read, Take};
use std::ops::Deref;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, FOLDER, IoContext, Result};
use crate::read;

/// A file by its way: the folder that a person named, and what lies below it.
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # std::fs::write(folder.path().join("log"), b"four").unwrap();
/// use certadm_files::Found;
///
/// let log = Found::below(folder.path(), "log");
/// assert_eq!(log.read(4)?, b"four");
/// assert!(Found::below(folder.path(), "../log").open().is_err());
/// # Ok::<(), certadm_files::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Found {
    path: PathBuf,
    /// How many components at the end of the path are not followed as links.
    below: usize,
}

impl Found {
    /// A file below `root`. Nothing is opened yet, and `inside` may say anything: [`Found::open`] refuses what leads out.
    pub fn below(root: &Path, inside: impl AsRef<Path>) -> Self {
        let inside = inside.as_ref();
        let path = root.join(inside);
        // What is no plain way down is refused by `open`, which finds no root for it.
        let plain = inside.components().all(|part| matches!(part, Component::Normal(_)));
        let below = if plain { inside.components().count() } else { usize::MAX };
        Self { path, below }
    }

    /// A file that a person named: its last component may be a link, too.
    pub fn named(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), below: 0 }
    }

    /// Whether a person named it.
    pub fn is_named(&self) -> bool {
        self.below == 0
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether anything has that name, a link that leads nowhere included.
    pub fn is_there(&self) -> bool {
        self.path.symlink_metadata().is_ok()
    }

    /// Opens it for reading.
    ///
    /// # Errors
    /// [`Error::NotAFile`] when it is a link, a folder, a device, a pipe or a socket, or when a link stands on the way;
    /// [`Error::Io`].
    pub fn open(&self) -> Result<File> {
        let file = match self.split() {
            Some((_, inside)) if inside.as_os_str().is_empty() => system::open_named(&self.path)?,
            Some((root, inside)) => system::open_below(&root, inside, &self.path)?,
            None => return Err(self.refused("a way out of its folder")),
        };
        check(&file.metadata().during("look at", &self.path)?, &self.path, self.below == 0)?;
        Ok(file)
    }

    /// Its length in bytes, as its folder tells it; nothing is opened.
    ///
    /// # Errors
    /// As [`Found::open`].
    pub fn size(&self) -> Result<u64> {
        let Some((root, inside)) = self.split() else { return Err(self.refused("a way out of its folder")) };
        let (mut place, mut last) = (root, None);
        for part in inside.components() {
            place.push(part);
            let metadata = place.symlink_metadata().during("look at", &self.path)?;
            if place.as_os_str().len() < self.path.as_os_str().len() && metadata.is_dir() {
                continue;
            }
            check(&metadata, &place, false)?;
            last = Some(metadata);
        }
        let metadata = match (last, self.below) {
            (Some(metadata), _) => Ok(metadata),
            (None, 0) => std::fs::metadata(&self.path),
            (None, _) => self.path.symlink_metadata(),
        };
        let metadata = metadata.during("look at", &self.path)?;
        check(&metadata, &self.path, self.below == 0)?;
        Ok(metadata.len())
    }

    /// Opens it for reading from its beginning, and no further than one byte beyond `announced`; without an
    /// announcement, than one byte beyond its length at this moment.
    ///
    /// # Errors
    /// As [`Found::open`].
    pub fn open_up_to(&self, announced: Option<u64>) -> Result<Take<File>> {
        let file = self.open()?;
        let most = match announced {
            Some(announced) => announced,
            None => file.metadata().during("look at", &self.path)?.len(),
        };
        Ok(file.take(most.saturating_add(1)))
    }

    /// Reads it whole, if it has no more than `limit` bytes.
    ///
    /// # Errors
    /// As [`Found::open`]; [`Error::TooLong`].
    pub fn read(&self, limit: u64) -> Result<Vec<u8>> {
        let mut file = self.open_up_to(Some(limit))?;
        let mut content = read::space_for(file.get_ref(), limit);
        file.read_to_end(&mut content).during("read", &self.path)?;
        if content.len() as u64 > limit {
            return Err(Error::TooLong { path: self.path.clone(), limit });
        }
        Ok(content)
    }

    /// The folder that is followed, and the way below it that is not.
    fn split(&self) -> Option<(PathBuf, &Path)> {
        let mut root = self.path.as_path();
        for _ in 0..self.below {
            root = root.parent()?;
        }
        let inside = self.path.strip_prefix(root).ok()?;
        let inside = if self.below == 0 { Path::new("") } else { inside };
        let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
        Some((root.to_owned(), inside))
    }

    fn refused(&self, what: &'static str) -> Error {
        Error::NotAFile { path: self.path.clone(), what, by_name: self.below == 0 }
    }
}

impl Deref for Found {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl AsRef<Path> for Found {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// For errors and findings, which name it by its path.
impl AsRef<OsStr> for Found {
    fn as_ref(&self) -> &OsStr {
        self.path.as_os_str()
    }
}

/// A path by itself is one that a person named, or one in a folder of our own.
impl From<&Path> for Found {
    fn from(path: &Path) -> Self {
        Self::named(path)
    }
}

impl From<&PathBuf> for Found {
    fn from(path: &PathBuf) -> Self {
        Self::named(path.as_path())
    }
}

impl From<PathBuf> for Found {
    fn from(path: PathBuf) -> Self {
        Self::named(path)
    }
}

impl From<&Found> for Found {
    fn from(found: &Found) -> Self {
        found.clone()
    }
}

/// Whether a folder is there, and is one itself: no link to one.
pub fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

/// Refuses all but a regular file. `by_name`: a person named it.
fn check(metadata: &Metadata, path: &Path, by_name: bool) -> Result<()> {
    let kind = metadata.file_type();
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_symlink() {
        "a link"
    } else if kind.is_dir() {
        FOLDER
    } else {
        special(kind)
    };
    Err(Error::NotAFile { path: path.to_owned(), what, by_name })
}

#[cfg(unix)]
fn special(kind: std::fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(not(unix))]
fn special(_kind: std::fs::FileType) -> &'static str {
    "a device"
}

#[cfg(unix)]
mod system {
    use std::fs::File;
    use std::os::fd::OwnedFd;

    use rustix::fs::{AtFlags, FileType, Mode, OFlags};
    use rustix::io::Errno;

    use super::*;

    /// Without NONBLOCK the opening of a pipe would wait for its other end, should it have come since it was looked at.
    const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
    const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

    pub(super) fn open_named(path: &Path) -> Result<File> {
        // A device does something when it is opened, so it is looked at first.
        check(&std::fs::metadata(path).during("look at", path)?, path, true)?;
        let file =
            rustix::fs::open(path, READ, Mode::empty()).map_err(io::Error::from).during("open", path)?;
        Ok(File::from(file))
    }

    pub(super) fn open_below(root: &Path, inside: &Path, path: &Path) -> Result<File> {
        let refused = |what| Error::NotAFile { path: path.to_owned(), what, by_name: false };
        let failed = |error: Errno, action| match error {
            // What the system says of a link where none is followed.
            Errno::LOOP | Errno::XDEV => refused("a link, or below one"),
            Errno::NOTDIR => refused("below a link or file"),
            error => Error::Io { action, path: path.to_owned(), source: error.into() },
        };
        let root = rustix::fs::open(root, FOLDER, Mode::empty())
            .map_err(|error| failed(error, "open the folder of"))?;
        let name = inside.file_name().unwrap_or_default();
        let folder = match inside.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => {
                open_folder(&root, parent).map_err(|error| failed(error, "open the folder of"))?
            }
            None => root,
        };
        let found = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| failed(error, "open"))?;
        let what = match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => {
                let file = rustix::fs::openat(&folder, name, READ | OFlags::NOFOLLOW, Mode::empty())
                    .map_err(|error| failed(error, "open"))?;
                return Ok(File::from(file));
            }
            FileType::Symlink => "a link",
            FileType::Directory => "a folder",
            FileType::Fifo => "a pipe",
            FileType::Socket => "a socket",
            _ => "a device",
        };
        Err(refused(what))
    }

    /// Opens a folder below another, links nowhere: in one call where the kernel has it, else step by step.
    fn open_folder(root: &OwnedFd, inside: &Path) -> rustix::io::Result<OwnedFd> {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::ResolveFlags;
            let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            match rustix::fs::openat2(root, inside, FOLDER, Mode::empty(), beneath) {
                // Kernels before 5.6, and containers whose filter does not know the call.
                Err(Errno::NOSYS | Errno::PERM) => {}
                other => return other,
            }
        }
        walk(root, inside)
    }

    /// The same for kernels without that call.
    pub(super) fn walk(root: &OwnedFd, inside: &Path) -> rustix::io::Result<OwnedFd> {
        let mut folder = rustix::io::fcntl_dupfd_cloexec(root, 0)?;
        for part in inside.components() {
            folder = rustix::fs::openat(&folder, part.as_os_str(), FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
        }
        Ok(folder)
    }
}

#[cfg(not(unix))]
mod system {
    use std::fs::{File, OpenOptions};

    use super::*;

    /// `FILE_FLAG_OPEN_REPARSE_POINT`: a link itself is opened, not what it leads to.
    #[cfg(windows)]
    const OPEN_REPARSE_POINT: u32 = 0x0020_0000;

    pub(super) fn open_named(path: &Path) -> Result<File> {
        check(&std::fs::metadata(path).during("look at", path)?, path, true)?;
        File::open(path).during("open", path)
    }

    pub(super) fn open_below(root: &Path, inside: &Path, path: &Path) -> Result<File> {
        let mut place = root.to_owned();
        for part in inside.components() {
            place.push(part);
            let metadata = place.symlink_metadata().during("open", path)?;
            if place.as_os_str().len() < path.as_os_str().len() && metadata.is_dir() {
                continue;
            }
            check(&metadata, &place, false)?;
        }
        let mut options = OpenOptions::new();
        options.read(true);
        #[cfg(windows)]
        std::os::windows::fs::OpenOptionsExt::custom_flags(&mut options, OPEN_REPARSE_POINT);
        options.open(path).during("open", path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use certadm_rules::diagnosis::Class;
    use certadm_rules::{Diagnosis, Hresult};

    use super::*;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("set")).unwrap();
        fs::create_dir(dir.path().join("set/DataBase")).unwrap();
        fs::write(dir.path().join("set/DataBase/log"), b"content").unwrap();
        fs::write(dir.path().join("secret"), b"secret").unwrap();
        dir
    }

    #[test]
    fn a_file_is_read_and_no_further_than_one_byte_beyond_what_was_announced() {
        let dir = folder();
        let log = Found::below(&dir.path().join("set"), "DataBase/log");
        assert_eq!((log.size().unwrap(), log.read(7).unwrap().as_slice()), (7, &b"content"[..]));
        assert!(matches!(log.read(6), Err(Error::TooLong { limit: 6, .. })));
        let mut read = Vec::new();
        log.open_up_to(Some(3)).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, b"cont");
        assert_eq!(Found::named(log.path()).read(7).unwrap(), b"content");
    }

    #[test]
    fn no_way_leads_out() {
        let dir = folder();
        let set = dir.path().join("set");
        for inside in ["../secret", "DataBase/../../secret", "/etc/passwd", "", "./DataBase/log", "DataBase"]
        {
            let found = Found::below(&set, inside);
            let known = inside.starts_with("./");
            assert!(known || found.open().is_err(), "{inside}");
            assert!(known || found.size().is_err(), "{inside}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_devices_and_pipes_are_refused_at_once() {
        use std::os::unix::fs::symlink;

        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let dir = folder();
        let set = dir.path().join("set");
        symlink(dir.path().join("secret"), set.join("link")).unwrap();
        symlink("DataBase/log", set.join("inner-link")).unwrap();
        symlink("absent", set.join("dangling")).unwrap();
        symlink("/dev", set.join("devices")).unwrap();
        symlink("/dev/zero", set.join("endless")).unwrap();
        symlink("DataBase", set.join("Linked")).unwrap();
        mknodat(CWD, set.join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(set.join("socket")).unwrap();
        let refused = [
            "link",
            "inner-link",
            "dangling",
            "devices/zero",
            "endless",
            "Linked/log",
            "pipe",
            "socket",
            "DataBase",
        ];
        for inside in refused {
            let found = Found::below(&set, inside);
            assert!(matches!(found.open(), Err(Error::NotAFile { .. })), "{inside}: {:?}", found.open());
            assert!(matches!(found.size(), Err(Error::NotAFile { .. })), "{inside}: {:?}", found.size());
            assert!(found.is_there(), "{inside}");
        }
        // The folder that was named may itself be reached by a link; a file that was named, too.
        symlink(&set, dir.path().join("latest")).unwrap();
        assert_eq!(Found::below(&dir.path().join("latest"), "DataBase/log").read(7).unwrap(), b"content");
        assert_eq!(Found::named(set.join("inner-link")).read(7).unwrap(), b"content");
        // Who names something else has the wrong name; of what lies in a set it is damage.
        for (named, code) in [
            ("pipe", Hresult::ERROR_NOT_SUPPORTED),
            ("socket", Hresult::ERROR_NOT_SUPPORTED),
            ("endless", Hresult::ERROR_NOT_SUPPORTED),
            ("DataBase", Hresult::ERROR_DIRECTORY_NOT_SUPPORTED),
        ] {
            let error = Found::named(set.join(named)).open().unwrap_err();
            assert!(matches!(error, Error::NotAFile { by_name: true, .. }), "{named}: {error}");
            assert_eq!((error.hresult(), error.hresult().class()), (code, Class::Refused), "{named}");
            let error = Found::below(&set, named).open().unwrap_err();
            assert_eq!(error.hresult().class(), Class::Damaged, "{named}");
        }
        assert!(Found::below(&set, "absent").open().is_err_and(|error| error.is_not_found()));
    }

    #[cfg(unix)]
    #[test]
    fn step_by_step_it_is_the_same() {
        use std::os::unix::fs::symlink;
        let dir = folder();
        let set = dir.path().join("set");
        symlink("DataBase", set.join("Linked")).unwrap();
        let root = std::os::fd::OwnedFd::from(File::open(&set).unwrap());
        assert!(system::walk(&root, Path::new("DataBase")).is_ok());
        assert!(system::walk(&root, Path::new("Linked")).is_err());
        assert!(system::walk(&root, Path::new("absent")).is_err());
    }
}
