//! README.md does what it says: its commands about our own CA and a vault in a folder are run as they stand there, in their order,
//! in a scratch folder that stands for the root of the machine.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use crate::support::{PASSPHRASE, Run, Work};

const README: &str = include_str!("../../../../README.md");

/// What shows that a command needs another machine, files of Windows, or a service that goes on, and is tried by other tests.
const ELSEWHERE: [&str; 10] = [
    "--server ",
    "certadm user ",
    "certadm serve ",
    "/DataBase",
    "CertLog.edb",
    "/backup/full ",
    "ca.p12",
    "certadm gap ",
    "--help",
    "completions",
];
/// Folders of the machine that the commands name.
const ROOTS: [&str; 4] = ["/srv/", "/root/", "/backup", "/evidence"];
/// The moment that an example of a restore names.
const MOMENT: &str = "2026-11-27T10:00:00Z";

/// The commands of the blocks, in their order.
fn commands() -> Vec<&'static str> {
    let blocks = README.split("\n```").skip(1).step_by(2);
    blocks.flat_map(str::lines).filter(|line| line.starts_with("certadm ")).collect()
}

/// The machine: a folder, with the command on its path.
struct Machine {
    work: Work,
    path: String,
}

impl Machine {
    fn new() -> Self {
        let work = Work::new();
        for folder in ["bin", "srv", "root", "backup", "tmp", "home/.config/certadm"] {
            fs::create_dir_all(work.path(folder)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_certadm"), work.path("bin/certadm")).unwrap();
        fs::write(work.path("root/ca.pass"), format!("{PASSPHRASE}\n")).unwrap();
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(work.path("root/ca.pass"), private).unwrap();
        // "Write the vault into `repositories.toml` first".
        let place = work.path("").display().to_string();
        let vault =
            format!("[vault]\nurl = 'file://{place}/vault'\nkey-file = '{place}/root/{{ca}}.vaultkey'\n");
        fs::write(work.path("home/.config/certadm/repositories.toml"), vault).unwrap();
        let path = format!("{}:{}", work.path("bin").display(), std::env::var("PATH").unwrap());
        Self { work, path }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.work.path(name)
    }

    /// Runs a line as a shell does.
    fn run(&self, line: &str) -> Run {
        let root = self.path("").display().to_string();
        let root = root.trim_end_matches('/');
        let here = ROOTS.iter().fold(line.to_owned(), |line, folder| {
            line.replace(&format!(" {folder}"), &format!(" {root}{folder}"))
        });
        Run::of(
            Command::new("sh")
                .args(["-eu", "-c", &here])
                .current_dir(self.path(""))
                .env("PATH", &self.path)
                .env("HOME", self.path("home"))
                .env("TMPDIR", self.path("tmp"))
                .env("CERTADM_JOBS", self.path("home/.config/certadm/certadm.toml"))
                .env("STATE_DIRECTORY", self.path("state"))
                .env_remove("CERTADM_REPOSITORIES"),
        )
    }

    /// What stands between the commands in words, or has to be there before one of them. Returns the command as it can be typed.
    fn prepare(&self, line: &str) -> String {
        if line.contains("web1.csr") {
            self.work.request("web1");
            self.work.request("web2");
        }
        // "The CA is lost. Put back `ca.toml`, `ca.crt` and `ca.key`"
        if line.starts_with("certadm restore ") && line.contains("--dir /srv/ca ") {
            self.lose();
        }
        // The key is encrypted; somebody would be asked for the passphrase.
        let passphrase = if line.contains("--key ca.key ") { "--passphrase-file /root/ca.pass " } else { "" };
        let line = line.replace("--key ca.key ", &format!("--key ca.key {passphrase}"));
        line.replace("4f3a...", &self.serial()).replace(MOMENT, &now())
    }

    fn lose(&self) {
        let ca = self.path("srv/ca");
        for name in ["ca.toml", "ca.crt", "ca.key"] {
            fs::copy(ca.join(name), self.path(name)).unwrap();
        }
        if let Some(crl) = newest(&ca.join("crl")) {
            fs::copy(crl, self.path("last.crl")).unwrap();
        }
        fs::remove_dir_all(&ca).unwrap();
        fs::create_dir(&ca).unwrap();
        fs::set_permissions(&ca, fs::Permissions::from_mode(0o700)).unwrap();
        for name in ["ca.toml", "ca.crt", "ca.key"] {
            fs::copy(self.path(name), ca.join(name)).unwrap();
        }
    }

    /// The serial number of a certificate that was issued.
    fn serial(&self) -> String {
        let issued = newest(&self.path("issued"));
        issued.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).unwrap_or_default()
    }
}

fn newest(folder: &Path) -> Option<std::path::PathBuf> {
    let files = fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path());
    files.max_by_key(|file| fs::metadata(file).unwrap().modified().unwrap())
}

fn now() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    certadm_jobs::place::moment(i64::try_from(now).unwrap())
}

#[test]
fn the_readme_does_what_it_says() {
    let commands = commands();
    let elsewhere = |line: &str| ELSEWHERE.iter().any(|mark| line.contains(mark));
    let here: Vec<&str> = commands.iter().copied().filter(|line| !elsewhere(line)).collect();
    assert!(25 <= here.len() && here.len() < commands.len(), "{commands:#?}");
    let machine = Machine::new();
    for line in here {
        let typed = machine.prepare(line);
        let run = machine.run(&typed);
        // These tell what is missing, or what stands out: 1.
        let tells = ["certadm status", "certadm complete", "certadm rehearse"]
            .iter()
            .any(|verb| line.starts_with(verb));
        let is_good = run.code == 0 || run.code == 1 && tells;
        assert!(is_good, "{typed}: {}\n{}\n{}", run.code, run.stdout, run.stderr);
    }
}
