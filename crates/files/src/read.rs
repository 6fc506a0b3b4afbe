//! Reading a whole file that must not be large.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::error::{Error, IoContext, Result};
use crate::owner;

/// Reads a file of at most `limit` bytes. No more than `limit + 1` bytes are ever read or held. Of a pipe, which a person may
/// name as well, the end is waited for, until something asks to stop ([`cancel`](crate::cancel)).
///
/// # Errors
/// [`Error::Io`]; [`Error::TooLong`] when the file holds more; [`Error::Cancelled`] while a pipe is waited for.
///
/// ```
/// # fn main() -> certadm_files::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("note");
/// std::fs::write(&path, b"four").unwrap();
/// assert_eq!(certadm_files::read::bounded(&path, 4)?, b"four");
/// assert!(certadm_files::read::bounded(&path, 3).is_err());
/// # Ok(())
/// # }
/// ```
pub fn bounded(path: &Path, limit: u64) -> Result<Vec<u8>> {
    rest(&waiting::open(path).during("open", path)?, path, limit)
}

/// The bytes of a text file without the byte order mark that Windows PowerShell and Notepad put before UTF-8: it is no part of what
/// somebody wrote. `None` for UTF-16, which has another mark, and a NUL in every line end.
///
/// ```
/// use certadm_files::read::without_byte_order_mark;
///
/// assert_eq!(without_byte_order_mark(b"\xEF\xBB\xBFsecret"), Some(&b"secret"[..]));
/// assert_eq!(without_byte_order_mark(b"secret"), Some(&b"secret"[..]));
/// assert_eq!(without_byte_order_mark(b"\xFF\xFEs\0"), None);
/// ```
#[must_use]
pub fn without_byte_order_mark(bytes: &[u8]) -> Option<&[u8]> {
    let is_utf16 = matches!(bytes, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]) && bytes.contains(&0);
    (!is_utf16).then(|| bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes))
}

/// Reads settings: as [`bounded`], but refuses a regular file that everyone can change. Who changes it decides with whose rights
/// something is run, and where backups go.
///
/// # Errors
/// Those of [`bounded`]; [`Error::OpenToAll`] (0x80070005).
pub fn settings(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = waiting::open(path).during("open", path)?;
    if owner::is_open_to_all(&file) {
        return Err(Error::OpenToAll { path: path.to_owned() });
    }
    rest(&file, path, limit)
}

fn rest(file: &File, path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut content = space_for(file, limit);
    loop {
        waiting::until_readable(file, path)?;
        let room = limit.saturating_add(1).saturating_sub(content.len() as u64);
        match file.take(room).read_to_end(&mut content) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            ended => {
                ended.during("read", path)?;
                break;
            }
        }
    }
    if content.len() as u64 > limit {
        return Err(Error::TooLong { path: path.to_owned(), limit });
    }
    Ok(content)
}

/// Opening a pipe and reading from it do not hold the process: a signal that only sets a switch would not be seen.
#[cfg(unix)]
mod waiting {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::{Mode, OFlags};

    use crate::cancel;
    use crate::error::{IoContext, Result};

    /// How often the switch is looked at.
    const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

    pub(super) fn open(path: &Path) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
    }

    /// A regular file always is.
    pub(super) fn until_readable(file: &File, path: &Path) -> Result<()> {
        loop {
            let ready = poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&TICK));
            match ready.map_err(io::Error::from) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                ready => {
                    if ready.during("read", path)? != 0 {
                        return Ok(());
                    }
                }
            }
            cancel::check()?;
        }
    }
}

#[cfg(not(unix))]
mod waiting {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    use crate::error::Result;

    pub(super) fn open(path: &Path) -> io::Result<File> {
        File::open(path)
    }

    pub(super) fn until_readable(_file: &File, _path: &Path) -> Result<()> {
        Ok(())
    }
}

/// Space for all of a small file and one byte more, so that one call reads it and a second one sees its end. Without it a
/// file of 1 KiB takes seven calls, because the buffer grows from 32 bytes.
pub(crate) fn space_for(file: &File, limit: u64) -> Vec<u8> {
    const MOST: u64 = 1 << 20;
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    Vec::with_capacity(usize::try_from(length.min(limit).min(MOST)).unwrap_or(0).saturating_add(1))
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn settings_that_everyone_can_change_are_refused() {
        use std::os::unix::fs::PermissionsExt;

        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("settings");
        std::fs::write(&path, b"x").unwrap();
        for (mode, is_taken) in [(0o600, true), (0o664, true), (0o666, false), (0o602, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let read = settings(&path, 1);
            assert_eq!(read.is_ok(), is_taken, "{mode:o}: {read:?}");
            assert!(is_taken || matches!(read, Err(Error::OpenToAll { .. })), "{mode:o}: {read:?}");
            assert_eq!(bounded(&path, 1).unwrap(), b"x");
        }
    }

    #[test]
    fn a_pipe_is_read_to_its_end_whenever_it_is_written_to() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        let part = vec![b'x'; 100_000];
        let reader = std::thread::spawn({
            let path = path.clone();
            move || bounded(&path, 1 << 20)
        });
        let mut writer = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        for _ in 0..5 {
            writer.write_all(&part).unwrap();
        }
        drop(writer);
        assert_eq!(reader.join().unwrap().unwrap(), part.repeat(5));
    }

    #[test]
    fn what_is_no_file_has_bounds_too() {
        assert!(matches!(bounded(Path::new("/dev/zero"), 1000), Err(Error::TooLong { .. })));
        assert_eq!(bounded(Path::new("/dev/null"), 0).unwrap(), b"");
        assert!(matches!(bounded(Path::new("/"), 1000), Err(Error::Io { .. })));
    }
}
