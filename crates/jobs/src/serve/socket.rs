//! The Unix socket of the agent's page: who may connect is decided by the mode of its file, from the first moment on.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::unistd::Group;
use rustix::fs::{Mode, fchmod};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};

use crate::config::Socket;

/// So many callers wait to be taken.
const WAITING: i32 = 32;

/// The name of a socket that listens. It is removed when this is dropped.
#[derive(Debug)]
pub(super) struct SocketName(PathBuf);

impl Drop for SocketName {
    fn drop(&mut self) {
        // A name that is left over is replaced at the next start.
        fs::remove_file(&self.0).ok();
    }
}

/// Makes the socket. A name that a killed agent left behind is replaced; one that answers is not.
///
/// # Errors
/// Those of the system; [`ErrorKind::InvalidInput`] for a group that is not there.
pub(super) fn open(socket: &Socket) -> io::Result<(UnixListener, SocketName)> {
    let group = socket.group.as_deref().map(number_of).transpose()?;
    let path = &socket.path;
    let listener = match bound(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_socket(path) => {
            if UnixStream::connect(path).is_ok() {
                return Err(io::Error::new(ErrorKind::AddrInUse, "another process answers there"));
            }
            fs::remove_file(path)?;
            bound(path)
        }
        other => other,
    }?;
    let name = SocketName(path.clone());
    if let Some(group) = group {
        std::os::unix::fs::lchown(path, None, Some(group))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    }
    Ok((listener, name))
}

/// The mode is that of the descriptor, so that there is no moment at which somebody else could connect.
fn bound(path: &Path) -> io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket: OwnedFd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, WAITING)?;
    Ok(UnixListener::from(socket))
}

fn number_of(group: &str) -> io::Result<u32> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let found = Group::from_name(group).map_err(io::Error::from)?;
    let unknown = || io::Error::new(ErrorKind::InvalidInput, format!("there is no group {group}"));
    found.map(|group| group.gid.as_raw()).ok_or_else(unknown)
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_its_owners_and_one_that_answers_is_left_alone() {
        let folder = certadm_files::scratch::for_test();
        let path = folder.path().join("page.sock");
        let socket = Socket { path: path.clone(), group: None };
        let (listener, name) = open(&socket).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(open(&socket).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(listener);
        std::mem::forget(name);
        // As a killed agent leaves it.
        let (listener, name) = open(&socket).unwrap();
        drop((listener, name));
        assert!(!path.exists());
        fs::write(&path, "a file").unwrap();
        assert!(open(&socket).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
    }

    #[test]
    fn a_group_may_connect_and_one_that_is_not_there_is_told() {
        let folder = certadm_files::scratch::for_test();
        let path = folder.path().join("page.sock");
        let own = rustix::process::getegid().as_raw();
        let (_listener, _name) = open(&Socket { path: path.clone(), group: Some(own.to_string()) }).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        let unknown = Socket { path: folder.path().join("other"), group: Some("no-such-group".to_owned()) };
        assert_eq!(open(&unknown).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
