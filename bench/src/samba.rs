//! A private file server of Samba on loopback, and `smbclient` that fetches a file from it, SMB3 encrypted.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::Result;

/// The running server.
pub(crate) struct Samba {
    child: Child,
    config: PathBuf,
    port: u16,
    file: PathBuf,
    login: String,
}

impl Samba {
    /// Starts it below `root`, with the folder of `file` as its one share.
    ///
    /// # Errors
    /// Samba is not installed, or does not start.
    pub(crate) fn start(root: &Path, file: &Path, user: &str, password: &str) -> Result<Self> {
        std::fs::create_dir_all(root)?;
        let config = root.join("smb.conf");
        let share = file.parent().ok_or("the file has no folder")?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let (root, share) = (root.display(), share.display());
        // The account of this process stands behind the name that logs on.
        let owner = text_of(Command::new("id").arg("-un"))?;
        let settings = format!(
            "[global]\nsmb ports = {port}\nbind interfaces only = yes\ninterfaces = 127.0.0.1\n\
             private dir = {root}\nlock directory = {root}\nstate directory = {root}\n\
             cache directory = {root}\npid directory = {root}\nncalrpc dir = {root}/ncalrpc\n\
             log file = {root}/log\nusername map = {root}/users\ndisable netbios = yes\n\
             load printers = no\nserver smb encrypt = required\nrestrict anonymous = 2\n\
             [share]\npath = {share}\nread only = yes\n"
        );
        std::fs::write(&config, settings)?;
        std::fs::write(config.with_file_name("users"), format!("{owner} = {user}\n"))?;
        add_account(&config, &owner, password)?;
        let child = Command::new("smbd")
            .args(["--foreground", "--no-process-group", "--configfile"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("smbd does not start: {error}"))?;
        let login = format!("{user}%{password}");
        let samba = Self { child, config, port, file: file.to_owned(), login };
        for _ in 0..100 {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(samba);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err("smbd does not listen".into())
    }

    /// Fetches the file; MB a second.
    ///
    /// # Errors
    /// `smbclient` failed.
    #[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
    pub(crate) fn fetch(&self) -> Result<f64> {
        let size = std::fs::metadata(&self.file)?.len();
        let name = self.file.file_name().ok_or("the file has no name")?.to_string_lossy();
        let begun = Instant::now();
        let status = Command::new("smbclient")
            .args(["//127.0.0.1/share", "--client-protection=encrypt", "--configfile"])
            .arg(&self.config)
            .args(["--port", &self.port.to_string(), "--user", &self.login])
            .args(["--command", &format!("get \"{name}\" /dev/null")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if !status.success() {
            return Err(format!("smbclient ended with {status}").into());
        }
        Ok(size as f64 / 1e6 / begun.elapsed().as_secs_f64())
    }
}

impl Drop for Samba {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn add_account(config: &Path, user: &str, password: &str) -> Result<()> {
    let mut child = Command::new("smbpasswd")
        .arg("-c")
        .arg(config)
        .args(["-s", "-a", user])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("Samba is not installed: {error}"))?;
    write!(child.stdin.take().ok_or("no pipe")?, "{password}\n{password}\n")?;
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(format!("smbpasswd ended with {status}").into()) }
}

fn text_of(command: &mut Command) -> Result<String> {
    Ok(String::from_utf8(command.output()?.stdout)?.trim().to_owned())
}
