//! A private sshd on loopback, and `sftp` that fetches a file from it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::Result;

/// The running server.
pub(crate) struct Sshd {
    child: Child,
    folder: PathBuf,
    pub(crate) address: SocketAddr,
}

impl Sshd {
    /// Starts it below `root` with keys of its own.
    ///
    /// # Errors
    /// OpenSSH is not installed, or does not start.
    pub(crate) fn start(root: &Path) -> Result<Self> {
        std::fs::create_dir_all(root)?;
        let at = |name: &str| root.join(name).display().to_string();
        for key in ["host", "login"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f", &at(key)])
                .status()
                .map_err(|error| format!("OpenSSH is not installed: {error}"))?;
            if !made.success() {
                return Err("ssh-keygen failed".into());
            }
        }
        std::fs::copy(at("login.pub"), at("authorized"))?;
        // A root's sshd wants this folder, which the machine's own makes when it starts.
        std::fs::create_dir("/run/sshd").ok();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let settings = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nPidFile none\nAuthorizedKeysFile {}\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nSubsystem sftp internal-sftp\n",
            at("host"),
            at("authorized")
        );
        std::fs::write(at("sshd_config"), settings)?;
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", &at("sshd_config")])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("sshd does not start: {error}"))?;
        let address = (Ipv4Addr::LOCALHOST, port).into();
        let sshd = Self { child, folder: root.to_owned(), address };
        for _ in 0..100 {
            if TcpStream::connect(address).is_ok() {
                return Ok(sshd);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err("sshd does not listen".into())
    }

    /// Fetches a file over `way`, which leads to the server; MB a second.
    ///
    /// # Errors
    /// `sftp` failed.
    #[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
    pub(crate) fn fetch(&self, way: SocketAddr, file: &Path) -> Result<f64> {
        let size = std::fs::metadata(file)?.len();
        let batch = self.folder.join("batch");
        std::fs::write(&batch, format!("get \"{}\" /dev/null\n", file.display()))?;
        let begun = Instant::now();
        let status = Command::new("sftp")
            .args(["-F", "none", "-q", "-b"])
            .arg(&batch)
            .args(["-P", &way.port().to_string(), "-i"])
            .arg(self.folder.join("login"))
            .args(["-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no"])
            .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "GlobalKnownHostsFile=/dev/null"])
            .arg(way.ip().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if !status.success() {
            return Err(format!("sftp ended with {status}").into());
        }
        Ok(size as f64 / 1e6 / begun.elapsed().as_secs_f64())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
