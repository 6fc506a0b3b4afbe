//! A folder to work in, the binary, and `openssl` beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use certadm_tests::plain_set::copy_folder;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PASSPHRASE: &str = "correct horse battery";

/// One run of the binary.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::from(command.stdin(Stdio::null()).output().expect("the binary runs"))
    }

    /// The one JSON object that `--json` prints.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "one object, one line: {self:?}");
        serde_json::from_str(&self.stdout).expect("standard output is JSON")
    }

    /// What a command that went well printed.
    pub(crate) fn good(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self.stdout
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it ended by itself"),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

/// The binary with arguments separated by blanks; a word in braces is a path of the work folder: `{ca}`.
pub(crate) fn command(work: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certadm"));
    command.current_dir(work);
    for word in line.split_whitespace() {
        match word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
            Some(name) => command.arg(work.join(name)),
            None => command.arg(word),
        };
    }
    command
}

/// A folder with a passphrase file, `pass`, and whatever a test puts there.
pub(crate) struct Work {
    dir: TempDir,
}

impl Work {
    pub(crate) fn new() -> Self {
        let dir = certadm_files::scratch::for_test();
        fs::write(dir.path().join("pass"), format!("{PASSPHRASE}\n")).unwrap();
        Self { dir }
    }

    /// A work folder with a CA in `ca`.
    pub(crate) fn with_ca() -> Self {
        let work = Self::new();
        work.run("ca init --dir {ca} --name Test-CA --passphrase-file {pass}").good();
        work
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn run(&self, line: &str) -> Run {
        Run::of(&mut command(self.dir.path(), line))
    }

    /// The result of a command that went well.
    pub(crate) fn result(&self, line: &str) -> Value {
        let run = self.run(&format!("--json {line}"));
        let json = run.json();
        assert_eq!(run.code, 0, "{line}: {json}");
        assert_eq!(json["ok"], true, "{json}");
        assert_eq!(json["error"], Value::Null, "{json}");
        json["result"].clone()
    }

    /// A request for a host name, made by `openssl`, in `<name>.csr`.
    pub(crate) fn request(&self, name: &str) -> PathBuf {
        let path = self.path(&format!("{name}.csr"));
        if !path.exists() {
            let key = self.path(&format!("{name}.key"));
            let san = format!("subjectAltName=DNS:{name}.example");
            openssl(&[
                "req",
                "-new",
                "-nodes",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-subj",
                &format!("/O=Example/CN={name}.example"),
                "-addext",
                &san,
                "-keyout",
                text(&key),
                "-out",
                text(&path),
            ]);
        }
        path
    }

    /// Issues a certificate for a host name in the CA of folder `ca`. Returns its serial number.
    pub(crate) fn issue(&self, ca: &str, name: &str) -> String {
        self.request(name);
        let line =
            format!("ca issue --dir {{{ca}}} --passphrase-file {{pass}} --out {{issued}} {{{name}.csr}}");
        let result = self.result(&line);
        result["results"][0]["serial_number"].as_str().expect("a serial number").to_owned()
    }

    /// Copies a whole folder.
    pub(crate) fn copy(&self, from: &str, to: &str) {
        copy_folder(&self.path(from), &self.path(to));
        private(&self.path(to));
    }

    /// Turns one bit of a file over, somewhere in its middle.
    pub(crate) fn flip(&self, file: &str) {
        let path = self.path(file);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        fs::write(path, bytes).unwrap();
    }

    /// Cuts a file's last `bytes` off.
    pub(crate) fn cut(&self, file: &str, bytes: u64) {
        let file = fs::OpenOptions::new().write(true).open(self.path(file)).unwrap();
        file.set_len(file.metadata().unwrap().len() - bytes).unwrap();
    }

    /// What an administrator keeps besides backups: configuration, certificate and key.
    pub(crate) fn copy_key_and_configuration(&self, from: &str, to: &str) {
        fs::create_dir_all(self.path(to)).unwrap();
        private(&self.path(to));
        for name in ["ca.toml", "ca.crt", "ca.key"] {
            fs::copy(self.path(from).join(name), self.path(to).join(name)).unwrap();
        }
    }

    /// Every row of every table, as JSON.
    pub(crate) fn tables(&self, source: &str) -> Vec<Value> {
        let list = |table| self.result(&format!("list {source} {table}"))["rows"].clone();
        TABLES.map(list).to_vec()
    }
}

/// Makes a folder its owner's alone, as that of a CA is.
fn private(dir: &Path) {
    #[cfg(unix)]
    fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    #[cfg(not(unix))]
    let _ = dir;
}

/// The tables of `certadm list`.
pub(crate) const TABLES: [&str; 6] =
    ["requests", "certificates", "revoked", "extensions", "attributes", "crls"];

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs `openssl`, which has to succeed, and gives its output.
pub(crate) fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(arguments)
        .output()
        .expect("these tests need the `openssl` command (Debian: apt-get install openssl)");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "openssl {}: {out}{err}", arguments.join(" "));
    format!("{out}{err}")
}
