//! File operations that survive a crash: write, flush the file, rename, flush the folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext, Result};
use crate::owner;
use crate::temporary::Temporary;

/// Who may read a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The owner alone (mode 0600); on Windows the folder decides.
    Owner,
    /// Those who may read the folder that it goes into, within the umask: mode 0666 without what either of them lacks. On
    /// Windows the folder decides.
    Public,
    /// Those who may write to the folder that it goes into, within the umask: what is locked, because whoever can open it can
    /// hold it. On Windows the folder decides.
    Writers,
    /// Everyone, within the umask (mode 0644), whoever may read the folder; on Windows the folder decides.
    Everyone,
}

/// Creates a file that is not there yet and opens it for reading and writing.
///
/// # Errors
/// [`Error::Exists`] when the name is taken, by a link too; [`Error::Io`].
pub fn open_new(path: &Path, access: Access) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    restrict(&mut options, access, path);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(Error::Exists { path: path.to_owned() })
        }
        other => {
            let file = other.during("create", path)?;
            owner::give_to_owner_of_folder(&file, path)?;
            Ok(file)
        }
    }
}

/// Creates a file in the place of one that is there, and opens it for reading and writing: for a temporary name that an
/// interrupted run may have left behind. The old file is removed and not emptied: in a stranger's folder it may be a link,
/// or a second name of a file elsewhere, which would be emptied instead.
///
/// # Errors
/// [`Error::Io`]; [`Error::Exists`] when somebody puts another one there meanwhile.
pub fn open_emptied(path: &Path) -> Result<File> {
    match open_new(path, Access::Public) {
        Err(Error::Exists { .. }) => {
            remove_if_there(path)?;
            open_new(path, Access::Public)
        }
        other => other,
    }
}

/// Opens a file for reading and writing, and creates it empty where there is none: for lock files and the like, which
/// those who may only read the folder cannot open. A link in its place is refused.
///
/// # Errors
/// [`Error::Io`].
pub fn open_or_create(path: &Path) -> Result<File> {
    loop {
        match open_itself(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other.during("open", path),
        }
        match open_new(path, Access::Writers) {
            // Another process was faster. A link that leads nowhere is there for one and not for the other.
            Err(Error::Exists { .. }) if path.exists() => {}
            other => return other,
        }
    }
}

/// Opens a file for reading and writing, and follows no link in its place.
fn open_itself(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags.bits().cast_signed());
    }
    options.open(path)
}

fn restrict(options: &mut OpenOptions, access: Access, path: &Path) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(
        options,
        match access {
            Access::Owner => 0o600,
            Access::Public => owner::file_mode(path),
            Access::Writers => owner::writers_mode(path),
            Access::Everyone => 0o644,
        },
    );
    // Windows gives a new file the rights of its folder.
    #[cfg(not(unix))]
    let _ = (options, access, path);
}

/// Writes a new file under its own name and flushes it; what could not be written completely is removed. A crash can
/// leave a part of it: [`create`] never does, but needs a file system with hard links.
///
/// # Errors
/// [`Error::Exists`], [`Error::Io`].
pub fn write_new(path: &Path, content: &[u8]) -> Result<()> {
    let mut file = open_new(path, Access::Public)?;
    let written = file.write_all(content).and_then(|()| file.sync_all()).during("write", path);
    if written.is_err() {
        fs::remove_file(path).ok(); // best effort: the write's own error is the one to report
    }
    written
}

/// Writes a new file that is there completely or not at all: temporary file, flush, name, flush of the folder. An existing
/// file is never replaced: of several who create one at a time, one does.
///
/// # Errors
/// [`Error::Exists`], [`Error::Io`].
pub fn create(path: &Path, content: &[u8], access: Access) -> Result<()> {
    let (temporary, file) = Temporary::open(path, |temporary| open_new(temporary, access))?;
    write_flushed(file, temporary.path(), content)?;
    // A hard link, unlike a rename, fails when the name is taken.
    match fs::hard_link(temporary.path(), path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Error::Exists { path: path.to_owned() });
        }
        Err(error) => return Err(error).during("create", path),
    }
    temporary.remove()?;
    sync_parent(path)
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).during("remove", path),
        _ => Ok(()),
    }
}

/// Flushes a file with its data and its length.
///
/// # Errors
/// [`Error::Io`].
pub fn flush(file: &File, path: &Path) -> Result<()> {
    file.sync_all().during("flush", path)
}

/// Flushes the data of a file, and its length as far as the data needs it; times may wait.
///
/// # Errors
/// [`Error::Io`].
pub fn flush_data(file: &File, path: &Path) -> Result<()> {
    file.sync_data().during("flush", path)
}

