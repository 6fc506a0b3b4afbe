//! What the service takes from itself before it meets anybody: every file that it does not need, every program, every TCP
//! connection of its own. A fault in it then reaches no further than the CA's folder.
//!
//! Linux does this by Landlock, and every thread that is started later inherits it. An old kernel, or one without Landlock,
//! does less or nothing of it: the log says which.

use std::path::{Path, PathBuf};

/// What a service may touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Folders in which it may read, make, change and remove files.
    pub folders: Vec<PathBuf>,
    /// Folders in which it may make and remove a socket, and read nothing.
    pub sockets: Vec<PathBuf>,
    /// Files that it may read.
    pub readable: Vec<PathBuf>,
}

/// How much of it the system does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confined {
    /// All of it.
    Wholly,
    /// A part: the kernel is older than Linux 6.10.
    Partly,
    /// Nothing: no Landlock.
    Not,
}

impl Reach {
    /// What serving the CA of `folder` needs, with a Unix socket in the folder `socket_dir`, and a keytab. A keytab that lies
    /// outside of the CA's folder is reached as the file that it is now: one that takes its name later is not. Beside them: SQLite takes random bytes from a
    /// device, and who holds a lock stands in `/proc/locks`.
    #[must_use]
    pub fn of_service(
        folder: &certadm_store::Folder,
        socket_dir: Option<&Path>,
        keytab: Option<&Path>,
    ) -> Self {
        // Parts of the folder may be links to elsewhere.
        let parts = folder.parts().into_iter().map(|(part, _)| part);
        let folders = parts.filter_map(|part| part.canonicalize().ok()).collect();
        let sockets = socket_dir.and_then(|dir| dir.canonicalize().ok()).into_iter().collect();
        let mut readable = vec!["/dev/urandom".into(), "/proc/locks".into()];
        readable.extend(keytab.map(Path::to_owned));
        Self { folders, sockets, readable }
    }
}

/// Confines this thread, and all threads that it starts from now on, for good: they reach what `reach` says and no other file,
/// start no program, connect to no TCP port, and get no rights from set-user-id programs. What is open stays open.
///
/// # Errors
/// A sentence, when the kernel has Landlock and refuses. The thread is then as it was.
#[cfg(target_os = "linux")]
pub fn confine(reach: &Reach) -> Result<Confined, String> {
    use landlock::{
        ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
        path_beneath_rules,
    };
    // Devices' own commands are the last thing that is taken (Linux 6.10). Later kinds are left as they are.
    let all = AccessFs::from_all(ABI::V5);
    let status = Ruleset::default()
        .handle_access(all)
        .and_then(|rules| rules.handle_access(AccessNet::ConnectTcp))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.add_rules(path_beneath_rules(&reach.folders, all & !AccessFs::Execute)))
        .and_then(|rules| {
            rules.add_rules(path_beneath_rules(&reach.sockets, AccessFs::MakeSock | AccessFs::RemoveFile))
        })
        .and_then(|rules| rules.add_rules(path_beneath_rules(&reach.readable, AccessFs::ReadFile)))
        .and_then(|rules| rules.restrict_self())
        .map_err(|error| error.to_string())?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Confined::Wholly,
        RulesetStatus::PartiallyEnforced => Confined::Partly,
        RulesetStatus::NotEnforced => Confined::Not,
    })
}

/// This system has no Landlock.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn confine(_reach: &Reach) -> Result<Confined, String> {
    Ok(Confined::Not)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};
    use std::process::Command;

    use super::*;

    /// Each attempt in a thread of its own, which alone is confined.
    #[test]
    fn a_confined_thread_reaches_its_folder_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("ca");
        let beside = dir.path().join("run");
        let outside = beside.join("secret");
        fs::create_dir(&inside).unwrap();
        fs::create_dir(&beside).unwrap();
        fs::write(&outside, "x").unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let reach = Reach {
                folders: vec![inside.clone()],
                sockets: vec![beside.clone()],
                readable: vec!["/dev/urandom".into()],
            };
            match confine(&reach).unwrap() {
                Confined::Not => return eprintln!("SKIPPED: this kernel has no Landlock"),
                Confined::Partly => eprintln!("this kernel does a part of it"),
                Confined::Wholly => {
                    let refused = TcpStream::connect(address).unwrap_err();
                    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
                }
            }
            let denied = |result: std::io::Result<()>, what: &str| {
                assert_eq!(result.unwrap_err().kind(), ErrorKind::PermissionDenied, "{what}");
            };
            denied(fs::read(&outside).map(drop), "a file beside the socket");
            denied(fs::read(inside.join("link")).map(drop), "the same through a link");
            denied(fs::read("/etc/passwd").map(drop), "a file that everybody may read");
            denied(fs::write(outside.with_file_name("new"), ""), "a new file");
            denied(fs::read_dir(&beside).map(drop), "a listing of where the socket is");
            drop(std::os::unix::net::UnixListener::bind(beside.join("socket")).unwrap());
            fs::remove_file(beside.join("socket")).unwrap();
            denied(fs::read_dir("/").map(drop), "a listing");
            denied(Command::new("/bin/true").spawn().map(drop), "a program");
            denied(fs::write("/dev/urandom", "x"), "writing where it may read");
            fs::write(inside.join("a"), "x").unwrap();
            fs::rename(inside.join("a"), inside.join("b")).unwrap();
            fs::create_dir(inside.join("c")).unwrap();
            assert_eq!(fs::read(inside.join("b")).unwrap(), b"x");
            fs::remove_file(inside.join("b")).unwrap();
            fs::File::open("/dev/urandom").unwrap();
            let child = std::thread::spawn(move || fs::read(&outside).unwrap_err().kind());
            assert_eq!(child.join().unwrap(), ErrorKind::PermissionDenied, "a thread that it starts");
        })
        .join()
        .unwrap();
        fs::read("/etc/passwd").unwrap();
    }
}
