//! A file that events are appended to. Its name often comes from the environment, so that it is opened with care: whoever
//! can create names in its folder must not choose what is written to.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use crate::error::{IoContext, Result};

/// Opens the file, or creates it for its owner alone (mode 0600).
///
/// # Errors
/// [`crate::Error::Io`] when it cannot be opened; when it is a link, no regular file, has a second name or another owner;
/// and in a program that runs with the rights of another account than its caller's.
pub fn open(path: &Path) -> Result<File> {
    let opened = check_rights().and_then(|()| options().open(path));
    let file = opened.during("open the event file", path)?;
    check(&file).during("use as the event file", path)?;
    Ok(file)
}

#[cfg(unix)]
fn options() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;
    let mut options = OpenOptions::new();
    // Without NONBLOCK the opening of a pipe would wait for its reader.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.append(true).create(true).mode(0o600).custom_flags(flags.bits().cast_signed());
    options
}

#[cfg(not(unix))]
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(windows)]
    std::os::windows::fs::OpenOptionsExt::custom_flags(&mut options, OPEN_REPARSE_POINT);
    options
}

/// `FILE_FLAG_OPEN_REPARSE_POINT`: a link itself is opened, not what it leads to.
#[cfg(windows)]
const OPEN_REPARSE_POINT: u32 = 0x0020_0000;

fn check(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    if !metadata.file_type().is_file() {
        return Err(refused("it is no regular file"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(refused("it belongs to another account"));
        }
        if metadata.nlink() != 1 {
            return Err(refused("it has a second name"));
        }
    }
    Ok(())
}

/// A caller must not have files written that only the program's own account may write.
#[cfg(unix)]
fn check_rights() -> io::Result<()> {
    use rustix::process::{getegid, geteuid, getgid, getuid};
    if getuid() == geteuid() && getgid() == getegid() {
        Ok(())
    } else {
        Err(refused("the program runs with the rights of another account"))
    }
}

#[cfg(not(unix))]
fn check_rights() -> io::Result<()> {
    Ok(())
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn it_is_its_owners_alone_and_grows() {
        let work = tempfile::tempdir().unwrap();
        let path = work.path().join("events");
        for _ in 0..2 {
            open(&path).unwrap().write_all(b"line\n").unwrap();
        }
        assert_eq!(fs::read(&path).unwrap(), b"line\nline\n");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn no_link_and_nothing_but_a_file_is_taken() {
        let work = tempfile::tempdir().unwrap();
        let path = |name: &str| work.path().join(name);
        fs::write(path("victim"), "untouched").unwrap();
        symlink(path("victim"), path("link")).unwrap();
        symlink(path("absent"), path("dangling")).unwrap();
        fs::hard_link(path("victim"), path("hard")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        for name in ["link", "dangling", "hard", "pipe", "."] {
            assert!(open(&path(name)).is_err(), "{name}");
        }
        assert!(open(Path::new("/dev/null")).is_err());
        assert_eq!(fs::read(path("victim")).unwrap(), b"untouched");
        assert!(!path("absent").exists());
    }
}
