//! Where a service of this machine has its Unix socket.
//!
//! `certadm serve` makes the usual one, `/run/certadm/certadm.sock`; each service of the unit `certadm@NAME` has its own,
//! `/run/certadm-NAME/certadm.sock`. Only root can make folders in `/run`, so what is found there is a service's.

use std::path::{Path, PathBuf};

use crate::error::Error;

/// The socket of a service that runs without the unit, unless something says otherwise (docs/remote.md, "The socket").
pub const STANDARD_SOCKET: &str = "/run/certadm/certadm.sock";
/// The name of a socket in the folder of its service.
#[cfg(unix)]
const NAME: &str = "certadm.sock";
/// How the folders of services begin; the unit adds `-NAME`.
#[cfg(unix)]
const FOLDER: &str = "certadm";

/// The socket of the one service of this machine; the usual one where there is none at all.
///
/// # Errors
/// [`Error::SeveralSockets`].
pub(crate) fn of_this_machine() -> Result<PathBuf, Error> {
    only(Path::new("/run"))
}

fn only(run: &Path) -> Result<PathBuf, Error> {
    let mut found = sockets_in(run);
    if 1 < found.len() {
        // A killed service leaves its name behind.
        let answering: Vec<PathBuf> = found.iter().filter(|path| answers(path)).cloned().collect();
        if !answering.is_empty() {
            found = answering;
        }
    }
    match found.len() {
        0 => Ok(STANDARD_SOCKET.into()),
        1 => Ok(found.remove(0)),
        _ => Err(Error::SeveralSockets { sockets: found }),
    }
}

#[cfg(unix)]
fn sockets_in(run: &Path) -> Vec<PathBuf> {
    use std::os::unix::fs::FileTypeExt;
    let is_ours =
        |name: &str| name.strip_prefix(FOLDER).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    let mut found: Vec<PathBuf> = std::fs::read_dir(run)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(is_ours))
        .map(|entry| entry.path().join(NAME))
        .filter(|path| path.metadata().is_ok_and(|metadata| metadata.file_type().is_socket()))
        .collect();
    found.sort();
    found
}

#[cfg(not(unix))]
fn sockets_in(_run: &Path) -> Vec<PathBuf> {
    Vec::new()
}

#[cfg(unix)]
fn answers(path: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(path).is_ok()
}

#[cfg(not(unix))]
fn answers(_path: &Path) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn the_one_service_that_runs_is_found() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(only(run.path()).unwrap(), Path::new(STANDARD_SOCKET));
        let listen = |folder: &str| {
            let dir = run.path().join(folder);
            std::fs::create_dir_all(&dir).unwrap();
            let path = dir.join(NAME);
            (UnixListener::bind(&path).unwrap(), path)
        };
        let (_other, _) = listen("certadmin");
        let (one, first) = listen("certadm-one");
        assert_eq!(only(run.path()).unwrap(), first);
        let (_two, second) = listen("certadm");
        let Err(Error::SeveralSockets { sockets }) = only(run.path()) else { panic!("which of two?") };
        assert_eq!(sockets, [second.clone(), first]);
        drop(one);
        assert_eq!(only(run.path()).unwrap(), second, "a name that is left over does not count");
    }
}