/// Renames a file or folder. The caller flushes the folders concerned ([`sync_parent`]).
///
/// # Errors
/// [`Error::Io`] with the new name.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).during("rename into place", to)
}

/// Flushes a folder, so that names created, renamed or removed in it are durable. Windows flushes no folders: there the
/// file system's own journal keeps names in order, and this only makes sure that the folder is there.
///
/// # Errors
/// [`Error::Io`] with the folder's path.
pub fn sync_dir(dir: &Path) -> Result<()> {
    #[cfg(unix)]
    let flushed = fs::File::open(dir).and_then(|file| file.sync_all());
    #[cfg(not(unix))]
    let flushed = fs::read_dir(dir).map(drop);
    flushed.during("flush", dir)
}

/// Puts `bytes` at `path` so that a reader sees the old file or the whole new one, whatever happens in between.
///
/// # Errors
/// [`Error::Io`]; the old file is then untouched.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_with(path, bytes, |temporary| open_new(temporary, Access::Public))
}

/// As [`replace`], for what nobody but the owner may read: the new file has mode 0600 from its first byte on, and is never
/// one that somebody else has put there before. On Windows the rights of the folder decide.
///
/// # Errors
/// [`Error::Io`]; the old file is then untouched.
pub fn replace_private(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_with(path, bytes, |temporary| open_new(temporary, Access::Owner))
}

/// As [`replace`], for what another account has to read: the new file has mode 0644 whatever the umask, and the folder decides who
/// comes to it. On Windows the rights of the folder decide.
///
/// # Errors
/// As [`replace`].
pub fn replace_readable(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_with(path, bytes, |temporary| {
        let file = open_new(temporary, Access::Public)?;
        owner::set_mode(&file, 0o644, temporary)?;
        Ok(file)
    })
}

/// As [`replace`], for what others fetch, such as a CRL: those may read it who may read its folder, whatever the umask of the job
/// that made it, and its owner alone may write to it. On Windows the rights of the folder decide.
///
/// # Errors
/// As [`replace`].
pub fn replace_published(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_with(path, bytes, |temporary| {
        let file = open_new(temporary, Access::Public)?;
        owner::set_mode(&file, owner::published_mode(path), temporary)?;
        Ok(file)
    })
}

/// Renames a file that others fetch into its place, where those may read it who may read the folder, and flushes that.
///
/// # Errors
/// [`Error::Io`].
pub fn rename_published(from: &Path, to: &Path) -> Result<()> {
    let file = fs::File::open(from).during("open", from)?;
    owner::set_mode(&file, owner::published_mode(to), from)?;
    drop(file);
    rename(from, to)?;
    sync_parent(to)
}

/// Writes the file that `open` gives beside `path`, and renames it.
fn replace_with(path: &Path, bytes: &[u8], open: impl FnOnce(&Path) -> Result<File>) -> Result<()> {
    let (temporary, file) = Temporary::open(path, open)?;
    write_flushed(file, temporary.path(), bytes)?;
    temporary.place(path)?;
    sync_parent(path)
}

/// Flushes the folder that holds `path`.
///
/// # Errors
/// As [`sync_dir`].
pub fn sync_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => sync_dir(dir),
        _ => sync_dir(Path::new(".")),
    }
}

/// Removes a file if it is there and flushes its folder.
///
/// # Errors
/// [`Error::Io`] unless the file was absent.
pub fn remove_if_present(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).during("remove", path),
    }
}

/// Creates a folder, with its parents, and flushes the folder that now names it. A folder that is there is fine.
///
/// # Errors
/// [`Error::Io`] unless it exists afterwards.
pub fn create_dir(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return match sync_parent(dir) {
            // Whoever may not look into the folder above has made nothing in it that would have to be flushed.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            other => other,
        };
    }
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.is_dir()) {
        create_dir(parent)?;
    }
    match create_new_dir(dir) {
        // Another process was faster.
        Err(Error::Exists { .. }) if dir.is_dir() => {}
        Err(Error::Exists { path }) => return Err(no_folder(&path)).during("create", &path),
        other => other?,
    }
    sync_parent(dir)
}

/// Refuses a folder that [`create_dir`] could not make, because it or one above it has the name of a file, or of a
/// link that leads to no folder. For commands that work long before they create it. Rights are not looked at.
///
/// # Errors
/// As [`create_dir`] for such a name.
pub fn refuse_no_folder(dir: &Path) -> Result<()> {
    let above = dir.ancestors().filter(|path| !path.as_os_str().is_empty());
    let missing: Vec<&Path> = above.take_while(|path| !path.is_dir()).collect();
    match missing.into_iter().rev().find(|path| path.symlink_metadata().is_ok()) {
        Some(path) => Err(no_folder(path)).during("create", path),
        None => Ok(()),
    }
}

