//! What the owner of a CA's database leaves in its lock file: who he is, and where others reach the CA through him.
//!
//! Example of a service:
//!
//! ```text
//! certadm, process 4711, since 2026-11-27T16:00:00Z
//! listen 192.0.2.7:135
//! socket /run/certadm-example/certadm.sock
//! ```
//!
//! A command that finds the CA owned so knows the way through the service, wherever its socket is.

use std::fmt;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where a service that owns a CA is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Serving {
    /// Its object resolver; none where the owner is no service.
    pub listen: Option<SocketAddr>,
    /// Its Unix socket.
    pub socket: Option<PathBuf>,
}

/// Who owns a CA's database. Whoever may write into the CA's folder has written it, so it is good for messages and for the
/// choice of a socket, whose service then has to prove which CA it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    who: String,
    serving: Serving,
}

impl Holder {
    /// Reads the lock file of an owner; nothing when he has left no word that is understood.
    pub(crate) fn read(lock: &Path) -> Option<Self> {
        // Twice the longest path of the system, and two short lines.
        const LONGEST: u64 = 8 << 10;
        Self::parse(&certadm_files::read::bounded(lock, LONGEST).ok()?)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        const LONGEST: usize = 200;
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let who = str::from_utf8(lines.next()?).ok()?.to_owned();
        let is_plain = who.chars().all(|letter| letter.is_ascii_graphic() || letter == ' ');
        if who.is_empty() || LONGEST < who.len() || !is_plain {
            return None;
        }
        let mut serving = Serving::default();
        for line in lines {
            if let Some(address) = line.strip_prefix(b"listen ") {
                serving.listen = str::from_utf8(address).ok().and_then(|address| address.parse().ok());
            } else if let Some(path) = line.strip_prefix(b"socket ") {
                serving.socket = path_of(path).filter(|path| path.is_absolute());
            }
        }
        Some(Self { who, serving })
    }

    /// Where it is reached.
    #[must_use]
    pub const fn serving(&self) -> &Serving {
        &self.serving
    }

    /// Whether it serves the CA, and is not a command at work.
    #[must_use]
    pub const fn is_service(&self) -> bool {
        self.serving.listen.is_some()
    }
}

impl fmt::Display for Holder {
    /// Which program, which process, since when.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.who)
    }
}

/// Writes into the lock file who holds it. Best effort: without it, a refusal only says less.
pub(crate) fn leave_word(file: &File, serving: &Serving) {
    #[cfg(unix)]
    {
        use certadm_files::OffsetIo;
        let words = words(serving);
        file.set_len(0).and_then(|()| file.write_all_at(&words, 0)).ok();
    }
    // A locked file cannot be read on Windows.
    #[cfg(not(unix))]
    let _ = (file, serving);
}

#[cfg(unix)]
fn words(serving: &Serving) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
    let (process, since) = (std::process::id(), crate::time::now().to_rfc3339());
    let mut words =
        format!("{}, process {process}, since {since}\n", program.unwrap_or("a program")).into_bytes();
    if let Some(address) = serving.listen {
        words.extend_from_slice(format!("listen {address}\n").as_bytes());
    }
    let socket = serving.socket.as_deref().and_then(|path| std::path::absolute(path).ok());
    if let Some(path) = socket.filter(|path| !path.as_os_str().as_bytes().contains(&b'\n')) {
        words.extend_from_slice(&[b"socket ", path.as_os_str().as_bytes(), b"\n"].concat());
    }
    words
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    (!bytes.is_empty()).then(|| std::ffi::OsStr::from_bytes(bytes).into())
}

#[cfg(not(unix))]
fn path_of(_bytes: &[u8]) -> Option<PathBuf> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_an_owner_leaves_is_read_again() {
        use std::os::unix::ffi::OsStrExt;
        let socket = PathBuf::from(std::ffi::OsStr::from_bytes(b"/run/a \xff/s"));
        let serving = Serving { listen: Some("[::1]:135".parse().unwrap()), socket: Some(socket) };
        let service = Holder::parse(&words(&serving)).unwrap();
        assert_eq!(service.serving(), &serving);
        assert!(service.is_service());
        assert!(service.to_string().contains(&format!("process {}, since 2", std::process::id())));
        let command = Holder::parse(&words(&Serving::default())).unwrap();
        assert!(!command.is_service() && command.serving().socket.is_none());
    }

    #[test]
    fn what_nobody_wrote_is_not_believed() {
        for text in ["", "\n", "evil \u{1b}[2J", &"x".repeat(201)] {
            assert_eq!(Holder::parse(text.as_bytes()), None, "{text:?}");
        }
        let half = Holder::parse(b"someone\nlisten nowhere\nsocket relative\nsocket \n").unwrap();
        assert_eq!(half.serving(), &Serving::default());
    }
}
