//! REPO-S3 and REPO-SFTP: a repository on another machine, here on the loopback address, beside restic against the same service.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::data::CaFolder;
use crate::error::Result;
use crate::process::{Measured, measure, wait_until_idle};
use crate::repo::{Vault, ca};
use crate::run::{Bench, remove};
use crate::sshd::Sshd;
use crate::table::{Row, Samples};

/// Runs the rows that are wanted. Each round has a service of its own, which keeps nothing of the one before.
pub(crate) fn run_all(bench: &mut Bench) -> Result<()> {
    for (name, start) in [("REPO-S3", Service::s3 as Start), ("REPO-SFTP", Service::sftp as Start)] {
        if !bench.wants(name) && !bench.wants("REPO") {
            continue;
        }
        let ca = ca(bench)?;
        let mut sides = Sides::default();
        for round in 0..bench.options.rounds {
            println!("{name}, round {} of {}", round + 1, bench.options.rounds);
            let root = bench.root.join("repo");
            remove(&root)?;
            std::fs::create_dir_all(&root)?;
            match start(&root) {
                Ok(service) => sides.round(&bench.certadm, &ca, &root, &service)?,
                Err(error) => {
                    println!("{name} is left out: {error}");
                    break;
                }
            }
            remove(&root)?;
        }
        sides.report(name, &mut bench.rows);
        remove(&bench.root.join("repo-ca"))?;
    }
    Ok(())
}

type Start = fn(&Path) -> Result<Service>;

/// A service on loopback, and how both sides reach it.
struct Service {
    /// The keys of the vault's table.
    table: String,
    /// What restic calls the repository, and its options.
    restic: Vec<String>,
    _server: Server,
}

enum Server {
    Moto(Child),
    Ssh { _sshd: Sshd },
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Self::Moto(child) = self {
            // It may have ended by itself.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

impl Service {
    /// moto, in the Python that `CERTADM_PYTHON` names. It is a judge of requests and no fast server, so ratios count.
    fn s3(root: &Path) -> Result<Self> {
        let python = std::env::var("CERTADM_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let child = Command::new(python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut server = Server::Moto(child);
        let mut left = 600_u32;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let has_ended = match &mut server {
                Server::Moto(child) => child.try_wait()?.is_some(),
                Server::Ssh { .. } => false,
            };
            if has_ended || left == 0 {
                return Err("moto does not start; CERTADM_PYTHON names the Python that has it".into());
            }
            left -= 1;
            std::thread::sleep(Duration::from_millis(100));
        }
        let credentials = root.join("credentials");
        std::fs::write(&credentials, "ID\nbench\n")?;
        Ok(Self {
            table: format!(
                "url = 's3://bucket/certadm'\nendpoint = 'http://127.0.0.1:{port}'\ncredentials-file = '{}'\n",
                credentials.display()
            ),
            restic: vec!["--repo".to_owned(), format!("s3:http://127.0.0.1:{port}/bucket/restic")],
            _server: server,
        })
    }

    /// OpenSSH of this machine, with keys of its own.
    fn sftp(root: &Path) -> Result<Self> {
        let keys = root.join("ssh");
        let sshd = Sshd::start(&keys)?;
        let config = keys.join("config");
        std::fs::write(
            &config,
            format!(
                "Host 127.0.0.1\nPort {}\nIdentityFile {}\nIdentitiesOnly yes\nStrictHostKeyChecking no\n\
                 UserKnownHostsFile /dev/null\nGlobalKnownHostsFile /dev/null\nLogLevel ERROR\n",
                sshd.address.port(),
                keys.join("login").display()
            ),
        )?;
        let (vault, restic) = (root.join("vault"), root.join("restic"));
        std::fs::create_dir_all(&vault)?;
        let ssh = format!("sftp.command=ssh -F {} 127.0.0.1 -s sftp", config.display());
        Ok(Self {
            table: format!(
                "url = 'sftp://127.0.0.1{}'\nssh-config = '{}'\n",
                vault.display(),
                config.display()
            ),
            restic: vec![
                "--option".to_owned(),
                ssh,
                "--repo".to_owned(),
                format!("sftp:127.0.0.1:{}", restic.display()),
            ],
            _server: Server::Ssh { _sshd: sshd },
        })
    }
}

#[derive(Default)]
struct Sides {
    backup: Samples,
    restic: Samples,
    logs: Samples,
    restic_again: Samples,
    verify: Samples,
    restic_check: Samples,
}

impl Sides {
    fn round(&mut self, certadm: &Path, ca: &CaFolder, root: &Path, service: &Service) -> Result<()> {
        let password = root.join("password");
        std::fs::write(&password, "bench")?;
        let restic = |words: &[&Path]| -> Result<Measured> {
            let mut command = Command::new("restic");
            command.args(&service.restic).arg("--password-file").arg(&password).arg("--no-cache").args(words);
            // restic has no other way to say them.
            command.env("AWS_ACCESS_KEY_ID", "ID").env("AWS_SECRET_ACCESS_KEY", "bench");
            wait_until_idle();
            measure(&mut command)
        };
        let words = |words: &[&str]| words.iter().map(PathBuf::from).collect::<Vec<PathBuf>>();
        let restic = |of: &[&str], file: Option<&Path>| {
            let words = words(of);
            let mut words: Vec<&Path> = words.iter().map(PathBuf::as_path).collect();
            words.extend(file);
            restic(&words)
        };
        let dir = ca.path().to_string_lossy().into_owned();
        // restic makes the bucket.
        restic(&["init"], None)?;
        let vault = Vault::create(certadm, root, ca, &service.table)?;
        let ours = |words: &[&str]| vault.run(words);
        self.backup.add(ours(&["backup", "--dir", &dir, "--to", "vault:", "--verify", "later"])?);
        self.restic.add(restic(&["backup"], Some(&ca.database()?))?);
        // Logs go on from a set whose database was checked.
        ours(&["backup", "--dir", &dir, "--to", "vault:"])?;
        ca.change_one_percent()?;
        self.logs.add(ours(&["backup", "--dir", &dir, "--to", "vault:", "--type", "logs"])?);
        self.restic_again.add(restic(&["backup"], Some(&ca.database()?))?);
        self.verify.add(ours(&["verify", "vault:"])?);
        self.restic_check.add(restic(&["check", "--read-data"], None)?);
        Ok(())
    }

    fn report(&self, name: &str, rows: &mut Vec<Row>) {
        let row = |what: &str, ours, peer, theirs| Row::ratio(&format!("{name} {what}"), ours, peer, theirs);
        rows.push(row("backup, read back, proved", &self.backup, "restic backup", &self.restic));
        rows.push(row("logs after 1 %", &self.logs, "restic backup again", &self.restic_again));
        rows.push(row("verify", &self.verify, "restic check --read-data", &self.restic_check));
        rows.push(Row::plain(&format!("{name} peak of backup, MiB"), self.backup.peak_mib()));
    }
}