/// Why a name that is taken is not that of a folder.
fn no_folder(path: &Path) -> io::Error {
    let is_link = path.symlink_metadata().is_ok_and(|found| found.is_symlink());
    let what = if is_link { "it is a link that leads to no folder" } else { "it is not a folder" };
    io::Error::new(io::ErrorKind::AlreadyExists, what)
}

/// As [`create_dir`], with a mode of its own within the umask, should it not be there. On Windows the folder that it goes into
/// decides.
///
/// # Errors
/// As [`create_dir`].
pub fn create_dir_as(dir: &Path, mode: u32) -> Result<()> {
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.is_dir()) {
        create_dir(parent)?;
    }
    match make_dir(dir, Some(mode)) {
        Err(Error::Exists { .. }) => create_dir(dir),
        other => other.and_then(|()| sync_parent(dir)),
    }
}

/// Creates a folder that is not there yet, in a folder that is. The caller flushes the latter ([`sync_parent`]).
///
/// # Errors
/// [`Error::Exists`], [`Error::Io`].
pub fn create_new_dir(dir: &Path) -> Result<()> {
    make_dir(dir, None)
}

/// The same, for its owner alone (0700), whatever the folder is open to that it goes into.
///
/// # Errors
/// As [`create_new_dir`].
pub fn create_private_dir(dir: &Path) -> Result<()> {
    make_dir(dir, Some(0o700))
}

/// Creates a folder with this mode, or else that of the folder that it goes into.
fn make_dir(dir: &Path, mode: Option<u32>) -> Result<()> {
    #[cfg(unix)]
    let created = {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new().mode(mode.unwrap_or_else(|| owner::folder_mode(dir))).create(dir)
    };
    #[cfg(not(unix))]
    let (created, _) = (fs::create_dir(dir), mode);
    match created {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Error::Exists { path: dir.to_owned() });
        }
        other => other.during("create", dir)?,
    }
    #[cfg(unix)]
    {
        use rustix::fs::{Mode, OFlags};
        // What has taken the new folder's place since is not followed.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened =
            rustix::fs::open(dir, flags, Mode::empty()).map_err(io::Error::from).during("open", dir)?;
        owner::give_to_owner_of_folder(&File::from(opened), dir)?;
    }
    Ok(())
}

/// Takes a folder from all but its owner: mode 0700. A link in its place is refused. On Windows its rights stay.
///
/// # Errors
/// [`Error::Io`].
pub fn make_private(dir: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::open(dir, flags, Mode::empty())
            .and_then(|folder| rustix::fs::fchmod(folder, Mode::RWXU))
            .map_err(io::Error::from)
            .during("set the mode of", dir)?;
    }
    #[cfg(not(unix))]
    let _ = dir;
    Ok(())
}

/// The name under which a file is written before it is renamed to `path`, by one process at a time: that of the owner of a CA's logs.
pub fn temporary_beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn write_flushed(mut file: File, path: &Path, bytes: &[u8]) -> Result<()> {
    file.write_all(bytes).during("write", path)?;
    flush(&file, path)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_file_is_its_owners_alone_whatever_lay_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        for content in ["old", "new"] {
            // What is replaced is readable by all.
            fs::write(&path, "x").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            replace_private(&path, content.as_bytes()).unwrap();
            assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode()), (content, 0o600));
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_readable_file_can_be_read_by_all_who_come_to_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let path = dir.path().join("request");
        for content in ["old", "new"] {
            replace_readable(&path, content.as_bytes()).unwrap();
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode), (content, 0o644));
        }
    }

    /// A CRL in a folder that a web server reads: neither the umask of a job nor where it was laid down before decides.
    #[test]
    fn what_is_published_can_be_read_by_all_who_may_read_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (path, staged) = (dir.path().join("ca.crl"), dir.path().join("staged"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for (folder, file) in [(0o777, 0o644), (0o755, 0o644), (0o770, 0o640), (0o700, 0o600)] {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(folder)).unwrap();
            replace_published(&path, b"new").unwrap();
            assert_eq!(mode(&path), file);
            fs::write(&staged, "staged").unwrap();
            fs::set_permissions(&staged, fs::Permissions::from_mode(0o600)).unwrap();
            rename_published(&staged, &path).unwrap();
            assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("staged", file));
        }
    }

    /// A folder of an account's own, in one of another account through which it may only pass. Root may look into any.
    #[test]
    fn a_folder_that_is_there_is_fine_where_the_one_above_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let above = dir.path().join("above");
        fs::create_dir_all(above.join("own")).unwrap();
        fs::set_permissions(&above, fs::Permissions::from_mode(0o311)).unwrap();
        create_dir(&above.join("own")).unwrap();
        create_dir_as(&above.join("own"), 0o700).unwrap();
        fs::set_permissions(&above, fs::Permissions::from_mode(0o711)).unwrap();
    }

    /// In a folder that is a stranger's, the temporary name may be a link, or a second name of a file.
    #[test]
    fn what_a_planted_name_leads_to_stays_as_it_is() {
        use std::os::unix::fs::symlink;

        let dir = tempfile::tempdir().unwrap();
        let (path, planted) = (dir.path().join("manifest.json"), dir.path().join("manifest.json.new"));
        let victim = dir.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        let nowhere = dir.path().join("nowhere");
        let plants: [&dyn Fn(); 3] =
            [&|| symlink(&victim, &planted).unwrap(), &|| fs::hard_link(&victim, &planted).unwrap(), &|| {
                symlink(&nowhere, &planted).unwrap();
            }];
        for plant in plants {
            for replace in [replace, replace_private] {
                plant();
                replace(&path, b"new").unwrap();
                assert_eq!(fs::read(&path).unwrap(), b"new");
                assert!(path.symlink_metadata().unwrap().is_file());
                fs::remove_file(&planted).unwrap();
            }
            plant();
            open_emptied(&planted).unwrap().write_all(b"log").unwrap();
            assert_eq!(fs::read(&planted).unwrap(), b"log");
            fs::remove_file(&planted).unwrap();
            assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
            assert!(!nowhere.exists());
        }
    }

    #[test]
    fn what_cannot_be_put_into_place_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a-folder");
        fs::create_dir(&path).unwrap();
        for replace in [replace, replace_private] {
            assert!(replace(&path, b"x").is_err());
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn create_never_overwrites() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        create(&path, b"one", Access::Owner).unwrap();
        assert!(matches!(create(&path, b"two", Access::Owner), Err(Error::Exists { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(matches!(write_new(&path, b"three"), Err(Error::Exists { .. })));
    }

    #[test]
    fn a_secret_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create(&path, b"secret", Access::Owner).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    /// With one temporary name for all, who was first gave its file the content of another, and told that it was its own.
    #[test]
    fn of_several_at_a_time_one_creates_and_each_replaces_as_a_whole() {
        const AT_ONCE: u8 = 8;
        let folder = tempfile::tempdir().unwrap();
        let content = |number: u8| vec![number; 100_000];
        for round in 0..20 {
            let path = folder.path().join(format!("file-{round}"));
            let begin = std::sync::Barrier::new(AT_ONCE.into());
            let at_once = |work: &(dyn Fn(u8) -> bool + Sync)| -> Vec<u8> {
                std::thread::scope(|scope| {
                    let works = (0..AT_ONCE).map(|number| {
                        let begin = &begin;
                        scope.spawn(move || {
                            begin.wait();
                            work(number).then_some(number)
                        })
                    });
                    let works: Vec<_> = works.collect();
                    works.into_iter().filter_map(|work| work.join().unwrap()).collect()
                })
            };
            let created = at_once(&|number| match create(&path, &content(number), Access::Owner) {
                Err(Error::Exists { path: taken }) => {
                    assert_eq!(taken, path);
                    false
                }
                other => other.map(|()| true).unwrap(),
            });
            assert_eq!(created.len(), 1, "{created:?}");
            assert!(fs::read(&path).unwrap() == content(created[0]), "it is that of another");
            let replaced = at_once(&|number| {
                replace(&path, &content(number)).unwrap();
                let whole = fs::read(&path).unwrap();
                whole == content(whole[0])
            });
            assert_eq!(replaced.len(), AT_ONCE.into(), "a file was there in part");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 20);
    }

    #[test]
    fn a_name_may_be_as_long_as_systems_take() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a".repeat(255), "ä".repeat(127)] {
            let path = folder.path().join(name);
            create(&path, b"new", Access::Owner).unwrap();
            replace(&path, b"other").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"other");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_a_killed_process_has_left_goes_with_the_next_try() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let other = folder.path().join(".key.pem.0123abcd.unfinished-4194999");
        for write in [|path: &Path| create(path, b"x", Access::Owner), |path: &Path| replace(path, b"y")] {
            // No process has a number so high.
            fs::write(folder.path().join(".key.0123abcd.unfinished-4194999"), "left").unwrap();
            fs::write(&other, "of another name").unwrap();
            write(&path).unwrap();
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
            assert!(other.exists());
        }
        crate::unfinished::remove_abandoned(folder.path()).unwrap();
        assert!(!other.exists());
    }
}
